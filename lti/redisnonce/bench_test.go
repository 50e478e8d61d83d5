package redisnonce_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"go.acu.edu.au/runbook/lti"
)

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

// BenchmarkUse records a nonce on a real server on the same machine.
func BenchmarkUse(b *testing.B) {
	opt, prefix := realOptions(b)
	client := redis.NewClient(&opt)
	defer func() { _ = client.Close() }()
	defer age(b, client, prefix, 24*time.Hour)
	store := newStore(b, client, prefix)
	until := inAnHour()
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
}
