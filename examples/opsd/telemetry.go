package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/otelrunbook"
)

// telemetrySettings say where OpenTelemetry's collector is, and what it gets.
type telemetrySettings struct {
	Endpoint string                    `config:"endpoint,required"`
	Headers  map[string]runbook.Secret `config:"headers"`
	Traces   bool                      `config:"traces"`
	Metrics  bool                      `config:"metrics"`
	Interval time.Duration             `config:"interval"`
}

const (
	// defaultInterval is how often metrics are sent.
	defaultInterval = time.Minute
	// flushWithin is how long what is left may take to be sent at the end.
	flushWithin = 5 * time.Second
	// exportWithin is how long a request may take, with its repetitions.
	exportWithin = 10 * time.Second
)

// validateTelemetry finds what is wrong with the key telemetry.
func (s *settings) validateTelemetry() {
	c := s.Telemetry
	if c == nil {
		return
	}
	u, err := url.Parse(c.Endpoint)
	switch {
	case c.Endpoint == "": // that is told already
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || (u.Scheme != "https" && u.Scheme != "http"):
		s.file.Problem("telemetry.endpoint", "must be the address of a collector, without user name, password and query: https://otlp.example.edu")
	case u.Scheme == "http" && len(c.Headers) > 0 && !loopbackURL(c.Endpoint):
		s.file.Problem("telemetry.endpoint", "must begin with https://: the headers are secrets")
	}
	for name, value := range c.Headers {
		if value.IsZero() {
			s.file.Problem("telemetry.headers."+name, "is empty")
		}
	}
	if !c.Traces && !c.Metrics {
		s.file.Problem("telemetry", "sends nothing: give traces: true, metrics: true, or both")
	}
	if c.Interval < 0 || c.Interval > 0 && c.Interval < time.Second {
		s.file.Problem("telemetry.interval", "must be at least 1s")
	}
	setDefault(&c.Interval, defaultInterval)
}

// telemetry is what OpenTelemetry is told, while opsd runs. The nil telemetry tells nothing,
// and puts nothing in the way.
type telemetry struct {
	*otelrunbook.Telemetry
	stops   []func(context.Context) error // of the providers
	journal *journal
}

// startTelemetry makes it. Nothing is asked yet: whether the collector can be reached shows
// when something is sent.
func startTelemetry(ctx context.Context, c *telemetrySettings, process string, j *journal) (*telemetry, error) {
	about, err := resource.Merge(resource.Default(), resource.NewSchemaless(
		attribute.String("service.name", "opsd"), attribute.String("service.instance.id", process)))
	if err != nil {
		return nil, fmt.Errorf("opsd: telemetry: %w", err)
	}
	t := &telemetry{journal: j}
	cfg := otelrunbook.Config{Logger: slog.New(j)}
	if c.Traces {
		provider, err := c.traces(ctx, about, j)
		if err != nil {
			return nil, err
		}
		cfg.TracerProvider, t.stops = provider, append(t.stops, provider.Shutdown)
	}
	if c.Metrics {
		provider, err := c.metrics(ctx, about, j)
		if err != nil {
			t.stop(ctx)
			return nil, err
		}
		cfg.MeterProvider, t.stops = provider, append(t.stops, provider.Shutdown)
	}
	t.Telemetry, err = otelrunbook.New(cfg)
	if err != nil {
		t.stop(ctx)
		return nil, err
	}
	return t, nil
}

// traces makes the provider of traces.
func (c *telemetrySettings) traces(ctx context.Context, about *resource.Resource, j *journal) (*sdktrace.TracerProvider, error) {
	exporter, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(c.address("/v1/traces")), otlptracehttp.WithHeaders(c.headers()),
		otlptracehttp.WithTimeout(exportWithin), otlptracehttp.WithHTTPClient(collectorClient()),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: exportWithin, MaxElapsedTime: exportWithin}))
	if err != nil {
		return nil, fmt.Errorf("opsd: telemetry: traces: %w", err)
	}
	told := &spanExporter{SpanExporter: exporter, outcome: outcome{what: "traces", journal: j}}
	return sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithIDGenerator(otelrunbook.IDs{}), sdktrace.WithBatcher(told)), nil
}

