package otelrunbook

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
)

// Notifier returns n with each delivery told, under the name of a target: that of its
// alert.Target, or the sort of channel. The name is in metrics, so it is one of few, and no
// address of a person. What n is beside a Notifier, an alert.Escalator, the result is too.
// Without providers it returns n.
func (t *Telemetry) Notifier(target string, n alert.Notifier) alert.Notifier {
	if n == nil || t.off() {
		return n
	}
	told := notifier{t: t, target: target, to: n}
	if e, ok := n.(alert.Escalator); ok {
		return escalator{told, e}
	}
	return told
}

// notifier tells of what another one delivers.
type notifier struct {
	t      *Telemetry
	target string
	to     alert.Notifier
}

// escalator is a notifier of an [alert.Escalator].
type escalator struct {
	notifier
	of alert.Escalator
}

// Escalates implements [alert.Escalator].
func (e escalator) Escalates() bool { return e.of.Escalates() }

// Notify implements [alert.Notifier].
func (d notifier) Notify(ctx context.Context, n alert.Notification) (receipt alert.Receipt, err error) {
	ctx, span := d.t.begin(ctx, "deliver "+d.target, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attrTarget.String(d.target), attrKind.String(string(n.Kind)), attrKey.String(n.Key), attrSeq.Int(n.Seq),
		attrRepeat.Bool(n.PossibleRepeat), attrEnvironment.String(n.Environment),
	))
	began, result := time.Now(), "unknown" // a panic
	defer func() {
		d.t.happened.delivery.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(
			attrTarget.String(d.target), attrKind.String(kindOf(n.Kind)), attrResult.String(result)))
		if result != "delivered" {
			fail(span, result)
		}
		span.SetAttributes(attrResult.String(result))
		span.End()
	}()
	receipt, err = d.to.Notify(ctx, n)
	if said, ok := errors.AsType[*alert.Error](err); ok && said.Status != 0 {
		span.SetAttributes(attrStatusCode.Int(said.Status))
	}
	result = resultOf(err)
	return receipt, err
}

// resultOf is what an error says about the notification.
func resultOf(err error) string {
	switch {
	case err == nil:
		return "delivered"
	case errors.Is(err, alert.ErrLimited):
		return "limited"
	case errors.Is(err, alert.ErrRefused):
		return "refused"
	case runbook.SafeToRetry(err):
		return "unsent"
	}
	return "unknown"
}

// kindOf returns a kind as a value of metrics: whoever calls a notifier may make one up.
func kindOf(k alert.Kind) string {
	switch k {
	case alert.KindFiring, alert.KindUpdate, alert.KindReminder, alert.KindResolved, alert.KindFlapping, alert.KindDigest, alert.KindNotice, alert.KindPost, alert.KindTest:
		return string(k)
	}
	return "other"
}
