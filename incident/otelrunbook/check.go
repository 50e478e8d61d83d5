package otelrunbook

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"go.acu.edu.au/runbook/health"
)

// statuses are all states of a check.
var statuses = [...]health.Status{health.Unknown, health.Healthy, health.Degraded, health.Unhealthy, health.Maintenance}

// HealthHooks returns hooks for a health.Monitor. A host with hooks of its own calls these
// from them. The environment of a check is its label "environment". What another replica
// found is left to that one. Without providers the hooks are nil.
func (t *Telemetry) HealthHooks() health.Hooks {
	if t.off() {
		return health.Hooks{}
	}
	c := &checks{t: t, known: make(map[string]*knownCheck)}
	return health.Hooks{OnResult: c.result, OnTransition: c.transition}
}

// checks tells of the results of checks.
type checks struct {
	t *Telemetry

	mu    sync.Mutex
	known map[string]*knownCheck
}

// A knownCheck keeps the attributes of a check, so that a result makes none.
type knownCheck struct {
	record [len(statuses)][]metric.RecordOption
	add    [len(statuses)][]metric.AddOption
}

// check returns what is known of a check. The lock is held.
func (c *checks) check(s health.State) *knownCheck {
	k := c.known[s.Name]
	if k == nil {
		k = &knownCheck{}
		for i, status := range statuses {
			set := metric.WithAttributeSet(attribute.NewSet(checkAttributes(s, status)...))
			k.record[i], k.add[i] = []metric.RecordOption{set}, []metric.AddOption{set}
		}
		c.known[s.Name] = k
	}
	return k
}

// checkAttributes are the attributes of a check that has a status.
func checkAttributes(s health.State, status health.Status) []attribute.KeyValue {
	return []attribute.KeyValue{
		attrCheck.String(s.Name), attrEnvironment.String(s.Labels["environment"]), attrStatus.String(status.String()),
	}
}

func (c *checks) result(ctx context.Context, s health.State) {
	if s.Borrowed {
		return
	}
	if c.t.metering {
		c.mu.Lock()
		options := c.check(s).record[s.Last.Status]
		c.mu.Unlock()
		c.t.happened.check.Record(ctx, s.Last.Duration.Seconds(), options...)
	}
	if c.t.tracing && (c.t.cfg.Checks == AllChecks || c.t.cfg.Checks == FailedChecks && !s.Last.Status.OK()) {
		c.t.checkSpan(ctx, s)
	}
}

func (c *checks) transition(ctx context.Context, change health.Transition) {
	s := change.State
	c.mu.Lock()
	defer c.mu.Unlock()
	if change.Removed {
		delete(c.known, s.Name)
		return
	}
	if c.t.metering && !s.Borrowed && change.From != s.Status {
		c.t.happened.transitions.Add(ctx, 1, c.check(s).add[s.Status]...)
	}
}

// checkSpan makes the span of a result, which is over.
func (t *Telemetry) checkSpan(ctx context.Context, s health.State) {
	attributes := checkAttributes(s, s.Last.Status)
	if s.BlockedBy != "" {
		attributes = append(attributes, attrBlockedBy.String(s.BlockedBy))
	}
	_, span := t.tracer.Start(ctx, "check "+s.Name, trace.WithTimestamp(s.Last.Time), trace.WithAttributes(attributes...))
	if !s.Last.Status.OK() {
		fail(span, string(s.Last.Cause))
	}
	span.End(trace.WithTimestamp(s.Last.Time.Add(max(s.Last.Duration, time.Microsecond))))
}

// fail marks a span as failed, with a class and no text.
func fail(span trace.Span, class string) {
	span.SetStatus(codes.Error, class)
	span.SetAttributes(attrErrorType.String(class))
}
