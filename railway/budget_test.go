package railway_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/railway"
)

// Without being asked to, a client sends no more than five calls a second.
//
// Requirement: RW-G3
func TestPacing(t *testing.T) {
	for perSecond, want := range map[float64]time.Duration{0: 9 * time.Second, 1: 49 * time.Second, 50: 0} {
		synctest.Test(t, func(t *testing.T) {
			c := coreClient(t, coreAlways(200, coreGood), func(cfg *railway.Config) { cfg.Budget = &railway.Budget{PerSecond: perSecond} })
			began := time.Now()
			for range 50 {
				_, err := coreSend(t.Context(), c, coreQuery)
				require.NoError(t, err)
			}
			assert.Equal(t, want, time.Since(began).Round(time.Millisecond), "%g a second", perSecond)
			assert.Equal(t, int64(50), c.Budget().Stats().Calls)
		})
	}
}

// A wait for the own pace that would be longer than the caller's deadline is not
// begun, and nothing was sent.
func TestPacingAndDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coreClient(t, coreAlways(200, coreGood), func(cfg *railway.Config) { cfg.Budget = &railway.Budget{PerSecond: 0.1} })
		_, err := coreSend(t.Context(), c, coreQuery)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		_, err = coreSend(ctx, c, coreMutation)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "the own limit of 0.1 calls a second")
		assert.True(t, runbook.SafeToRetry(err))
		assert.Zero(t, time.Since(began))
	})
}

// The hour's calls are used up. The call fails at once and says for how long, and
// further calls are not sent until then.
//
// Requirement: RW-LIMIT-HEADERS, RW-ASK-RETRY-AFTER, RW-G3
func TestHourIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reset := time.Now().Add(40 * time.Minute)
		transport := &coreTransport{answer: func(int, *http.Request) (*http.Response, error) {
			if time.Now().Before(reset) {
				return coreAnswer(429, `{"errors":[{"message":"Rate limit exceeded"}]}`, "Retry-After", "2400",
					"X-RateLimit-Limit", "1000", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10)), nil
			}
			return coreAnswer(200, coreGood, "X-RateLimit-Limit", "1000", "X-RateLimit-Remaining", "999"), nil
		}}
		c := coreClient(t, transport, nil)
		for n := range 3 {
			began := time.Now()
			_, err := coreSend(t.Context(), c, coreMutation)
			require.ErrorIs(t, err, railway.ErrRateLimited)
			assert.Zero(t, time.Since(began))
			assert.True(t, runbook.SafeToRetry(err))
			e, _ := errors.AsType[*railway.Error](err)
			assert.Equal(t, 40*time.Minute, e.RetryAfter, "call %d", n)
			assert.ErrorContains(t, err, "(wait 40m0s)")
			assert.Equal(t, 1, transport.requests(), "only the first was sent")
		}
		s := c.Budget().Stats()
		assert.Equal(t, railway.BudgetStats{Limit: 1000, Reset: time.Unix(reset.Unix(), 0), Blocked: reset, Calls: 1}, s)

		time.Sleep(39*time.Minute + 40*time.Second)
		began := time.Now()
		_, err := coreSend(t.Context(), c, coreMutation)
		require.NoError(t, err, "20 s are waited for")
		assert.Equal(t, 20*time.Second, time.Since(began))
		assert.Equal(t, 999, c.Budget().Stats().Remaining)
		assert.Zero(t, c.Budget().Stats().Blocked)
	})
}

// A short limit is waited out, exactly as long as Railway says.
//
// Requirement: RW-LIMIT-HEADERS, RW-PEER-TF-TIMEOUT
func TestRetryAfterIsHonoured(t *testing.T) {
	for after, want := range map[string]time.Duration{"7": 7 * time.Second, "0": 0, "": time.Second, "soon": time.Second} {
		synctest.Test(t, func(t *testing.T) {
			transport := &coreTransport{answer: func(n int, _ *http.Request) (*http.Response, error) {
				if n == 1 {
					return coreAnswer(429, `{}`, "Retry-After", after, "X-RateLimit-Limit", "10"), nil
				}
				return coreAnswer(200, coreGood), nil
			}}
			began := time.Now()
			_, err := coreSend(t.Context(), coreClient(t, transport, nil), coreMutation)
			require.NoError(t, err)
			assert.Equal(t, want, time.Since(began), "Retry-After %q", after)
		})
	}
}

// A limit without Retry-After lasts until the hour ends, if that is known.
//
// Requirement: RW-LIMIT-HEADERS
func TestLimitWithoutRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coreClient(t, coreAlways(429, `{}`, "X-RateLimit-Limit", "100", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "600"), nil)
		_, err := coreSend(t.Context(), c, coreMutation)
		e, ok := errors.AsType[*railway.Error](err)
		require.True(t, ok)
		assert.Equal(t, 10*time.Minute, e.RetryAfter)
	})
}

