package health_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
)

// Each test here is a defect that was reproduced in a published Go health
// library, and must not be in this one.

// Requirement: HL-PEER-ALEX-HANGUP
func TestACallerThatGoesAwayChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var transitions []health.Status
		p := &healthtest.Prober{Delay: 100 * time.Millisecond}
		m := newMonitor(t, health.Config{
			Checks: []health.Check{{Name: "a", Prober: p}},
			Hooks: health.Hooks{OnTransition: func(_ context.Context, tr health.Transition) {
				transitions = append(transitions, tr.State.Status)
			}},
		})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		report, err := m.Check(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, health.Unknown, report.Status)
		time.Sleep(time.Second)
		assert.Equal(t, health.Healthy, m.Status())
		stop(t, m)
		assert.Equal(t, []health.Status{health.Healthy}, transitions)
	})
}

// Requirement: HL-PEER-ALEX-SERIAL, HL-PEER-HELLO-SERIAL
func TestConcurrentCallersShareOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &healthtest.Prober{Delay: 200 * time.Millisecond}
		m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: p}}})
		began := time.Now()
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				report, err := m.Check(t.Context())
				assert.NoError(t, err)
				assert.Equal(t, health.Healthy, report.Status)
			})
		}
		callers.Wait()
		assert.Equal(t, 200*time.Millisecond, time.Since(began))
		assert.Equal(t, 1, p.Calls())
	})
}

func TestNoLockIsHeldWhileAProbeRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick := &healthtest.Prober{}
		m := startMonitor(t, health.Config{Checks: []health.Check{
			{Name: "endless", Prober: &healthtest.Prober{Delay: time.Hour}, Interval: 2 * time.Hour, Timeout: time.Hour},
			{Name: "quick", Prober: quick, Interval: time.Second},
		}})
		time.Sleep(time.Minute)
		began := time.Now()
		m.Snapshot()
		m.Self()
		_, err := m.Check(t.Context(), "quick")
		require.NoError(t, err)
		require.NoError(t, m.Add(health.Check{Name: "more", Prober: quick}))
		assert.True(t, m.Remove("more"))
		assert.Zero(t, time.Since(began))
		assert.Greater(t, quick.Calls(), 55)
	})
}

// Requirement: HL-PEER-ALEX-LISTENER
func TestAHookMayCallTheMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m *health.Monitor
		depth := 0
		m = newMonitor(t, health.Config{
			Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{Delay: time.Second}}},
			Hooks: health.Hooks{OnResult: func(ctx context.Context, s health.State) {
				if depth++; depth > 1 {
					return
				}
				report, err := m.Check(ctx)
				assert.NoError(t, err)
				assert.Equal(t, health.Healthy, report.Status)
				m.Snapshot()
				m.Self()
				m.Remove("b")
			}},
		})
		_, err := m.Check(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Minute)
		stop(t, m)
		assert.Equal(t, 2, depth)
	})
}

// Requirement: HL-PEER-HELLO-CONTEXT
func TestTheProbesContextHasADeadlineAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deadline time.Time
		ended := make(chan error, 1)
		m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Timeout: 5 * time.Second, Prober: health.ProberFunc(func(ctx context.Context) health.Result {
			deadline, _ = ctx.Deadline()
			context.AfterFunc(ctx, func() { ended <- ctx.Err() })
			<-ctx.Done()
			return health.Result{Status: health.Unhealthy, Cause: health.CauseTimeout, Message: "slow"}
		})}}})
		began := time.Now()
		_, err := m.Check(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 5*time.Second, deadline.Sub(began))
		assert.ErrorIs(t, <-ended, context.DeadlineExceeded)
		assert.Equal(t, health.CauseTimeout, state(t, m, "a").Last.Cause)
	})
}

// Requirement: HL-PEER-HELLO-PANIC, HL-PEER-SUNDHEIT-PANIC
func TestAPanickingProberIsUnhealthy(t *testing.T) {
	m := newMonitor(t, health.Config{Checks: []health.Check{
		{Name: "a", Prober: &healthtest.Prober{Panic: "boom"}},
		{Name: "b", Prober: health.ProberFunc(nil)},
	}})
	report, err := m.Check(t.Context())
	require.NoError(t, err)
	for _, s := range report.Checks {
		assert.Equal(t, health.Unhealthy, s.Status)
		assert.Equal(t, health.CausePanic, s.Last.Cause)
	}
	assert.Equal(t, "the prober panicked: boom", report.Checks[0].Last.Message)
}

