package health_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
)

var quiet = slog.New(slog.DiscardHandler)

func newMonitor(t testing.TB, cfg health.Config) *health.Monitor {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	m, err := health.New(cfg)
	require.NoError(t, err)
	return m
}

// startMonitor starts a monitor that is stopped at the end of the test.
func startMonitor(t testing.TB, cfg health.Config) *health.Monitor {
	t.Helper()
	m := newMonitor(t, cfg)
	require.NoError(t, m.Start(t.Context()))
	t.Cleanup(func() { stop(t, m) })
	return m
}

func stop(t testing.TB, m *health.Monitor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	require.NoError(t, m.Stop(ctx))
}

func state(t testing.TB, m *health.Monitor, name string) health.State {
	t.Helper()
	s, ok := m.Snapshot().Check(name)
	require.True(t, ok, "no check %q", name)
	return s
}

func failing(cause health.Cause) health.Result {
	return health.Result{Status: health.Unhealthy, Cause: cause, Message: "it is down"}
}

func TestNewReportsEveryProblem(t *testing.T) {
	ok := &healthtest.Prober{}
	_, err := health.New(health.Config{
		Workers:     -1,
		Maintenance: []health.Window{{Name: "patches"}},
		Checks: []health.Check{
			{Prober: ok},
			{Name: "noprober"},
			{Name: "a\xff", Prober: ok},
			{Name: "times", Prober: ok, Interval: -1, Timeout: -1, FailureThreshold: -1},
			{Name: "twice", Prober: ok},
			{Name: "twice", Prober: ok},
			{Name: "live", Prober: ok, Groups: health.Liveness, DependsOn: []string{"twice"}},
			{Name: "orphan", Prober: ok, DependsOn: []string{"nobody"}},
			{Name: "hen", Prober: ok, DependsOn: []string{"egg"}},
			{Name: "egg", Prober: ok, DependsOn: []string{"hen"}},
			{Name: "budget", Prober: ok, Latency: health.Budget{Warn: 2, Fail: 1}},
			{Name: "group", Prober: ok, Groups: 64},
			{Name: "window", Prober: ok, Maintenance: []health.Window{{From: health.At(9, 0)}}},
		},
	})
	require.Error(t, err)
	assert.ErrorIs(t, err, health.ErrDuplicate)
	assert.ErrorIs(t, err, health.ErrNoCheck)
	for _, want := range []string{
		"workers", `window "patches"`, "a name is required", "a name must be valid UTF-8", `"noprober": a prober is required`,
		"interval -1ns is not between 10ms", "timeout -1ns is not between 0", "thresholds must not be negative",
		`"twice"`, `"live": a liveness check must not depend`, `"orphan": depends on "nobody"`,
		`"hen": depends on itself`, `"egg": depends on itself`, `"budget": latency budget`, `"group": groups`, "a zone is required",
	} {
		assert.ErrorContains(t, err, want)
	}
}

// Requirement: HL-PEER-ASPNET-PERIOD
func TestChecksRunOnTheirSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, slow := &healthtest.Prober{}, &healthtest.Prober{}
		m := startMonitor(t, health.Config{Checks: []health.Check{
			{Name: "fast", Prober: fast, Interval: 10 * time.Second},
			{Name: "slow", Prober: slow, Interval: time.Minute},
		}})
		assert.Equal(t, health.Unknown, m.Status(), "nothing was probed yet")
		assert.Equal(t, health.CausePending, state(t, m, "fast").Last.Cause)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		assert.Equal(t, health.Healthy, m.Status())
		assert.InDelta(t, 60, fast.Calls(), 2)
		assert.InDelta(t, 10, slow.Calls(), 2)
		self := m.Self()
		assert.Zero(t, self.Lag)
		assert.EqualValues(t, fast.Calls()+slow.Calls(), self.Runs)
	})
}

func TestPhasesAreSpreadAndStable(t *testing.T) {
	// phases returns when in their interval the checks are probed.
	phases := func(t *testing.T, startAfter time.Duration) map[string]time.Duration {
		times := make(map[string]time.Duration)
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(startAfter)
			var mu sync.Mutex
			cfg := health.Config{Logger: quiet}
			for _, name := range strings.Split("abcdefghijklmnopqrst", "") {
				cfg.Checks = append(cfg.Checks, health.Check{Name: name, Interval: time.Minute, Prober: health.ProberFunc(func(context.Context) health.Result {
					mu.Lock()
					defer mu.Unlock()
					times[name] = time.Duration(time.Now().UnixNano() % int64(time.Minute))
					return health.Result{Status: health.Healthy}
				})})
			}
			startMonitor(t, cfg)
			time.Sleep(5 * time.Minute)
		})
		return times
	}
	first, second := phases(t, 0), phases(t, 17*time.Second)
	assert.Equal(t, first, second, "a restart changed the phases")
	thirds := make(map[time.Duration]int)
	for _, phase := range first {
		thirds[phase/(20*time.Second)]++
	}
	assert.Len(t, thirds, 3, "20 checks are bunched together: %v", first)
}

