package lti

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook/internal/httpx"
)

// Errors of [KeySets]. They differ in who has to do something: the first is an
// answer of the platform, the second means that there is none.
var (
	// ErrUnknownKey means that the platform has no key of that name (kid) that
	// could be used.
	ErrUnknownKey = errors.New("the platform has no such key")
	// ErrKeySet means that the platform could not be asked for its keys, or that
	// its answer could not be used. The cause is wrapped.
	ErrKeySet = errors.New("the platform's keys could not be had")
)

// maxKeySets is how many key sets are kept: one for each address that stands in
// a registration.
const maxKeySets = 1000

// KeySetsConfig says how [KeySets] fetch. The zero value is usable.
type KeySetsConfig struct {
	// HTTP gives the transport. For registrations that are External, a copy is
	// used that has neither its proxy nor its ways to dial, and refuses to
	// connect to addresses that are not public; if it is not a *http.Transport,
	// only the host in the address can be looked at, and it is for the transport
	// to refuse names that lead to private addresses. Nil means transports of
	// this package.
	HTTP *http.Client
	// UserAgent is sent with each request; Canvas answers 403 to those that have
	// none. Empty means "runbook".
	UserAgent string
	// RefetchEvery is the least time between two fetches of a set that tokens
	// with unknown keys, or failures, cause. Zero means 30s.
	RefetchEvery time.Duration
	// MinLife and MaxLife bound how long a set counts as fresh. In between the
	// max-age counts that came with it; without one it is MinLife. Zero means 5m
	// and 24h. (Canvas has a max-age of ten days.)
	MinLife, MaxLife time.Duration
	// MaxStale is how long a set that is not fresh any more is used if it cannot
	// be fetched, so that launches do not fail with the platform's key server.
	// Zero means 7 days.
	MaxStale time.Duration
	// Timeout limits a fetch with its repetitions. Zero means 5s; at most a
	// minute.
	Timeout time.Duration
	// OnFetch is told of each fetch, by the goroutine that makes it: those who
	// wait for the set wait for OnFetch too. Nil tells nobody.
	OnFetch func(KeySetFetch)
}

// A KeySetFetch is one fetch of a key set, with its repetitions.
type KeySetFetch struct {
	// Address is where the set was fetched, and External whether it came from
	// outside: it is foreign text then.
	Address  string
	External bool
	// Keys is how many keys can be used, Skipped how many entries cannot.
	Keys, Skipped int
	// Err is why there is no set, or nil.
	Err error
	// Took is how long the fetch took.
	Took time.Duration
}

// A KeySetStatus is what is known of a key set.
type KeySetStatus struct {
	// Kids are the names of the keys that can be used, in order. They are foreign
	// text.
	Kids []string
	// Skipped says of each entry of the set that cannot be used, why. Foreign text
	// in it is quoted.
	Skipped []string
	// Age is how long ago the set was fetched. Fresh is how long from now it
	// counts as fresh; if it is negative, the set will be fetched again when it is
	// used. Usable is how long from now it is used if that fails. All are zero if
	// there is no set.
	Age, Fresh, Usable time.Duration
	// Err is why the last fetch failed, or nil.
	Err error
}

// KeySets fetches and keeps the key sets of platforms (JWKS, RFC 7517; Security
// Framework 1.0, section 6.3). Tools can share one. It is safe for concurrent
// use.
//
// A key that is known costs a look into a map, and never waits: a set that is
// not fresh any more is used while it is fetched anew. A key that is not known
// makes the set be fetched, once for all who wait for it, and at most every
// RefetchEvery; in between such keys are refused at once. So whoever makes up
// names of keys causes no more than that, and delays nobody whose key is known.
// (A platform's new key may have to wait as long. Canvas publishes its keys a
// month ahead.) A fetch goes on when the one who caused it gives up.
//
// Used are RSA keys of 2048 to 8192 bits that have a kid and whose use and alg,
// if present, say signatures by RS256, RS384 or RS512. All other entries are
// skipped, without harm to the rest. An entry that has any part of a private key
// is skipped: that key is anybody's. Two usable entries with one kid are one key
// if they are the same, else neither is used. A set in which nothing can be used
// does not replace one that has keys.
type KeySets struct {
	cfg  KeySetsConfig
	born time.Time
	// Registrations whose addresses came from outside share nothing with others.
	own, external *keyShelf
}

// A keyShelf has the sets of one kind of registrations.
type keyShelf struct {
	http     *httpx.Client
	external bool

	mu  sync.Mutex                         // of who adds or removes
	all atomic.Pointer[map[string]*keySet] // is replaced, never changed
}

