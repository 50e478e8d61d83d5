package health

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// record takes in a result: in constant time, whatever the number of checks.
// Monitor.mu is held.
func (m *Monitor) record(r *run, result Result) {
	e, now := r.entry, time.Now()
	if result.Time.IsZero() || result.Time.After(now) {
		result.Time = now
	}
	result = e.check.Latency.Apply(sanitize(result))
	e.last, e.borrowed, e.unplanned = result, r.borrowed, r.unplanned
	m.self.last = now
	if !m.edge.IsZero() && !now.Before(m.edge) {
		m.reviewWindows(now)
	}
	before := m.blockers(e)
	e.judge(result.Status)
	m.show(e, result.Time, r)
	m.cached.Store(nil)
	if m.cfg.History != nil && !r.borrowed {
		m.keep(e)
	}
	if !result.Status.OK() {
		m.hurryParents(e, r.began)
	}
	m.emitUnblocked(e, before)
}

// show gives e the status that it has from at on, and tells of the change, if
// it is one, or at least of the result of r. Monitor.mu is held.
func (m *Monitor) show(e *entry, at time.Time, r *run) {
	status := e.found
	if e.maintained {
		status = Maintenance
	}
	ev := event{result: r != nil}
	if from, since := e.status, e.since; status != from || since.IsZero() {
		m.tally(e, -1)
		e.status, e.since = status, later(at, since) // a probe can begin before a window ends
		m.tally(e, +1)
		if status != from {
			m.publishTallies()
		}
		if status != from && (len(m.subs) > 0 || m.cfg.Hooks.OnTransition != nil) {
			ev.transition = &Transition{From: from, FromSince: since, Affected: affected(e)}
		}
	}
	if ev.transition != nil || (ev.result && m.cfg.Hooks.OnResult != nil) {
		ev.state = m.state(e)
		if r != nil {
			ev.base = r.base
		}
		m.emit(ev)
	}
}

// judge applies the thresholds.
func (e *entry) judge(status Status) {
	if status.OK() {
		e.failures, e.successes = 0, e.successes+1
		if !e.seen || e.found.OK() || int(e.successes) >= e.check.SuccessThreshold {
			e.found, e.seen = status, true
		}
		return
	}
	e.failures, e.successes = e.failures+1, 0
	if int(e.failures) >= e.check.FailureThreshold {
		e.found, e.seen = status, true
	}
}

// sanitize makes a prober's result fit to be shown.
func sanitize(r Result) Result {
	if r.Status >= statuses {
		r = Result{Status: Unknown, Cause: CauseNotAsked, Message: fmt.Sprintf("the prober returned %v", r.Status), Time: r.Time, Duration: r.Duration}
	}
	switch {
	case r.Status == Healthy:
		r.Cause = ""
	case r.Cause == "":
		r.Cause = CauseFailed
	}
	for i, measured := range r.Measurements {
		if math.IsNaN(measured.Value) || math.IsInf(measured.Value, 0) {
			r.Measurements = slices.Clone(r.Measurements)
			r.Measurements[i].Text, r.Measurements[i].Value = fmt.Sprint(measured.Value), 0
		}
	}
	return r
}

// hurryParents makes the checks that e depends on due now, unless they were
// probed since, so that a failure soon has its right name. A parent that works
// all the same is left alone once it has had the time to fail.
func (m *Monitor) hurryParents(e *entry, since time.Time) {
	for _, name := range e.check.DependsOn {
		parent, ok := m.entries[name]
		if !ok || parent.index < 0 || parent.run != nil || parent.last.Time.After(since) {
			continue
		}
		if int(e.failures) > max(e.check.FailureThreshold, parent.check.FailureThreshold) {
			continue
		}
		now := time.Now()
		if !parent.again && parent.next.After(now) {
			parent.sooner = parent.next.Sub(now)
		}
		parent.next = now
		m.queue.fix(parent)
		m.wakeUp()
	}
}

// A tally counts checks by status: critical ones, and optional ones.
type tally [2][statuses]int

// overall is the status of the checks counted together: the worst of the
// critical ones, and Degraded if an optional one does not work.
func (t *tally) overall() Status {
	worst := Healthy
	for s := range Status(statuses) {
		if t[0][s] > 0 {
			worst = Worst(worst, s)
		}
		if t[1][s] > 0 && !s.OK() {
			worst = Worst(worst, Degraded)
		} else if t[1][s] > 0 {
			worst = Worst(worst, s)
		}
	}
	return worst
}

// tally adds n to the tallies in which e counts. Monitor.mu is held.
func (m *Monitor) tally(e *entry, n int) {
	optional := 0
	if e.check.Optional {
		optional = 1
	}
	for i := range m.tallies {
		if i == 0 || e.check.Groups&(1<<(i-1)) != 0 {
			m.tallies[i][optional][e.status] += n
		}
	}
}

// publishTallies makes the tallies known. Monitor.mu is held.
func (m *Monitor) publishTallies() {
	m.cached.Store(nil)
	m.serial.Add(1)
	for i := range m.tallies {
		m.status[i].Store(uint32(m.tallies[i].overall()))
	}
	if m.tallies[groups].started() {
		m.booted.Store(true)
	}
}

// started reports whether checks of the startup group prove that it has worked:
// the critical ones or, where there are none, optional ones that were looked at.
func (t *tally) started() bool {
	switch {
	case *t == (tally{}), !t.overall().OK(), t[0][Maintenance] > 0:
		return false
	case t[0] == [statuses]int{}:
		return t[1][Unknown] == 0
	}
	return true
}

// Status is the status of all checks together: the worst of the critical ones,
// or Degraded if only optional ones fail. Of no checks it is Healthy.
func (m *Monitor) Status() Status { return Status(m.status[0].Load()) }

// startupStatus is the status of the startup group as it counts: maintenance is
// no proof of having started.
func startupStatus(s Status) Status {
	if s == Maintenance {
		return Unknown
	}
	return s
}

// GroupStatus is the same for the checks of a group, or the worst of several
// groups. The status of Startup is Unknown while a check of it is in maintenance
// and has not worked yet, and stays Healthy once it was OK, since starting
// happens once.
func (m *Monitor) GroupStatus(g Group) Status {
	worst := Healthy
	for i := range groups {
		if g&(1<<i) == 0 {
			continue
		}
		status := Status(m.status[1+i].Load())
		if 1<<i == Startup {
			switch {
			case m.booted.Load():
				status = Healthy
			default:
				status = startupStatus(status)
			}
		}
		worst = Worst(worst, status)
	}
	return worst
}
