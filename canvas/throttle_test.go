package canvas_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

func newClient(t testing.TB, client *http.Client, change ...func(*canvas.Config)) *canvas.Client {
	t.Helper()
	cfg := canvas.Config{BaseURL: "https://school.test", Token: runbook.NewSecret(canvastest.AdminToken), HTTP: client}
	for _, f := range change {
		f(&cfg)
	}
	c, err := canvas.New(cfg)
	require.NoError(t, err)
	return c
}

var self = canvas.Request{Op: "get self", Path: "/api/v1/users/self"}

// flood sends n requests from as many goroutines as workers says, and returns
// how many seconds it took.
func flood(t testing.TB, c *canvas.Client, n, workers int) float64 {
	t.Helper()
	start := time.Now()
	work := make(chan int, n)
	for i := range n {
		work <- i
	}
	close(work)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range work {
				if _, err := c.Do(t.Context(), self, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start).Seconds()
}

// rows is the table of throughput: the seconds that n requests take the policy
// that sees the bucket. It was computed from the algorithm of canvas-lms,
// app/middleware/request_throttle.rb, apart from this package.
var rows = []struct {
	mark, latency, cost float64
	seconds             [4]float64 // for each of counts
}{
	{600, 0.1, 0.05, [4]float64{0.9, 4.3, 16.6, 38.9}},
	{600, 0.2, 0.1, [4]float64{1.8, 8.5, 31.6, 72.0}},
	{600, 0.2, 0.2, [4]float64{1.9, 9.2, 36.7, 95.0}},
	{600, 0.5, 0.3, [4]float64{4.4, 20.8, 75.7, 172.3}},
	{600, 1.0, 0.9, [4]float64{8.9, 44.8, 179.9, 450.1}},
	{600, 2.0, 0.5, [4]float64{16.7, 65.2, 187.4, 371.0}},
	{600, 0.5, 5.0, [4]float64{8.1, 199.4, 946.5, 2449.3}},
	{700, 0.1, 0.05, [4]float64{0.8, 3.7, 14.5, 34.8}},
	{700, 0.2, 0.1, [4]float64{1.5, 7.3, 28.1, 65.9}},
	{700, 0.2, 0.2, [4]float64{1.6, 7.8, 32.2, 86.0}},
	{700, 0.5, 0.3, [4]float64{3.8, 18.2, 69.2, 163.7}},
	{700, 1.0, 0.9, [4]float64{8.0, 39.4, 169.9, 440.1}},
	{700, 2.0, 0.5, [4]float64{14.8, 59.6, 179.2, 361.5}},
	{700, 0.5, 5.0, [4]float64{6.1, 189.4, 936.5, 2439.3}},
}

var counts = [4]int{100, 500, 2000, 5000}

// A careless caller with 500 goroutines, one client, one token, a mark that it
// does not know: as fast as the policy that sees the bucket, and never rejected.
// Time is virtual, so that the figures are not timings of this machine.
//
// Requirement: CV-THROTTLE-SPEED, CV-THROTTLE-NEVER-REJECTED, CV-THROTTLE-LEARN, CV-THROTTLE-RULE, CV-PEER-NODE-FIXED
func TestAloneAsFastAsTheBucketAllows(t *testing.T) {
	for _, row := range rows {
		for i, n := range counts {
			t.Run(fmt.Sprintf("mark=%g/latency=%g/cost=%g/n=%d", row.mark, row.latency, row.cost, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fake := load(row.mark, row.latency, row.cost)
					took := flood(t, newClient(t, fake.Client()), n, 500)
					reference := greedy(n, row.mark, row.latency, row.cost)
					t.Logf("%.2f s, reference %.2f s, table %.1f s", took, reference, row.seconds[i])
					assert.Zero(t, fake.Stats().Rejected)
					// A hundred requests are seven rounds, so that chance has a say.
					within, ofTable := 1.03, 0.02
					if n == 100 {
						within, ofTable = 1.08, 0.12
					}
					assert.Less(t, took/reference, within)
					assert.InEpsilon(t, row.seconds[i], reference, ofTable, "the reference is not that of the table")
				})
			})
		}
	}
}

