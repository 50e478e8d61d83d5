package incidenttest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

func isUnknown(err error) bool { return errors.Is(err, incident.ErrOutcomeUnknown) }

// ended returns a context that has ended.
func ended(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// QuotaHarness is what [TestQuota] needs of an implementation.
type QuotaHarness struct {
	// New returns a Quota of a platform that works and has budget left.
	New func(t testing.TB) incident.Quota
	// Throttled returns one of a platform that rejects everything. Nil declines.
	Throttled func(t testing.TB) incident.Quota
}

// TestQuota checks what [incident.Quota] asks of an implementation.
func TestQuota(t *testing.T, h QuotaHarness) {
	t.Run("some is left", func(t *testing.T) {
		s, err := h.New(t).Quota(t.Context())
		if err != nil || s.Throttled || s.Time.IsZero() || s.Remaining <= 0 || s.Remaining > s.Limit {
			t.Errorf("state %+v, error %v; want a time, and between nothing and all of the limit left", s, err)
		}
		for i, u := range s.Users {
			if u.Name == "" || u.Requests < u.Rejected || i > 0 && u.Used > s.Users[i-1].Used {
				t.Errorf("user %d is %+v; want names, the largest first", i, u)
			}
		}
	})
	t.Run("throttling is no error", func(t *testing.T) {
		if h.Throttled == nil {
			t.Skip("declined")
		}
		if s, err := h.Throttled(t).Quota(t.Context()); err != nil || !s.Throttled {
			t.Errorf("state %+v, error %v; want throttled and no error", s, err)
		}
	})
	t.Run("concurrently", func(t *testing.T) {
		q := h.New(t)
		each(8, func(int) {
			if _, err := q.Quota(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
}

func each(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// PlatformKeysCase is a platform with keys, for one test.
type PlatformKeysCase struct {
	// Keys is the implementation.
	Keys incident.PlatformKeys
	// ID is a key that is on, and Missing one that there is none of.
	ID, Missing string
	// LoseAnswer makes the platform carry out the next change and lose the
	// answer. Nil declines the case.
	LoseAnswer func()
	// Forbid makes the platform refuse everything from now on. Nil declines.
	Forbid func()
}

// PlatformKeysHarness is what [TestPlatformKeys] needs of an implementation.
type PlatformKeysHarness struct {
	// New returns a fresh platform.
	New func(t testing.TB) PlatformKeysCase
}

// TestPlatformKeys checks what [incident.PlatformKeys] asks of an
// implementation.
func TestPlatformKeys(t *testing.T, h PlatformKeysHarness) {
	want := func(t *testing.T, c PlatformKeysCase, on bool) {
		t.Helper()
		if k, err := c.Keys.PlatformKey(t.Context(), c.ID); err != nil || k.On != on || k.ID != c.ID {
			t.Errorf("key %+v, error %v; want %q and on = %v", k, err, c.ID, on)
		}
	}
	t.Run("switch", func(t *testing.T) {
		c := h.New(t)
		want(t, c, true)
		for _, on := range []bool{false, false, true, true} { // again is no error
			if k, err := c.Keys.SetPlatformKey(t.Context(), c.ID, on); err != nil || k.On != on {
				t.Fatalf("key %+v, error %v; want on = %v", k, err, on)
			}
			want(t, c, on)
		}
	})
	t.Run("missing", func(t *testing.T) {
		c := h.New(t)
		if _, err := c.Keys.PlatformKey(t.Context(), c.Missing); !errors.Is(err, incident.ErrNotFound) {
			t.Errorf("error %v; want ErrNotFound", err)
		}
		if _, err := c.Keys.SetPlatformKey(t.Context(), c.Missing, true); !errors.Is(err, incident.ErrNotFound) {
			t.Errorf("error %v; want ErrNotFound", err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		c := h.New(t)
		if c.Forbid == nil {
			t.Skip("declined")
		}
		c.Forbid()
		if _, err := c.Keys.PlatformKey(t.Context(), c.ID); !errors.Is(err, incident.ErrNotPermitted) {
			t.Errorf("error %v; want ErrNotPermitted", err)
		}
		if _, err := c.Keys.SetPlatformKey(t.Context(), c.ID, false); !errors.Is(err, incident.ErrNotPermitted) {
			t.Errorf("error %v; want ErrNotPermitted", err)
		}
	})
	t.Run("lost answer", func(t *testing.T) {
		c := h.New(t)
		if c.LoseAnswer == nil {
			t.Skip("declined")
		}
		c.LoseAnswer()
		k, err := c.Keys.SetPlatformKey(t.Context(), c.ID, false)
		switch {
		case err == nil && k.On:
			t.Errorf("key %+v; want the state that was observed", k)
		case err != nil && !isUnknown(err):
			t.Errorf("error %v; want none, or ErrOutcomeUnknown", err)
		case err != nil && runbook.SafeToRetry(err):
			t.Errorf("error %v claims that nothing happened", err)
		}
		want(t, c, false)
	})
	t.Run("read-only context", func(t *testing.T) {
		c := h.New(t)
		_, err := c.Keys.SetPlatformKey(runbook.ReadOnly(t.Context()), c.ID, false)
		isReadOnly(t, err)
		want(t, c, true)
	})
	t.Run("ended context", func(t *testing.T) {
		c := h.New(t)
		if _, err := c.Keys.SetPlatformKey(ended(t), c.ID, false); err == nil {
			t.Error("no error")
		}
		want(t, c, true)
	})
}
