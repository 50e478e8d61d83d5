package railway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// metricsAll are the metrics of package incident.
func metricsAll() []incident.Metric {
	return []incident.Metric{
		incident.MetricCPU, incident.MetricCPULimit, incident.MetricMemory, incident.MetricMemoryLimit, incident.MetricDisk,
		incident.MetricNetworkIn, incident.MetricNetworkOut, incident.MetricRequests, incident.MetricErrors,
		incident.MetricLatencyP50, incident.MetricLatencyP95, incident.MetricLatencyP99,
	}
}

// measured fills the stage with measurements of ten minutes, and returns their start.
func measured(st *logStage) (from time.Time) {
	from = time.Now().Truncate(time.Minute)
	for i := range 10 {
		at := from.Add(time.Duration(i) * time.Minute)
		for name, value := range map[string]float64{
			"CPU_USAGE": 0.5, "CPU_LIMIT": 8, "MEMORY_USAGE_GB": 0.25, "MEMORY_LIMIT_GB": 8, "NETWORK_RX_GB": 0.001, "NETWORK_TX_GB": 0.002,
		} {
			st.Measure(st.environment, st.service, name, at, value)
		}
		for j := range 10 {
			status := 200
			if i == 3 && j < 4 {
				status = 500 + j
			}
			st.Serve(st.current, railwaytest.HTTPRequest{At: at, Status: status, Duration: time.Duration(j+1) * 100 * time.Millisecond})
		}
	}
	time.Sleep(10 * time.Minute)
	return from
}

// Requirement: RW-METRIC-EMPTY
func TestMetricsConform(t *testing.T) {
	incidenttest.TestMetrics(t, incidenttest.MetricsHarness{
		Run: func(t *testing.T, test func(t *testing.T)) { synctest.Test(t, test) },
		New: func(t testing.TB) incidenttest.MetricsCase {
			st := newLogStage(t)
			from := measured(st)
			c := incidenttest.MetricsCase{
				Metrics: st.svc, From: from, To: from.Add(10 * time.Minute),
				Silent: incident.MetricDisk, Missing: "temperature", Forbid: func() { st.Forbid(true) },
			}
			for _, m := range metricsAll() {
				if m != incident.MetricDisk {
					c.Has = append(c.Has, m)
				}
			}
			return c
		},
	})
}

// Units are those of package incident, and a call answers for all of a kind.
func TestMetricsUnits(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		from := measured(st)
		before := len(st.Calls())
		series, err := st.svc.Metrics(t.Context(), incident.MetricQuery{Metrics: metricsAll(), From: from, Step: time.Minute})
		require.NoError(t, err)
		assert.Equal(t, []string{"Metrics", "HTTPStatusMetrics", "HTTPDurationMetrics"}, st.Calls()[before:])
		want := map[incident.Metric]float64{
			incident.MetricCPU: 0.5, incident.MetricCPULimit: 8, incident.MetricMemory: 0.25e9, incident.MetricMemoryLimit: 8e9,
			incident.MetricNetworkIn: 1e6, incident.MetricNetworkOut: 2e6, incident.MetricRequests: 10, incident.MetricErrors: 4,
			incident.MetricLatencyP50: 0.6, incident.MetricLatencyP95: 1, incident.MetricLatencyP99: 1,
		}
		for _, s := range series {
			if s.Metric == incident.MetricDisk {
				assert.Empty(t, s.Points)
				continue
			}
			require.Len(t, s.Points, 10, "%s", s.Metric)
			assert.InEpsilon(t, want[s.Metric], s.Points[3].Value, 1e-9, "%s", s.Metric)
			assert.True(t, s.Points[3].Time.Equal(from.Add(3*time.Minute)), "%s", s.Metric)
			if s.Metric == incident.MetricErrors {
				assert.Zero(t, s.Points[4].Value, "there were requests, and none failed")
			}
		}
	})
}

// Requirement: RW-METRIC-EMPTY
//
// What was not measured has no points: neither an empty series, nor one that is not
// there, nor errors of a time without requests.
func TestMetricsOfNothing(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		from := time.Now()
		time.Sleep(time.Hour)
		series, err := st.svc.Metrics(t.Context(), incident.MetricQuery{Metrics: metricsAll(), From: from})
		require.NoError(t, err)
		require.Len(t, series, len(metricsAll()))
		for i, s := range series {
			assert.Equal(t, metricsAll()[i], s.Metric)
			assert.Equal(t, s.Metric.Unit(), s.Unit)
			assert.Empty(t, s.Points, "%s", s.Metric)
		}
	})
}

