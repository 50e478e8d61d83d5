package health

import (
	"context"
	"slices"
	"time"
)

// A Transition is a change of the status of a check, or of why it fails.
type Transition struct {
	// State is the state of the check after the change. Where State.Borrowed is
	// set, another replica has told its own hooks and subscribers as well.
	State State
	// From is the status before, which had held since FromSince. FromSince is
	// zero if the check had no status before. From equals State.Status where
	// only State.BlockedBy has changed: a check that failed because of another
	// now fails by itself, or the other way round.
	From      Status
	FromSince time.Time
	// Affected are the checks that depend on this one, directly or not, and
	// fail at the moment of the change.
	Affected []string
	// Removed says that the check was removed. State is its last.
	Removed bool
	// Missed is how many transitions before this one a subscriber did not get,
	// because it was too slow. It is zero in hooks.
	Missed int
}

// eventsWaiting is how many events are kept behind a hook that does not return.
const eventsWaiting = 10_000

// hookPatience is how long a hook may run before the Monitor counts as broken.
const hookPatience = time.Minute

// An event is something to be told to hooks and subscribers.
type event struct {
	base       context.Context // nil: that of the latest run
	state      State
	result     bool
	transition *Transition
}

// emit tells subscribers, and has hooks told. Monitor.mu is held.
func (m *Monitor) emit(ev event) {
	if m.stopped {
		return
	}
	if ev.transition != nil {
		ev.transition.State = ev.state
		for sub := range m.subs {
			sub.send(*ev.transition)
		}
	}
	hooks := m.cfg.Hooks
	if (ev.transition == nil || hooks.OnTransition == nil) && (!ev.result || hooks.OnResult == nil) {
		return
	}
	if ev.base == nil {
		ev.base = m.anyBase
	}
	if ev.base == nil {
		return // nothing was probed yet, so nobody has heard of the check
	}
	if len(m.events) >= eventsWaiting {
		m.self.eventsLost++
		return
	}
	m.events = append(m.events, ev)
	if !m.delivers {
		m.delivers = true
		m.runs.Add(1)
		go m.deliver()
	}
}

// deliver calls hooks with the events that wait, in order and without a lock,
// until there are none.
func (m *Monitor) deliver() {
	all := false
	defer func() {
		if !all { // a hook has ended the goroutine
			m.runs.Add(1)
			go m.deliver()
		}
		m.runs.Done()
	}()
	for ev, ok := m.nextEvent(); ok; ev, ok = m.nextEvent() {
		m.callHooks(ev)
	}
	all = true
}

// nextEvent returns the event that has waited longest. If there is none, nobody
// delivers events any more.
func (m *Monitor) nextEvent() (event, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.events) == 0 {
		m.events, m.delivers, m.telling = nil, false, time.Time{}
		return event{}, false
	}
	ev := m.events[0]
	m.events[0] = event{}
	m.events = m.events[1:]
	m.telling = time.Now()
	return ev, true
}

func (m *Monitor) callHooks(ev event) {
	ctx := context.WithoutCancel(ev.base)
	// Deferred, so that it is called even if the first hook ends the goroutine.
	defer m.callHook(ctx, ev, func() {
		if ev.transition != nil && m.cfg.Hooks.OnTransition != nil {
			m.cfg.Hooks.OnTransition(ctx, *ev.transition)
		}
	})
	m.callHook(ctx, ev, func() {
		if ev.result && m.cfg.Hooks.OnResult != nil {
			m.cfg.Hooks.OnResult(ctx, ev.state)
		}
	})
}

func (m *Monitor) callHook(ctx context.Context, ev event, hook func()) {
	defer func() {
		if p := recover(); p != nil {
			m.logger.ErrorContext(ctx, "health: a hook panicked", "check", ev.state.Name, "panic", p)
		}
	}()
	hook()
}

// blockers returns the failing checks that depend on e, with what blocks each
// now. It is nil in most cases, since most checks have no dependents.
func (m *Monitor) blockers(e *entry) map[*entry]string {
	if len(e.children) == 0 {
		return nil
	}
	before := make(map[*entry]string)
	dependents(e, func(child *entry) {
		if child.fails() {
			before[child] = m.blocker(child)
		}
	})
	return before
}

// emitUnblocked tells of the checks depending on e that another one blocks than
// before, or none. Monitor.mu is held.
func (m *Monitor) emitUnblocked(e *entry, before map[*entry]string) {
	if len(before) == 0 {
		return
	}
	dependents(e, func(child *entry) {
		if was, ok := before[child]; ok && m.blocker(child) != was {
			m.cached.Store(nil)
			m.serial.Add(1)
			m.emit(event{state: m.state(child), transition: &Transition{From: child.status, FromSince: child.since}})
		}
	})
}

// dependents calls f with each check that depends on e, directly or not, once.
func dependents(e *entry, f func(*entry)) {
	seen := make(map[*entry]bool)
	var visit func(*entry)
	visit = func(parent *entry) {
		for _, child := range parent.children {
			if !seen[child] {
				seen[child] = true
				f(child)
				visit(child)
			}
		}
	}
	visit(e)
}

// affected returns the failing checks that depend on e, directly or not, if e
// is down. Monitor.mu is held.
func affected(e *entry) []string {
	if !e.blocks() || len(e.children) == 0 {
		return nil
	}
	var names []string
	dependents(e, func(child *entry) {
		if child.fails() {
			names = append(names, child.check.Name)
		}
	})
	return slices.Clip(names)
}

// A subscription is a subscriber's channel. Monitor.mu guards it.
type subscription struct {
	ch     chan Transition
	missed int
	forget func() bool // no longer waits for the end of the subscriber's context
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

func (s *subscription) close() {
	close(s.ch)
	s.forget()
}

// Subscribe returns a channel of the transitions from now on, until ctx ends or
// the Monitor stops; then it is closed. The channel holds as many as buffer
// says, at least one; when the subscriber is slower, the oldest is dropped, and
// the newest says how many it missed.
func (m *Monitor) Subscribe(ctx context.Context, buffer int) <-chan Transition {
	sub := &subscription{ch: make(chan Transition, max(buffer, 1)), forget: func() bool { return true }}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		sub.close()
		return sub.ch
	}
	m.subs[sub] = struct{}{}
	sub.forget = context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if _, ok := m.subs[sub]; ok {
			delete(m.subs, sub)
			sub.close()
		}
	})
	return sub.ch
}
