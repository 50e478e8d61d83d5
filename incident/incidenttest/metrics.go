package incidenttest

import (
	"slices"
	"testing"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// MetricsCase is a service that is measured, for one test.
type MetricsCase struct {
	// Metrics is the implementation.
	Metrics incident.Metrics
	// Has are metrics of which there are points between From and To: at least one.
	Has      []incident.Metric
	From, To time.Time
	// Silent is a metric that is measured and has no points in that time, Missing
	// one that the platform does not measure. Empty declines.
	Silent, Missing incident.Metric
	// Forbid makes the platform refuse everything from now on. Nil declines.
	Forbid func()
}

// MetricsHarness is what [TestMetrics] needs of an implementation.
type MetricsHarness struct {
	// New returns a fresh service.
	New func(t testing.TB) MetricsCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestMetrics checks what [incident.Metrics] asks of an implementation.
func TestMetrics(t *testing.T, h MetricsHarness) {
	h.Run.sub(t, "read", func(t *testing.T) {
		c := h.New(t)
		series, err := c.Metrics.Metrics(t.Context(), incident.MetricQuery{Metrics: c.Has, From: c.From, To: c.To})
		if err != nil {
			t.Fatal(err)
		}
		var seen []incident.Metric
		for _, s := range series {
			if seen = append(seen, s.Metric); s.Unit == "" || s.Metric.Unit() != "" && s.Unit != s.Metric.Unit() {
				t.Errorf("%s is in %q; want %q", s.Metric, s.Unit, s.Metric.Unit())
			}
			if len(s.Points) == 0 {
				t.Errorf("%s has no points", s.Metric)
			}
			for i, p := range s.Points {
				if p.Time.Before(c.From) || !p.Time.Before(c.To) || i > 0 && !p.Time.After(s.Points[i-1].Time) {
					t.Errorf("%s: point %d is at %v; want them in the span, the oldest first", s.Metric, i, p.Time)
				}
			}
		}
		if !slices.Equal(slices.Compact(seen), c.Has) {
			t.Errorf("series of %q; want %q, in this order", seen, c.Has)
		}
	})
	h.Run.sub(t, "nothing measured is not zero", func(t *testing.T) {
		c := h.New(t)
		if c.Silent == "" {
			t.Skip("declined")
		}
		series, err := c.Metrics.Metrics(t.Context(), incident.MetricQuery{Metrics: []incident.Metric{c.Silent}, From: c.From, To: c.To})
		if err != nil || len(series) == 0 || series[0].Metric != c.Silent || len(series[0].Points) != 0 {
			t.Errorf("series %+v, error %v; want one without points", series, err)
		}
	})
	h.Run.sub(t, "not measured", func(t *testing.T) {
		c := h.New(t)
		if c.Missing == "" {
			t.Skip("declined")
		}
		_, err := c.Metrics.Metrics(t.Context(), incident.MetricQuery{Metrics: []incident.Metric{c.Has[0], c.Missing}, From: c.From})
		wants(t, err, incident.ErrUnsupported)
	})
	h.Run.sub(t, "refused", func(t *testing.T) {
		c := h.New(t)
		if c.Forbid == nil {
			t.Skip("declined")
		}
		c.Forbid()
		_, err := c.Metrics.Metrics(t.Context(), incident.MetricQuery{Metrics: c.Has, From: c.From})
		wants(t, err, incident.ErrNotPermitted)
	})
	h.Run.sub(t, "ended context", func(t *testing.T) {
		c := h.New(t)
		_, err := c.Metrics.Metrics(ended(t), incident.MetricQuery{Metrics: c.Has, From: c.From})
		wants(t, err, ended(t).Err())
	})
	h.Run.sub(t, "invalid", func(t *testing.T) {
		c := h.New(t)
		for _, q := range []incident.MetricQuery{{}, {Metrics: c.Has}, {From: c.From}, {Metrics: append(c.Has, c.Has...), From: c.From}, {Metrics: c.Has, From: c.To, To: c.From}} {
			if _, err := c.Metrics.Metrics(t.Context(), q); err == nil {
				t.Errorf("%+v has series", q)
			}
		}
	})
}
