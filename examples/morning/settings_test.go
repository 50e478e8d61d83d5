package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/examples/internal/estate"
)

// canary is a secret that must not be in any output.
const canary = "canary-secret-7f3a"

// broken has one problem of each kind.
const broken = `timeout: soon
status_page: https://status.example.com/page
environments:
  - name: test
    values: {application: "https://user:canary-secret-7f3a@example.com"}
    secrets:
      literal: canary-secret-7f3a
      unset: {env: NOT_SET}
      token: {env: TOKEN}
  - name: test
  - {}
checks:
  - name: application
    url: "{application}/health"
    titel: x
    auth: {bearer: canary-secret-7f3a}
    status: [99]
    assert:
      - {path: status, want: {ok: fine}}
    extract:
      - {path: .a, name: n}
      - {path: .b, name: n}
      - {path: .c, limit: {warn: 5, fail: 3}}
    latency: {warn: 5s, fail: 1s}
    samples: 1000
    depends_on: [application, nothing]
    only: [test, staging]
    show: "{n} of {m}"
    headers: {Authorization: Bearer canary-secret-7f3a}
    next: {tiemout: wait}
  - name: Not A Name
    url: "{where}/health"
  - name: application
    url: ftp://example.com
  - name: canvas
    url: https://canvas.example.com/api
    canvas: token
    auth: {bearer: token}
    show: "{status_code}"
  - name: canvas-api
    url: https://canvas.example.com
    canvas: rest
    auth: {username: a, password: token, header: X-Token, value: token}
    headers: {Accept: text/html}
    status: [200]
    failing: [500]
    maintenance: [503]
    contains: ok
    assert: [{path: .a, want: {b: healthy}}]
    extract: [{path: .a}]
    samples: 2
    certificate: {warn: 24h}
    next: {permission: ask, key_gone: wait}
`

func TestConfigErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(path, []byte(broken), 0o600))
	code, stdout, stderr := execute(t.Context(), map[string]string{"TOKEN": canary}, "-config", path)
	assert.Equal(t, exitUnchecked, code)
	assert.Empty(t, stdout)
	assert.NotContains(t, stderr, canary)
	golden(t, "broken.golden", strings.ReplaceAll(stderr, path, "broken.yaml"))
}

// The sample configuration needs the variables that it names, and says where.
func TestSampleNeedsItsVariables(t *testing.T) {
	code, stdout, stderr := execute(t.Context(), nil, "-config", sampleName)
	assert.Equal(t, exitUnchecked, code)
	assert.Empty(t, stdout)
	assert.Equal(t, 10, strings.Count(stderr, "\n"))
	assert.Contains(t, stderr, "config.sample.yaml:59:20: environments[0].secrets.application: the environment variable QA_AUTOMATION_TEST_TOKEN is not set\n")
}

// A configuration of one's own can be rehearsed on the estate. What the file
// does not define, the variables of the machine do.
func TestRehearsal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.yaml")
	require.NoError(t, os.WriteFile(path, []byte(`
environments:
  - name: production
    values: {base: "https://qa-automation.acu.edu.au"}
    secrets: {own: {env: OWN_TOKEN}}
checks:
  - name: health
    url: "{base}/health"
    auth: {header: X-Api-Key, value: own}
    assert: [{path: .status, want: {healthy: healthy}}]
    show: "{status_code}"
`), 0o600))
	code, stdout, stderr := execute(t.Context(), map[string]string{"OWN_TOKEN": canary}, "-config", path, "-scenario", "healthy")
	assert.Equal(t, exitHealthy, code, stderr)
	assert.Contains(t, stdout, "✓ healthy      health  200\n")
	assert.Contains(t, stdout, "no real system was asked")
	assert.NotContains(t, stdout, canary)
}