// NewKeySets returns KeySets, or everything that is wrong with cfg. It sends
// nothing.
func NewKeySets(cfg KeySetsConfig) (*KeySets, error) {
	var problems []error
	for _, d := range []struct {
		name  string
		value *time.Duration
		zero  time.Duration
	}{
		{"RefetchEvery", &cfg.RefetchEvery, 30 * time.Second}, {"MinLife", &cfg.MinLife, 5 * time.Minute}, {"MaxLife", &cfg.MaxLife, 24 * time.Hour},
		{"MaxStale", &cfg.MaxStale, 7 * 24 * time.Hour}, {"Timeout", &cfg.Timeout, 5 * time.Second},
	} {
		if *d.value < 0 {
			problems = append(problems, fmt.Errorf("lti: key sets: %s %v: must not be negative", d.name, *d.value))
		} else if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if cfg.MinLife > cfg.MaxLife {
		problems = append(problems, fmt.Errorf("lti: key sets: MinLife %v is longer than MaxLife %v", cfg.MinLife, cfg.MaxLife))
	}
	if cfg.RefetchEvery > cfg.MinLife {
		problems = append(problems, fmt.Errorf("lti: key sets: RefetchEvery %v is longer than MinLife %v", cfg.RefetchEvery, cfg.MinLife))
	}
	if cfg.Timeout > time.Minute {
		problems = append(problems, fmt.Errorf("lti: key sets: Timeout %v: must be a minute or less, since launches wait", cfg.Timeout))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	client := func(base *http.Client) *httpx.Client {
		return httpx.New(httpx.Config{
			HTTP: base, UserAgent: cfg.UserAgent, AttemptTimeout: 2 * time.Minute, MaxBody: maxKeySetBody, // Timeout limits all attempts
			Retries: 2, MinWait: 200 * time.Millisecond, MaxWait: time.Second,
		})
	}
	s := &KeySets{cfg: cfg, born: time.Now(), own: &keyShelf{http: client(cfg.HTTP)}}
	s.external = &keyShelf{http: client(httpx.PublicOnly(cfg.HTTP)), external: true}
	for _, shelf := range []*keyShelf{s.own, s.external} {
		shelf.all.Store(new(map[string]*keySet))
	}
	return s, nil
}

// Key returns the key that a platform's set at address, a
// [Registration].JWKSURL, has by the name kid. external is that of the
// registration. The error wraps [ErrUnknownKey] or [ErrKeySet]. The key must
// not be changed.
func (s *KeySets) Key(ctx context.Context, address, kid string, external bool) (*rsa.PublicKey, error) {
	set := (*s.shelf(external).all.Load())[address]
	if set == nil {
		var err error
		if set, err = s.add(address, external); err != nil {
			return nil, err
		}
	}
	now := time.Since(s.born)
	key, fresh := set.find(kid, now)
	if key != nil {
		if !fresh && set.due(now) {
			set.flight.Start(ctx, s.fetching(set))
		}
		return key, nil
	}
	if kid == "" || len(kid) > maxKid {
		return nil, fmt.Errorf("key set of %s: %w: its name is empty, or too long", set.host, ErrUnknownKey)
	}
	if err := s.await(ctx, set, now); err != nil {
		return nil, err
	}
	if key, _ = set.find(kid, time.Since(s.born)); key != nil {
		return key, nil
	}
	return nil, set.without(time.Since(s.born))
}

// Load makes sure that the set at address is there and fresh, for a host that
// does not want the first launch to wait, or for a diagnosis. It fetches the set
// if need be and allowed (see RefetchEvery). The error wraps [ErrKeySet]; an
// older set may still be in use then.
func (s *KeySets) Load(ctx context.Context, address string, external bool) error {
	set, err := s.add(address, external)
	if err != nil {
		return err
	}
	fresh := func() bool {
		snapshot := set.now.Load()
		return snapshot != nil && time.Since(s.born) < snapshot.fresh
	}
	if fresh() {
		return nil
	}
	if err := s.await(ctx, set, time.Since(s.born)); err != nil || fresh() {
		return err
	}
	if last := set.last.Load(); last != nil && last.err != nil {
		return set.without(time.Since(s.born))
	}
	return nil
}

// Status returns what is known of the set at address, without asking for it.
// known is false if nothing ever asked for the set.
func (s *KeySets) Status(address string, external bool) (status KeySetStatus, known bool) {
	set := (*s.shelf(external).all.Load())[address]
	if set == nil {
		return status, false
	}
	if last := set.last.Load(); last != nil {
		status.Err = last.err
	}
	if snapshot := set.now.Load(); snapshot != nil {
		now := time.Since(s.born)
		status.Kids, status.Skipped = slices.Sorted(maps.Keys(snapshot.keys)), slices.Clone(snapshot.skipped)
		status.Age, status.Fresh, status.Usable = now-snapshot.fetched, snapshot.fresh-now, snapshot.usable-now
	}
	return status, true
}

// Forget removes the set at address, for a host that removed the registration,
// or knows that a key of the platform is in wrong hands. If the set is needed
// again, it is fetched.
func (s *KeySets) Forget(address string, external bool) {
	shelf := s.shelf(external)
	shelf.mu.Lock()
	defer shelf.mu.Unlock()
	all := maps.Clone(*shelf.all.Load())
	delete(all, address)
	shelf.all.Store(&all)
}

func (s *KeySets) shelf(external bool) *keyShelf {
	if external {
		return s.external
	}
	return s.own
}

// add returns the set for an address, which is a new one if there is none.
func (s *KeySets) add(address string, external bool) (*keySet, error) {
	shelf := s.shelf(external)
	shelf.mu.Lock()
	defer shelf.mu.Unlock()
	before := *shelf.all.Load()
	if set := before[address]; set != nil {
		return set, nil
	}
	set, err := newKeySet(shelf, address)
	if err != nil {
		return nil, fmt.Errorf("%w: JWKSURL: %w", ErrKeySet, err)
	}
	if len(before) >= maxKeySets {
		return nil, fmt.Errorf("%w: there are %d sets already: forget those whose registrations are gone", ErrKeySet, maxKeySets)
	}
	all := make(map[string]*keySet, len(before)+1)
	maps.Copy(all, before)
	all[address] = set
	shelf.all.Store(&all)
	return set, nil
}
