package health_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
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

// Each test here is a defect that a review of the Monitor proved.

// A lease whose funcs are given.
type funcLease struct {
	acquire func(ctx context.Context, check string) (health.Grant, error)
	publish func(ctx context.Context, check string, r health.Result) error
	release func() error
}

func (l funcLease) Acquire(ctx context.Context, check string, _ time.Duration) (health.Grant, error) {
	return l.acquire(ctx, check)
}
func (l funcLease) Publish(ctx context.Context, check string, r health.Result) error {
	if l.publish == nil {
		return nil
	}
	return l.publish(ctx, check, r)
}
func (l funcLease) Release(context.Context) error {
	if l.release == nil {
		return nil
	}
	return l.release()
}

func hangs(ctx context.Context, _ string) (health.Grant, error) {
	<-ctx.Done()
	return health.Grant{}, ctx.Err()
}

func TestALeaseThatHangsMakesNoCheckUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := startMonitor(t, health.Config{Lease: funcLease{acquire: hangs}, Checks: []health.Check{
			{Name: "a", Prober: &healthtest.Prober{Delay: 10 * time.Millisecond}, Timeout: 3 * time.Second},
		}})
		time.Sleep(20 * time.Second)
		s := state(t, m, "a")
		assert.Equal(t, health.Healthy, s.Status, "%v %s", s.Last.Cause, s.Last.Message)
	})
}

func TestASlowLeaseIsNoLatencyOfTheCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context, _ string) (health.Grant, error) {
			time.Sleep(2 * time.Second)
			return health.Grant{Held: true}, nil
		}
		m := startMonitor(t, health.Config{Lease: funcLease{acquire: slow}, Checks: []health.Check{
			{Name: "a", Prober: &healthtest.Prober{Delay: 10 * time.Millisecond}, Latency: health.Budget{Warn: time.Second}},
		}})
		time.Sleep(20 * time.Second)
		s := state(t, m, "a")
		assert.Equal(t, health.Healthy, s.Status, "%v %s, duration %v", s.Last.Cause, s.Last.Message, s.Last.Duration)
	})
}

func TestRemovingACheckWhoseProberHangsCostsNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick := &healthtest.Prober{}
		m := newMonitor(t, health.Config{Workers: 2, Checks: []health.Check{{Name: "quick", Prober: quick, Interval: 10 * time.Second}}})
		require.NoError(t, m.Start(t.Context()))
		time.Sleep(time.Minute)
		for i := range 2 {
			name := fmt.Sprint("stubborn", i)
			require.NoError(t, m.Add(health.Check{Name: name, Prober: &healthtest.Prober{Delay: 24 * time.Hour, Stubborn: true}}))
			time.Sleep(time.Second)
			m.Remove(name)
		}
		before := quick.Calls()
		time.Sleep(time.Hour)
		assert.Greater(t, quick.Calls(), before+300, "the other check starves; hung=%d", m.Self().Hung)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorContains(t, m.Stop(ctx), "stubborn", "Stop does not say for whom it waits")
		time.Sleep(25 * time.Hour)
	})
}

func TestAHookMayCallCheckWithOneWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m *health.Monitor
		var err error
		depth := 0
		m = newMonitor(t, health.Config{
			Workers: 1,
			Checks:  []health.Check{{Name: "a", Prober: &healthtest.Prober{}}},
			Hooks: health.Hooks{OnResult: func(ctx context.Context, s health.State) {
				if depth++; depth > 1 {
					return
				}
				ctx, cancel := context.WithTimeout(ctx, time.Hour)
				defer cancel()
				_, err = m.Check(ctx)
			}},
		})
		_, checkErr := m.Check(t.Context())
		require.NoError(t, checkErr)
		time.Sleep(2 * time.Hour)
		stop(t, m)
		assert.NoError(t, err, "Check in a hook never got a worker")
	})
}