// Requirement: HL-PEER-SUNDHEIT-DEREGISTER
func TestRemoveReturnsWhileTheCheckRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &healthtest.Prober{Delay: time.Hour, Stubborn: true}
		m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: p, Interval: 2 * time.Hour, Timeout: 2 * time.Hour}}})
		require.NoError(t, m.Start(t.Context()))
		time.Sleep(time.Minute)
		began := time.Now()
		assert.True(t, m.Remove("a"))
		assert.False(t, m.Remove("a"))
		assert.Zero(t, time.Since(began))
		require.NoError(t, m.Add(health.Check{Name: "a", Prober: &healthtest.Prober{}}), "the name is free again")
		time.Sleep(2 * time.Hour)
		assert.Equal(t, health.Healthy, m.Status(), "the removed check's late result counted")
		assert.Equal(t, 1, p.Calls(), "the removed check is still probed")
		stop(t, m)
	})
}

// Requirement: HL-PEER-SUNDHEIT-DUPLICATE
func TestADuplicateNameIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &healthtest.Prober{}, &healthtest.Prober{}
		m := startMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: first}}})
		require.ErrorIs(t, m.Add(health.Check{Name: "a", Prober: second}), health.ErrDuplicate)
		assert.True(t, m.Remove("a"))
		calls := first.Calls()
		time.Sleep(time.Hour)
		assert.Equal(t, calls, first.Calls())
		assert.Zero(t, second.Calls())
	})
}

// Requirement: HL-PEER-ACTUATOR-TIMEOUT
func TestStubbornProbersDoNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick := &healthtest.Prober{}
		cfg := health.Config{Checks: []health.Check{{Name: "quick", Prober: quick, Interval: 10 * time.Second}}}
		var stubborn []*healthtest.Prober
		for i := range 64 {
			p := &healthtest.Prober{Delay: 3 * time.Hour, Stubborn: true}
			stubborn = append(stubborn, p)
			cfg.Checks = append(cfg.Checks, health.Check{Name: string(rune('A' + i)), Prober: p, Interval: 10 * time.Second, Timeout: 5 * time.Second})
		}
		m := newMonitor(t, cfg)
		require.NoError(t, m.Start(t.Context()))
		time.Sleep(time.Hour)
		synctest.Wait()
		self := m.Self()
		assert.Less(t, self.Lag, 10*time.Second)
		assert.Equal(t, 64, self.Hung)
		assert.InDelta(t, 360, quick.Calls(), 2)
		for _, p := range stubborn {
			assert.Equal(t, 1, p.Calls(), "a hung prober must not be called again")
		}
		s := state(t, m, "B")
		assert.Equal(t, health.CauseHung, s.Last.Cause)
		assert.WithinDuration(t, time.Now(), s.Last.Time, 20*time.Second, "a hung check must stay in view")
		time.Sleep(3 * time.Hour) // the probers return, and are called again
		synctest.Wait()
		assert.Equal(t, 2, stubborn[0].Calls())
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Hour)
		defer cancel()
		require.NoError(t, m.Stop(ctx), "they return at last")
	})
}

// Requirement: HL-PEER-SUNDHEIT-COPY
func TestRecordingAResultDoesNotDependOnTheNumberOfChecks(t *testing.T) {
	bytesPerProbe := func(checks int) uint64 {
		cfg := health.Config{Checks: []health.Check{{Name: "the one", Prober: fixed(health.Healthy)}}}
		for i := range checks - 1 {
			cfg.Checks = append(cfg.Checks, health.Check{Name: fmt.Sprint("check ", i), Prober: fixed(health.Healthy)})
		}
		m := newMonitor(t, cfg)
		probe := func() {
			_, err := m.Check(t.Context(), "the one")
			require.NoError(t, err)
		}
		probe()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 1000 {
			probe()
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / 1000
	}
	few, many := bytesPerProbe(10), bytesPerProbe(1000)
	assert.Less(t, many, few+1000, "a result with 1,000 checks allocates %d bytes, with 10 only %d", many, few)
}
