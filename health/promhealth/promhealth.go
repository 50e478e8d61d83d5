// Package promhealth exports what a [health.Monitor] knows as Prometheus
// metrics.
//
//	c, err := promhealth.New(promhealth.Config{Monitor: m, Labels: []string{"environment"}})
//	if err != nil {
//		return err
//	}
//	registry.MustRegister(c)
//	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
//
// The metrics are
//
//	health_status{status}                        1 for the status of all checks together, else 0
//	health_check_status{check,status}            1 for the status of the check, else 0
//	health_check_since_timestamp_seconds{check}  when the check got its status
//	health_check_duration_seconds{check}         how long the thing took to answer, latest result
//	health_check_result_timestamp_seconds{check} when the latest result was found
//	health_check_failures{check}                 results in a row that failed
//	health_check_measurement{check,name,unit}    numbers that the latest result has
//	health_monitor_lag_seconds                   how late probes began in the last minutes
//	health_monitor_hung                          probers that ignore that their time is over
//	health_monitor_runs_total, health_monitor_skipped_total, health_monitor_samples_lost_total
//
// Maintenance is a status of its own, so that a rule can tell it from failure.
//
// It probes nothing: a scrape reads the snapshot. Texts (messages, versions)
// are not exported. A [Collector] is safe for concurrent use. Importing the
// package compiles health and the Prometheus client library.
package promhealth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"go.acu.edu.au/runbook/health"
)

// Config is what a [Collector] is made of.
type Config struct {
	// Monitor is what to export. Required.
	Monitor *health.Monitor
	// Labels are names of labels of checks (see [health.Check]) that become
	// labels of the metrics of checks. A check without one has it empty.
	Labels []string
}

// A Collector is a [prometheus.Collector] of a Monitor.
type Collector struct {
	monitor *health.Monitor
	labels  []string

	status, checkStatus, since, duration, result, failures, measurement *prometheus.Desc
	lag, hung, runs, skipped, lost                                      *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// statuses are all states, each a series.
var statuses = [...]health.Status{health.Unknown, health.Healthy, health.Degraded, health.Unhealthy, health.Maintenance}

// New returns a Collector. The error lists everything that is wrong with cfg.
func New(cfg Config) (*Collector, error) {
	var errs []error
	if cfg.Monitor == nil {
		errs = append(errs, errors.New("a monitor is required"))
	}
	for i, name := range cfg.Labels {
		switch {
		case !isLabelName(name):
			errs = append(errs, fmt.Errorf("label %q: not a label name of Prometheus", name))
		case slices.Contains([]string{"check", "status", "name", "unit"}, name):
			errs = append(errs, fmt.Errorf("label %q: the name is taken", name))
		case slices.Contains(cfg.Labels[:i], name):
			errs = append(errs, fmt.Errorf("label %q: named twice", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("promhealth: %w", err)
	}
	labels := append([]string{"check"}, cfg.Labels...)
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("health_"+name, help, labels, nil)
	}
	return &Collector{
		monitor:     cfg.Monitor,
		labels:      slices.Clone(cfg.Labels),
		status:      desc("status", "1 for the status of all checks together, else 0.", "status"),
		checkStatus: desc("check_status", "1 for the status of the check, else 0.", append(slices.Clone(labels), "status")...),
		since:       desc("check_since_timestamp_seconds", "When the check got its status.", labels...),
		duration:    desc("check_duration_seconds", "How long the thing took to answer, in the latest result.", labels...),
		result:      desc("check_result_timestamp_seconds", "When the latest result was found.", labels...),
		failures:    desc("check_failures", "Results in a row that failed, up to the latest.", labels...),
		measurement: desc("check_measurement", "A number of the latest result, in its unit.", append(slices.Clone(labels), "name", "unit")...),
		lag:         desc("monitor_lag_seconds", "The longest time that a probe began late in the last one to two minutes."),
		hung:        desc("monitor_hung", "Probers that ignore that their time is over."),
		runs:        desc("monitor_runs_total", "Probes begun."),
		skipped:     desc("monitor_skipped_total", "Times that a check was due while its previous probe had not ended."),
		lost:        desc("monitor_samples_lost_total", "Samples dropped because the history failed for too long."),
	}, nil
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.status, c.checkStatus, c.since, c.duration, c.result, c.failures, c.measurement,
		c.lag, c.hung, c.runs, c.skipped, c.lost,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		for i := range labels {
			labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD") // a scrape with other text would fail as a whole
		}
		if metric, err := prometheus.NewConstMetric(d, kind, value, labels...); err == nil {
			ch <- metric
		}
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		send(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value uint64) { send(d, prometheus.CounterValue, float64(value)) }
	report := c.monitor.Snapshot()
	for _, s := range statuses {
		gauge(c.status, one(report.Status == s), s.String())
	}
	for _, state := range report.Checks {
		c.collect(state, gauge)
	}
	self := c.monitor.Self()
	gauge(c.lag, self.Lag.Seconds())
	gauge(c.hung, float64(self.Hung))
	counter(c.runs, self.Runs)
	counter(c.skipped, self.Skipped)
	counter(c.lost, self.SamplesLost)
}

// collect exports one check. What is not known yet is left out.
func (c *Collector) collect(state health.State, gauge func(*prometheus.Desc, float64, ...string)) {
	labels := []string{state.Name}
	for _, name := range c.labels {
		labels = append(labels, state.Labels[name])
	}
	with := func(more ...string) []string { return append(slices.Clone(labels), more...) }
	for _, s := range statuses {
		gauge(c.checkStatus, one(state.Status == s), with(s.String())...)
	}
	gauge(c.failures, float64(state.Failures), labels...)
	if state.Last.Time.IsZero() {
		return
	}
	gauge(c.since, float64(state.Since.UnixMilli())/1000, labels...)
	gauge(c.duration, state.Last.Duration.Seconds(), labels...)
	gauge(c.result, float64(state.Last.Time.UnixMilli())/1000, labels...)
	for i, m := range state.Last.Measurements {
		again := func(other health.Measurement) bool { return other.Name == m.Name && other.Unit == m.Unit }
		if m.Text != "" || slices.ContainsFunc(state.Last.Measurements[:i], again) {
			continue // a scrape with the same series twice would fail as a whole
		}
		gauge(c.measurement, m.Value, with(m.Name, string(m.Unit))...)
	}
}

// isLabelName reports whether every version of Prometheus takes the name for a
// label: letters, digits and underscores, not beginning with a digit.
func isLabelName(name string) bool {
	odd := func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	return name != "" && (name[0] < '0' || name[0] > '9') && !strings.ContainsFunc(name, odd)
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