// Two processes that know nothing of each other but what the headers say.
//
// Requirement: CV-THROTTLE-SHARED
func TestTwoProcessesOnOneToken(t *testing.T) {
	tests := []struct {
		name    string
		cost    float64
		network time.Duration
		later   time.Duration
		mark    float64 // that they assume
		slower  float64 // than one client that sees the bucket
	}{
		{"both at once", 0.2, 0, 0, 0, 1.05},
		{"one later", 0.2, 0, 5 * time.Second, 0, 1.05},
		{"careful at the start", 0.2, 0, 0, 60, 1.05},
		{"careful, one later", 0.2, 0, 5 * time.Second, 60, 1.05},
		{"cheap requests", 0.1, 0, 700 * time.Millisecond, 60, 1.25},
		{"over a network", 0.2, 30 * time.Millisecond, 700 * time.Millisecond, 60, 1.15},
		{"far away", 0.2, 150 * time.Millisecond, 700 * time.Millisecond, 60, 1.25},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				took, fake := together(t, tc.cost, tc.network, tc.later, tc.mark)
				reference := greedy(5000, 600, 0.2+tc.network.Seconds(), tc.cost)
				rejected := float64(fake.Stats().Rejected) / 5000
				t.Logf("%.1f s, alone %.1f s, rejected %.2f %%", took, reference, rejected*100)
				assert.Less(t, took/reference, tc.slower)
				assert.Less(t, rejected, 0.015)
				if tc.network == 0 {
					assert.Less(t, rejected, 0.01)
				}
			})
		})
	}
}

// together has two clients send 2,500 requests each.
func together(t testing.TB, cost float64, network, later time.Duration, mark float64) (float64, *canvastest.Server) {
	t.Helper()
	fake := load(600, 0.2, cost)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range 2 {
		throttle, err := canvas.NewThrottle(canvas.ThrottleConfig{Mark: mark})
		require.NoError(t, err)
		far := &http.Client{Transport: distant{fake.Client().Transport, network}}
		c := newClient(t, far, func(cfg *canvas.Config) { cfg.Throttle = throttle })
		wg.Go(func() {
			time.Sleep(time.Duration(i) * later)
			flood(t, c, 2500, 250)
		})
	}
	wg.Wait()
	return time.Since(start).Seconds(), fake
}

// A newcomer gets its turn beside a process that could use everything, though
// it may be rejected a few times first.
func TestNewcomerGetsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := load(600, 0.2, 0.2)
		var wg sync.WaitGroup
		greedyOne := newClient(t, fake.Client())
		wg.Go(func() { flood(t, greedyOne, 4000, 500) })
		probe := newClient(t, fake.Client())
		var longest time.Duration
		for range 6 {
			time.Sleep(10 * time.Second)
			start := time.Now()
			_, err := probe.Do(t.Context(), self, nil)
			require.NoError(t, err)
			longest = max(longest, time.Since(start))
		}
		wg.Wait()
		t.Logf("longest wait %v, rejected %d", longest, fake.Stats().Rejected)
		assert.Less(t, longest, 40*time.Second)
	})
}

// A mark that is far below what is assumed costs a few rejections once.
func TestLowMarkIsLearnt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := load(300, 0.2, 0.1)
		c := newClient(t, fake.Client())
		flood(t, c, 1000, 100)
		first := fake.Stats().Rejected
		assert.LessOrEqual(t, first, 8)
		time.Sleep(10 * time.Minute) // idle: the next burst knows better
		flood(t, c, 1000, 100)
		assert.Equal(t, first, fake.Stats().Rejected)
		assert.InDelta(t, 300, c.Throttle().Stats().Mark, 1)
		assert.True(t, c.Throttle().Stats().Learnt)
	})
}

