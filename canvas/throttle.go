package canvas

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"go.acu.edu.au/runbook"
)

// Priority says who goes first when requests wait for the bucket.
type Priority uint8

// The priorities. Of five requests that start while both kinds wait, one is
// Bulk, so that bulk work goes on however much is asked interactively.
const (
	Interactive Priority = iota // somebody waits for the answer; the default
	Bulk                        // may wait: reports, sweeps, migrations
)

// burst is how many interactive requests may pass a waiting bulk request.
const burst = 4

// A Limit is a budget for one minute, below what the bucket allows anyway.
// Zero fields mean no limit.
type Limit struct {
	// Requests is how many requests may start in a minute. They are spread
	// evenly.
	Requests int
	// Cost is how many units they may cost in a minute. A request whose cost is
	// not known yet counts with the average of its route.
	Cost float64
}

func (l Limit) validate() error {
	if l.Requests < 0 || l.Cost < 0 || math.IsNaN(l.Cost) || math.IsInf(l.Cost, 0) {
		return fmt.Errorf("limit of %d requests and %g units a minute: must not be negative or infinite", l.Requests, l.Cost)
	}
	return nil
}

// ThrottleConfig says how a [Throttle] behaves.
type ThrottleConfig struct {
	// Mark is the high-water mark that is assumed until the answers tell.
	// Zero means 600, the default of Canvas's source; hosted Canvas has
	// reported 700, which is learnt from the first answer.
	Mark float64
	// Limit is the budget at the start; see [Throttle.SetLimit].
	Limit Limit
}

// A Throttle starts as many requests as the bucket of one access token will
// take, and no more. Canvas keeps one bucket for each token, so that clients
// that share a token in one process must share its Throttle, by
// [Config].Throttle; tokens of their own need Throttles of their own. Other
// processes that use the token are noticed by the headers of the answers.
//
// Waiting requests start in the order in which they came, those of higher
// [Priority] first. A Throttle is safe for concurrent use, and has no goroutine
// of its own.
type Throttle struct {
	mu       sync.Mutex
	est      estimate
	started  bool // est is valid: time begins with the first request
	mark     float64
	limit    Limit
	pace     *rate.Limiter // of requests; nil means no limit
	debt     float64       // units spent beyond Limit.Cost
	debtAt   time.Time
	expected float64 // units that the requests under way are thought to cost
	queues   [3][]*ticket
	passed   int // interactive requests that passed waiting bulk requests
	alarm    *time.Timer
	alarmAt  time.Time
	stats    tally
	host     string // of the clients that share it
	token    runbook.Secret
}

// The queues: rejected requests that try again, and the two priorities.
const (
	again = iota
	interactive
	bulk
)

// A ticket is one request that waits to start.
type ticket struct {
	granted chan struct{} // closed when the request may start
	queue   int
	cost    float64
	done    bool // granted, or given up
	start   time.Time
}

