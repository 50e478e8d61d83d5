package ltitest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Platform is an LTI 1.3 platform in memory. The zero value is a small
// platform at https://platform.example with one course, a teacher and two
// students; add tools with [Platform.AddTool].
//
// It is as awkward as the specifications allow: aud is a list, its addresses have
// queries of their own, hints need escaping, lists come in pages of two. With
// Canvas set, it is as awkward as Canvas is.
//
// The fields are read from the first use on and must not be changed then; the
// methods may be called at any time. A Platform must not be copied. It is safe
// for concurrent use.
type Platform struct {
	// Issuer is iss. Empty means "https://platform.example", or that of Canvas for
	// Environment.
	Issuer string
	// Canvas makes it a hosted Canvas: its addresses, claims, checks and texts.
	Canvas bool
	// Environment is that of Canvas: "test", "beta" or "prod". Empty means "test".
	Environment string
	// Account is the host of the institution in Canvas, which has the services and
	// the token endpoint. Empty means "school.<environment>.instructure.com".
	Account string
	// BaseURL is where the platform is reached if it is served on a port, such as
	// "http://127.0.0.1:8080": all its addresses begin with it. Empty means that
	// they have the names of Issuer, or of Canvas, for [Platform.Client].
	BaseURL string
	// ClockSkew is how far the clock of the platform is ahead. It shows in
	// tokens, in the Date header and in the checks of what tools sign.
	ClockSkew time.Duration
	// OddKeys publishes, before the platform's own keys, keys that a tool must pass
	// over: one of an unknown curve, one without fields, one of an elliptic curve,
	// one of 1024 bits, and one for encryption. Some of [Cases] need them.
	OddKeys bool
	// AllowNoUserAgent lets requests without a User-Agent pass, which Canvas
	// answers with 403 since 2026. Other platforms do not look.
	AllowNoUserAgent bool
	// RequireUniqueJTI refuses an assertion that was used before. Canvas does not
	// look; others do.
	RequireUniqueJTI bool
	// GrantOnly are the only scopes that are granted, of those that are asked for.
	// Nil means all that the tool may have.
	GrantOnly []string
	// TokenLife is how long access tokens live. Zero means an hour.
	TokenLife time.Duration
	// RejectOlderScores answers a score that is not newer than the last with 409.
	// Otherwise it is ignored in silence, which AGS 2.0, section 3.4.9, allows.
	RejectOlderScores bool
	// PageSize is how many things a page has at most, whatever limit says. Zero
	// means 2.
	PageSize int
	// KeySet fetches the key set of a tool. Nil means by the tool's Handler, else
	// by HTTP. It is called without locks and must be safe for concurrent use.
	KeySet func(address string) ([]byte, error)
	// HTTP reaches tools that have no Handler, for their key sets and for notices.
	// Nil means that they cannot be reached.
	HTTP *http.Client
	// KeepRequests is how many requests the log keeps. Zero means 10,000,
	// negative none.
	KeepRequests int

	once sync.Once
	mu   sync.Mutex // guards what follows
	keys keyRing
	mux  *http.ServeMux
	ids  int

	tools      []*tool
	courses    []*course
	pending    map[string]*pending // logins by verifier
	loggedOut  bool
	tokens     map[string]*accessToken
	jtis       map[string]bool
	responses  []DeepLinkingResponse
	selections map[string]*selection // deep linking requests, by what is in the return address
	nonces     map[string]bool       // of deep linking responses
	invites    map[string]*invitation

	faults []*fault
	log    requestLog
	dial   error
	flight flight
}

// start fills the platform before its first use.
func (p *Platform) start() {
	p.once.Do(func() {
		now := p.now()
		for i := range p.keys.ring {
			p.keys.ring[i] = p.newKey(now.AddDate(0, i-1, 0))
		}
		p.pending = make(map[string]*pending)
		p.tokens = make(map[string]*accessToken)
		p.jtis = make(map[string]bool)
		p.nonces = make(map[string]bool)
		p.invites = make(map[string]*invitation)
		p.addCourse(defaultCourse())
		p.mux = p.routes()
	})
}

// lock starts the platform if need be, and locks it.
func (p *Platform) lock() func() {
	p.start()
	p.mu.Lock()
	return p.mu.Unlock
}

