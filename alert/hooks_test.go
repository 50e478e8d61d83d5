package alert_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
)

// found is what a prober finds, as a test says.
type found struct {
	mu     sync.Mutex
	result health.Result
	took   time.Duration
	panics bool
}

func (f *found) Probe(ctx context.Context) health.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.panics {
		panic("a nil map")
	}
	select {
	case <-ctx.Done():
		return health.Result{Status: health.Unhealthy, Cause: health.CauseTimeout, Message: "no answer in time"}
	case <-time.After(f.took):
	}
	return f.result
}

func (f *found) set(r health.Result, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.result, f.took, f.panics = r, took, false
}

// watch runs a monitor that feeds an engine with critical rules and one for versions.
func watch(t *testing.T, checks ...health.Check) (*health.Monitor, *book) {
	t.Helper()
	rules, inputs := alert.LeaveOut(alert.CriticalRules(alert.CriticalLimits{}), alert.CriticalInputs(),
		alert.InputRequests, alert.InputCanvasErrors, alert.InputCanvasThrottled, alert.InputCanvasQuota, alert.InputDatabase, alert.InputTaskDuration, alert.InputRecentErrors)
	for i := range inputs {
		if inputs[i].Name == alert.InputMemory {
			inputs[i].Every = 30 * time.Second
		}
	}
	inputs = append(inputs, alert.Input{Name: "version", Kind: alert.Text})
	rules = append(rules, alert.Rule{Name: "drift", Input: "version", When: alert.Changed{}, Severity: alert.Low, Summary: "{text}"},
		alert.Rule{Name: "mixed", Input: "version", When: alert.Unequal{}, Severity: alert.Low, Summary: "{text}"})
	e, out := run(t, inputs, nil, rules...)
	m, err := health.New(health.Config{Checks: checks, Hooks: e.HealthHooks("production"), Logger: quiet, StartSpread: time.Millisecond})
	require.NoError(t, err)
	require.NoError(t, m.Start(t.Context()))
	t.Cleanup(func() { assert.NoError(t, m.Stop(context.WithoutCancel(t.Context()))) })
	return m, out
}

var refused = health.Result{Status: health.Unhealthy, Cause: health.CauseRefused, Message: "app: connection refused"}

func memory(percent float64) health.Result {
	return health.Result{Status: health.Healthy, Measurements: []health.Measurement{{Name: alert.InputMemory, Value: percent, Unit: health.Percent}, {Name: "version", Text: "1.0"}}}
}

