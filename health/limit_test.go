package health_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
)

func TestBudgetApply(t *testing.T) {
	const ms = time.Millisecond
	both := health.Budget{Warn: 100 * ms, Fail: 200 * ms}
	slow := func(s health.Status, message string) health.Result {
		return health.Result{Status: s, Cause: health.CauseSlow, Message: message}
	}
	for _, test := range []struct {
		name   string
		budget health.Budget
		took   time.Duration
		before health.Result
		want   health.Result
	}{
		{"none", health.Budget{}, time.Hour, health.Result{Status: healthy}, health.Result{Status: healthy}},
		{"within", both, 99 * ms, health.Result{Status: healthy}, health.Result{Status: healthy}},
		{"at warn", both, 100 * ms, health.Result{Status: healthy}, health.Result{Status: healthy}},
		{"past warn", both, 101 * ms, health.Result{Status: healthy}, slow(degraded, "took 101ms, more than 100ms")},
		{"at fail", both, 200 * ms, health.Result{Status: healthy}, slow(degraded, "took 200ms, more than 100ms")},
		{"past fail", both, 201 * ms, health.Result{Status: healthy}, slow(unhealthy, "took 201ms, more than 200ms")},
		{"warn alone", health.Budget{Warn: 100 * ms}, time.Hour, health.Result{Status: healthy}, slow(degraded, "took 1h0m0s, more than 100ms")},
		{"fail alone", health.Budget{Fail: 100 * ms}, 101 * ms, health.Result{Status: healthy}, slow(unhealthy, "took 101ms, more than 100ms")},
		{"not measured", both, 0, health.Result{Status: healthy}, health.Result{Status: healthy}},
		{"degraded already", both, 150 * ms,
			health.Result{Status: degraded, Cause: health.CauseThreshold, Message: "full"},
			health.Result{Status: degraded, Cause: health.CauseThreshold, Message: "full; took 150ms, more than 100ms"}},
		{"degraded gets worse", both, 250 * ms,
			health.Result{Status: degraded, Cause: health.CauseThreshold, Message: "full"},
			health.Result{Status: unhealthy, Cause: health.CauseSlow, Message: "took 250ms, more than 200ms; full"}},
		{"unhealthy is left alone", both, time.Hour,
			health.Result{Status: unhealthy, Cause: health.CauseTimeout, Message: "no answer"},
			health.Result{Status: unhealthy, Cause: health.CauseTimeout, Message: "no answer"}},
		{"unknown is left alone", both, time.Hour,
			health.Result{Status: unknown, Cause: health.CauseNotAsked},
			health.Result{Status: unknown, Cause: health.CauseNotAsked}},
		{"less than a millisecond", health.Budget{Warn: 100 * time.Microsecond}, 250 * time.Microsecond,
			health.Result{Status: healthy}, slow(degraded, "took 250µs, more than 100µs")},
		{"a little over", health.Budget{Warn: 100 * ms}, 100*ms + 1, health.Result{Status: healthy}, slow(degraded, "took 100.000001ms, more than 100ms")},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.before.Duration, test.want.Duration = test.took, test.took
			assert.Empty(t, cmp.Diff(test.want, test.budget.Apply(test.before)))
		})
	}
}

func TestBudgetValidate(t *testing.T) {
	for _, test := range []struct {
		budget health.Budget
		want   string // of the error
	}{
		{health.Budget{}, ""},
		{health.Budget{Warn: 1}, ""},
		{health.Budget{Fail: 1}, ""},
		{health.Budget{Warn: 1, Fail: 2}, ""},
		{health.Budget{Warn: 2, Fail: 2}, "must be less than fail"},
		{health.Budget{Warn: 3, Fail: 2}, "must be less than fail"},
		{health.Budget{Warn: -1}, "negative"},
		{health.Budget{Fail: -1}, "negative"},
	} {
		requireError(t, test.want, test.budget.Validate())
	}
}

// requireError demands an error with text in it, or none if text is empty.
func requireError(t *testing.T, text string, err error) {
	t.Helper()
	if text == "" {
		require.NoError(t, err)
		return
	}
	require.ErrorContains(t, err, text)
}

