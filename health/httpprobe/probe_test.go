package httpprobe_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/health/httpprobe"
)

// answer returns a handler that always answers the same.
func answer(code int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func must(t testing.TB, cfg httpprobe.Config) *httpprobe.Prober {
	t.Helper()
	p, err := httpprobe.New(cfg)
	require.NoError(t, err)
	return p
}

// rest returns a message without the method and URL that it begins with.
func rest(r health.Result) string {
	if _, after, ok := strings.Cut(r.Message, "/: "); ok {
		return after
	}
	return r.Message
}

func ptr(f float64) *float64 { return &f }

// TestProber runs the conformance suite. The server repeats the credential in
// the value that is asserted, and the URL holds another in its query.
//
// Requirement: HL-PROBE-ONE-ATTEMPT
func TestProber(t *testing.T) {
	var requests atomic.Int64
	token := canary + "-token"
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		fmt.Fprintf(w, `{"status":"ok","echo":%q}`, r.Header.Get("Authorization"))
	})
	config := func(url string) httpprobe.Config {
		return httpprobe.Config{
			URL:     url + "/?key=" + canary,
			Auth:    httpprobe.Auth{Bearer: runbook.NewSecret(token)},
			Assert:  []httpprobe.Assertion{{Path: ".status", Want: map[string]health.Status{"ok": health.Healthy}}},
			Extract: []httpprobe.Field{{Path: ".echo"}},
		}
	}
	healthtest.TestProber(t, healthtest.ProberHarness{
		Healthy: func(t testing.TB) health.Prober { return must(t, config(serve(t, echo).URL)) },
		Down: func(t testing.TB) (health.Prober, health.Cause) {
			s := serve(t, echo)
			s.Close()
			return must(t, config(s.URL)), health.CauseRefused
		},
		Hanging: func(t testing.TB) health.Prober {
			s := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
			return must(t, config(s.URL))
		},
		Secrets: []string{canary, token},
	})
	assert.Equal(t, int64(1+8), requests.Load(), "requests for 9 probes")
}

