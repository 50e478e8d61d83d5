package canvas_test

import (
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

// load is a Canvas whose requests cost and take what the table of throughput
// says, spread by 30 %.
func load(mark, latency, cost float64) *canvastest.Server {
	return &canvastest.Server{
		Throttle: canvastest.Throttle{HighWater: mark}, Seed: 1, KeepRequests: -1,
		Load: canvastest.Load{Cost: cost, Latency: time.Duration(latency * float64(time.Second)), Jitter: 0.3},
	}
}

// distant is a transport over a network that takes a while.
type distant struct {
	next http.RoundTripper
	trip time.Duration // there and back
}

func (d distant) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(d.trip / 2)
	resp, err := d.next.RoundTrip(r)
	time.Sleep(d.trip / 2)
	return resp, err
}

// greedy is the reference: a client that sees the bucket and starts a request
// in the moment in which there is room, alone and never rejected. It returns
// the seconds that n requests take on an empty bucket.
func greedy(n int, mark, latency, cost float64) float64 {
	random := rand.New(rand.NewPCG(1, 2))
	var now, count, touched float64
	var ends []float64 // of the requests under way
	leak := func() {
		count = max(0, count-10*(now-touched))
		touched = now
	}
	for started, finished := 0, 0; finished < n; {
		leak()
		if started < n && count+50 < mark-1e-9 {
			count += 50
			started++
			ends = append(ends, now+latency*(0.7+0.6*random.Float64()))
			continue
		}
		next, which := math.Inf(1), -1
		for i, end := range ends {
			if end < next {
				next, which = end, i
			}
		}
		if room := now + (count+50-mark)/10 + 1e-9; started < n && room < next {
			now = room
			continue
		}
		now = next
		ends[which] = ends[len(ends)-1]
		ends = ends[:len(ends)-1]
		leak()
		count = max(0, count+cost-50)
		finished++
	}
	return now
}
