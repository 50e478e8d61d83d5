package health

import (
	"container/heap"
	"time"
)

// An entry is a check in a Monitor. Its fields are guarded by Monitor.mu.
type entry struct {
	check    Check
	children []*entry      // those that depend on it
	run      *run          // queued, probing or hung; nil when there is none
	next     time.Time     // when it is due
	sooner   time.Duration // by how much next is earlier than planned; zero: it is as planned
	index    int32         // in the queue; -1 when not in it

	failures   int32  // results in a row that failed
	successes  int32  // results in a row that did not
	found      Status // as thresholds leave it, without maintenance
	status     Status // as shown
	seen       bool   // found has been set
	maintained bool   // a window is open
	borrowed   bool   // the last result is another replica's
	unplanned  bool   // the last result is of a probe beside the schedule
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
		due, again, sooner := e.next, e.again, e.sooner
		e.next, e.again, e.sooner = e.after(now), false, 0
		m.queue.fix(e)
		// A hurried one stands for the planned one if that is left out because of it.
		unplanned := sooner > 0 && e.next.Sub(due.Add(sooner)) < e.check.Interval/2
		if e.run == nil {
			m.enqueue(&run{entry: e, base: m.base, due: due, again: again, unplanned: unplanned})
			continue
		}
		m.self.skipped++
		e.run.unplanned = e.run.unplanned && unplanned // it stands for this one
		if e.run.gaveUp {                              // keep saying so
			m.record(e.run, hung(e.run))
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
