// Package otelrunbook tells OpenTelemetry what the SDK does: metrics of checks, alerts,
// deliveries, incidents and runs, and traces of runs, deliveries and checks that fail.
//
//	telemetry, err := otelrunbook.New(otelrunbook.Config{TracerProvider: traces, MeterProvider: metrics})
//	if err != nil {
//		return err
//	}
//	// While the parts are made, each gets its piece:
//	monitor, err := health.New(health.Config{Checks: checks, Hooks: telemetry.HealthHooks()})
//	target := alert.Target{Name: "slack-alerts", Notifier: telemetry.Notifier("slack-alerts", slack)}
//	hooks := incident.ManagerHooks{OnChanged: telemetry.OnIncident}
//	programs := map[string]incident.Program{incident.PlaybookProgram: telemetry.Program(runner.Program())}
//	// When they are made, what they know is read at each collection:
//	err = telemetry.Observe(otelrunbook.Sources{Monitor: monitor, Router: router, Manager: manager, Runner: runner})
//
// Nothing is global: there are no spans without a TracerProvider and no metrics without a
// MeterProvider, and a [Telemetry] with neither hands back what it is given. It starts no
// goroutine. Exporters, samplers and readers are the host's.
//
// # Metrics
//
// State is read when it is collected. What cannot be read in Config.Timeout, because the
// store is down, is missing from that collection, and logged once; the rest is there.
//
//	runbook.check.status{check,environment,status}  1 for the status that a check has, else 0
//	runbook.check.failures{check,environment}       results in a row that failed
//	runbook.monitor.lag                             how late probes began, s
//	runbook.monitor.hung                            probers that ignore that their time is over
//	runbook.monitor.probes, runbook.monitor.skipped, runbook.monitor.samples.lost
//	runbook.alerts.firing{severity,acknowledged}    alerts that fire
//	runbook.incidents.open{severity}                incidents that are open, without exercises
//	runbook.runs.active{playbook,environment,state} runs that have not ended
//	runbook.approvals.waiting{environment}          questions and suggestions that wait for people
//	runbook.approvals.oldest                        how long the oldest of them has waited, s
//
// What happens is counted where it happens:
//
//	runbook.check.duration{check,environment,status}                    histogram, s
//	runbook.check.transitions{check,environment,status}                 changes to that status
//	runbook.delivery.duration{target,kind,result}                       histogram, s
//	runbook.incident.opened{severity}                                   without exercises
//	runbook.incident.acknowledge.duration{severity}                     time to acknowledge, s
//	runbook.incident.mitigate.duration{severity}                        time to mitigate, s
//	runbook.incident.resolve.duration{severity}                         time to resolve, s
//	runbook.run.duration{playbook,environment,state}                    from when it was asked for, s
//	runbook.step.duration{playbook,environment,kind,result}             of each attempt, s
//	runbook.question.duration{playbook,environment,kind,answer}         how long people took, s
//
// Attributes are named runbook.check, runbook.environment and so on. Their values are names
// that the host chose and words of the SDK: a series never depends on what outsiders send,
// and has no ids, messages, addresses or names of people. The result of a delivery is
// "delivered", "limited", "refused", "unsent" or "unknown"; that of an attempt "done",
// "failed", "unknown", "skipped" or, while something is waited for, "not yet". Where replicas
// share a store each says of incidents, runs and approvals what the store says: take the
// greatest, and not the sum.
//
// # Traces
//
// A run of a playbook is one trace, whose id is made of the id of the run: see [TraceID]. A
// run may wait for days, and go on in another process, so no span is kept for it: each
// attempt at a step is a span while it is made, what people were asked is one when they have
// answered, and the span of the run itself is made when the run ends, with the time at which
// it was asked for. A second attempt links to the first, and a run that was forked to the
// one from which it was. For the run to be the parent of its steps, the provider has to take
// its ids from [IDs]:
//
//	sdktrace.NewTracerProvider(sdktrace.WithIDGenerator(otelrunbook.IDs{}), sdktrace.WithBatcher(exporter))
//
// Otherwise it is in the same trace beside them. A step is the child of a remote span that
// counts as sampled, so that a parent-based sampler takes all steps; runs are few. A run
// that is cancelled while no process carries it out has no span of its own. Of something that
// is waited for the first ten looks are spans, and then only the one that found it.
//
// A delivery is a span while it is made. A check that failed is one too, made of its result,
// and so are all checks with [AllChecks].
//
// The context of a step and of a notifier has the span, so that calls over HTTP become its
// children when the client is instrumented. This package does not do that: the seam is the
// *http.Client that each provider takes, and otelhttp makes its transport:
//
//	HTTP: &http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport, otelhttp.WithTracerProvider(traces))}
//
// Give otelhttp no propagator there, since what the SDK calls belongs to others. The queries of
// some URLs are secrets; otelhttp records URLs, so use an exporter that removes queries.
//
// Spans have ids of runs and incidents, names of steps, checks and targets, and the class of
// what went wrong: a cause, a code or a result. They have no text of an error, no message, no
// parameter, no output, and nobody's name, since any of these may quote what must not leave.
//
// # Cost
//
// A result of a check costs less than a microsecond, and one that failed some ten, for its
// span, with the SDK of OpenTelemetry. All methods are safe for concurrent use. Importing the
// package compiles health, alert, incident and the API of OpenTelemetry, and not its SDK.
package otelrunbook
