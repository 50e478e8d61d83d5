package alert_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
)

// monitor runs checks, whose results feed an engine as hooks says.
func monitor(t *testing.T, hooks health.Hooks, checks ...health.Check) *health.Monitor {
	t.Helper()
	m, err := health.New(health.Config{Checks: checks, Hooks: hooks, Logger: quiet, StartSpread: time.Millisecond})
	require.NoError(t, err)
	require.NoError(t, m.Start(t.Context()))
	t.Cleanup(func() { assert.NoError(t, m.Stop(context.WithoutCancel(t.Context()))) })
	return m
}

// down is a rule about failed checks.
func down(input string, fail int, parents ...string) alert.Rule {
	return alert.Rule{Name: input + "_down", Input: input, When: alert.Failures{Fail: fail, Pass: 2}, Severity: alert.High, Parents: parents}
}

// Where many things fail with the one that they depend on, that one is looked at again with
// each of them. Three checks in a row are three intervals all the same.
//
// Requirement: AL-RULE-DEPENDENCY
func TestThreeInARowAreThreeIntervals(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: alert.InputHealth, Kind: alert.Checks}}, nil, down(alert.InputHealth, 3))
		all := &found{result: memory(1)}
		checks := []health.Check{{Name: "db", Prober: all, Interval: 30 * time.Second}}
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			checks = append(checks, health.Check{Name: name, Prober: all, Interval: 30 * time.Second, DependsOn: []string{"db"}})
		}
		monitor(t, e.HealthHooks("production"), checks...)
		time.Sleep(5 * time.Minute)
		all.set(refused, 0)
		time.Sleep(45 * time.Second)
		assert.Empty(t, out.take(), "it has failed for one interval and a half")
		time.Sleep(46 * time.Second)
		assert.Contains(t, out.take(), "health_down/db firing")
	})
}

// Somebody who looks again and again makes nothing fail sooner; that it works again he may
// find.
func TestWhoLooksAgainMakesNoRowOfFailures(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: alert.InputHealth, Kind: alert.Checks}}, nil, down(alert.InputHealth, 3))
		app := &found{result: memory(1)}
		m := monitor(t, e.HealthHooks("production"), health.Check{Name: "app", Prober: app, Interval: 30 * time.Second})
		look := func() {
			for range 5 {
				_, err := m.Check(t.Context())
				require.NoError(t, err)
			}
		}
		time.Sleep(time.Minute)
		app.set(refused, 0)
		look()
		assert.Empty(t, out.take())
		time.Sleep(91 * time.Second)
		assert.Equal(t, []string{"health_down/app firing"}, out.take())
		look()
		assert.Empty(t, out.take())
		app.set(memory(1), 0)
		look()
		assert.Equal(t, []string{"health_down/app resolved"}, out.take(), "two good checks")
	})
}

