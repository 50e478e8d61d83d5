package playbooks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// A gauge is what a change is to make better. What it reads is a share of what may be:
// 1 is the limit, less is well.
type gauge struct {
	// name says what is measured, in a few words.
	name string
	// read measures once, and says in words what it read.
	read func(ctx context.Context) (share float64, text string, err error)
	// samples is how often it is read for one measurement, of which the middle one counts;
	// zero means 3. timeout limits the measurement; zero means 2 minutes.
	samples int
	timeout time.Duration
}

// Measured is one measurement, as a step keeps it.
type Measured struct {
	// Share is what was measured as a share of its limit: 1.5 is half as much again as it
	// may be.
	Share float64 `json:"share"`
	// Text says what was measured, in its own units.
	Text string `json:"text"`
}

// well reports whether it is within its limit.
func (m Measured) well() bool { return m.Share <= 1 }

// worthwhile is how much of what was measured before may be left after a change that is
// to be kept. It is a choice: a change that brings less than a fifth is not worth having, and
// may be noise.
const worthwhile = 0.8

// between is the time between two samples of one measurement.
const between = 5 * time.Second

// measure takes the samples, and returns the middle one.
func (g gauge) measure(ctx context.Context) (Measured, error) {
	var all []Measured
	for i := range cmp.Or(g.samples, 3) {
		if i > 0 {
			if err := pause(ctx, between); err != nil {
				return Measured{}, err
			}
		}
		share, text, err := g.read(ctx)
		if err != nil {
			return Measured{}, fmt.Errorf("%s could not be measured: %w", g.name, err)
		}
		all = append(all, Measured{share, text})
	}
	slices.SortStableFunc(all, func(a, b Measured) int { return cmp.Compare(a.Share, b.Share) })
	return all[len(all)/2], nil
}

// pause waits within a step, for moments only: what takes longer is a step of its own.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// measuring is a step that measures.
func measuring(id, title string, g gauge) incident.Step {
	return incident.Step{
		ID: id, Title: title, Timeout: cmp.Or(g.timeout, 2*time.Minute),
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) { return g.measure(ctx) }},
	}
}

// holding is a step that waits until what is measured is well, several times in a row.
func holding(id, title string, g gauge, v incident.Verify) incident.Step {
	v.Run = func(ctx context.Context, _ *incident.Scope) (any, error) {
		m, err := g.measure(ctx)
		if err == nil && !m.well() {
			err = errors.New(m.Text)
		}
		return m, err
	}
	return incident.Step{ID: id, Title: title, Timeout: cmp.Or(g.timeout, 2*time.Minute), Do: v}
}

// calmly is how a verify looks for something to be well all the time for so long.
func calmly(d Defaults) incident.Verify {
	return incident.Verify{Within: 4 * d.Calm, Every: max(d.Calm/3, time.Second), Times: 4}
}

// A Verdict says whether a change helped.
type Verdict struct {
	// Helped means that the change is kept, Well that nothing more is needed.
	Helped bool `json:"helped"`
	Well   bool `json:"well"`
	// Why compares what was measured before and after.
	Why string `json:"why"`
}

// judged compares two measurements.
func judged(before, after Measured) Verdict {
	v := Verdict{Well: after.well(), Helped: after.well() || after.Share <= worthwhile*before.Share}
	switch {
	case v.Well:
		v.Why = fmt.Sprintf("it is well now: before %s, after %s", before.Text, after.Text)
	case v.Helped:
		v.Why = fmt.Sprintf("it is better, and not yet well: before %s, after %s", before.Text, after.Text)
	default:
		v.Why = fmt.Sprintf("it made no difference that matters: before %s, after %s", before.Text, after.Text)
	}
	return v
}

// A trial is one change that is tried: it is kept only if what is measured gets better by
// it. Only one thing is changed between two measurements.
type trial struct {
	// id and title are those of the step.
	id, title string
	gauge     gauge
	// settle is how long it is given before it is measured again; zero means
	// [Defaults].Settle.
	settle time.Duration
	// value gives the value that is tried, when says whether to try it now; that what is
	// measured is well already is looked at besides.
	value func(s *incident.Scope) string
	when  incident.Condition
	// forward are the steps that make the change, with the parameter "value"; back are
	// those that take it back.
	forward, back []incident.Step
}

// steps are the measurement before a trial, and the trial: a playbook within.
func (t trial) steps(e Environment) []incident.Step {
	d, before := e.Defaults.WithDefaults(), t.id+"-measured"
	within := slices.Concat(t.forward, []incident.Step{
		{ID: "settle", Title: "Let it take effect", Do: incident.Sleep{For: cmp.Or(t.settle, d.Settle)}},
		measuring("after", "Measure "+t.gauge.name+" again", t.gauge),
		{ID: "verdict", Title: "See whether it helped", Do: checkOf(verdict)},
	})
	for _, s := range t.back {
		within = append(within, withWhen(s, useless))
	}
	return []incident.Step{
		withWhen(measuring(before, "Measure "+t.gauge.name, t.gauge), t.when),
		{
			ID: t.id, Title: t.title, OnFailure: incident.Abort,
			When: func(s *incident.Scope) (bool, string) {
				if m, ok := incident.Result[Measured](s, before); ok && m.well() {
					return false, "it is well without it: " + m.Text
				}
				return t.when(s)
			},
			Do: incident.Sub{
				Playbook: incident.Playbook{Name: t.id, Environment: e.name(), Title: t.title, Severity: alert.High, Steps: within, Parameters: []incident.Parameter{
					{Name: "value", About: "What is tried"}, {Name: "before", About: "What was measured before", Optional: true},
				}},
				With: func(s *incident.Scope) map[string]string {
					with := map[string]string{"value": t.value(s)}
					if m, ok := incident.Result[Measured](s, before); ok {
						with["before"] = written(m)
					}
					return with
				},
			},
		},
	}
}

