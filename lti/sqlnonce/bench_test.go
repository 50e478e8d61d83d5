package sqlnonce_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

// BenchmarkUse records a nonce, on disk with full synchronisation.
func BenchmarkUse(b *testing.B) {
	for name, create := range map[string]func(testing.TB) opener{"sqlite": sqlite, "postgres": postgres} {
		b.Run(name, func(b *testing.B) {
			store := newStore(b, create(b)())
			until := time.Now().Add(time.Hour)
			var n atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					id := lti.NewNonceID("", "", time.Duration(n.Add(1)).String())
					if err := store.Use(b.Context(), id, until); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkPurgeExpired removes a batch of 1,000 from among 100,000 live ones.
func BenchmarkPurgeExpired(b *testing.B) {
	for name, create := range map[string]func(testing.TB) opener{"sqlite": sqlite, "postgres": postgres} {
		b.Run(name, func(b *testing.B) {
			db := create(b)()
			store := newStore(b, db)
			insert(b, db, 100_000, time.Hour)
			for b.Loop() {
				b.StopTimer()
				insert(b, db, 999, -time.Hour)
				b.StartTimer()
				removed, err := store.PurgeExpired(b.Context())
				require.NoError(b, err)
				require.Equal(b, 999, removed)
			}
		})
	}
}
