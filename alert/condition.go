package alert

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"go.acu.edu.au/runbook/health"
)

// A Condition judges what an input says: [Above], [Below], [Failures], [NofM], [Rate],
// [Ratio], [BurnRate], [Silent], [Due], [Aged], [Changed], [Unequal] or [Combined], each
// given by value.
type Condition interface {
	// kind is the sort of input that it judges.
	kind() InputKind
	validate() error
	// unit is that of the values of its verdicts, for an input with a unit.
	unit(of health.Unit) health.Unit
	// judge makes the judge of one source.
	judge() judge
}

// Above holds while a value is above Limit. Once it fires, it is over when the value is
// not above Recover; zero Recover means Limit.
type Above struct{ Limit, Recover float64 }

// Below holds while a value is below Limit. Once it fires, it is over when the value is
// not below Recover; zero Recover means Limit.
type Below struct{ Limit, Recover float64 }

// Failures holds after Fail failures in a row. Once it fires, it is over after Pass
// results in a row that are none. Zero means 3 and 1.
type Failures struct{ Fail, Pass int }

// NofM holds while N of the last M results failed. M is at most 64. It is over when
// fewer than N did.
type NofM struct{ N, M int }

// Rate holds while more than Limit bad events were counted within Window. Once it fires,
// it is over when no more than Recover were; zero Recover means Limit. Windows are exact
// to a sixtieth.
type Rate struct {
	Limit, Recover float64
	Window         time.Duration
}

// Ratio holds while the bad events are more than Limit of all events within Window:
// 0.05 is 5 %. With fewer than MinTotal events, or MinBad bad ones, it does not begin;
// zero means 20 and 5: of three requests one that fails is no error rate. Once it fires,
// it is over when the ratio is not above Recover, however few events there are, so that an
// outage that drives callers away does not look like its end before the last bad event has
// left the window; zero Recover means Limit.
type Ratio struct {
	Limit, Recover   float64
	Window           time.Duration
	MinTotal, MinBad uint64
}

// BurnRate holds while the error budget of an objective is used up too fast: in a long
// window and, so that it is over soon, in a short one as well. The burn rate is the
// ratio of bad events to what the objective allows (The Site Reliability Workbook,
// chapter 5: https://sre.google/workbook/alerting-on-slos/).
type BurnRate struct {
	// Objective is the share of events that must be good: 0.999.
	Objective float64
	// Windows are the pairs of windows of which one must be over its factor. None means
	// 14.4 in 1 h and 5 min, and 6 in 6 h and 30 min.
	Windows []BurnWindow
	// MinTotal and MinBad are as in [Ratio], for the long window. Zero means 100 and 5.
	MinTotal, MinBad uint64
}

// BurnWindow is a pair of windows of a [BurnRate].
type BurnWindow struct {
	Long, Short time.Duration
	// Factor is the burn rate that both must be over.
	Factor float64
}

func (c BurnRate) windows() []BurnWindow {
	if len(c.Windows) > 0 {
		return c.Windows
	}
	return []BurnWindow{{time.Hour, 5 * time.Minute, 14.4}, {6 * time.Hour, 30 * time.Minute, 6}}
}

// Silent holds when no beat has come for Period and Grace. It is counted from the first
// moment of the [Feed], so that what never reports is noticed too: a host that knows its
// workers makes their feeds at its start.
type Silent struct{ Period, Grace time.Duration }

// Due holds when a moment, such as the end of a certificate, is less than Within away.
type Due struct{ Within time.Duration }

// Aged holds when a moment, such as the last backup, is more than Over ago.
type Aged struct{ Over time.Duration }

// Changed holds for a while after a text, such as a version, has become another one.
// Zero For means 15 minutes.
type Changed struct{ For time.Duration }

// Unequal holds while the sources of the input in one environment say different texts:
// the versions of replicas. Its alert is about the environment and has no entity. Sources
// that do not report any more are not compared.
type Unequal struct{}

// Combined holds while all alerts of the rules All, at least one of Any, and none of None
// fire, in the same environment for the same entity; empty lists ask nothing.
type Combined struct{ All, Any, None []string }

func (Above) kind() InputKind    { return Gauge }
func (Below) kind() InputKind    { return Gauge }
func (Failures) kind() InputKind { return Checks }
func (NofM) kind() InputKind     { return Checks }
func (Rate) kind() InputKind     { return Counter }
func (Ratio) kind() InputKind    { return Counter }
func (BurnRate) kind() InputKind { return Counter }
func (Silent) kind() InputKind   { return Heartbeat }
func (Due) kind() InputKind      { return Moment }
func (Aged) kind() InputKind     { return Moment }
func (Changed) kind() InputKind  { return Text }
func (Unequal) kind() InputKind  { return Text }
func (Combined) kind() InputKind { return "" }

