package lti_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
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

// A faultyStore fails as it is told to.
type faultyStore struct {
	*runbook.MemoryCredentials
	get    func() error
	before func() error // instead of a Put
	after  func() error // after a Put that took effect
	puts   int
}

func (s *faultyStore) Get(ctx context.Context, name string) (runbook.Credential, error) {
	if s.get != nil {
		if err := s.get(); err != nil {
			return runbook.Credential{}, err
		}
	}
	return s.MemoryCredentials.Get(ctx, name)
}

func (s *faultyStore) Put(ctx context.Context, name string, secret runbook.Secret, last runbook.Version) (runbook.Version, error) {
	s.puts++
	if s.before != nil {
		if err := s.before(); err != nil {
			return "", err
		}
	}
	version, err := s.MemoryCredentials.Put(ctx, name, secret, last)
	if err == nil && s.after != nil {
		if err := s.after(); err != nil {
			return "", err
		}
	}
	return version, err
}

// proven is an error of something that certainly did not happen.
type proven struct{ error }

func (proven) SafeToRetry() bool { return true }
func (p proven) Unwrap() error   { return p.error }

var (
	errLost = errors.New("the answer was lost")
	errDown = errors.New("the store is down")
)

// fail returns what fails always.
func fail(err error) func() error { return func() error { return err } }

// The first ring: of replicas that start together, one makes the key and all
// have it.
func TestNewKeyRingTogether(t *testing.T) {
	store := new(runbook.MemoryCredentials)
	rings := make([]*lti.KeyRing, 4)
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() { rings[i] = storedRing(t, store, nil) })
	}
	wg.Wait()
	for _, ring := range rings {
		assert.Empty(t, cmp.Diff(rings[0].Keys(), ring.Keys()))
		assert.Equal(t, string(rings[0].PublicSet()), string(ring.PublicSet()))
	}
	assert.Empty(t, cmp.Diff(rings[0].Keys(), storedRing(t, store, nil).Keys()), "and so has who starts later")
}

// A store that fails when the first key is made.
func TestNewKeyRingFaults(t *testing.T) {
	for _, test := range []struct {
		name          string
		get           func() error
		before, after func() error
		ok            bool
		is            error
		safe          bool
	}{
		{name: "cannot be read", get: fail(errDown), is: errDown, safe: true},
		{name: "does not take it", before: fail(proven{errDown}), is: errDown, safe: true},
		{name: "loses the answer", after: fail(errLost), ok: true},
		{name: "loses the request", before: fail(errLost), is: lti.ErrUnknownOutcome},
		{name: "conflicts with itself", after: fail(runbook.ErrConflict), ok: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := &faultyStore{MemoryCredentials: new(runbook.MemoryCredentials), get: test.get, before: test.before, after: test.after}
			ring, err := lti.NewKeyRing(t.Context(), lti.KeyRingConfig{Store: store, Name: ringName})
			if test.ok {
				require.NoError(t, err)
				assert.Contains(t, contents(t, store), "BEGIN PRIVATE KEY")
				assert.Equal(t, 1, store.puts)
				return
			}
			require.ErrorIs(t, err, test.is)
			assert.Nil(t, ring)
			assert.ErrorContains(t, err, `lti: key ring "lti/keys": open`)
			assert.Equal(t, test.safe, runbook.SafeToRetry(err))
		})
	}
}

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

// When the store cannot be read, or has what is not a ring, the ring stays, and
// nothing is written.
func TestReloadKeeps(t *testing.T) {
	good := pkcs8(ringTestKeys()[0])
	quoted := func(text string) string {
		b, err := json.Marshal(text)
		require.NoError(t, err)
		return string(b)
	}
	key := `{"pem":` + quoted(good) + `,"created":"2026-11-01T00:00:00Z","signs_from":"2026-11-01T00:00:00Z"`
	for _, test := range []struct{ name, stored, want string }{
		{"newer", `{"version":2,"rings":[{"secret":"abcdefghijkl"}]}`, "has form 2, and this version of the program knows form 1: update"},
		{"text", "abcdefghijkl!", "neither a ring nor a key"},
		{"empty", " ", "it is empty"},
		{"cut off", `{"version":1,"keys":[` + key, "damaged"},
		{"two values", `{"version":1,"keys":[` + key + `}]} {}`, "damaged"},
		{"no version", `{"keys":[` + key + `}]}`, "damaged"},
		{"version twice", `{"version":1,"version":1,"keys":[` + key + `}]}`, "damaged"},
		{"unknown member", `{"version":1,"keys":[` + key + `,"abcdefghijkl":1}]}`, "damaged"},
		{"no keys", `{"version":1,"keys":[]}`, "damaged"},
		{"null", `{"version":1,"keys":null}`, "damaged"},
		{"no key that lasts", `{"version":1,"keys":[` + key + `,"retires_at":"2036-11-01T00:00:00Z"}]}`, "damaged"},
		{"one key twice", `{"version":1,"keys":[` + key + `},` + key + `}]}`, "damaged"},
		{"not a time", `{"version":1,"keys":[{"pem":"abcdefghijkl","created":"abcdefghijkl"}]}`, "damaged"},
		{"a bad key", `{"version":1,"keys":[` + key + `},{"pem":"abcdefghijkl!"}]}`, "key 2 of the stored ring"},
		{"too many keys", `{"version":1,"keys":[` + strings.Repeat("{},", 16) + `{}]}`, "17 keys"},
		{"too long", `{"version":1,` + strings.Repeat(" ", 1<<20) + `"keys":[]}`, "too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := &faultyStore{MemoryCredentials: seeded(t, test.stored)}
			_, err := lti.NewKeyRing(t.Context(), lti.KeyRingConfig{Store: store, Name: ringName})
			require.ErrorContains(t, err, test.want)
			noPartOf(t, err.Error(), test.stored)

			require.NoError(t, store.Delete(t.Context(), ringName))
			_, err = store.MemoryCredentials.Put(t.Context(), ringName, runbook.NewSecret(good), "")
			require.NoError(t, err)
			ring := storedRing(t, store, nil)
			before := ring.Keys()
			c, err := store.Get(t.Context(), ringName)
			require.NoError(t, err)
			_, err = store.MemoryCredentials.Put(t.Context(), ringName, runbook.NewSecret(test.stored), c.Version)
			require.NoError(t, err)
			assert.ErrorContains(t, ring.Reload(t.Context()), test.want)
			_, err = ring.Rotate(t.Context())
			assert.ErrorContains(t, err, test.want)
			noPartOf(t, err.Error(), test.stored)
			if test.name == "newer" {
				assert.ErrorContains(t, ring.Revoke(t.Context(), before[0].Kid), test.want)
			}
			assert.Empty(t, cmp.Diff(before, ring.Keys()))
			assert.Equal(t, test.stored, contents(t, store), "nothing is overwritten")
		})
	}
}

