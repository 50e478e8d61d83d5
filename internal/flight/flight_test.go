package flight_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/internal/flight"
)

func TestOneCallForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flight.Flight[int]
		var calls atomic.Int32
		fn := func(context.Context) (int, error) {
			time.Sleep(time.Second)
			return int(calls.Add(1)), nil
		}
		f.Start(t.Context(), fn)
		f.Start(t.Context(), fn)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				n, err := f.Do(t.Context(), fn)
				assert.NoError(t, err)
				assert.Equal(t, 1, n)
			})
		}
		wg.Wait()
		n, err := f.Do(t.Context(), fn)
		require.NoError(t, err)
		assert.Equal(t, 2, n, "the next call is a new one")
	})
}

// The one who began gives up; the call goes on for the others.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flight.Flight[string]
		fn := func(ctx context.Context) (string, error) {
			time.Sleep(time.Second)
			return "landed", ctx.Err()
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, gone)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := f.Do(ctx, fn)
			assert.ErrorIs(t, err, gone)
		})
		synctest.Wait()
		s, err := f.Do(t.Context(), fn)
		require.NoError(t, err)
		assert.Equal(t, "landed", s)
		wg.Wait()
	})
}

// No call lasts for ever, and none takes the process with it.
func TestLimitAndPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flight.Flight[int]
		start := time.Now()
		_, err := f.Do(t.Context(), func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 2*time.Minute, time.Since(start))
		_, err = f.Do(t.Context(), func(context.Context) (int, error) { panic("oops") })
		require.ErrorContains(t, err, "panic")
		n, err := f.Do(t.Context(), func(context.Context) (int, error) { return 3, nil })
		require.NoError(t, err)
		assert.Equal(t, 3, n)
	})
}
