package otelrunbook

import (
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// The attributes. The values of the first group are of bounded number and may be in metrics;
// those of the second are in spans only.
const (
	attrAcknowledged = attribute.Key("runbook.acknowledged")
	attrAnswer       = attribute.Key("runbook.answer")
	attrCheck        = attribute.Key("runbook.check")
	attrEnvironment  = attribute.Key("runbook.environment")
	attrKind         = attribute.Key("runbook.kind")
	attrPlaybook     = attribute.Key("runbook.playbook")
	attrResult       = attribute.Key("runbook.result")
	attrSeverity     = attribute.Key("runbook.severity")
	attrState        = attribute.Key("runbook.state")
	attrStatus       = attribute.Key("runbook.status")
	attrTarget       = attribute.Key("runbook.target")
	attrErrorType    = attribute.Key("error.type") // of the semantic conventions: a class

	attrAttempt     = attribute.Key("runbook.step.attempt")
	attrAutomatic   = attribute.Key("runbook.run.automatic")
	attrBlockedBy   = attribute.Key("runbook.check.blocked_by")
	attrIncident    = attribute.Key("runbook.incident.id")
	attrInterrupted = attribute.Key("runbook.step.interrupted")
	attrKey         = attribute.Key("runbook.notification.key")
	attrRepeat      = attribute.Key("runbook.notification.possible_repeat")
	attrRun         = attribute.Key("runbook.run.id")
	attrSeq         = attribute.Key("runbook.notification.seq")
	attrStatusCode  = attribute.Key("http.response.status_code")
	attrStep        = attribute.Key("runbook.step")
)

// The boundaries of histograms, in seconds: for what machines do, and for what people do or
// wait for, from a minute to a week.
var (
	machineTimes = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}
	peopleTimes  = []float64{1, 10, 60, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 604800}
)

// instruments are those for what happens.
type instruments struct {
	check, delivery, run, step, question metric.Float64Histogram
	acknowledge, mitigate, resolve       metric.Float64Histogram
	transitions, opened                  metric.Int64Counter
}

func newInstruments(m metric.Meter) (instruments, error) {
	var errs []error
	histogram := func(name, about string, boundaries []float64) metric.Float64Histogram {
		h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(about), metric.WithExplicitBucketBoundaries(boundaries...))
		errs = append(errs, err)
		return h
	}
	counter := func(name, unit, about string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(about))
		errs = append(errs, err)
		return c
	}
	i := instruments{
		check:       histogram("runbook.check.duration", "How long the checked thing took to answer.", machineTimes),
		transitions: counter("runbook.check.transitions", "{transition}", "Changes of the status of a check, by the new one."),
		delivery:    histogram("runbook.delivery.duration", "How long an attempt to deliver a notification took.", machineTimes),
		opened:      counter("runbook.incident.opened", "{incident}", "Incidents that were opened."),
		acknowledge: histogram("runbook.incident.acknowledge.duration", "From the trigger of an incident until somebody took care.", peopleTimes),
		mitigate:    histogram("runbook.incident.mitigate.duration", "From the trigger of an incident until users were no longer hurt.", peopleTimes),
		resolve:     histogram("runbook.incident.resolve.duration", "From the trigger of an incident until it was over.", peopleTimes),
		run:         histogram("runbook.run.duration", "From when a run was asked for until it ended.", peopleTimes),
		step:        histogram("runbook.step.duration", "How long an attempt at a step took.", machineTimes),
		question:    histogram("runbook.question.duration", "How long a run waited for people to answer.", peopleTimes),
	}
	return i, errors.Join(errs...)
}
