package health

import (
	"container/heap"
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// An entry is a check in a Monitor. Its fields are guarded by Monitor.mu.
type entry struct {
	check    Check
	children []*entry  // those that depend on it
	run      *run      // queued, probing or hung; nil when there is none
	next     time.Time // when it is due
	index    int32     // in the queue; -1 when not in it

	found     Status // as thresholds leave it, without maintenance
	status    Status // as shown
	seen      bool   // found has been set
	failures  int32  // results in a row that failed
	successes int32  // results in a row that did not
	since     time.Time
	last      Result
}

// A run is one probe of a check, from when it is queued until its prober
// returns.
type run struct {
	entry    *entry
	base     context.Context
	cancel   context.CancelFunc // nil until it probes
	due      time.Time
	demanded bool // somebody asked for it; it was not (only) due
	probing  bool // the prober was called and has not returned
	over     bool // its result is in, or will not be taken
	gaveUp   bool // its prober hangs
	left     bool // it no longer holds a worker's place
	leased   bool // this replica holds the check
	borrowed bool // another replica does, and the result is its
	began    time.Time
	rounds   []*round // who waits for it
}

// drop makes a run end without a result. Monitor.mu is held.
func (r *run) drop() {
	if r.cancel != nil {
		r.cancel()
	}
	r.end()
	if !r.probing && r.entry.run == r {
		r.entry.run = nil // still queued: a worker skips it
	}
}

// end marks the run as over and tells who waits. Monitor.mu is held.
func (r *run) end() {
	r.over = true
	for _, waiting := range r.rounds {
		waiting.done()
	}
	r.rounds = nil
}

// A round is a caller's wait for several runs.
type round struct {
	pending  int // guarded by Monitor.mu
	finished chan struct{}
}

func (w *round) done() {
	if w.pending--; w.pending == 0 {
		close(w.finished)
	}
}

// Check probes now the checks of the given names, or all if there are none, and
// returns what was found. It works whether or not the Monitor was started. A
// check that is being probed anyway is waited for and not probed again, and one
// whose prober hangs is not waited for.
//
// When ctx ends first, Check returns what is known then, and ctx's error. The
// probes go on, so that somebody who goes away changes nothing.
func (m *Monitor) Check(ctx context.Context, names ...string) (*Report, error) {
	m.mu.Lock()
	if m.stopped {
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
			m.enqueue(&run{entry: e, base: base, due: time.Now(), demanded: true})
		}
		if !e.run.over {
			waiting.pending++
			e.run.rounds = append(e.run.rounds, waiting)
		}
	}
	waiting.done()
	m.mu.Unlock()

	select {
	case <-waiting.finished:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if !m.isStarted() {
		m.flush(base)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil && m.stopped {
		err = ErrStopped
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

func (m *Monitor) isStarted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.started
}

// schedule queues what is due, until the Monitor halts.
func (m *Monitor) schedule() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.base.Done():
			return
		case <-timer.C:
		case <-m.wake:
		}
		if wait, more := m.queueDue(time.Now()); more {
			timer.Reset(wait)
		}
	}
}

// queueDue queues the checks that are due, and returns the time until the next.
func (m *Monitor) queueDue(now time.Time) (wait time.Duration, more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.self.scheduled = now
	for !m.stopped && len(m.queue) > 0 && !m.queue[0].next.After(now) {
		e := m.queue[0]
		due := e.next
		e.next = e.after(now)
		heap.Fix(&m.queue, 0)
		switch {
		case e.run == nil:
			m.enqueue(&run{entry: e, base: m.base, due: due})
		case e.run.over: // hung: keep saying so
			m.self.skipped++
			m.record(e.run, hung(e.run))
			m.runs.Go(m.deliver)
		default:
			m.self.skipped++
		}
	}
	if len(m.queue) == 0 {
		return 0, false
	}
	return m.queue[0].next.Sub(now), true
}

