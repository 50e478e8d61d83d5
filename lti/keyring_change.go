package lti

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// changeTries is how often a change is tried that others overtake.
const changeTries = 5

// replace changes the ring: next gets the held ring and returns the new one, or
// nil if there is nothing to do. It is called again if somebody else was faster.
func (k *KeyRing) replace(ctx context.Context, next func(keys []ringKey, now time.Time) ([]ringKey, error)) error {
	for range changeTries {
		keys, err := next(k.held.keys, time.Now())
		if err != nil || keys == nil {
			return err
		}
		if won, err := k.put(ctx, keys); won || err != nil {
			return err
		}
	}
	return fmt.Errorf("others changed it at the same time, %d times: try again", changeTries)
}

// Rotate makes a new key. It is published at once and signs after Lead; from then
// on the key that it replaces is published for Overlap. If a new key waits
// already, or another replica makes one at the same time, that is returned, and
// none is made besides.
//
// If it is not known whether the store took the new key, the error wraps
// [ErrUnknownOutcome]; [KeyRing.Reload] finds out. A ring of fixed keys returns
// [ErrFixedKeys].
func (k *KeyRing) Rotate(ctx context.Context) (KeyInfo, error) {
	const op = "rotate"
	if k.fixed {
		return KeyInfo{}, fmt.Errorf("lti: key ring: %s: %w: publish a new one as the second of Keys, and put it first when platforms know it", op, ErrFixedKeys)
	}
	if err := k.lock(ctx); err != nil {
		return KeyInfo{}, k.fail(op, err)
	}
	defer k.unlock()
	var added ringKey
	var kid string
	known := k.held.keys
	if newcomer(known, known, time.Now()) != "" { // or it did, and was revoked
		if err := k.read(ctx); err != nil {
			return KeyInfo{}, k.fail(op, err)
		}
	}
	err := k.replace(ctx, func(keys []ringKey, now time.Time) (_ []ringKey, err error) {
		if kid = newcomer(keys, known, now); kid != "" {
			return nil, nil
		}
		if len(published(keys, now)) >= maxRingKeys {
			return nil, fmt.Errorf("%d keys are published, which is the most: wait until the first of them retires", maxRingKeys)
		}
		if added.kid == "" {
			if added, err = freshKey(); err != nil {
				return nil, err
			}
		}
		kid = added.kid
		return rotated(keys, added, now, k.lead(), k.cfg.Overlap), nil
	})
	if err != nil {
		return KeyInfo{}, k.fail(op, err)
	}
	return k.info(kid), nil
}

// newcomer returns the kid of a key that somebody made: one that waits, or that
// was not there when the rotation began.
func newcomer(keys, known []ringKey, now time.Time) string {
	signer := signerIn(keys, now)
	if waiting := waitingIn(keys, now); waiting >= 0 && keys[waiting].kid != signer.kid {
		return keys[waiting].kid
	}
	if !slices.ContainsFunc(known, signer.is) {
		return signer.kid
	}
	return ""
}

// lead is the time before a new key signs.
func (k *KeyRing) lead() time.Duration {
	if k.cfg.Lead < 0 {
		return 0
	}
	return k.cfg.Lead + 2*k.cfg.Reload
}

// info describes a key of the held ring.
func (k *KeyRing) info(kid string) KeyInfo {
	infos := k.Keys()
	if i := slices.IndexFunc(infos, func(i KeyInfo) bool { return i.Kid == kid }); i >= 0 {
		return infos[i]
	}
	return KeyInfo{Kid: kid}
}

// Revoke removes a key that is compromised: at once it is not published and does
// not sign. If it was the one that signs, the key that waits signs at once, or
// the one that signed before, or a new one; platforms that keep the old set for a
// while refuse what it signs until they fetch the new one. Other replicas follow
// when they read the store. Rotate afterwards if the key that signs now is old.
//
// A kid that the ring does not have is an [ErrNoKey]; one that somebody else has
// revoked meanwhile is none. [ErrUnknownOutcome] and [ErrFixedKeys] are as in
// [KeyRing.Rotate].
func (k *KeyRing) Revoke(ctx context.Context, kid string) error {
	const op = "revoke"
	if k.fixed {
		return fmt.Errorf("lti: key ring: %s: %w: remove it from Keys, and start anew", op, ErrFixedKeys)
	}
	if err := k.lock(ctx); err != nil {
		return k.fail(op, err)
	}
	defer k.unlock()
	has := func(keys []ringKey) bool { return slices.ContainsFunc(keys, ringKey{kid: kid}.is) }
	if !has(k.held.keys) { // another replica may have made it
		if err := k.read(ctx); err != nil {
			return k.fail(op, err)
		}
		if !has(k.held.keys) {
			return k.fail(op, fmt.Errorf("%s: %w: see Keys for those that there are", quote(kid), ErrNoKey))
		}
	}
	var added ringKey
	err := k.replace(ctx, func(keys []ringKey, now time.Time) (_ []ringKey, err error) {
		if !has(keys) {
			return nil, nil
		}
		if left := revoked(keys, kid, now); left != nil {
			return left, nil
		}
		if added.kid == "" {
			if added, err = freshKey(); err != nil {
				return nil, err
			}
		}
		return rotated(nil, added, now, 0, 0), nil
	})
	if err != nil {
		return k.fail(op, err)
	}
	return nil
}
