package lti_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

// What any nonce store must do is tested by ltitest.TestNonceStore, in that
// package; what is particular to the one in memory is tested here.

// Requirement: LTI-PEER-LTIJS-RACE
func TestMemoryNonces_oneWinner(t *testing.T) {
	const tries, racers = 10_000, 4
	var store lti.MemoryNonces
	until := time.Now().Add(time.Hour)
	for i := range uint64(tries) {
		var winners, losers atomic.Int64
		var wg sync.WaitGroup
		start := make(chan struct{})
		for range racers {
			wg.Go(func() {
				<-start
				switch err := store.Use(t.Context(), nonceID(i), until); {
				case err == nil:
					winners.Add(1)
				case errors.Is(err, lti.ErrNonceUsed):
					losers.Add(1)
				}
			})
		}
		close(start)
		wg.Wait()
		require.EqualValues(t, 1, winners.Load(), "try %d", i)
		require.EqualValues(t, racers-1, losers.Load(), "try %d", i)
	}
	assert.Equal(t, tries, store.Len())
}

func TestMemoryNonces_full(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &lti.MemoryNonces{Max: 1_000}
		now := time.Now()
		for i := range uint64(1_000) {
			require.NoError(t, store.Use(t.Context(), nonceID(i), now.Add(time.Duration(1+i%10)*time.Minute)))
		}
		assert.Equal(t, 1_000, store.Len())
		for i := range uint64(100) {
			require.ErrorIs(t, store.Use(t.Context(), nonceID(1_000+i), now.Add(time.Hour)), lti.ErrNonceStoreFull)
		}
		for i := range uint64(1_000) {
			require.ErrorIs(t, store.Use(t.Context(), nonceID(i), now.Add(time.Hour)), lti.ErrNonceUsed, "no live one made room")
		}

		time.Sleep(time.Minute) // now a hundred have expired, and there is room for as many
		for i := range uint64(100) {
			require.NoError(t, store.Use(t.Context(), nonceID(2_000+i), now.Add(time.Hour)), i)
		}
		require.ErrorIs(t, store.Use(t.Context(), nonceID(3_000), now.Add(time.Hour)), lti.ErrNonceStoreFull)
		for i := range uint64(1_000) {
			if i%10 != 0 {
				require.ErrorIs(t, store.Use(t.Context(), nonceID(i), now.Add(time.Hour)), lti.ErrNonceUsed)
			}
		}
		assert.Equal(t, 1_000, store.Len())
	})
}

// The bound is exact also when many calls want the last places.
func TestMemoryNonces_fullConcurrently(t *testing.T) {
	store := &lti.MemoryNonces{Max: 5_000}
	until := time.Now().Add(time.Hour)
	var recorded, refused atomic.Int64
	var wg sync.WaitGroup
	for g := range uint64(8) {
		wg.Go(func() {
			for i := range uint64(1_000) {
				switch err := store.Use(t.Context(), nonceID(g*1_000+i), until); {
				case err == nil:
					recorded.Add(1)
				case errors.Is(err, lti.ErrNonceStoreFull):
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 5_000, recorded.Load())
	assert.EqualValues(t, 3_000, refused.Load())
	assert.Equal(t, 5_000, store.Len())
}

// TestMemoryNonces_model compares the store with a plain map, over half an
// hour of random calls.
//
// Requirement: LTI-PEER-LTIJS-MEMORY, RB-LTI-NONCE-CACHE
func TestMemoryNonces_model(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const seed = 20260310
		random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // it shall be the same each time
		var store lti.MemoryNonces
		ends := make(map[uint64]time.Time)
		for range 100_000 {
			now := time.Now()
			n := random.Uint64N(20_000)
			until := now.Add(time.Duration(random.Int64N(int64(10 * time.Minute))))
			end, known := ends[n]
			err := store.Use(t.Context(), nonceID(n), until)
			switch {
			case !until.After(now):
				require.ErrorIs(t, err, lti.ErrNonceExpired)
			case known && now.Before(end):
				require.ErrorIs(t, err, lti.ErrNonceUsed, "%v before its end", end.Sub(now))
			case known && now.Before(end.Add(time.Second)) && err != nil: // rounded up
				require.ErrorIs(t, err, lti.ErrNonceUsed)
			default:
				require.NoError(t, err)
				ends[n] = until
			}
			switch random.IntN(10_000) {
			case 0:
				_, err := store.PurgeExpired(t.Context())
				require.NoError(t, err)
			case 1:
				time.Sleep(5 * time.Minute) // a lull
			}
			time.Sleep(time.Duration(random.Int64N(int64(30 * time.Millisecond))))
		}
		time.Sleep(11 * time.Minute)
		left := store.Len()
		removed, err := store.PurgeExpired(t.Context())
		require.NoError(t, err)
		assert.Equal(t, left, removed)
		assert.Zero(t, store.Len())
	})
}

// Nobody calls PurgeExpired, and traffic is low after a rush: the rush is
// forgotten, and its memory given back.
func TestMemoryNonces_forgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rush = 200_000
		before := heapBytes()
		var store lti.MemoryNonces
		for i := range uint64(rush) {
			require.NoError(t, store.Use(t.Context(), nonceID(i), time.Now().Add(time.Hour)))
		}
		require.Greater(t, heapBytes()-before, uint64(rush*20))
		time.Sleep(time.Hour)
		for i := range uint64(80) {
			was := store.Len()
			require.NoError(t, store.Use(t.Context(), nonceID(rush+i), time.Now().Add(time.Hour)))
			assert.LessOrEqual(t, was-store.Len(), 6*rush/256, "the work of one call is bounded")
			time.Sleep(time.Second)
		}
		assert.LessOrEqual(t, store.Len(), 80)
		assert.Less(t, int64(heapBytes())-int64(before), int64(200_000))
	})
}

