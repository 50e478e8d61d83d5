package health_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
)

// Requirement: HL-PEER-GATUS-STAGGER
func TestTenThousandChecksHaveRunWithinTheirFirstInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &healthtest.Prober{Delay: 20 * time.Millisecond}
		cfg := health.Config{}
		for i := range 10_000 {
			cfg.Checks = append(cfg.Checks, health.Check{Name: fmt.Sprint("check ", i), Prober: p, Interval: 10 * time.Second})
		}
		m := startMonitor(t, cfg)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for _, s := range m.Snapshot().Checks {
			if s.Last.Time.IsZero() {
				t.Fatalf("%s was not probed in its first interval", s.Name)
			}
		}
		before := p.Calls()
		time.Sleep(time.Minute)
		assert.InDelta(t, 60_000, p.Calls()-before, 1000, "the schedule is not kept")
		assert.Less(t, m.Self().Lag, 10*time.Second)
	})
}

// Requirement: HL-PEER-ACTUATOR-SERIAL
func TestARoundRunsItsChecksTogetherUpToWorkers(t *testing.T) {
	for _, test := range []struct {
		workers int
		want    time.Duration
	}{{1000, 50 * time.Millisecond}, {100, 500 * time.Millisecond}, {0, 16 * 50 * time.Millisecond}} {
		t.Run(fmt.Sprint(test.workers, " workers"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := health.Config{Workers: test.workers}
				for i := range 1000 {
					cfg.Checks = append(cfg.Checks, health.Check{Name: fmt.Sprint(i), Prober: &healthtest.Prober{Delay: 50 * time.Millisecond}})
				}
				m := newMonitor(t, cfg)
				began := time.Now()
				report, err := m.Check(t.Context())
				require.NoError(t, err)
				assert.Equal(t, health.Healthy, report.Status)
				assert.Equal(t, test.want, time.Since(began))
			})
		})
	}
}

// Requirement: HL-WANT-1
func TestEachResultSaysWhichEnvironmentItIsAbout(t *testing.T) {
	var cfg health.Config
	for _, environment := range []string{"test", "beta", "production"} {
		p := &healthtest.Prober{}
		if environment == "beta" {
			p.Results = []health.Result{failing(health.CauseRefused)}
		}
		cfg.Checks = append(cfg.Checks, health.Check{Name: environment + "/application", Prober: p, Labels: map[string]string{"environment": environment}})
	}
	var down []string
	cfg.Hooks.OnTransition = func(_ context.Context, tr health.Transition) {
		if tr.State.Status == health.Unhealthy {
			down = append(down, tr.State.Labels["environment"])
		}
	}
	m := newMonitor(t, cfg)
	_, err := m.Check(t.Context())
	require.NoError(t, err)
	stop(t, m)
	assert.Equal(t, []string{"beta"}, down)
}

// Requirement: HL-WANT-12
func TestMaintenanceByCalendar(t *testing.T) {
	sydney, err := health.LoadZone("Australia/Sydney")
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		patches := health.Window{Name: "patches", From: health.At(2, 0), For: time.Hour, Zone: sydney, Days: []time.Weekday{time.Sunday}}
		var in, out int
		m := newMonitor(t, health.Config{
			Maintenance: []health.Window{patches},
			Checks:      []health.Check{{Name: "a", Prober: &healthtest.Prober{Results: []health.Result{failing(health.CauseRefused)}}}},
		})
		for range 7 * 24 * 4 {
			_, err := m.Check(t.Context())
			require.NoError(t, err)
			local := time.Now().In(sydney)
			if local.Weekday() == time.Sunday && local.Hour() == 2 {
				assert.Equal(t, health.Maintenance, m.Status(), "%v", local)
				in++
			} else {
				assert.Equal(t, health.Unhealthy, m.Status(), "%v", local)
				out++
			}
			time.Sleep(15 * time.Minute)
		}
		assert.Equal(t, 4, in)
		assert.Equal(t, 7*24*4-4, out)
	})
}

// Requirement: HL-WANT-17
func TestADeploymentDoesNotMakeAChecksFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := health.Result{Status: health.Healthy}, failing(health.CauseRefused)
		transitions := func(threshold int, window bool, results ...health.Result) int {
			n := 0
			m := newMonitor(t, health.Config{
				Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{Results: results}, FailureThreshold: threshold}},
				Hooks:  health.Hooks{OnTransition: func(context.Context, health.Transition) { n++ }},
			})
			for i := range results {
				if window && i == 1 {
					require.NoError(t, m.SetMaintenance("a", health.Window{Name: "deployment", Start: time.Now(), End: time.Now().Add(4 * time.Minute)}))
				}
				_, err := m.Check(t.Context())
				require.NoError(t, err)
				time.Sleep(time.Minute)
			}
			stop(t, m)
			return n - 1 // the first is from unknown
		}
		assert.Zero(t, transitions(3, false, good, bad, bad, good, good), "a threshold bridges a restart")
		assert.Equal(t, 2, transitions(0, true, good, bad, good, bad, good, good, good), "into maintenance, and out of it")
		assert.Equal(t, 4, transitions(0, false, good, bad, good, bad, good, good, good), "without either it flaps")
	})
}

// Requirement: HL-DST-INTERVAL
func TestIntervalsAreElapsedTimeWhenClocksChange(t *testing.T) {
	sydney, err := health.LoadZone("Australia/Sydney")
	require.NoError(t, err)
	for _, day := range []time.Time{time.Date(2026, 4, 5, 0, 0, 0, 0, sydney), time.Date(2026, 10, 4, 0, 0, 0, 0, sydney)} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(day.Add(-2 * time.Minute)))
			var times []time.Time
			m := newMonitor(t, health.Config{
				Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}, Interval: time.Minute}},
				Hooks:  health.Hooks{OnResult: func(context.Context, health.State) { times = append(times, time.Now()) }},
			})
			require.NoError(t, m.Start(t.Context()))
			time.Sleep(6 * time.Hour)
			stop(t, m)
			for i, at := range times[1 : len(times)-1] { // the first is at a time of its own
				assert.Equal(t, time.Minute, times[i+2].Sub(at))
			}
			assert.InDelta(t, 360, len(times), 1)
		})
	}
}

func TestRemovedChecksThatHangHoldUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var good atomic.Int64
		cfg := health.Config{Workers: 4}
		for i := range 4 {
			cfg.Checks = append(cfg.Checks, health.Check{Name: fmt.Sprint("bad", i), Interval: time.Second, Prober: health.ProberFunc(func(context.Context) health.Result { <-release; return health.Result{} })})
		}
		m := newMonitor(t, cfg)
		require.NoError(t, m.Start(t.Context()))
		time.Sleep(900 * time.Millisecond)
		for i := range 4 {
			m.Remove(fmt.Sprint("bad", i))
		}
		require.NoError(t, m.Add(health.Check{Name: "good", Interval: time.Second, Prober: health.ProberFunc(func(context.Context) health.Result { good.Add(1); return health.Result{Status: health.Healthy} })}))
		time.Sleep(time.Minute)
		close(release)
		stop(t, m)
		assert.InDelta(t, 60, good.Load(), 2)
	})
}
