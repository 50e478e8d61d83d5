package playbooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// reading returns the first measurement that a result has of some names, times in
// seconds and shares as 0 to 1.
func reading(r health.Result, names ...string) (float64, bool) {
	for _, name := range names {
		m, ok := r.Measurement(name)
		if !ok || m.Text != "" {
			continue
		}
		switch m.Unit {
		case health.Milliseconds:
			return m.Value / 1000, true
		case health.Percent:
			return m.Value / 100, true
		}
		return m.Value, true
	}
	return 0, false
}

// failing is the share of what may be that stands for something that does not work at all.
const failing = 10

// responsiveness is the gauge of how the application answers: its response time
// (measured as response_time_p95 or response_time, else how long the probe took) and its
// error rate (error_rate), whichever is worse compared with its limit.
func (e Environment) responsiveness() gauge {
	d := e.Defaults.WithDefaults()
	return gauge{name: "how the application answers", read: func(ctx context.Context) (float64, string, error) {
		began := time.Now()
		r := e.Probes.Performance.Probe(ctx)
		if r.Status == health.Unknown {
			return 0, "", errors.New(found(r).String())
		}
		took, timed := reading(r, "response_time_p95", "response_time")
		failed, counted := reading(r, "error_rate")
		if r.Status == health.Unhealthy && !timed && !counted {
			return failing, "it does not answer: " + cut(r.Message, 200), nil
		}
		if !timed {
			took = cmp.Or(r.Duration, time.Since(began)).Seconds()
		}
		share, text := took/d.ResponseTime.Seconds(), fmt.Sprintf("it takes %s (limit %v)", seconds(took), d.ResponseTime)
		if counted {
			share = max(share, failed/d.ErrorRate)
			text += fmt.Sprintf(", and %.1f %% of requests fail (limit %.0f %%)", 100*failed, 100*d.ErrorRate)
		}
		return share, text, nil
	}}
}

// speed is the gauge of how long an answer takes, whether it is an error or not.
func (e Environment) speed() gauge {
	d := e.Defaults.WithDefaults()
	return gauge{name: "how long an answer takes", read: func(ctx context.Context) (float64, string, error) {
		began := time.Now()
		r := e.Probes.Performance.Probe(ctx)
		took, timed := reading(r, "response_time_p95", "response_time")
		if r.Status == health.Unknown || r.Status == health.Unhealthy && !timed {
			return 0, "", errors.New(found(r).String())
		}
		if !timed {
			took = cmp.Or(r.Duration, time.Since(began)).Seconds()
		}
		return took / d.ResponseTime.Seconds(), fmt.Sprintf("it takes %s (limit %v)", seconds(took), d.ResponseTime), nil
	}}
}

func seconds(v float64) string {
	return time.Duration(v * float64(time.Second)).Round(10 * time.Millisecond).String()
}

// Compared is a metric now, and what it usually is at this hour.
type Compared struct {
	// Metric is what is compared, Unit what it is in.
	Metric incident.Metric `json:"metric"`
	Unit   incident.Unit   `json:"unit,omitempty"`
	// Now is the middle of the last quarter of an hour, Usual that of the hour around this
	// time of the day on the days before, of which there are Days.
	Now   float64 `json:"now"`
	Usual float64 `json:"usual"`
	Days  int     `json:"days"`
}

// times is how many times what is usual it is now; zero if that is not known.
func (c Compared) times() float64 {
	if c.Days == 0 || c.Usual <= 0 {
		return 0
	}
	return c.Now / c.Usual
}

// Baseline compares the present with the days before.
type Baseline struct {
	// Metrics are those that were measured now and before.
	Metrics []Compared `json:"metrics,omitempty"`
	// NotMeasured says of which there is nothing to compare, and why.
	NotMeasured []string `json:"not_measured,omitempty"`
}

// of returns the comparison of a metric; one of zero days if there is none.
func (b Baseline) of(m incident.Metric) Compared {
	i := slices.IndexFunc(b.Metrics, func(c Compared) bool { return c.Metric == m })
	if i < 0 {
		return Compared{Metric: m}
	}
	return b.Metrics[i]
}

// String says how it is compared with what is usual.
func (b Baseline) String() string {
	var all []string
	for _, c := range b.Metrics {
		if n := c.times(); n > 0 {
			all = append(all, fmt.Sprintf("%s is %.1f times what it usually is at this hour (%d days)", c.Metric, n, c.Days))
		}
	}
	return strings.Join(all, ", ")
}

// baselineDays is how far back the baseline goes.
const baselineDays = 7

// baseline is a step that compares what the platform measures now with the same hour of
// the days before, in the zone of the people: load follows their day.
func (e Environment) baseline(id string, metrics ...incident.Metric) incident.Step {
	return incident.Step{
		ID: id, Title: "Compare with the same hour of the days before", Timeout: 2 * time.Minute, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) { return e.Metrics != nil, "this environment has no metrics" },
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			now := time.Now()
			if e.Zone != nil {
				now = now.In(e.Zone)
			} else {
				now = now.UTC()
			}
			var b Baseline
			for _, m := range metrics {
				// One metric in each call: of several, one that is not measured fails them all.
				series, err := e.Metrics.Metrics(ctx, incident.MetricQuery{Metrics: []incident.Metric{m}, From: sameHour(now, baselineDays).Add(-30 * time.Minute), Step: 10 * time.Minute})
				if err != nil {
					if ctx.Err() != nil {
						return nil, ctx.Err()
					}
					b.NotMeasured = append(b.NotMeasured, cut(fmt.Sprintf("%s: %v", m, err), 200))
					continue
				}
				c, ok := compared(m, series, now)
				if !ok {
					b.NotMeasured = append(b.NotMeasured, string(m)+": nothing was measured in the last quarter of an hour")
					continue
				}
				b.Metrics = append(b.Metrics, c)
			}
			return b, nil
		}},
	}
}

// sameHour returns the same time of the day, some days before. On a day on which the
// clocks change, it is the time that the clocks show that counts.
func sameHour(now time.Time, days int) time.Time {
	y, m, d := now.Date()
	return time.Date(y, m, d-days, now.Hour(), now.Minute(), now.Second(), 0, now.Location())
}

// compared compares what was measured now and before.
func compared(m incident.Metric, series []incident.Series, now time.Time) (Compared, bool) {
	c := Compared{Metric: m, Unit: m.Unit()}
	var latest, usual []float64
	days := make(map[int]bool)
	for _, s := range series {
		for _, p := range s.Points {
			if age := now.Sub(p.Time); age >= 0 && age <= 15*time.Minute {
				latest = append(latest, p.Value)
			}
			for day := 1; day <= baselineDays; day++ {
				if p.Time.Sub(sameHour(now, day)).Abs() <= 30*time.Minute {
					usual, days[day] = append(usual, p.Value), true
				}
			}
		}
	}
	if len(latest) == 0 {
		return c, false
	}
	c.Now, c.Usual, c.Days = median(latest), median(usual), len(days)
	return c, true
}

// median returns the middle value, zero of none.
func median(values []float64) float64 {
	values = slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}
