package health_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
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

// Windows may be set while the lease is asked.
func TestMaintenanceIsSetWhileTheLeaseIsAsked(t *testing.T) {
	m := startMonitor(t, health.Config{
		StartSpread: 1,
		Lease: funcLease{acquire: func(context.Context, string) (health.Grant, error) {
			return health.Grant{Held: true}, nil
		}},
		Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}, Interval: 10 * time.Millisecond}},
	})
	began := time.Now()
	for n := 0; n < 2000 || m.Self().Runs < 10; n++ {
		require.NoError(t, m.SetMaintenance("a", health.Window{Start: began, End: began.Add(time.Duration(n+1) * time.Hour)}))
		runtime.Gosched()
	}
}

// The end of Start's context, by its deadline too, is no failure of a check.
func TestADeadlineOfStartIsNoOutage(t *testing.T) {
	for name, p := range map[string]health.ProberFunc{
		"waits for its context": func(ctx context.Context) health.Result {
			<-ctx.Done()
			return failing(health.CauseOf(ctx.Err()))
		},
		"sets its deadline": func(ctx context.Context) health.Result {
			at, _ := ctx.Deadline()
			time.Sleep(time.Until(at))
			return failing(health.CauseTimeout)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 200 {
				synctest.Test(t, func(t *testing.T) {
					m := newMonitor(t, health.Config{StartSpread: 1, Checks: []health.Check{{Name: "a", Prober: p}}})
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					defer cancel()
					require.NoError(t, m.Start(ctx))
					time.Sleep(6 * time.Second)
					require.NoError(t, m.Stop(t.Context()))
					require.NotEqual(t, health.Unhealthy, m.Status())
				})
			}
		})
	}
}

// A prober that ends its goroutine has failed, and costs no worker.
func TestAGoexitInAProberIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := &healthtest.Prober{}
		m := newMonitor(t, health.Config{Workers: 1, StartSpread: 1, Checks: []health.Check{
			{Name: "a", Prober: health.ProberFunc(func(context.Context) health.Result { runtime.Goexit(); return health.Result{} }), Interval: time.Second},
			{Name: "b", Prober: other, Interval: time.Second},
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		report, err := m.Check(ctx)
		require.NoError(t, err)
		assert.Equal(t, health.Unhealthy, report.Checks[0].Status)
		assert.Equal(t, health.CausePanic, report.Checks[0].Last.Cause)
		assert.Equal(t, health.Healthy, report.Checks[1].Status)
		require.NoError(t, m.Start(t.Context()))
		time.Sleep(time.Minute)
		assert.Greater(t, other.Calls(), 50)
		assert.Zero(t, m.Self().Hung)
		assert.Zero(t, m.Self().Probing)
		stop(t, m)
	})
}

// A lease that ends the worker's goroutine costs no worker either.
func TestAGoexitInPublishIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &healthtest.Prober{}
		startMonitor(t, health.Config{Workers: 1, StartSpread: 1, Lease: funcLease{
			acquire: func(context.Context, string) (health.Grant, error) { return health.Grant{Held: true}, nil },
			publish: func(context.Context, string, health.Result) error { runtime.Goexit(); return nil },
		}, Checks: []health.Check{{Name: "a", Prober: p, Interval: time.Second}}})
		time.Sleep(time.Minute)
		assert.Greater(t, p.Calls(), 50)
	})
}

// A hook that fails takes nothing from the other one.
func TestAFailingHookTakesNothingFromTheOther(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic("metrics") }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			var told atomic.Int32
			m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: fixed(health.Unhealthy)}}, Hooks: health.Hooks{
				OnResult:     func(context.Context, health.State) { fail() },
				OnTransition: func(context.Context, health.Transition) { told.Add(1) },
			}})
			_, err := m.Check(t.Context())
			require.NoError(t, err)
			stop(t, m)
			assert.EqualValues(t, 1, told.Load())
		})
	}
}

// What is shared with other replicas is as fit to be shown as what is kept.
func TestStrangeResultsAreMadeFitToShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := make(chan health.Result, 10)
		startMonitor(t, health.Config{StartSpread: 1, Lease: funcLease{
			acquire: func(context.Context, string) (health.Grant, error) { return health.Grant{Held: true}, nil },
			publish: func(_ context.Context, _ string, r health.Result) error { shared <- r; return nil },
		}, Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{Results: []health.Result{
			{Status: health.Healthy, Measurements: []health.Measurement{{Name: "ratio", Value: math.NaN()}}},
			{Status: 99},
		}}}}})
		first, second := <-shared, <-shared
		assert.Zero(t, first.Measurements[0].Value)
		assert.Equal(t, "NaN", first.Measurements[0].Text)
		assert.Equal(t, health.Unknown, second.Status)
	})
}

