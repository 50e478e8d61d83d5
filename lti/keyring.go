package lti

import (
	"cmp"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"go.acu.edu.au/runbook"
)

// Errors of a [KeyRing], for errors.Is.
var (
	// ErrFixedKeys means that the keys of a ring are those of its configuration,
	// which only the host can change.
	ErrFixedKeys = errors.New("the keys are fixed")
	// ErrNoKey means that a ring has no key of that id.
	ErrNoKey = errors.New("no such key")
)

// KeyRingConfig says where a tool's keys are and how they are replaced. Either
// Keys or Store is required.
type KeyRingConfig struct {
	// Keys are fixed: the first signs, the others are only published. It is for
	// hosts that hold their keys in variables, in a form that [ParsePrivateKey]
	// takes. To replace one: publish the new key as the second, wait as long as
	// platforms keep a key set, put it first, and remove the old one a day later.
	Keys []runbook.Secret

	// Store keeps the ring as one credential, for all replicas, together with
	// Name. If it has no such credential, the first key is made. A key as
	// [ParsePrivateKey] takes it is a ring of one key; the first rotation writes
	// the ring in its place, in a form that only this package reads.
	Store runbook.CredentialStore
	// Name is that of the credential.
	Name string

	// Lead is how long a new key is published before it signs. Zero means an
	// hour; less than zero means that it signs at once, which is right for Canvas
	// (it fetches the set for every signature) if a single process serves the
	// set. Other platforms keep the set for hours. Twice Reload is added, because
	// other replicas learn of the key so much later, if one reading fails.
	Lead time.Duration
	// Overlap is how long a replaced key is still published after the new one
	// has begun to sign. Zero means a day. It must not be negative.
	Overlap time.Duration
	// MaxAge is how long others may keep the key set (Cache-Control). Zero means
	// five minutes, or Lead if that is shorter; less than zero means that they
	// must ask each time.
	MaxAge time.Duration
	// Reload is how often [KeyRing.Run] reads the store. Zero means a minute.
	Reload time.Duration

	// Logger hears from [KeyRing.Run] when the store cannot be read, and when it
	// can again. Nil means slog.Default().
	Logger *slog.Logger
}

// A KeyState says what a key is doing.
type KeyState string

// States of a key. All are published.
const (
	KeyWaiting   KeyState = "waiting"   // will sign, once it has been published for long enough
	KeySigning   KeyState = "signing"   // signs
	KeyReplaced  KeyState = "replaced"  // signs no more; what it signed can still be verified
	KeyPublished KeyState = "published" // a fixed key that does not sign: the next one, or the last
)

// KeyInfo describes a key without its private part.
type KeyInfo struct {
	// Kid is its RFC 7638 thumbprint: it can never name another key.
	Kid string
	// State is what it does now.
	State KeyState
	// Created is when it was made, or stored; zero means unknown.
	Created time.Time
	// SignsFrom is when it begins, or began, to sign; zero means unknown.
	SignsFrom time.Time
	// RetiresAt is when it leaves the published set; zero means that nothing
	// replaces it yet.
	RetiresAt time.Time
}

// A KeyRing has the tool's own keys: it signs with one and publishes all. It
// follows the clock by itself: a key that waits begins to sign, and a replaced
// one leaves the set, without a goroutine. [KeyRing.Run] is for replicas that
// share a store.
//
// Signing and publishing use memory only, and never wait. It is safe for
// concurrent use.
type KeyRing struct {
	cfg   KeyRingConfig
	fixed bool

	now atomic.Pointer[ringView]

	turn chan struct{} // holds one token, for who changes or reads what is below
	held heldRing
}

// A heldRing is the ring as the store has it.
type heldRing struct {
	keys    []ringKey // never changed in place
	version runbook.Version
}

// A ringKey is one key of a ring. The private key is in a closure, where no
// printer finds it.
type ringKey struct {
	kid     string
	public  []byte // its JWK
	private func() *rsa.PrivateKey
	pem     runbook.Secret

	created, signsFrom, retiresAt time.Time
}

// newRingKey reads a key in a form of [ParsePrivateKey].
func newRingKey(text runbook.Secret) (ringKey, error) {
	key, err := ParsePrivateKey(text)
	if err != nil {
		return ringKey{}, err
	}
	pem, err := keyPEM(key)
	if err != nil {
		return ringKey{}, err
	}
	return ringKeyOf(key, pem)
}