func TestAStuckHookIsNoticedAndHoldsUpNoSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var down atomic.Bool
		var beats atomic.Int32
		p := health.ProberFunc(func(context.Context) health.Result {
			if down.Load() {
				return failing(health.CauseRefused)
			}
			return health.Result{Status: health.Healthy}
		})
		var stuck atomic.Bool
		m := startMonitor(t, health.Config{
			Checks:    []health.Check{{Name: "a", Prober: p}, {Name: "b", Prober: p}, {Name: "c", Prober: p}},
			Heartbeat: func(context.Context, health.Self) error { beats.Add(1); return nil },
			Hooks: health.Hooks{OnResult: func(context.Context, health.State) {
				if stuck.Load() {
					<-release
				}
			}},
		})
		defer close(release)
		time.Sleep(time.Minute)
		sub := m.Subscribe(t.Context(), 100)
		stuck.Store(true)
		time.Sleep(time.Minute)
		down.Store(true)
		before := beats.Load()
		time.Sleep(24 * time.Hour)
		assert.Equal(t, health.Unhealthy, m.Status())
		assert.NotEmpty(t, sub, "three checks have been down for a day; the subscriber knows nothing")
		assert.LessOrEqual(t, beats.Load(), before+2, "the heartbeat says that all is well")
		assert.NotEqual(t, health.Healthy, m.SelfProber().Probe(t.Context()).Status, "so does the monitor itself")
	})
}

func TestEventsBehindAStuckHookAreBounded(t *testing.T) {
	release := make(chan struct{})
	m := newMonitor(t, health.Config{
		Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}}},
		Hooks:  health.Hooks{OnResult: func(context.Context, health.State) { <-release }},
	})
	go m.Take(t.Context(), "a", health.Result{Status: health.Healthy})
	time.Sleep(50 * time.Millisecond)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const results = 200_000
	for range results {
		m.Take(t.Context(), "a", health.Result{Status: health.Healthy})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	close(release)
	assert.Less(t, grown, int64(16<<20), "%d bytes for each result", grown/results)
}

func TestAStaleResultOfALeaseIsNotTakenForNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(100 * time.Hour)
		old := health.Result{Status: health.Healthy, Time: time.Now().Add(-72 * time.Hour)}
		borrowed := func(context.Context, string) (health.Grant, error) {
			return health.Grant{Holder: "other", Result: old}, nil
		}
		m := startMonitor(t, health.Config{Lease: funcLease{acquire: borrowed}, Checks: []health.Check{
			{Name: "a", Prober: fixed(health.Unhealthy), Groups: health.Readiness | health.Startup},
		}})
		time.Sleep(10 * time.Minute)
		assert.Equal(t, health.Unhealthy, m.GroupStatus(health.Readiness), "a replica that finds nothing any more is not waited for")
		assert.Equal(t, health.Unhealthy, m.GroupStatus(health.Startup))
	})
}

func TestCheckProbesHereWhoeverHoldsTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		old := health.Result{Status: health.Healthy, Time: time.Now().Add(-20 * time.Second)}
		slow := func(context.Context, string) (health.Grant, error) {
			time.Sleep(time.Second)
			return health.Grant{Holder: "other", Result: old}, nil
		}
		p := fixed(health.Unhealthy)
		m := startMonitor(t, health.Config{Lease: funcLease{acquire: slow}, StartSpread: 1, Checks: []health.Check{{Name: "a", Prober: p}}})
		time.Sleep(100 * time.Millisecond) // the scheduled run asks the lease
		asked := time.Now()
		report, err := m.Check(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, p.Calls(), "Check probes now, it says")
		assert.False(t, report.Checks[0].Last.Time.Before(asked.Add(-time.Second)), "status %v found %v before Check was called", report.Status, asked.Sub(report.Checks[0].Last.Time))
	})
}

