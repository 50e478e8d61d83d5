package health

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// A Transition is a change of the status of a check.
type Transition struct {
	// State is the state of the check after the change.
	State State
	// From is the status before, which had held since FromSince. FromSince is
	// zero if the check had no status before.
	From      Status
	FromSince time.Time
	// Affected are the checks that depend on this one, directly or not, and
	// fail at the moment of the change.
	Affected []string
	// Missed is how many transitions before this one a subscriber did not get,
	// because it was too slow. It is zero in hooks.
	Missed int
}

// record takes in a result: in constant time, whatever the number of checks.
// Monitor.mu is held.
func (m *Monitor) record(r *run, result Result) {
	e := r.entry
	if result.Time.IsZero() {
		result.Time = time.Now()
	}
	result = e.check.Latency.Apply(sanitize(result))
	e.last = result
	e.judge(result.Status)
	m.self.last = time.Now()
	status := e.found
	if m.inMaintenance(e, result.Time) {
		status = Maintenance
	}
	from, fromSince := e.status, e.since
	if status != from || e.since.IsZero() {
		m.tally(e, -1)
		e.status, e.since = status, result.Time
		m.tally(e, +1)
		m.publishTallies(status != from)
	}
	m.cached.Store(nil)
	if m.cfg.History != nil && !r.borrowed {
		m.keep(e)
	}
	if !e.found.OK() && e.failures == 1 {
		m.hurryParents(e, r.began)
	}
	m.emit(r, e, from, fromSince)
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

func (m *Monitor) inMaintenance(e *entry, t time.Time) bool {
	contains := func(w Window) bool { return w.Contains(t) }
	return slices.ContainsFunc(m.cfg.Maintenance, contains) || slices.ContainsFunc(e.check.Maintenance, contains)
}

// hurryParents makes the checks that e depends on due now, unless they were
// probed since, so that a failure soon has its right name.
func (m *Monitor) hurryParents(e *entry, since time.Time) {
	for _, name := range e.check.DependsOn {
		parent, ok := m.entries[name]
		if !ok || parent.index < 0 || parent.run != nil || parent.last.Time.After(since) {
			continue
		}
		parent.next = time.Now()
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

// publishTallies makes the tallies known. changed says that the status of a
// check, or the set of checks, is another than before. Monitor.mu is held.
func (m *Monitor) publishTallies(changed bool) {
	m.cached.Store(nil)
	for i := range m.tallies {
		m.status[i].Store(uint32(m.tallies[i].overall()))
	}
	if startup := m.tallies[groups]; startup != (tally{}) && startup.overall().OK() {
		m.booted.Store(true)
	}
	if changed {
		m.serial.Add(1)
	}
}

// Status is the status of all checks together: the worst of the critical ones,
// or Degraded if only optional ones fail. Of no checks it is Healthy.
func (m *Monitor) Status() Status { return Status(m.status[0].Load()) }

// GroupStatus is the same for the checks of one group. The status of Startup
// stays Healthy once it was OK, since starting happens once.
func (m *Monitor) GroupStatus(g Group) Status {
	switch g {
	case Liveness:
		return Status(m.status[1].Load())
	case Readiness:
		return Status(m.status[2].Load())
	case Startup:
		if m.booted.Load() {
			return Healthy
		}
		return Status(m.status[3].Load())
	}
	return Unknown
}

// An event is something to be told to hooks and subscribers.
type event struct {
	ctx        context.Context
	state      State
	transition *Transition
}

// emit notes what happened for deliver. Monitor.mu is held.
func (m *Monitor) emit(r *run, e *entry, from Status, since time.Time) {
	moved := e.status != from && (m.cfg.Hooks.OnTransition != nil || len(m.subs) > 0)
	if !moved && m.cfg.Hooks.OnResult == nil {
		return
	}
	ev := event{ctx: context.WithoutCancel(r.base), state: m.state(e)}
	if moved {
		ev.transition = &Transition{State: ev.state, From: from, FromSince: since, Affected: affected(e)}
	}
	m.events = append(m.events, ev)
}

// deliver calls hooks and subscribers with the events noted, in order and
// without a lock. If somebody else is at it, it leaves the rest to them.
func (m *Monitor) deliver() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.draining {
		return
	}
	m.draining = true
	for len(m.events) > 0 {
		ev := m.events[0]
		m.events = m.events[1:]
		if ev.transition != nil {
			for sub := range m.subs {
				sub.send(*ev.transition)
			}
		}
		m.mu.Unlock()
		m.callHooks(ev)
		m.mu.Lock()
	}
	m.events = nil
	m.draining = false
}

func (m *Monitor) callHooks(ev event) {
	defer func() {
		if p := recover(); p != nil {
			m.logger.ErrorContext(ev.ctx, "health: a hook panicked", "check", ev.state.Name, "panic", p)
		}
	}()
	if m.cfg.Hooks.OnResult != nil {
		m.cfg.Hooks.OnResult(ev.ctx, ev.state)
	}
	if ev.transition != nil && m.cfg.Hooks.OnTransition != nil {
		m.cfg.Hooks.OnTransition(ev.ctx, *ev.transition)
	}
}

// A subscription is a subscriber's channel. Monitor.mu guards it.
type subscription struct {
	ch     chan Transition
	missed int
}

// send puts t into the channel, in place of the oldest if it is full.
func (s *subscription) send(t Transition) {
	for {
		t.Missed = s.missed
		select {
		case s.ch <- t:
			s.missed = 0
			return
		default:
		}
		select {
		case old := <-s.ch:
			s.missed += 1 + old.Missed
		default:
		}
	}
}

func (s *subscription) close() { close(s.ch) }

// Subscribe returns a channel of the transitions from now on, until ctx ends or
// the Monitor stops; then it is closed. The channel holds as many as buffer
// says, at least one; when the subscriber is slower, the oldest is dropped, and
// the next that it gets says how many it missed.
func (m *Monitor) Subscribe(ctx context.Context, buffer int) <-chan Transition {
	sub := &subscription{ch: make(chan Transition, max(buffer, 1))}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		sub.close()
		return sub.ch
	}
	m.subs[sub] = struct{}{}
	context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if _, ok := m.subs[sub]; ok {
			delete(m.subs, sub)
			sub.close()
		}
	})
	return sub.ch
}