// metrics makes the provider of metrics.
func (c *telemetrySettings) metrics(ctx context.Context, about *resource.Resource, j *journal) (*sdkmetric.MeterProvider, error) {
	exporter, err := otlpmetrichttp.New(ctx,
		otlpmetrichttp.WithEndpointURL(c.address("/v1/metrics")), otlpmetrichttp.WithHeaders(c.headers()),
		otlpmetrichttp.WithTimeout(exportWithin), otlpmetrichttp.WithHTTPClient(collectorClient()),
		otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: exportWithin, MaxElapsedTime: exportWithin}))
	if err != nil {
		return nil, fmt.Errorf("opsd: telemetry: metrics: %w", err)
	}
	told := &metricExporter{Exporter: exporter, outcome: outcome{what: "metrics", journal: j}}
	reader := sdkmetric.NewPeriodicReader(told, sdkmetric.WithInterval(c.Interval))
	return sdkmetric.NewMeterProvider(sdkmetric.WithResource(about), sdkmetric.WithReader(reader)), nil
}

func (c *telemetrySettings) address(path string) string {
	return strings.TrimSuffix(c.Endpoint, "/") + path
}

func (c *telemetrySettings) headers() map[string]string {
	headers := make(map[string]string, len(c.Headers))
	for name, value := range c.Headers {
		headers[name] = value.Reveal()
	}
	return headers
}

// collectorClient follows no redirect, which would carry the headers elsewhere.
func collectorClient() *http.Client {
	return &http.Client{Timeout: exportWithin, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// tell has the host told what it does: it is called before the host is made.
func (t *telemetry) tell(cfg *host.Config) {
	if t == nil {
		return
	}
	channel := func(kind string, real func(string) (alert.Notifier, error)) func(string) (alert.Notifier, error) {
		return func(to string) (alert.Notifier, error) {
			n, err := real(to)
			return t.Notifier(kind, n), err
		}
	}
	c := &cfg.Channels
	c.Chat, c.Mail, c.Phone = channel("chat", c.Chat), channel("mail", c.Mail), channel("phone", c.Phone)
	checks, hooks := t.HealthHooks(), cfg.Hooks
	cfg.Hooks.Program, cfg.Hooks.OnResult = t.Program, checks.OnResult
	cfg.Hooks.OnTransition = func(ctx context.Context, change health.Transition) {
		hooks.OnTransition(ctx, change)
		checks.OnTransition(ctx, change)
	}
	cfg.Hooks.OnIncident = func(ctx context.Context, i incident.Incident, entries []incident.Entry) {
		hooks.OnIncident(ctx, i, entries)
		t.OnIncident(ctx, i, entries)
	}
}

// observe has the host read at each collection.
func (t *telemetry) observe(h *host.Host) error {
	if t == nil {
		return nil
	}
	return t.Observe(otelrunbook.Sources{Monitor: h.Monitor(), Router: h.Router(), Manager: h.Manager(), Runner: h.Runner()})
}

// leave ends reading the host: it is called before the host stops.
func (t *telemetry) leave() error {
	if t == nil {
		return nil
	}
	return t.Close()
}

// stop sends what is left, and ends: it is called when the host has stopped, so that it is
// what happened by then. That it does not arrive is said, and is in the way of nothing.
func (t *telemetry) stop(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
	defer cancel()
	var all sync.WaitGroup
	for _, stop := range t.stops {
		all.Go(func() {
			if err := stop(ctx); err != nil {
				t.journal.warn("not all of the telemetry was sent: %v", err)
			}
		})
	}
	all.Wait()
	t.stops = nil
}

// warn says what is said also where only that is which goes wrong.
func (j *journal) warn(format string, args ...any) {
	j.write(line{Kind: "log", Text: "opsd: telemetry: " + fmt.Sprintf(format, args...)})
}

// An outcome says when what is sent begins to be lost, and when it arrives again.
type outcome struct {
	what    string
	journal *journal

	mu   sync.Mutex
	lost bool
}

// took takes note of how an export ended. An error is said, and goes no further.
func (o *outcome) took(err error) error {
	o.mu.Lock()
	before := o.lost
	o.lost = err != nil
	o.mu.Unlock()
	switch {
	case err != nil && !before:
		o.journal.warn("the collector does not take %s, which are lost until it does: %v", o.what, err)
	case err == nil && before:
		o.journal.warn("the collector takes %s again", o.what)
	}
	return nil
}

// spanExporter says when spans are lost.
type spanExporter struct {
	sdktrace.SpanExporter
	outcome
}

// ExportSpans implements [sdktrace.SpanExporter].
func (e *spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	return e.took(e.SpanExporter.ExportSpans(ctx, spans))
}

// metricExporter says when metrics are lost.
type metricExporter struct {
	sdkmetric.Exporter
	outcome
}

// Export implements [sdkmetric.Exporter].
func (e *metricExporter) Export(ctx context.Context, all *metricdata.ResourceMetrics) error {
	return e.took(e.Exporter.Export(ctx, all))
}