func TestAReplicaWhoseClockIsAheadHearsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		skew := 10 * time.Minute
		var held atomic.Bool
		held.Store(true)
		lease := func(context.Context, string) (health.Grant, error) {
			if held.Load() {
				return health.Grant{Held: true}, nil
			}
			return health.Grant{Holder: "other", Result: health.Result{Status: health.Unhealthy, Cause: health.CauseRefused, Time: time.Now().Add(-skew)}}, nil
		}
		m := startMonitor(t, health.Config{Lease: funcLease{acquire: lease}, Checks: []health.Check{{Name: "a", Prober: fixed(health.Healthy)}}})
		time.Sleep(time.Minute)
		held.Store(false)
		time.Sleep(5 * time.Minute)
		assert.Equal(t, health.Unhealthy, m.Status(), "the holder has found it down for five minutes")
	})
}

func TestParentsAreHurriedWhereThereIsAThreshold(t *testing.T) {
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
			{Name: "child", Prober: both, Interval: time.Minute, DependsOn: []string{"parent"}, FailureThreshold: 3},
		}})
		time.Sleep(2*time.Hour + time.Second)
		close(broken)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		assert.Equal(t, health.Unhealthy, state(t, m, "child").Status)
		assert.Equal(t, "parent", state(t, m, "child").BlockedBy)
	})
}

func TestStopWaitsForHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running atomic.Bool
		m := newMonitor(t, health.Config{
			Checks: []health.Check{{Name: "a", Timeout: time.Second, Prober: &healthtest.Prober{Delay: 3 * time.Second, Stubborn: true}}},
			Hooks: health.Hooks{OnResult: func(context.Context, health.State) {
				running.Store(true)
				time.Sleep(time.Hour)
				running.Store(false)
			}},
		})
		_, _ = m.Check(t.Context())
		time.Sleep(time.Minute)
		require.True(t, running.Load())
		require.NoError(t, m.Stop(t.Context()))
		assert.False(t, running.Load(), "Stop returned nil, and a hook runs")
		time.Sleep(2 * time.Hour)
	})
}

func TestStopSaysThatHistoryIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &brokenHistory{}
		err := errors.New("disk full")
		h.err.Store(&err)
		m := newMonitor(t, health.Config{History: h, Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}}}})
		require.NoError(t, m.Start(t.Context()))
		time.Sleep(10 * time.Minute)
		assert.Error(t, m.Stop(t.Context()), "lost=%d", m.Self().SamplesLost)
	})
}

func TestAHungProberKeepsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var released atomic.Bool
		m := newMonitor(t, health.Config{
			Lease: funcLease{acquire: func(context.Context, string) (health.Grant, error) { return health.Grant{Held: true}, nil },
				release: func() error { released.Store(true); return nil }},
			Checks: []health.Check{
				{Name: "stubborn", Timeout: time.Second, Prober: &healthtest.Prober{Delay: 24 * time.Hour, Stubborn: true}},
				{Name: "a", Prober: &healthtest.Prober{}},
			},
		})
		require.NoError(t, m.Start(t.Context()))
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		require.Error(t, m.Stop(ctx))
		assert.True(t, released.Load(), "the other replicas wait for all leases to end because one prober hangs")
		time.Sleep(25 * time.Hour)
	})
}

// hangingHistory takes as long as its context lets it.
type hangingHistory struct{ health.MemoryHistory }

func (*hangingHistory) Append(ctx context.Context, _ []health.Sample) error {
	<-ctx.Done()
	return ctx.Err()
}

// slowHistory takes a second, and fails.
type slowHistory struct{ health.MemoryHistory }

func (*slowHistory) Append(context.Context, []health.Sample) error {
	time.Sleep(time.Second)
	return errors.New("full")
}

func TestCheckDoesNotQueueForTheHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonitor(t, health.Config{History: &slowHistory{}, Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}}}})
		began := time.Now()
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				_, _ = m.Check(ctx)
			})
		}
		callers.Wait()
		assert.Equal(t, time.Second, time.Since(began), "the one that writes waits for a history that ignores its context, the others do not")
	})
}

