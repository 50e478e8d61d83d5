package lti_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
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
		var down atomic.Bool
		store := &faultyStore{MemoryCredentials: seeded(t, pkcs8(ringTestKeys()[0])), get: func() error {
			if down.Load() {
				return errDown
			}
			return nil
		}}
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

		down.Store(true)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		assert.Len(t, kids(ring), 2)
		down.Store(false)
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
