package lti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook"
)

// Config says what a [Tool] is. LaunchURL, StateKeys and registrations are
// required.
type Config struct {
	// LaunchURL is the address of the launch handler as browsers see it, the
	// redirect URI that was registered with each platform. https; http on
	// loopback. Required.
	LaunchURL string
	// StateKeys seal the state of logins. The first seals, all of them open, so
	// that a key can be replaced without breaking logins in flight. All replicas
	// need the same. 32 random bytes or more each. One is required.
	StateKeys []runbook.Secret
	// Registrations are those that are known from the start.
	Registrations []Registration
	// Lookup returns the registrations of an issuer, or those with that client id
	// if it is not empty, for a host that keeps them elsewhere: none is no error.
	// It is called for what is not in Registrations, by requests of anybody: it
	// should answer from memory.
	Lookup func(ctx context.Context, issuer, clientID string) ([]Registration, error)

	// Nonces remembers used nonces. Replicas share one. Nil means a [MemoryNonces]
	// of this tool, for a single process.
	Nonces NonceStore
	// KeySets are the platforms' keys. Tools of one process can share them. Nil
	// means KeySets of this tool, made with HTTP.
	KeySets *KeySets
	// HTTP fetches key sets if KeySets is nil. Nil means a client of this package.
	HTTP *http.Client
	// Keys are the tool's own keys, which sign deep linking responses. Nil means
	// that there are none.
	Keys *KeyRing

	// Targets are origins beside that of LaunchURL to which a target link URI may
	// belong: "https://old.example.org". Logins for others are refused, so that a
	// host can redirect to the target.
	Targets []string
	// SameTarget reports whether a launch for target is one of a login for login,
	// where the two are not equal. Nil means that they have to be equal (LTI Core
	// 1.3, section 5.3.4).
	SameTarget func(login, target string) bool
	// MessageTypes are taken beside those that the package knows.
	MessageTypes []string

	// Leeway is how far clocks may differ. Zero means a minute; at most 5 minutes.
	Leeway time.Duration
	// MaxTokenAge refuses tokens that were issued longer ago. Zero means any age:
	// Canvas makes a token when the login begins, and delivers it up to 5 minutes
	// later. Less than 10 minutes is an error.
	MaxTokenAge time.Duration
	// MaxTokenLife refuses tokens that expire later, since their nonces have to be
	// remembered. Zero means a day. Tokens of Canvas live an hour.
	MaxTokenLife time.Duration

	// Deployment decides on a deployment that is not in [Registration].Deployments:
	// nil accepts the launch, an error refuses it. Everything else of the launch is
	// verified by then, but for its nonce. In Canvas each installation, in an
	// account or course, is a deployment. It is asked about the notices of
	// [Tool.VerifyNotice] too: l has no MessageType, user or context then. A nil
	// func refuses.
	Deployment func(ctx context.Context, r Registration, l *Launch) error
	// Accept can refuse a launch that is valid, for example of a user who is
	// suspended. It is called before the nonce is used. Nil accepts.
	Accept func(ctx context.Context, l *Launch) error

	// FrameAncestors are the sources that may show the tool in a frame, beside
	// those that follow from the registrations, in the form of Content-Security-
	// Policy: "https://learn.example.org". Institutions whose Canvas has a domain of
	// its own need it.
	FrameAncestors []string
	// ErrorPage shows the user why he cannot be let in. Nil means a page of this
	// package. It must escape what it shows, and should show no Detail.
	ErrorPage func(w http.ResponseWriter, r *http.Request, refusal *Refusal)
	// Hooks tell the host what happens.
	Hooks Hooks
}

// Hooks are called synchronously, without locks, and must not block. Each may be
// nil.
type Hooks struct {
	// OnRefusal is called for each login or launch that is refused. Anybody can
	// cause refusals: count them, and log them at a limited rate.
	OnRefusal func(ctx context.Context, r *Refusal)
}