// verdict judges a trial, within it. A plan takes it that a change helps.
func verdict(s *incident.Scope) (any, error) {
	if s.Planning {
		return Verdict{Helped: true, Well: true, Why: "a plan takes it that it helps"}, nil
	}
	var before Measured
	if json.Unmarshal([]byte(s.Text("before")), &before) != nil {
		return nil, errors.New("it was not measured before, so that whether it helped is for you to say; leave this out to keep the change")
	}
	after, ok := incident.Result[Measured](s, "after")
	if !ok {
		return nil, errors.New("it was not measured afterwards, so that whether it helped is for you to say; leave this out to keep the change")
	}
	return judged(before, after), nil
}

// useless is the condition, within a trial, that it did not help.
func useless(s *incident.Scope) (bool, string) {
	v, ok := incident.Result[Verdict](s, "verdict")
	if !ok {
		return false, "whether it helped is not known"
	}
	return !v.Helped, v.Why
}

// kept reports whether a trial was made and helped, so that it was not taken back at once.
func kept(s *incident.Scope, trial string) bool {
	v, ok := incident.Result[Verdict](s, trial+".verdict")
	return ok && v.Helped
}

// notYetWell is the condition that none of these trials has made it well.
func notYetWell(trials ...string) incident.Condition {
	return func(s *incident.Scope) (bool, string) {
		for _, id := range trials {
			if v, ok := incident.Result[Verdict](s, id+".verdict"); ok && v.Well {
				return false, v.Why
			}
		}
		return true, ""
	}
}

// A restoration puts back what a trial has changed, once it has been calm for a while,
// and sets it again if it does not stay so.
type restoration struct {
	// trial is the id of the trial, title that of the step.
	trial, title string
	gauge        gauge
	// when says whether to, besides that the trial was kept.
	when incident.Condition
	// changed is what the trial has changed, for the steps, which get it with told.
	changed func(s *incident.Scope) any
	// back are the steps that put it back, again those that set it again, of which the
	// first has the id "again".
	back, again []incident.Step
}

// step is the playbook within that restores.
func (r restoration) step(e Environment) incident.Step {
	d := e.Defaults.WithDefaults()
	unwell := func(s *incident.Scope) (bool, string) {
		m, ok := incident.Result[Measured](s, "after")
		switch {
		case s.Planning:
			return false, "a plan takes it that it stays well"
		case !ok:
			return false, "whether it stays well could not be measured"
		}
		return !m.well(), "it stays well: " + m.Text
	}
	within := slices.Concat(
		[]incident.Step{holding("calm", fmt.Sprintf("Wait until %s has been well for %v", r.gauge.name, d.Calm), r.gauge, calmly(d))},
		r.back,
		[]incident.Step{
			{ID: "settle", Title: "See how it goes", Do: incident.Sleep{For: max(d.Settle, d.Calm/3)}},
			measuring("after", "Measure "+r.gauge.name+" again", r.gauge),
		},
	)
	for _, s := range r.again {
		within = append(within, withWhen(s, unwell))
	}
	id := r.trial + "-restored"
	return incident.Step{
		ID: id, Title: r.title, OnFailure: incident.Abort,
		When: func(s *incident.Scope) (bool, string) {
			if !kept(s, r.trial) {
				return false, "it is not changed"
			}
			return r.when(s)
		},
		Do: incident.Sub{
			Playbook: incident.Playbook{Name: id, Environment: e.name(), Title: r.title, Severity: alert.High, Steps: within, Parameters: []incident.Parameter{
				{Name: "changed", About: "What was changed", Optional: true},
			}},
			With: func(s *incident.Scope) map[string]string { return map[string]string{"changed": written(r.changed(s))} },
		},
	}
}

// told returns what was changed, within a restoration.
func told[T any](s *incident.Scope) (T, bool) {
	var changed T
	err := json.Unmarshal([]byte(s.Text("changed")), &changed)
	return changed, err == nil
}

// stays is the condition that what these restorations put back did not have to be set
// again. Else it is not settled, and nothing more is put back.
func stays(trials ...string) incident.Condition {
	return func(s *incident.Scope) (bool, string) {
		for _, id := range trials {
			if s.Did(id + "-restored.again") {
				return false, "it does not stay well without " + id + ", so that this is kept too; put it back when that is settled"
			}
		}
		return true, ""
	}
}

// both is the condition that all conditions hold.
func both(all ...incident.Condition) incident.Condition {
	return func(s *incident.Scope) (bool, string) {
		for _, when := range all {
			if needed, why := when(s); !needed {
				return false, why
			}
		}
		return true, ""
	}
}

// written writes what a playbook within is told.
func written(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(data)
}

// whole returns a whole number as a value of a variable.
func whole(n int) string { return strconv.Itoa(n) }
