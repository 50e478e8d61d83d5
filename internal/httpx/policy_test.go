package httpx_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
)

func answer(r *http.Request, status int, h http.Header, body string) *http.Response {
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}
}

// script answers the requests one after the other, and repeats the last.
type script struct {
	mu      sync.Mutex
	answers []func(*http.Request) *http.Response
	seen    []*http.Request
	at      []time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.answers[min(len(s.seen), len(s.answers)-1)]
	s.seen = append(s.seen, r)
	s.at = append(s.at, time.Now())
	return f(r), nil
}

func status(code int, h http.Header) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response { return answer(r, code, h, http.StatusText(code)) }
}

// 502 after the effect is the classic trap: the proxy says no, the server did it.
func TestWhichAnswersAreAskedForAgain(t *testing.T) {
	t.Parallel()
	after := http.Header{"Retry-After": {"1"}}
	tests := []struct {
		name   string
		status int
		header http.Header
		read   int // attempts of a read
	}{
		{"200", 200, nil, 1}, {"404", 404, nil, 1}, {"429 without Retry-After", 429, nil, 1}, {"429", 429, after, 4},
		{"500", 500, nil, 4}, {"501", 501, nil, 1}, {"502", 502, nil, 4}, {"503", 503, nil, 4}, {"503 with Retry-After", 503, after, 4},
		{"504", 504, nil, 4}, {"503 with a long Retry-After", 503, http.Header{"Retry-After": {"3600"}}, 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, call := range []httpx.Call{{Method: "GET"}, {Method: "HEAD"}, {Method: "DELETE", Idempotent: true}, {Method: "POST"}, {Method: "PUT"}, {Method: "DELETE"}} {
					s := &script{answers: []func(*http.Request) *http.Response{status(tc.status, tc.header)}}
					call.URL = parse(t, "https://canvas.test/x")
					resp, err := httpx.New(httpx.Config{HTTP: &http.Client{Transport: s}}).Do(t.Context(), call)
					require.NoError(t, err)
					want := tc.read
					if call.Method == "POST" || call.Method == "PUT" || call.Method == "DELETE" && !call.Idempotent {
						want = 1
					}
					assert.Len(t, s.seen, want, call.Method)
					assert.Equal(t, tc.status, resp.Status)
					assert.Equal(t, want, resp.Attempts)
					assert.False(t, resp.Unrun)
					assert.False(t, runbook.SafeToRetry(resp.Err("test")))
				}
			})
		})
	}
}

func TestRejectedMutationIsRepeatedWithItsBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bodies []string
		s := &script{}
		keep := func(code int) func(*http.Request) *http.Response {
			return func(r *http.Request) *http.Response {
				body, _ := io.ReadAll(r.Body)
				bodies = append(bodies, string(body))
				return answer(r, code, nil, "rejected")
			}
		}
		s.answers = []func(*http.Request) *http.Response{keep(403), keep(403), keep(201)}
		cfg := httpx.Config{HTTP: &http.Client{Transport: s}, Unrun: func(r *http.Response, body []byte) (time.Duration, bool) {
			return 3 * time.Second, r.StatusCode == 403 && string(body) == "rejected"
		}}
		start := time.Now()
		resp, err := httpx.New(cfg).Do(t.Context(), httpx.Call{Method: "POST", URL: parse(t, "https://canvas.test"), Body: []byte("all of it")})
		require.NoError(t, err)
		assert.Equal(t, 201, resp.Status)
		assert.Equal(t, []string{"all of it", "all of it", "all of it"}, bodies)
		assert.Equal(t, 6*time.Second, time.Since(start))

		// Within the deadline: the rejection is returned before time runs out.
		s.answers, s.seen = []func(*http.Request) *http.Response{keep(403)}, nil
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		resp, err = httpx.New(cfg).Do(ctx, httpx.Call{Method: "POST", URL: parse(t, "https://canvas.test"), Body: []byte("x")})
		require.NoError(t, err)
		assert.Equal(t, 403, resp.Status)
		assert.Equal(t, 4, resp.Attempts)
		assert.True(t, runbook.SafeToRetry(resp.Err("test")), "no attempt was run")
	})
}