// A Tool is the tool side of LTI 1.3: its handlers answer login initiations and
// launches. [New] makes one. It is safe for concurrent use.
type Tool struct {
	cfg     Config
	origin  string
	targets []string
	keySets *KeySets
	nonces  NonceStore
	sealers atomic.Pointer[sealers]
	rotate  sync.Mutex

	registrations map[identityKey]*known
	byIssuer      map[string][]*known
	frames        string // sources for pages of no registration
}

// identityKey is what identifies a registration.
type identityKey struct{ issuer, clientID string }

// known is a registration that is ready to use.
type known struct {
	Registration
	authPrefix string // of the authentication request
	frames     string // sources for Content-Security-Policy
}

// New returns a Tool, or everything that is wrong with cfg. It sends nothing.
func New(cfg Config) (*Tool, error) {
	t := &Tool{registrations: make(map[identityKey]*known), byIssuer: make(map[string][]*known)}
	problems := []error{t.setDefaults(&cfg)}
	t.cfg = cfg
	all, err := newSealers(cfg.StateKeys)
	problems = append(problems, err)
	if len(cfg.StateKeys) == 0 {
		problems = append(problems, errors.New("lti: StateKeys is empty: make a key of 32 random bytes, and give it to all replicas"))
	}
	t.sealers.Store(&all)
	if len(cfg.Registrations) == 0 && cfg.Lookup == nil {
		problems = append(problems, errors.New("lti: there is neither a registration nor a Lookup"))
	}
	for _, r := range cfg.Registrations {
		key := identityKey{r.Issuer, r.ClientID}
		k, err := t.know(r)
		if t.registrations[key] != nil {
			err = fmt.Errorf("lti: registration of %s, client %s: comes twice", quote(r.Issuer), quote(r.ClientID))
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		t.registrations[key] = k
		t.byIssuer[r.Issuer] = append(t.byIssuer[r.Issuer], k)
	}
	t.frames = t.framesOfAll()
	t.keySets, t.nonces = cfg.KeySets, cfg.Nonces
	if t.keySets == nil {
		t.keySets, err = NewKeySets(KeySetsConfig{HTTP: cfg.HTTP})
		problems = append(problems, err)
	}
	if t.nonces == nil {
		t.nonces = new(MemoryNonces)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Tool) setDefaults(cfg *Config) error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf("lti: "+format, args...)) }
	if err := checkPage(cfg.LaunchURL); err != nil {
		add("LaunchURL: %w", err)
	} else {
		t.origin = originOf(cfg.LaunchURL)
		t.targets = []string{t.origin}
	}
	for _, target := range cfg.Targets {
		if err := checkPage(target); err != nil {
			add("target %s: %w", quote(target), err)
		} else if strings.TrimSuffix(target, "/") != originOf(target) {
			add("target %s: must be an origin, https://host", quote(target))
		} else {
			t.targets = append(t.targets, originOf(target))
		}
	}
	for _, source := range cfg.FrameAncestors {
		if source == "" || strings.ContainsAny(source, " ;,\r\n\t\"") {
			add("frame ancestor %s: must be one source", quote(source))
		}
	}
	if cfg.Leeway < 0 || cfg.Leeway > 5*time.Minute {
		add("Leeway %v: must be between 0 and 5m", cfg.Leeway)
	}
	if cfg.MaxTokenAge < 0 || cfg.MaxTokenAge > 0 && cfg.MaxTokenAge < 10*time.Minute {
		add("MaxTokenAge %v: must be 10m or more, since a token of Canvas may be 5 minutes old", cfg.MaxTokenAge)
	}
	if cfg.MaxTokenLife < 0 {
		add("MaxTokenLife %v: must not be negative", cfg.MaxTokenLife)
	}
	if cfg.Leeway == 0 {
		cfg.Leeway = time.Minute
	}
	if cfg.MaxTokenLife == 0 {
		cfg.MaxTokenLife = 24 * time.Hour
	}
	cfg.Registrations = slices.Clone(cfg.Registrations)
	cfg.MessageTypes, cfg.FrameAncestors = slices.Clone(cfg.MessageTypes), slices.Clone(cfg.FrameAncestors)
	return errors.Join(problems...)
}

