package alert

import "time"

// restore takes up the alerts from before a restart. What no rule is left for is over.
func (e *Engine) restore() {
	rules := make(map[string]*Rule)
	for i := range e.cfg.Rules {
		rules[e.cfg.Rules[i].Name] = &e.cfg.Rules[i]
	}
	for _, a := range e.cfg.Restore {
		ours := a.Key == Key(a.Rule, a.Environment, a.Entity, a.Reason) || a.Key == Key(a.Rule, a.Environment, a.Entity, Failing)
		switch {
		case a.State == Resolved || !ours:
		case rules[a.Rule] == nil:
			a.State, a.Ended = Resolved, e.started
			a.Detail = "There is no rule for it any more."
			e.out.put(a)
		default:
			e.restored[a.Key] = a
			e.out.firing[a.Key] = a.State == Firing
		}
	}
	for _, a := range e.cfg.Restore {
		if _, open := e.restored[a.Key]; open && isAboutSilence(rules[a.Rule], a, e.inputs[rules[a.Rule].Input]) {
			e.stand(Source{rules[a.Rule].Input, a.Environment, a.Entity}, a.Labels)
		}
	}
}

// isAboutSilence reports whether the silence of a source is what its alert is about, or
// says something: it is watched from the start, and not from its first sample on.
func isAboutSilence(r *Rule, a Alert, in Input) bool {
	return in.Name != "" && (isSilent(r) || a.Reason == NoData || in.Kind == Counter && in.Every == 0)
}

// warmUp is how many evaluations with data it takes after a restart before an alert
// from before can begin or end.
const warmUp = 2

// newState makes the state of a rule for a source, or takes up the one from before a
// restart, as the rule is now. The lock of the engine is held.
func (e *Engine) newState(f *Feed, r *Rule, now time.Time) *ruleState {
	st := &ruleState{rule: r, judge: r.When.judge(), after: f.noDataAfter(r), evaluated: now}
	if st.pace = st.judge.pace(); f.input == Counter && f.every > 0 {
		// An input that reports regularly is judged with each report: that it is late does
		// not say that all is well.
		st.pace = 0
	}
	take := func(reason Reason) (Alert, bool) {
		fresh := f.alertOf(r, reason)
		a, ok := e.restored[fresh.Key]
		delete(e.restored, fresh.Key)
		a.Severity, a.Playbook, a.Labels, a.Unit = fresh.Severity, fresh.Playbook, fresh.Labels, fresh.Unit
		return a, ok
	}
	if a, ok := take(Failing); ok {
		st.alert, st.phase, st.since, st.warm, st.restored = a, phasePending, a.Began, warmUp, now
		if a.State == Firing {
			st.phase = phaseFiring
		}
		st.flap.on, st.flap.lastBad = a.Flapping, now
	}
	st.noData.take(take(NoData))
	st.broken.take(take(Broken))
	return st
}

// forgetAfter is how long after a restart an alert is kept whose source does not report
// any more.
func (in Input) forgetAfter() time.Duration {
	if in.Every == 0 && in.Name != "" {
		return 24 * time.Hour
	}
	return max(time.Hour, 3*in.Every)
}

func (e *Engine) forgetRestored(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, a := range e.restored {
		var in Input
		for i := range e.cfg.Rules {
			if r := &e.cfg.Rules[i]; r.Name == a.Rule {
				in = e.inputs[r.Input]
			}
		}
		if now.Sub(e.started) < in.forgetAfter() {
			continue
		}
		delete(e.restored, key)
		a.State, a.Ended = Resolved, now
		a.Detail = "Nothing has reported on it since the restart: it is no longer watched."
		e.out.put(a)
	}
}