// TestStatus shows what each status code means.
//
// Requirement: HL-WANT-2
func TestStatus(t *testing.T) {
	const text, page = "text/plain", "text/html"
	for _, c := range []struct {
		name    string
		cfg     httpprobe.Config
		handler http.HandlerFunc
		status  health.Status
		cause   health.Cause
		want    string
	}{
		{"any 2xx", httpprobe.Config{}, answer(204, "", ""), health.Healthy, "", ""},
		{"another than wanted", httpprobe.Config{Status: []int{200, 204}}, answer(202, "", ""), health.Unhealthy, health.CauseStatus, "answered 202 (Accepted), want 200 or 204"},
		{"server error", httpprobe.Config{}, answer(500, text, "stack trace"), health.Unhealthy, health.CauseStatus, "answered 500 (Internal Server Error), want 200 to 299"},
		{"a code without a name", httpprobe.Config{}, answer(520, text, ""), health.Unhealthy, health.CauseStatus, "answered 520, want 200 to 299"},
		{"wanted refusal", httpprobe.Config{Status: []int{401}}, answer(401, text, ""), health.Healthy, "", ""},
		{"open door", httpprobe.Config{Status: []int{401}}, answer(200, text, ""), health.Unhealthy, health.CauseStatus, "answered 200 (OK), want 401"},
		{"no credential", httpprobe.Config{}, answer(401, text, ""), health.Unhealthy, health.CauseUnauthorized, "answered 401 (Unauthorized) to a request without a credential, want 200 to 299"},
		{"bad credential", httpprobe.Config{Auth: httpprobe.Auth{Bearer: runbook.NewSecret("bad!")}}, answer(403, text, "no"), health.Unhealthy, health.CauseUnauthorized, "answered 403 (Forbidden): the credential was not accepted, want 200 to 299"},
		{"rate limit", httpprobe.Config{}, answer(429, text, ""), health.Degraded, health.CauseThrottled, "answered 429 (Too Many Requests): a rate limit"},
		{"Canvas' rate limit", httpprobe.Config{}, answer(403, text, "403 Forbidden (Rate Limit Exceeded)\n"), health.Degraded, health.CauseThrottled, "answered 403 (Forbidden) with the text of a rate limit"},
		{"Canvas' rate limit where a refusal is wanted", httpprobe.Config{Status: []int{403}}, answer(403, text, "403 Forbidden (Rate Limit Exceeded)\n"), health.Degraded, health.CauseThrottled, "answered 403 (Forbidden) with the text of a rate limit"},
		{"rate limit with a time", httpprobe.Config{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(429)
		}, health.Degraded, health.CauseThrottled, "answered 429 (Too Many Requests): a rate limit, to be tried again after 120"},
		{"maintenance", httpprobe.Config{Maintenance: []int{503}}, answer(503, page, "<html>back soon"), health.Maintenance, health.CauseMaintenance, "answered 503 (Service Unavailable), which means maintenance"},
		{"no maintenance", httpprobe.Config{Maintenance: []int{503}}, answer(502, page, "<html>"), health.Unhealthy, health.CauseStatus, "answered 502 (Bad Gateway), want 200 to 299"},
		{"text", httpprobe.Config{Contains: "canvas ok"}, answer(200, page, "<html><body>canvas ok</body>"), health.Healthy, "", ""},
		{"other text", httpprobe.Config{Contains: "canvas ok"}, answer(200, page, "<html>secret"), health.Unhealthy, health.CauseAssertion, `answered 200 (OK) without "canvas ok" in its body`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.URL = serve(t, c.handler).URL + "/"
			r := must(t, c.cfg).Probe(t.Context())
			assert.Equal(t, c.status, r.Status)
			assert.Equal(t, c.cause, r.Cause)
			assert.Equal(t, c.want, rest(r))
			if c.want != "" {
				assert.Equal(t, "GET "+c.cfg.URL+": "+c.want, r.Message)
			}
		})
	}
}