// Requirement: HL-PEER-ALEX-STOP
func TestStartAndStopInAnyOrder(t *testing.T) {
	cfg := health.Config{Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}}}}
	t.Run("stop before start", func(t *testing.T) {
		m := newMonitor(t, cfg)
		require.NoError(t, m.Stop(t.Context()))
		require.NoError(t, m.Stop(t.Context()))
		assert.ErrorIs(t, m.Start(t.Context()), health.ErrStopped)
		assert.ErrorIs(t, m.Add(health.Check{Name: "b", Prober: &healthtest.Prober{}}), health.ErrStopped)
		_, err := m.Check(t.Context())
		assert.ErrorIs(t, err, health.ErrStopped)
		_, open := <-m.Subscribe(t.Context(), 1)
		assert.False(t, open)
	})
	t.Run("start twice", func(t *testing.T) {
		m := startMonitor(t, cfg)
		assert.ErrorIs(t, m.Start(t.Context()), health.ErrStarted)
	})
	t.Run("the context of start ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &healthtest.Prober{}
			m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: p}}})
			ctx, cancel := context.WithCancel(t.Context())
			require.NoError(t, m.Start(ctx))
			time.Sleep(time.Minute)
			cancel()
			synctest.Wait()
			calls := p.Calls()
			time.Sleep(time.Hour)
			assert.Equal(t, calls, p.Calls())
			_, err := m.Check(t.Context())
			assert.ErrorIs(t, err, health.ErrStopped)
			stop(t, m)
		})
	})
}

func TestStopCancelsAndDropsWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonitor(t, health.Config{Checks: []health.Check{
			{Name: "obedient", Prober: &healthtest.Prober{Delay: time.Hour}, Interval: 3 * time.Hour, Timeout: 2 * time.Hour},
			{Name: "stubborn", Prober: &healthtest.Prober{Delay: time.Hour, Stubborn: true}, Interval: 3 * time.Hour, Timeout: 2 * time.Hour},
		}})
		require.NoError(t, m.Start(t.Context()))
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := m.Stop(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "stubborn")
		assert.NotContains(t, err.Error(), "obedient")
		assert.Equal(t, health.CausePending, state(t, m, "obedient").Last.Cause, "a cancelled probe became a result")
		time.Sleep(2 * time.Hour) // the stubborn prober returns
		assert.Equal(t, health.CausePending, state(t, m, "stubborn").Last.Cause)
		require.NoError(t, m.Stop(t.Context()))
	})
}

// Requirement: HL-ASK-DYNAMIC
func TestAddAndRemoveWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := startMonitor(t, health.Config{})
		assert.Equal(t, health.Healthy, m.Status())
		p := &healthtest.Prober{Results: []health.Result{failing(health.CauseRefused)}}
		require.NoError(t, m.Add(health.Check{Name: "late", Prober: p}))
		synctest.Wait()
		assert.Equal(t, 1, p.Calls(), "a check that is added runs at once")
		assert.Equal(t, health.Unhealthy, m.Status())
		assert.ErrorIs(t, m.Add(health.Check{Name: "late", Prober: p}), health.ErrDuplicate)
		err := m.Add(health.Check{Name: "child", Prober: p, DependsOn: []string{"missing"}})
		assert.ErrorIs(t, err, health.ErrNoCheck)
		assert.Len(t, m.Snapshot().Checks, 1, "what was refused is not there")

		assert.True(t, m.Remove("late"))
		assert.False(t, m.Remove("late"))
		assert.Equal(t, health.Healthy, m.Status())
		calls := p.Calls()
		time.Sleep(time.Hour)
		assert.Equal(t, calls, p.Calls())
	})
}

