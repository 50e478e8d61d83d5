package main

import (
	"container/heap"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// floor is the least that the same takes when written by hand for nothing else:
// no timeouts, no panics survived, no states, nothing added later. Its rounds
// are a loop, or a goroutine for each check; its answers are bytes made before.
func floor() library {
	return library{
		name: "floor, by hand",
		round: func(checks []check, concurrency int) func() bool {
			if concurrency == 0 {
				return func() bool { return inline(checks) }
			}
			return func() bool { return together(checks) }
		},
		start: floorSchedule,
		everything: func(_ *running, checks []check) http.Handler {
			return prebuilt(checks)
		},
		states:  func(_ *running, checks []check) http.Handler { return prebuilt(checks) },
		overall: func(_ *running, _ []check) http.Handler { return prebuilt(nil) },
	}
}

func inline(checks []check) bool {
	healthy := true
	for _, c := range checks {
		healthy = c(context.Background()) == nil && healthy
	}
	return healthy
}

func together(checks []check) bool {
	var failed atomic.Bool
	var all sync.WaitGroup
	for _, c := range checks {
		all.Go(func() {
			if c(context.Background()) != nil {
				failed.Store(true)
			}
		})
	}
	all.Wait()
	return !failed.Load()
}

// prebuilt serves bytes behind an atomic pointer.
func prebuilt(checks []check) http.Handler {
	states := make(map[string]string, len(checks))
	for i := range checks {
		states[name(i)] = "pass"
	}
	body, err := json.Marshal(states)
	must(err)
	var page atomic.Pointer[[]byte]
	page.Store(&body)
	contentType := []string{"application/json"}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = contentType
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(*page.Load())
	})
}

const floorWorkers = 64

// floorSchedule is a heap of times, one goroutine that waits for the earliest,
// and workers.
func floorSchedule(checks []check, interval, _ time.Duration, spread bool) *running {
	ctx, stop := context.WithCancel(context.Background())
	var failed atomic.Int64
	due := make(chan int, len(checks))
	for range floorWorkers {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case i := <-due:
					if checks[i](ctx) != nil {
						failed.Add(1)
					}
				}
			}
		}()
	}
	go func() {
		queue, began := make(times, len(checks)), time.Now()
		for i := range queue {
			queue[i] = next{began.Add(delay(i, len(checks), interval, spread)), i}
		}
		heap.Init(&queue)
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-timer.C:
				for !queue[0].at.After(now) {
					due <- queue[0].check
					queue[0].at = queue[0].at.Add(interval)
					heap.Fix(&queue, 0)
				}
				timer.Reset(time.Until(queue[0].at))
			}
		}
	}()
	status := func() bool { return failed.Load() == 0 }
	return &running{read: status, status: status, stop: stop}
}

// A next is when a check is due.
type next struct {
	at    time.Time
	check int
}

type times []next

func (t times) Len() int           { return len(t) }
func (t times) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t times) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *times) Push(x any)        { *t = append(*t, x.(next)) }
func (t *times) Pop() any          { panic("nothing is ever taken out") }
