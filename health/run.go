package health

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// A run is one probe of a check, from when it is queued until its prober
// returns. Its fields are guarded by Monitor.mu once it is queued.
type run struct {
	entry    *entry
	base     context.Context
	cancel   context.CancelFunc // nil until it probes
	due      time.Time
	began    time.Time
	rounds   []*round // who waits for it
	demanded bool     // somebody asked for it; it was not (only) due
	again    bool     // it asks the lease once more in the same interval
	probing  bool     // the prober was called and has not returned
	over     bool     // its result is in, or will not be taken
	gaveUp   bool     // its prober hangs
	left     bool     // it no longer holds a worker's place
	leased   bool     // this replica holds the check
	borrowed bool     // another replica does, and the result is its

	unplanned bool // it is beside the schedule
}

// drop makes a run end without a result. Monitor.mu is held.
func (r *run) drop(err error) {
	if r.cancel != nil {
		r.cancel()
	}
	r.end(err)
	if !r.probing && r.entry.run == r {
		r.entry.run = nil // still queued: a worker skips it
	}
}

// end marks the run as over and tells who waits. Monitor.mu is held.
func (r *run) end(err error) {
	r.over = true
	for _, waiting := range r.rounds {
		waiting.done(err)
	}
	r.rounds = nil
}

// A round is a caller's wait for several runs.
type round struct {
	pending  int   // guarded by Monitor.mu
	err      error // the first; guarded by Monitor.mu
	finished chan struct{}
}

func (w *round) done(err error) {
	if w.err == nil {
		w.err = err
	}
	if w.pending--; w.pending == 0 {
		close(w.finished)
	}
}

