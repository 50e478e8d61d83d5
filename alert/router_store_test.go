package alert_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
)

// ill is a store that fails, or hangs, as it is told to.
type ill struct {
	alert.MemoryStore
	write func(ctx context.Context) error
	open  error
}

func (s *ill) Open(ctx context.Context) iter.Seq2[alert.Record, error] {
	if s.open != nil {
		return func(yield func(alert.Record, error) bool) { yield(alert.Record{}, s.open) }
	}
	return s.MemoryStore.Open(ctx)
}

func (s *ill) Write(ctx context.Context, changes []alert.Record) error {
	if s.write != nil {
		if err := s.write(ctx); err != nil {
			return err
		}
	}
	return s.MemoryStore.Write(ctx, changes)
}

// A store that takes no writes for a moment holds messages up, so that none is sent without
// being written; one that takes none for long does not. What was not stored is not called
// stored.
func TestStoreThatFails(t *testing.T) {
	fails := func(context.Context) error { return errors.New("the disk is full") }
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, write := range map[string]func(context.Context) error{"fails": fails, "hangs": hangs} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store, in := &ill{}, &inbox{}
				cfg := one(in)
				cfg.Store = store
				cfg.Routes[0].GroupBy, cfg.Targets[0].RemindAfter = []string{"entity"}, -1
				r := start(t, cfg)
				a, b := firing(alert.Critical, "production", "a"), firing(alert.Critical, "production", "b")

				// For a moment.
				store.write = write
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				require.Error(t, r.Handle(ctx, a))
				pass(3 * time.Second)
				assert.Empty(t, in.told())
				store.write = nil
				handle(t, r, a) // which says when it is stored
				pass(100 * time.Millisecond)
				assert.Len(t, in.told(), 1)
				assert.False(t, in.told()[0].PossibleRepeat)

				// For an hour.
				pass(time.Minute)
				store.write = write
				require.Error(t, r.Handle(ctx, b))
				pass(time.Minute)
				require.Len(t, in.told(), 2, "the database may be what it is about")
				assert.Error(t, r.Handle(t.Context(), b), "it is not stored")
				require.Error(t, r.Handle(ctx, over(b)))
				pass(time.Hour)
				assert.Equal(t, alert.KindResolved, in.told()[2].Kind)

				// When it recovers, everything is stored.
				store.write = nil
				pass(time.Minute)
				told := len(in.told())
				stop(t, r)
				r = start(t, cfg)
				pass(time.Minute)
				assert.Len(t, in.told(), told)
				require.Len(t, r.Alerts(), 1)
				assert.Equal(t, []string{"slack"}, r.Alerts()[0].Told)
				stop(t, r)
			})
		})
	}
}

// A start that cannot read the store may be tried again.
func TestStoreThatCannotBeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, in := &ill{}, &inbox{}
		cfg := one(in)
		cfg.Store = store
		r := start(t, cfg)
		handle(t, r, firing(alert.Critical, "production", "a"))
		pass(time.Minute)
		stop(t, r)
		store.open = errors.New("no connection")
		cfg.Logger = quiet
		r, err := alert.NewRouter(cfg)
		require.NoError(t, err)
		require.ErrorContains(t, r.Start(t.Context()), "alert: read the store: no connection")
		require.ErrorIs(t, r.Handle(t.Context(), slow(alert.Firing)), alert.ErrStopped)
		store.open = nil
		require.NoError(t, r.Start(t.Context()))
		assert.Len(t, r.Alerts(), 1)
		stop(t, r)
	})
}

// Records that cannot be read are left alone, and do not keep the rest from being used.
func TestUnreadableRecords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		r := start(t, cfg)
		a := firing(alert.Critical, "production", "a")
		handle(t, r, a)
		pass(time.Minute)
		stop(t, r)
		var broken []alert.Record
		for _, kind := range []string{"alert", "thread", "silence", "dead", "of a newer version"} {
			broken = append(broken, alert.Record{Kind: kind, ID: "x", Data: []byte(`{"key":`)})
		}
		// The record of the alert is gone, which only a hand can do; it is told as over.
		broken = append(broken, alert.Record{Kind: "alert", ID: a.Key})
		require.NoError(t, cfg.Store.Write(t.Context(), broken))
		r = start(t, cfg)
		pass(time.Minute)
		assert.Equal(t, []alert.Kind{alert.KindFiring, alert.KindResolved}, in.kinds())
		assert.Contains(t, in.told()[1].Title, "an alert of which no more is known")
		stop(t, r)
		left := 0
		for range cfg.Store.Open(t.Context()) {
			left++
		}
		assert.Equal(t, 5, left)
	})
}

func TestMemoryStore(t *testing.T) {
	var s alert.MemoryStore
	data := []byte("x")
	require.NoError(t, s.Write(t.Context(), []alert.Record{{Kind: "a", ID: "1", Data: data}, {Kind: "a", ID: "2", Data: data}, {Kind: "a", ID: "2"}}))
	data[0] = 'y'
	for range 2 {
		for r, err := range s.Open(t.Context()) {
			require.NoError(t, err)
			assert.Equal(t, alert.Record{Kind: "a", ID: "1", Data: []byte("x")}, r)
			r.Data[0] = 'z'
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, s.Write(ctx, nil), context.Canceled)
	for _, err := range s.Open(ctx) {
		assert.ErrorIs(t, err, context.Canceled)
	}
}
