package lti

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"go.acu.edu.au/runbook"
)

// Limits of a stored ring.
const (
	maxRingKeys = 16      // with the default Overlap: as many rotations in a day
	maxRingText = 1 << 20 // bytes
	ringForm    = 1       // the version of the form below
)

// storedRing is the form in which a store keeps a ring.
type storedRing struct {
	Version int         `json:"version"`
	Keys    []storedKey `json:"keys"`
}

type storedKey struct {
	PEM       string    `json:"pem"`
	Created   time.Time `json:"created,omitzero"`
	SignsFrom time.Time `json:"signs_from,omitzero"`
	RetiresAt time.Time `json:"retires_at,omitzero"`
}

// encodeRing writes a ring, always in the same way.
func encodeRing(keys []ringKey) (runbook.Secret, error) {
	stored := storedRing{Version: ringForm}
	for _, key := range keys {
		stored.Keys = append(stored.Keys, storedKey{key.pem.Reveal(), key.created, key.signsFrom, key.retiresAt})
	}
	text, err := json.Marshal(stored)
	if err != nil {
		return runbook.Secret{}, errors.New("the ring cannot be written: a time in it is out of range")
	}
	return runbook.NewSecret(string(text)), nil
}

// decodeRing reads what a store has: a ring, or a single key. No error has any
// part of it.
func decodeRing(c runbook.Credential) ([]ringKey, error) {
	text := c.Secret.Reveal()
	if len(text) > maxRingText {
		return nil, errors.New("what is stored is too long to be a ring of keys")
	}
	if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		key, err := newRingKey(c.Secret)
		if err != nil {
			return nil, fmt.Errorf("what is stored is neither a ring nor a key: %w", err)
		}
		key.created, key.signsFrom = stamped(c.Written), stamped(c.Written)
		return []ringKey{key}, nil
	}
	var form struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal([]byte(text), &form); err != nil {
		return nil, errDamaged
	}
	if form.Version > ringForm {
		return nil, fmt.Errorf("the stored ring has form %d, and this version of the program knows form %d: update this program; nothing was changed", form.Version, ringForm)
	}
	var stored storedRing
	if err := json.Unmarshal([]byte(text), &stored, json.RejectUnknownMembers(true)); err != nil || stored.Version != ringForm {
		return nil, errDamaged
	}
	return stored.ring()
}

var errDamaged = errors.New("the stored ring is damaged: put back what was stored before, or delete the credential to begin with a new key")

// ring checks what was read. It has at least one key that does not retire, so
// that there is always one to sign with.
func (s *storedRing) ring() ([]ringKey, error) {
	if len(s.Keys) > maxRingKeys {
		return nil, fmt.Errorf("the stored ring has %d keys, which are too many: at most %d", len(s.Keys), maxRingKeys)
	}
	var keys []ringKey
	lasting := false
	for i, stored := range s.Keys {
		key, err := newRingKey(runbook.NewSecret(stored.PEM))
		if err != nil {
			return nil, fmt.Errorf("key %d of the stored ring: %w", i+1, err)
		}
		if slices.ContainsFunc(keys, key.is) {
			return nil, errDamaged
		}
		key.created, key.signsFrom, key.retiresAt = stamped(stored.Created), stamped(stored.SignsFrom), stamped(stored.RetiresAt)
		lasting = lasting || key.retiresAt.IsZero()
		keys = append(keys, key)
	}
	if !lasting {
		return nil, errDamaged
	}
	return keys, nil
}

// stamped returns a time as it is stored: of the wall, in UTC.
func stamped(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.Round(0).UTC()
}

// published returns the keys that have not retired.
func published(keys []ringKey, now time.Time) []ringKey {
	return slices.DeleteFunc(slices.Clone(keys), func(k ringKey) bool {
		return !k.retiresAt.IsZero() && !now.Before(k.retiresAt)
	})
}

// signerOf returns the index of the key that signs: the one that began last. If
// none has begun, because this machine's clock is behind, the first to begin
// signs.
func signerOf(keys []ringKey, now time.Time) int {
	signer := 0
	for i, key := range keys {
		begun, best := !now.Before(key.signsFrom), !now.Before(keys[signer].signsFrom)
		switch {
		case begun && best:
			if !key.signsFrom.Before(keys[signer].signsFrom) {
				signer = i
			}
		case begun, !best && key.signsFrom.Before(keys[signer].signsFrom):
			signer = i
		}
	}
	return signer
}

// signerIn returns the key of a ring that signs.
func signerIn(keys []ringKey, now time.Time) ringKey {
	keys = published(keys, now)
	return keys[signerOf(keys, now)]
}

// waitingIn returns the index of the key that will sign last, or -1.
func waitingIn(keys []ringKey, now time.Time) int {
	waiting := -1
	for i, key := range keys {
		if now.Before(key.signsFrom) && (waiting < 0 || key.signsFrom.After(keys[waiting].signsFrom)) {
			waiting = i
		}
	}
	return waiting
}

// rotated returns the ring with a new key that signs after lead. The others
// retire when it has signed for overlap.
func rotated(keys []ringKey, added ringKey, now time.Time, lead, overlap time.Duration) []ringKey {
	keys = published(keys, now)
	added.created, added.signsFrom = stamped(now), stamped(now.Add(lead))
	for _, key := range keys { // a replica whose clock is ahead may have made one
		if key.signsFrom.After(added.signsFrom) {
			added.signsFrom = key.signsFrom
		}
	}
	for i := range keys {
		if keys[i].retiresAt.IsZero() {
			keys[i].retiresAt = stamped(added.signsFrom.Add(overlap))
		}
	}
	return append(keys, added)
}

// revoked returns the ring without a key. If it signed, a key that waits signs at
// once, or else the one that signed before it. The ring may be empty then.
func revoked(keys []ringKey, kid string, now time.Time) []ringKey {
	keys = published(keys, now)
	signed := keys[signerOf(keys, now)].kid == kid
	keys = slices.DeleteFunc(keys, func(k ringKey) bool { return k.kid == kid })
	if len(keys) == 0 {
		return nil
	}
	if waiting := waitingIn(keys, now); signed && waiting >= 0 {
		keys[waiting].signsFrom = stamped(now)
	}
	newest := signerOf(keys, now)
	if waiting := waitingIn(keys, now); waiting >= 0 {
		newest = waiting
	}
	keys[newest].retiresAt = time.Time{} // nothing replaces it any more
	return keys
}
