package otelrunbook

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"go.acu.edu.au/runbook/incident"
)

// Program returns a program that carries out runs as p does, and tells of them: it is for
// the programs of incident.Runs, in the place of p. A run may have been begun without it,
// and may go on without it. Runs of other programs than [incident.PlaybookProgram] pass
// untold. Without providers it returns p.
func (t *Telemetry) Program(p incident.Program) incident.Program {
	if p == nil || t.off() {
		return p
	}
	return func(ctx context.Context, e incident.Engine, start incident.RunStart) (json.RawMessage, error) {
		if start.Program != incident.PlaybookProgram {
			return p(ctx, e, start)
		}
		r := t.newRun(start)
		result, err := p(ctx, &engine{to: e, run: r}, start)
		if state := stateOf(result, err); state != "" {
			r.ended(ctx, state)
		}
		return result, err
	}
}

// A run is a run of a playbook, while this process carries it out.
type run struct {
	t          *Telemetry
	start      incident.RunStart
	span       trace.SpanContext // that it will have
	playbook   string
	bounded    []attribute.KeyValue // the playbook and the environment
	automatic  bool
	kinds      map[string]incident.Kind // of its steps
	began      time.Time                // when a process first took it; zero if that is not known
	lastAnswer string                   // what people said last
	asked      map[incident.StepID]incident.Question
	attempts   map[string]trace.SpanContext // the last attempt at a step, of a visit
}

// newRun reads what a run was started with. What cannot be read is left out: the program
// says what is wrong with it.
func (t *Telemetry) newRun(start incident.RunStart) *run {
	r := &run{
		t: t, start: start, span: spanOfRun(start.ID), playbook: start.Labels["playbook"], kinds: make(map[string]incident.Kind),
		asked: make(map[incident.StepID]incident.Question), attempts: make(map[string]trace.SpanContext),
	}
	r.bounded = []attribute.KeyValue{attrPlaybook.String(r.playbook), attrEnvironment.String(start.Labels["environment"])}
	var in struct {
		Automatic bool                `json:"automatic"`
		Steps     []incident.StepSpec `json:"steps"`
	}
	if json.Unmarshal(start.Input, &in) == nil {
		r.automatic = in.Automatic
		r.learn(in.Steps)
	}
	return r
}

// learn takes note of the kinds of steps, those within others included.
func (r *run) learn(steps []incident.StepSpec) {
	for _, s := range steps {
		r.kinds[s.ID] = s.Kind
		r.learn(s.Steps)
	}
}

// attributes returns those of the run that metrics may have, with more.
func (r *run) attributes(more ...attribute.KeyValue) []attribute.KeyValue {
	return append(r.bounded[:len(r.bounded):len(r.bounded)], more...)
}

// stateOf returns how a run ended, or "" if it goes on elsewhere or later.
func stateOf(result json.RawMessage, err error) incident.RunState {
	var end struct {
		State incident.RunState `json:"state"`
	}
	switch {
	case errors.Is(err, context.Canceled):
		return incident.StateCancelled
	case err != nil || json.Unmarshal(result, &end) != nil:
		return ""
	}
	return end.State
}

// ended tells that the run has ended.
func (r *run) ended(ctx context.Context, state incident.RunState) {
	now := time.Now()
	r.t.happened.run.Record(ctx, now.Sub(r.start.At).Seconds(), metric.WithAttributes(r.attributes(attrState.String(string(state)))...))
	if !r.t.tracing {
		return
	}
	attributes := r.attributes(attrRun.String(r.start.ID), attrAutomatic.Bool(r.automatic), attrState.String(string(state)))
	if id := r.start.Labels["incident"]; id != "" {
		attributes = append(attributes, attrIncident.String(id))
	}
	options := []trace.SpanStartOption{trace.WithTimestamp(r.start.At), trace.WithAttributes(attributes...)}
	if r.start.Fork != "" {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: spanOfRun(r.start.Fork)}))
	}
	span := r.startSpan(ctx, options)
	if !r.began.IsZero() {
		span.AddEvent("began", trace.WithTimestamp(r.began))
	}
	if state == incident.StateFailed || state == incident.StateUndone {
		fail(span, string(state))
	}
	span.End(trace.WithTimestamp(now))
}

// startSpan makes the span of the run: the one that its steps have named as their parent, if
// ids come from [IDs], and else one beside them.
func (r *run) startSpan(ctx context.Context, options []trace.SpanStartOption) trace.Span {
	name := "run " + r.playbook
	if !r.t.foreign.Load() {
		_, span := r.t.tracer.Start(context.WithValue(ctx, runKey{}, r.span), name, append(options, trace.WithNewRoot())...)
		if !span.IsRecording() || span.SpanContext().TraceID() == r.span.TraceID() {
			return span
		}
		r.t.foreign.Store(true) // that span never ends, and so is never sent
	}
	_, span := r.t.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, r.span), name, options...)
	return span
}
