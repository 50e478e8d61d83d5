package sqlhealth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/sqlhealth"
)

// BenchmarkAppend writes a sample for each of 300 checks, as a monitor does
// once per interval, on disk with full
// synchronisation. About 5 to 8 ms on SQLite and 11 to 17 ms on PostgreSQL 15 (two
// busy cores, go test -bench . ./health/sqlhealth), most of it in the database.
func BenchmarkAppend(b *testing.B) {
	benchmark(b, func(b *testing.B, store *sqlhealth.Store) {
		samples := make([]health.Sample, 300)
		at := start
		for b.Loop() {
			at = at.Add(10 * time.Second)
			for i := range samples {
				samples[i] = health.Sample{
					Check: fmt.Sprintf("check %03d", i), Time: at, Status: health.Healthy,
					Latency: time.Duration(1+i) * time.Millisecond, Valid: time.Minute,
				}
			}
			require.NoError(b, store.Append(b.Context(), samples))
		}
	})
}

// BenchmarkAcquire extends a lease: about 0.3 to 0.8 ms on either database, which
// is one commit.
func BenchmarkAcquire(b *testing.B) {
	benchmark(b, func(b *testing.B, store *sqlhealth.Store) {
		for b.Loop() {
			_, err := store.Acquire(b.Context(), "c", time.Minute)
			require.NoError(b, err)
		}
	})
}

// BenchmarkDays reads 90 days of one check as days: about 3 to 7 ms on either
// database, for 2,160 rows.
func BenchmarkDays(b *testing.B) {
	benchmark(b, func(b *testing.B, store *sqlhealth.Store) {
		var samples []health.Sample
		for hour := range 90 * 24 {
			samples = append(samples, health.Sample{
				Check: "a", Time: start.Add(time.Duration(hour) * time.Hour), Status: health.Healthy,
				Latency: time.Duration(hour) * time.Millisecond, Valid: time.Hour,
			})
		}
		require.NoError(b, store.Append(b.Context(), samples))
		for b.Loop() {
			days, err := store.Buckets(b.Context(), "a", health.Daily, start, start.AddDate(0, 0, 90))
			require.NoError(b, err)
			require.Len(b, days, 91)
		}
	})
}

func benchmark(b *testing.B, run func(b *testing.B, store *sqlhealth.Store)) {
	for name, open := range map[string]func(testing.TB) opener{"sqlite": sqlite, "postgres": postgres} {
		b.Run(name, func(b *testing.B) {
			store := newStore(b, sqlhealth.Config{DB: open(b)(), Holder: "a", Location: sydney(b)})
			b.ReportAllocs()
			run(b, store)
		})
	}
}
