package otelrunbook_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/otelrunbook"
)

// secret is in everything that must not be told.
const secret = "hunter2"

// A world is a Telemetry with what it tells.
type world struct {
	*otelrunbook.Telemetry
	spans  *tracetest.InMemoryExporter
	reader *sdkmetric.ManualReader
}

// newWorld makes one. The ids are those of IDs unless options say otherwise.
func newWorld(t testing.TB, cfg otelrunbook.Config, options ...sdktrace.TracerProviderOption) *world {
	t.Helper()
	w := &world{spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
	options = append([]sdktrace.TracerProviderOption{sdktrace.WithIDGenerator(otelrunbook.IDs{}), sdktrace.WithSyncer(w.spans)}, options...)
	cfg.TracerProvider = sdktrace.NewTracerProvider(options...)
	cfg.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.reader))
	var err error
	w.Telemetry, err = otelrunbook.New(cfg)
	require.NoError(t, err)
	return w
}

// span returns the only span of a name.
func (w *world) span(t testing.TB, name string) tracetest.SpanStub {
	t.Helper()
	list := w.named(name)
	require.Len(t, list, 1, "spans named %q among %v", name, w.names())
	return list[0]
}

func (w *world) named(name string) (list []tracetest.SpanStub) {
	for _, s := range w.spans.GetSpans() {
		if s.Name == name {
			list = append(list, s)
		}
	}
	return list
}

func (w *world) names() (names []string) {
	for _, s := range w.spans.GetSpans() {
		names = append(names, s.Name)
	}
	return names
}

// values returns what an instrument has now: the values of its series, or how many values
// a histogram has, by their attributes in the form "a=b,c=d".
func (w *world) values(t testing.TB, name string) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, w.reader.Collect(t.Context(), &all))
	values := make(map[string]float64)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					values[series(p.Attributes)] = float64(p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					values[series(p.Attributes)] = p.Value
				}
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					values[series(p.Attributes)] = float64(p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					values[series(p.Attributes)] = float64(p.Count)
				}
			default:
				t.Fatalf("%s is a %T", name, data)
			}
		}
	}
	return values
}

// sum returns the sum of the values that a histogram has.
func (w *world) sum(t testing.TB, name string) (sum float64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, w.reader.Collect(t.Context(), &all))
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == name {
				for _, p := range h.DataPoints {
					sum += p.Sum
				}
			}
		}
	}
	return sum
}

func series(set attribute.Set) string {
	return set.Encoded(attribute.DefaultEncoder())
}

// attributes are those of a span, as text.
func attributes(s tracetest.SpanStub) map[string]string {
	all := make(map[string]string)
	for _, a := range s.Attributes {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

// A house carries out playbooks.
type house struct {
	runs   *incident.MemoryRuns
	store  *incident.MemoryStore
	runner *incident.Runner
}

// newHouse makes one that tells w.
func newHouse(t testing.TB, w *world, playbooks ...incident.Playbook) *house {
	t.Helper()
	h := &house{runs: incident.NewMemoryRuns(incident.MemoryRunsConfig{}), store: new(incident.MemoryStore)}
	var err error
	h.runner, err = incident.NewRunner(incident.RunnerConfig{Playbooks: playbooks, Runs: h.runs, Store: h.store})
	require.NoError(t, err)
	h.launch(t, w)
	return h
}

// launch lets the runs go on.
func (h *house) launch(t testing.TB, w *world) {
	t.Helper()
	programs := map[string]incident.Program{incident.PlaybookProgram: w.Program(h.runner.Program())}
	require.NoError(t, h.runs.Launch(t.Context(), programs))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		_ = h.runs.Close(ctx)
	})
}

// start starts a run, and follows it until it waits for a person or has ended.
func (h *house) start(t testing.TB, playbook string) incident.Run {
	t.Helper()
	run, err := h.runner.Start(t.Context(), incident.Request{
		ID: "run-1", Environment: "production", Playbook: playbook, By: "Ana", Incident: "INC-2026-0001", Parameters: nil,
	})
	require.NoError(t, err)
	return h.follow(t, run.ID)
}

func (h *house) follow(t testing.TB, id string) incident.Run {
	t.Helper()
	for run, err := range h.runner.Follow(t.Context(), id) {
		require.NoError(t, err)
		if run.Question != nil || !run.Ended.IsZero() {
			return run
		}
	}
	run, err := h.runner.Run(t.Context(), id)
	require.NoError(t, err)
	return run
}

// steps makes a playbook.
func steps(name string, list ...incident.Step) incident.Playbook {
	return incident.Playbook{Name: name, Title: "A procedure", Environment: "production", Severity: 1, Steps: list}
}

func look(id string, run incident.Func) incident.Step {
	return incident.Step{ID: id, Title: "Looks at " + id, Do: incident.Check{Run: run}}
}

func act(id string, run incident.Func) incident.Step {
	return incident.Step{ID: id, Title: "Does " + id, Do: incident.Action{
		Run: run,
		Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
			return incident.Effect{Call: "do " + id}, nil
		},
		Undo:   func(context.Context, *incident.Scope) (any, error) { return nil, nil },
		Undoes: "takes it back",
	}}
}

func approve(id string) incident.Step {
	return incident.Step{ID: id, Title: "May it be done?", Do: incident.Approve{Question: func(*incident.Scope) string { return "Is " + secret + " right?" }}}
}

func fine(context.Context, *incident.Scope) (any, error) { return secret, nil }

func broken(context.Context, *incident.Scope) (any, error) {
	return nil, incident.Final(errors.New("the token " + secret + " was refused"))
}

// dropAll exports to nobody.
type dropAll struct{}

func (dropAll) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }

func (dropAll) Shutdown(context.Context) error { return nil }