func TestCheckOfARunThatTheEndOfStartCancelledIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonitor(t, health.Config{History: &hangingHistory{}, StartSpread: 1, Checks: []health.Check{
			{Name: "a", Prober: &healthtest.Prober{Delay: 5 * time.Second}},
			{Name: "b", Prober: &healthtest.Prober{}},
		}})
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, m.Start(ctx))
		time.Sleep(time.Second)
		type answer struct {
			report *health.Report
			err    error
		}
		answers := make(chan answer, 1)
		go func() { r, err := m.Check(t.Context(), "a"); answers <- answer{r, err} }()
		synctest.Wait()
		cancel()
		a := <-answers
		assert.Error(t, a.err, "nothing was found (%v, %s), and there is no error", a.report.Status, a.report.Checks[0].Last.Cause)
		assert.ErrorIs(t, m.Add(health.Check{Name: "c", Prober: &healthtest.Prober{}}), health.ErrStopped, "takes checks that will never run")
		assert.ErrorContains(t, m.Stop(t.Context()), "the rest of the history is lost")
	})
}

func TestCheckOfACheckThatIsRemovedMeanwhileIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{Delay: time.Second}}}})
		go func() { time.Sleep(time.Millisecond); m.Remove("a") }()
		report, err := m.Check(t.Context(), "a")
		assert.Error(t, err, "status %v, cause %s, no error", report.Status, report.Checks[0].Last.Cause)
	})
}

func TestALeaseOrHistoryThatPanicsIsSurvived(t *testing.T) {
	panics := func(context.Context, string) (health.Grant, error) { panic("lease") }
	m := newMonitor(t, health.Config{StartSpread: 1, Lease: funcLease{acquire: panics}, History: panickingHistory{}, Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}}}})
	require.NoError(t, m.Start(t.Context()))
	require.Eventually(t, func() bool { return m.Status() == health.Healthy }, 10*time.Second, time.Millisecond)
	assert.ErrorContains(t, m.Stop(t.Context()), "it panicked: history")
	assert.ErrorContains(t, m.Self().LeaseError, "it panicked: lease")
}

type panickingHistory struct{ health.History }

func (panickingHistory) Append(context.Context, []health.Sample) error { panic("history") }

func TestMaintenanceIsNoProofOfHavingStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := startMonitor(t, health.Config{
			Maintenance: []health.Window{{Start: time.Now(), End: time.Now().Add(time.Hour)}},
			Checks:      []health.Check{{Name: "migrations", Prober: fixed(health.Unhealthy), Groups: health.Startup}},
		})
		time.Sleep(2 * time.Hour)
		assert.Equal(t, health.Unhealthy, m.GroupStatus(health.Startup), "it never worked, and is healthy for ever")
	})
}

func TestMaintenanceIsNotWorsenedByABudget(t *testing.T) {
	r := health.Budget{Fail: time.Second}.Apply(health.Result{Status: health.Maintenance, Cause: health.CauseMaintenance, Duration: 2 * time.Second})
	assert.Equal(t, health.Maintenance, r.Status, "%s", r.Message)
}

func TestMaintenanceEndsOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := startMonitor(t, health.Config{
			Maintenance: []health.Window{{Start: time.Now(), End: time.Now().Add(time.Minute)}},
			Checks:      []health.Check{{Name: "a", Prober: fixed(health.Unhealthy), Interval: 24 * time.Hour}},
		})
		time.Sleep(time.Hour)
		assert.Equal(t, health.Unhealthy, m.Status(), "the window ended 59 minutes ago")
	})
}

func TestHeadersAreNotSharedBetweenRequests(t *testing.T) {
	m := newMonitor(t, health.Config{})
	h := health.NewPublicHandler(m, health.Info{})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	for _, values := range w.Header() { // a middleware that edits in place
		for i := range values {
			values[i] += "; edited"
		}
	}
	assert.Equal(t, "application/health+json", get(h, "/").Header().Get("Content-Type"))
}

