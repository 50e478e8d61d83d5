package alert

import (
	"container/heap"
	"context"
	"errors"
	"time"
)

// schedule makes sure that a thread is looked at, at the latest at a moment.
func (r *Router) schedule(th *thread, at time.Time) {
	if th.next.IsZero() {
		th.next = at
		heap.Push(&r.due, th)
	} else if at.Before(th.next) {
		th.next = at
		heap.Fix(&r.due, th.index)
	} else {
		return // it is looked at before
	}
	if th.index == 0 {
		r.nudge() // or the router wakes for another one, and looks at this one too
	}
}

// nudge makes the router look.
func (r *Router) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// dueHeap has the threads by when they are to be looked at.
type dueHeap []*thread

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].next.Before(h[j].next) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *dueHeap) Push(x any) {
	th := x.(*thread)
	th.index = len(*h)
	*h = append(*h, th)
}

func (h *dueHeap) Pop() any {
	old := *h
	th := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	th.index, th.next = -1, time.Time{}
	return th
}

// run is the one goroutine that decides. Messages are sent by goroutines of their own.
func (r *Router) run(life, sending context.Context) {
	defer close(r.stopped)
	defer r.cut()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-life.Done():
			r.finish(life, sending)
			return
		case <-r.wake:
		case <-timer.C:
		}
		next, err := r.pass(life, sending)
		if errors.Is(err, ErrNotOwner) {
			r.cfg.Logger.Warn("alert: another program has taken over the store; this one stops to send")
			r.end(err)
			r.await(sending)
			return
		}
		if !next.IsZero() {
			timer.Reset(max(0, time.Until(next)))
		}
	}
}

// pass does what is due: looks at threads, writes what changed, and sends. It returns
// when there is more to do.
func (r *Router) pass(life, sending context.Context) (next time.Time, err error) {
	r.mu.Lock()
	now := time.Now()
	r.silenceNotices(now)
	if r.lookMuted {
		r.lookMuted = false
		for _, th := range r.threads {
			if th.muted {
				r.schedule(th, now)
			}
		}
	}
	for len(r.due) > 0 && !r.due[0].next.After(now) {
		r.look(heap.Pop(&r.due).(*thread), now)
	}
	soonest := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	var list []launch
	held := r.outage.holds(now)
	if !held {
		var more time.Time
		list, more = r.launches(now)
		soonest(more)
	}
	if len(r.due) > 0 {
		soonest(r.due[0].next)
	}
	soonest(r.nextSilence())
	var records []Record
	var waiting []chan error
	if r.outage.again.After(now) {
		soonest(r.outage.again)
	} else {
		records, waiting = r.takeDirty()
	}
	r.mu.Unlock()
	err = r.write(life, records, waiting)
	if errors.Is(err, ErrNotOwner) || r.outage.holds(time.Now()) {
		// That it is sent must be known after a crash: what is not written is not sent.
		r.unlaunch(list, now)
		soonest(r.outage.since.Add(storePatience))
		return next, err
	}
	if held {
		next = now // what waited for the store is sent now
	}
	for _, l := range list {
		r.sends.Go(func() { r.send(sending, l) })
	}
	return next, nil
}

// An outage is how the store fails. It belongs to the goroutine that decides.
type outage struct {
	since    time.Time // zero if it does not fail
	failures int
	again    time.Time // when to try again
}

// storePatience is how long messages wait for a store that fails. Then they are sent all the
// same: it is better to be told twice, if the program is killed as well, than not at all,
// and the database that fails may be what the message is about.
const storePatience = 10 * time.Second

func (o *outage) holds(now time.Time) bool {
	return !o.since.IsZero() && now.Sub(o.since) < storePatience
}

// limit is how long a write may take. While the store fails it is less than the time to
// the next one, so that messages are not held up by writes that hang.
func (o *outage) limit() time.Duration {
	if o.failures == 0 {
		return storePatience
	}
	return o.wait() / 2
}

func (o *outage) wait() time.Duration { return min(time.Second<<min(o.failures, 6), time.Minute) }

// wrote takes note of how a write went, and when it began.
func (o *outage) wrote(err error, began, now time.Time) {
	if err == nil {
		*o = outage{}
		return
	}
	if o.since.IsZero() {
		o.since = began
	}
	o.again = now.Add(o.wait())
	o.failures++
}

// finish writes what was decided, waits for what is on its way, and writes how it went.
func (r *Router) finish(life, sending context.Context) {
	r.end(ErrStopped)
	flush := func() {
		r.mu.Lock()
		records, waiting := r.takeDirty()
		r.mu.Unlock()
		_ = r.write(life, records, waiting) // which logs it
	}
	flush()
	r.await(sending)
	flush()
}

// await waits for what is on its way. When that was cut off, it waits for a moment more.
func (r *Router) await(sending context.Context) {
	done := make(chan struct{})
	go func() { r.sends.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-sending.Done():
	}
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C: // a notifier does not heed its context
	}
}

// stopGrace is how long notifiers have to return when they are cut off.
const stopGrace = time.Second

// end makes the router accept nothing any more.
func (r *Router) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = err
	if !errors.Is(err, ErrNotOwner) {
		return
	}
	for _, w := range r.waiting {
		w <- err
	}
	r.waiting = nil
}
