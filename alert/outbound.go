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
	queue  map[string]*backlog // by key
	order  []string            // the keys that wait for a place
	places int                 // that are taken
	closed bool
	wake   chan struct{}
	idle   chan struct{} // closed, and made anew, when nothing is left

	firing map[string]bool // as of the last that was put, for combined rules
}

// backlog is what of one key was not handed over. The first may be on its way.
type backlog struct {
	alerts []Alert
	wait   time.Duration // until the first is handed over again; zero if it was not refused
}

const (
	// handing is how many alerts are handed over at the same time; they share a write.
	handing = 128
	// prompt is for how long a call keeps its place. One that takes longer waits for
	// something, such as a store that is down, and holds up no other: a router has the
	// alert already, and tells of it in time. So 1280 alerts in a second get through to a
	// handler that does not return; each costs 8 KB while it waits.
	prompt = 100 * time.Millisecond
)

func newOutbound(to Handler, log *slog.Logger) outbound {
	return outbound{
		to: to, log: log, mu: &sync.Mutex{}, queue: make(map[string]*backlog), firing: make(map[string]bool),
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
	if o.closed {
		return
	}
	b := o.queue[a.Key]
	if b == nil {
		o.queue[a.Key] = &backlog{alerts: []Alert{a}}
		o.stand(a.Key)
		return
	}
	if n := len(b.alerts); n > 1 && b.alerts[n-1].State == a.State {
		b.alerts[n-1] = a // only the newest counts
		return
	}
	b.alerts = append(b.alerts, a)
}

// stand lets a key wait for a place. The lock is held.
func (o *outbound) stand(key string) {
	o.order = append(o.order, key)
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
			a, ok := o.next()
			if !ok {
				break
			}
			work.Go(func() { o.hand(ctx, a) })
		}
		select {
		case <-ctx.Done():
			o.mu.Lock()
			o.closed, o.queue, o.order = true, nil, nil
			o.nothingLeft()
			o.mu.Unlock()
			return
		case <-o.wake:
		}
	}
}

// next gives a place to the first key that waits, and returns its first alert.
func (o *outbound) next() (a Alert, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.order) == 0 || o.places >= handing {
		return Alert{}, false
	}
	var key string
	key, o.order = o.order[0], o.order[1:]
	o.places++
	return o.queue[key].alerts[0], true
}

// leave gives a place back.
func (o *outbound) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.places--
	o.nudge()
}

// hand hands an alert over, and what else waits for its key, while each call is prompt.
func (o *outbound) hand(ctx context.Context, a Alert) {
	for more := true; more; {
		late := time.AfterFunc(prompt, o.leave)
		err := o.handOne(ctx, a)
		inPlace := late.Stop()
		if err != nil && ctx.Err() == nil {
			o.log.Warn("alert: an alert was not taken; it is handed over again", "rule", a.Rule, "entity", a.Entity, "error", err)
		}
		a, more = o.handed(a, err, inPlace)
	}
}

// handed takes note of how a call went, and returns what is handed over next in its place.
func (o *outbound) handed(a Alert, err error, inPlace bool) (next Alert, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.queue[a.Key]
	switch {
	case o.closed:
	case err != nil:
		b.wait = min(max(2*b.wait, time.Second), time.Minute)
		time.AfterFunc(b.wait, func() { o.again(a.Key) })
	default:
		b.wait, b.alerts = 0, b.alerts[1:]
		switch {
		case len(b.alerts) > 0 && inPlace:
			return b.alerts[0], true
		case len(b.alerts) > 0:
			o.stand(a.Key)
		default:
			if delete(o.queue, a.Key); len(o.queue) == 0 {
				o.nothingLeft()
			}
		}
	}
	if inPlace {
		o.places--
		o.nudge()
	}
	return Alert{}, false
}

// nothingLeft wakes those who wait for that. The lock is held.
func (o *outbound) nothingLeft() {
	close(o.idle)
	o.idle = make(chan struct{})
}

// again lets a key that was refused wait for a place.
func (o *outbound) again(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.stand(key)
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

// drain waits until everything was handed over.
func (o *outbound) drain(ctx context.Context) error {
	for {
		o.mu.Lock()
		left, idle := len(o.queue), o.idle
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
