package otelrunbook

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

// TraceID returns the id of the trace of a run, which is always the same for the same run:
// to find the trace of a run that one reads about, in this process or another.
func TraceID(run string) trace.TraceID { return spanOfRun(run).TraceID() }

// spanOfRun returns the span of a run, by which its steps name it before it is made.
func spanOfRun(run string) trace.SpanContext {
	sum := sha256.Sum256([]byte("runbook run " + run))
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(sum[:16]), SpanID: trace.SpanID(sum[16:24]), TraceFlags: trace.FlagsSampled, Remote: true,
	})
}

// IDs makes the ids of spans: those of runs from the id of the run, all others by chance. It
// is an IDGenerator for the TracerProvider of OpenTelemetry's SDK. The zero value is ready,
// and safe for concurrent use.
type IDs struct{}

// runKey is the key of the run, in the context in which its span is made.
type runKey struct{}

// NewIDs returns the ids of a new trace and its first span.
func (i IDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if run, ok := ctx.Value(runKey{}).(trace.SpanContext); ok {
		return run.TraceID(), run.SpanID()
	}
	var id trace.TraceID
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id, i.NewSpanID(ctx, id)
}

// NewSpanID returns the id of a further span of a trace.
func (IDs) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	var id trace.SpanID
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
