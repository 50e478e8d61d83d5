package alert

import (
	"slices"
	"time"
)

type phase uint8

const (
	phaseFine phase = iota
	phasePending
	phaseFiring
)

// A ruleState is what a rule knows of one source. It belongs to the lock of the feed.
type ruleState struct {
	rule  *Rule
	judge judge
	pace  time.Duration // of the judge
	after time.Duration // without a sample its absence is missing data; zero: never

	phase     phase
	since     time.Time // when it became pending
	bad       bool      // the last verdict
	row       int       // good evaluations in a row
	evaluated time.Time
	counted   time.Time // when an evaluation of a Counter counted last
	refreshed time.Time // when the value was last handed over
	restored  time.Time // when it was taken up after a restart; zero if it was not
	warm      int       // evaluations that are needed yet, after a restart
	flap      flapping
	alert     Alert // while pending or firing

	noData, broken side
}

// rearm lets what is pending begin anew.
func (st *ruleState) rearm(now time.Time) {
	if st.phase == phasePending {
		st.since = now
	}
}

// skip forgives a time in which nothing could be observed.
func (st *ruleState) skip(gap time.Duration, now time.Time) {
	st.judge.skip(gap)
	st.rearm(now)
	for _, t := range [...]*time.Time{&st.evaluated, &st.restored, &st.flap.lastBad, &st.noData.flap.lastBad, &st.broken.flap.lastBad} {
		if !t.IsZero() {
			*t = t.Add(gap)
		}
	}
}

// step is one evaluation.
func (f *Feed) step(st *ruleState, v verdict, now time.Time) {
	if v.says == nothing {
		return
	}
	if f.paused(now.Sub(st.evaluated)) {
		st.rearm(now)
	}
	// The events of a Counter come as they like: those of a second are one evaluation.
	counts := f.input != Counter || now.Sub(st.counted) >= time.Second
	if counts {
		st.counted = now
		st.warm = max(0, st.warm-1)
	}
	st.evaluated = now
	st.bad = v.says == bad
	if st.bad {
		st.row, st.flap.lastBad = 0, now
		f.badStep(st, v, now)
		return
	}
	if counts {
		st.row++
	}
	f.goodStep(st, v, now)
}

// paused reports whether so much time has passed since the last evaluation that what is
// pending cannot be said to have held meanwhile.
func (f *Feed) paused(since time.Duration) bool { return f.every > 0 && since > f.every*5/2 }

func (f *Feed) badStep(st *ruleState, v verdict, now time.Time) {
	switch st.phase {
	case phaseFine:
		st.phase, st.since = phasePending, now
		st.alert = f.alertOf(st.rule, Failing)
		st.alert.State, st.alert.Began, st.alert.Peak = Pending, now, v.value
		if st.rule.For > 0 {
			f.measure(st, v)
			f.describe(st, v, now)
			f.send(st)
			return
		}
		f.fire(st, v, now)
	case phasePending:
		f.measure(st, v)
		if now.Sub(st.since) >= st.rule.For && st.warm == 0 {
			f.fire(st, v, now)
		}
	case phaseFiring:
		f.measure(st, v)
		switch {
		case st.alert.Reason != v.reason:
			f.describe(st, v, now)
			f.send(st)
		case now.Sub(st.refreshed) >= refreshEvery:
			st.refreshed = now
			f.send(st)
		}
	}
}

// refreshEvery is how often the value of what fires is handed over anew.
const refreshEvery = time.Minute

// measure takes note of what was measured. The peak is the worst value: the lowest for
// a limit from below.
func (f *Feed) measure(st *ruleState, v verdict) {
	st.alert.Value, st.alert.Limit = v.value, v.limit
	switch st.rule.When.(type) {
	case Below, Due:
		st.alert.Peak = min(st.alert.Peak, v.value)
	default:
		st.alert.Peak = max(st.alert.Peak, v.value)
	}
}

// describe says what is wrong.
func (f *Feed) describe(st *ruleState, v verdict, now time.Time) {
	st.alert.Reason = v.reason
	if v.reason != Failing {
		st.alert.Summary, st.alert.Detail = f.unmeasured(v.reason, now)
		return
	}
	st.alert.Summary, st.alert.Detail = st.rule.summary(&f.source, v), v.text
}

func (f *Feed) fire(st *ruleState, v verdict, now time.Time) {
	f.measure(st, v)
	f.describe(st, v, now)
	st.phase, st.refreshed = phaseFiring, now
	st.alert.State, st.alert.Fired = Firing, now
	st.flap.note(now, st.rule.Flap)
	f.send(st)
}

func (f *Feed) goodStep(st *ruleState, v verdict, now time.Time) {
	switch st.phase {
	case phasePending:
		if st.row > st.rule.Tolerance && st.warm == 0 {
			f.resolve(st, now)
		}
	case phaseFiring:
		if v.reason == Failing {
			st.alert.Value = v.value
		}
		f.settle(st, now)
	}
}

// settle ends what fires and holds no longer, unless something keeps it open.
func (f *Feed) settle(st *ruleState, now time.Time) {
	switch {
	case st.phase != phaseFiring || st.bad || st.row < st.rule.Recover, now.Sub(st.flap.lastBad) < st.rule.Hold:
		return
	case st.warm > 0, !st.restored.IsZero() && now.Sub(st.restored) < st.judge.recall():
		return // what it says is not about all of the time that it is about
	}
	switch holds, began := st.flap.holds(now, st.rule.Flap); {
	case began:
		st.alert.Flapping = true
		f.send(st)
	case !holds:
		f.resolve(st, now)
	}
}

func (f *Feed) resolve(st *ruleState, now time.Time) {
	st.phase, st.row, st.warm, st.restored = phaseFine, 0, 0, time.Time{}
	st.alert.State, st.alert.Ended, st.alert.Flapping = Resolved, now, false
	f.send(st)
}

// send hands the alert of a state over.
func (f *Feed) send(st *ruleState) {
	if st.phase == phaseFiring {
		st.alert.Parents, st.alert.Affected = f.parentKeys(st.rule, Failing), f.affected
	}
	f.e.out.put(st.alert)
}

// flapping recognises what comes and goes too often.
type flapping struct {
	changes []time.Time // when it began and ended
	on      bool
	lastBad time.Time
}

// note takes note that it began or ended.
func (fl *flapping) note(now time.Time, cfg Flap) {
	if cfg.Changes > 0 {
		fl.changes = append(fl.changes, now)
	}
}

// holds is asked when it would end. It reports whether it is held open, as it changes too
// often, and whether that begins now.
func (fl *flapping) holds(now time.Time, cfg Flap) (holds, began bool) {
	if fl.on {
		if now.Sub(fl.lastBad) < cfg.Quiet {
			return true, false
		}
		fl.on, fl.changes = false, nil
		return false, false
	}
	fl.changes = slices.DeleteFunc(fl.changes, func(at time.Time) bool { return now.Sub(at) > cfg.Within })
	if cfg.Changes > 0 && len(fl.changes)+1 >= cfg.Changes {
		fl.on = true
		return true, true
	}
	fl.note(now, cfg)
	return false, false
}