// The key of a runbook's variable is taken over as it is, and becomes a ring at
// the first rotation.
func TestTakeOverAVariable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := ringTestKeys()[0]
		stored := wrap(b64(pkcs1(key)), "\n")
		store := seeded(t, stored)
		written := time.Now().UTC()
		time.Sleep(time.Hour)
		ring := storedRing(t, store, nil)
		assert.Empty(t, cmp.Diff([]lti.KeyInfo{{Kid: fixedRing(t, pkcs8(key)).KeyID(), State: lti.KeySigning, Created: written, SignsFrom: written}}, ring.Keys()))
		assert.Equal(t, stored, contents(t, store), "reading changes nothing")

		second, err := ring.Rotate(t.Context())
		require.NoError(t, err)
		var form map[string]any
		require.NoError(t, json.Unmarshal([]byte(contents(t, store)), &form))
		keys := form["keys"].([]any)
		for _, key := range keys {
			delete(key.(map[string]any), "pem")
		}
		stamp := func(d time.Duration) string { return written.Add(d).Format(time.RFC3339Nano) }
		assert.Empty(t, cmp.Diff(map[string]any{"version": 1.0, "keys": []any{
			map[string]any{"created": stamp(0), "signs_from": stamp(0), "retires_at": stamp(26*time.Hour + 2*time.Minute)},
			map[string]any{"created": stamp(time.Hour), "signs_from": stamp(2*time.Hour + 2*time.Minute)},
		}}, form))
		assert.Empty(t, cmp.Diff(ring.Keys(), storedRing(t, store, nil).Keys()))
		assert.Contains(t, kids(ring), second.Kid)
	})
}

// A machine whose clock is behind has no key that has begun to sign: it signs
// with the first to begin. A key that is made on it does not begin before those
// of others.
func TestClockBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quoted, err := json.Marshal(pkcs8(ringTestKeys()[0]))
		require.NoError(t, err)
		ahead := time.Now().UTC().Add(5 * time.Minute)
		store := seeded(t, `{"version":1,"keys":[{"pem":`+string(quoted)+`,"signs_from":"`+ahead.Format(time.RFC3339)+`"}]}`)
		ring := storedRing(t, store, func(c *lti.KeyRingConfig) { c.Lead = -1 })
		assert.Equal(t, []string{"signing"}, states(ring))
		token, err := ring.Sign(map[string]any{"iss": "a"})
		require.NoError(t, err)
		assert.NoError(t, verifyNow(token, ring))

		info, err := ring.Rotate(t.Context())
		require.NoError(t, err)
		assert.Equal(t, lti.KeyInfo{Kid: info.Kid, State: lti.KeyWaiting, Created: time.Now().UTC(), SignsFrom: ahead}, info)
		time.Sleep(5 * time.Minute)
		assert.Equal(t, info.Kid, ring.KeyID(), "of two that begin together, the newer")
	})
}

// Run takes what other replicas did, goes on when the store is down, and says so
// once.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{MemoryCredentials: seeded(t, pkcs8(ringTestKeys()[0]))}
		var log bytes.Buffer
		ring := storedRing(t, store, func(c *lti.KeyRingConfig) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		other := storedRing(t, store, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- ring.Run(ctx) }()
		synctest.Wait()

		second, err := other.Rotate(t.Context())
		require.NoError(t, err)
		time.Sleep(59 * time.Second)
		assert.NotContains(t, kids(ring), second.Kid)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Contains(t, kids(ring), second.Kid)

		store.get = fail(errDown)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		assert.Len(t, kids(ring), 2)
		store.get = nil
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
		assert.Equal(t, 1, strings.Count(log.String(), "level=INFO"), log.String())
		assert.Contains(t, log.String(), "the store is down")

		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

// A change waits for the one before it, and no longer than its context.
func TestChangesWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{MemoryCredentials: seeded(t, pkcs8(ringTestKeys()[0]))}
		ring := storedRing(t, store, nil)
		store.before = func() error { time.Sleep(time.Hour); return nil }
		go func() { _, _ = ring.Rotate(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		assert.ErrorIs(t, ring.Reload(ctx), context.DeadlineExceeded)
		assert.ErrorIs(t, ring.Revoke(ctx, ring.KeyID()), context.DeadlineExceeded)
		assert.Len(t, kids(ring), 1, "reading does not wait")
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Len(t, kids(ring), 2)
	})
}
