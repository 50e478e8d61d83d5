package otelrunbook_test

import (
	"context"
	"fmt"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/otelrunbook"
)

// A run becomes a trace, and what a monitor knows becomes metrics. A host has exporters in
// the place of these, which keep what they get in memory.
func Example() {
	ctx := context.Background()
	spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
	telemetry, err := otelrunbook.New(otelrunbook.Config{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithIDGenerator(otelrunbook.IDs{}), sdktrace.WithSyncer(spans)),
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	monitor, err := health.New(health.Config{Hooks: telemetry.HealthHooks(), Checks: []health.Check{
		{Name: "database", Prober: health.ErrorFunc(func(context.Context) error { return nil })},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	runner, err := incident.NewRunner(incident.RunnerConfig{Runs: runs, Store: new(incident.MemoryStore), Playbooks: []incident.Playbook{{
		Name: "restart", Title: "Restart the application", Environment: "production", Severity: 1,
		Steps: []incident.Step{{ID: "look", Title: "Look at the application", Do: incident.Check{
			Run: func(context.Context, *incident.Scope) (any, error) { return "it answers", nil },
		}}},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := telemetry.Observe(otelrunbook.Sources{Monitor: monitor, Runner: runner}); err != nil {
		fmt.Println(err)
		return
	}
	programs := map[string]incident.Program{incident.PlaybookProgram: telemetry.Program(runner.Program())}
	if err := runs.Launch(ctx, programs); err != nil {
		fmt.Println(err)
		return
	}

	if _, err := monitor.Check(ctx, "database"); err != nil {
		fmt.Println(err)
		return
	}
	run, err := runner.Start(ctx, incident.Request{ID: "run-7", Environment: "production", Playbook: "restart", By: "Ana"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for r, err := range runner.Follow(ctx, run.ID) {
		if err != nil {
			fmt.Println(err)
			return
		}
		run = r
	}
	if err := runs.Close(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("The run has", run.State, "and its trace is", otelrunbook.TraceID(run.ID))
	for _, s := range spans.GetSpans() {
		fmt.Println(s.SpanContext.TraceID() == otelrunbook.TraceID(run.ID), s.Name)
	}
	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &metrics); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range metrics.ScopeMetrics[0].Metrics {
		if m.Name == "runbook.check.failures" {
			fmt.Println(m.Name, m.Data.(metricdata.Gauge[int64]).DataPoints[0].Value)
		}
	}
	// Output:
	// The run has succeeded and its trace is c1f69b8ea5475c8bf74b89388b998480
	// true step look
	// true run restart
	// runbook.check.failures 0
}
