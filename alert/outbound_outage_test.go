package alert_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
)

// Alerts of an engine, many at once while the store takes no writes, are all told: each is
// with the router before the ten seconds are over for which messages wait for the store.
func TestManyAlertsWhileTheStoreIsDown(t *testing.T) {
	const many = 500
	fails := func(context.Context) error { return errors.New("the disk is full") }
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, write := range map[string]func(context.Context) error{"fails": fails, "hangs": hangs} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var down atomic.Bool
				in, store := &inbox{}, &ill{write: func(ctx context.Context) error {
					if down.Load() {
						return write(ctx)
					}
					return nil
				}}
				cfg := one(in)
				cfg.Store, cfg.Routes[0].GroupBy = store, []string{"entity"}
				cfg.Targets[0] = alert.Target{Name: "slack", Notifier: in, Storm: many, PerSecond: 1e6, Burst: many, Parallel: many, RemindAfter: -1}
				r := start(t, cfg)
				e := engine(t, alert.EngineConfig{Inputs: []alert.Input{{Name: "g", Kind: alert.Gauge}}, Out: r, Logger: quiet, Rules: []alert.Rule{
					{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.Critical},
				}})
				pass(time.Second)
				down.Store(true)
				for i := range many {
					feed(t, e, "g", fmt.Sprint("service-", i)).Observe(6)
				}
				pass(9 * time.Second)
				assert.Len(t, r.Alerts(), many, "the router has all of them")
				assert.Empty(t, in.told(), "what is not stored waits")
				pass(21 * time.Second)
				assert.Len(t, in.told(), many)

				// When the store recovers everything is stored, and told no more.
				down.Store(false)
				pass(3 * time.Minute)
				require.NoError(t, e.Stop(t.Context()))
				stop(t, r)
				r = start(t, cfg)
				pass(time.Minute)
				assert.Len(t, in.told(), many)
				for _, s := range r.Alerts() {
					assert.Equal(t, []string{"slack"}, s.Told, s.Entity)
				}
				stop(t, r)
			})
		})
	}
}

// crowd is a handler that takes its time, or fails.
type crowd struct {
	mu    sync.Mutex
	wait  time.Duration
	err   error
	calls map[string]int // on their way, by key
	twice int            // calls for a key that had one on its way
	taken []alert.Alert
}

func (c *crowd) Handle(_ context.Context, a alert.Alert) error {
	c.mu.Lock()
	wait, err := c.wait, c.err
	if c.calls[a.Key]++; c.calls[a.Key] > 1 {
		c.twice++
	}
	c.mu.Unlock()
	time.Sleep(wait)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[a.Key]--
	if err == nil {
		c.taken = append(c.taken, a)
	}
	return err
}

// Calls of a handler that take long, and alerts that wait to be handed over again, hold up
// no others; nor do all come at the same moment. What is about one thing is handed over by
// one call at a time, in order.
func TestSlowHandoverHoldsUpNoOther(t *testing.T) {
	for name, c := range map[string]*crowd{
		"slow":  {wait: time.Hour},
		"fails": {err: errors.New("no")},
		"both":  {wait: 5 * time.Second, err: errors.New("no")},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const many = 1000
				c.calls = make(map[string]int)
				e, err := alert.NewEngine(alert.EngineConfig{Inputs: []alert.Input{{Name: "g", Kind: alert.Gauge}}, Out: c, Logger: quiet, Rules: []alert.Rule{
					{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.Critical, Flap: alert.Flap{Changes: -1}},
				}})
				require.NoError(t, err)
				require.NoError(t, e.Start(t.Context()))
				var feeds []*alert.Feed
				for i := range many {
					f := feed(t, e, "g", fmt.Sprint("service-", i))
					f.Observe(6)
					feeds = append(feeds, f)
				}
				synctest.Wait()
				c.mu.Lock()
				if c.wait > 0 {
					assert.Less(t, len(c.calls), many/5, "not all at once")
				}
				c.mu.Unlock()
				pass(3 * time.Second)
				c.mu.Lock()
				assert.Len(t, c.calls, many, "each was handed over within seconds")
				c.err = nil
				c.mu.Unlock()
				for _, f := range feeds {
					f.Observe(1)
				}
				require.NoError(t, e.Stop(t.Context()))
				assert.Zero(t, c.twice)
				require.Len(t, c.taken, 2*many)
				states := make(map[string][]alert.State)
				for _, a := range c.taken {
					states[a.Key] = append(states[a.Key], a.State)
				}
				for _, s := range states {
					assert.Equal(t, []alert.State{alert.Firing, alert.Resolved}, s)
				}
			})
		})
	}
}
