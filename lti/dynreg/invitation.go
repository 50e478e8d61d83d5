package dynreg

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"go.acu.edu.au/runbook"
)

// An Invitation is for one registration.
type Invitation struct {
	// For says for whom it is, in words of the host program: the id of a customer.
	// It comes back with the registration, and is shown to the person who confirms.
	// It is sealed and not encrypted. At most 200 bytes.
	For string `json:"f,omitempty"`
	// Issuer is the platform that it is for, letter by letter. Empty means any that
	// the Config takes. Give it if it is known.
	Issuer string `json:"i,omitempty"`
	// Hosts are trusted to be the platform's, as [Trust].Hosts are: the
	// institution's own domain for Canvas, for example. They need an Issuer.
	Hosts []string `json:"h,omitempty"`
	// Life is how long it can be used. Zero means 3 days; at most 30.
	Life time.Duration `json:"-"`
}

const (
	defaultLife   = 72 * time.Hour
	maxLife       = 30 * 24 * time.Hour
	maxInvitation = 1500 // bytes of what is sealed
	maxFor        = 200

	paramInvitation    = "invitation"
	paramConfiguration = "openid_configuration"
	paramToken         = "registration_token"
	fieldConfirm       = "confirm"
)

// Invite returns the address that an administrator enters at the platform, for one
// registration. It stores nothing and asks nobody. Whoever has the address can
// register a platform: give it to the administrator in private, and do not log it.
func (r *Registrar) Invite(i Invitation) (address string, err error) {
	var p problems
	if len(i.For) > maxFor {
		p.add("dynreg: invitation: For has %d bytes, more than %d", len(i.For), maxFor)
	}
	if i.Issuer != "" {
		if err := checkAddress(i.Issuer); err != nil {
			p.add("dynreg: invitation: Issuer: %w", err)
		}
	} else if len(i.Hosts) > 0 {
		p.add("dynreg: invitation: Hosts need an Issuer, else anybody's platform could claim them")
	}
	for _, host := range i.Hosts {
		if !isHostPattern(host) {
			p.add("dynreg: invitation: host %s: must be a host name, or one after \"*.\"", quote(host))
		}
	}
	if i.Life < 0 || i.Life > maxLife {
		p.add("dynreg: invitation: Life %v: must be between 0 and %v", i.Life, maxLife)
	}
	if i.Life == 0 {
		i.Life = defaultLife
	}
	content, err := json.Marshal(i)
	if err != nil {
		p.add("dynreg: invitation: %w", err)
	}
	if len(content) > maxInvitation {
		p.add("dynreg: invitation: %d bytes, more than %d", len(content), maxInvitation)
	}
	if err := p.join(); err != nil {
		return "", err
	}
	id := make([]byte, idSize)
	_, _ = rand.Read(id) // never fails
	token := r.sealers[0].seal(purposeInvitation, time.Now().Add(i.Life), append(id, content...))
	u, err := url.Parse(r.cfg.URL)
	if err != nil {
		return "", fmt.Errorf("dynreg: URL: %w", err) // cannot be: New checked it
	}
	query := u.Query()
	query.Set(paramInvitation, token)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// An invitation is one that was opened.
type invitation struct {
	Invitation
	id    string
	until time.Time
}

func (r *Registrar) openInvitation(token string) (*invitation, *Error) {
	if token == "" {
		return nil, fail(ReasonInvitation, "the request has no invitation")
	}
	content, until, err := r.open(purposeInvitation, token)
	switch {
	case errors.Is(err, errLate):
		return nil, fail(ReasonExpired, "its time was over at %s", until.UTC().Format(time.RFC3339))
	case err != nil || len(content) < idSize:
		return nil, fail(ReasonInvitation, "the invitation was %v", errSealed)
	}
	in := &invitation{id: string(content[:idSize]), until: until}
	if json.Unmarshal(content[idSize:], &in.Invitation) != nil {
		return nil, fail(ReasonInvitation, "the invitation is of another version of this package")
	}
	return in, nil
}

// Seals. A token is version, purpose, id of the key, end in seconds since 1970,
// content and MAC.
const (
	sealVersion       = 1
	purposeInvitation = 'i'
	purposeConfirm    = 'c'
	sealHead          = 1 + 1 + 4 + 8
	idSize            = 16
)

var (
	errSealed = errors.New("not made here, or with a key that is not known any more")
	errLate   = errors.New("its time is over")
)

type sealer struct {
	id  [4]byte
	key []byte
}

// newSealer derives the key of this purpose from a secret.
func newSealer(secret runbook.Secret) sealer {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write([]byte("runbook lti registration v1"))
	key := mac.Sum(nil)
	id := sha256.Sum256(key)
	return sealer{id: [4]byte(id[:4]), key: key}
}

func (s *sealer) mac(text []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(text)
	return mac.Sum(nil)
}

func (s *sealer) seal(purpose byte, until time.Time, content []byte) string {
	b := make([]byte, 0, sealHead+len(content)+sha256.Size)
	b = append(b, sealVersion, purpose)
	b = append(b, s.id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(until.Unix()))
	b = append(b, content...)
	b = append(b, s.mac(b)...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// open returns the content of what seal returned. With errLate it was made here,
// and until says when its time was over.
func (r *Registrar) open(purpose byte, token string) (content []byte, until time.Time, err error) {
	const most = (sealHead + idSize + maxInvitation + sha256.Size) * 4 / 3
	if len(token) > most+3 {
		return nil, until, errSealed
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) < sealHead+sha256.Size || b[0] != sealVersion || b[1] != purpose {
		return nil, until, errSealed
	}
	end := len(b) - sha256.Size
	i := slices.IndexFunc(r.sealers, func(s sealer) bool { return s.id == [4]byte(b[2:6]) })
	if i < 0 || !hmac.Equal(r.sealers[i].mac(b[:end]), b[end:]) {
		return nil, until, errSealed
	}
	until = time.Unix(int64(binary.BigEndian.Uint64(b[6:])), 0)
	if !time.Now().Before(until) {
		return nil, until, errLate
	}
	return b[sealHead:end], until, nil
}
