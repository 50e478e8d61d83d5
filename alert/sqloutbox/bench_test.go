package sqloutbox_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
)

// BenchmarkEnqueue hands new alerts, 64 at the same time, to a router over a database on
// disk with full synchronisation; each call returns when its alert, and the message that
// tells it, are stored. The targets, for SQLite, are 2,000 a second, in writes of at most
// 50 ms.
func BenchmarkEnqueue(b *testing.B) {
	for name, create := range map[string]func(testing.TB) opener{"sqlite": sqlite, "postgres": postgres} {
		b.Run(name, func(b *testing.B) {
			s := &timed{Store: newStore(b, create(b)(), "")}
			down := alert.NotifierFunc(func(context.Context, alert.Notification) (alert.Receipt, error) {
				return "", &alert.Error{Service: "x", Op: "y", Kind: alert.ErrLimited, RetryAfter: time.Hour}
			})
			r, err := alert.NewRouter(alert.RouterConfig{
				Targets: []alert.Target{{Name: "t", Notifier: down, Storm: 1 << 30}}, Store: s,
				Routes: []alert.Route{{Name: "all", Targets: []string{"t"}, GroupBy: []string{"entity"}}},
			})
			require.NoError(b, err)
			require.NoError(b, r.Start(b.Context()))
			var n atomic.Int64
			var all sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range 64 {
				all.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						if err := r.Handle(b.Context(), firing(fmt.Sprint(i))); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.StopTimer()
			require.NoError(b, r.Stop(context.WithoutCancel(b.Context())))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "enqueues/s")
			slices.Sort(s.took)
			b.ReportMetric(float64(s.took[len(s.took)*99/100].Microseconds())/1e3, "p99-write-ms")
			b.ReportMetric(float64(s.took[len(s.took)/2].Microseconds())/1e3, "median-write-ms")
		})
	}
}

// timed measures writes, which come one after another.
type timed struct {
	alert.Store
	took []time.Duration
}

func (s *timed) Write(ctx context.Context, changes []alert.Record) error {
	began := time.Now()
	defer func() { s.took = append(s.took, time.Since(began)) }()
	return s.Store.Write(ctx, changes)
}

// BenchmarkOpen reads ten thousand records. It has no target.
func BenchmarkOpen(b *testing.B) {
	s := newStore(b, sqlite(b)(), "")
	read(b, s)
	var records []alert.Record
	for i := range 10_000 {
		records = append(records, record("alert", fmt.Sprint(i), fmt.Sprintf("%0500d", i)))
	}
	require.NoError(b, s.Write(b.Context(), records))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range s.Open(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		require.Equal(b, 10_000, n)
	}
}