// know makes a registration ready to use.
func (t *Tool) know(r Registration) (*known, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	prefix, err := authPrefix(r, t.cfg.LaunchURL)
	if err != nil {
		return nil, err
	}
	r.Deployments, r.TrustedAudiences, r.Algorithms = slices.Clone(r.Deployments), slices.Clone(r.TrustedAudiences), slices.Clone(r.Algorithms)
	return &known{Registration: r, authPrefix: prefix, frames: t.framesOf(r)}, nil
}

// find returns the registration of a login: the one with that client id, or the
// only one of the issuer.
func (t *Tool) find(ctx context.Context, issuer, clientID string) (*known, *Refusal) {
	all := t.byIssuer[issuer]
	if clientID != "" {
		all = nil
		if k := t.registrations[identityKey{issuer, clientID}]; k != nil {
			return k, nil
		}
	}
	if t.cfg.Lookup != nil {
		more, err := t.cfg.Lookup(ctx, issuer, clientID)
		if err != nil {
			return nil, &Refusal{Reason: ReasonStore, Detail: "the registrations could not be read", cause: err}
		}
		for _, r := range more {
			// What the host returns is not believed to be what was asked for, and does
			// not replace what is known.
			if r.Issuer != issuer || clientID != "" && r.ClientID != clientID || slices.ContainsFunc(all, func(k *known) bool { return k.ClientID == r.ClientID }) {
				continue
			}
			k, err := t.know(r)
			if err != nil {
				return nil, &Refusal{Reason: ReasonRegistration, cause: err}
			}
			all = append(slices.Clip(all), k)
		}
	}
	switch {
	case len(all) == 1:
		return all[0], nil
	case len(all) == 0 && clientID == "":
		return nil, refuse(ReasonRegistration, "no registration for issuer %s", quote(issuer))
	case len(all) == 0:
		return nil, refuse(ReasonRegistration, "no registration for issuer %s and client %s", quote(issuer), quote(clientID))
	}
	return nil, refuse(ReasonRegistration, "issuer %s has %d registrations, and the login says no client_id", quote(issuer), len(all))
}

// SetStateKeys replaces the keys that seal the state of logins: the first seals,
// all of them open. A key that is not among them any more still opens states for
// [StateLife], so that logins in flight can be completed, unless compromised is
// true: then they are refused at once, and users launch again.
//
// With several replicas, first give the new key to all of them, after the old
// one; then make it the first.
func (t *Tool) SetStateKeys(keys []runbook.Secret, compromised bool) error {
	fresh, err := newSealers(keys)
	if err == nil && len(keys) == 0 {
		err = errors.New("lti: there has to be a state key")
	}
	if err != nil {
		return err
	}
	t.rotate.Lock()
	defer t.rotate.Unlock()
	if !compromised {
		now := time.Now()
		for _, old := range *t.sealers.Load() {
			if slices.ContainsFunc(fresh, func(s sealer) bool { return s.id == old.id }) || !old.until.IsZero() && now.After(old.until) {
				continue
			}
			if old.until.IsZero() {
				old.until = now.Add(StateLife + time.Minute) // for one that is being sealed now
			}
			fresh = append(fresh, old)
		}
	}
	t.sealers.Store(&fresh)
	return nil
}

// PurgeNonces removes nonces whose tokens have expired, which is what can be done
// about a nonce store that is too large. Live nonces are never removed: their
// tokens could be used again.
func (t *Tool) PurgeNonces(ctx context.Context) (removed int, err error) {
	return t.nonces.PurgeExpired(ctx)
}

// originOf returns the origin of an address as browsers write it.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}