func TestEntityTagsAreComparedWeakly(t *testing.T) {
	m := newMonitor(t, health.Config{})
	h := health.NewPublicHandler(m, health.Info{})
	etag := get(h, "/").Header().Get("Etag")
	for _, tag := range []string{"W/" + etag, `"other", ` + etag, "*"} {
		assert.Equal(t, 304, get(h, "/", "If-None-Match", tag).Code, tag)
	}
}

func TestARefusedAddDoesNotShowInTheStatus(t *testing.T) {
	m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}}}})
	_, err := m.Check(t.Context())
	require.NoError(t, err)
	var bad atomic.Int64
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if m.GroupStatus(health.Readiness) != health.Healthy {
					bad.Add(1)
				}
			}
		}
	})
	for range 20_000 {
		require.Error(t, m.Add(health.Check{Name: "b", Prober: &healthtest.Prober{}, DependsOn: []string{"missing"}}))
	}
	close(done)
	reader.Wait()
	require.Equal(t, health.Healthy, m.GroupStatus(health.Readiness))
	assert.Zero(t, bad.Load(), "/readyz would have been 503")
}

func TestAProbersTimeInTheFutureIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &health.MemoryHistory{}
		began := time.Now()
		p := &healthtest.Prober{Results: []health.Result{{Status: health.Healthy, Time: began.AddDate(1, 0, 0)}, {Status: health.Unhealthy, Cause: health.CauseRefused, Message: "x"}}}
		m := startMonitor(t, health.Config{History: h, Checks: []health.Check{{Name: "a", Prober: p}}})
		time.Sleep(2 * time.Hour)
		spells, err := h.Spells(t.Context(), "a", began, time.Now())
		require.NoError(t, err)
		assert.Len(t, spells, 1, "down for two hours")
		_ = m
	})
}

func TestAGoexitInAHookIsSurvived(t *testing.T) {
	m := newMonitor(t, health.Config{
		Checks: []health.Check{{Name: "a", Prober: &healthtest.Prober{}}},
		Hooks:  health.Hooks{OnResult: func(context.Context, health.State) { runtime.Goexit() }}, // as t.FailNow does
	})
	_, _ = m.Check(t.Context())
	time.Sleep(100 * time.Millisecond)
}

func TestOtherReplicasAreSoonToldByTheHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &sharedLease{grants: make(map[string]*health.Grant), until: make(map[string]time.Time)}
		var down atomic.Bool
		p := health.ProberFunc(func(context.Context) health.Result {
			time.Sleep(50 * time.Millisecond)
			if down.Load() {
				return failing(health.CauseRefused)
			}
			return health.Result{Status: health.Healthy}
		})
		var ms []*health.Monitor
		for _, name := range []string{"one", "two"} {
			ms = append(ms, startMonitor(t, health.Config{Lease: replica{shared, name}, Checks: []health.Check{{Name: "a", Prober: p, Interval: time.Minute}}}))
		}
		time.Sleep(10 * time.Minute)
		down.Store(true)
		down1 := time.Duration(0)
		for ms[0].Status() == health.Healthy && ms[1].Status() == health.Healthy {
			time.Sleep(time.Second)
		}
		first := time.Now()
		for ms[0].Status() == health.Healthy || ms[1].Status() == health.Healthy {
			time.Sleep(time.Second)
		}
		down1 = time.Since(first)
		assert.Less(t, down1, 30*time.Second, "the other replica said healthy for so much longer")
	})
}

// Timeout and duration longer than one and a half intervals.
func TestASlowCheckIsProbedByOneReplicaAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &sharedLease{grants: make(map[string]*health.Grant), until: make(map[string]time.Time)}
		var now, most, calls atomic.Int64
		p := health.ProberFunc(func(context.Context) health.Result {
			calls.Add(1)
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(28 * time.Second)
			return health.Result{Status: health.Healthy}
		})
		for _, name := range []string{"one", "two", "three"} {
			startMonitor(t, health.Config{Lease: replica{shared, name}, Checks: []health.Check{{Name: "a", Prober: p, Interval: 10 * time.Second, Timeout: 30 * time.Second}}})
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		assert.EqualValues(t, 1, most.Load(), "probes at the same time; %d calls in an hour, one replica would make 120", calls.Load())
	})
}