// From what a prober finds to an alert: three failed checks, five seconds, 80 % and 90 %,
// and versions, at the limits of the runbook and not below.
func TestCriticalRulesOverAMonitor(t *testing.T) {
	inTime(t, func(t *testing.T) {
		app := &found{result: memory(80), took: 5 * time.Second}
		_, out := watch(t, health.Check{Name: "app", Prober: app, Interval: 30 * time.Second, Timeout: 20 * time.Second})
		time.Sleep(5 * time.Minute)
		assert.Empty(t, out.take(), "5 s are not more than 5 s, and 80 % not more than 80 %")
		app.set(memory(80.1), 5001*time.Millisecond)
		time.Sleep(30 * time.Second)
		slow := out.last("response_time")
		assert.Equal(t, "app takes 5 s to answer", slow.Summary)
		assert.Equal(t, alert.High, slow.Severity)
		assert.ElementsMatch(t, []string{"response_time/app firing", "memory_warning/app firing"}, out.take())
		app.set(memory(90), time.Second)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"response_time/app resolved"}, out.take())
		app.set(memory(91.5), time.Second)
		time.Sleep(30 * time.Second)
		full := out.last("memory")
		assert.Equal(t, "app uses 91.5 % of its memory", full.Summary)
		assert.Equal(t, health.Percent, full.Unit)
		assert.Equal(t, "high-memory", full.Playbook)
		assert.Equal(t, []string{"memory/app firing"}, out.take())
		app.set(memory(50), time.Second)
		time.Sleep(30 * time.Second)
		assert.ElementsMatch(t, []string{"memory/app resolved", "memory_warning/app resolved"}, out.take())

		app.set(refused, time.Millisecond)
		time.Sleep(time.Minute)
		assert.Empty(t, out.take(), "two failed checks are not three")
		time.Sleep(30 * time.Second)
		down := out.last("health_check")
		assert.Equal(t, "app has failed 3 checks in a row", down.Summary)
		assert.Equal(t, "app: connection refused", down.Detail)
		assert.Equal(t, alert.Critical, down.Severity)
		assert.Equal(t, "application-down", down.Playbook)
		time.Sleep(5 * time.Second)
		gone := out.last("memory")
		assert.Equal(t, alert.NoData, gone.Reason)
		assert.Contains(t, gone.Parents, down.Key, "that nothing is measured is explained by the outage")
		time.Sleep(2 * time.Minute)
		got := out.take()
		assert.Contains(t, got, "health_check/app firing")
		for _, line := range got {
			assert.NotContains(t, line, "response_time", "what refuses has no response time")
		}
		app.set(memory(50), time.Second)
		time.Sleep(30 * time.Second)
		assert.NotContains(t, out.take(), "health_check/app resolved")
		time.Sleep(30 * time.Second)
		assert.Contains(t, out.take(), "health_check/app resolved", "after two good checks")

		next := memory(50)
		next.Measurements[1].Text = "1.1"
		app.set(next, time.Second)
		time.Sleep(30 * time.Second)
		assert.Equal(t, "1.0 → 1.1", out.last("drift").Summary)
	})
}

// Requirement: AL-RULE-UNKNOWN
func TestUnknownIsNoOutage(t *testing.T) {
	inTime(t, func(t *testing.T) {
		app := &found{result: health.Result{Status: health.Unknown, Cause: health.CauseNotAsked, Message: "no token is configured"}}
		_, out := watch(t, health.Check{Name: "app", Prober: app, Interval: 30 * time.Second})
		time.Sleep(10 * time.Minute)
		a := out.last("health_check")
		assert.Equal(t, alert.Broken, a.Reason)
		assert.Equal(t, alert.High, a.Severity, "less than an outage, so that it pages nobody")
		assert.Contains(t, a.Detail, "no token is configured")
		app.mu.Lock()
		app.panics = true
		app.mu.Unlock()
		time.Sleep(10 * time.Minute)
		for _, line := range out.take() {
			assert.NotEqual(t, "health_check/app firing", line, "a prober that panics is no outage either")
		}
		app.set(memory(1), 0)
		time.Sleep(30 * time.Second)
		assert.Contains(t, out.take(), "health_check/app resolved (evaluation error)")
	})
}

// A check in maintenance raises nothing, and ends nothing.
func TestMaintenanceOfACheck(t *testing.T) {
	inTime(t, func(t *testing.T) {
		app, other := &found{result: memory(1)}, &found{result: refused}
		m, out := watch(t, health.Check{Name: "app", Prober: app, Interval: 30 * time.Second}, health.Check{Name: "other", Prober: other, Interval: 30 * time.Second})
		time.Sleep(2 * time.Minute)
		assert.Equal(t, []string{"health_check/other firing"}, out.take())
		require.NoError(t, m.SetMaintenance("", health.Window{Start: time.Now(), End: time.Now().Add(time.Hour)}))
		app.set(refused, 0)
		time.Sleep(59 * time.Minute)
		assert.Empty(t, out.take())
		time.Sleep(3 * time.Minute)
		assert.Contains(t, out.take(), "health_check/app firing", "it is still down when the maintenance is over")
		app.set(health.Result{Status: health.Maintenance, Cause: health.CauseMaintenance, Message: "back at 12:00"}, 0)
		time.Sleep(20 * time.Minute)
		assert.NotContains(t, out.take(), "health_check/app resolved", "to be down on purpose is not to be well")
	})
}

