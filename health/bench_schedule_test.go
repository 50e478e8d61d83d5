//go:build unix

package health_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
)

// BenchmarkSchedule runs 10,000 checks every 10 s, without a history, for one
// interval after a start of 5.2 s, in which all are probed at once and then wait
// for their phase. Target: under 5 MB and 6 % of a core, at most 100 goroutines,
// and 1,000 runs/s kept. Use -benchtime=1x. Measured on 2 cores: 4.9 MB, 3 to
// 5 %, 13 goroutines, 1,000 runs/s.
func BenchmarkSchedule(b *testing.B) {
	if testing.Short() {
		b.Skip("takes 15 s")
	}
	const checks, interval, spread, start = 10_000, 10 * time.Second, 200 * time.Millisecond, 5200 * time.Millisecond
	for b.Loop() {
		var runs atomic.Int64
		prober := health.ProberFunc(func(context.Context) health.Result {
			runs.Add(1)
			return health.Result{Status: health.Healthy}
		})
		goroutines, memory := runtime.NumGoroutine(), memoryUsed()
		m := benchMonitor(b, checks, prober, func(cfg *health.Config) {
			cfg.StartSpread = spread
			for i := range cfg.Checks {
				cfg.Checks[i].Interval = interval
			}
		})
		require.NoError(b, m.Start(b.Context()))
		time.Sleep(start)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		from, ran, cpu, most := time.Now(), runs.Load(), cpuTime(), 0
		for time.Since(from) < interval {
			most = max(most, runtime.NumGoroutine()-goroutines)
			time.Sleep(20 * time.Millisecond)
		}
		took, ran, cpu := time.Since(from), runs.Load()-ran, cpuTime()-cpu
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(ran)/took.Seconds(), "runs/s")
		b.ReportMetric(100*cpu.Seconds()/took.Seconds(), "%core")
		b.ReportMetric(float64(most), "goroutines")
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(ran), "B/run")
		b.ReportMetric(float64(m.Self().Lag.Microseconds())/1000, "lag-ms")
		b.ReportMetric(float64(int64(memoryUsed()-memory))/1e6, "MB")
		b.ReportMetric(float64(m.Self().Skipped), "skipped")
		require.NoError(b, m.Stop(b.Context()))
	}
}

// memoryUsed returns the bytes of the heap that are in use, and of stacks.
func memoryUsed() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// cpuTime returns the processor time that the process has used.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkStubborn has 64 probers, as many as there are workers, that begin to
// ignore their context, beside 64 others: at any time when all run in their
// phases, or at the start, when all are due within half a second. Target: the
// others lag by less than one interval. Use -benchtime=1x.
func BenchmarkStubborn(b *testing.B) {
	if testing.Short() {
		b.Skip("takes 29 s")
	}
	cases := []struct {
		interval, timeout time.Duration
		fromStart         bool
	}{
		{2 * time.Second, 500 * time.Millisecond, false},
		{time.Second, time.Second, false},
		{2 * time.Second, 500 * time.Millisecond, true},
		{time.Second, time.Second, true},
	}
	for _, c := range cases {
		b.Run(fmt.Sprintf("interval=%v/timeout=%v/start=%v", c.interval, c.timeout, c.fromStart), func(b *testing.B) {
			for b.Loop() {
				lag := stubborn(b, c.interval, c.timeout, c.fromStart)
				b.ReportMetric(lag.Seconds(), "lag-s")
				b.ReportMetric(lag.Seconds()/c.interval.Seconds(), "lag-intervals")
			}
		})
	}
}

// stubborn returns how late the latest probe of a check is while 64 probers of
// others hang: against one interval after the probe before, or from the start,
// against the end of the time over which first probes are spread.
func stubborn(b *testing.B, interval, timeout time.Duration, fromStart bool) time.Duration {
	b.Helper()
	const each = health.DefaultWorkers
	next, watch := interval, 3*interval+timeout
	if fromStart { // phases begin after the first probe, up to 1.5 intervals later
		next, watch = 2*interval, timeout+3*time.Second
	}
	var hang atomic.Bool
	release := make(chan struct{})
	var mu sync.Mutex
	due, worst := make([]time.Time, each), time.Duration(0)
	seen := func(i int, now time.Time) {
		mu.Lock()
		defer mu.Unlock()
		if hang.Load() {
			worst = max(worst, now.Sub(due[i]))
		}
		due[i] = now.Add(next)
	}
	m := benchMonitor(b, 2*each, benchHealthy, func(cfg *health.Config) {
		for i := range cfg.Checks {
			c := &cfg.Checks[i]
			c.Interval, c.Timeout = interval, timeout
			c.Prober = health.ProberFunc(func(context.Context) health.Result {
				if i%2 == 0 {
					seen(i/2, time.Now())
				} else if hang.Load() {
					<-release
				}
				return health.Result{Status: health.Healthy}
			})
		}
	})
	for i := range due {
		due[i] = time.Now().Add(health.DefaultStartSpread)
	}
	hang.Store(fromStart)
	require.NoError(b, m.Start(b.Context()))
	if !fromStart {
		time.Sleep(2*interval + interval/2) // until every check is in its phase
		hang.Store(true)
	}
	time.Sleep(watch)
	for i, now := 0, time.Now(); i < each; i++ {
		seen(i, now)
	}
	close(release)
	require.NoError(b, m.Stop(b.Context()))
	return worst
}
