package alert

import (
	"fmt"
	"time"
)

// A side is an alert about the measuring, beside that of a rule. Its end resolves
// nothing else.
type side struct {
	fires bool
	alert Alert
	flap  flapping
}

// take takes up the alert from before a restart.
func (s *side) take(a Alert, ok bool) {
	if ok && a.State == Firing {
		s.fires, s.alert = true, a
	}
}

// begin begins the alert of a side.
func (f *Feed) beginSide(st *ruleState, s *side, reason Reason, now time.Time) {
	a := f.alertOf(st.rule, reason)
	a.State, a.Began, a.Fired = Firing, now, now
	a.Summary, a.Detail = f.unmeasured(reason, now)
	if st.phase == phaseFiring {
		a.Detail += " The alert " + st.rule.Name + " stays as it is."
	}
	a.Parents = f.sideParents(st, reason)
	s.fires, s.alert = true, a
	s.flap.note(now, st.rule.Flap)
	f.e.out.put(a)
}

// endSide ends the alert of a side, unless it comes and goes.
func (f *Feed) endSide(s *side, r *Rule, now time.Time) {
	if !s.fires {
		return
	}
	switch holds, began := s.flap.holds(now, r.Flap); {
	case began:
		s.alert.Flapping = true
		f.e.out.put(s.alert)
	case !holds:
		f.resolveSide(s, now)
	}
}

func (f *Feed) resolveSide(s *side, now time.Time) {
	if s.fires {
		s.fires = false
		s.alert.State, s.alert.Ended, s.alert.Flapping = Resolved, now, false
		f.e.out.put(s.alert)
	}
}

// sideParents are the keys of the alerts that explain one about the measuring: those of
// the parents, that they fire or are not measured either, and of several rules on the same
// source that of the worst.
func (f *Feed) sideParents(st *ruleState, reason Reason) []string {
	keys := append(f.parentKeys(st.rule, Failing), f.parentKeys(st.rule, reason)...)
	worst := st.rule
	for _, other := range f.states {
		if r := other.rule; r.Severity < worst.Severity && policy(r, reason) == Separate {
			worst = r
		}
	}
	for _, other := range f.states { // the first of the worst
		if r := other.rule; r.Severity == worst.Severity && policy(r, reason) == Separate {
			if r != st.rule {
				keys = append(keys, Key(r.Name, f.Environment, f.Entity, reason))
			}
			break
		}
	}
	return keys
}

func policy(r *Rule, reason Reason) Policy {
	if reason == NoData {
		return r.NoData
	}
	return r.OnError
}

// noDataStep is an evaluation without data.
func (f *Feed) noDataStep(st *ruleState, now time.Time) {
	if st.rule.NoData != AsBad {
		st.rearm(now)
	}
	if st.rule.NoData != Separate {
		f.asIf(st, NoData, now)
		return
	}
	st.noData.flap.lastBad = now
	if !st.noData.fires {
		f.beginSide(st, &st.noData, NoData, now)
	}
}

// brokenStep is an evaluation that failed. Like the condition it has to last.
func (f *Feed) brokenStep(st *ruleState, now time.Time) {
	if st.rule.OnError != Separate {
		f.asIf(st, Broken, now)
		return
	}
	st.broken.flap.lastBad = now
	if !st.broken.fires && now.Sub(f.failed) >= max(st.rule.For, 2*f.every) {
		f.beginSide(st, &st.broken, Broken, now)
	}
}

// asIf evaluates as the policy says, as often as there would have been samples.
func (f *Feed) asIf(st *ruleState, reason Reason, now time.Time) {
	says := nothing
	switch policy(st.rule, reason) {
	case AsBad:
		says = bad
	case AsGood:
		says = good
	}
	every := f.every
	if every == 0 {
		every = slowPace
	}
	if says == nothing || now.Sub(st.evaluated) < every {
		return
	}
	v := st.judge.verdict(now, st.phase == phaseFiring)
	v.says, v.reason = says, reason
	f.step(st, v, now)
}

// unmeasured says in words that there is no judgement.
func (f *Feed) unmeasured(reason Reason, now time.Time) (summary, detail string) {
	what := f.Input
	if f.Entity != "" {
		what += " of " + f.Entity
	}
	switch {
	case reason == Broken:
		return "Not measured: " + what + " cannot be judged", "Whether it works is not known: " + f.reason + "."
	case f.Source == nobody(f.Input) && !f.spoke:
		return fmt.Sprintf("No data: nothing has ever reported %s", what), "Whether it works is not known: nothing feeds this input."
	}
	return fmt.Sprintf("No data: nothing has been measured of %s for %s", what, span(now.Sub(f.last))), "Whether it works is not known."
}