// Requirement: AL-RULE-DEPENDENCY
func TestBlockedChecksNameTheirCause(t *testing.T) {
	inTime(t, func(t *testing.T) {
		db, app := &found{result: memory(1)}, &found{result: memory(1)}
		m, out := watch(t, health.Check{Name: "db", Prober: db, Interval: 30 * time.Second, Labels: map[string]string{"environment": "shared"}},
			health.Check{Name: "app", Prober: app, Interval: 30 * time.Second, DependsOn: []string{"db"}})
		time.Sleep(time.Minute)
		out.take()
		db.set(refused, 0)
		app.set(refused, 0)
		time.Sleep(3 * time.Minute)
		out.mu.Lock()
		got := make(map[string]alert.Alert)
		for _, a := range out.all {
			if a.Rule == "health_check" {
				got[a.Entity] = a
			}
		}
		out.mu.Unlock()
		assert.Empty(t, got["db"].Parents)
		assert.Equal(t, "shared", got["db"].Environment)
		assert.Equal(t, []string{"app"}, got["db"].Affected)
		assert.Equal(t, []string{got["db"].Key}, got["app"].Parents, "in whatever environment the cause is")
		out.take()
		db.set(memory(1), 0)
		time.Sleep(5 * time.Minute)
		assert.Empty(t, out.last("health_check").Parents, "it fails by itself by now")
		require.True(t, m.Remove("app"))
		assert.Contains(t, out.take(), "health_check/app resolved")
	})
}

// Of an outage and what it causes, the cause is told. The others are judged all the same,
// and told when they fail by themselves; their ends are told whatever the cause does.
//
// Requirement: AL-RULE-DEPENDENCY
func TestOnlyTheCauseIsTold(t *testing.T) {
	inTime(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []string
		router := start(t, alert.RouterConfig{
			Targets: []alert.Target{{Name: "slack", Notifier: alert.NotifierFunc(func(_ context.Context, n alert.Notification) (alert.Receipt, error) {
				mu.Lock()
				defer mu.Unlock()
				for _, a := range n.Alerts {
					told = append(told, a.Entity+" "+string(a.State))
				}
				return "r", nil
			})}},
			Routes: []alert.Route{{Name: "all", Targets: []string{"slack"}, GroupBy: []string{"entity"}}},
		})
		t.Cleanup(func() { assert.NoError(t, router.Stop(context.WithoutCancel(t.Context()))) })
		take := func() []string {
			mu.Lock()
			defer mu.Unlock()
			got := told
			told = nil
			return got
		}
		e := engine(t, alert.EngineConfig{
			Inputs: []alert.Input{{Name: alert.InputHealth, Kind: alert.Checks}}, Out: router, Logger: quiet,
			Rules: []alert.Rule{{Name: "down", Input: alert.InputHealth, When: alert.Failures{Fail: 2, Pass: 2}, Severity: alert.High}},
		})
		db, app := &found{result: memory(1)}, &found{result: memory(1)}
		m, err := health.New(health.Config{Hooks: e.HealthHooks("production"), Logger: quiet, Checks: []health.Check{
			{Name: "db", Prober: db, Interval: 30 * time.Second}, {Name: "app", Prober: app, Interval: 30 * time.Second, DependsOn: []string{"db"}},
		}})
		require.NoError(t, err)
		require.NoError(t, m.Start(t.Context()))
		defer func() { assert.NoError(t, m.Stop(t.Context())) }()
		time.Sleep(time.Minute)
		db.set(refused, 0)
		app.set(refused, 0)
		time.Sleep(3 * time.Minute)
		assert.Equal(t, []string{"db firing"}, take())
		for _, a := range router.Alerts() {
			assert.Equal(t, alert.Firing, a.State, "both are judged")
			assert.Equal(t, a.Entity == "app", len(a.Muted) == 1, "and why one is not told can be seen")
		}
		db.set(memory(1), 0)
		time.Sleep(3 * time.Minute)
		assert.ElementsMatch(t, []string{"db resolved", "app firing"}, take(), "it fails by itself now")
		db.set(refused, 0)
		time.Sleep(3 * time.Minute)
		app.set(memory(1), 0)
		time.Sleep(3 * time.Minute)
		assert.ElementsMatch(t, []string{"db firing", "app resolved"}, take())
	})
}

