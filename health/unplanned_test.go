package health_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
)

// heard are the states that a hook was told of a check.
type heard struct {
	mu  sync.Mutex
	all []health.State
}

func (h *heard) hooks(check string) health.Hooks {
	return health.Hooks{OnResult: func(_ context.Context, s health.State) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if s.Name == check {
			h.all = append(h.all, s)
		}
	}}
}

// take returns how many results were planned, and how many were not, since the last call.
func (h *heard) take() (planned, unplanned int) {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.all {
		if s.Unplanned {
			unplanned++
		} else {
			planned++
		}
	}
	h.all = nil
	return planned, unplanned
}

// What is probed because others fail is beside the schedule, and what is planned is not:
// the rows of failures of both are told apart, however many others there are.
func TestHurriedProbesAreUnplanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		var mu sync.Mutex
		status := health.Healthy
		both := health.ProberFunc(func(context.Context) health.Result {
			mu.Lock()
			defer mu.Unlock()
			return health.Result{Status: status}
		})
		checks := []health.Check{{Name: "parent", Prober: both, Interval: 30 * time.Second}}
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			checks = append(checks, health.Check{Name: name, Prober: both, Interval: 30 * time.Second, DependsOn: []string{"parent"}})
		}
		startMonitor(t, health.Config{Checks: checks, Hooks: h.hooks("parent")})
		time.Sleep(10 * time.Minute)
		h.take()
		time.Sleep(10 * time.Minute)
		planned, unplanned := h.take()
		assert.Equal(t, 20, planned)
		assert.Zero(t, unplanned, "nothing fails")
		mu.Lock()
		status = health.Unhealthy
		mu.Unlock()
		time.Sleep(10 * time.Minute)
		planned, unplanned = h.take()
		assert.Equal(t, 20, planned, "one an interval, as ever")
		assert.Positive(t, unplanned)
	})
}

// A planned probe that a hurried one replaces is one that was planned, or one that is always
// hurried would never be.
func TestAHurriedProbeStandsForThePlannedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		m := startMonitor(t, health.Config{
			Checks: []health.Check{
				{Name: "parent", Prober: fixed(health.Unhealthy), Interval: 30 * time.Second},
				// Its row of failures does not end for long, so that it hurries the parent each time.
				{Name: "child", Prober: fixed(health.Unhealthy), Interval: 30 * time.Second, DependsOn: []string{"parent"}, FailureThreshold: 1000},
			},
			Hooks: h.hooks("parent"),
		})
		time.Sleep(10 * time.Minute)
		planned, unplanned := h.take()
		assert.GreaterOrEqual(t, planned, 13, "two thirds of the 20 at least: what stands for one may come half an interval early")
		assert.LessOrEqual(t, planned, 21)
		assert.LessOrEqual(t, planned+unplanned, 42)
		assert.Equal(t, planned+unplanned, state(t, m, "parent").Failures, "all of them count for the state")
	})
}

// What somebody asks for is beside the schedule, unless there is none.
func TestChecksOnDemandAreUnplanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: fixed(health.Healthy)}}, Hooks: h.hooks("a")})
		for range 3 {
			_, err := m.Check(t.Context())
			require.NoError(t, err)
		}
		planned, unplanned := h.take()
		assert.Equal(t, []int{3, 0}, []int{planned, unplanned}, "nothing is scheduled: the host is the schedule")
		require.NoError(t, m.Start(t.Context()))
		time.Sleep(time.Minute - time.Second)
		h.take()
		for range 3 {
			_, err := m.Check(t.Context())
			require.NoError(t, err)
		}
		assert.True(t, state(t, m, "a").Unplanned)
		planned, unplanned = h.take()
		assert.Equal(t, []int{0, 3}, []int{planned, unplanned})
		time.Sleep(time.Minute)
		planned, unplanned = h.take()
		assert.Equal(t, []int{2, 0}, []int{planned, unplanned})
		require.NoError(t, m.Stop(t.Context()))
	})
}