func (Above) unit(of health.Unit) health.Unit { return of }
func (Below) unit(of health.Unit) health.Unit { return of }
func (Failures) unit(health.Unit) health.Unit { return health.Count }
func (NofM) unit(health.Unit) health.Unit     { return health.Count }
func (Rate) unit(of health.Unit) health.Unit  { return of }
func (Ratio) unit(health.Unit) health.Unit    { return health.Percent }
func (BurnRate) unit(health.Unit) health.Unit { return "times the error budget" }
func (Silent) unit(health.Unit) health.Unit   { return health.Seconds }
func (Due) unit(health.Unit) health.Unit      { return health.Days }
func (Aged) unit(health.Unit) health.Unit     { return health.Days }
func (Changed) unit(health.Unit) health.Unit  { return health.Count }
func (Unequal) unit(health.Unit) health.Unit  { return health.Count }
func (Combined) unit(health.Unit) health.Unit { return health.Count }

// finite reports whether all numbers are numbers: with others nothing would ever hold.
func finite(numbers ...float64) bool {
	return !slices.ContainsFunc(numbers, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

func (c Above) validate() error {
	if !finite(c.Limit, c.Recover) || c.Recover != 0 && c.Recover > c.Limit {
		return errors.New("above: Limit and Recover must be numbers, and Recover not above Limit")
	}
	return nil
}

func (c Below) validate() error {
	if !finite(c.Limit, c.Recover) || c.Recover != 0 && c.Recover < c.Limit {
		return errors.New("below: Limit and Recover must be numbers, and Recover not below Limit")
	}
	return nil
}

func (c Failures) validate() error {
	if c.Fail < 0 || c.Pass < 0 {
		return errors.New("failures: Fail or Pass is negative")
	}
	return nil
}

func (c NofM) validate() error {
	if c.N < 1 || c.M < c.N || c.M > 64 {
		return errors.New("n of m: N must be at least 1, and M from N to 64")
	}
	return nil
}

func (c Rate) validate() error {
	if c.Window < time.Second || !finite(c.Limit) || !(c.Recover >= 0 && c.Recover <= c.Limit) {
		return errors.New("rate: Window must be at least 1 s, Limit not negative, and Recover from 0 to Limit")
	}
	return nil
}

func (c Ratio) validate() error {
	if c.Window < time.Second || !(c.Limit > 0 && c.Limit < 1) || !(c.Recover >= 0 && c.Recover <= c.Limit) {
		return errors.New("ratio: Window must be at least 1 s, Limit between 0 and 1, and Recover from 0 to Limit")
	}
	return nil
}

func (c BurnRate) validate() error {
	if !(c.Objective > 0 && c.Objective < 1) {
		return errors.New("burn rate: the objective must be between 0 and 1: 0.999")
	}
	var problems []error
	for _, w := range c.windows() {
		switch {
		case w.Short < time.Second || w.Long <= w.Short || !(w.Factor >= 1) || !finite(w.Factor):
			problems = append(problems, errors.New("burn rate: a window needs Short of at least 1 s, a longer Long, and a factor of at least 1"))
		case w.Factor*(1-c.Objective) >= 1:
			problems = append(problems, fmt.Errorf("burn rate: factor %g can never be reached with objective %g: give Windows of its own", w.Factor, c.Objective))
		}
	}
	return errors.Join(problems...)
}

func (c Silent) validate() error {
	if c.Period <= 0 || c.Grace < 0 {
		return errors.New("silent: Period must be positive, and Grace not negative")
	}
	return nil
}

func (c Due) validate() error {
	if c.Within <= 0 {
		return errors.New("due: Within must be positive")
	}
	return nil
}

func (c Aged) validate() error {
	if c.Over <= 0 {
		return errors.New("aged: Over must be positive")
	}
	return nil
}

func (c Changed) validate() error {
	if c.For < 0 {
		return errors.New("changed: For is negative")
	}
	return nil
}

func (Unequal) validate() error { return nil }

func (c Combined) validate() error {
	if len(c.All)+len(c.Any) == 0 {
		return errors.New("combined: All and Any are empty")
	}
	return nil
}

// rules returns the names of the rules that are combined.
func (c Combined) rules() []string { return slices.Concat(c.All, c.Any, c.None) }
