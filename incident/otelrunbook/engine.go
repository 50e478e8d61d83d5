package otelrunbook

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"go.acu.edu.au/runbook/incident"
)

// looks is how many attempts at a step that waits for something are spans, whatever they
// find.
const looks = 10

// An engine tells of the calls that another one makes. What is only read from the record of
// the run is not made, and so not told again.
type engine struct {
	to  incident.Engine
	run *run
}

// Sleep implements [incident.Engine].
func (e *engine) Sleep(ctx context.Context, id incident.StepID, until time.Time) error {
	return e.to.Sleep(ctx, id, until)
}

// Await implements [incident.Engine].
func (e *engine) Await(ctx context.Context, id incident.StepID, topic string, deadline time.Time) (incident.Signal, error) {
	s, err := e.to.Await(ctx, id, topic, deadline)
	if e.run.lastAnswer = answerOf(s); err != nil {
		e.run.lastAnswer = ""
	}
	return s, err
}

// answers are those that people can give.
var answers = []string{
	incident.AnswerApprove, incident.AnswerDeny, incident.AnswerBack, incident.AnswerRetry, incident.AnswerSkip, incident.AnswerDone, incident.AnswerUndo, incident.AnswerAbort,
}

// answerOf returns an answer as a value of metrics.
func answerOf(s incident.Signal) string {
	switch {
	case s.Expired:
		return "expired"
	case slices.Contains(answers, s.Kind):
		return s.Kind
	}
	return "other"
}

// Steps implements [incident.Engine].
func (e *engine) Steps(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
	told := slices.Clone(calls)
	spans := make([]trace.SpanContext, len(calls))
	for i := range told {
		e.tell(&told[i], &spans[i])
	}
	outcomes, err := e.to.Steps(ctx, told)
	if err != nil {
		return outcomes, err // calls may still be under way
	}
	for i, o := range outcomes {
		e.run.made(calls[i].ID, o, spans[i])
	}
	return outcomes, nil
}

// made takes note of a call that was made, now or before a restart.
func (r *run) made(id incident.StepID, o incident.Outcome, span trace.SpanContext) {
	if c, ok := r.parse(id); ok && !c.undo && span.IsValid() {
		r.attempts[c.visit] = span
	}
	if id == "run/begin" {
		r.began = o.Ended
	}
	var q incident.Question
	if strings.Contains(string(id), "/ask") && o.Status == incident.Done && json.Unmarshal(o.Output, &q) == nil && q.ID == string(id) {
		r.asked[id] = q
	}
}

// A call is a call of the engine that does what a step says.
type call struct {
	step, visit string // its id, and that of the visit: "restart", "restart@2"
	kind        incident.Kind
	attempt     int
	undo        bool
}

// parse returns what a call is. That it is none means that it only keeps the record. See
// [incident.StepID].
func (r *run) parse(id incident.StepID) (call, bool) {
	name, part, within := strings.Cut(string(id), "/")
	c := call{attempt: 1}
	switch {
	case !within:
		name, part, _ = strings.Cut(name, "#")
	case part == "undo" || strings.HasPrefix(part, "undo#"):
		c.undo = true
		_, part, _ = strings.Cut(part, "#")
	default:
		return call{}, false
	}
	if n, err := strconv.Atoi(part); err == nil {
		c.attempt = n
	}
	c.visit = name
	c.step, _, _ = strings.Cut(name, "@")
	kind, known := r.kinds[c.step]
	c.kind = kind
	return c, known
}

// tell makes a call tell of itself. It runs in a goroutine of the engine, so it writes
// nothing but span.
func (e *engine) tell(c *incident.Call, span *trace.SpanContext) {
	do, r := c.Do, e.run
	if what, ok := r.parse(c.ID); ok {
		before := r.attempts[what.visit]
		c.Do = func(ctx context.Context, interrupted []incident.Attempt) incident.Outcome {
			a := &attempt{run: r, call: what, before: before, interrupted: len(interrupted)}
			return a.make(ctx, span, func(ctx context.Context) incident.Outcome { return do(ctx, interrupted) })
		}
		return
	}
	if id, decided := strings.CutSuffix(string(c.ID), "/decided"); decided {
		q, answer := r.asked[incident.StepID(id)], r.lastAnswer
		c.Do = func(ctx context.Context, interrupted []incident.Attempt) incident.Outcome {
			r.answered(ctx, q, answer)
			return do(ctx, interrupted)
		}
	}
}