// TestJSON shows what is demanded of a JSON body, and what is read in it.
//
// Requirement: HL-WANT-2
func TestJSON(t *testing.T) {
	want := map[string]health.Status{"healthy": health.Healthy, "ok": health.Healthy, "warming_up": health.Degraded, "maintenance": health.Maintenance, "broken": health.Unhealthy}
	status := []httpprobe.Assertion{{Path: ".status", Want: want}}
	memory := []httpprobe.Field{{Path: ".memory_usage_mb", Unit: health.Megabytes, Limit: health.Limit{Warn: ptr(500), Fail: ptr(900)}}}
	share := []httpprobe.Field{{Path: ".used", Of: ".max", Name: "share", Limit: health.Limit{Fail: ptr(90)}}}
	for _, c := range []struct {
		name   string
		cfg    httpprobe.Config
		code   int
		body   string
		status health.Status
		cause  health.Cause
		want   string
		values string // measurements of the body
	}{
		{"as wanted", httpprobe.Config{Assert: status, Extract: memory}, 200, `{"status":"healthy","memory_usage_mb":412.5}`, health.Healthy, "", "", "memory_usage_mb 412.5 MB"},
		{"a lesser state", httpprobe.Config{Assert: status}, 200, `{"status":"warming_up"}`, health.Degraded, health.CauseAssertion, `.status is "warming_up", which means degraded`, ""},
		{"a bad state", httpprobe.Config{Assert: status}, 200, `{"status":"broken"}`, health.Unhealthy, health.CauseAssertion, `.status is "broken", which means unhealthy`, ""},
		{"maintenance", httpprobe.Config{Assert: status}, 200, `{"status":"maintenance"}`, health.Maintenance, health.CauseMaintenance, `.status is "maintenance"`, ""},
		{"another value", httpprobe.Config{Assert: status}, 200, `{"status":"DOWN\u001b[2J"}`, health.Unhealthy, health.CauseAssertion, `.status is "DOWN[2J", want "healthy" or "ok"`, ""},
		{"a long value", httpprobe.Config{Assert: status}, 200, `{"status":"` + strings.Repeat("x", 5000) + `"}`, health.Unhealthy, health.CauseAssertion, `.status is "` + strings.Repeat("x", 100) + `…", want "healthy" or "ok"`, ""},
		{"no value", httpprobe.Config{Assert: status}, 200, `{"state":"healthy"}`, health.Unhealthy, health.CauseMissing, `.status is missing, want "healthy" or "ok"`, ""},
		{"null", httpprobe.Config{Assert: status}, 200, `{"status":null}`, health.Unhealthy, health.CauseAssertion, `.status is null, want "healthy" or "ok"`, ""},
		{"an object", httpprobe.Config{Assert: status}, 200, `{"status":{}}`, health.Unhealthy, health.CauseAssertion, `.status is an object, want "healthy" or "ok"`, ""},
		{"twice", httpprobe.Config{Assert: status}, 200, `{"status":"broken","status":"ok"}`, health.Unhealthy, health.CauseAssertion, `.status is there more than once, want "healthy" or "ok"`, ""},
		{"a number", httpprobe.Config{Assert: []httpprobe.Assertion{{Path: ".code", Want: map[string]health.Status{"200": health.Healthy}}}}, 200, `{"code":503}`, health.Unhealthy, health.CauseAssertion, `.code is 503, want "200"`, ""},
		{"a boolean", httpprobe.Config{Assert: []httpprobe.Assertion{{Path: ".ok", Want: map[string]health.Status{"true": health.Healthy}}}}, 200, `{"ok":true}`, health.Healthy, "", "", ""},
		{"wanted null", httpprobe.Config{Assert: []httpprobe.Assertion{{Path: ".error", Want: map[string]health.Status{"null": health.Healthy}}}}, 200, `{"error":null}`, health.Healthy, "", "", ""},
		{"the worst decides", httpprobe.Config{Assert: status, Extract: memory}, 200, `{"status":"warming_up","memory_usage_mb":1000}`, health.Unhealthy, health.CauseThreshold, `memory_usage_mb 1000 MB, more than 900; .status is "warming_up", which means degraded`, "memory_usage_mb 1000 MB"},

		{"near a limit", httpprobe.Config{Extract: memory}, 200, `{"memory_usage_mb":512}`, health.Degraded, health.CauseThreshold, "memory_usage_mb 512 MB, more than 500", "memory_usage_mb 512 MB"},
		{"missing number", httpprobe.Config{Extract: memory}, 200, `{}`, health.Unhealthy, health.CauseMissing, ".memory_usage_mb is missing", ""},
		{"null number", httpprobe.Config{Extract: memory}, 200, `{"memory_usage_mb":null}`, health.Unhealthy, health.CauseMissing, ".memory_usage_mb is null", ""},
		{"text for a number", httpprobe.Config{Extract: memory}, 200, `{"memory_usage_mb":"412"}`, health.Unhealthy, health.CauseAssertion, ".memory_usage_mb is text, want a number", ""},
		{"list for anything", httpprobe.Config{Extract: []httpprobe.Field{{Path: ".n"}}}, 200, `{"n":[]}`, health.Unhealthy, health.CauseAssertion, ".n is a list, want a number or text", ""},
		{"number without end", httpprobe.Config{Extract: memory}, 200, `{"memory_usage_mb":1e999}`, health.Unhealthy, health.CauseAssertion, ".memory_usage_mb is too large a number: 1e999", ""},
		{"number twice", httpprobe.Config{Extract: memory}, 200, `{"memory_usage_mb":1,"memory_usage_mb":2}`, health.Unhealthy, health.CauseAssertion, ".memory_usage_mb is there more than once", ""},
		{"optional", httpprobe.Config{Extract: []httpprobe.Field{{Path: ".a", Optional: true}, {Path: ".b", Optional: true}, {Path: ".c", Optional: true}}}, 200, `{"b":null,"c":""}`, health.Healthy, "", "", ""},
		{"optional of a wrong type", httpprobe.Config{Extract: []httpprobe.Field{{Path: ".a", Optional: true}}}, 200, `{"a":{}}`, health.Unhealthy, health.CauseAssertion, ".a is an object, want a number or text", ""},
		{"text and boolean", httpprobe.Config{Extract: []httpprobe.Field{{Path: ".version"}, {Path: ".debug"}}}, 200, `{"version":"1.2\n3","debug":false}`, health.Healthy, "", "", "version 1.2 3, debug false"},
		{"empty text", httpprobe.Config{Extract: []httpprobe.Field{{Path: ".version"}}}, 200, `{"version":""}`, health.Unhealthy, health.CauseMissing, ".version is empty", ""},
		{"scaled", httpprobe.Config{Extract: []httpprobe.Field{{Path: ".rss", Name: "memory", Scale: 1.0 / 1024, Unit: health.Megabytes}}}, 200, `{"rss":2048}`, health.Healthy, "", "", "memory 2 MB"},
		{"scaled without end", httpprobe.Config{Extract: []httpprobe.Field{{Path: ".n", Scale: 1e10}}}, 200, `{"n":1e300}`, health.Unhealthy, health.CauseAssertion, ".n is too large a number", ""},
		{"share", httpprobe.Config{Extract: share}, 200, `{"used":95,"max":100}`, health.Unhealthy, health.CauseThreshold, "share 95 %, more than 90", "share 95 %"},
		{"share of nothing", httpprobe.Config{Extract: share}, 200, `{"used":0,"max":0}`, health.Unhealthy, health.CauseMissing, ".max is 0, so that .used has no share of it", ""},
		{"share of something missing", httpprobe.Config{Extract: share}, 200, `{"used":0}`, health.Unhealthy, health.CauseMissing, ".max is missing", ""},
		{"share of text", httpprobe.Config{Extract: share}, 200, `{"used":1,"max":"2"}`, health.Unhealthy, health.CauseAssertion, ".max is text, want a number", ""},

		{"failing status with a reason", httpprobe.Config{Assert: status, Extract: memory}, 503, `{"status":"broken","memory_usage_mb":100}`, health.Unhealthy, health.CauseStatus, `answered 503 (Service Unavailable), want 200 to 299; .status is "broken", which means unhealthy`, "memory_usage_mb 100 MB"},
		{"failing status with another body", httpprobe.Config{Assert: status, Extract: memory}, 500, `{"detail":"Internal Server Error"}`, health.Unhealthy, health.CauseStatus, "answered 500 (Internal Server Error), want 200 to 299", ""},
		{"failing status without JSON", httpprobe.Config{Assert: status}, 500, `oops`, health.Unhealthy, health.CauseStatus, "answered 500 (Internal Server Error), want 200 to 299", ""},
		{"maintenance with a body", httpprobe.Config{Assert: status, Extract: memory, Maintenance: []int{503}}, 503, `{"status":"broken","memory_usage_mb":1000}`, health.Maintenance, health.CauseMaintenance, "answered 503 (Service Unavailable), which means maintenance", "memory_usage_mb 1000 MB"},
		{"accepted failing status decided by the body", httpprobe.Config{Assert: status, Status: []int{200, 503}}, 503, `{"status":"warming_up"}`, health.Degraded, health.CauseAssertion, `.status is "warming_up", which means degraded`, ""},
		{"throttled with a body", httpprobe.Config{Assert: status, Extract: memory}, 429, `{"status":"broken","memory_usage_mb":1000}`, health.Degraded, health.CauseThrottled, "answered 429 (Too Many Requests): a rate limit", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.URL = serve(t, answer(c.code, "application/json", c.body)).URL + "/"
			r := must(t, c.cfg).Probe(t.Context())
			assert.Equal(t, c.status, r.Status)
			assert.Equal(t, c.cause, r.Cause)
			assert.Equal(t, c.want, rest(r))
			assert.Equal(t, c.values, strings.Join(bodyMeasurements(r), ", "))
		})
	}
}

