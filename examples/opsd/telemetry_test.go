package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collectmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collecttraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/otelrunbook"
)

// collector is a receiver of OTLP.
type collector struct {
	t *testing.T

	mu      sync.Mutex
	headers []http.Header
	bodies  []byte // all of them
	spans   map[string][]*tracev1.Span
	metrics map[string]bool
	about   map[string]string // of the resource
}

// collect begins to receive, and returns the address.
func collect(t *testing.T) (*collector, string) {
	t.Helper()
	c := &collector{t: t, spans: make(map[string][]*tracev1.Span), metrics: make(map[string]bool), about: make(map[string]string)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", c.traces)
	mux.HandleFunc("POST /v1/metrics", c.measured)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return c, s.URL
}

// read decodes a request. The lock is held.
func (c *collector) read(w http.ResponseWriter, r *http.Request, into proto.Message) {
	body, err := io.ReadAll(r.Body)
	assert.NoError(c.t, err)
	assert.Equal(c.t, "application/x-protobuf", r.Header.Get("Content-Type"))
	assert.NoError(c.t, proto.Unmarshal(body, into))
	c.headers, c.bodies = append(c.headers, r.Header.Clone()), append(c.bodies, body...)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (c *collector) resource(r *resourcev1.Resource) {
	for _, a := range r.GetAttributes() {
		c.about[a.GetKey()] = a.GetValue().GetStringValue()
	}
}

func (c *collector) traces(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var q collecttraces.ExportTraceServiceRequest
	c.read(w, r, &q)
	for _, from := range q.GetResourceSpans() {
		c.resource(from.GetResource())
		for _, scope := range from.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans[s.GetName()] = append(c.spans[s.GetName()], s)
			}
		}
	}
}

func (c *collector) measured(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var q collectmetrics.ExportMetricsServiceRequest
	c.read(w, r, &q)
	for _, from := range q.GetResourceMetrics() {
		for _, scope := range from.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				c.metrics[m.GetName()] = true
			}
		}
	}
}

// rehearseWith writes a configuration of the embedded estate with more in it, and carries out
// a restart there.
func rehearseWith(t *testing.T, more string) (code int, log string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "opsd.yaml")
	text := `
people:
  - {name: Ana Silva, mail: ana@example.edu, on_call: true, access: [operator, approver], token: {env: TOKEN_ANA}}
  - {name: Ben Okafor, access: [operator, approver], token: {env: TOKEN_BEN}}
security_contact: security@example.edu
embedded_estate: {seed: 3}
state: {folder: "` + filepath.Join(t.TempDir(), "state") + `"}
` + more
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	env := map[string]string{"TOKEN_ANA": "canary-token-of-ana", "TOKEN_BEN": "canary-token-of-ben", "OPSD_TOKEN": "canary-token-of-ana", "OTLP": "Basic canary-otlp"}
	code, out, errs := execute(t, env, "run", "-here", "restart", "-e", "test", "-id", "restart-1", "-config", path, "-as", "Ana Silva")
	return code, out + errs
}

// A collector gets the traces and the metrics of a run, flushed when opsd ends, and no secret.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	c, address := collect(t)
	code, log := rehearseWith(t, fmt.Sprintf("telemetry: {endpoint: %q, headers: {Authorization: {env: OTLP}}, traces: true, metrics: true, interval: 1s}\n", address))
	require.Equal(t, exitDone, code, "%s", log)
	assert.NotContains(t, log, "WARN", "nothing is read of a host that has stopped")
	c.mu.Lock()
	defer c.mu.Unlock()
	assert.Equal(t, "opsd", c.about["service.name"])
	assert.NotEmpty(t, c.about["service.instance.id"])
	for _, h := range c.headers {
		assert.Equal(t, "Basic canary-otlp", h.Get("Authorization"))
	}
	require.Len(t, c.spans["run restart"], 1)
	root := c.spans["run restart"][0]
	id := otelrunbook.TraceID("restart-1")
	assert.Equal(t, id[:], root.GetTraceId())
	assert.Empty(t, root.GetParentSpanId())
	steps := 0
	for name, list := range c.spans {
		for _, s := range list {
			if strings.HasPrefix(name, "step ") && bytes.Equal(s.GetTraceId(), root.GetTraceId()) { // a report may be due too
				steps++
				assert.Equal(t, root.GetSpanId(), s.GetParentSpanId(), name)
			}
		}
	}
	assert.GreaterOrEqual(t, steps, 3)
	for _, name := range []string{"runbook.run.duration", "runbook.step.duration", "runbook.check.status", "runbook.check.duration", "runbook.alerts.firing", "runbook.incidents.open", "runbook.approvals.waiting"} {
		assert.True(t, c.metrics[name], "%s is not among %v", name, c.metrics)
	}
	for _, word := range []string{"canary", "Ana Silva", "ana@example.edu"} {
		assert.NotContains(t, string(c.bodies), word)
	}
}

