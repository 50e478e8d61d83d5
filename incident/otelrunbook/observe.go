package otelrunbook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// Sources are what is asked how things are, at each collection. What is nil is not.
type Sources struct {
	// Monitor knows the checks.
	Monitor *health.Monitor
	// Router knows the alerts.
	Router *alert.Router
	// Manager knows the incidents, in its store.
	Manager *incident.Manager
	// Runner knows the runs and what waits for people, in its store.
	Runner *incident.Runner
}

// severities are all severities of alerts and incidents.
var severities = []alert.Severity{alert.Critical, alert.High, alert.Medium, alert.Low}

// mostRuns is how many runs that have not ended are counted at most.
const mostRuns = 1000

// Observe begins to read the sources at each collection, until [Telemetry.Close]. It is
// called once for each of them; the error says which was observed already. A collection
// holds nothing up, and waits for a store no longer than Config.Timeout.
func (t *Telemetry) Observe(s Sources) error {
	if !t.metering {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	begin := func(name string, is, already bool, register func() error) {
		switch {
		case !is:
		case already:
			errs = append(errs, fmt.Errorf("a %s is observed already: give it once", name))
		default:
			if err := register(); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
	}
	begin("monitor", s.Monitor != nil, t.observed.Monitor != nil, func() error {
		t.observed.Monitor = s.Monitor
		return errors.Join(t.observeChecks(s.Monitor), t.observeMonitor(s.Monitor))
	})
	begin("router", s.Router != nil, t.observed.Router != nil, func() error {
		t.observed.Router = s.Router
		return t.observeAlerts(s.Router)
	})
	begin("manager", s.Manager != nil, t.observed.Manager != nil, func() error {
		t.observed.Manager = s.Manager
		return t.observeIncidents(s.Manager)
	})
	begin("runner", s.Runner != nil, t.observed.Runner != nil, func() error {
		t.observed.Runner = s.Runner
		return errors.Join(t.observeRuns(s.Runner), t.observeApprovals(s.Runner))
	})
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("otelrunbook: observe: %w", err)
	}
	return nil
}

// gauge makes an instrument whose value is read.
func (t *Telemetry) gauge(errs *error, name, unit, about string) metric.Int64ObservableGauge {
	g, err := t.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(about))
	*errs = errors.Join(*errs, err)
	return g
}

// seconds makes a gauge of a time.
func (t *Telemetry) seconds(errs *error, name, about string) metric.Float64ObservableGauge {
	g, err := t.meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(about))
	*errs = errors.Join(*errs, err)
	return g
}

// total makes an instrument whose value is read and grows.
func (t *Telemetry) total(errs *error, name, unit, about string) metric.Int64ObservableCounter {
	c, err := t.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(about))
	*errs = errors.Join(*errs, err)
	return c
}

// register has f called at each collection. The lock is held.
func (t *Telemetry) register(errs error, f metric.Callback, instruments ...metric.Observable) error {
	if errs != nil {
		return errs
	}
	r, err := t.meter.RegisterCallback(f, instruments...)
	if err == nil {
		t.registrations = append(t.registrations, r)
	}
	return err
}

func (t *Telemetry) observeChecks(m *health.Monitor) (errs error) {
	status := t.gauge(&errs, "runbook.check.status", "1", "1 for the status that a check has, else 0.")
	failures := t.gauge(&errs, "runbook.check.failures", "{result}", "Results in a row that failed, up to the latest.")
	return t.register(errs, func(_ context.Context, o metric.Observer) error {
		for _, state := range m.Snapshot().Checks {
			for _, s := range statuses {
				is := int64(0)
				if state.Status == s {
					is = 1
				}
				o.ObserveInt64(status, is, metric.WithAttributes(checkAttributes(state, s)...))
			}
			o.ObserveInt64(failures, int64(state.Failures), metric.WithAttributes(checkAttributes(state, 0)[:2]...))
		}
		return nil
	}, status, failures)
}

func (t *Telemetry) observeMonitor(m *health.Monitor) (errs error) {
	lag := t.seconds(&errs, "runbook.monitor.lag", "The longest time that a probe began late in the last one to two minutes.")
	hung := t.gauge(&errs, "runbook.monitor.hung", "{probe}", "Probers that ignore that their time is over.")
	probes := t.total(&errs, "runbook.monitor.probes", "{probe}", "Probes begun.")
	skipped := t.total(&errs, "runbook.monitor.skipped", "{probe}", "Times that a check was due while its previous probe had not ended.")
	lost := t.total(&errs, "runbook.monitor.samples.lost", "{sample}", "Samples dropped because the history failed for too long.")
	return t.register(errs, func(_ context.Context, o metric.Observer) error {
		self := m.Self()
		o.ObserveFloat64(lag, self.Lag.Seconds())
		o.ObserveInt64(hung, int64(self.Hung))
		o.ObserveInt64(probes, int64(self.Runs))
		o.ObserveInt64(skipped, int64(self.Skipped))
		o.ObserveInt64(lost, int64(self.SamplesLost))
		return nil
	}, lag, hung, probes, skipped, lost)
}

