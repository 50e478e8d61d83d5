package railwaytest_test

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/railway/railwaytest"
)

const ask = `{ platformStatus { isStable } }`

// TestHourlyLimit uses up an hour's requests, and waits for the next hour.
//
// Requirement: RW-TEST-LIMITS
func TestHourlyLimit(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		c.s.PerHour, c.s.PerSecond = 3, 2
		end := time.Now().Add(time.Hour)
		for left := 2; left >= 0; left-- {
			got := c.raw(ask, nil)
			require.Equal(t, http.StatusOK, got.status)
			assert.Equal(t, "3", got.header.Get("X-RateLimit-Limit"))
			assert.Equal(t, strconv.Itoa(left), got.header.Get("X-RateLimit-Remaining"))
			assert.Equal(t, strconv.FormatInt(end.Unix(), 10), got.header.Get("X-RateLimit-Reset"))
			assert.NotEmpty(t, got.header.Get("RateLimit-Policy"))
			assert.Empty(t, got.header.Get("Retry-After"), "it is on a 429 only")
			time.Sleep(time.Second)
		}
		got := c.raw(ask, nil)
		require.Equal(t, http.StatusTooManyRequests, got.status)
		assert.Equal(t, "3597", got.header.Get("Retry-After"))
		assert.Equal(t, "0", got.header.Get("X-RateLimit-Remaining"))
		assert.NotEmpty(t, got.problem(t).Message, "Railway's own is JSON")
		other := c.post(address, document(ask, nil), bearer(c.s.AddToken(railwaytest.Token{})))
		assert.Equal(t, http.StatusOK, other.status, "a limit is of one token")
		time.Sleep(3597 * time.Second)
		assert.Equal(t, http.StatusOK, c.raw(ask, nil).status)
	})
}

// TestLimitPerSecond sends too fast.
//
// Requirement: RW-TEST-LIMITS
func TestLimitPerSecond(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		for range 50 {
			require.Equal(t, http.StatusOK, c.raw(ask, nil).status)
		}
		got := c.restart()
		require.Equal(t, http.StatusTooManyRequests, got.status)
		assert.Equal(t, "1", got.header.Get("Retry-After"))
		assert.Empty(t, c.s.Effects(), "nothing is run")
		time.Sleep(time.Second)
		assert.Equal(t, http.StatusOK, c.restart().status)
	})
}

// TestEdgeLimit sends requests without a query, which Cloudflare limits far lower.
//
// Requirement: RW-TEST-LIMITS
func TestEdgeLimit(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		const bare = "https://backboard.railway.com/graphql/v2"
		send := func(url string) reply { return c.post(url, document(ask, nil), bearer(c.account)) }
		for range 10 {
			require.Equal(t, http.StatusOK, send(bare).status)
		}
		got := send(bare)
		require.Equal(t, http.StatusTooManyRequests, got.status)
		assert.Equal(t, "error code: 1015", got.body)
		for _, name := range []string{"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy"} {
			assert.Empty(t, got.header.Values(name), name)
		}
		time.Sleep(time.Minute)
		assert.Equal(t, http.StatusTooManyRequests, send(bare).status, "it blocks for long")
		assert.Equal(t, http.StatusOK, send(bare+"?source=x").status, "with a query there is no such limit")
		time.Sleep(10 * time.Minute)
		assert.Equal(t, http.StatusOK, send(bare).status)
	})
}

// TestLimitFaults provokes both kinds of 429 without the requests.
//
// Requirement: RW-TEST-LIMITS
func TestLimitFaults(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		c.s.Fail(railwaytest.Fault{Kind: railwaytest.Limit, RetryAfter: 7 * time.Second})
		got := c.restart()
		require.Equal(t, http.StatusTooManyRequests, got.status)
		assert.Equal(t, "7", got.header.Get("Retry-After"))
		assert.Equal(t, "0", got.header.Get("X-RateLimit-Remaining"))
		assert.NotEmpty(t, got.problem(t).Message)
		c.s.Fail(railwaytest.Fault{Kind: railwaytest.EdgeLimit})
		got = c.restart()
		require.Equal(t, http.StatusTooManyRequests, got.status)
		assert.Equal(t, "error code: 1015", got.body)
		assert.Empty(t, got.header.Get("X-RateLimit-Limit"))
		assert.Empty(t, c.s.Effects())
	})
}

// TestConcurrentUse uses a server from many goroutines; the race detector looks on.
func TestConcurrentUse(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		c.s.PerSecond = 1000
		const each = 20
		for range 8 {
			go func() {
				for range each {
					c.restart()
					c.raw(`{ __schema { types { name } } }`, nil)
				}
			}()
		}
		synctest.Wait()
		assert.Len(t, c.s.Effects(), 8*each)
		assert.Len(t, c.s.Calls(), 2*8*each)
	})
}
