package dynreg

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
	"go.acu.edu.au/runbook/lti"
)

// Config says what a [Registrar] registers, and for whom.
type Config struct {
	// URL is the address of the handler as browsers see it. https; it may have a
	// query. Required.
	URL string
	// Tool is what platforms are told about the tool. Required.
	Tool Tool
	// Keys seal invitations. The first seals, all of them open, so that a key can be
	// replaced while invitations are out. All replicas need the same. 32 random
	// bytes or more each, of no other use. One is required.
	Keys []runbook.Secret
	// Store keeps a registration. It is called once, before the page says that all
	// is well; its context lives on for half a minute when the browser has gone.
	// What it keeps is to be found by lti.Config.Lookup from then on. If it returns
	// an error the platform has a registration that the tool does not know
	// ([ReasonStore]). Required.
	Store func(ctx context.Context, r Registered) error

	// Nonces remembers used invitations. Replicas share one, which may be that of
	// the launches. Nil means a store in memory, for a single process: after a
	// restart an invitation that was used can be used again, until it expires.
	Nonces lti.NonceStore
	// Trusted are the platforms that have several hosts. What hosted Canvas has at
	// the institution's host, below instructure.com, and at sso.canvaslms.com is
	// known; an institution's own domain for it ("canvas.example.edu") has to be
	// listed here, or named by the [Invitation].
	Trusted []Trust
	// OnlyTrusted refuses platforms that are not in Trusted.
	OnlyTrusted bool
	// Accept can refuse a platform, by its account for example. It is called before
	// the person is asked, and again before anything is sent. Nil accepts.
	Accept func(ctx context.Context, p Platform, i Invitation) error

	// FrameAncestors are the sources that may show the page in a frame, beside the
	// platform's own hosts, in the form of Content-Security-Policy:
	// "https://learn.example.org". Origins among them are told when the page is
	// done, so that the platform can close it.
	FrameAncestors []string
	// HTTP calls the platform. Its transport is copied, and calls public addresses
	// only; see the package comment. Of a transport that is not an [*http.Transport]
	// only the host in the address can be looked at: it has to refuse private
	// addresses itself. Nil means a transport of this package.
	HTTP *http.Client
	// UserAgent names the tool. Canvas refuses calls without one. Empty means
	// "runbook-lti/1".
	UserAgent string
	// Hooks tell the host program what happens.
	Hooks Hooks
}

// Trust says which hosts a platform has, beside that of its issuer. A host is
// "school.example.edu", with a port if it is not 443, or "*.example.edu" for all
// below.
type Trust struct {
	// Issuer is the platform, letter by letter. Required.
	Issuer string
	// ConfigurationHosts may have the platform's configuration. Whoever can put a
	// file there can be this platform.
	ConfigurationHosts []string
	// Hosts may have the registration endpoint, which gets the registration token,
	// and are the platform's where access tokens are concerned: see
	// [Registered].Registration.
	Hosts []string
}

// Hooks are called synchronously and must not block. All may be nil.
type Hooks struct {
	// OnError is called for each request that does not end in a registration.
	// Anybody can cause those that have no valid invitation: count them, and log
	// them at a limited rate.
	OnError func(ctx context.Context, e *Error)
}

// Limits.
const (
	maxDocument  = 1 << 20          // bytes of a platform's answer
	maxQuery     = 16 << 10         // bytes of the address of a request: it has the registration token, twice with Canvas
	maxForm      = 4 << 10          // bytes of a confirmation
	maxFetches   = 16               // configurations that are fetched at a time
	fetchTimeout = 10 * time.Second // of one attempt
	sendTimeout  = 30 * time.Second
	storeTimeout = 30 * time.Second
	pageLife     = 30 * time.Minute // between seeing the page and confirming it
	minKey       = 32
)

// A Registrar registers a tool at platforms. Make one with [New].
type Registrar struct {
	cfg     Config
	trusted map[string]Trust
	sealers []sealer
	nonces  lti.NonceStore
	read    *httpx.Client
	send    *httpx.Client
	slots   chan struct{}
}

// New returns a Registrar, or everything that is wrong with cfg.
func New(cfg Config) (*Registrar, error) {
	var p problems
	if err := checkAddress(cfg.URL); err != nil {
		p.add("dynreg: URL: %w", err)
	}
	cfg.Tool = cfg.Tool.clone()
	cfg.Tool.check(&p)
	r := &Registrar{trusted: make(map[string]Trust), slots: make(chan struct{}, maxFetches), nonces: cfg.Nonces}
	for i, key := range cfg.Keys {
		if len(key.Reveal()) < minKey {
			p.add("dynreg: key %d is shorter than %d bytes", i+1, minKey)
			continue
		}
		r.sealers = append(r.sealers, newSealer(key))
	}
	if len(cfg.Keys) == 0 {
		p.add("dynreg: Keys is empty: make a key of %d random bytes, and give it to all replicas", minKey)
	}
	if cfg.Store == nil {
		p.add("dynreg: Store is required: without it the platform would have a registration that nobody knows")
	}
	for _, t := range cfg.Trusted {
		r.trust(t, &p)
	}
	if cfg.OnlyTrusted && len(cfg.Trusted) == 0 {
		p.add("dynreg: OnlyTrusted without Trusted refuses every platform")
	}
	for _, source := range cfg.FrameAncestors {
		if source == "" || strings.ContainsAny(source, " ;,\r\n\t\"") {
			p.add("dynreg: frame ancestor %s: must be one source", quote(source))
		}
	}
	if err := p.join(); err != nil {
		return nil, err
	}
	cfg.FrameAncestors = slices.Clone(cfg.FrameAncestors)
	if cfg.UserAgent == "" {
		cfg.UserAgent = "runbook-lti/1"
	}
	if r.nonces == nil {
		r.nonces = new(lti.MemoryNonces)
	}
	r.cfg = cfg
	public := httpx.PublicOnly(cfg.HTTP)
	public.Timeout = 0 // the time-outs here are those of the steps
	r.read = httpx.New(httpx.Config{HTTP: public, UserAgent: cfg.UserAgent, AttemptTimeout: fetchTimeout, MaxBody: maxDocument, Retries: 1, MaxWait: 2 * time.Second})
	r.send = httpx.New(httpx.Config{HTTP: public, UserAgent: cfg.UserAgent, AttemptTimeout: sendTimeout, MaxBody: maxDocument, Retries: -1, MaxRejections: 1})
	return r, nil
}