// Requirement: HL-WANT-16
func TestThresholds(t *testing.T) {
	good, bad := health.Result{Status: health.Healthy}, failing(health.CauseRefused)
	slow := health.Result{Status: health.Degraded, Cause: health.CauseSlow, Message: "slow"}
	unknown := health.Result{Cause: health.CauseNotAsked, Message: "no"}
	for _, test := range []struct {
		name             string
		failure, success int
		results          []health.Result
		want             []health.Status
	}{
		{"none", 0, 0, []health.Result{good, bad, good}, []health.Status{health.Healthy, health.Unhealthy, health.Healthy}},
		{"three failures", 3, 0, []health.Result{good, bad, bad, bad, good}, []health.Status{health.Healthy, health.Healthy, health.Healthy, health.Unhealthy, health.Healthy}},
		{"failures not in a row", 2, 0, []health.Result{good, bad, good, bad, slow}, []health.Status{health.Healthy, health.Healthy, health.Healthy, health.Healthy, health.Degraded}},
		{"two successes", 0, 2, []health.Result{bad, good, bad, good, good}, []health.Status{health.Unhealthy, health.Unhealthy, health.Unhealthy, health.Unhealthy, health.Healthy}},
		{"failing from the start", 2, 0, []health.Result{bad, bad}, []health.Status{health.Unknown, health.Unhealthy}},
		{"unknown counts as failed", 2, 0, []health.Result{good, bad, unknown, bad}, []health.Status{health.Healthy, health.Healthy, health.Unknown, health.Unhealthy}},
		{"degraded at once", 3, 3, []health.Result{good, slow, good}, []health.Status{health.Healthy, health.Degraded, health.Healthy}},
		{"the first success counts", 0, 3, []health.Result{good, bad, slow}, []health.Status{health.Healthy, health.Unhealthy, health.Unhealthy}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMonitor(t, health.Config{Checks: []health.Check{{
				Name: "a", Prober: &healthtest.Prober{Results: test.results},
				FailureThreshold: test.failure, SuccessThreshold: test.success,
			}}})
			var got []health.Status
			for range test.results {
				report, err := m.Check(t.Context())
				require.NoError(t, err)
				got = append(got, report.Status)
			}
			assert.Equal(t, test.want, got)
		})
	}
}

// Requirement: HL-PEER-HELLO-OPTIONAL, HL-PEER-KUMA-OVERALL, HL-WANT-11
func TestCriticalAndOptional(t *testing.T) {
	for _, test := range []struct {
		name               string
		critical, optional health.Status
		want               health.Status
	}{
		{"all well", health.Healthy, health.Healthy, health.Healthy},
		{"an optional failure degrades", health.Healthy, health.Unhealthy, health.Degraded},
		{"an optional unknown degrades", health.Healthy, health.Unknown, health.Degraded},
		{"a critical failure decides", health.Unhealthy, health.Healthy, health.Unhealthy},
		{"a critical unknown outranks degraded", health.Unknown, health.Degraded, health.Unknown},
		{"maintenance hides no failure", health.Unhealthy, health.Maintenance, health.Unhealthy},
		{"maintenance is shown", health.Healthy, health.Maintenance, health.Maintenance},
	} {
		t.Run(test.name, func(t *testing.T) {
			fixed := func(s health.Status) health.Prober {
				return &healthtest.Prober{Results: []health.Result{{Status: s, Message: "as told"}}}
			}
			m := newMonitor(t, health.Config{Checks: []health.Check{
				{Name: "critical", Prober: fixed(test.critical)},
				{Name: "optional", Prober: fixed(test.optional), Optional: true},
			}})
			report, err := m.Check(t.Context())
			require.NoError(t, err)
			assert.Equal(t, test.want, report.Status)
			assert.Equal(t, test.want, m.Status())
			assert.Equal(t, test.want, m.Snapshot().Status)
		})
	}
}

// Requirement: HL-PEER-GATUS-FROZEN, HL-ASK-ADHOC-MAINTENANCE, HL-ASK-MAINTENANCE-HONOURED
func TestMaintenanceHidesNothingFromEvaluation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &healthtest.Prober{Results: []health.Result{failing(health.CauseRefused)}}
		m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: p, FailureThreshold: 2}}})
		require.NoError(t, m.SetMaintenance("", health.Window{Start: time.Now(), End: time.Now().Add(time.Hour)}))
		check := func() health.State {
			_, err := m.Check(t.Context())
			require.NoError(t, err)
			return state(t, m, "a")
		}
		s := check()
		assert.Equal(t, health.Maintenance, s.Status)
		assert.Equal(t, health.CauseRefused, s.Last.Cause)
		time.Sleep(time.Hour)
		s = check()
		assert.Equal(t, health.Unhealthy, s.Status, "failures in maintenance count once it is over")
		assert.Equal(t, 2, s.Failures)
		require.NoError(t, m.SetMaintenance("a", health.Window{Start: time.Now(), End: time.Now().Add(time.Hour)}))
		assert.Equal(t, health.Maintenance, check().Status)
		assert.ErrorIs(t, m.SetMaintenance("b"), health.ErrNoCheck)
		assert.Error(t, m.SetMaintenance("a", health.Window{}))
		require.NoError(t, m.SetMaintenance("a"))
		assert.Equal(t, health.Unhealthy, check().Status)
	})
}

