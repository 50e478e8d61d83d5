// Package healthtest helps to test code that uses [health]: a prober that
// follows a script, and conformance suites for implementations of its ports.
//
// Importing it compiles health and the standard library's testing package.
package healthtest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook/health"
)

// Prober is a [health.Prober] that follows a script: one result per call, the
// last one for ever. The zero value is always healthy. It is safe for
// concurrent use.
type Prober struct {
	// Results are returned in order, one per call; the last is repeated. With
	// none, every call is healthy.
	Results []health.Result
	// Delay is how long each call takes. It ends early with the context: as a
	// timeout, or Unknown if the context was cancelled.
	Delay time.Duration
	// Stubborn makes Probe ignore its context: it takes all of Delay.
	Stubborn bool
	// Panic, when not nil, is what every call panics with.
	Panic any

	mu    sync.Mutex
	calls int
}

// Probe implements [health.Prober].
func (p *Prober) Probe(ctx context.Context) health.Result {
	p.mu.Lock()
	call := p.calls
	p.calls++
	p.mu.Unlock()
	switch err := p.wait(ctx); {
	case errors.Is(err, context.Canceled):
		return health.Result{Status: health.Unknown, Cause: health.CauseNotAsked, Message: "the probe was cancelled"}
	case err != nil:
		return health.Result{Status: health.Unhealthy, Cause: health.CauseTimeout, Message: "timed out"}
	}
	if p.Panic != nil {
		panic(p.Panic)
	}
	if len(p.Results) == 0 {
		return health.Result{Status: health.Healthy}
	}
	return p.Results[min(call, len(p.Results)-1)]
}

func (p *Prober) wait(ctx context.Context) error {
	if p.Delay <= 0 {
		return nil
	}
	done := ctx.Done()
	if p.Stubborn {
		done = nil
	}
	timer := time.NewTimer(p.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-done:
		return ctx.Err()
	}
}

// Calls returns how often Probe was called.
func (p *Prober) Calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// ProberHarness is how [TestProber] gets probers to look at. A nil func means
// that the case makes no sense for the prober, and is skipped.
type ProberHarness struct {
	// Healthy returns a prober whose thing is well.
	Healthy func(t testing.TB) health.Prober
	// Down returns a prober whose thing is not there, so that the probe fails
	// at once, and the cause that it must give.
	Down func(t testing.TB) (health.Prober, health.Cause)
	// Hanging returns a prober whose thing takes the request and never answers.
	Hanging func(t testing.TB) health.Prober
	// Secrets are texts that were given to the probers and must not be in any
	// result.
	Secrets []string
}

// TestProber checks what [health.Prober] asks of an implementation: it tells
// good from bad with a cause and a message, returns soon after its context
// ends, may be called concurrently, and shows no secret. A probe that was
// cancelled, rather than timed out, has learnt nothing: it is Unknown.
func TestProber(t *testing.T, h ProberHarness) {
	t.Run("healthy", func(t *testing.T) {
		if h.Healthy == nil {
			t.Skip("the harness declines this case")
		}
		r := h.Healthy(t).Probe(t.Context())
		h.check(t, r)
		if r.Status != health.Healthy || r.Cause != "" {
			t.Errorf("status %v, cause %q, message %q; want healthy and no cause", r.Status, r.Cause, r.Message)
		}
	})
	t.Run("concurrent", func(t *testing.T) {
		if h.Healthy == nil {
			t.Skip("the harness declines this case")
		}
		p := h.Healthy(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if r := p.Probe(t.Context()); r.Status != health.Healthy {
					t.Errorf("status %v, cause %q, message %q; want healthy", r.Status, r.Cause, r.Message)
				}
			})
		}
		wg.Wait()
	})
	t.Run("down", func(t *testing.T) {
		if h.Down == nil {
			t.Skip("the harness declines this case")
		}
		p, cause := h.Down(t)
		r := p.Probe(t.Context())
		h.check(t, r)
		if r.Status != health.Unhealthy || r.Cause != cause {
			t.Errorf("status %v, cause %q, message %q; want unhealthy because of %q", r.Status, r.Cause, r.Message, cause)
		}
	})
	t.Run("hanging", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		r := h.hang(ctx, t)
		if r.Status != health.Unhealthy || r.Cause != health.CauseTimeout {
			t.Errorf("status %v, cause %q, message %q; want unhealthy because of a timeout", r.Status, r.Cause, r.Message)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		defer time.AfterFunc(50*time.Millisecond, cancel).Stop()
		r := h.hang(ctx, t)
		if r.Status != health.Unknown {
			t.Errorf("status %v, cause %q, message %q; want unknown: nothing was learnt", r.Status, r.Cause, r.Message)
		}
	})
}

// hang probes what hangs until ctx ends.
func (h ProberHarness) hang(ctx context.Context, t *testing.T) health.Result {
	t.Helper()
	if h.Hanging == nil {
		t.Skip("the harness declines this case")
	}
	p := h.Hanging(t)
	results := make(chan health.Result, 1)
	go func() { results <- p.Probe(ctx) }()
	select {
	case r := <-results:
		h.check(t, r)
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("the prober ignores the end of its context")
		return health.Result{}
	}
}

// check demands what holds for every result.
func (h ProberHarness) check(t *testing.T, r health.Result) {
	t.Helper()
	if r.Status != health.Healthy && (r.Cause == "" || r.Message == "") {
		t.Errorf("%v without a cause or a message: %+v", r.Status, r)
	}
	for _, secret := range h.Secrets {
		if contains(r, secret) {
			t.Errorf("the result shows a secret: %+v", r)
		}
	}
}

// contains reports whether any text of r contains secret.
func contains(r health.Result, secret string) bool {
	texts := []string{r.Message, string(r.Cause)}
	for _, m := range r.Measurements {
		texts = append(texts, m.Name, m.Text, string(m.Unit))
	}
	return strings.Contains(strings.Join(texts, "\x00"), secret)
}