// answered tells that people have answered a question.
func (r *run) answered(ctx context.Context, q incident.Question, answer string) {
	if q.ID == "" {
		return
	}
	now := time.Now()
	attributes := r.attributes(attrKind.String(q.Kind), attrAnswer.String(answer))
	r.t.happened.question.Record(ctx, max(0, now.Sub(q.Asked)).Seconds(), metric.WithAttributes(attributes...))
	_, span := r.t.begin(trace.ContextWithRemoteSpanContext(ctx, r.span), "ask "+q.Step,
		trace.WithTimestamp(q.Asked), trace.WithAttributes(append(attributes, attrRun.String(r.start.ID), attrStep.String(q.Step))...))
	span.End(trace.WithTimestamp(now))
}

// An attempt is one attempt at a step, or at taking it back.
type attempt struct {
	run         *run
	call        call
	before      trace.SpanContext
	interrupted int // attempts before of which nobody knows how they ended
}

// make makes the attempt, as a span.
func (a *attempt) make(ctx context.Context, made *trace.SpanContext, do func(context.Context) incident.Outcome) incident.Outcome {
	began := time.Now()
	ctx = a.run.within(ctx)
	if waits := a.call.kind == incident.KindWait || a.call.kind == incident.KindVerify; waits && a.call.attempt > looks {
		o := do(ctx)
		a.count(ctx, began, o)
		if o.Status == incident.Done {
			_, span := a.start(ctx, trace.WithTimestamp(began))
			*made = span.SpanContext()
			finish(span, o)
		}
		return o
	}
	ctx, span := a.start(ctx)
	*made = span.SpanContext()
	o := incident.Outcome{Status: incident.Unknown, Code: "panic"} // unless it returns
	defer func() {
		a.count(ctx, began, o)
		finish(span, o)
	}()
	o = do(ctx)
	return o
}

// within returns a context in which the run is the parent of what is made.
func (r *run) within(ctx context.Context) context.Context {
	if !r.t.tracing {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, r.span)
}

// start begins the span of the attempt.
func (a *attempt) start(ctx context.Context, more ...trace.SpanStartOption) (context.Context, trace.Span) {
	name := "step " + a.call.step
	if a.call.undo {
		name = "undo " + a.call.step
	}
	r := a.run
	attributes := r.attributes(attrRun.String(r.start.ID), attrStep.String(a.call.step), attrKind.String(string(a.call.kind)), attrAttempt.Int(a.call.attempt))
	if a.interrupted > 0 {
		attributes = append(attributes, attrInterrupted.Int(a.interrupted))
	}
	more = append(more, trace.WithAttributes(attributes...))
	if a.before.IsValid() && a.call.attempt > 1 && !a.call.undo {
		more = append(more, trace.WithLinks(trace.Link{SpanContext: a.before}))
	}
	return r.t.begin(ctx, name, more...)
}

// codeNotYet is the code of what is waited for and is not so yet.
const codeNotYet = "not yet"

// resultOfStep is the result as a value of metrics.
func resultOfStep(o incident.Outcome) string {
	switch {
	case o.Code == codeNotYet:
		return codeNotYet
	case o.Status == incident.Done, o.Status == incident.Failed, o.Status == incident.Skipped:
		return string(o.Status)
	}
	return string(incident.Unknown)
}

// count counts the attempt.
func (a *attempt) count(ctx context.Context, began time.Time, o incident.Outcome) {
	kind := string(a.call.kind)
	if a.call.undo {
		kind = "undo"
	}
	a.run.t.happened.step.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(
		a.run.attributes(attrKind.String(kind), attrResult.String(resultOfStep(o)))...))
}

// finish ends the span of an attempt.
func finish(span trace.Span, o incident.Outcome) {
	result := resultOfStep(o)
	span.SetAttributes(attrResult.String(result))
	if result == string(incident.Failed) || result == string(incident.Unknown) {
		class := o.Code
		if class == "" {
			class = result
		}
		fail(span, class)
	}
	span.End()
}