func TestSubscribersAreToldWhenAParentRecoversAndTheChildDoesNot(t *testing.T) {
	down := func() *healthtest.Prober {
		return &healthtest.Prober{Results: []health.Result{failing(health.CauseRefused)}}
	}
	parent := &healthtest.Prober{Results: []health.Result{failing(health.CauseRefused), {Status: health.Healthy}}}
	m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "parent", Prober: parent}, {Name: "child", Prober: down(), DependsOn: []string{"parent"}}}})
	sub := m.Subscribe(t.Context(), 10)
	for _, name := range []string{"parent", "child", "parent", "child"} {
		_, err := m.Check(t.Context(), name)
		require.NoError(t, err)
	}
	stop(t, m)
	last := "never told"
	for tr := range sub {
		if tr.State.Name == "child" {
			last = tr.State.BlockedBy
		}
	}
	assert.Empty(t, last, "the child fails by itself now; the last that was heard of it is that it is blocked")
}

func TestSubscribersAreToldOfARemovedCheck(t *testing.T) {
	m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: fixed(health.Unhealthy)}}})
	sub := m.Subscribe(t.Context(), 10)
	_, err := m.Check(t.Context())
	require.NoError(t, err)
	m.Remove("a")
	stop(t, m)
	n := 0
	for range sub {
		n++
	}
	assert.Greater(t, n, 1, "an alert that fires for it fires for ever")
}

// Add, Remove, Check, Stop and results in any order leave no
// goroutine, and the tallies agree with the states.
func TestAnyOrderOfCallsLeavesNoDriftAndNoGoroutine(t *testing.T) {
	for round := range 300 {
		before := runtime.NumGoroutine()
		m := newMonitor(t, health.Config{Workers: 1 + round%4, StartSpread: time.Millisecond, History: &health.MemoryHistory{}, Hooks: health.Hooks{
			OnResult: func(context.Context, health.State) {},
		}})
		if round%3 > 0 {
			require.NoError(t, m.Start(t.Context()))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		var wg sync.WaitGroup
		for g := range 6 {
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					name := fmt.Sprint((i + g) % 5)
					switch (i*7 + g) % 6 {
					case 0, 1:
						var n atomic.Int64
						_ = m.Add(health.Check{Name: name, Optional: i%2 == 0, Interval: 10 * time.Millisecond, Timeout: 2 * time.Millisecond, Groups: health.Group(1 + i%7), Prober: health.ProberFunc(func(ctx context.Context) health.Result {
							k := n.Add(1)
							if k%5 == 0 {
								<-ctx.Done()
							}
							if k%7 == 0 {
								time.Sleep(4 * time.Millisecond)
							}
							return health.Result{Status: health.Status(k % 6)}
						})})
					case 2:
						m.Remove(name)
					case 3:
						c, cancel := context.WithTimeout(ctx, time.Millisecond)
						_, _ = m.Check(c)
						cancel()
					case 4:
						_, _ = m.Check(ctx, name, name)
					case 5:
						m.Snapshot()
						for range m.Subscribe(ctx, 1) {
							break
						}
					}
				}
			})
		}
		if round%2 == 0 {
			time.Sleep(10 * time.Millisecond)
			go func() { _ = m.Stop(ctx) }()
		}
		wg.Wait()
		cancel()
		stop(t, m)
		assert.Equal(t, m.Snapshot().Status, m.Status(), "drift")
		assert.Zero(t, m.Self().Hung)
		assert.Zero(t, m.Self().Probing)
		for range 200 {
			if runtime.NumGoroutine() <= before {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		require.LessOrEqual(t, runtime.NumGoroutine(), before, "goroutines")
	}
}
