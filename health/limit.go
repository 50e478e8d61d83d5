package health

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Budget is the time that an answer may take. The zero Budget allows any time.
type Budget struct {
	// Warn makes a healthy result Degraded when it took longer. Zero: never.
	Warn time.Duration
	// Fail makes a result Unhealthy when it took longer. Zero: never.
	Fail time.Duration
}

// Apply returns r as the budget sees it: worse, because of [CauseSlow], if
// r.Duration is over the budget, else unchanged. A result that is Unhealthy,
// Unknown or in Maintenance anyway is left alone.
func (b Budget) Apply(r Result) Result {
	if r.Status != Healthy && r.Status != Degraded {
		return r
	}
	for _, limit := range [...]struct {
		status Status
		most   time.Duration
	}{{Unhealthy, b.Fail}, {Degraded, b.Warn}} {
		if limit.most > 0 && r.Duration > limit.most {
			took := r.Duration.Round(time.Millisecond)
			if took <= limit.most {
				took = r.Duration
			}
			return r.Worsen(limit.status, CauseSlow, fmt.Sprintf("took %v, more than %v", took, limit.most))
		}
	}
	return r
}

// Validate returns everything that is wrong with the budget, or nil.
func (b Budget) Validate() error {
	switch {
	case b.Warn < 0 || b.Fail < 0:
		return errors.New("a latency budget must not be negative")
	case b.Warn > 0 && b.Fail > 0 && b.Warn >= b.Fail:
		return fmt.Errorf("latency budget: warn (%v) must be less than fail (%v)", b.Warn, b.Fail)
	}
	return nil
}

// Limit is how far a measurement may go. The zero Limit allows any value. A
// value that is not a number (NaN) is past every limit that is set.
type Limit struct {
	// Warn makes a healthy result Degraded when the value is past it. Nil: never.
	Warn *float64
	// Fail makes a result Unhealthy when the value is past it. Nil: never.
	Fail *float64
	// Below makes "past" mean less than the limit. The default is more than.
	Below bool
}

// Apply returns r with m added to its measurements, and worse, because of
// [CauseThreshold], if m's value is past the limit.
func (l Limit) Apply(r Result, m Measurement) Result {
	r.Measurements = append(slices.Clip(r.Measurements), m)
	for _, limit := range [...]struct {
		status Status
		at     *float64
	}{{Unhealthy, l.Fail}, {Degraded, l.Warn}} {
		if limit.at == nil || !l.past(m.Value, *limit.at) {
			continue
		}
		word := "more"
		if l.Below {
			word = "less"
		}
		message := fmt.Sprintf("%v, %s than %s", m, word, rounded(*limit.at))
		if math.IsNaN(m.Value) {
			message = fmt.Sprintf("%s is not a number", m.Name)
		}
		return r.Worsen(limit.status, CauseThreshold, message)
	}
	return r
}

func (l Limit) past(value, limit float64) bool {
	if l.Below {
		return !(value >= limit)
	}
	return !(value <= limit)
}

// Validate returns what is wrong with the limit, or nil.
func (l Limit) Validate() error {
	for _, at := range [...]*float64{l.Warn, l.Fail} {
		if at != nil && math.IsNaN(*at) {
			return errors.New("limit: NaN is not a limit")
		}
	}
	if l.Warn != nil && l.Fail != nil && l.past(*l.Warn, *l.Fail) {
		return fmt.Errorf("limit: warn (%v) must be reached before fail (%v)", *l.Warn, *l.Fail)
	}
	return nil
}
