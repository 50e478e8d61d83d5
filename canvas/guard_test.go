package canvas_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
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