// The runbook's addresses, thresholds and intervals are the sample's values.
//
// Requirement: RB-ENVIRONMENTS, RB-KEY-URLS
// Requirement: RB-SCHEDULE-APPLICATION, RB-SCHEDULE-CANVAS, RB-SCHEDULE-DATABASE, RB-SCHEDULE-PERFORMANCE
// Requirement: RB-URL-HEALTH, RB-URL-HEALTH-DATABASE, RB-URL-HEALTH-METRICS, RB-URL-HEALTH-CANVAS, RB-URL-RATE-LIMITS
// Requirement: RB-FIELD-MEMORY-USAGE-MB, RB-FIELD-RECENT-ERRORS, RB-FIELD-ACTIVE-SESSIONS, RB-FIELD-ACTIVE-QA-TASKS
func TestSampleHasTheRunbooksValues(t *testing.T) {
	world, err := estate.Start(estate.Config{})
	require.NoError(t, err)
	defer world.Close()
	s, file := load(config.Source{Name: sampleName, Text: sample, Getenv: world.Getenv})
	p := makePlan(s, file, nil, time.Minute)
	require.NoError(t, file.Err())
	assert.Len(t, p.checks, 33)
	checks := make(map[string]check)
	for _, c := range s.Checks {
		checks[c.Name] = c
	}
	targets := make(map[string]bool)
	for _, l := range p.lines {
		targets[l.target] = true
	}
	for _, application := range []string{"https://qa-automation-test.railway.app", "https://qa-automation-beta.railway.app", "https://qa-automation.acu.edu.au"} {
		for _, path := range []string{"/health", "/health/database", "/health/metrics", "/health/canvas", "/health/canvas/rate-limits"} {
			assert.Contains(t, targets, application+path)
		}
	}
	for _, canvas := range []string{"https://aculeo.test.instructure.com", "https://aculeo.beta.instructure.com", "https://aculeo.instructure.com"} {
		assert.Contains(t, targets, canvas+"/health_check")
	}
	paths := make(map[string]bool)
	for _, f := range slices.Concat(checks["performance"].Extract, checks["user-activity"].Extract) {
		paths[f.Path] = true
	}
	for _, name := range []string{"active_sessions", "active_qa_tasks", "recent_errors", "memory_usage_mb"} {
		assert.Contains(t, paths, "."+name)
	}
	assert.Equal(t, 5*time.Second, checks["response-time"].Latency.Warn)
	assert.Equal(t, 5, checks["response-time"].Samples)
	for _, tt := range []struct {
		check, measurement string
		warn, fail         float64
	}{
		{"performance", "error_rate", 5, 0},
		{"performance", "memory_usage", 80, 90},
		{"user-activity", "recent_errors", 5, 0},
		{"canvas-rate-limit", "errors", 10, 0},
	} {
		for _, f := range checks[tt.check].Extract {
			if f.measurement() != tt.measurement {
				continue
			}
			assert.InDelta(t, tt.warn, *f.Limit.Warn, 0, tt.measurement)
			if tt.fail != 0 {
				assert.InDelta(t, tt.fail, *f.Limit.Fail, 0, tt.measurement)
			}
		}
	}
	for name, interval := range map[string]time.Duration{
		"application": 30 * time.Second, "database": time.Minute, "canvas": time.Minute,
		"canvas-through-application": time.Minute, "performance": 5 * time.Minute, "response-time": 5 * time.Minute,
	} {
		assert.Equal(t, interval, checks[name].Interval, name)
	}
	for i, c := range p.checks {
		assert.LessOrEqual(t, c.Timeout, 10*time.Second, p.lines[i].check.Name)
	}
}

// More than 5 recent errors are too many; exactly 5 are not.
//
// Requirement: RB-USER-ACTIVITY-ERRORS
func TestFiveErrorsAreNotTooMany(t *testing.T) {
	for limit, want := range map[string]int{"warn: 9": exitHealthy, "warn: 8": exitDegraded} {
		r := rehearse(t, estate.Config{Scenario: estate.RecentErrors}, 15*time.Second, "{path: .recent_errors, limit: {warn: 5}}", "{path: .recent_errors, limit: {"+limit+"}}")
		assert.Equal(t, want, r.ExitCode, "9 errors with %s", limit)
	}
}

// FuzzConfig shows that no configuration makes the program panic, and that no
// error shows a secret that a variable holds or that stands in the file by
// mistake.
func FuzzConfig(f *testing.F) {
	f.Add("", 0, "x")
	f.Add("", 900, "\n  - ")
	f.Add(broken, 40, "{env: TOKEN}")
	f.Add("environments: [{name: a}]\nchecks: [{name: b, url: 'http://127.0.0.1/{environment}', extract: [{path: ., name: c}]}]", 0, "")
	f.Fuzz(func(t *testing.T, text string, at int, insert string) {
		if text == "" { // large, and so not an input itself
			text = string(sample)
		}
		if at >= 0 && at < len(text) {
			text = text[:at] + insert + text[at:]
		}
		text = strings.ReplaceAll(text, "{env: QA_AUTOMATION_BETA_TOKEN}", canary)
		s, file := load(config.Source{Name: "f.yaml", Text: []byte(text), Getenv: func(string) string { return canary }})
		p := makePlan(s, file, nil, time.Second)
		if err := file.Err(); err != nil {
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the secret is shown: %v", err)
			}
			return
		}
		if len(p.checks) != len(p.lines) {
			t.Errorf("%d checks and %d lines", len(p.checks), len(p.lines))
		}
	})
}
