package lti

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"
	"time"

	"go.acu.edu.au/runbook"
)

// StateLife is how long a login may take from its beginning to the launch.
const StateLife = 10 * time.Minute

// The state is all that is kept of a login until the launch, so that a login
// writes nothing on the server. The browser carries it through the platform. It
// is a MAC over what the launch is compared with, and in particular over the
// nonce, which is a hash of a secret that only the browser of the login holds, in
// a cookie or in the platform's storage: a state serves no other browser, and a
// token with that nonce serves no other state.
type state struct {
	issuer, clientID string
	target           string // the target link URI of the login
	storage          string // the frame with the platform's storage; empty means none
	expires          int64  // seconds since 1970
	nonce            [sha256.Size]byte
}

// A binding is the secret that ties a state to a browser.
type binding [32]byte

func newBinding() (b binding) {
	_, _ = rand.Read(b[:]) // never fails
	return b
}

// nonce returns the nonce of the login that the binding belongs to.
func (b binding) nonce() [sha256.Size]byte {
	const label = "runbook lti nonce\x00"
	var text [len(label) + len(b)]byte
	copy(text[:], label)
	copy(text[len(label):], b[:])
	return sha256.Sum256(text[:])
}

func (b binding) String() string { return encode(b[:]) }

func parseBinding(text string) (b binding, ok bool) {
	n, err := base64.RawURLEncoding.Decode(b[:], []byte(text[:min(len(text), 43)]))
	return b, err == nil && n == len(b) && len(text) == 43
}

// boundTo reports whether the state belongs to the browser that has b.
func (s *state) boundTo(b binding) bool {
	nonce := b.nonce()
	return subtle.ConstantTimeCompare(nonce[:], s.nonce[:]) == 1
}

// nonceText is the nonce in the authentication request.
func (s *state) nonceText() string { return encode(s.nonce[:]) }

// id names the launch: in the name of its cookie, and as its key in the
// platform's storage.
func (s *state) id() string { return encode(s.nonce[:9]) }

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sealed is the form of a state: version, key id, end, nonce, texts, MAC.
const (
	stateVersion = 1
	sealedHead   = 1 + 4 + 8 + sha256.Size
	maxTarget    = 1500 // bytes of a target link URI
	maxState     = 4096 // characters of a state, which platform storage could hold too
)

// sealers have the keys of the tool's own tokens. The first seals; all of them
// open.
type sealers []sealer

type sealer struct {
	id    [4]byte
	macs  *sync.Pool // of hash.Hash, keyed
	until time.Time  // zero for ever
}

// minStateKey is the least length of a state key in bytes.
const minStateKey = 32

// newSealer derives the key of one purpose from a secret.
func newSealer(secret runbook.Secret) sealer {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write([]byte("runbook lti state v1"))
	key := mac.Sum(nil)
	id := sha256.Sum256(key)
	return sealer{
		id: [4]byte(id[:4]),
		// A used HMAC remembers its hashed key, which is half of the work.
		macs: &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }},
	}
}

func newSealers(secrets []runbook.Secret) (sealers, error) {
	var all sealers
	var problems []error
	for i, secret := range secrets {
		if len(secret.Reveal()) < minStateKey {
			problems = append(problems, fmt.Errorf("lti: state key %d is shorter than %d bytes", i+1, minStateKey))
			continue
		}
		all = append(all, newSealer(secret))
	}
	return all, errors.Join(problems...)
}

// seal returns purpose and content under a MAC. The purpose keeps the tokens of
// different uses apart.
func (k *sealer) seal(purpose byte, content []byte) string {
	b := make([]byte, 0, 6+len(content)+sha256.Size)
	b = append(b, stateVersion, purpose)
	b = append(b, k.id[:]...)
	b = append(b, content...)
	b = k.mac(b, b)
	return encode(b)
}

func (k *sealer) mac(dst, text []byte) []byte {
	mac := k.macs.Get().(hash.Hash)
	mac.Reset()
	mac.Write(text)
	dst = mac.Sum(dst)
	k.macs.Put(mac)
	return dst
}

var errSealed = errors.New("not made here, or with a key that is not known any more")

// open returns the content of what seal returned.
func (all sealers) open(purpose byte, text string, now time.Time) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < 6+sha256.Size || b[0] != stateVersion || b[1] != purpose {
		return nil, errSealed
	}
	end := len(b) - sha256.Size
	i := slices.IndexFunc(all, func(k sealer) bool { return k.id == [4]byte(b[2:6]) && (k.until.IsZero() || now.Before(k.until)) })
	if i < 0 || !hmac.Equal(all[i].mac(nil, b[:end]), b[end:]) {
		return nil, errSealed
	}
	return b[6:end], nil
}

// Purposes of sealed tokens.
const (
	purposeState    = 's'
	purposeHandover = 'h'
)

func (s *state) seal(key *sealer) string {
	b := make([]byte, 0, 512)
	b = binary.BigEndian.AppendUint64(b, uint64(s.expires))
	b = append(b, s.nonce[:]...)
	for _, text := range [...]string{s.issuer, s.clientID, s.target, s.storage} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return key.seal(purposeState, b)
}

// openState returns the state that a launch brings back.
func (all sealers) openState(text string, now time.Time) (*state, *Refusal) {
	switch {
	case text == "":
		return nil, refuse(ReasonState, "the request has no state")
	case len(text) > maxState:
		return nil, refuse(ReasonState, "the state is %d characters long", len(text))
	}
	b, err := all.open(purposeState, text, now)
	if err != nil || len(b) < 8+sha256.Size {
		return nil, refuse(ReasonState, "the state was %v", errSealed)
	}
	s := &state{expires: int64(binary.BigEndian.Uint64(b))}
	copy(s.nonce[:], b[8:])
	b = b[8+sha256.Size:]
	for _, field := range [...]*string{&s.issuer, &s.clientID, &s.target, &s.storage} {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return nil, refuse(ReasonState, "the state is damaged")
		}
		*field = string(b[size : size+int(n)])
		b = b[size+int(n):]
	}
	if late := now.Sub(time.Unix(s.expires, 0)); late >= 0 {
		return nil, &Refusal{
			Reason: ReasonStateExpired, Issuer: s.issuer, ClientID: s.clientID,
			Detail: fmt.Sprintf("the login began more than %v ago (%v too late)", StateLife, late.Round(time.Second)),
		}
	}
	return s, nil
}