// Checks that are judged by different rules have different inputs. That one fails explains
// another one whose rule knows nothing of it.
//
// Requirement: AL-RULE-DEPENDENCY
func TestInputsOfChecks(t *testing.T) {
	inTime(t, func(t *testing.T) {
		inputs := []alert.Input{
			{Name: "database", Kind: alert.Checks}, {Name: "application", Kind: alert.Checks}, {Name: alert.InputMemory, Kind: alert.Gauge, Unit: health.Percent},
		}
		e, out := run(t, inputs, nil, down("database", 1), down("application", 3),
			alert.Rule{Name: "memory", Input: alert.InputMemory, When: alert.Above{Limit: 90}, Severity: alert.Low})
		asked := make(map[string]int)
		hooks := e.HealthHooksBy("production", func(s health.State) string {
			asked[s.Name]++
			return s.Labels["input"]
		})
		db, app, other := &found{result: memory(1)}, &found{result: memory(1)}, &found{result: refused}
		check := func(name, input string, p health.Prober, dependsOn ...string) health.Check {
			return health.Check{Name: name, Prober: p, Interval: 30 * time.Second, DependsOn: dependsOn, Labels: map[string]string{"input": input}}
		}
		m := monitor(t, hooks, check("db", "database", db), check("app", "application", app, "db"), check("none", "", other), check("wrong", "not there", other))
		time.Sleep(2 * time.Minute)
		assert.Empty(t, out.take(), "what goes nowhere is not judged")
		db.set(refused, 0)
		app.set(refused, 0)
		time.Sleep(31 * time.Second)
		assert.Equal(t, []string{"database_down/db firing"}, out.take(), "one failure of the database is enough")
		time.Sleep(time.Minute)
		cause, explained := out.last("database_down"), out.last("application_down")
		assert.Equal(t, []string{"application_down/app firing"}, out.take(), "and three of the application")
		assert.Equal(t, []string{"app"}, cause.Affected)
		assert.Equal(t, []string{cause.Key}, explained.Parents[1:], "after that of its own rule for the same")
		other.set(memory(95), 0)
		time.Sleep(30 * time.Second)
		assert.ElementsMatch(t, []string{"memory/none firing", "memory/wrong firing"}, out.take(), "what is measured is judged")
		require.True(t, m.Remove("db"))
		time.Sleep(time.Second)
		assert.Equal(t, []string{"database_down/db resolved"}, out.take())
		assert.Equal(t, map[string]int{"db": 1, "app": 1, "none": 1, "wrong": 1}, asked)
	})
}

// What fails because of something in maintenance is no failure of its own, whether the
// maintenance is announced or said by the thing itself. What is left when it is over is.
//
// Requirement: AL-RULE-DEPENDENCY
func TestMaintenanceOfWhatACheckDependsOn(t *testing.T) {
	said := health.Result{Status: health.Maintenance, Cause: health.CauseMaintenance, Message: "back at 12:00"}
	for _, tt := range []struct {
		name   string
		parent health.Result
		window bool
	}{
		{name: "announced", parent: refused, window: true},
		{name: "said by itself", parent: said},
		{name: "both", parent: said, window: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				e, out := run(t, []alert.Input{{Name: alert.InputHealth, Kind: alert.Checks}}, nil, down(alert.InputHealth, 3))
				canvas, app := &found{result: memory(1)}, &found{result: memory(1)}
				m := monitor(t, e.HealthHooks("production"),
					health.Check{Name: "canvas", Prober: canvas, Interval: 30 * time.Second},
					health.Check{Name: "app", Prober: app, Interval: 30 * time.Second, DependsOn: []string{"canvas"}})
				time.Sleep(2 * time.Minute)
				if tt.window {
					require.NoError(t, m.SetMaintenance("canvas", health.Window{Start: time.Now(), End: time.Now().Add(time.Hour)}))
				}
				canvas.set(tt.parent, 0)
				app.set(refused, 0)
				time.Sleep(time.Hour - time.Minute)
				assert.Empty(t, out.take(), "nothing is wrong")
				canvas.set(memory(1), 0)
				time.Sleep(3 * time.Minute)
				assert.Equal(t, []string{"health_down/app firing"}, out.take(), "canvas is back, and it fails by itself")
			})
		})
	}
}

// What is in a window and works is no excuse for what depends on it.
func TestMaintenanceOfWhatWorksExcusesNothing(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: alert.InputHealth, Kind: alert.Checks}}, nil, down(alert.InputHealth, 3))
		m := monitor(t, e.HealthHooks("production"),
			health.Check{Name: "canvas", Prober: &found{result: memory(1)}, Interval: 30 * time.Second},
			health.Check{Name: "app", Prober: &found{result: refused}, Interval: 30 * time.Second, DependsOn: []string{"canvas"}})
		require.NoError(t, m.SetMaintenance("canvas", health.Window{Start: time.Now(), End: time.Now().Add(time.Hour)}))
		time.Sleep(3 * time.Minute)
		assert.Equal(t, []string{"health_down/app firing"}, out.take())
	})
}
