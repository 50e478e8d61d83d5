package health

import (
	"container/heap"
	"time"
)

// An entry is a check in a Monitor. Its fields are guarded by Monitor.mu.
type entry struct {
	check    Check
	children []*entry  // those that depend on it
	run      *run      // queued, probing or hung; nil when there is none
	next     time.Time // when it is due
	index    int32     // in the queue; -1 when not in it

	failures   int32  // results in a row that failed
	successes  int32  // results in a row that did not
	found      Status // as thresholds leave it, without maintenance
	status     Status // as shown
	seen       bool   // found has been set
	maintained bool   // a window is open
	borrowed   bool   // the last result is another replica's
	again      bool   // next is for asking the lease once more
	since      time.Time
	last       Result
	lent       int64 // Unix nanoseconds of the result borrowed last, by its finder's clock
	lentAt     int64 // Unix nanoseconds of when it came, by ours
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
		timer.Reset(m.queueDue(time.Now()))
	}
}

// queueDue queues the checks that are due, and returns the time until it is to
// be called again.
func (m *Monitor) queueDue(now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.isStopped() {
		return time.Hour
	}
	if !m.edge.IsZero() && !now.Before(m.edge) {
		m.reviewWindows(now)
	}
	for len(m.queue) > 0 && !m.queue[0].next.After(now) {
		e := m.queue[0]
		due, again := e.next, e.again
		e.next, e.again = e.after(now), false
		m.queue.fix(e)
		switch {
		case e.run == nil:
			m.enqueue(&run{entry: e, base: m.base, due: due, again: again})
		case e.run.gaveUp: // keep saying so
			m.self.skipped++
			m.record(e.run, hung(e.run))
		default:
			m.self.skipped++
		}
	}
	next := m.edge
	if len(m.queue) > 0 {
		next = firstOf(next, m.queue[0].next)
	}
	if next.IsZero() {
		return time.Hour
	}
	return next.Sub(now)
}

// wakeUp makes the scheduler look again.
func (m *Monitor) wakeUp() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
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
