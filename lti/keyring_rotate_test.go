package lti_test

import (
	"context"
	"crypto/rsa"
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

// Signing, publishing and rotating at the same time: each signature verifies with
// the set that is fetched after it.
func TestKeyRingConcurrently(t *testing.T) {
	store := seeded(t, pkcs8(ringTestKeys()[0]))
	ring := storedRing(t, store, func(c *lti.KeyRingConfig) { c.Lead = -1 })
	other := storedRing(t, store, nil)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				token, err := ring.Sign(map[string]any{"iss": "a"})
				if err == nil {
					err = verifyNow(token, ring)
				}
				if err != nil {
					t.Error(err)
					return
				}
				_, _, _ = ring.Keys(), ring.KeyID(), ring.PublicSet()
			}
		})
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := errors.Join(ring.Reload(ctx), other.Reload(ctx)); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	seen := map[string]bool{ring.KeyID(): true}
	for range 4 {
		info, err := ring.Rotate(t.Context())
		require.NoError(t, err)
		assert.Equal(t, lti.KeySigning, info.State)
		assert.False(t, seen[info.Kid], "never a kid twice")
		seen[info.Kid] = true
	}
	stop()
	wg.Wait()
	require.NoError(t, other.Reload(t.Context()))
	assert.Empty(t, cmp.Diff(ring.Keys(), other.Keys()))
}

// Tools that share keys and rotate them: no signature is refused, neither by a
// platform that fetches the set each time nor by one that keeps it for an hour.
// The set comes from another replica than the signature.
//
// Requirement: LTI-GOTCHA-22
func TestRotationRefusesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := seeded(t, pkcs8(ringTestKeys()[0]))
		replicas := []*lti.KeyRing{storedRing(t, store, nil), storedRing(t, store, nil)}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i, ring := range replicas {
			time.Sleep(time.Duration(i) * 17 * time.Second)
			wg.Go(func() { assert.ErrorIs(t, ring.Run(ctx), context.Canceled) })
		}
		signedBy := map[string]int{}
		var cached map[string]*rsa.PublicKey
		var cachedAt time.Time
		type sent struct {
			token string
			at    time.Time
		}
		var late []sent         // tokens that are verified an hour after they were signed
		for step := range 720 { // 60 hours
			time.Sleep(5*time.Minute - 7*time.Second)
			if step%180 == 40 { // every 15 hours, on either
				_, err := replicas[step/180%2].Rotate(ctx)
				require.NoError(t, err)
			}
			time.Sleep(7 * time.Second)
			signer, server := replicas[step%2], replicas[(step+1)%2]
			if step%180 == 41 {
				signer, server = server, signer
			}
			if time.Since(cachedAt) >= time.Hour {
				_, cached = fetchSet(server)
				cachedAt = time.Now()
			}
			token, err := signer.Sign(map[string]any{"iss": "a"})
			require.NoError(t, err)
			require.NoError(t, verify(token, cached), "kept for an hour, step %d", step)
			require.NoError(t, verifyNow(token, server), "fetched each time, step %d", step)
			signedBy[signer.KeyID()]++
			late = append(late, sent{token, time.Now()})
			for len(late) > 0 && time.Since(late[0].at) >= time.Hour {
				require.NoError(t, verifyNow(late[0].token, server), "late")
				late = late[1:]
			}
		}
		assert.Len(t, signedBy, 5, "it did rotate")
		assert.LessOrEqual(t, len(kids(replicas[0])), 3, "old keys did leave")
		stop()
		wg.Wait()
	})
}

// A ring follows the clock by itself: a new key waits, signs, and what it
// replaces retires.
//
// Requirement: LTI-GOTCHA-22
func TestRingFollowsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now().UTC()
		ring := storedRing(t, new(runbook.MemoryCredentials), nil)
		first := ring.KeyID()
		assert.Empty(t, cmp.Diff([]lti.KeyInfo{{Kid: first, State: lti.KeySigning, Created: began, SignsFrom: began}}, ring.Keys()))
		assert.Equal(t, []string{first}, kids(ring))

		time.Sleep(10 * time.Minute)
		second, err := ring.Rotate(t.Context())
		require.NoError(t, err)
		rotated := time.Now().UTC()
		signs := rotated.Add(time.Hour + 2*time.Minute) // Lead, and two readings of the others
		retires := signs.Add(24 * time.Hour)
		assert.Empty(t, cmp.Diff(lti.KeyInfo{Kid: second.Kid, State: lti.KeyWaiting, Created: rotated, SignsFrom: signs}, second))
		assert.Equal(t, first, ring.KeyID(), "published before it signs")
		assert.Equal(t, []string{first, second.Kid}, kids(ring))
		again, err := ring.Rotate(t.Context())
		require.NoError(t, err)
		assert.Empty(t, cmp.Diff(second, again), "a key that waits is enough")

		time.Sleep(time.Until(signs) - time.Nanosecond)
		assert.Equal(t, first, ring.KeyID())
		time.Sleep(time.Nanosecond)
		assert.Equal(t, second.Kid, ring.KeyID())
		assert.Equal(t, []string{second.Kid, first}, kids(ring))
		assert.Empty(t, cmp.Diff([]lti.KeyInfo{
			{Kid: second.Kid, State: lti.KeySigning, Created: rotated, SignsFrom: signs},
			{Kid: first, State: lti.KeyReplaced, Created: began, SignsFrom: began, RetiresAt: retires},
		}, ring.Keys()))

		time.Sleep(time.Until(retires) - time.Nanosecond)
		assert.Equal(t, []string{second.Kid, first}, kids(ring))
		time.Sleep(time.Nanosecond)
		assert.Equal(t, []string{second.Kid}, kids(ring))
		assert.Equal(t, []string{"signing"}, states(ring))
	})
}

// With Lead less than zero a new key signs at once; the number of keys is
// limited.
func TestRotateAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring := storedRing(t, seeded(t, pkcs8(ringTestKeys()[0])), func(c *lti.KeyRingConfig) { c.Lead = -1 })
		for i := range 15 {
			info, err := ring.Rotate(t.Context())
			require.NoError(t, err)
			require.Equal(t, lti.KeySigning, info.State)
			require.Equal(t, info.Kid, ring.KeyID())
			require.Len(t, kids(ring), i+2)
		}
		_, err := ring.Rotate(t.Context())
		assert.ErrorContains(t, err, "wait until the first of them retires")
		time.Sleep(24 * time.Hour)
		_, err = ring.Rotate(t.Context())
		require.NoError(t, err)
		assert.Len(t, kids(ring), 2)
	})
}
