package canvas

import (
	"context"
	"net/http"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
)

// Hooks tell a host what a [Client] does. Nil functions are not called. They
// are called synchronously, without locks, and from several goroutines at the
// same time; they must not block.
type Hooks struct {
	// OnAttempt is called after each attempt of a request, also of one that
	// never left because its context ended while it waited.
	OnAttempt func(context.Context, Attempt)
}

// An Attempt is one request that was made, or was to be made.
type Attempt struct {
	// Route is method and path, with ids replaced: "GET /api/v1/courses/:id".
	Route string
	// Status is the status of the answer; 0 means that there is none.
	Status int
	// Throttled is true if the bucket rejected the request.
	Throttled bool
	// Cost is what the request cost; 0 if Canvas did not say.
	Cost float64
	// Remaining is X-Rate-Limit-Remaining of the answer, which can be negative.
	// Reported is false if there was none.
	Remaining float64
	Reported  bool
	// Estimate is what the throttle thought to remain before it was told.
	Estimate float64
	// Waited is how long the request waited for the bucket, Took how long
	// Canvas took to answer.
	Waited, Took time.Duration
	// RequestID is Canvas's X-Request-Context-Id, to be quoted to Instructure.
	RequestID string
	// Err is why there is no answer.
	Err error
}

// A passage is what the transport has to know of a call. It goes with the
// context through every attempt.
type passage struct {
	route    string
	priority Priority
	rejected bool // an attempt was rejected: it keeps its place in the queue
}

type passageKey struct{}

// admission is the transport that lets a request out when the throttle does.
// It is below everything that repeats requests, so that none slips past.
type admission struct {
	t     *Throttle
	hooks Hooks
	next  http.RoundTripper
}

func (a *admission) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	p, _ := ctx.Value(passageKey{}).(*passage)
	if p == nil {
		p = &passage{route: routeOf(req.Method, req.URL.EscapedPath())}
	}
	k := &ticket{queue: interactive, cost: a.t.expect(p.route)}
	switch {
	case p.rejected:
		k.queue = again
	case p.priority == Bulk:
		k.queue = bulk
	}
	at := Attempt{Route: p.route}
	waited, err := a.t.acquire(ctx, k)
	at.Waited = waited
	if err != nil {
		at.Err = err
		a.report(ctx, at)
		return nil, &httpx.Refusal{Err: err, After: -1}
	}
	o, ended := outcome{cost: k.cost}, false
	defer func() {
		if !ended { // the transport panicked
			a.t.settle(time.Now(), k, o)
		}
	}()
	resp, err := a.next.RoundTrip(req)
	now := time.Now()
	at.Took, at.Err = now.Sub(k.start), err
	if err != nil {
		o.unsent = runbook.SafeToRetry(err)
	} else {
		o = read(resp, &at, k.cost)
		p.rejected = at.Throttled
	}
	ended = true
	at.Estimate = a.t.settle(now, k, o)
	if !o.unsent {
		a.t.count(at)
	}
	a.report(ctx, at)
	return resp, err
}

// read takes from an answer what the throttle has to know.
func read(resp *http.Response, at *Attempt, expected float64) outcome {
	at.Status = resp.StatusCode
	at.RequestID = requestID(resp.Header)
	at.Throttled = isThrottled(resp.StatusCode, resp.Header, httpx.Body(resp))
	var known bool
	at.Cost, known = requestCost(resp.Header)
	at.Remaining, at.Reported = remainingUnits(resp.Header)
	o := outcome{
		rejected: at.Throttled, cost: at.Cost, remaining: at.Remaining, hasRemaining: at.Reported,
		// What a load balancer answers says nothing about the request behind it.
		answered: at.Reported || resp.StatusCode < 500,
	}
	if !known && !at.Throttled {
		o.cost = expected
	}
	return o
}

func (a *admission) report(ctx context.Context, at Attempt) {
	if a.hooks.OnAttempt != nil {
		a.hooks.OnAttempt(ctx, at)
	}
}
