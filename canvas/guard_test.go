package canvas_test

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

// The token stays on its host, over a real connection, whatever Canvas or
// something in between answers.
//
// Requirement: CV-GOTCHA-7
func TestTokenStaysOnItsHost(t *testing.T) {
	var leaked atomic.Int32
	foreign := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.URL.Query().Get("access_token") != "" {
			leaked.Add(1)
		}
	}))
	defer foreign.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/list" {
			w.Header().Set("Link", "<"+foreign.URL+`/next>; rel="next"`)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("[1]"))
			return
		}
		http.Redirect(w, r, foreign.URL+"/stolen", http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	c, err := canvas.New(canvas.Config{BaseURL: srv.URL, Token: runbook.NewSecret("token")})
	require.NoError(t, err)
	for _, method := range []string{"GET", "POST"} {
		_, err = c.Do(t.Context(), canvas.Request{Method: method, Path: "/api/v1/x"}, nil)
		e, ok := errors.AsType[*canvas.Error](err)
		require.True(t, ok)
		assert.Equal(t, "redirect", e.Code)
	}
	_, err = read[int](t, c, canvas.Request{Path: "/api/v1/list"}, nil)
	require.ErrorContains(t, err, "another host")
	assert.Zero(t, leaked.Load())
}

// Requirement: CV-PEER-CANVASAPI-TIMEOUT
func TestEveryAttemptEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{Load: canvastest.Load{Latency: time.Hour}}
		c := newClient(t, fake.Client())
		start := time.Now()
		_, err := c.Do(t.Context(), self, nil)
		timeout, ok := errors.AsType[net.Error](err)
		require.True(t, ok)
		assert.True(t, timeout.Timeout())
		assert.False(t, runbook.SafeToRetry(err))
		assert.Less(t, time.Since(start), 10*time.Minute, "four attempts of a minute each, and the waits")
		fake.Wait()
	})
}

// Requirement: CV-THROTTLE-INTERMEDIARY
func TestRetryAfterOfSomethingBetween(t *testing.T) {
	for after, want := range map[string]time.Duration{"12": 12 * time.Second, "3600": 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			host := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if n++; n == 1 {
					return answering(429, "slow down", "Content-Type", "text/plain", "X-Request-Cost", "", "X-Rate-Limit-Remaining", "", "Retry-After", after).Transport.RoundTrip(r)
				}
				return answering(200, "{}").Transport.RoundTrip(r)
			})}
			start := time.Now()
			_, err := newClient(t, host).Do(t.Context(), self, nil)
			require.NoError(t, err)
			assert.InDelta(t, want.Seconds(), time.Since(start).Seconds(), 0.5)
		})
	}
}

// A developer key that enforces scopes ignores include[] in silence: the field
// is absent, which is not the same as null or empty.
//
// Requirement: CV-OAUTH-INCLUDES
func TestIgnoredIncludeIsVisible(t *testing.T) {
	fake := &canvastest.Server{}
	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"require_scopes": true, "allow_includes": false})
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": "Biology"})
	scoped := fake.AddToken(canvastest.Token{Key: key, Scopes: []string{"url:GET|/api/v1/courses/:id"}})
	for token, visible := range map[string]bool{canvastest.AdminToken: true, scoped: false} {
		c := newClient(t, fake.Client(), func(cfg *canvas.Config) { cfg.Token = runbook.NewSecret(token) })
		var got struct {
			Term canvas.Null[map[string]any] `json:"term"`
		}
		_, err := c.Do(t.Context(), canvas.Request{Path: canvas.Path("courses", canvas.ID(course).String()), Query: url.Values{"include[]": {"term"}}}, &got)
		require.NoError(t, err)
		assert.Equal(t, visible, !got.Term.IsZero())
	}
}

