package canvastest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

const self = "/api/v1/users/self"

// Requirement: CV-REJECT-OTHER
func TestFaultsByStatus(t *testing.T) {
	var fake canvastest.Server
	status := func() int { return get(t, &fake, self).StatusCode }

	fake.Inject(canvastest.Fault{Route: "GET /api/v1/users/:id", Status: 502, Skip: 1, Times: 2, Header: http.Header{"retry-after": {"3"}}})
	assert.Equal(t, 200, status())
	r := get(t, &fake, self)
	assert.Equal(t, 502, r.StatusCode)
	assert.Contains(t, r.Header.Get("Content-Type"), "text/html")
	assert.Empty(t, r.Header.Get("X-Rate-Limit-Remaining"), "it did not reach Canvas")
	assert.Equal(t, "3", r.Header.Get("Retry-After"))
	assert.Equal(t, http.StatusOK, get(t, &fake, "/health_check").StatusCode, "another route")
	assert.Equal(t, []int{502, 200}, []int{status(), status()})

	fake.Inject(canvastest.Fault{Status: 500})
	r = get(t, &fake, self)
	assert.Contains(t, r.json(t), "error_report_id")
	assert.NotEmpty(t, r.Header.Get("X-Request-Cost"), "it did reach Canvas")
	fake.Inject(canvastest.Fault{Status: 500, HTML: true})
	assert.Contains(t, string(get(t, &fake, self).body), "<html>")
	fake.Inject(canvastest.Fault{Status: 504, Empty: true})
	assert.Empty(t, get(t, &fake, self).body)
	fake.Inject(canvastest.Fault{Status: 429})
	assert.Equal(t, "Page Views rate limit exceeded. Please wait and try again.", get(t, &fake, self).json(t)["error"])
	fake.Inject(canvastest.Fault{Status: 422, Body: `{"message":"no"}`})
	assert.Equal(t, "no", get(t, &fake, self).json(t)["message"])

	fake.Inject(canvastest.Fault{Status: 503, Times: -1})
	assert.Equal(t, []int{503, 503, 503}, []int{status(), status(), status()})
	fake.ClearFaults()
	assert.Equal(t, 200, status())
}

func TestFaultsByChanceRepeatWithTheSeed(t *testing.T) {
	run := func(seed uint64) string {
		fake := &canvastest.Server{Seed: seed}
		fake.Inject(canvastest.Fault{Status: 502, Chance: 0.3, Times: -1})
		var b strings.Builder
		for range 100 {
			if get(t, fake, self).StatusCode == 502 {
				b.WriteByte('x')
			} else {
				b.WriteByte('.')
			}
		}
		return b.String()
	}
	assert.Equal(t, run(1), run(1))
	assert.NotEqual(t, run(1), run(2))
	assert.InDelta(t, 30, strings.Count(run(1), "x"), 15)
}

// The connection breaks, before or after the course was made.
func TestLostAnswers(t *testing.T) {
	for name, client := range clients(t) {
		t.Run(name, func(t *testing.T) {
			fake, c, base := client()
			create := func() error {
				req := request(t, http.MethodPost, base+"/api/v1/accounts/1/courses", url.Values{"course[name]": {"One"}})
				resp, err := c.Do(req)
				if err == nil {
					err = resp.Body.Close()
				}
				return err
			}
			count := func() int {
				return len(do(t, c, request(t, http.MethodGet, base+"/api/v1/accounts/1/courses", nil)).list(t))
			}
			fake.Inject(canvastest.Fault{Reset: true})
			require.Error(t, create())
			assert.Equal(t, 0, count())
			fake.Inject(canvastest.Fault{Reset: true, Effect: true})
			require.Error(t, create())
			assert.Equal(t, 1, count())
			fake.Inject(canvastest.Fault{Status: 502, Effect: true})
			require.NoError(t, create())
			assert.Equal(t, 2, count())
			all := fake.Requests()
			assert.True(t, all[0].Lost)
		})
	}
}

// clients reach a server in memory and on a port.
func clients(t *testing.T) map[string]func() (*canvastest.Server, *http.Client, string) {
	return map[string]func() (*canvastest.Server, *http.Client, string){
		"in memory": func() (*canvastest.Server, *http.Client, string) {
			fake := &canvastest.Server{}
			return fake, fake.Client(), school
		},
		"on a port": func() (*canvastest.Server, *http.Client, string) {
			fake := &canvastest.Server{}
			server := httptest.NewServer(fake)
			t.Cleanup(server.Close)
			return fake, server.Client(), server.URL
		},
	}
}

func TestTruncatedBodies(t *testing.T) {
	for name, client := range clients(t) {
		t.Run(name, func(t *testing.T) {
			fake, c, base := client()
			fake.Inject(canvastest.Fault{Truncate: true, TruncateAt: 20})
			resp, err := c.Do(request(t, http.MethodGet, base+self, nil))
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Len(t, body, 20)
			require.NoError(t, resp.Body.Close())
		})
	}
}

