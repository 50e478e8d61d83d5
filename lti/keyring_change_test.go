package lti_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// A store that fails while keys are rotated: what is true is found out, and what
// cannot be found out is said.
func TestRotateFaults(t *testing.T) {
	for _, test := range []struct {
		name  string
		set   func(s *faultyStore)
		ok    bool
		is    error
		safe  bool
		wrote bool // the store has the new key
	}{
		{name: "answer lost", set: func(s *faultyStore) { s.after = fail(errLost) }, ok: true, wrote: true},
		{name: "conflict with itself", set: func(s *faultyStore) { s.after = fail(runbook.ErrConflict) }, ok: true, wrote: true},
		{name: "not taken", set: func(s *faultyStore) { s.before = fail(proven{errDown}) }, is: errDown, safe: true},
		{name: "request lost", set: func(s *faultyStore) { s.before = fail(errLost) }, is: lti.ErrUnknownOutcome},
		{name: "answer lost, then down", set: func(s *faultyStore) {
			s.after = func() error { s.get = fail(errDown); return errLost }
		}, is: lti.ErrUnknownOutcome, wrote: true},
		{name: "conflict, then down", set: func(s *faultyStore) {
			s.before = func() error { s.get = fail(errDown); return runbook.ErrConflict }
		}, is: errDown, safe: true},
		{name: "a conflict that is none", set: func(s *faultyStore) { s.before = fail(runbook.ErrConflict) }, is: runbook.ErrConflict, safe: true},
		{name: "deleted meanwhile", set: func(s *faultyStore) {
			s.before = func() error { return s.Delete(context.Background(), ringName) }
		}, is: runbook.ErrNoCredential, safe: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := &faultyStore{MemoryCredentials: seeded(t, pkcs8(ringTestKeys()[0]))}
			ring := storedRing(t, store, nil)
			before := ring.Keys()
			test.set(store)
			info, err := ring.Rotate(t.Context())
			assert.Equal(t, 1, store.puts, "never sent twice")
			store.get, store.before, store.after = nil, nil, nil
			if test.ok {
				require.NoError(t, err)
				assert.Equal(t, []string{before[0].Kid, info.Kid}, kids(ring))
			} else {
				require.ErrorIs(t, err, test.is)
				assert.Equal(t, test.safe, runbook.SafeToRetry(err))
				assert.Equal(t, !test.safe, errors.Is(err, lti.ErrUnknownOutcome))
				assert.Empty(t, info)
				assert.Empty(t, cmp.Diff(before, ring.Keys()), "the ring stays as it is")
				noPartOf(t, err.Error(), pkcs8(ringTestKeys()[0])[28:])
			}
			if test.wrote {
				require.NoError(t, ring.Reload(t.Context()))
				require.Len(t, ring.Keys(), 2)
				again, err := ring.Rotate(t.Context())
				require.NoError(t, err)
				assert.Equal(t, ring.Keys()[1].Kid, again.Kid, "none is made besides")
			}
		})
	}
}

// The caller goes away while the store works: what is true is found out all the
// same.
func TestRotateCallerGone(t *testing.T) {
	store := &faultyStore{MemoryCredentials: seeded(t, pkcs8(ringTestKeys()[0]))}
	ring := storedRing(t, store, nil)
	ctx, cancel := context.WithCancel(t.Context())
	store.after = func() error { cancel(); return ctx.Err() }
	info, err := ring.Rotate(ctx)
	require.NoError(t, err)
	assert.Contains(t, kids(ring), info.Kid)

	_, err = ring.Rotate(ctx)
	require.ErrorIs(t, err, context.Canceled)
	assert.True(t, runbook.SafeToRetry(err))
}

// Of replicas that rotate together, one makes a key; the others return it,
// whether it waits or signs at once.
func TestRotateTogether(t *testing.T) {
	for _, lead := range []time.Duration{0, -1} {
		t.Run(lead.String(), func(t *testing.T) {
			store := seeded(t, pkcs8(ringTestKeys()[0]))
			rings := make([]*lti.KeyRing, 3)
			for i := range rings {
				rings[i] = storedRing(t, store, func(c *lti.KeyRingConfig) { c.Lead = lead })
			}
			infos := make([]lti.KeyInfo, len(rings))
			var wg sync.WaitGroup
			for i, ring := range rings {
				wg.Go(func() {
					var err error
					infos[i], err = ring.Rotate(t.Context())
					assert.NoError(t, err)
				})
			}
			wg.Wait()
			for i, ring := range rings {
				assert.Empty(t, cmp.Diff(infos[0], infos[i]))
				assert.Empty(t, cmp.Diff(rings[0].Keys(), ring.Keys()))
				assert.Len(t, ring.Keys(), 2)
			}
		})
	}
}