// While the probe that somebody asked for hangs, what is planned is that it hangs.
func TestAHangOnDemandIsSeenOnPlanToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h heard
		var hangs atomic.Bool
		end := make(chan struct{})
		p := health.ProberFunc(func(context.Context) health.Result {
			if hangs.Load() {
				<-end
			}
			return health.Result{Status: health.Healthy}
		})
		m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: p, Timeout: time.Second}}, Hooks: h.hooks("a"), StartSpread: 1})
		require.NoError(t, m.Start(t.Context()))
		time.Sleep(time.Minute)
		h.take()
		hangs.Store(true)
		_, err := m.Check(t.Context())
		require.NoError(t, err)
		planned, unplanned := h.take()
		assert.Equal(t, []int{0, 1}, []int{planned, unplanned})
		time.Sleep(5 * time.Minute)
		planned, unplanned = h.take()
		assert.Equal(t, []int{10, 0}, []int{planned, unplanned})
		close(end)
		require.NoError(t, m.Stop(t.Context()))
	})
}

// What says that it is down on purpose is why others fail that need it; what is in a window
// is if it is found down, and is no excuse if it works.
func TestMaintenanceBlocksWhatDependsOnIt(t *testing.T) {
	announced := health.Result{Status: health.Maintenance, Cause: health.CauseMaintenance, Message: "back at 12:00"}
	for _, tt := range []struct {
		name      string
		parent    health.Result
		window    bool
		blockedBy string
	}{
		{name: "it says so itself", parent: announced, blockedBy: "parent"},
		{name: "it is in a window, and down", parent: failing(health.CauseRefused), window: true, blockedBy: "parent"},
		{name: "it is in a window, and says so itself", parent: announced, window: true, blockedBy: "parent"},
		{name: "it is in a window, and works", parent: health.Result{Status: health.Healthy}, window: true},
		{name: "it works", parent: health.Result{Status: health.Degraded}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				parent := health.Check{Name: "parent", Prober: health.ProberFunc(func(context.Context) health.Result { return tt.parent }), DependsOn: []string{"base"}}
				if tt.window {
					parent.Maintenance = []health.Window{{Start: time.Now().Add(-time.Hour), End: time.Now().Add(time.Hour)}}
				}
				m := startMonitor(t, health.Config{Checks: []health.Check{
					{Name: "base", Prober: fixed(health.Healthy)}, parent,
					{Name: "child", Prober: fixed(health.Unhealthy), DependsOn: []string{"parent"}},
					{Name: "grandchild", Prober: fixed(health.Unhealthy), DependsOn: []string{"child"}},
				}})
				time.Sleep(time.Minute)
				child, grandchild := state(t, m, "child"), state(t, m, "grandchild")
				assert.Equal(t, tt.blockedBy, child.BlockedBy)
				assert.Equal(t, health.Unhealthy, child.Status, "to be in maintenance too it needs a window of its own")
				if tt.blockedBy == "" {
					assert.Equal(t, "child", grandchild.BlockedBy)
				} else {
					assert.Equal(t, tt.blockedBy, grandchild.BlockedBy)
				}
			})
		})
	}
}

// The end of an announced maintenance is told to those who hear of what it blocked, and
// which these are is told when it begins.
func TestBeginAndEndOfMaintenanceTellOfTheBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		status := health.Healthy
		parent := health.ProberFunc(func(context.Context) health.Result {
			mu.Lock()
			defer mu.Unlock()
			return health.Result{Status: status}
		})
		set := func(s health.Status) {
			mu.Lock()
			defer mu.Unlock()
			status = s
		}
		m := startMonitor(t, health.Config{Checks: []health.Check{
			{Name: "parent", Prober: parent}, {Name: "child", Prober: fixed(health.Unhealthy), DependsOn: []string{"parent"}},
		}})
		time.Sleep(5 * time.Minute)
		transitions := m.Subscribe(t.Context(), 10)
		set(health.Maintenance)
		time.Sleep(5 * time.Minute)
		set(health.Healthy)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		require.Len(t, transitions, 4)
		began, blocked, ended, unblocked := <-transitions, <-transitions, <-transitions, <-transitions
		assert.Equal(t, health.Maintenance, began.State.Status)
		assert.Equal(t, []string{"child"}, began.Affected)
		assert.Equal(t, "parent", blocked.State.BlockedBy)
		assert.Equal(t, health.Healthy, ended.State.Status)
		assert.Empty(t, ended.Affected)
		assert.Equal(t, "child", unblocked.State.Name)
		assert.Empty(t, unblocked.State.BlockedBy)
	})
}