// bodyMeasurements returns those that come from the body.
func bodyMeasurements(r health.Result) (values []string) {
	for _, m := range r.Measurements {
		switch m.Name {
		case "status_code", "response_time", "dns", "connect", "tls", "first_byte", "transfer", "certificate_expiry":
		default:
			values = append(values, m.String())
		}
	}
	return values
}

func TestNotJSON(t *testing.T) {
	for _, c := range []struct{ name, contentType, body, want string }{
		{"HTML", "text/html; charset=utf-8", "<!DOCTYPE html><title>Sign in</title>", "an HTML page"},
		{"HTML that claims to be JSON", "application/json", "\n<html>", "an HTML page"},
		{"text", "text/plain", "hello", `a body of type "text/plain" that is not valid JSON: error at byte 1`},
		{"nothing", "application/json", " \n", "an empty body"},
		{"part", "application/json", `{"status":`, "a body that is not complete JSON: it ends after byte 10"},
		{"almost", "application/problem+json", `{'status':1}`, "a body that is not valid JSON: error at byte 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, answer(200, c.contentType, c.body))
			r := must(t, httpprobe.Config{URL: s.URL + "/", Extract: []httpprobe.Field{{Path: ".status"}}}).Probe(t.Context())
			assert.Equal(t, health.Unhealthy, r.Status)
			assert.Equal(t, health.CauseNotJSON, r.Cause)
			assert.Equal(t, "answered 200 (OK) with "+c.want+", want JSON", rest(r))
		})
	}
	t.Run("encoding that was not asked for", func(t *testing.T) {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			fmt.Fprint(w, "\x0b\x02\x80")
		}))
		r := must(t, httpprobe.Config{URL: s.URL + "/", Extract: []httpprobe.Field{{Path: ".status"}}}).Probe(t.Context())
		assert.Equal(t, `answered 200 (OK) with a body in the encoding "br", want JSON`, rest(r))
	})
}