// NewThrottle returns a Throttle for the bucket of one access token.
func NewThrottle(cfg ThrottleConfig) (*Throttle, error) {
	var problems []error
	if cfg.Mark < 0 || math.IsNaN(cfg.Mark) || cfg.Mark > maxMark {
		problems = append(problems, fmt.Errorf("canvas: throttle: mark %g: must be from 0 to %d", cfg.Mark, maxMark))
	}
	if err := cfg.Limit.validate(); err != nil {
		problems = append(problems, fmt.Errorf("canvas: throttle: %w", err))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if cfg.Mark == 0 {
		cfg.Mark = assumedMark
	}
	t := &Throttle{mark: cfg.Mark}
	t.setLimit(cfg.Limit)
	return t, nil
}

// SetLimit changes the budget, from now on: what was spent before counts for
// nothing. Waiting requests obey it too.
func (t *Throttle) SetLimit(l Limit) error {
	if err := l.validate(); err != nil {
		return fmt.Errorf("canvas: throttle: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); t.started {
		t.begin(now)
		t.setLimit(l)
		t.dispatch(now)
	} else {
		t.setLimit(l)
	}
	return nil
}

func (t *Throttle) setLimit(l Limit) {
	t.limit, t.debt, t.pace = l, 0, nil
	if l.Requests > 0 {
		t.pace = rate.NewLimiter(rate.Limit(float64(l.Requests)/60), 1)
	}
}

// begin advances the estimate, and starts it with the first request.
func (t *Throttle) begin(now time.Time) {
	if !t.started {
		t.est, t.started, t.debtAt = newEstimate(now, t.mark), true, now
		return
	}
	t.est.advance(now)
	if dt := now.Sub(t.debtAt).Seconds(); dt > 0 {
		t.debtAt = now
		t.debt = max(0, t.debt-t.limit.Cost/60*dt)
	}
}

// acquire waits until a request may start.
func (t *Throttle) acquire(ctx context.Context, k *ticket) (waited time.Duration, err error) {
	now := time.Now()
	t.mu.Lock()
	t.begin(now)
	if t.waiting() == 0 && t.ready(now, k) == 0 {
		t.grant(now, k)
		t.mu.Unlock()
		return 0, nil
	}
	k.granted = make(chan struct{})
	t.queues[k.queue] = append(t.queues[k.queue], k)
	t.stats.waits++
	t.dispatch(now)
	t.mu.Unlock()
	select {
	case <-k.granted:
		err = ctx.Err()
	case <-ctx.Done():
		err = ctx.Err()
	}
	waited = time.Since(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.waited += waited
	if err == nil {
		return waited, nil
	}
	if k.done {
		t.finish(time.Now(), k, outcome{unsent: true})
	} else {
		t.forget(k)
		t.dispatch(time.Now())
	}
	return waited, fmt.Errorf("waited %v for the cost bucket: %w", waited.Round(time.Millisecond), err)
}

// settle ends a request, and starts those that may now. It returns what was
// thought to remain.
func (t *Throttle) settle(now time.Time, k *ticket, o outcome) (estimate float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.finish(now, k, o)
}

func (t *Throttle) finish(now time.Time, k *ticket, o outcome) (estimate float64) {
	t.begin(now)
	t.expected = max(0, t.expected-k.cost)
	if !o.unsent && t.limit.Cost > 0 {
		t.debt += o.cost
	}
	estimate = t.est.settle(now, k.start, o)
	t.dispatch(now)
	return estimate
}

func (t *Throttle) waiting() int {
	return len(t.queues[again]) + len(t.queues[interactive]) + len(t.queues[bulk])
}

// ready returns how long k has still to wait if nothing else happens; 0 means
// that it may start.
func (t *Throttle) ready(now time.Time, k *ticket) time.Duration {
	wait := t.est.wait(now)
	if t.pace != nil {
		if missing := 1 - t.pace.TokensAt(now); missing > 1e-9 {
			wait = max(wait, seconds(missing/float64(t.pace.Limit())))
		}
	}
	if t.limit.Cost > 0 && t.debt+t.expected > 0 {
		// What one second is worth may be spent at once; a request that costs
		// more waits until nothing is owed.
		room := max(0, t.limit.Cost/60-k.cost)
		if over := t.debt + t.expected - room; over > 0 {
			wait = max(wait, seconds(over/t.limit.Cost*60))
		}
	}
	return wait
}

func (t *Throttle) grant(now time.Time, k *ticket) {
	if t.pace != nil {
		t.pace.AllowN(now, 1)
	}
	k.done, k.start = true, now
	t.expected += k.cost
	t.est.launch(now)
	if k.granted != nil {
		close(k.granted)
	}
}

// next returns the queue whose turn it is.
func (t *Throttle) next() int {
	switch {
	case len(t.queues[again]) > 0:
		return again
	case len(t.queues[bulk]) == 0:
		return interactive
	case len(t.queues[interactive]) == 0 || t.passed >= burst:
		return bulk
	}
	return interactive
}

// dispatch starts the requests that may start, and sets the alarm for the next.
func (t *Throttle) dispatch(now time.Time) {
	for t.waiting() > 0 {
		q := t.next()
		k := t.queues[q][0]
		if wait := t.ready(now, k); wait > 0 {
			t.wake(now, wait)
			return
		}
		t.queues[q][0] = nil
		t.queues[q] = t.queues[q][1:]
		switch {
		case q == bulk:
			t.passed = 0
		case q == interactive && len(t.queues[bulk]) > 0:
			t.passed++
		}
		t.grant(now, k)
	}
	if t.alarm != nil {
		t.alarm.Stop()
		t.alarmAt = time.Time{}
	}
}

// wake sets the alarm. In company it rings a little late, by chance, so that
// two processes that wait for the same slot do not take it at the same time.
func (t *Throttle) wake(now time.Time, wait time.Duration) {
	at := now.Add(wait)
	if !t.alarmAt.IsZero() && t.alarmAt.After(now) && !t.alarmAt.After(at) {
		return // it will look again before
	}
	if !t.est.alone(now) {
		wait += rand.N(100 * time.Millisecond)
	}
	t.alarmAt = now.Add(wait)
	if t.alarm == nil {
		t.alarm = time.AfterFunc(wait, t.ring)
		return
	}
	t.alarm.Reset(wait)
}

func (t *Throttle) ring() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.alarmAt = time.Time{}
	t.begin(now)
	t.dispatch(now)
}

// forget takes a request that gave up out of its queue.
func (t *Throttle) forget(k *ticket) {
	q := t.queues[k.queue]
	for i, other := range q {
		if other == k {
			t.queues[k.queue] = append(q[:i], q[i+1:]...)
			return
		}
	}
}

// share notes who uses the throttle, and refuses those that do not belong
// together: each token has a bucket of its own.
func (t *Throttle) share(host string, token runbook.Secret) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.host == "" {
		t.host, t.token = host, token
	}
	if t.host != host || !t.token.Equal(token) {
		return errors.New("throttle: is shared by clients with different hosts or tokens, whose buckets are not the same")
	}
	return nil
}