// The refresh token and the client secret go to the token endpoint only, even if
// that redirects elsewhere in a way that would keep method and body.
//
// Requirement: CV-GOTCHA-7
func TestRefreshTokenStaysOnItsHost(t *testing.T) {
	for _, status := range []int{302, 307, 308} {
		var elsewhere []string
		host := roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host != "school.test" {
				elsewhere = append(elsewhere, r.URL.String())
				return answering(200, `{"access_token":"t","token_type":"Bearer"}`).Transport.RoundTrip(r)
			}
			return answering(status, "", "Location", "https://thief.test/login/oauth2/token").Transport.RoundTrip(r)
		})
		store := &runbook.MemoryCredentials{}
		_, err := store.Put(t.Context(), "canvas", runbook.NewSecret("refresh-canary"), "")
		require.NoError(t, err)
		o, err := canvas.NewOAuth(canvas.OAuthConfig{
			BaseURL: "https://school.test", ClientID: "1", ClientSecret: runbook.NewSecret("canary"),
			Store: store, Name: "canvas", HTTP: &http.Client{Transport: host},
		})
		require.NoError(t, err)
		_, err = o.Token(t.Context())
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "canary")
		assert.Empty(t, elsewhere)
	}
}

// What Canvas cannot have said neither stops the throttle nor lifts it.
//
// Requirement: CV-THROTTLE-INTERMEDIARY
func TestAbsurdHeadersAreIgnored(t *testing.T) {
	values := []string{"", "x", "NaN", "Inf", "-Inf", "1e309", "-1e308", "-1e9", "1e9", "-2001", "99999999999999999999", "0x1p40", "1,5"}
	for _, name := range []string{"X-Rate-Limit-Remaining", "X-Request-Cost"} {
		for _, value := range values {
			synctest.Test(t, func(t *testing.T) {
				host := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					time.Sleep(200 * time.Millisecond)
					resp, err := answering(200, "{}", "X-Request-Cost", "0.1", "X-Rate-Limit-Remaining", "500").Transport.RoundTrip(r)
					resp.Header[name] = []string{value, "5"}
					return resp, err
				})}
				c := newClient(t, host)
				require.NoError(t, c.Throttle().SetLimit(canvas.Limit{Cost: 600}))
				assert.Less(t, flood(t, c, 100, 10), 60.0, "%s: %s", name, value)
				s := c.Throttle().Stats()
				assert.LessOrEqual(t, s.Mark, 1000.0, "%s: %s", name, value)
				assert.GreaterOrEqual(t, s.Cost, 0.0, "%s: %s", name, value)
				assert.Zero(t, s.InFlight)
			})
		}
	}
}

// A limit that is next to nothing is not the same as none.
func TestTinyLimit(t *testing.T) {
	for _, limit := range []canvas.Limit{{Cost: 1e-12}, {Cost: math.SmallestNonzeroFloat64}} {
		synctest.Test(t, func(t *testing.T) {
			fake := load(600, 0.2, 0.1)
			c := newClient(t, fake.Client())
			require.NoError(t, c.Throttle().SetLimit(limit))
			_, err := c.Do(t.Context(), self, nil)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
			defer cancel()
			_, err = c.Do(ctx, self, nil)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.True(t, runbook.SafeToRetry(err))
			// Taken back, it lets everything go.
			var wg sync.WaitGroup
			wg.Go(func() { _, err = c.Do(t.Context(), self, nil) })
			time.Sleep(time.Hour)
			start := time.Now()
			require.NoError(t, c.Throttle().SetLimit(canvas.Limit{}))
			wg.Wait()
			require.NoError(t, err)
			assert.Less(t, time.Since(start), time.Second)
		})
	}
}

// A firewall that answers 429 for ever, and says nothing of the bucket, is not
// stormed by all who wait, and the calls end.
//
// Requirement: CV-PEER-NPM-FOREVER
func TestRejectionsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int32
		host := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			sent.Add(1)
			time.Sleep(20 * time.Millisecond)
			return answering(429, "slow down", "Content-Type", "text/plain", "X-Request-Cost", "", "X-Rate-Limit-Remaining", "").Transport.RoundTrip(r)
		})}
		c := newClient(t, host)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				_, err := c.Do(ctx, canvas.Request{Method: "POST", Path: "/api/v1/x"}, nil)
				assert.Error(t, err)
				assert.True(t, runbook.SafeToRetry(err), "%v", err)
			})
		}
		wg.Wait()
		assert.Less(t, sent.Load(), int32(40), "11 at first, then one in five seconds")
		start := time.Now()
		_, err := c.Do(t.Context(), self, nil)
		require.ErrorIs(t, err, canvas.ErrThrottled)
		assert.Less(t, time.Since(start), 5*time.Minute)
	})
}