func TestResetIsAReset(t *testing.T) {
	var fake canvastest.Server
	fake.Inject(canvastest.Fault{Reset: true})
	_, err := fake.Client().Do(request(t, http.MethodGet, self, nil))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestNetworkErrors(t *testing.T) {
	var fake canvastest.Server
	fake.SetNetworkError(&net.DNSError{Err: "no such host", Name: "school.example.com", IsNotFound: true})
	_, err := fake.Client().Do(request(t, http.MethodGet, self, nil))
	var dns *net.DNSError
	require.ErrorAs(t, err, &dns)
	assert.Empty(t, fake.Requests())
	fake.SetNetworkError(nil)
	assert.Equal(t, http.StatusOK, get(t, &fake, self).StatusCode)
}

func TestLatencyAndClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{Load: canvastest.Load{Latency: time.Second, Jitter: 0.3}, Seed: 7, ClockSkew: 10 * time.Minute}
		fake.SetLoad("GET /health_check", canvastest.Load{Latency: -1, Cost: 3})
		fake.Inject(canvastest.Fault{Route: "GET /health_check", Latency: time.Hour, ClockSkew: -time.Hour})
		start := time.Now()
		r := get(t, fake, "/health_check")
		assert.Equal(t, time.Hour, time.Since(start))
		assert.Equal(t, start.Add(10*time.Minute-time.Hour).UTC().Format(http.TimeFormat), r.Header.Get("Date"))
		assert.Equal(t, "3.0", r.Header.Get("X-Request-Cost"))
		seen := map[time.Duration]bool{}
		for range 50 {
			before := time.Now()
			get(t, fake, self)
			took := time.Since(before)
			assert.InDelta(t, 1, took.Seconds(), 0.3)
			seen[took] = true
		}
		assert.Greater(t, len(seen), 40)
	})
}

// A client that gives up does not stop Canvas: the course is made, and paid for.
func TestAnAbandonedRequestIsCarriedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{Load: canvastest.Load{Latency: 10 * time.Second}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req := request(t, http.MethodPost, "/api/v1/accounts/1/courses", url.Values{"course[name]": {"One"}}).WithContext(ctx)
		_, err := fake.Client().Do(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.InDelta(t, 50, fake.Bucket(adminBucket), 10.1, "its reservation is held")
		fake.Wait()
		requests := fake.Requests()
		require.Len(t, requests, 1)
		assert.Equal(t, http.StatusOK, requests[0].Status)
		assert.Len(t, get(t, fake, "/api/v1/accounts/1/courses").list(t), 1)
	})
}

func TestARefreshWipesWhatWasMadeInTestOnly(t *testing.T) {
	production, test := &canvastest.Server{}, &canvastest.Server{TestCluster: true}
	kept := production.AddToken(canvastest.Token{})
	testOnly := production.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"test_cluster_only": true})
	o := newTool(t)
	o.register(test, 170000000000009)
	lost := test.AddToken(canvastest.Token{})
	test.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": "Only in test"})
	require.NotEmpty(t, o.token(t, test, progressScope))

	test.Refresh(production)
	assert.Contains(t, string(get(t, test, self, bearer(lost)...).body), "Invalid access token.")
	assert.Equal(t, http.StatusOK, get(t, test, self, bearer(kept)...).StatusCode)
	assert.Equal(t, "JWS signature invalid.", grant(t, test, assertionForm(o.assertion(t, nil), progressScope)).json(t)["error_description"])
	assert.Empty(t, get(t, test, "/api/v1/accounts/1/courses").list(t))

	token := canvastest.Token{Key: testOnly}
	assert.Equal(t, http.StatusOK, get(t, test, self, bearer(test.AddToken(token))...).StatusCode)
	assert.Equal(t, http.StatusUnauthorized, get(t, production, self, bearer(production.AddToken(token))...).StatusCode, "a key for test instances")

	test.Add(canvastest.Courses, canvastest.RootAccount, nil)
	assert.Empty(t, get(t, production, "/api/v1/accounts/1/courses").list(t), "nothing is shared afterwards")
}

func TestTheLogIsLimited(t *testing.T) {
	fake := &canvastest.Server{KeepRequests: 3}
	for range 5 {
		get(t, fake, self)
	}
	get(t, fake, "/health_check")
	requests := fake.Requests()
	require.Len(t, requests, 3)
	assert.Equal(t, "/health_check", requests[2].Path)
	stats := fake.Stats()
	assert.Equal(t, 6, stats.Requests)
	assert.Equal(t, map[string]int{"GET /api/v1/users/:id": 5, "GET /health_check": 1}, stats.Routes)
	assert.InDelta(t, 0.6, stats.Cost, 1e-9)
}

var errStop = errors.New("stop")

// endless is a request body that never ends.
type endless struct{ closed chan struct{} }

func (e *endless) Read(p []byte) (int, error) {
	select {
	case <-e.closed:
		return 0, errStop
	case <-time.After(time.Second):
		return copy(p, "x"), nil
	}
}

func (e *endless) Close() error { close(e.closed); return nil }

func TestTheTransportLetsGoOfBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fake canvastest.Server
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		body := &endless{closed: make(chan struct{})}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, school+"/api/v1/accounts/1/courses", body)
		require.NoError(t, err)
		_, err = fake.Client().Do(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		<-body.closed
		fake.Wait()
	})
}

// A rejection that the bucket does not explain, as when reservations of others
// come and go.
func TestScriptedRejections(t *testing.T) {
	var fake canvastest.Server
	fake.Inject(canvastest.Fault{Route: "POST /api/v1/accounts/:account_id/courses", Throttled: true, Times: 2})
	create := func() reply {
		return send(t, &fake, "POST", "/api/v1/accounts/1/courses", url.Values{"course[name]": {"One"}})
	}
	r := create()
	assert.Equal(t, 429, r.StatusCode)
	assert.Greater(t, remaining(t, r), 500.0)
	assert.Empty(t, r.Header.Get("X-Request-Cost"))
	create()
	assert.Equal(t, 200, create().StatusCode)
	assert.Len(t, get(t, &fake, "/api/v1/accounts/1/courses").list(t), 1, "a rejected request did not run")
	assert.Equal(t, 2, fake.Stats().Rejected)
}
