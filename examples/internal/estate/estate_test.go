package estate_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.acu.edu.au/runbook/examples/internal/estate"
)

const (
	application = "https://qa-automation.acu.edu.au"
	canvas      = "https://aculeo.instructure.com"
)

func start(t testing.TB, cfg estate.Config) *estate.Estate {
	t.Helper()
	e, err := estate.Start(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	return e
}

// get asks with a token, if there is one.
func get(t testing.TB, e *estate.Estate, url, token string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := e.Client().Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body), nil
}

func TestHealthy(t *testing.T) {
	e := start(t, estate.Config{})
	for _, env := range estate.Environments() {
		name := strings.ToUpper(env.Name)
		for _, tt := range []struct{ url, variable, contains string }{
			{"https://" + env.Application + "/health", "", `"status":"healthy"`},
			{"https://" + env.Application + "/health/database", "", `"status":"healthy"`},
			{"https://" + env.Application + "/health/canvas?instance=" + env.Instance, "", `"canvas_details"`},
			{"https://" + env.Application + "/health/canvas/rate-limits", "QA_AUTOMATION_" + name + "_TOKEN", `"canvas_remaining":598.7`},
			{"https://" + env.Application + "/health/metrics", "QA_AUTOMATION_" + name + "_TOKEN", `"active_sessions":42`},
			{"https://" + env.Application + "/.well-known/jwks.json", "", `"alg":"RS256"`},
			{"https://" + env.Canvas + "/health_check", "", "canvas ok"},
			{"https://" + env.Canvas + "/api/v1/users/self", "CANVAS_" + name + "_TOKEN", `"id":1207`},
		} {
			resp, body, err := get(t, e, tt.url, e.Getenv(tt.variable))
			require.NoError(t, err, tt.url)
			assert.Equal(t, http.StatusOK, resp.StatusCode, tt.url)
			assert.Contains(t, body, tt.contains, tt.url)
		}
	}
	assert.Empty(t, e.Getenv("HOME"))
}

// The answers have the names that the runbook's own shell uses.
func TestNamesOfTheRunbook(t *testing.T) {
	e := start(t, estate.Config{})
	_, body, err := get(t, e, application+"/health/metrics", e.Getenv("QA_AUTOMATION_PRODUCTION_TOKEN"))
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &m))
	for _, name := range []string{"active_sessions", "active_qa_tasks", "recent_errors", "memory_usage_mb"} {
		assert.Contains(t, m, name)
	}
}

func TestRefusals(t *testing.T) {
	e := start(t, estate.Config{})
	for _, tt := range []struct {
		url, token string
		code       int
		contains   string
	}{
		{application + "/health/metrics", "", 401, `{"detail":"unauthorized"}`},
		{application + "/health/metrics", "wrong", 401, `{"detail":"unauthorized"}`},
		{application + "/health/metrics", e.Getenv("QA_AUTOMATION_TEST_TOKEN"), 401, `{"detail":"unauthorized"}`},
		{application + "/health/canvas/rate-limits", "", 401, `{"detail":"unauthorized"}`},
		{application + "/health/canvas?instance=production", "", 422, "permitted: 'test', 'beta', 'prod'"},
		{application + "/healthz", "", 404, `{"detail":"Not Found"}`},
		{canvas + "/api/v1/users/self", "", 401, "user authorization required"},
		{canvas + "/api/v1/users/self", "wrong", 401, "Invalid access token."},
		{canvas + "/api/v1/nothing", e.Getenv("CANVAS_PRODUCTION_TOKEN"), 404, "The specified resource does not exist."},
	} {
		resp, body, err := get(t, e, tt.url, tt.token)
		require.NoError(t, err)
		assert.Equal(t, tt.code, resp.StatusCode, tt.url)
		assert.Contains(t, body, tt.contains, tt.url)
		assert.Equal(t, tt.code == 401, resp.Header.Get("WWW-Authenticate") != "", tt.url)
	}
	resp, err := e.Client().Post(application+"/health", "", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, canvas+"/api/v1/users/self", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+e.Getenv("CANVAS_PRODUCTION_TOKEN"))
	req.Header.Set("User-Agent", "")
	resp, err = e.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusForbidden, resp.StatusCode, "Canvas wants to know who asks")
}

