package lti

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook/internal/flight"
	"go.acu.edu.au/runbook/internal/httpx"
)

// A keySet is one platform's. Times are counted from [KeySets].born, by the
// monotonic clock, because that is what a look at the clock costs least.
type keySet struct {
	shelf   *keyShelf
	address string
	url     *url.URL
	host    string // for errors

	flight flight.Flight[struct{}]
	now    atomic.Pointer[keySnapshot] // nil if there never was one
	last   atomic.Pointer[keyAttempt]  // nil if there never was one
}

// A keySnapshot is a key set as it was fetched. It is never changed.
type keySnapshot struct {
	keys    map[string]*rsa.PublicKey
	skipped []string

	fetched, fresh, usable time.Duration // when; until when
}

// A keyAttempt is the end of the last fetch.
type keyAttempt struct {
	next time.Duration // no fetch before
	err  error
}

func newKeySet(shelf *keyShelf, address string) (*keySet, error) {
	if err := checkURL(address); err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("cannot be read") // not reached after checkURL
	}
	if shelf.external {
		if err := httpx.PublicHost(u.Hostname()); err != nil {
			return nil, err
		}
	}
	return &keySet{shelf: shelf, address: address, url: u, host: quote(u.Host)}, nil
}

// find returns the key of a set that may be used at a time, and whether the set
// is fresh.
func (k *keySet) find(kid string, now time.Duration) (key *rsa.PublicKey, fresh bool) {
	snapshot := k.now.Load()
	if snapshot == nil || now >= snapshot.usable {
		return nil, false
	}
	return snapshot.keys[kid], now < snapshot.fresh
}

// due reports whether the set may be fetched. While a fetch is under way it
// stays due, so that whoever comes joins.
func (k *keySet) due(now time.Duration) bool {
	last := k.last.Load()
	return last == nil || now >= last.next
}

// await returns after a fetch if one is due or under way, else at once.
func (s *KeySets) await(ctx context.Context, set *keySet, now time.Duration) error {
	if !set.due(now) {
		return nil
	}
	if _, err := set.flight.Do(ctx, s.fetching(set)); err != nil {
		return fmt.Errorf("%w: key set of %s: %w", ErrKeySet, set.host, err)
	}
	return nil
}

// without says why there is no key.
func (k *keySet) without(now time.Duration) error {
	if last := k.last.Load(); last != nil && last.err != nil {
		return fmt.Errorf("%w: key set of %s, to be asked again in %v: %w", ErrKeySet, k.host, max(0, last.next-now).Round(time.Second), last.err)
	}
	snapshot := k.now.Load()
	if snapshot == nil {
		return fmt.Errorf("%w: key set of %s", ErrKeySet, k.host)
	}
	return fmt.Errorf("key set of %s: %w: %d keys and %d entries that cannot be used, read %v ago",
		k.host, ErrUnknownKey, len(snapshot.keys), len(snapshot.skipped), (now - snapshot.fetched).Round(time.Second))
}