// Others who change the ring in another way do not stop a rotation.
func TestRotateOvertaken(t *testing.T) {
	store := seeded(t, pkcs8(ringTestKeys()[0]))
	ring := storedRing(t, store, func(c *lti.KeyRingConfig) { c.Lead = -1 })
	old := ring.KeyID()
	middle, err := ring.Rotate(t.Context())
	require.NoError(t, err)
	stale := storedRing(t, store, func(c *lti.KeyRingConfig) { c.Lead = -1 })
	require.NoError(t, ring.Revoke(t.Context(), old))

	info, err := stale.Rotate(t.Context())
	require.NoError(t, err)
	assert.NotContains(t, []string{old, middle.Kid}, info.Kid)
	assert.Equal(t, []string{info.Kid, middle.Kid}, kids(stale))

	store2 := &faultyStore{MemoryCredentials: seeded(t, pkcs8(ringTestKeys()[0]))}
	busy := storedRing(t, store2, nil)
	store2.before = func() error { // somebody who writes the same again and again
		c, err := store2.MemoryCredentials.Get(t.Context(), ringName)
		require.NoError(t, err)
		_, err = store2.MemoryCredentials.Put(t.Context(), ringName, c.Secret, c.Version)
		return err
	}
	_, err = busy.Rotate(t.Context())
	assert.ErrorContains(t, err, "5 times: try again")
	assert.True(t, runbook.SafeToRetry(err))
}

// A key that waits here and was revoked elsewhere is not returned as the new one.
func TestRotateAfterRevocation(t *testing.T) {
	store := seeded(t, pkcs8(ringTestKeys()[0]))
	one, two := storedRing(t, store, nil), storedRing(t, store, nil)
	waiting, err := one.Rotate(t.Context())
	require.NoError(t, err)
	require.NoError(t, two.Revoke(t.Context(), waiting.Kid), "which two has to read first")
	next, err := one.Rotate(t.Context())
	require.NoError(t, err)
	assert.NotEqual(t, waiting.Kid, next.Kid)
}

// A revoked key is gone at once, and another signs at once.
func TestRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := seeded(t, pkcs8(ringTestKeys()[0]))
		ring := storedRing(t, store, nil)
		first := ring.KeyID()
		revoke := func(kid string) {
			t.Helper()
			require.NoError(t, ring.Revoke(t.Context(), kid))
			assert.NotContains(t, kids(ring), kid)
			assert.NotEqual(t, kid, ring.KeyID())
			assert.Empty(t, cmp.Diff(ring.Keys(), storedRing(t, store, nil).Keys()), "for all replicas")
			token, err := ring.Sign(map[string]any{"iss": "a"})
			require.NoError(t, err)
			assert.NoError(t, verifyNow(token, ring))
		}

		second, err := ring.Rotate(t.Context())
		require.NoError(t, err)
		revoke(second.Kid) // the one that waits: nothing replaces the first any more
		assert.Equal(t, first, ring.KeyID())
		assert.Zero(t, ring.Keys()[0].RetiresAt)

		third, err := ring.Rotate(t.Context())
		require.NoError(t, err)
		revoke(first) // the one that signs: the one that waits takes over
		assert.Equal(t, third.Kid, ring.KeyID())
		assert.Equal(t, time.Now().UTC(), ring.Keys()[0].SignsFrom)

		time.Sleep(time.Minute)
		fourth, err := ring.Rotate(t.Context())
		require.NoError(t, err)
		time.Sleep(2 * time.Hour)
		require.Equal(t, fourth.Kid, ring.KeyID())
		revoke(fourth.Kid) // nothing waits: the one before it is published still
		assert.Equal(t, third.Kid, ring.KeyID())
		assert.Zero(t, ring.Keys()[0].RetiresAt)

		revoke(third.Kid) // none is left: a new one
		assert.Equal(t, []string{"signing"}, states(ring))

		err = ring.Revoke(t.Context(), third.Kid)
		assert.ErrorIs(t, err, lti.ErrNoKey)
		assert.True(t, runbook.SafeToRetry(err))
		assert.NotContains(t, contents(t, store), third.Kid)
	})
}

// A revocation that the store does not confirm is looked up, as a rotation is,
// and one that another replica made counts.
func TestRevokeFaults(t *testing.T) {
	store := &faultyStore{MemoryCredentials: seeded(t, pkcs8(ringTestKeys()[0]))}
	ring, other := storedRing(t, store, nil), storedRing(t, store, nil)
	first := ring.KeyID()
	store.before = fail(errLost)
	err := ring.Revoke(t.Context(), first)
	require.ErrorIs(t, err, lti.ErrUnknownOutcome)
	assert.False(t, runbook.SafeToRetry(err))
	assert.Equal(t, first, ring.KeyID())

	store.before, store.after = nil, fail(errLost)
	require.NoError(t, ring.Revoke(t.Context(), first))
	store.after = nil
	require.NoError(t, other.Revoke(t.Context(), first), "revoked already")
	assert.Empty(t, cmp.Diff(ring.Keys(), other.Keys()))

	store.get = fail(errDown)
	err = ring.Revoke(t.Context(), "unknown")
	assert.ErrorIs(t, err, errDown, "perhaps another replica has it")
	assert.NotErrorIs(t, err, lti.ErrNoKey)
}
