package alert_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
)

// Each rule begins right above its limit, and not at it.
//
// Requirement: RB-ALERT-RESPONSE-TIME, RB-ALERT-ERROR-RATE, RB-ALERT-CANVAS-ERRORS, RB-ALERT-MEMORY, RB-ALERT-DATABASE, RB-ALERT-CONSECUTIVE
func TestCriticalRulesAtTheirLimits(t *testing.T) {
	count := func(good, bad uint64) func(*alert.Feed) {
		return func(f *alert.Feed) { f.Count(good, bad, "status 503") }
	}
	value := func(v float64) func(*alert.Feed) { return func(f *alert.Feed) { f.Observe(v) } }
	results := func(failed ...bool) func(*alert.Feed) {
		return func(f *alert.Feed) {
			for _, failed := range failed {
				f.Result(failed, "no")
			}
		}
	}
	for rule, c := range map[string]struct {
		input    string
		at, over func(*alert.Feed)
		severity alert.Severity
		summary  string
	}{
		"health_check":        {alert.InputHealth, results(true, true, false, true, true), results(true, true, true), alert.Critical, "app has failed 3 checks in a row"},
		"response_time":       {alert.InputResponseTime, value(5), value(5.01), alert.High, "app takes 5.01 s to answer"},
		"error_rate":          {alert.InputRequests, count(95, 5), count(94, 6), alert.High, "6 % of the requests of app fail"},
		"canvas_errors":       {alert.InputCanvasErrors, count(0, 10), count(0, 11), alert.High, "Canvas failed 11 requests of app in a minute"},
		"memory_warning":      {alert.InputMemory, value(80), value(81), alert.Medium, "app uses 81 % of its memory"},
		"memory":              {alert.InputMemory, value(90), value(90.5), alert.High, "app uses 90.5 % of its memory"},
		"database_connection": {alert.InputDatabase, results(false, false), results(true), alert.High, "no connection to database app"},
		"recent_errors":       {alert.InputRecentErrors, value(5), value(6), alert.Medium, "app logged 6 errors lately"},
		"slow_task":           {alert.InputTaskDuration, value(300), value(301), alert.Medium, "a task of app takes 301 s"},
		"canvas_throttled":    {alert.InputCanvasThrottled, count(100, 0), count(100, 1), alert.Medium, "Canvas rejected 1 requests of app in 5 minutes"},
		"canvas_quota":        {alert.InputCanvasQuota, value(20), value(19), alert.Low, "only 19 % of the limit of Canvas is left for app"},
	} {
		t.Run(rule, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				e, out := run(t, alert.CriticalInputs(), nil, alert.CriticalRules(alert.CriticalLimits{})...)
				f := feed(t, e, c.input, "app")
				c.at(f)
				assert.Equal(t, alert.Alert{}, out.last(rule), "at the limit")
				f.Close()
				f = feed(t, e, c.input, "app")
				c.over(f)
				a := out.last(rule)
				assert.Equal(t, alert.Firing, a.State)
				assert.Equal(t, c.severity, a.Severity)
				assert.Equal(t, c.summary, a.Summary)
				assert.NotEmpty(t, a.Playbook)
			})
		})
	}
	assert.Len(t, alert.CriticalRules(alert.CriticalLimits{}), 11)
}

// A count of more than ten in a minute is one of a minute that moves.
func TestCanvasErrorsOfAnyMinute(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, alert.CriticalInputs(), nil, alert.CriticalRules(alert.CriticalLimits{})...)
		f := feed(t, e, alert.InputCanvasErrors, "production")
		for range 40 { // nine in any minute
			f.Count(3, 1, "status 502")
			time.Sleep(7 * time.Second)
		}
		assert.Equal(t, alert.Alert{}, out.last("canvas_errors"))
		for range 12 {
			f.Count(3, 1, "status 502")
			time.Sleep(4 * time.Second)
		}
		assert.Equal(t, alert.Firing, out.last("canvas_errors").State)
	})
}

// A rule without a wired input is an error, and LeaveOut leaves none.
func TestRulesWithoutInputs(t *testing.T) {
	rules, inputs := alert.CriticalRules(alert.CriticalLimits{}), alert.CriticalInputs()
	_, err := alert.NewEngine(alert.EngineConfig{Rules: rules, Inputs: inputs[:3], Out: &book{}})
	require.Error(t, err)
	for _, name := range []string{"canvas_errors", "canvas_throttled", "canvas_quota", "memory", "memory_warning", "database_connection", "recent_errors", "slow_task"} {
		assert.Contains(t, err.Error(), `rule "`+name+`": nothing feeds its input`)
	}
	for _, in := range inputs {
		some, rest := alert.LeaveOut(rules, inputs, in.Name)
		_, err := alert.NewEngine(alert.EngineConfig{Rules: some, Inputs: rest, Out: &book{}})
		require.NoError(t, err, in.Name)
	}
	assert.Len(t, rules, 11, "what was given is not changed")
	assert.Equal(t, []string{"canvas_throttled"}, rules[10].Parents)
	_, err = alert.NewEngine(alert.EngineConfig{Rules: alert.CriticalRules(alert.CriticalLimits{ErrorRate: 5, Failures: -1, QuotaWarning: 90}), Inputs: inputs, Out: &book{}})
	require.ErrorContains(t, err, "ratio: ")
	require.ErrorContains(t, err, "failures: ")
	assert.NotContains(t, err.Error(), "canvas_quota")
}
