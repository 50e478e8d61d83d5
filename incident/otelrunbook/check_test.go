package otelrunbook_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/incident/otelrunbook"
)

var (
	well = health.Result{Status: health.Healthy, Duration: 20 * time.Millisecond}
	ill  = health.Result{Status: health.Unhealthy, Cause: health.CauseTimeout, Message: "the token " + secret + " was refused", Duration: 3 * time.Second}
)

// watch makes a monitor that finds results, and has it look as often.
func watch(t *testing.T, w *world, results ...health.Result) *health.Monitor {
	t.Helper()
	m, err := health.New(health.Config{Hooks: w.HealthHooks(), Checks: []health.Check{{
		Name: "production/db", Labels: map[string]string{"environment": "production", "other": "x"}, Prober: &healthtest.Prober{Results: results},
	}}})
	require.NoError(t, err)
	for range results {
		_, err := m.Check(t.Context(), "production/db")
		require.NoError(t, err)
	}
	synctest.Wait()
	return m
}

func TestResultsOfChecks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		checks otelrunbook.CheckSpans
		want   int
	}{
		"failed": {otelrunbook.FailedChecks, 1},
		"all":    {otelrunbook.AllChecks, 3},
		"none":   {otelrunbook.NoChecks, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, otelrunbook.Config{Checks: c.checks})
				began := time.Now()
				m := watch(t, w, well, ill, well)
				spans := w.named("check production/db")
				require.Len(t, spans, c.want)
				for _, s := range spans {
					if s.Status.Code == codes.Error {
						assert.Equal(t, "timeout", s.Status.Description)
						assert.Equal(t, began, s.StartTime.Local())
						assert.Equal(t, 3*time.Second, s.EndTime.Sub(s.StartTime))
						assert.Equal(t, map[string]string{
							"runbook.check": "production/db", "runbook.environment": "production", "runbook.status": "unhealthy", "error.type": "timeout",
						}, attributes(s))
					}
				}
				assertNoSecret(t, w)
				const check = "runbook.check=production/db,runbook.environment=production,runbook.status="
				assert.Equal(t, map[string]float64{check + "healthy": 2, check + "unhealthy": 1}, w.values(t, "runbook.check.duration"))
				assert.Equal(t, map[string]float64{check + "healthy": 2, check + "unhealthy": 1}, w.values(t, "runbook.check.transitions"))
				assert.True(t, m.Remove("production/db"))
				require.NoError(t, m.Stop(t.Context()))
			})
		})
	}
}

func TestWhatAnotherReplicaFoundIsItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, otelrunbook.Config{Checks: otelrunbook.AllChecks})
	hooks := w.HealthHooks()
	borrowed := health.State{Name: "db", Status: health.Unhealthy, Last: ill, Borrowed: true}
	hooks.OnResult(t.Context(), borrowed)
	hooks.OnTransition(t.Context(), health.Transition{State: borrowed, From: health.Healthy})
	assert.Empty(t, w.names())
	assert.Empty(t, w.values(t, "runbook.check.duration"))
	assert.Empty(t, w.values(t, "runbook.check.transitions"))
}

func TestACheckIsNamedByWhatBlocksIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, otelrunbook.Config{})
	blocked := health.State{Name: "db", Status: health.Unhealthy, Last: ill, BlockedBy: "network"}
	w.HealthHooks().OnResult(context.Background(), blocked)
	assert.Equal(t, "network", attributes(w.span(t, "check db"))["runbook.check.blocked_by"])
}