// wakeUp makes the scheduler look again.
func (m *Monitor) wakeUp() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// enqueue gives the run to a worker, or has it wait for one.
func (m *Monitor) enqueue(r *run) {
	r.entry.run = r
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
	defer m.runs.Done()
	for r != nil {
		mine := m.execute(r)
		m.deliver()
		if !mine {
			return // its time was over, and another worker has taken this one's place
		}
		m.mu.Lock()
		r = m.nextReady()
		m.mu.Unlock()
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

// execute probes, and records the result unless the run is over by then. It
// reports false if the run was given up as hung before its prober returned.
func (m *Monitor) execute(r *run) bool {
	timeout := r.entry.check.Timeout
	ctx, cancel := context.WithTimeout(r.base, timeout)
	defer cancel()
	m.mu.Lock()
	if r.over {
		m.mu.Unlock()
		return true
	}
	r.began = time.Now()
	r.cancel, r.probing = cancel, true
	m.self.start(r)
	m.mu.Unlock()

	watchdog := time.AfterFunc(timeout, func() { m.overdue(r) })
	result := m.probe(ctx, r)
	watchdog.Stop()
	recorded, mine := m.finish(ctx, r, result)
	if recorded && r.leased {
		m.publish(r, result)
	}
	return mine
}

// finish records the result of a run whose prober has returned, unless the run
// is over. It reports whether it did, and whether the worker is still in its
// place.
func (m *Monitor) finish(ctx context.Context, r *run, result Result) (recorded, mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.probing = false
	if r.entry.run == r {
		r.entry.run = nil
	}
	if r.gaveUp {
		m.self.hung--
		return false, false
	}
	old := r.borrowed && !result.Time.After(r.entry.last.Time)
	if !r.over && !old && ctx.Err() != context.Canceled {
		m.record(r, result)
		recorded = true
	}
	r.end()
	return recorded, !r.left
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
	r.end()
	m.mu.Unlock()
	m.logger.WarnContext(r.base, "health: a prober ignores its context and is left alone until it returns", "check", r.entry.check.Name)
	m.deliver()
}

func hung(r *run) Result {
	return Result{
		Status:   Unhealthy,
		Cause:    CauseHung,
		Message:  fmt.Sprintf("the probe has run since %s, did not end at its timeout of %v, and cannot be repeated before it ends", r.began.Format(time.TimeOnly), r.entry.check.Timeout),
		Duration: time.Since(r.began),
	}
}

// probe asks the prober, or takes over what another replica has found.
func (m *Monitor) probe(ctx context.Context, r *run) (result Result) {
	if m.cfg.Lease != nil && !r.demanded {
		if result := m.borrow(ctx, r); r.borrowed {
			return result
		}
	}
	defer func() {
		if p := recover(); p != nil {
			m.logger.ErrorContext(ctx, "health: a prober panicked", "check", r.entry.check.Name, "panic", p, "stack", string(debug.Stack()))
			result = Result{Status: Unhealthy, Cause: CausePanic, Message: fmt.Sprintf("the prober panicked: %v", p)}
		}
		if result.Time.IsZero() {
			result.Time = r.began
		}
		took := time.Since(r.began)
		if result.Duration <= 0 {
			result.Duration = took
		}
		if timeout := r.entry.check.Timeout; took > timeout && result.Status.OK() {
			result = result.Worsen(Unhealthy, CauseTimeout, fmt.Sprintf("answered only after its timeout of %v", timeout))
		}
	}()
	return r.entry.check.Prober.Probe(ctx)
}

// phase returns the stable place of the entry within a time span.
func (e *entry) phase(span time.Duration) time.Duration {
	const offset, prime = 14695981039346656037, 1099511628211
	hash := uint64(offset) // FNV-1a, which the name alone decides
	for i := range len(e.check.Name) {
		hash = (hash ^ uint64(e.check.Name[i])) * prime
	}
	hash ^= hash >> 29 // spread the low bits, which FNV leaves uneven
	hash *= 0xbf58476d1ce4e5b9
	hash ^= hash >> 32
	return time.Duration(hash % uint64(max(span, 1)))
}

// after returns when the entry is next due after now: at its phase in its
// interval, counted on the wall clock so that every start and every replica
// agrees, and at least half an interval away, so that a wall clock that was set
// does not make it run twice.
func (e *entry) after(now time.Time) time.Time {
	interval := e.check.Interval
	since := time.Duration((now.UnixNano() - int64(e.phase(interval))) % int64(interval))
	wait := interval - since
	if wait < interval/2 {
		wait += interval
	}
	return now.Add(wait)
}

// A dueQueue is a heap of entries by the time when they are due.
type dueQueue []*entry

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].next.Before(q[j].next) }
func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = int32(i), int32(j)
}

// fix restores the order after e.next was changed.
func (q *dueQueue) fix(e *entry) { heap.Fix(q, int(e.index)) }

// Push implements [heap.Interface].
func (q *dueQueue) Push(x any) {
	e := x.(*entry)
	e.index = int32(len(*q))
	*q = append(*q, e)
}

// Pop implements [heap.Interface].
func (q *dueQueue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.index = -1
	return e
}
