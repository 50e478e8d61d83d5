//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/internal/services"
)

func TestEveryProblemOfTheEnvironmentIsReported(t *testing.T) {
	var stdout, stderr bytes.Buffer
	env := map[string]string{"DATABASE_URL": "postgres://user:canary@[", "REDIS_URL": "http://canary"}
	code := run(t.Context(), []string{"-once"}, func(name string) string { return env[name] }, &stdout, &stderr)
	assert.Equal(t, 3, code)
	for _, want := range []string{"OPS_TOKEN", "DATABASE_URL", "REDIS_URL"} {
		assert.Contains(t, stderr.String(), want)
	}
	assert.NotContains(t, stderr.String(), "canary")
	assert.Equal(t, 0, run(t.Context(), []string{"-h"}, func(string) string { return "" }, &stdout, &stderr))
	assert.Equal(t, 3, run(t.Context(), []string{"-nonsense"}, func(string) string { return "" }, &stdout, &stderr))
}

// one runs the tool once and returns the exit code and the checks by name.
func one(t *testing.T, env map[string]string) (int, map[string]map[string]any) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-once", "-json"}, func(name string) string { return env[name] }, &stdout, &stderr)
	var report struct {
		Status string
		Checks []map[string]any
	}
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &report), stderr.String())
	checks := map[string]map[string]any{"": {"status": report.Status}}
	for _, c := range report.Checks {
		checks[c["name"].(string)] = c
	}
	return code, checks
}

// Requirement: RB-ARCHITECTURE, RB-URL-SECURITY-METRICS, RB-URL-JWKS, RB-SCRIPT-COMPREHENSIVE-HEALTH-CHECK
func TestTheToolBesideARealApplication(t *testing.T) {
	redis, postgres := services.StartRedis(t), services.StartPostgres(t)
	application := services.StartApplication(t, services.Application{Env: map[string]string{
		"DATABASE_URL": postgres.URL(), "REDIS_URL": redis.URL(),
	}})
	env := map[string]string{
		"APPLICATION_URL": application.URL(), "DATABASE_URL": postgres.URL(), "REDIS_URL": redis.URL(),
		"OPS_TOKEN": services.OpsToken, "LISTEN": "127.0.0.1:0",
	}

	var checks map[string]map[string]any
	require.Eventually(t, func() bool { // the application makes its tables when it starts
		_, checks = one(t, env)
		return checks["application"]["status"] == "healthy"
	}, 30*time.Second, 100*time.Millisecond)
	for _, name := range []string{
		"postgres", "redis", "application", "application/database", "application/metrics", "application/keys",
		"application/websocket", "closed/health/metrics", "closed/health/security-metrics", "closed/health/canvas/rate-limits",
	} {
		assert.Equal(t, "healthy", checks[name]["status"], "%s: %v", name, checks[name])
	}
	assert.Contains(t, checks["postgres"]["measurements"], "connections_used")
	assert.Contains(t, checks["application/metrics"]["measurements"], "memory_usage")

	redis.Stop()
	code, checks := one(t, env)
	assert.Equal(t, "unhealthy", checks["redis"]["status"])
	assert.Equal(t, "refused", checks["redis"]["cause"])
	assert.Equal(t, "degraded", checks["application"]["status"])
	assert.NotZero(t, code)
	redis.Start()

	postgres.Freeze()
	began := time.Now()
	code, checks = one(t, env)
	assert.Less(t, time.Since(began), 15*time.Second, "nothing hangs past its timeout")
	assert.Equal(t, 2, code)
	assert.Equal(t, "timeout", checks["postgres"]["cause"], "%v", checks["postgres"])
	assert.Equal(t, "postgres", checks["application"]["blocked_by"], "%v", checks["application"])
	postgres.Thaw()

	application.Kill()
	code, checks = one(t, env)
	assert.Equal(t, 2, code)
	assert.Equal(t, "healthy", checks["postgres"]["status"], "%v", checks["postgres"])
	assert.Equal(t, "refused", checks["application"]["cause"])
	assert.Equal(t, "application", checks["application/metrics"]["blocked_by"])
}

// Requirement: HL-WANT-10
func TestServingUntilInterrupted(t *testing.T) {
	redis, postgres := services.StartRedis(t), services.StartPostgres(t)
	application := services.StartApplication(t, services.Application{Env: map[string]string{
		"DATABASE_URL": postgres.URL(), "REDIS_URL": redis.URL(),
	}})
	listen := services.FreePort(t)
	env := map[string]string{
		"APPLICATION_URL": application.URL(), "DATABASE_URL": postgres.URL(), "REDIS_URL": redis.URL(),
		"OPS_TOKEN": services.OpsToken, "LISTEN": net.JoinHostPort("127.0.0.1", strconv.Itoa(listen)),
	}
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, nil, func(name string) string { return env[name] }, io.Discard, io.Discard) }()

	get := func(path, token string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+env["LISTEN"]+path, nil)
		require.NoError(t, err)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, body := get("/ops/readyz?verbose", "")
		assert.Contains(c, body, "[+] application healthy")
		assert.Contains(c, body, "[+] postgres healthy")
	}, 30*time.Second, 100*time.Millisecond)
	code, _ := get("/ops/livez", "")
	assert.Equal(t, 200, code)
	for _, path := range []string{"/ops/health", "/metrics"} {
		code, body := get(path, "")
		assert.Equal(t, 401, code)
		assert.NotContains(t, body, "postgres")
		code, body = get(path, services.OpsToken)
		assert.NotEqual(t, 401, code)
		assert.Contains(t, body, "connections_used")
	}
	_, body := get("/health", "")
	assert.Contains(t, body, `"application"`)
	assert.False(t, strings.Contains(body, "127.0.0.1"), "the public view shows an address")

	interrupt()
	select {
	case code := <-ended:
		assert.Equal(t, 0, code)
	case <-time.After(15 * time.Second):
		t.Fatal("it did not end")
	}
}