// The limit of the edge has neither headers nor JSON, and is made longer by asking
// on.
//
// Requirement: RW-LIMIT-CLOUDFLARE, RW-ASK-RETRY-AFTER
func TestEdgeLimit(t *testing.T) {
	for _, body := range []string{"error code: 1015", "<!DOCTYPE html><title>Access denied | Error 1015</title>", "", `{"error_code":1015}`} {
		synctest.Test(t, func(t *testing.T) {
			transport := coreAlways(429, body, "Content-Type", "text/html")
			c := coreClient(t, transport, nil)
			for range 5 {
				_, err := coreSend(t.Context(), c, coreQuery)
				require.ErrorIs(t, err, railway.ErrRateLimited)
				e, _ := errors.AsType[*railway.Error](err)
				assert.Equal(t, 15*time.Minute, e.RetryAfter)
				if e.Status != 0 {
					assert.Equal(t, "1015", e.Code)
				}
			}
			assert.Equal(t, 1, transport.requests())
			time.Sleep(15 * time.Minute)
			_, err := coreSend(t.Context(), c, coreQuery)
			require.Error(t, err)
			assert.Equal(t, 2, transport.requests())
		})
	}
}

// Clients with the same token share a budget: what one is told holds for both, and
// they keep the pace together.
//
// Requirement: RW-G3
func TestSharedBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := &railway.Budget{PerSecond: 10}
		transport := coreAlways(200, coreGood, "X-RateLimit-Limit", "10000", "X-RateLimit-Remaining", "77")
		share := func(cfg *railway.Config) { cfg.Budget = budget }
		one, two := coreClient(t, transport, share), coreClient(t, transport, share)
		assert.Same(t, budget, two.Budget())
		began := time.Now()
		var wg sync.WaitGroup
		for _, c := range []*railway.Client{one, two} {
			for range 30 {
				wg.Go(func() {
					_, err := coreSend(t.Context(), c, coreQuery)
					assert.NoError(t, err)
				})
			}
		}
		wg.Wait()
		assert.Equal(t, 5*time.Second, time.Since(began).Round(time.Millisecond), "60 calls, of which 10 at once")
		assert.Equal(t, 77, one.Budget().Stats().Remaining)

		limited := coreClient(t, coreAlways(429, "error code: 1015"), share)
		_, err := coreSend(t.Context(), limited, coreQuery)
		require.ErrorIs(t, err, railway.ErrRateLimited)
		_, err = coreSend(t.Context(), one, coreQuery)
		require.ErrorIs(t, err, railway.ErrRateLimited)
		assert.Equal(t, 60, transport.requests(), "the other one was not asked")
	})
}

// A limit that is made longer while calls wait for its end is waited for again, and
// nothing is sent before.
func TestLimitsThatGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := &railway.Budget{PerSecond: 100}
		limit := func(seconds string) *railway.Client {
			return coreClient(t, coreAlways(429, `{}`, "Retry-After", seconds, "X-RateLimit-Limit", "10"), func(cfg *railway.Config) { cfg.Budget = budget })
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // no time to try again
		defer cancel()
		_, err := coreSend(ctx, limit("10"), coreMutation)
		require.ErrorIs(t, err, railway.ErrRateLimited)

		began := time.Now()
		var wg sync.WaitGroup
		transport := coreAlways(200, coreGood)
		waiting := coreClient(t, transport, func(cfg *railway.Config) { cfg.Budget = budget })
		wg.Go(func() {
			_, err := coreSend(t.Context(), waiting, coreMutation)
			assert.NoError(t, err)
			assert.Equal(t, 29*time.Second, time.Since(began))
		})
		wg.Go(func() {
			time.Sleep(9 * time.Second)
			railway.Block(budget, 20*time.Second) // a call that was let out before is told so
		})
		wg.Wait()
		assert.Equal(t, 1, transport.requests())
	})
}

func TestParseReset(t *testing.T) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"1788264000":                    time.Unix(1788264000, 0),
		"1788264000123":                 time.UnixMilli(1788264000123),
		"3600":                          now.Add(time.Hour),
		"0":                             now,
		"2026-09-01T13:00:00Z":          now.Add(time.Hour),
		"2026-09-01T13:00:00.5+00:00":   now.Add(time.Hour + time.Second/2),
		"Tue, 01 Sep 2026 13:00:00 GMT": now.Add(time.Hour),
	} {
		got, ok := railway.ParseReset(text, now)
		assert.True(t, ok, text)
		assert.True(t, want.Equal(got), "%s: %s", text, got)
	}
	for _, text := range []string{"", "soon", "-5", "86401", "12.5", "99999999999999999999"} {
		_, ok := railway.ParseReset(text, now)
		assert.False(t, ok, text)
	}
}

func FuzzParseReset(f *testing.F) {
	for _, seed := range []string{"1788264000", "1788264000123", "3600", "Tue, 01 Sep 2026 13:00:00 GMT", "2026-09-01T13:00:00Z"} {
		f.Add(seed)
	}
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		at, ok := railway.ParseReset(text, now)
		if !ok {
			assert.True(t, at.IsZero(), text)
		}
	})
}