// A replica that loses its lease does not count its own last result again.
func TestAReplicaDoesNotBorrowItsOwnResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shared health.Result
		var lost atomic.Bool
		m := startMonitor(t, health.Config{StartSpread: 1, Lease: funcLease{
			acquire: func(context.Context, string) (health.Grant, error) {
				return health.Grant{Held: !lost.Load(), Result: shared}, nil
			},
			publish: func(_ context.Context, _ string, r health.Result) error { shared = r; return nil },
		}, Checks: []health.Check{{Name: "a", Prober: fixed(health.Unhealthy), Interval: time.Minute, FailureThreshold: 2}}})
		time.Sleep(time.Second)
		lost.Store(true)
		time.Sleep(90 * time.Second)
		assert.Equal(t, 1, state(t, m, "a").Failures)
	})
}

// A snapshot says until when maintenance lasts, also after that has changed
// without a result and without a change of status.
func TestUntilFollowsTheWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := startMonitor(t, health.Config{StartSpread: 1, Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}, Interval: 24 * time.Hour}}})
		time.Sleep(time.Second)
		now := time.Now()
		first := health.Window{Start: now, End: now.Add(time.Hour)}
		require.NoError(t, m.SetMaintenance("a", first))
		assert.Equal(t, first.End, state(t, m, "a").Until)
		first.End = now.Add(2 * time.Hour)
		require.NoError(t, m.SetMaintenance("a", first, health.Window{Start: now.Add(time.Hour), End: now.Add(3 * time.Hour)}))
		assert.Equal(t, first.End, state(t, m, "a").Until, "it was extended")
		time.Sleep(time.Hour + time.Second)
		assert.Equal(t, now.Add(3*time.Hour), state(t, m, "a").Until, "a longer one has begun")
		time.Sleep(2 * time.Hour)
		assert.Equal(t, health.Healthy, m.Status())
	})
}

// An optional check that was not looked at is no proof of having started.
func TestAnOptionalCheckIsNoProofOfHavingStarted(t *testing.T) {
	m := newMonitor(t, health.Config{})
	require.NoError(t, m.Add(health.Check{Name: "optional", Optional: true, Groups: health.Startup, Prober: fixed(health.Healthy)}))
	require.NoError(t, m.Add(health.Check{Name: "critical", Groups: health.Startup, Prober: fixed(health.Unhealthy)}))
	assert.False(t, m.GroupStatus(health.Startup).OK())
	_, err := m.Check(t.Context())
	require.NoError(t, err)
	assert.Equal(t, health.Unhealthy, m.GroupStatus(health.Startup))
}

// A caller of Check that has gone away is no failure of the history.
func TestACallerWhoHasGoneIsNoFailureOfTheHistory(t *testing.T) {
	for range 50 {
		m := newMonitor(t, health.Config{History: &health.MemoryHistory{}, Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}}}})
		_, err := m.Check(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = m.Check(ctx)
		assert.True(t, err == nil || errors.Is(err, context.Canceled))
		require.NoError(t, m.Self().HistoryError)
	}
}

// To stop while the lease is asked is no failure of the lease.
func TestStopIsNoFailureOfTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonitor(t, health.Config{StartSpread: 1, Lease: funcLease{acquire: hangs}, Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}}}})
		require.NoError(t, m.Start(t.Context()))
		time.Sleep(time.Second)
		require.NoError(t, m.Stop(t.Context()))
		assert.NoError(t, m.Self().LeaseError)
	})
}

// Hooks hear that a check is in maintenance from the start.
func TestHooksHearOfMaintenanceFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan health.Transition, 10)
		now := time.Now()
		startMonitor(t, health.Config{
			Checks:      []health.Check{{Name: "a", Prober: &healthtest.Prober{}}},
			Maintenance: []health.Window{{Start: now, End: now.Add(time.Hour)}},
			Hooks:       health.Hooks{OnTransition: func(_ context.Context, tr health.Transition) { told <- tr }},
		})
		time.Sleep(time.Minute)
		require.Len(t, told, 1)
		assert.Equal(t, health.Maintenance, (<-told).State.Status)
	})
}

