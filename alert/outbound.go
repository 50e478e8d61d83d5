package alert

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// outbound hands alerts over, those of one key in order, apart from whoever feeds: a
// handler that stores takes its time.
type outbound struct {
	to  Handler
	log *slog.Logger

	mu     *sync.Mutex
	queue  map[string][]Alert
	order  []string // the keys that wait, and are not being handed over
	busy   int
	closed bool
	wake   chan struct{}
	idle   chan struct{} // closed, and made anew, when nothing is left

	firing map[string]bool // as of the last that was put, for combined rules
}

// handing is how many alerts are handed over at the same time; they share a write.
const handing = 128

func newOutbound(to Handler, log *slog.Logger) outbound {
	return outbound{
		to: to, log: log, mu: &sync.Mutex{}, queue: make(map[string][]Alert), firing: make(map[string]bool),
		wake: make(chan struct{}, 1), idle: make(chan struct{}),
	}
}

func (o *outbound) put(a Alert) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a.State == Firing {
		o.firing[a.Key] = true
	} else {
		delete(o.firing, a.Key)
	}
	waiting, known := o.queue[a.Key]
	switch n := len(waiting); {
	case o.closed:
		return
	case !known: // an empty queue that is known is still in the hands of a worker
		o.order = append(o.order, a.Key)
	case n > 1 && waiting[n-1].State == a.State: // the first may be on its way
		waiting[n-1] = a // only the newest counts
		return
	}
	o.queue[a.Key] = append(waiting, a)
	o.nudge()
}

func (o *outbound) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbound) fires(key string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.firing[key]
}

// run hands over until ctx ends.
func (o *outbound) run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	for {
		for {
			key, ok := o.next()
			if !ok {
				break
			}
			work.Go(func() { o.hand(ctx, key) })
		}
		select {
		case <-ctx.Done():
			o.mu.Lock()
			o.closed, o.queue, o.order = true, nil, nil
			o.mu.Unlock()
			return
		case <-o.wake:
		}
	}
}

func (o *outbound) next() (key string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.order) == 0 || o.busy >= handing {
		return "", false
	}
	key, o.order = o.order[0], o.order[1:]
	o.busy++
	return key, true
}

// hand hands over what waits for a key.
func (o *outbound) hand(ctx context.Context, key string) {
	for wait := time.Second; ; {
		a, ok := o.first(ctx, key)
		if !ok {
			return
		}
		err := o.handOne(ctx, a)
		switch {
		case err == nil:
			wait = time.Second
			o.mu.Lock()
			if !o.closed {
				o.queue[key] = o.queue[key][1:]
			}
			o.mu.Unlock()
		case ctx.Err() == nil:
			o.log.Warn("alert: an alert was not taken; it is handed over again", "rule", a.Rule, "entity", a.Entity, "error", err)
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
			wait = min(2*wait, time.Minute)
		}
	}
}

// handOne hands over, and survives a handler that panics.
func (o *outbound) handOne(ctx context.Context, a Alert) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("alert: the handler panicked: %v", p)
		}
	}()
	return o.to.Handle(ctx, a)
}

// first returns what waits longest for a key. If there is nothing, the turn has ended.
func (o *outbound) first(ctx context.Context, key string) (Alert, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if waiting := o.queue[key]; len(waiting) > 0 && ctx.Err() == nil {
		return waiting[0], true
	}
	if len(o.queue[key]) == 0 {
		delete(o.queue, key)
	}
	if o.busy--; o.busy == 0 && len(o.order) == 0 {
		close(o.idle)
		o.idle = make(chan struct{})
	}
	o.nudge()
	return Alert{}, false
}

// drain waits until everything was handed over.
func (o *outbound) drain(ctx context.Context) error {
	for {
		o.mu.Lock()
		left, idle := o.busy+len(o.order), o.idle
		o.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
