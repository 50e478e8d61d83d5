package main

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A blankWriter is a ResponseWriter that costs nothing and is used again.
type blankWriter struct {
	header http.Header
	code   int
}

func (w *blankWriter) Header() http.Header         { return w.header }
func (w *blankWriter) WriteHeader(code int)        { w.code = code }
func (w *blankWriter) Write(p []byte) (int, error) { return len(p), nil }

func name(i int) string { return fmt.Sprintf("check-%05d", i) }

// delay is the place of check i when n checks are spread over an interval.
func delay(i, n int, interval time.Duration, spread bool) time.Duration {
	if !spread {
		return 0
	}
	return time.Duration(int64(interval) * int64(i) / int64(n))
}

// trivial returns n checks that pass at once, and count.
func trivial(n int, runs *atomic.Int64) []check {
	checks := make([]check, n)
	for i := range checks {
		checks[i] = func(context.Context) error {
			if runs != nil {
				runs.Add(1)
			}
			return nil
		}
	}
	return checks
}

// waiting returns n checks that take d.
func waiting(n int, d time.Duration) []check {
	checks := make([]check, n)
	for i := range checks {
		checks[i] = func(ctx context.Context) error {
			timer := time.NewTimer(d)
			defer timer.Stop()
			select {
			case <-timer.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return checks
}

// best returns the fastest of some benchmarks of f, which must report true.
func best(count int, f func() bool) string {
	var fastest testing.BenchmarkResult
	for i := range count {
		r := testing.Benchmark(func(b *testing.B) {
			for b.Loop() {
				if !f() {
					panic("not healthy")
				}
			}
		})
		if i == 0 || r.NsPerOp() < fastest.NsPerOp() {
			fastest = r
		}
	}
	per := time.Duration(fastest.NsPerOp())
	return fmt.Sprintf("%s, %d", short(per), fastest.AllocsPerOp())
}

// short writes a duration with three digits.
func short(d time.Duration) string {
	unit := time.Nanosecond
	for unit < time.Second && d >= 1000*unit {
		unit *= 1000
	}
	name := map[time.Duration]string{time.Nanosecond: "ns", time.Microsecond: "µs", time.Millisecond: "ms", time.Second: "s"}[unit]
	v := float64(d) / float64(unit)
	switch {
	case unit == time.Nanosecond || v >= 100:
		return fmt.Sprintf("%.0f %s", v, name)
	case v >= 10:
		return fmt.Sprintf("%.1f %s", v, name)
	}
	return fmt.Sprintf("%.2f %s", v, name)
}

// request returns a function that has the handler answer one request.
func request(h http.Handler) func() bool {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "/readyz", nil)
	must(err)
	w := &blankWriter{header: http.Header{}}
	return func() bool {
		w.code = 0
		h.ServeHTTP(w, r)
		return w.code == http.StatusOK
	}
}

// idle starts n trivial checks that run once, and returns when all have passed.
func idle(l library, n int) *running { return started(l, n, time.Hour) }

func started(l library, n int, interval time.Duration) *running {
	if l.start == nil {
		return nil
	}
	r := l.start(trivial(n, nil), interval, time.Minute, false)
	for !r.read() {
		time.Sleep(10 * time.Millisecond)
	}
	return r
}

func (r *running) end() {
	if r != nil {
		r.stop()
	}
}

// schedule measures n trivial checks every 10 s. Call it in a process of its
// own: what one library leaves behind would be counted for the next.
func schedule(l library, n int, observe time.Duration) string {
	const interval, warm = 10 * time.Second, 6 * time.Second
	var runs atomic.Int64
	checks := trivial(n, &runs)
	goroutines, memory := runtime.NumGoroutine(), memoryUsed()
	r := l.start(checks, interval, interval, true)
	time.Sleep(warm)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	from, ran, cpu := time.Now(), runs.Load(), cpuTime()
	time.Sleep(observe)
	took, ran, cpu := time.Since(from), runs.Load()-ran, cpuTime()-cpu
	runtime.ReadMemStats(&after)
	used := float64(memoryUsed()-memory) / 1e6
	text := fmt.Sprintf("%.0f runs/s; %.1f %% CPU; %.1f MB; %d goroutines; %d B/run",
		float64(ran)/took.Seconds(), 100*cpu.Seconds()/took.Seconds(), used,
		runtime.NumGoroutine()-goroutines, (after.TotalAlloc-before.TotalAlloc)/uint64(max(ran, 1)))
	runtime.KeepAlive(checks)
	r.stop()
	return text
}

// memoryUsed returns the bytes of the heap that are in use, and of stacks.
func memoryUsed() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// cpuTime returns the processor time that the process has used.
func cpuTime() time.Duration {
	var used syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// stuck has 64 of 128 checks, with an interval and a timeout, begin to ignore
// their context at some time in their phases. It measures by how much the
// longest time between two runs of another check exceeds the interval, after
// how long the whole is said to fail, and what has been added in goroutines
// after five intervals. Call it in a process of its own.
func stuck(l library, interval, timeout time.Duration) string {
	const each = 64
	var hang atomic.Bool
	release := make(chan struct{})
	var mu sync.Mutex
	last, lag := make([]time.Time, each), time.Duration(0)
	seen := func(i int, now time.Time) {
		mu.Lock()
		defer mu.Unlock()
		if hang.Load() && !last[i].IsZero() {
			lag = max(lag, now.Sub(last[i])-interval)
		}
		last[i] = now
	}
	checks := make([]check, 2*each)
	for i := range checks {
		checks[i] = func(context.Context) error {
			if i%2 == 0 {
				seen(i/2, time.Now())
			} else if hang.Load() {
				<-release
			}
			return nil
		}
	}
	r := l.start(checks, interval, timeout, true)
	time.Sleep(3 * interval)
	goroutines, began, noticed := runtime.NumGoroutine(), time.Now(), "never"
	hang.Store(true)
	for time.Since(began) < 5*interval {
		if noticed == "never" && !r.read() {
			noticed = "after " + short(time.Since(began))
		}
		time.Sleep(10 * time.Millisecond)
	}
	for i, now := 0, time.Now(); i < each; i++ {
		seen(i, now)
	}
	added := runtime.NumGoroutine() - goroutines
	mu.Lock()
	defer mu.Unlock()
	return fmt.Sprintf("lag %s; noticed %s; +%d goroutines", short(lag), noticed, added)
}