func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []func(*http.Request) *http.Response{status(503, nil)}}
		_, err := httpx.New(httpx.Config{HTTP: &http.Client{Transport: s}, Retries: 12, MinWait: time.Second, MaxWait: 8 * time.Second}).Do(t.Context(), httpx.Call{URL: parse(t, "https://x.test")})
		require.NoError(t, err)
		require.Len(t, s.at, 13)
		for i := range s.at[1:] {
			limit := min(time.Second<<i, 8*time.Second)
			assert.Less(t, s.at[i+1].Sub(s.at[i]), limit)
		}
		// In both forms of Retry-After the wait is at least what is asked for.
		for _, form := range []string{"seconds", "date"} {
			value := "5"
			if form == "date" {
				value = time.Now().Add(6 * time.Second).UTC().Format(http.TimeFormat)
			}
			s = &script{answers: []func(*http.Request) *http.Response{status(503, http.Header{"Retry-After": {value}}), status(200, nil)}}
			_, err = httpx.New(httpx.Config{HTTP: &http.Client{Transport: s}}).Do(t.Context(), httpx.Call{URL: parse(t, "https://x.test")})
			require.NoError(t, err)
			assert.GreaterOrEqual(t, s.at[1].Sub(s.at[0]), 5*time.Second)
			assert.Less(t, s.at[1].Sub(s.at[0]), 7*time.Second)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for value, want := range map[string]time.Duration{
			"": -1, "0": 0, "120": 2 * time.Minute, "-1": -1, "1.5": -1, "soon": -1, "99999999999": -1,
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat):  time.Minute,
			time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
		} {
			got, ok := httpx.RetryAfter(http.Header{"Retry-After": {value}})
			assert.Equal(t, want >= 0, ok, value)
			assert.Equal(t, max(0, want), got, value)
		}
	})
}

func TestContextEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []func(*http.Request) *http.Response{status(503, nil)}}
		c := httpx.New(httpx.Config{HTTP: &http.Client{Transport: s}, Retries: 1000, MaxRejections: 1000})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Second, cancel)
		_, err := c.Do(ctx, httpx.Call{Op: "test", URL: parse(t, "https://x.test")})
		require.ErrorIs(t, err, context.Canceled)
		assert.False(t, runbook.SafeToRetry(err))
	})
	// An attempt that hangs is not the end of the caller's context.
	synctest.Test(t, func(t *testing.T) {
		hang := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		_, err := httpx.New(httpx.Config{HTTP: &http.Client{Transport: hang, Timeout: 5 * time.Second}}).Do(t.Context(), httpx.Call{Op: "test", URL: parse(t, "https://x.test")})
		require.Error(t, err)
		assert.NotErrorIs(t, err, context.DeadlineExceeded)
		timeout, ok := errors.AsType[net.Error](err)
		assert.True(t, ok && timeout.Timeout())
	})
}

func TestAdmissionSeesEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []func(*http.Request) *http.Response{status(503, nil), status(503, nil), status(200, nil)}}
		asked := 0
		cfg := httpx.Config{HTTP: &http.Client{Transport: s}, AttemptTimeout: time.Second, Admit: func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				asked++
				time.Sleep(time.Minute) // waiting for admission is not part of the attempt
				return next.RoundTrip(r)
			})
		}}
		resp, err := httpx.New(cfg).Do(t.Context(), httpx.Call{URL: parse(t, "https://x.test")})
		require.NoError(t, err)
		assert.Equal(t, 200, resp.Status)
		assert.Equal(t, 3, asked)
	})
	synctest.Test(t, func(t *testing.T) {
		busy := errors.New("busy")
		cfg := httpx.Config{HTTP: &http.Client{Transport: &script{}}, MaxRejections: 5, Admit: func(http.RoundTripper) http.RoundTripper {
			return roundTripper(func(*http.Request) (*http.Response, error) { return nil, &httpx.Refusal{Err: busy, After: time.Second} })
		}}
		_, err := httpx.New(cfg).Do(t.Context(), httpx.Call{Op: "test", Method: "POST", URL: parse(t, "https://x.test")})
		require.ErrorIs(t, err, busy)
		assert.True(t, runbook.SafeToRetry(err))
		assert.Equal(t, "test: x.test: not sent (6 attempts): busy", err.Error())
	})
}

// What has ended before it was sent is proven not to have run.
func TestContextThatHasEnded(t *testing.T) {
	t.Parallel()
	s := newRaw(t, func(_ int, conn net.Conn) { write(conn, answer200) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := quick(httpx.Config{}).Do(ctx, httpx.Call{Op: "test", Method: "POST", URL: parse(t, s.url()), Body: []byte("x")})
	require.ErrorIs(t, err, context.Canceled)
	assert.True(t, runbook.SafeToRetry(err))
	assert.Zero(t, s.count())
}