func (t *Telemetry) observeAlerts(r *alert.Router) (errs error) {
	firing := t.gauge(&errs, "runbook.alerts.firing", "{alert}", "Alerts that fire.")
	return t.register(errs, func(_ context.Context, o metric.Observer) error {
		type sort struct {
			severity     alert.Severity
			acknowledged bool
		}
		n := make(map[sort]int64)
		for _, s := range r.Alerts() {
			if s.Alert.State == alert.Firing {
				n[sort{s.Alert.Severity, s.Alert.Acknowledged != nil}]++
			}
		}
		for _, s := range severities {
			for _, acknowledged := range []bool{false, true} {
				o.ObserveInt64(firing, n[sort{s, acknowledged}], metric.WithAttributes(attrSeverity.String(s.String()), attrAcknowledged.Bool(acknowledged)))
			}
		}
		return nil
	}, firing)
}

func (t *Telemetry) observeIncidents(m *incident.Manager) (errs error) {
	open := t.gauge(&errs, "runbook.incidents.open", "{incident}", "Incidents that are open, without exercises.")
	return t.register(errs, t.reading("incidents", func(ctx context.Context, o metric.Observer) error {
		n := make(map[alert.Severity]int64)
		for i, err := range m.Incidents(ctx, incident.IncidentQuery{Open: true}) {
			if err != nil {
				return err
			}
			if !i.Simulated {
				n[i.Severity]++
			}
		}
		for _, s := range severities {
			o.ObserveInt64(open, n[s], metric.WithAttributes(attrSeverity.String(s.String())))
		}
		return nil
	}), open)
}

func (t *Telemetry) observeRuns(r *incident.Runner) (errs error) {
	active := t.gauge(&errs, "runbook.runs.active", "{run}", "Runs that have not ended.")
	query := incident.RunQuery{Statuses: []incident.RunStatus{incident.RunQueued, incident.RunRunning, incident.RunStranded}, Limit: mostRuns}
	return t.register(errs, t.reading("runs", func(ctx context.Context, o metric.Observer) error {
		n := make(map[attribute.Distinct]int64)
		sets := make(map[attribute.Distinct]attribute.Set)
		for run, err := range r.Runs(ctx, query) {
			if err != nil {
				return err
			}
			set := attribute.NewSet(attrPlaybook.String(run.Playbook), attrEnvironment.String(run.Environment), attrState.String(string(run.State)))
			n[set.Equivalent()]++
			sets[set.Equivalent()] = set
		}
		for key, set := range sets {
			o.ObserveInt64(active, n[key], metric.WithAttributeSet(set))
		}
		return nil
	}), active)
}

func (t *Telemetry) observeApprovals(r *incident.Runner) (errs error) {
	waiting := t.gauge(&errs, "runbook.approvals.waiting", "{approval}", "Questions and suggestions that wait for people.")
	oldest := t.seconds(&errs, "runbook.approvals.oldest", "How long the oldest of them has waited.")
	return t.register(errs, t.reading("approvals", func(ctx context.Context, o metric.Observer) error {
		list, err := r.Approvals(ctx)
		if err != nil {
			return err
		}
		n, longest := make(map[string]int64), time.Duration(0)
		for _, p := range r.Playbooks() {
			n[p.Environment] = 0
		}
		for _, a := range list {
			n[a.Environment]++
			longest = max(longest, time.Since(a.Question.Asked))
		}
		for environment, n := range n {
			o.ObserveInt64(waiting, n, metric.WithAttributes(attrEnvironment.String(environment)))
		}
		o.ObserveFloat64(oldest, longest.Seconds())
		return nil
	}), waiting, oldest)
}

// reading limits how long f may take, and has its error logged instead of returned: a
// collection with an error would not be exported, when it is needed most. The log says when
// it begins to fail, and when it works again.
func (t *Telemetry) reading(what string, f metric.Callback) metric.Callback {
	return func(ctx context.Context, o metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
		defer cancel()
		err := f(ctx, o)
		t.reads.Lock()
		before := t.unread[what]
		t.unread[what] = err != nil
		t.reads.Unlock()
		switch {
		case err != nil && !before:
			t.cfg.Logger.WarnContext(ctx, "otelrunbook: something cannot be read, and is missing from the metrics", "what", what, "error", err)
		case err == nil && before:
			t.cfg.Logger.InfoContext(ctx, "otelrunbook: it can be read again, and is in the metrics", "what", what)
		}
		return nil
	}
}