func ringKeyOf(key *rsa.PrivateKey, pem runbook.Secret) (ringKey, error) {
	kid, public, err := publicJWK(key.N, key.E)
	return ringKey{kid: kid, public: public, private: func() *rsa.PrivateKey { return key }, pem: pem}, err
}

// NewKeyRing returns a ring, or all problems of cfg. With a Store it reads the
// ring, or makes its first key; if another replica does so at the same time, its
// key is taken.
func NewKeyRing(ctx context.Context, cfg KeyRingConfig) (*KeyRing, error) {
	cfg.Keys = slices.Clone(cfg.Keys)
	if err := cfg.check(); err != nil {
		return nil, err
	}
	k := &KeyRing{cfg: cfg, fixed: cfg.Store == nil, turn: make(chan struct{}, 1)}
	k.turn <- struct{}{}
	if k.fixed {
		keys, err := fixedKeys(cfg.Keys)
		if err != nil {
			return nil, err
		}
		k.install(heldRing{keys: keys})
		return k, nil
	}
	err := k.read(ctx)
	if errors.Is(err, runbook.ErrNoCredential) {
		err = k.begin(ctx)
	}
	if err != nil {
		return nil, k.fail("open", err)
	}
	return k, nil
}

// check reports the problems of cfg, and fills its defaults.
func (cfg *KeyRingConfig) check() error {
	var problems []error
	problem := func(text string) { problems = append(problems, errors.New("lti: key ring: "+text)) }
	switch {
	case cfg.Store != nil && len(cfg.Keys) > 0:
		problem("Keys and Store are both set: fixed keys are not stored")
	case cfg.Store == nil && len(cfg.Keys) == 0:
		problem("neither Keys nor Store is set")
	case cfg.Store != nil && cfg.Name == "":
		problem("Name is not set: under which name does the store keep the ring?")
	case len(cfg.Keys) > maxRingKeys:
		problem(fmt.Sprintf("%d keys are too many: at most %d", len(cfg.Keys), maxRingKeys))
	}
	if cfg.Overlap < 0 {
		problem("Overlap is negative: what a replaced key signed could not be verified")
	}
	if cfg.Reload < 0 {
		problem("Reload is negative")
	}
	if cfg.Lead == 0 {
		cfg.Lead = time.Hour
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = 5 * time.Minute
		if cfg.Lead > 0 {
			cfg.MaxAge = min(cfg.MaxAge, cfg.Lead)
		}
	}
	if cfg.Lead > 0 && cfg.MaxAge > cfg.Lead {
		problem(fmt.Sprintf("MaxAge (%v) is longer than Lead (%v): a new key would sign before it is known", cfg.MaxAge, cfg.Lead))
	}
	cfg.Overlap = cmp.Or(cfg.Overlap, 24*time.Hour)
	cfg.Reload = cmp.Or(cfg.Reload, time.Minute)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	return errors.Join(problems...)
}

// fixedKeys reads the keys of a configuration, and reports all that are bad.
func fixedKeys(texts []runbook.Secret) ([]ringKey, error) {
	var keys []ringKey
	var problems []error
	for i, text := range texts {
		key, err := newRingKey(text)
		if err == nil && slices.ContainsFunc(keys, key.is) {
			err = errors.New("it is there twice: remove it")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("lti: key ring: Keys[%d]: %w", i, err))
			continue
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(problems...)
}

// is reports whether both are the same key.
func (k ringKey) is(other ringKey) bool { return k.kid == other.kid }

// KeyID returns the kid of the key that signs now.
func (k *KeyRing) KeyID() string { return k.view().signer.kid }

// Keys describes the keys that are published now, the one that signs first.
func (k *KeyRing) Keys() []KeyInfo { return slices.Clone(k.view().infos) }

// Sign returns claims as a JWT, signed by RS256 with the key that signs now. Its
// header has typ, alg and kid. Nothing is added to the claims. The error means
// that they cannot be written as JSON.
func (k *KeyRing) Sign(claims map[string]any) (string, error) {
	signer := &k.view().signer
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims(claims))
	token.Header["kid"] = signer.kid
	text, err := token.SignedString(signer.private())
	if err != nil {
		return "", fmt.Errorf("lti: key ring: sign: %w", err)
	}
	return text, nil
}
