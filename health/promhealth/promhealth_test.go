package promhealth_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/health/promhealth"
)

func monitor(t testing.TB, checks ...health.Check) *health.Monitor {
	t.Helper()
	m, err := health.New(health.Config{Checks: checks})
	require.NoError(t, err)
	return m
}

func TestNewReportsEveryProblem(t *testing.T) {
	_, err := promhealth.New(promhealth.Config{Labels: []string{"not a label", "check", "env", "env"}})
	for _, want := range []string{"a monitor is required", `"not a label"`, `"check": the name is taken`, `"env": named twice`} {
		assert.ErrorContains(t, err, want)
	}
}

// Requirement: HL-ASK-MAINTENANCE-METRIC
func TestMetrics(t *testing.T) {
	at := time.Unix(1_770_000_000, 500e6)
	m := monitor(t,
		health.Check{Name: "db", Labels: map[string]string{"env": "prod", "other": "x"}, Prober: &healthtest.Prober{Results: []health.Result{{
			Status: health.Unhealthy, Cause: health.CauseThreshold, Message: "secret details", Time: at, Duration: 250 * time.Millisecond,
			Measurements: []health.Measurement{
				{Name: "connections", Value: 97, Unit: health.Percent},
				{Name: "connections", Value: 98, Unit: health.Percent},
				{Name: "version", Text: "15.18"},
			},
		}}}},
		health.Check{Name: "pending", Prober: &healthtest.Prober{}},
	)
	require.NoError(t, m.SetMaintenance("pending", health.Window{Start: time.Now(), End: time.Now().Add(time.Hour)}))
	_, err := m.Check(t.Context(), "db")
	require.NoError(t, err)
	c, err := promhealth.New(promhealth.Config{Monitor: m, Labels: []string{"env"}})
	require.NoError(t, err)
	require.NoError(t, testutil.CollectAndCompare(c, strings.NewReader(`
# HELP health_status 1 for the status of all checks together, else 0.
# TYPE health_status gauge
health_status{status="degraded"} 0
health_status{status="healthy"} 0
health_status{status="maintenance"} 0
health_status{status="unhealthy"} 1
health_status{status="unknown"} 0
# HELP health_check_duration_seconds How long the thing took to answer, in the latest result.
# TYPE health_check_duration_seconds gauge
health_check_duration_seconds{check="db",env="prod"} 0.25
# HELP health_check_failures Results in a row that failed, up to the latest.
# TYPE health_check_failures gauge
health_check_failures{check="db",env="prod"} 1
health_check_failures{check="pending",env=""} 0
# HELP health_check_measurement A number of the latest result, in its unit.
# TYPE health_check_measurement gauge
health_check_measurement{check="db",env="prod",name="connections",unit="%"} 97
# HELP health_check_result_timestamp_seconds When the latest result was found.
# TYPE health_check_result_timestamp_seconds gauge
health_check_result_timestamp_seconds{check="db",env="prod"} 1.7700000005e+09
`), "health_status", "health_check_duration_seconds", "health_check_failures", "health_check_measurement", "health_check_result_timestamp_seconds"))

	_, err = m.Check(t.Context(), "pending")
	require.NoError(t, err)
	assert.Contains(t, scrape(t, c), `health_check_status{check="pending",env="",status="maintenance"} 1`)
	assert.Contains(t, scrape(t, c), `health_monitor_runs_total 2`)
	assert.NotContains(t, scrape(t, c), "secret details")
}

func scrape(t testing.TB, c prometheus.Collector) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(c))
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code, w.Body.String())
	return w.Body.String()
}

func TestATextThatIsNotUTF8IsScraped(t *testing.T) {
	m := monitor(t, health.Check{Name: "a", Prober: &healthtest.Prober{Results: []health.Result{{
		Status: health.Healthy, Measurements: []health.Measurement{{Name: "table_\xff_rows", Value: 1}},
	}}}})
	_, err := m.Check(t.Context())
	require.NoError(t, err)
	c, err := promhealth.New(promhealth.Config{Monitor: m})
	require.NoError(t, err)
	assert.Contains(t, scrape(t, c), "name=\"table_\uFFFD_rows\"")
}

func TestTheMetricsFollowPrometheusConventions(t *testing.T) {
	c, err := promhealth.New(promhealth.Config{Monitor: monitor(t, health.Check{Name: "a", Prober: &healthtest.Prober{}})})
	require.NoError(t, err)
	problems, err := testutil.CollectAndLint(c)
	require.NoError(t, err)
	assert.Empty(t, problems)
}

func Example() {
	m, err := health.New(health.Config{Checks: []health.Check{
		{Name: "database", Prober: health.ErrorFunc(func(context.Context) error { return nil })},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := m.Check(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	c, err := promhealth.New(promhealth.Config{Monitor: m})
	if err != nil {
		fmt.Println(err)
		return
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "health_check_status") {
			fmt.Print(line)
		}
	}
	// Output:
	// health_check_status{check="database",status="degraded"} 0
	// health_check_status{check="database",status="healthy"} 1
	// health_check_status{check="database",status="maintenance"} 0
	// health_check_status{check="database",status="unhealthy"} 0
	// health_check_status{check="database",status="unknown"} 0
}

// BenchmarkCollect exports 300 checks with two measurements each. Target: under
// 2 ms a scrape, so that one every few seconds costs nothing worth mentioning.
func BenchmarkCollect(b *testing.B) {
	var checks []health.Check
	for i := range 300 {
		checks = append(checks, health.Check{Name: fmt.Sprint("check-", i), Prober: &healthtest.Prober{Results: []health.Result{{
			Status: health.Healthy, Measurements: []health.Measurement{{Name: "a", Value: 1}, {Name: "b", Value: 2}},
		}}}})
	}
	m := monitor(b, checks...)
	_, err := m.Check(b.Context())
	require.NoError(b, err)
	c, err := promhealth.New(promhealth.Config{Monitor: m})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		ch := make(chan prometheus.Metric, 4096)
		c.Collect(ch)
		if len(ch) < 300 {
			b.Fatal(len(ch))
		}
	}
}
