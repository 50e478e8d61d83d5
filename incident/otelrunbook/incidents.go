package otelrunbook

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"

	"go.acu.edu.au/runbook/incident"
)

// The kinds of entries of the timeline that are counted, as the Manager writes them.
const (
	entryOpened       = "opened"
	entryAcknowledged = "acknowledged"
	entryMitigated    = "mitigated"
	entryResolved     = "resolved"
)

// OnIncident tells of a change of an incident: it is for incident.ManagerHooks.OnChanged.
// The times run from when the incident was triggered, or reopened last, to the first
// acknowledgement and to the mitigation and the resolution; what was mitigated by being
// resolved counts for both. The severity is the one that it has then. Exercises do not
// count.
func (t *Telemetry) OnIncident(ctx context.Context, i incident.Incident, entries []incident.Entry) {
	if !t.metering || i.Simulated {
		return
	}
	severity := metric.WithAttributes(attrSeverity.String(i.Severity.String()))
	from := i.Triggered
	if i.Reopened.After(from) {
		from = i.Reopened
	}
	took := func(h metric.Float64Histogram, until time.Time) {
		h.Record(ctx, max(0, until.Sub(from)).Seconds(), severity)
	}
	for _, e := range entries {
		switch e.Kind {
		case entryOpened:
			t.happened.opened.Add(ctx, 1, severity)
		case entryAcknowledged:
			if i.AckAt.Equal(i.Acknowledged) { // the first
				took(t.happened.acknowledge, i.Acknowledged)
			}
		case entryMitigated:
			took(t.happened.mitigate, e.At)
		case entryResolved:
			if i.Mitigated.IsZero() {
				took(t.happened.mitigate, e.At)
			}
			took(t.happened.resolve, e.At)
		}
	}
}