// Each region has a series, and what was not asked for, or is outside of the span, is
// left out.
func TestMetricsByRegion(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		from := time.Unix(1_700_000_000, 0).UTC()
		value := func(s int64, v float64) string { return fmt.Sprintf(`{"ts":%d,"value":%g}`, from.Unix()+s, v) }
		var asked string
		st.intercept(t, "Metrics", nil, func(r *http.Request) string {
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			asked = string(body)
			return `{"data":{"metrics":[
				{"measurement":"CPU_USAGE","tags":{"region":"us-west2"},"values":[` + value(60, 2) + "," + value(30, 1) + "," + value(-30, 9) + "," + value(3600, 9) + `]},
				{"measurement":"CPU_USAGE","tags":{"region":"europe-west4"},"values":[]},
				{"measurement":"CPU_USAGE_3","tags":{"region":"europe-west4"},"values":[` + value(30, 9) + `]},
				{"measurement":"DISK_USAGE_GB","tags":{"region":null,"volumeId":"v1"},"values":[` + value(30, 1.5) + `]}]}}`
		})
		series, err := st.svc.Metrics(t.Context(), incident.MetricQuery{Metrics: []incident.Metric{incident.MetricDisk, incident.MetricCPU}, From: from, To: from.Add(time.Hour)})
		require.NoError(t, err)
		want := []incident.Series{
			{Metric: incident.MetricDisk, Unit: incident.UnitBytes, Labels: map[string]string{"volume": "v1"}, Points: []incident.Point{{Time: from.Add(30 * time.Second), Value: 1.5e9}}},
			{Metric: incident.MetricCPU, Unit: incident.UnitCores, Labels: map[string]string{"region": "europe-west4"}},
			{Metric: incident.MetricCPU, Unit: incident.UnitCores, Labels: map[string]string{"region": "us-west2"},
				Points: []incident.Point{{Time: from.Add(30 * time.Second), Value: 1}, {Time: from.Add(time.Minute), Value: 2}}},
		}
		assert.Empty(t, cmp.Diff(want, series))
		assert.Contains(t, asked, `"groupBy":["REGION"]`)
		assert.Contains(t, asked, `"sampleRateSeconds":30`)
		assert.Contains(t, asked, `"environmentId":"`+st.environment+`"`)
	})
}

// The step is that of the dashboard, or the one that is asked for.
func TestMetricsStep(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		var steps []string
		st.intercept(t, "HTTPDurationMetrics", nil, func(r *http.Request) string {
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			_, rest, _ := strings.Cut(string(body), `"stepSeconds":`)
			step, _, _ := strings.Cut(strings.NewReplacer("}", ",").Replace(rest), ",")
			steps = append(steps, step)
			return `{"data":{"httpDurationMetrics":{"samples":[]}}}`
		})
		for _, q := range []struct{ span, step time.Duration }{
			{time.Hour, 0}, {time.Hour + 1, 0}, {6 * time.Hour, 0}, {24 * time.Hour, 0}, {7 * 24 * time.Hour, 0}, {8 * 24 * time.Hour, 0},
			{time.Hour, 5 * time.Minute}, {time.Hour, time.Millisecond},
		} {
			to := time.Now()
			_, err := st.svc.Metrics(t.Context(), incident.MetricQuery{Metrics: []incident.Metric{incident.MetricLatencyP99}, From: to.Add(-q.span), To: to, Step: q.step})
			require.NoError(t, err)
		}
		assert.Equal(t, []string{"30", "60", "60", "240", "3600", "14400", "300", "1"}, steps)
	})
}

// What is not measured is refused before anything is asked.
func TestMetricsUnsupported(t *testing.T) {
	inLogStage(t, func(t *testing.T, st *logStage) {
		before := len(st.Calls())
		_, err := st.svc.Metrics(t.Context(), incident.MetricQuery{Metrics: []incident.Metric{"cpu", "swap\x1b[2J"}, From: time.Now().Add(-time.Hour)})
		require.ErrorIs(t, err, incident.ErrUnsupported)
		assert.ErrorContains(t, err, "swap")
		assert.NotContains(t, err.Error(), "\x1b")
		assert.Len(t, st.Calls(), before)
		var e *railway.Error
		require.ErrorAs(t, err, &e)
		assert.True(t, e.SafeToRetry())
	})
}