// Check probes now the checks of the given names, or all if there are none, and
// returns what was found. It works whether or not the Monitor was started, and
// asks no lease. A check that is being probed anyway is waited for and not
// probed again, so that its result can be of a probe that began before the
// call: State.Last.Time tells. One whose prober hangs is not waited for.
//
// When ctx ends first, Check returns what is known then, and ctx's error. The
// probes go on, so that somebody who goes away changes nothing. The error is
// ErrStopped or ErrNoCheck if the Monitor was stopped, or a check removed, before
// its probe had ended.
func (m *Monitor) Check(ctx context.Context, names ...string) (*Report, error) {
	m.mu.Lock()
	if m.isStopped() {
		m.mu.Unlock()
		return nil, ErrStopped
	}
	chosen, err := m.choose(names)
	if err != nil {
		m.mu.Unlock()
		return nil, err
	}
	waiting := &round{finished: make(chan struct{}), pending: 1}
	base := context.WithoutCancel(ctx)
	for _, e := range chosen {
		if e.run == nil {
			m.enqueue(&run{entry: e, base: base, due: time.Now(), unplanned: m.started})
		}
		if e.run.over {
			continue // it hangs
		}
		e.run.demanded = true
		e.run.rounds = append(e.run.rounds, waiting)
		waiting.pending++
	}
	waiting.done(nil)
	started := m.started
	m.mu.Unlock()

	select {
	case <-waiting.finished:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if !started && ctx.Err() == nil {
		_ = m.flush(ctx) // Self tells
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		err = waiting.err
	}
	return m.report(chosen), err
}

// choose returns the entries of the given names, or all.
func (m *Monitor) choose(names []string) ([]*entry, error) {
	if len(names) == 0 {
		return append([]*entry(nil), m.order...), nil
	}
	chosen := make([]*entry, 0, len(names))
	for _, name := range names {
		e, ok := m.entries[name]
		if !ok {
			return nil, fmt.Errorf("%w: %q", ErrNoCheck, name)
		}
		chosen = append(chosen, e)
	}
	return chosen, nil
}

// enqueue gives the run to a worker, or has it wait for one.
func (m *Monitor) enqueue(r *run) {
	r.entry.run, m.anyBase = r, r.base
	if m.active >= m.cfg.Workers {
		m.ready = append(m.ready, r)
		return
	}
	m.active++
	m.runs.Add(1)
	go m.work(r)
}

// work executes r, and then what is ready, until nothing is.
func (m *Monitor) work(r *run) {
	defer func() {
		if r != nil {
			m.abandon(r)
		}
		m.runs.Done()
	}()
	for r != nil {
		if !m.execute(r) {
			r = nil
			return // its time was over, and another worker has taken this one's place
		}
		m.mu.Lock()
		r = m.nextReady()
		m.mu.Unlock()
	}
}

// abandon cleans up after a prober or a lease that has ended the goroutine of its
// worker, as t.FailNow does.
func (m *Monitor) abandon(r *run) {
	m.mu.Lock()
	probing := r.probing
	m.mu.Unlock()
	if probing {
		m.finish(r, Result{Status: Unhealthy, Cause: CausePanic, Message: "the prober ended its goroutine", Duration: time.Since(r.began)})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.left {
		return
	}
	if next := m.nextReady(); next != nil {
		m.runs.Add(1)
		go m.work(next)
	}
}

// nextReady returns the run that has waited longest, or nil, and then there is
// one worker less.
func (m *Monitor) nextReady() *run {
	for len(m.ready) > 0 {
		r := m.ready[0]
		m.ready[0] = nil
		m.ready = m.ready[1:]
		if !r.over {
			return r
		}
	}
	m.ready = nil
	m.active--
	return nil
}

// execute probes, or takes over what another replica has found, and records the
// result unless the run is over by then. It reports whether the worker still has
// its place.
func (m *Monitor) execute(r *run) bool {
	if m.cfg.Lease != nil && m.borrow(r) {
		return true
	}
	ctx, cancel := context.WithTimeout(r.base, r.entry.check.Timeout)
	defer cancel()
	m.mu.Lock()
	if r.over || isOver(r.base) { // Monitor.close tells who waits
		m.mu.Unlock()
		return true
	}
	r.began = time.Now()
	r.cancel, r.probing = cancel, true
	m.probing[r] = struct{}{}
	m.self.start(r)
	m.mu.Unlock()

	watchdog := time.AfterFunc(r.entry.check.Timeout, func() { m.overdue(r) })
	result := m.probe(ctx, r)
	watchdog.Stop()
	recorded, mine := m.finish(r, result)
	if recorded && r.leased {
		m.publish(r, sanitize(result))
	}
	return mine
}

// finish records the result of a run whose prober has returned, unless the run
// is over. It reports whether it did, and whether the worker is still in its
// place.
func (m *Monitor) finish(r *run, result Result) (recorded, mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.probing = false
	delete(m.probing, r)
	if r.entry.run == r {
		r.entry.run = nil
	}
	switch {
	case r.gaveUp:
		m.self.hung--
		return false, false
	case r.over:
	case isOver(r.base): // that of Start: nothing can be said of the check
		r.end(ErrStopped)
	default:
		m.record(r, result)
		r.end(nil)
		recorded = true
	}
	return recorded, !r.left
}

// isOver reports whether ctx has ended, or is about to since its deadline has
// passed.
func isOver(ctx context.Context) bool {
	if ctx.Err() != nil {
		return true
	}
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

// leave lets another worker take the place of the one that r holds up.
// Monitor.mu is held.
func (m *Monitor) leave(r *run) {
	if !r.probing || r.left {
		return
	}
	r.left = true
	if next := m.nextReady(); next != nil {
		m.runs.Add(1)
		go m.work(next)
	}
}

// overdue lets a run whose time is over no longer hold up others, and gives its
// prober a moment to return.
func (m *Monitor) overdue(r *run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leave(r)
	if r.probing && !r.over {
		time.AfterFunc(hungAfter, func() { m.giveUp(r) })
	}
}

// giveUp records that the prober ignores its context. The check is not probed
// again before its prober has returned.
func (m *Monitor) giveUp(r *run) {
	m.mu.Lock()
	if r.over || !r.probing {
		m.mu.Unlock()
		return
	}
	r.gaveUp = true
	m.self.hung++
	m.record(r, hung(r))
	r.end(nil)
	m.mu.Unlock()
	m.logger.WarnContext(r.base, "health: a prober ignores its context and is left alone until it returns", "check", r.entry.check.Name)
}

func hung(r *run) Result {
	return Result{
		Status:   Unhealthy,
		Cause:    CauseHung,
		Message:  fmt.Sprintf("the probe has run since %s, did not end at its timeout of %v, and cannot be repeated before it ends", r.began.Format(time.TimeOnly), r.entry.check.Timeout),
		Duration: time.Since(r.began),
	}
}

// probe asks the prober.
func (m *Monitor) probe(ctx context.Context, r *run) (result Result) {
	defer func() {
		if p := recover(); p != nil {
			m.logger.ErrorContext(ctx, "health: a prober panicked", "check", r.entry.check.Name, "panic", p, "stack", string(debug.Stack()))
			result = Result{Status: Unhealthy, Cause: CausePanic, Message: fmt.Sprintf("the prober panicked: %v", p)}
		}
		if now := time.Now(); result.Time.IsZero() || result.Time.After(now) {
			result.Time = r.began
		}
		took := time.Since(r.began)
		if result.Duration <= 0 {
			result.Duration = took
		}
		if timeout := r.entry.check.Timeout; took > timeout && (result.Status == Healthy || result.Status == Degraded) {
			result = result.Worsen(Unhealthy, CauseTimeout, fmt.Sprintf("answered only after its timeout of %v", timeout))
		}
	}()
	return r.entry.check.Prober.Probe(ctx)
}

// guard calls a function of the host, and returns its panic as an error.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
	}()
	return f()
}