// Only what the hooks feed ends with a check.
func TestRemovedCheckClosesItsOwnFeeds(t *testing.T) {
	inTime(t, func(t *testing.T) {
		out := &book{}
		e := engine(t, alert.EngineConfig{
			Inputs: []alert.Input{{Name: alert.InputHealth, Kind: alert.Checks}, {Name: "requests", Kind: alert.Gauge}}, Out: out, Logger: quiet,
			Rules: []alert.Rule{
				{Name: "down", Input: alert.InputHealth, When: alert.Failures{Fail: 1}, Severity: alert.High},
				{Name: "many", Input: "requests", When: alert.Above{Limit: 5}, Severity: alert.High},
			},
		})
		m, err := health.New(health.Config{Checks: []health.Check{{Name: "app", Prober: &found{result: refused}}}, Hooks: e.HealthHooks("production"), Logger: quiet})
		require.NoError(t, err)
		require.NoError(t, m.Start(t.Context()))
		defer func() { assert.NoError(t, m.Stop(t.Context())) }()
		feed(t, e, "requests", "app").Observe(9)
		time.Sleep(time.Minute)
		assert.ElementsMatch(t, []string{"down/app firing", "many/app firing"}, out.take())
		require.True(t, m.Remove("app"))
		time.Sleep(time.Second)
		assert.Equal(t, []string{"down/app resolved"}, out.take())
	})
}

// What does not answer is not fast; what does not answer in time is slow.
func TestResponseTimeOfNoAnswer(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: alert.InputResponseTime, Kind: alert.Gauge, Unit: health.Seconds}}, nil,
			alert.Rule{Name: "slow", Input: alert.InputResponseTime, When: alert.Above{Limit: 5}, Severity: alert.High})
		result := func(cause health.Cause, took time.Duration) {
			e.HealthHooks("production").OnResult(t.Context(), health.State{Name: "app", Last: health.Result{Status: health.Unhealthy, Cause: cause, Duration: took}})
		}
		result(health.CauseTimeout, 10*time.Second)
		assert.Equal(t, []string{"slow/app firing"}, out.take())
		for _, cause := range []health.Cause{health.CauseRefused, health.CauseDNS, health.CauseUnreachable, health.CauseTLS, health.CauseConnection} {
			result(cause, time.Millisecond)
		}
		assert.Empty(t, out.take())
		result(health.CauseStatus, time.Second)
		assert.Equal(t, []string{"slow/app resolved"}, out.take())
	})
}

func TestUnitsOfMeasurements(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: alert.InputMemory, Kind: alert.Gauge, Unit: health.Percent}, {Name: "lag", Kind: alert.Gauge, Unit: health.Seconds}}, nil,
			alert.Rule{Name: "memory", Input: alert.InputMemory, When: alert.Above{Limit: 90}, Severity: alert.High},
			alert.Rule{Name: "lag", Input: "lag", When: alert.Above{Limit: 5}, Severity: alert.High})
		result := e.HealthHooks("production").OnResult
		result(t.Context(), health.State{Name: "app", Last: health.Result{Status: health.Healthy, Measurements: []health.Measurement{
			{Name: alert.InputMemory, Value: 512, Unit: health.Megabytes}, {Name: "lag", Value: 5000, Unit: health.Milliseconds},
		}}})
		assert.Contains(t, out.last("memory").Detail, "it is measured in MB, and the limit is in %")
		assert.Equal(t, []string{"memory/app firing (evaluation error)"}, out.take(), "512 MB are not 512 %")
		result(t.Context(), health.State{Name: "app", Last: health.Result{Status: health.Healthy, Measurements: []health.Measurement{{Name: "lag", Value: 5001, Unit: health.Milliseconds}}}})
		assert.Equal(t, 5.001, out.last("lag").Value)
	})
}