// TestRequest shows what is sent.
func TestRequest(t *testing.T) {
	type sent struct {
		Method, Host, Body, Query string
		Header                    http.Header
	}
	secret := runbook.NewSecret(canary)
	for _, c := range []struct {
		name string
		cfg  httpprobe.Config
		want sent
	}{
		{"default", httpprobe.Config{}, sent{Method: "GET", Header: http.Header{"User-Agent": {"runbook-httpprobe"}}}},
		{"for JSON", httpprobe.Config{Status: []int{200}, Extract: []httpprobe.Field{{Path: ".a", Optional: true}}}, sent{Method: "GET", Header: http.Header{"User-Agent": {"runbook-httpprobe"}, "Accept": {"application/json"}}}},
		{"everything", httpprobe.Config{Method: "POST", Body: "ping", Header: http.Header{"Host": {"canvas.test"}, "User-Agent": {"mine"}, "Accept": {"text/html"}, "X-Two": {"1", "2"}}},
			sent{Method: "POST", Host: "canvas.test", Body: "ping", Header: http.Header{"User-Agent": {"mine"}, "Accept": {"text/html"}, "X-Two": {"1", "2"}, "Content-Length": {"4"}}}},
		{"bearer", httpprobe.Config{Auth: httpprobe.Auth{Bearer: secret}}, sent{Method: "GET", Header: http.Header{"User-Agent": {"runbook-httpprobe"}, "Authorization": {"Bearer " + canary}}}},
		{"basic", httpprobe.Config{Auth: httpprobe.Auth{Username: "u", Password: secret}}, sent{Method: "GET", Header: http.Header{"User-Agent": {"runbook-httpprobe"}, "Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+canary))}}}},
		{"own header", httpprobe.Config{Auth: httpprobe.Auth{Header: "x-api-key", Value: secret}}, sent{Method: "GET", Header: http.Header{"User-Agent": {"runbook-httpprobe"}, "X-Api-Key": {canary}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got sent
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				got = sent{r.Method, r.Host, string(body), r.URL.RawQuery, r.Header}
				_, _ = io.WriteString(w, "{}")
			}))
			c.cfg.URL = s.URL + "/?a=b"
			r := must(t, c.cfg).Probe(t.Context())
			require.Equal(t, health.Healthy, r.Status, r.Message)
			if c.want.Host == "" {
				c.want.Host = strings.TrimPrefix(s.URL, "http://")
			}
			c.want.Query = "a=b"
			c.want.Header.Set("Accept-Encoding", "gzip")
			c.want.Header.Set("Connection", "close")
			assert.Empty(t, cmp.Diff(c.want, got))
		})
	}
}

// TestMeasurements shows what is always measured.
//
// Requirement: HL-ASK-PHASES
func TestMeasurements(t *testing.T) {
	names := func(r health.Result) (names []string) {
		for _, m := range r.Measurements {
			names = append(names, m.Name)
			if m.Name != "status_code" && m.Name != "certificate_expiry" {
				assert.Equal(t, health.Milliseconds, m.Unit)
				assert.GreaterOrEqual(t, m.Value, 0.0)
			}
		}
		return names
	}
	h := answer(200, "", "ok")
	s := serve(t, h)
	before := time.Now()
	r := must(t, httpprobe.Config{URL: s.URL}).Probe(t.Context())
	assert.Equal(t, []string{"response_time", "status_code", "dns", "connect", "first_byte", "transfer"}, names(r))
	code, _ := r.Measurement("status_code")
	assert.Equal(t, 200.0, code.Value)
	total, _ := r.Measurement("response_time")
	assert.InDelta(t, r.Duration.Seconds()*1000, total.Value, 0.001)
	assert.False(t, r.Time.Before(before))
	var sum float64
	for _, m := range r.Measurements[2:] {
		sum += m.Value
	}
	assert.LessOrEqual(t, sum, total.Value+0.01, "phases are parts of the whole")

	secure := httptest.NewTLSServer(h)
	t.Cleanup(secure.Close)
	r = must(t, httpprobe.Config{URL: secure.URL, HTTP: secure.Client()}).Probe(t.Context())
	assert.Equal(t, []string{"response_time", "status_code", "dns", "connect", "tls", "first_byte", "transfer", "certificate_expiry"}, names(r))

	again := must(t, httpprobe.Config{URL: secure.URL, HTTP: secure.Client()}).Probe(t.Context())
	connect, _ := again.Measurement("connect")
	assert.Zero(t, connect.Value, "the connection of the host's client was used again")

	s.Close()
	r = must(t, httpprobe.Config{URL: s.URL}).Probe(t.Context())
	assert.Empty(t, names(r), "a refused connection finished no phase")
}

// TestCancelled shows that a probe that nobody waits for says nothing about the
// service.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	r := must(t, httpprobe.Config{URL: s.URL + "/"}).Probe(ctx)
	assert.Equal(t, health.Unknown, r.Status)
	assert.Equal(t, health.CauseNotAsked, r.Cause)
	assert.Equal(t, "the probe was cancelled while waiting for the answer", rest(r))

	ctx, cancel = context.WithCancel(t.Context())
	s = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		w.(http.Flusher).Flush()
		time.AfterFunc(20*time.Millisecond, cancel)
		<-r.Context().Done()
	}))
	r = must(t, httpprobe.Config{URL: s.URL + "/"}).Probe(ctx)
	assert.Equal(t, health.Unknown, r.Status)
}