func TestLimitApply(t *testing.T) {
	zero := new(0.0)
	over := health.Limit{Warn: new(80.0), Fail: new(90.0)}
	under := health.Limit{Warn: new(30.0), Fail: new(7.0), Below: true}
	none := health.Limit{Warn: zero}
	nan := math.NaN()
	for _, test := range []struct {
		name    string
		limit   health.Limit
		value   float64
		want    health.Status
		message string
	}{
		{"no limit", health.Limit{}, 1e300, healthy, ""},
		{"no limit below", health.Limit{Below: true}, -1e300, healthy, ""},
		{"within", over, 79.9, healthy, ""},
		{"at warn", over, 80, healthy, ""},
		{"past warn", over, 80.5, degraded, "used 80.5 %, more than 80"},
		{"at fail", over, 90, degraded, "used 90 %, more than 80"},
		{"past fail", over, 91, unhealthy, "used 91 %, more than 90"},
		{"fail alone", health.Limit{Fail: new(5.0)}, 6, unhealthy, "used 6 %, more than 5"},
		{"negative", over, -1, healthy, ""},
		{"infinite", over, math.Inf(1), unhealthy, "used +Inf %, more than 90"},
		{"below: within", under, 31, healthy, ""},
		{"below: at warn", under, 30, healthy, ""},
		{"below: past warn", under, 29, degraded, "used 29 %, less than 30"},
		{"below: at fail", under, 7, degraded, "used 7 %, less than 30"},
		{"below: past fail", under, -3, unhealthy, "used -3 %, less than 7"},
		{"zero is a limit: at", none, 0, healthy, ""},
		{"zero is a limit: past", none, 1, degraded, "used 1 %, more than 0"},
		{"zero is a limit: below", health.Limit{Fail: zero, Below: true}, -0.5, unhealthy, "used -0.5 %, less than 0"},
		{"not a number", over, nan, unhealthy, "used is not a number"},
		{"below: not a number", under, nan, unhealthy, "used is not a number"},
		{"not a number, warn alone", none, nan, degraded, "used is not a number"},
		{"not a number, no limit", health.Limit{}, nan, healthy, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := health.Measurement{Name: "used", Value: test.value, Unit: health.Percent}
			got := test.limit.Apply(health.Result{Status: healthy}, m)
			want := health.Result{Status: test.want, Message: test.message, Measurements: []health.Measurement{m}}
			if test.want != healthy {
				want.Cause = health.CauseThreshold
			}
			assert.Empty(t, cmp.Diff(want, got, cmp.Comparer(sameNumber)))
		})
	}
}

func sameNumber(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

// More than 5 recent errors are too many; exactly 5 are not.
//
// Requirement: RB-USER-ACTIVITY-ERRORS
func TestLimitRecentErrors(t *testing.T) {
	limit := health.Limit{Warn: new(5.0)}
	for errors, want := range map[float64]health.Status{0: healthy, 5: healthy, 6: degraded} {
		got := limit.Apply(health.Result{Status: healthy}, health.Measurement{Name: "recent_errors", Value: errors})
		assert.Equal(t, want, got.Status, "%v", errors)
	}
}

// A Result is a value: two that were made of one do not share measurements.
func TestLimitApplyDoesNotAlias(t *testing.T) {
	base := health.Result{Status: healthy, Measurements: make([]health.Measurement, 1, 8)}
	a := health.Limit{}.Apply(base, health.Measurement{Name: "a"})
	b := health.Limit{}.Apply(base, health.Measurement{Name: "b"})
	assert.Equal(t, "a", a.Measurements[1].Name)
	assert.Equal(t, "b", b.Measurements[1].Name)
	assert.Len(t, base.Measurements, 1)
}

func TestLimitValidate(t *testing.T) {
	for _, test := range []struct {
		limit health.Limit
		want  string // of the error
	}{
		{health.Limit{}, ""},
		{health.Limit{Warn: new(0.0), Fail: new(0.0)}, ""},
		{health.Limit{Warn: new(1.0), Fail: new(2.0)}, ""},
		{health.Limit{Warn: new(3.0), Fail: new(2.0)}, "warn (3) must be reached before fail (2)"},
		{health.Limit{Warn: new(3.0), Fail: new(2.0), Below: true}, ""},
		{health.Limit{Warn: new(1.0), Fail: new(2.0), Below: true}, "warn (1) must be reached before fail (2)"},
		{health.Limit{Fail: new(-1.0)}, ""},
		{health.Limit{Warn: new(math.NaN())}, "NaN"},
		{health.Limit{Fail: new(math.NaN())}, "NaN"},
		{health.Limit{Fail: new(math.Inf(1))}, ""},
	} {
		requireError(t, test.want, test.limit.Validate())
	}
}