// When other users of the token fill the bucket, calls wait and then go on.
//
// Requirement: CV-THROTTLE-WAIT, CV-GOTCHA-10, CV-PEER-KSTATEOME-RETRY, CV-ASK-RETRY
func TestRejectionsAreWaitedOut(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		t.Run(fmt.Sprintf("403=%v", legacy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := load(600, 0.2, 0.1)
				if legacy {
					fake.Throttle.Status = http.StatusForbidden
				}
				c := newClient(t, fake.Client())
				_, err := c.Do(t.Context(), self, nil)
				require.NoError(t, err)
				fake.Spend(canvastest.TokenIdentifier(canvastest.AdminToken), 780)
				start := time.Now()
				_, err = c.Do(t.Context(), canvas.Request{Method: "POST", Path: "/api/v1/accounts/1/courses", Form: map[string][]string{"course[name]": {"whole"}}}, nil)
				require.NoError(t, err)
				// The rejection's reservation is cut off at 800 and given back, so
				// that 750 units are left, of which 200 must leak.
				assert.InDelta(t, 20, time.Since(start).Seconds(), 1.5)
				assert.LessOrEqual(t, fake.Stats().Rejected, 2)
				assert.Equal(t, int64(fake.Stats().Rejected), c.Throttle().Stats().Rejected)
			})
		})
	}
}

// Requirement: CV-PEER-NPM-FOREVER
func TestThrottledPastTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := load(600, 0.2, 0.1)
		c := newClient(t, fake.Client())
		fake.Spend(canvastest.TokenIdentifier(canvastest.AdminToken), 800)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := c.Do(ctx, self, nil)
		require.ErrorIs(t, err, canvas.ErrThrottled)
		assert.True(t, runbook.SafeToRetry(err), "a rejected request did not run")
		// The next one waits for the bucket, and gives up with its context.
		_, err = c.Do(ctx, self, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.True(t, runbook.SafeToRetry(err))
		e, ok := errors.AsType[*canvas.Error](err)
		require.True(t, ok)
		assert.Zero(t, e.Status)
		assert.Contains(t, err.Error(), "waited")
		assert.Zero(t, c.Throttle().Stats().Waiting)
	})
}

func TestInteractiveGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := load(600, 0.2, 0.1)
		c := newClient(t, fake.Client())
		var wg sync.WaitGroup
		bulk := canvas.WithPriority(t.Context(), canvas.Bulk)
		begin := time.Now()
		var mu sync.Mutex
		var bulkDone time.Duration
		for range 600 {
			wg.Go(func() {
				_, err := c.Do(bulk, self, nil)
				assert.NoError(t, err)
				mu.Lock()
				defer mu.Unlock()
				bulkDone = max(bulkDone, time.Since(begin))
			})
		}
		time.Sleep(time.Second)
		start := time.Now()
		_, err := c.Do(t.Context(), self, nil)
		require.NoError(t, err)
		assert.Less(t, time.Since(start), 400*time.Millisecond, "it waited behind bulk work")
		// A storm of interactive calls does not starve the bulk work.
		for range 600 {
			wg.Go(func() {
				_, err := c.Do(t.Context(), self, nil)
				assert.NoError(t, err)
			})
		}
		time.Sleep(2 * time.Second)
		before := c.Throttle().Stats().Waiting
		wg.Wait()
		assert.Positive(t, before)
		assert.Greater(t, bulkDone, 5*time.Second)
	})
}