// Requirement: HL-ASK-DEPENDENCY, HL-WANT-9
func TestBlockedByNamesTheFirstCause(t *testing.T) {
	down := func() *healthtest.Prober {
		return &healthtest.Prober{Results: []health.Result{failing(health.CauseRefused)}}
	}
	var transitions []health.Transition
	m := newMonitor(t, health.Config{
		Hooks: health.Hooks{OnTransition: func(_ context.Context, tr health.Transition) { transitions = append(transitions, tr) }},
		Checks: []health.Check{
			{Name: "postgres", Prober: down()},
			{Name: "redis", Prober: &healthtest.Prober{}},
			{Name: "application", Prober: down(), DependsOn: []string{"redis", "postgres"}},
			{Name: "tasks", Prober: down(), DependsOn: []string{"application"}},
			{Name: "alone", Prober: down(), DependsOn: []string{"redis"}},
		},
	})
	for _, name := range []string{"alone", "tasks", "application", "redis", "postgres"} {
		_, err := m.Check(t.Context(), name)
		require.NoError(t, err)
	}
	assert.Equal(t, "postgres", state(t, m, "application").BlockedBy)
	assert.Equal(t, "postgres", state(t, m, "tasks").BlockedBy)
	assert.Empty(t, state(t, m, "postgres").BlockedBy)
	assert.Empty(t, state(t, m, "alone").BlockedBy)
	assert.True(t, m.Remove("postgres"))
	assert.Empty(t, state(t, m, "application").BlockedBy, "a removed check blocks nothing")
	assert.Equal(t, "application", state(t, m, "tasks").BlockedBy)
	stop(t, m)
	var told []string
	for _, tr := range transitions {
		word := tr.State.Status.String()
		switch {
		case tr.Removed:
			word = "removed"
		case tr.From == tr.State.Status:
			word = "still " + word
		}
		told = append(told, fmt.Sprintf("%s %s %q %v", tr.State.Name, word, tr.State.BlockedBy, tr.Affected))
	}
	assert.Equal(t, []string{
		`alone unhealthy "" []`,
		`tasks unhealthy "" []`,
		`application unhealthy "" [tasks]`,
		`tasks still unhealthy "application" []`,
		`redis healthy "" []`,
		`postgres unhealthy "" [application tasks]`,
		`application still unhealthy "postgres" []`,
		`tasks still unhealthy "postgres" []`,
		`postgres removed "" []`,
		`application still unhealthy "" []`,
		`tasks still unhealthy "application" []`,
	}, told)
}

func TestAFailingChildHurriesItsParents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := make(chan struct{})
		both := health.ProberFunc(func(context.Context) health.Result {
			select {
			case <-broken:
				return failing(health.CauseRefused)
			default:
				return health.Result{Status: health.Healthy}
			}
		})
		m := startMonitor(t, health.Config{Checks: []health.Check{
			{Name: "parent", Prober: both, Interval: time.Hour},
			{Name: "child", Prober: both, Interval: time.Minute, DependsOn: []string{"parent"}},
		}})
		time.Sleep(2*time.Hour + time.Second)
		close(broken)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, "parent", state(t, m, "child").BlockedBy, "the parent was not looked at for up to an hour")
	})
}

func TestTransitionsReachHooksAndSubscribersInOrder(t *testing.T) {
	good, bad := health.Result{Status: health.Healthy}, failing(health.CauseRefused)
	p := &healthtest.Prober{Results: []health.Result{good, good, bad, bad, good, bad}}
	var hooked []health.Status
	var results int
	m := newMonitor(t, health.Config{
		Hooks: health.Hooks{
			OnTransition: func(_ context.Context, tr health.Transition) { hooked = append(hooked, tr.State.Status) },
			OnResult:     func(context.Context, health.State) { results++ },
		},
		Checks: []health.Check{{Name: "a", Prober: p}},
	})
	ctx, cancel := context.WithCancel(t.Context())
	fast, slow := m.Subscribe(ctx, 10), m.Subscribe(ctx, 2)
	for range 6 {
		_, err := m.Check(t.Context())
		require.NoError(t, err)
	}
	stop(t, m)
	cancel()
	want := []health.Status{health.Healthy, health.Unhealthy, health.Healthy, health.Unhealthy}
	assert.Equal(t, want, hooked)
	assert.Equal(t, 6, results)
	var seen []health.Status
	for tr := range fast {
		seen = append(seen, tr.State.Status)
		assert.Zero(t, tr.Missed)
	}
	assert.Equal(t, want, seen)
	var missed []int
	for tr := range slow {
		missed = append(missed, tr.Missed)
	}
	require.Len(t, missed, 2)
	assert.Equal(t, 2, missed[0]+missed[1], "what was dropped is counted")
}

