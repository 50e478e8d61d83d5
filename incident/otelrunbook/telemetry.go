package otelrunbook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// scope is the name of the instrumentation.
const scope = "go.acu.edu.au/runbook/incident/otelrunbook"

// DefaultTimeout is the default of Config.Timeout.
const DefaultTimeout = 5 * time.Second

// CheckSpans says of which results of checks there are spans.
type CheckSpans uint8

// The choices.
const (
	FailedChecks CheckSpans = iota // of those that failed
	AllChecks                      // of all
	NoChecks                       // of none
)

// Config says what a [Telemetry] tells to whom.
type Config struct {
	// TracerProvider makes spans. Nil means that there are none; the global provider is used
	// only if it is given here.
	TracerProvider trace.TracerProvider
	// MeterProvider makes metrics. Nil means that there are none, in the same way.
	MeterProvider metric.MeterProvider
	// Checks says of which results of checks there are spans. Zero means of those that
	// failed.
	Checks CheckSpans
	// Timeout is how long a collection may wait for a store: the incidents, the runs and the
	// approvals, each. Zero means [DefaultTimeout].
	Timeout time.Duration
	// Logger is told when something cannot be read for the metrics, and when it can be
	// again. Nil means slog.Default().
	Logger *slog.Logger
}

// A Telemetry tells OpenTelemetry what happens. Make one with [New]. All methods are safe
// for concurrent use.
type Telemetry struct {
	cfg      Config
	tracing  bool // there is a TracerProvider
	metering bool // there is a MeterProvider
	tracer   trace.Tracer
	meter    metric.Meter
	happened instruments
	foreign  atomic.Bool // the ids of spans are not from IDs

	mu            sync.Mutex
	registrations []metric.Registration
	observed      Sources // what is observed already

	// reads guards unread. It is not mu, which is held while a callback is registered: that
	// waits for a collection, which waits for reads.
	reads  sync.Mutex
	unread map[string]bool // what could not be read the last time
}

// New returns a Telemetry. The error lists everything that is wrong with cfg.
func New(cfg Config) (*Telemetry, error) {
	var errs []error
	if cfg.Timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout %v is negative", cfg.Timeout))
	}
	if cfg.Checks > NoChecks {
		errs = append(errs, fmt.Errorf("checks: %d is none of FailedChecks, AllChecks and NoChecks", cfg.Checks))
	}
	t := &Telemetry{cfg: cfg, tracing: cfg.TracerProvider != nil, metering: cfg.MeterProvider != nil, unread: make(map[string]bool)}
	if !t.tracing {
		t.cfg.TracerProvider = tracenoop.NewTracerProvider()
	}
	if !t.metering {
		t.cfg.MeterProvider = metricnoop.NewMeterProvider()
	}
	if cfg.Timeout == 0 {
		t.cfg.Timeout = DefaultTimeout
	}
	if cfg.Logger == nil {
		t.cfg.Logger = slog.Default()
	}
	t.tracer, t.meter = t.cfg.TracerProvider.Tracer(scope), t.cfg.MeterProvider.Meter(scope)
	var err error
	t.happened, err = newInstruments(t.meter)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("otelrunbook: %w", err)
	}
	return t, nil
}

// off reports whether nobody is told anything.
func (t *Telemetry) off() bool { return !t.tracing && !t.metering }

// begin begins a span. Without a TracerProvider there is none, and the context stays as it is.
func (t *Telemetry) begin(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	if !t.tracing {
		return ctx, tracenoop.Span{}
	}
	return t.tracer.Start(ctx, name, options...)
}

// Close ends what [Telemetry.Observe] began: a host calls it before it stops what is
// observed. What happens is still told; the providers are flushed and shut down by the host,
// after that.
func (t *Telemetry) Close() error {
	t.mu.Lock()
	list := t.registrations
	t.registrations, t.observed = nil, Sources{}
	t.mu.Unlock()
	var errs []error
	for _, r := range list {
		errs = append(errs, r.Unregister())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("otelrunbook: close: %w", err)
	}
	return nil
}