// Whatever windows there are, alone, overlapping, touching or over for good, a
// check is in maintenance exactly while one of them contains the time, through
// both changes of the clocks of a year, and the scheduler never spins: time
// would not pass here.
func TestMaintenanceFollowsAnyWindows(t *testing.T) {
	zone, err := health.LoadZone("Australia/Sydney")
	require.NoError(t, err)
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			begin := time.Now()
			var windows []health.Window
			for range 1 + rnd.IntN(5) {
				w := health.Window{From: health.At(rnd.IntN(25), 15*rnd.IntN(4)), For: time.Duration(1+rnd.IntN(4*24*3)) * 15 * time.Minute, Zone: zone}
				w.From = min(w.From, health.At(24, 0))
				switch rnd.IntN(4) {
				case 0:
					w = health.Window{Start: begin.Add(time.Duration(rnd.IntN(3000)) * 15 * time.Minute)}
					w.End = w.Start.Add(time.Duration(1+rnd.IntN(3000)) * 15 * time.Minute)
				case 1:
					w.MonthDays = []int{-1, 1 + rnd.IntN(28)}
					w.End = begin.AddDate(0, 0, rnd.IntN(200))
				case 2:
					w.Days = []time.Weekday{time.Sunday, time.Weekday(rnd.IntN(7))}
				default:
					w.For = time.Duration(1+rnd.IntN(20)) * 15 * time.Minute
					w.Start = begin.AddDate(0, 0, rnd.IntN(100))
				}
				require.NoError(t, w.Validate())
				windows = append(windows, w)
			}
			half := rnd.IntN(len(windows) + 1)
			m := startMonitor(t, health.Config{
				Maintenance: windows[:half],
				Checks:      []health.Check{{Name: "a", Prober: &healthtest.Prober{}, Interval: 40 * 24 * time.Hour, Maintenance: windows[half:]}},
			})
			time.Sleep(time.Second)
			for time.Since(begin) < 280*24*time.Hour {
				want := health.Healthy
				if slices.ContainsFunc(windows, func(w health.Window) bool { return w.Contains(time.Now()) }) {
					want = health.Maintenance
				}
				synctest.Wait()
				require.Equal(t, want, m.Status(), "seed %d at %v", seed, time.Now().In(zone))
				time.Sleep(15 * time.Minute)
			}
		})
	}
}

// An unruly lease is slow, fails, panics, hangs or lends anything.
func unrulyLease() health.Lease {
	var n atomic.Int64
	behave := func(ctx context.Context) (health.Grant, error) {
		switch k := n.Add(1) % 11; k {
		case 0:
			panic("lease")
		case 1:
			<-ctx.Done()
			return health.Grant{}, ctx.Err()
		case 2:
			return health.Grant{}, errors.New("down")
		case 3:
			runtime.Goexit()
		case 4, 5:
			time.Sleep(time.Millisecond)
			return health.Grant{Result: health.Result{Status: health.Status(k), Time: time.Now()}}, nil
		case 6:
			return health.Grant{}, nil
		}
		return health.Grant{Held: true}, nil
	}
	return funcLease{
		acquire: func(ctx context.Context, _ string) (health.Grant, error) { return behave(ctx) },
		publish: func(ctx context.Context, _ string, _ health.Result) error { _, err := behave(ctx); return err },
		release: func() error { return nil },
	}
}