// While nonces come and go at an even rate, memory stays in proportion.
func TestMemoryNonces_steady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store lti.MemoryNonces
		most := 0
		for i := range uint64(100_000) { // 20 minutes, of which each nonce lives one
			require.NoError(t, store.Use(t.Context(), nonceID(i), time.Now().Add(time.Minute)))
			time.Sleep(12 * time.Millisecond)
			most = max(most, store.Len())
		}
		assert.GreaterOrEqual(t, most, 5_000)
		assert.LessOrEqual(t, most, 2*5_000+10*256)
	})
}

// A token that expires between its check and its use is refused, as it is not
// known any more whether its nonce was used.
func TestMemoryNonces_expiredMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store lti.MemoryNonces
		until := time.Now().Add(1500 * time.Millisecond)
		require.NoError(t, store.Use(t.Context(), nonceID(1), until))
		time.Sleep(1499 * time.Millisecond)
		require.ErrorIs(t, store.Use(t.Context(), nonceID(1), until), lti.ErrNonceUsed)
		time.Sleep(time.Millisecond)
		// The launch that repeats it was on its way for too long.
		require.ErrorIs(t, store.Use(t.Context(), nonceID(1), until), lti.ErrNonceExpired)
		removed, err := store.PurgeExpired(t.Context())
		require.NoError(t, err)
		assert.Zero(t, removed, "whole seconds, rounded up")
		time.Sleep(500 * time.Millisecond)
		removed, err = store.PurgeExpired(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, removed)
		require.NoError(t, store.Use(t.Context(), nonceID(1), time.Now().Add(time.Nanosecond)))
	})
}

// The clock jumps ahead by two hours, nonces are forgotten, and it is put right.
func TestMemoryNonces_clockSetBack(t *testing.T) {
	var store lti.MemoryNonces
	now := time.Now()
	require.NoError(t, store.Use(t.Context(), nonceID(1), now.Add(time.Hour)))
	store.SweepAt(now.Add(2 * time.Hour).Unix())
	assert.Zero(t, store.Len())
	err := store.Use(t.Context(), nonceID(1), now.Add(time.Hour))
	require.ErrorIs(t, err, lti.ErrNonceExpired, "its token is as good as before")
	require.NoError(t, store.Use(t.Context(), nonceID(1), now.Add(2*time.Hour)))
}

func TestMemoryNonces_purgeHonoursContext(t *testing.T) {
	var store lti.MemoryNonces
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store.PurgeExpired(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// TestMemoryNonces_bytes measures a million live nonces.
func TestMemoryNonces_bytes(t *testing.T) {
	store, each := fillNonces(t, 1_000_000)
	t.Logf("%.1f bytes for each of %d nonces", each, store.Len())
	assert.Equal(t, 1_000_000, store.Len())
	assert.Less(t, each, 100.)
	require.ErrorIs(t, store.Use(t.Context(), nonceID(1_000_000), time.Now().Add(time.Hour)), lti.ErrNonceStoreFull, "the default")
}

func ExampleMemoryNonces() {
	ctx := context.Background()
	var nonces lti.MemoryNonces // the zero value is ready to use
	id := lti.NewNonceID("https://canvas.instructure.com", "10000000000042", "n-0S6_WzA2Mj")
	until := time.Now().Add(time.Hour) // when the token has expired
	fmt.Println(nonces.Use(ctx, id, until))
	fmt.Println(nonces.Use(ctx, id, until))
	// Output:
	// <nil>
	// nonce was used before
}