func TestAPanickingHookIsSurvived(t *testing.T) {
	m := newMonitor(t, health.Config{
		Hooks:  health.Hooks{OnResult: func(context.Context, health.State) { panic("hook") }},
		Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}}},
	})
	for range 2 {
		report, err := m.Check(t.Context())
		require.NoError(t, err)
		assert.Equal(t, health.Healthy, report.Status)
	}
}

func TestStrangeResultsAreMadeFitToShow(t *testing.T) {
	inf := 1.0
	for range 2000 {
		inf *= 10
	}
	m := newMonitor(t, health.Config{Checks: []health.Check{
		{Name: "status", Prober: &healthtest.Prober{Results: []health.Result{{Status: 99}}}},
		{Name: "causeless", Prober: &healthtest.Prober{Results: []health.Result{{Status: health.Unhealthy}}}},
		{Name: "infinite", Prober: &healthtest.Prober{Results: []health.Result{{Status: health.Healthy, Measurements: []health.Measurement{{Name: "x", Value: inf}}}}}},
	}})
	report, err := m.Check(t.Context())
	require.NoError(t, err)
	assert.Equal(t, health.Unknown, report.Checks[0].Status)
	assert.Contains(t, report.Checks[0].Last.Message, "status(99)")
	assert.Equal(t, health.CauseFailed, report.Checks[1].Last.Cause)
	assert.Equal(t, "+Inf", report.Checks[2].Last.Measurements[0].Text)
}

func TestLatencyBudgetOfACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonitor(t, health.Config{Checks: []health.Check{{
			Name: "a", Prober: &healthtest.Prober{Delay: 6 * time.Second},
			Latency: health.Budget{Warn: 5 * time.Second, Fail: 8 * time.Second},
		}}})
		_, err := m.Check(t.Context())
		require.NoError(t, err)
		s := state(t, m, "a")
		assert.Equal(t, health.Degraded, s.Status)
		assert.Equal(t, health.CauseSlow, s.Last.Cause)
		assert.Equal(t, "took 6s, more than 5s", s.Last.Message)
	})
}

// Requirement: HL-WANT-15
func TestHeartbeatIsHeldBackWhileChecksAreLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var beats atomic.Int32
		release := make(chan struct{})
		m := startMonitor(t, health.Config{
			Workers:   1,
			Heartbeat: func(context.Context, health.Self) error { beats.Add(1); return nil },
			Checks:    []health.Check{{Name: "a", Prober: &healthtest.Prober{}}, {Name: "b", Prober: &healthtest.Prober{}}},
			Hooks: health.Hooks{OnResult: func(context.Context, health.State) {
				if time.Now().Minute() >= 10 {
					<-release // the only worker is stuck in a hook
				}
			}},
		})
		time.Sleep(10 * time.Minute)
		assert.InDelta(t, 10, int(beats.Load()), 1)
		before := beats.Load()
		time.Sleep(30 * time.Minute)
		assert.LessOrEqual(t, beats.Load(), before+2)
		assert.ErrorContains(t, m.Self().HeartbeatError, "a hook has been running for")
		assert.Equal(t, health.Unhealthy, m.SelfProber().Probe(t.Context()).Status)
		close(release)
		time.Sleep(2 * time.Minute)
		assert.NoError(t, m.Self().HeartbeatError)
		assert.Equal(t, health.Healthy, m.SelfProber().Probe(t.Context()).Status)
	})
}

func TestHeartbeatErrorsAndPanicsAreShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		m := startMonitor(t, health.Config{Heartbeat: func(context.Context, health.Self) error {
			if calls++; calls == 1 {
				return errors.New("no route")
			}
			panic("beat")
		}})
		time.Sleep(61 * time.Second)
		assert.ErrorContains(t, m.Self().HeartbeatError, "no route")
		time.Sleep(time.Minute)
		assert.ErrorContains(t, m.Self().HeartbeatError, "panicked: beat")
	})
}

func TestSnapshotIsTheSameUntilAResultComesIn(t *testing.T) {
	m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}}}})
	before := m.Snapshot()
	assert.Same(t, before, m.Snapshot())
	_, err := m.Check(t.Context())
	require.NoError(t, err)
	assert.NotSame(t, before, m.Snapshot())
	assert.Equal(t, health.Unknown, before.Checks[0].Status, "a report given out was changed")
}