// What is wrong is wrong in one environment, and as it would really be.
func TestScenarios(t *testing.T) {
	well := start(t, estate.Config{})
	for scenario, tt := range map[estate.Scenario]struct {
		url, variable string
		code          int
		kind          string
		contains      string
	}{
		estate.ApplicationDown:    {application + "/health", "", 502, "application/json", "Application failed to respond"},
		estate.NotJSON:            {application + "/health", "", 200, "text/html; charset=utf-8", "<!DOCTYPE html>"},
		estate.TokenRejected:      {application + "/health/metrics", "QA_AUTOMATION_PRODUCTION_TOKEN", 401, "application/json", "unauthorized"},
		estate.DatabaseGone:       {application + "/health/database", "", 503, "application/json", `"part":"connection"`},
		estate.RedisGone:          {application + "/health", "", 200, "application/json", `"redis":{"status":"degraded"}`},
		estate.MemoryHigh:         {application + "/health/metrics", "QA_AUTOMATION_PRODUCTION_TOKEN", 200, "application/json", `"memory_usage_mb":481.28`},
		estate.ErrorRateHigh:      {application + "/health/metrics", "QA_AUTOMATION_PRODUCTION_TOKEN", 200, "application/json", `"recent_requests":50`},
		estate.RecentErrors:       {application + "/health/metrics", "QA_AUTOMATION_PRODUCTION_TOKEN", 200, "application/json", `"recent_errors":9`},
		estate.CanvasDown:         {canvas + "/health_check", "", 500, "text/html; charset=utf-8", "Page Error"},
		estate.CanvasMaintenance:  {canvas + "/api/v1/users/self", "", 503, "text/html; charset=utf-8", "scheduled maintenance"},
		estate.CanvasThrottled:    {canvas + "/api/v1/users/self", "CANVAS_PRODUCTION_TOKEN", 429, "text/plain; charset=utf-8", "Rate Limit Exceeded"},
		estate.CanvasThrottled403: {canvas + "/api/v1/users/self", "CANVAS_PRODUCTION_TOKEN", 403, "text/plain; charset=utf-8", "403 Forbidden (Rate Limit Exceeded)\n"},
		estate.CanvasTokenRevoked: {canvas + "/api/v1/users/self", "CANVAS_PRODUCTION_TOKEN", 401, "application/json; charset=utf-8", "Revoked access token."},
		estate.Slow:               {application + "/health", "", 200, "application/json", "healthy"},
	} {
		t.Run(string(scenario), func(t *testing.T) {
			e := start(t, estate.Config{Scenario: scenario, Slow: 50 * time.Millisecond})
			began := time.Now()
			resp, body, err := get(t, e, tt.url, e.Getenv(tt.variable))
			require.NoError(t, err)
			assert.Equal(t, tt.code, resp.StatusCode)
			assert.Equal(t, tt.kind, resp.Header.Get("Content-Type"))
			assert.Contains(t, body, tt.contains)
			if scenario == estate.Slow {
				assert.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
			}
			if strings.HasPrefix(string(scenario), "canvas-throttled") {
				assert.NotEmpty(t, resp.Header.Get("X-Rate-Limit-Remaining"))
				assert.Empty(t, resp.Header.Get("X-Request-Cost"), "a refusal has no cost")
			}
			url := strings.NewReplacer("qa-automation.acu.edu.au", "qa-automation-test.railway.app", "aculeo.", "aculeo.test.").Replace(tt.url)
			token := e.Getenv(strings.Replace(tt.variable, "PRODUCTION", "TEST", 1))
			_, want, err := get(t, well, url, token)
			require.NoError(t, err)
			_, got, err := get(t, e, url, token)
			require.NoError(t, err)
			assert.Equal(t, want, got, "another environment is well")
		})
	}
}

// Failures of the connection are the real errors.
func TestConnections(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		_, _, err := get(t, start(t, estate.Config{Scenario: estate.Unreachable}), application, "")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.Contains(t, err.Error(), "dial tcp qa-automation.acu.edu.au:443")
	})
	t.Run("no such name", func(t *testing.T) {
		e := start(t, estate.Config{Scenario: estate.NameUnknown})
		for _, url := range []string{application, "https://example.com"} {
			_, _, err := get(t, e, url, "")
			dns, ok := errors.AsType[*net.DNSError](err)
			require.True(t, ok)
			assert.True(t, dns.IsNotFound)
		}
	})
	t.Run("expired", func(t *testing.T) {
		_, _, err := get(t, start(t, estate.Config{Scenario: estate.CertificateExpired}), application, "")
		invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
		require.True(t, ok)
		assert.Equal(t, x509.Expired, invalid.Reason)
	})
	t.Run("expiring", func(t *testing.T) {
		resp, _, err := get(t, start(t, estate.Config{Scenario: estate.CertificateExpiring}), application+"/health", "")
		require.NoError(t, err)
		left := time.Until(resp.TLS.PeerCertificates[0].NotAfter)
		assert.Equal(t, 6, int(left/(24*time.Hour)))
	})
	t.Run("another authority", func(t *testing.T) {
		e := start(t, estate.Config{})
		address, ok := e.Address("qa-automation.acu.edu.au")
		require.True(t, ok)
		pool := x509.NewCertPool()
		dial := func(pool *x509.CertPool) error {
			conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: "qa-automation.acu.edu.au"})
			if err == nil {
				err = conn.Close()
			}
			return err
		}
		_, ok = errors.AsType[x509.UnknownAuthorityError](dial(pool))
		assert.True(t, ok)
		require.True(t, pool.AppendCertsFromPEM(e.Authority()))
		assert.NoError(t, dial(pool))
		_, ok = e.Address("example.com")
		assert.False(t, ok)
	})
}

// Close ends answers that never come, more than once, and leaves nothing behind.
func TestClose(t *testing.T) {
	e, err := estate.Start(estate.Config{Scenario: estate.Hanging})
	require.NoError(t, err)
	asked := make(chan struct{})
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(asked) }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, application+"/health", nil)
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if resp, err := e.Client().Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-asked
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	<-ended
	_, err = e.Client().Get(application + "/health")
	assert.Error(t, err)
}

func TestConfigIsChecked(t *testing.T) {
	_, err := estate.Start(estate.Config{Scenario: "flood", Environment: "staging", Latency: -1})
	assert.EqualError(t, err, "estate: there is no scenario \"flood\"\nthere is no environment \"staging\"\nlatency and slow must not be negative")
}

func TestScenariosAreDescribed(t *testing.T) {
	all := estate.Scenarios()
	assert.Equal(t, estate.Healthy, all[0].Scenario)
	for i, d := range all {
		assert.NotEmpty(t, d.Text)
		assert.Equal(t, i, slices.IndexFunc(all, func(other estate.Description) bool { return other.Scenario == d.Scenario }), "once")
	}
	e := start(t, estate.Config{Scenario: estate.DatabaseGone, Environment: "beta"})
	resp, _, err := get(t, e, "https://qa-automation-beta.railway.app/health", "")
	require.NoError(t, err)
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	resp, _, err = get(t, e, application+"/health", "")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
}