// A collector that is away, or refuses, is said once for each sort and is in the way of
// nothing.
func TestACollectorThatTakesNothing(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(s.Close)
	for name, address := range map[string]string{"away": "http://127.0.0.1:1", "refuses": s.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, log := rehearseWith(t, fmt.Sprintf("telemetry: {endpoint: %q, headers: {Authorization: {env: OTLP}}, traces: true, metrics: true}\n", address))
			assert.Equal(t, exitDone, code, "%s", log)
			for _, what := range []string{"traces", "metrics"} {
				assert.Equal(t, 1, strings.Count(log, "the collector does not take "+what), "%s", log)
			}
			assert.NotContains(t, log, "canary")
		})
	}
}

// It is said when what is sent begins to be lost, and when it arrives again, and no error goes
// further.
func TestAnOutcomeIsSaidOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := &outcome{what: "traces", journal: &journal{w: &log, quiet: true}}
	away := errors.New("connection refused")
	for _, err := range []error{nil, away, away, nil, nil, away} {
		require.NoError(t, o.took(err))
	}
	assert.Equal(t, 2, strings.Count(log.String(), "does not take traces"), "%s", log.String())
	assert.Equal(t, 1, strings.Count(log.String(), "takes traces again"), "%s", log.String())
}

// Without the key nothing is made, and nothing is put in the way.
func TestWithoutTelemetry(t *testing.T) {
	t.Parallel()
	v, err := newService(t.Context(), embedded(estateSettings{}), &journal{w: io.Discard})
	require.NoError(t, err)
	none := v.tells
	assert.Nil(t, none)
	require.NoError(t, v.close(t.Context()))
	var cfg host.Config
	none.tell(&cfg)
	assert.Nil(t, cfg.Runs)
	assert.Nil(t, cfg.Hooks.OnResult)
	assert.Nil(t, cfg.Channels.Chat)
	require.NoError(t, none.observe(nil))
	require.NoError(t, none.leave())
	none.stop(t.Context())
}

// The runs are told by their program, and stay what they are beside that: retention forgets
// those that can be.
func TestTelemetryLeavesTheRuns(t *testing.T) {
	t.Parallel()
	c := &telemetrySettings{Endpoint: "http://127.0.0.1:1", Traces: true, Interval: defaultInterval}
	tells, err := startTelemetry(t.Context(), c, "process", &journal{w: io.Discard})
	require.NoError(t, err)
	t.Cleanup(func() { tells.stop(context.WithoutCancel(t.Context())) })
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	cfg := host.Config{Runs: runs}
	tells.tell(&cfg)
	assert.Same(t, runs, cfg.Runs)
	assert.Implements(t, (*incident.RunForgetter)(nil), cfg.Runs)
	assert.NotNil(t, cfg.Hooks.Program)
}

// What is wrong with the key is told with its place.
func TestTelemetrySettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"right":            {`{endpoint: "https://otlp.example.edu", headers: {X-Key: {env: KEY}}, traces: true}`, ""},
		"a sidecar":        {`{endpoint: "http://collector.internal:4318", metrics: true, interval: 10s}`, ""},
		"this machine":     {`{endpoint: "http://127.0.0.1:4318", headers: {X-Key: {env: KEY}}, metrics: true}`, ""},
		"nothing":          {`{endpoint: "https://otlp.example.edu"}`, "telemetry: sends nothing"},
		"no endpoint":      {`{traces: true}`, "endpoint"},
		"no address":       {`{endpoint: "otlp.example.edu:4318", traces: true}`, "telemetry.endpoint: must be the address of a collector"},
		"password":         {`{endpoint: "https://a:hunter2@otlp.example.edu", traces: true}`, "telemetry.endpoint: must be the address of a collector"},
		"secrets in plain": {`{endpoint: "http://collector.internal:4318", headers: {X-Key: {env: KEY}}, traces: true}`, "telemetry.endpoint: must begin with https://"},
		"text for secret":  {`{endpoint: "https://otlp.example.edu", headers: {X-Key: hunter2}, traces: true}`, "telemetry.headers.X-Key"},
		"interval":         {`{endpoint: "https://otlp.example.edu", metrics: true, interval: 10ms}`, "telemetry.interval: must be at least 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := "people: [{name: Ana, mail: a@example.edu, on_call: true}]\nembedded_estate: {seed: 1}\ntelemetry: " + c.text + "\n"
			s := load(config.Source{Name: "opsd.yaml", Text: []byte(text), Getenv: func(string) string { return "canary" }})
			if c.want == "" {
				require.NoError(t, s.problems())
				assert.NotZero(t, s.Telemetry.Interval)
				return
			}
			require.ErrorContains(t, s.problems(), c.want)
			assert.NotContains(t, s.problems().Error(), "hunter2")
		})
	}
}