// now is the clock of the platform. Callers hold the lock.
func (p *Platform) now() time.Time { return time.Now().Add(p.ClockSkew) }

// SetClockSkew changes how far the platform's clock is ahead.
func (p *Platform) SetClockSkew(d time.Duration) {
	defer p.lock()()
	p.ClockSkew = d
}

// SetLoggedIn says whether the user has a session at the platform. Without one,
// authentication requests are answered with login_required, as Canvas does when
// its own cookie is blocked in a frame.
func (p *Platform) SetLoggedIn(on bool) {
	defer p.lock()()
	p.loggedOut = !on
}

// next counts what the platform makes, from 1.
func (p *Platform) next() int {
	p.ids++
	return p.ids
}

// opaque makes an id of 40 hexadecimal digits, the same each time.
func opaque(kind string, parts ...any) string {
	sum := sha256.Sum256([]byte(kind + fmt.Sprint(parts...)))
	return hex.EncodeToString(sum[:20])
}

// uuid makes a UUID, the same in each platform that does the same.
func (p *Platform) uuid() string {
	s := opaque("uuid", p.next())
	return s[:8] + "-" + s[8:12] + "-4" + s[13:16] + "-8" + s[17:20] + "-" + s[20:32]
}

// Endpoints are the addresses of a platform, which a tool's registration needs.
type Endpoints struct {
	Issuer string // iss
	// AuthURL is the OIDC authentication endpoint, JWKSURL the key set, TokenURL
	// the token endpoint.
	AuthURL, JWKSURL, TokenURL string
	// Configuration is the OpenID configuration, for dynamic registration.
	Configuration string
	// ServiceHost is the host of the services, without a port.
	ServiceHost string
}

// Endpoints returns the platform's addresses.
func (p *Platform) Endpoints() Endpoints {
	defer p.lock()()
	return p.endpoints()
}

func (p *Platform) endpoints() Endpoints {
	e := Endpoints{
		Issuer:  p.issuer(),
		AuthURL: p.front() + pathAuth, JWKSURL: p.front() + pathKeySet, TokenURL: p.back() + pathToken,
		Configuration: p.issuerHost() + pathConfiguration,
	}
	if !p.Canvas {
		e.AuthURL += "?tenant=main"
	}
	if u, err := url.Parse(p.back()); err == nil {
		e.ServiceHost = u.Hostname()
	}
	return e
}

// environment is that of Canvas, as it stands in host names.
func (p *Platform) environment() string {
	switch p.Environment {
	case "":
		return "test."
	case "prod":
		return ""
	}
	return p.Environment + "."
}

func (p *Platform) issuer() string {
	switch {
	case p.Issuer != "":
		return p.Issuer
	case p.Canvas:
		return "https://canvas." + p.environment() + "instructure.com"
	}
	return "https://platform.example"
}

func (p *Platform) base(host string) string {
	if p.BaseURL != "" {
		return strings.TrimSuffix(p.BaseURL, "/")
	}
	return "https://" + host
}

// issuerHost is the beginning of the addresses on the issuer's host.
func (p *Platform) issuerHost() string { return p.base(hostOf(p.issuer())) }

// front is the beginning of the addresses of the security endpoints.
func (p *Platform) front() string {
	if p.Canvas {
		return p.base("sso." + p.environment() + "canvaslms.com")
	}
	return p.issuerHost()
}

// account is the host of the services.
func (p *Platform) account() string {
	switch {
	case p.Account != "":
		return p.Account
	case p.Canvas:
		return "school." + p.environment() + "instructure.com"
	}
	return hostOf(p.issuer())
}

// back is the beginning of the addresses of the services.
func (p *Platform) back() string { return p.base(p.account()) }

// serves reports whether a request is for one of the platform's hosts.
func (p *Platform) serves(host string) bool {
	for _, own := range []string{p.issuerHost(), p.front(), p.back()} {
		if strings.EqualFold(hostOf(own), host) {
			return true
		}
	}
	return false
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// page is how many things a page has.
func (p *Platform) page(limit string) int {
	size := p.PageSize
	if size <= 0 {
		size = 2
	}
	if n, err := strconv.Atoi(limit); err == nil && n > 0 {
		size = min(size, n)
	}
	return size
}
