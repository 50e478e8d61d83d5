package clientcreds

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// The bucket that token grants fall into, which is that of the caller's
// address (canvas-lms, app/middleware/request_throttle.rb and
// app/controllers/oauth2_provider_controller.rb): what a grant costs beside its
// reservation, what leaks in a second, and where the bucket counts as full.
const (
	grantCost   = 200.0
	reservation = 50.0
	leak        = 10.0
	full        = 600.0
)

// A Pace lets as many grants pass as the bucket of one address takes: three at
// once, then one in 20 seconds. Sources of the same platform should share it.
// The zero Pace is ready to use, for an empty bucket.
type Pace struct {
	mu    sync.Mutex
	count float64
	at    time.Time
}

// Wait returns when a grant may be sent, or with the end of ctx. If ctx ends
// before the grant's turn, it says so at once.
func (p *Pace) Wait(ctx context.Context) error {
	p.mu.Lock()
	now := time.Now()
	if !p.at.IsZero() {
		p.count = max(0, p.count-leak*now.Sub(p.at).Seconds())
	}
	p.at = now
	wait := time.Duration(max(0, p.count+reservation-full) / leak * float64(time.Second))
	if wait > 0 {
		wait += time.Millisecond
	}
	if deadline, ok := ctx.Deadline(); ok && now.Add(wait).After(deadline) {
		p.mu.Unlock()
		return &unsent{fmt.Errorf("the token endpoint takes the next grant in %v: %w", wait.Round(time.Second), context.DeadlineExceeded)}
	}
	p.count += grantCost // booked: who comes later waits longer
	p.mu.Unlock()
	if wait == 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		p.mu.Lock()
		p.count = max(0, p.count-grantCost)
		p.mu.Unlock()
		return &unsent{fmt.Errorf("waiting for the token endpoint: %w", ctx.Err())}
	}
}