// The budget can be lowered while requests wait, and taken back.
//
// Requirement: CV-ASK-BULK
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := load(600, 0.2, 0.1)
		c := newClient(t, fake.Client())
		require.NoError(t, c.Throttle().SetLimit(canvas.Limit{Requests: 120}))
		assert.InDelta(t, 50, flood(t, c, 101, 50), 1)
		require.NoError(t, c.Throttle().SetLimit(canvas.Limit{Cost: 3}))
		took := flood(t, c, 101, 50)
		assert.InDelta(t, 200, took, 25, "3 units a minute are 30 requests that cost 0.1")
		var wg sync.WaitGroup
		require.NoError(t, c.Throttle().SetLimit(canvas.Limit{Requests: 1}))
		wg.Go(func() { took = flood(t, c, 100, 100) })
		time.Sleep(time.Second)
		require.NoError(t, c.Throttle().SetLimit(canvas.Limit{}))
		wg.Wait()
		assert.Less(t, took, 5.0)
		assert.Error(t, c.Throttle().SetLimit(canvas.Limit{Requests: -1}))
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := load(600, 0.2, 0.1)
		c := newClient(t, fake.Client())
		require.NoError(t, c.Throttle().SetLimit(canvas.Limit{Requests: 1}))
		_, err := c.Do(t.Context(), self, nil)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				_, err := c.Do(ctx, self, nil)
				assert.ErrorIs(t, err, context.Canceled)
			})
		}
		time.Sleep(time.Second)
		assert.Equal(t, 100, c.Throttle().Stats().Waiting)
		cancel()
		wg.Wait()
		assert.Zero(t, c.Throttle().Stats().Waiting)
		assert.Zero(t, c.Throttle().Stats().InFlight)
		assert.Equal(t, 1, fake.Stats().Requests)
	})
}

// Requirement: CV-THROTTLE-TOKENS, CV-PEER-CLIENT-TOKENS
func TestThrottleIsForOneToken(t *testing.T) {
	throttle, err := canvas.NewThrottle(canvas.ThrottleConfig{})
	require.NoError(t, err)
	cfg := canvas.Config{BaseURL: "https://school.test", Token: runbook.NewSecret("a"), Throttle: throttle}
	_, err = canvas.New(cfg)
	require.NoError(t, err)
	_, err = canvas.New(cfg)
	require.NoError(t, err)
	cfg.Token = runbook.NewSecret("b")
	_, err = canvas.New(cfg)
	require.ErrorContains(t, err, "different hosts or tokens")
}

func TestStatsAndHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := load(700, 0.2, 0.3)
		fake.Routes = map[string]canvastest.Load{"GET /api/v1/courses/:id": {Cost: 7, Latency: time.Second}}
		course := fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": "Biology"})
		var seen []canvas.Attempt
		c := newClient(t, fake.Client(), func(cfg *canvas.Config) {
			cfg.Hooks.OnAttempt = func(_ context.Context, a canvas.Attempt) { seen = append(seen, a) }
		})
		_, err := c.Do(t.Context(), self, nil)
		require.NoError(t, err)
		for range 3 {
			_, err = c.Do(t.Context(), canvas.Request{Path: canvas.Path("courses", canvas.ID(course).String())}, nil)
			require.NoError(t, err)
		}
		s := c.Throttle().Stats()
		require.Len(t, seen, 4)
		assert.Equal(t, "GET /api/v1/courses/:id", seen[1].Route)
		assert.Equal(t, 200, seen[1].Status)
		assert.InDelta(t, 7, seen[1].Cost, 0.01)
		assert.True(t, seen[1].Reported)
		assert.NotEmpty(t, seen[1].RequestID)
		assert.EqualValues(t, 4, s.Requests)
		assert.InDelta(t, 21.3, s.Cost, 0.1)
		require.Len(t, s.Routes, 2)
		assert.Equal(t, "GET /api/v1/courses/:id", s.Routes[0].Route, "the most expensive comes first")
		assert.EqualValues(t, 3, s.Routes[0].Requests)
		assert.InDelta(t, fake.Stats().Cost, s.Cost, 0.001)
		assert.InDelta(t, 700, s.Mark, 1)
	})
}
