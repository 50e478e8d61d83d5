package canvastest_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

// fixedWorkers runs workers back to back for a while, each waiting a second
// after a rejection. They start a millisecond apart, as in the simulation: with
// other starts more of them can find their places between the others, and some
// rows are better.
func fixedWorkers(t *testing.T, highWater float64, latency time.Duration, cost float64, workers int, seconds float64) (ok, rejected float64) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{Throttle: canvastest.Throttle{HighWater: highWater}, Load: canvastest.Load{Cost: cost, Latency: latency}, KeepRequests: -1}
		client := fake.Client()
		end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
		req := request(t, http.MethodGet, "/api/v1/settings/environment", nil)
		var wg sync.WaitGroup
		for i := range workers {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				for time.Now().Before(end) {
					resp, err := client.Do(req)
					if !assert.NoError(t, err) {
						return
					}
					assert.NoError(t, resp.Body.Close())
					if resp.StatusCode != http.StatusOK {
						time.Sleep(time.Second)
					}
				}
			})
		}
		wg.Wait()
		stats := fake.Stats()
		ok, rejected = float64(stats.Requests-stats.Rejected)/seconds, float64(stats.Rejected)/seconds
	})
	return ok, rejected
}

// The rows were computed with a simulator built from the source of the throttle:
// requests and rejections a second with a fixed number of workers. From 20
// workers on they show an artefact: the clamp at the maximum and the whole
// refund let a flood of rejections drain the bucket, and more pass than leaks
// out.
//
// Requirement: CV-BUCKET-CASCADE, CV-BUCKET-FLOOD
func TestFixedWorkersReachTheThroughputOfTheRealThrottle(t *testing.T) {
	if testing.Short() {
		t.Skip("two hours of virtual time")
	}
	for _, c := range []struct {
		highWater    float64
		latency      time.Duration
		cost         float64
		workers      int
		ok, rejected float64
	}{
		{600, 200 * time.Millisecond, 0.05, 1, 5, 0},
		{600, 200 * time.Millisecond, 0.05, 20, 98.2, 0.3},
		{600, 200 * time.Millisecond, 0.1, 11, 55, 0},
		{600, 200 * time.Millisecond, 0.1, 12, 60, 0},
		{600, 200 * time.Millisecond, 0.1, 13, 54.1, 2.1},
		{600, 200 * time.Millisecond, 0.1, 16, 54.1, 5.1},
		{600, 200 * time.Millisecond, 0.1, 30, 112.6, 7.3},
		{600, 200 * time.Millisecond, 0.2, 11, 50.4, 0.9},
		{600, 200 * time.Millisecond, 0.2, 14, 49.9, 3.9},
		{600, time.Second, 0.9, 12, 11.1, 0.9},
		{600, time.Second, 0.9, 30, 24.5, 5.4},
		{700, 200 * time.Millisecond, 0.1, 14, 70, 0},
		{700, 200 * time.Millisecond, 0.1, 16, 63.1, 3.3},
	} {
		t.Run(fmt.Sprintf("limit %v latency %v cost %v workers %d", c.highWater, c.latency, c.cost, c.workers), func(t *testing.T) {
			ok, rejected := fixedWorkers(t, c.highWater, c.latency, c.cost, c.workers, 600)
			t.Logf("%.1f/%.1f, wanted %.1f/%.1f", ok, rejected, c.ok, c.rejected)
			assert.InEpsilon(t, c.ok, ok, 0.02)
			assert.InDelta(t, c.rejected, rejected, 0.1+0.1*c.rejected)
		})
	}
}