// The same with a lease, windows, hooks that fail, dependencies and probers that
// hang or end their goroutine, and with the end by Start's context, by its
// deadline or by Stop: no run, worker or goroutine is left, and the tallies agree.
func TestAnyOrderOfCallsWithEverythingUnruly(t *testing.T) {
	for round := range 120 {
		before := runtime.NumGoroutine()
		m := newMonitor(t, health.Config{
			Workers: 1 + round%3, StartSpread: time.Millisecond, Lease: unrulyLease(), History: &health.MemoryHistory{},
			Hooks: health.Hooks{
				OnResult: func(_ context.Context, s health.State) {
					if s.Failures%3 == 2 {
						runtime.Goexit()
					}
				},
				OnTransition: func(context.Context, health.Transition) { panic("hook") },
			},
			Logger: slog.New(slog.DiscardHandler),
		})
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
		defer cancel()
		if round%3 > 0 {
			base := ctx
			if round%3 == 1 {
				base = t.Context()
			}
			require.NoError(t, m.Start(base))
		}
		var wg sync.WaitGroup
		for g := range 6 {
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					name := fmt.Sprint((i + g) % 5)
					switch (i*5 + g) % 7 {
					case 0, 1:
						_ = m.Add(unruly(name, i))
					case 2:
						m.Remove(name)
					case 3:
						now := time.Now()
						_ = m.SetMaintenance([]string{"", name}[i%2], health.Window{Start: now, End: now.Add(time.Duration(1+i%3) * time.Millisecond)})
					case 4:
						_, _ = m.Check(ctx, name)
					case 5:
						m.Subscribe(ctx, 1)
						m.Snapshot()
					case 6:
						m.Self()
						_ = m.SelfProber().Probe(ctx)
						_, _ = m.Maintenance(name)
						time.Sleep(100 * time.Microsecond)
					}
				}
			})
		}
		wg.Wait()
		end, cancelEnd := context.WithTimeout(t.Context(), time.Minute)
		require.NoError(t, m.Stop(end))
		cancelEnd()
		assert.Equal(t, m.Snapshot().Status, m.Status(), "drift")
		assert.Zero(t, m.Self().Hung)
		assert.Zero(t, m.Self().Probing)
		assert.Zero(t, m.Self().Waiting)
		assert.Zero(t, m.Self().HookLag)
		require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 10*time.Second, time.Millisecond, "goroutines")
	}
}

// unruly returns a check whose prober is slow, hangs, panics or ends its
// goroutine now and then.
func unruly(name string, i int) health.Check {
	var n atomic.Int64
	c := health.Check{
		Name: name, Optional: i%2 == 0, Interval: 10 * time.Millisecond, Timeout: 2 * time.Millisecond, Groups: health.Group(2 + i%3),
		Prober: health.ProberFunc(func(ctx context.Context) health.Result {
			switch k := n.Add(1) + int64(i); k % 9 {
			case 0:
				<-ctx.Done()
			case 1:
				time.Sleep(4 * time.Millisecond)
			case 2:
				runtime.Goexit()
			case 3:
				panic("prober")
			}
			return health.Result{Status: health.Status(n.Load() % 6)}
		}),
	}
	if name > "2" && i%3 == 0 {
		c.DependsOn = []string{"0"}
	}
	return c
}

// A status that ends with its window ends before the next begins, even if the
// probe that found that began within the window.
func TestSinceNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := startMonitor(t, health.Config{StartSpread: 1, Checks: []health.Check{{Name: "a", Interval: time.Minute, Prober: &healthtest.Prober{
			Delay: 8 * time.Second, Results: []health.Result{{Status: health.Healthy}, failing(health.CauseRefused)},
		}}}})
		time.Sleep(9 * time.Second)
		sub := m.Subscribe(t.Context(), 10)
		began := m.Self().Runs
		now := time.Now()
		for m.Self().Runs == began {
			time.Sleep(time.Second)
			require.NoError(t, m.SetMaintenance("", health.Window{Start: now, End: time.Now().Add(2 * time.Second)}))
		}
		time.Sleep(20 * time.Second)
		require.Len(t, sub, 3, "into maintenance, out of it, and down")
		for range 3 {
			tr := <-sub
			assert.False(t, tr.State.Since.Before(tr.FromSince), "%v from %v until %v", tr.From, tr.FromSince, tr.State.Since)
		}
	})
}

// Stop while the history hangs: the leases are given up at once, the samples
// of the write that hangs are tried once more, and then they are called lost.
func TestStopWhileTheHistoryHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var released time.Time
		m := newMonitor(t, health.Config{StartSpread: 1, History: &hangingHistory{}, Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}}}, Lease: funcLease{
			acquire: func(context.Context, string) (health.Grant, error) { return health.Grant{Held: true}, nil },
			release: func() error { released = time.Now(); return nil },
		}})
		require.NoError(t, m.Start(t.Context()))
		time.Sleep(2 * time.Second) // the history is being written
		began := time.Now()
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() { assert.ErrorContains(t, m.Stop(t.Context()), "the rest of the history is lost") })
		}
		callers.Wait()
		assert.Equal(t, began, released)
		assert.LessOrEqual(t, time.Since(began), 20*time.Second)
	})
}
