package lti

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/clientcreds"
	"go.acu.edu.au/runbook/internal/httpx"
)

// ServiceConfig says for which registration a [Service] makes calls.
type ServiceConfig struct {
	// Registration is that of the platform. Its TokenURL is required.
	Registration Registration
	// Keys are the tool's keys, which sign the assertions. Required.
	Keys *KeyRing
	// HTTP gives the transport, and a Timeout for one attempt. Its cookie jar
	// and redirect policy are not used. Nil means a transport of our own, without
	// a proxy, and a minute. For a registration that is External, private
	// addresses are not called, whatever the transport.
	HTTP *http.Client
	// UserAgent names the tool, as Canvas demands. Empty means "runbook-lti/1
	// (+https://go.acu.edu.au/runbook)".
	UserAgent string
}

const serviceUserAgent = "runbook-lti/1 (+https://go.acu.edu.au/runbook)"

// A Service makes the calls of LTI services for one registration: it gets access
// tokens, keeps them, and sends them to the hosts of the registration and nowhere
// else. Keep one for each registration, for as long as the process runs. It is
// safe for concurrent use.
//
// A token is asked for once for each token endpoint and set of scopes, however
// many callers wait for it, and replaced five minutes before it expires (or a
// tenth of its life, if that is less). Grants are paced as Canvas takes them:
// three at once, then one in 20 seconds.
type Service struct {
	reg   Registration
	sign  func(map[string]any) (string, error)
	calls *httpx.Client
	grant *httpx.Client
	pace  clientcreds.Pace

	mu      sync.Mutex
	sources map[string]*clientcreds.Source // by token URL
	refused map[string]refusedToken        // by token URL and scopes

	scores scoreTimes
}

// A refusedToken was new, and was refused all the same: another one would be too.
type refusedToken struct {
	access runbook.Secret
	at     time.Time
}

// Limits of what a Service keeps.
const (
	maxSources  = 1000        // token endpoints
	refusedTime = time.Minute // within which a refused new token is not replaced again
)

// NewService returns a Service, or all problems of cfg. It sends nothing.
func NewService(cfg ServiceConfig) (*Service, error) {
	var problems []error
	if err := cfg.Registration.Validate(); err != nil {
		problems = append(problems, err)
	}
	if cfg.Registration.TokenURL == "" {
		problems = append(problems, errors.New("lti: service: the registration has no TokenURL"))
	}
	if cfg.Keys == nil {
		problems = append(problems, errors.New("lti: service: Keys is not set"))
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = serviceUserAgent
	}
	if printable(cfg.UserAgent, len(cfg.UserAgent)) != cfg.UserAgent || strings.TrimSpace(cfg.UserAgent) == "" {
		problems = append(problems, errors.New("lti: service: UserAgent must be visible text"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if cfg.Registration.External {
		cfg.HTTP = httpx.PublicOnly(cfg.HTTP)
	}
	cfg.Registration.ServiceHosts = slices.Clone(cfg.Registration.ServiceHosts)
	s := &Service{
		reg: cfg.Registration, sign: cfg.Keys.Sign,
		sources: make(map[string]*clientcreds.Source), refused: make(map[string]refusedToken),
	}
	s.calls = httpx.New(httpx.Config{HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, Unrun: rejected, MaxRejections: 5})
	s.grant = httpx.New(httpx.Config{
		HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, Unrun: rejected, MaxRejections: 5, MaxBody: 1 << 20,
		Follow: func(*url.URL) bool { return false },
	})
	return s, nil
}

// rejected tells the HTTP path that a rejection by Canvas' rate limit did not
// run. The bucket leaks what a request reserves in five seconds.
func rejected(resp *http.Response, body []byte) (time.Duration, bool) {
	if !isThrottled(resp.StatusCode, resp.Header, body) {
		return 0, false
	}
	after, _ := httpx.RetryAfter(resp.Header)
	return max(5*time.Second, min(after, 30*time.Second)), true
}

// Registration returns the registration that the service is for.
func (s *Service) Registration() Registration {
	r := s.reg
	r.ServiceHosts = slices.Clone(r.ServiceHosts)
	return r
}

// A ServiceToken is an access token for a service.
type ServiceToken struct {
	// Access is the token.
	Access runbook.Secret
	// Expires is when it expires; zero means that the platform did not say.
	Expires time.Time
	// Scopes are those that were granted, sorted: all that were asked for, if
	// the platform did not say (RFC 6749, section 5.1).
	Scopes []string
	// Missing are those that were asked for and not granted, sorted. A platform
	// may grant fewer (LTI Core 1.3, section 6.2); that is no error.
	Missing []string
}

// Token returns an access token for the service at address and for the scopes,
// from memory if there is one. Of the address only the host matters, which must
// be one of the registration. The error is an [*Error].
//
// Calls need no Token: [Service.Do] gets its own.
func (s *Service) Token(ctx context.Context, address string, scopes ...string) (ServiceToken, error) {
	const op = "get an access token"
	u, err := s.parse(op, address)
	if err != nil {
		return ServiceToken{}, err
	}
	if len(scopes) == 0 {
		return ServiceToken{}, NewError(op, ErrInvalid, errors.New("no scope is named"))
	}
	token, err := s.token(ctx, op, u, scopes, runbook.Secret{})
	if e, ok := errors.AsType[*Error](err); ok {
		e.unrun = runbook.SafeToRetry(e.grant) // here the grant is the call
	}
	return token, err
}

// token returns a token other than stale.
func (s *Service) token(ctx context.Context, op string, u *url.URL, scopes []string, stale runbook.Secret) (ServiceToken, error) {
	source, err := s.source(s.tokenURL(u))
	if err != nil {
		return ServiceToken{}, ungranted(op, u.Host, err)
	}
	asked := sorted(scopes)
	token, err := source.Renew(ctx, stale, asked...)
	if err != nil {
		return ServiceToken{}, ungranted(op, u.Host, err)
	}
	out := ServiceToken{Access: token.Access, Expires: token.Expires, Scopes: asked}
	if token.Scopes != nil {
		out.Scopes = sorted(token.Scopes)
		for _, scope := range asked {
			if !slices.Contains(out.Scopes, scope) {
				out.Missing = append(out.Missing, scope)
			}
		}
	}
	return out, nil
}

func sorted(scopes []string) []string {
	scopes = slices.Clone(scopes)
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// tokenURL returns the token endpoint for the service at u.
func (s *Service) tokenURL(u *url.URL) string {
	return strings.Replace(s.reg.TokenURL, hostPlace, u.Host, 1)
}

// source returns what keeps the tokens of one token endpoint.
func (s *Service) source(tokenURL string) (*clientcreds.Source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if source := s.sources[tokenURL]; source != nil {
		return source, nil
	}
	source, err := clientcreds.New(clientcreds.Config{
		TokenURL: tokenURL, Assertion: s.assertion, Transport: s.grant.Reading(), Pace: &s.pace,
	})
	if err != nil {
		return nil, err
	}
	if len(s.sources) >= maxSources { // a registration with a wildcard may have any number
		for old := range s.sources {
			delete(s.sources, old)
			break
		}
	}
	s.sources[tokenURL] = source
	return source, nil
}

var errSign = errors.New("the assertion cannot be signed")

// assertion returns the signed assertion of one grant (Security Framework 1.0,
// section 4.1.1). Canvas takes an iat that is up to 30 seconds in its future and
// up to five minutes old (canvas-lms, lib/canvas/security); others take no exp
// further than five minutes away. The times leave room for a clock that is half a
// minute off on either side.
func (s *Service) assertion(_ context.Context, audience string) (runbook.Secret, error) {
	if s.reg.TokenAudience != "" {
		audience = s.reg.TokenAudience
	}
	now := time.Now()
	text, err := s.sign(map[string]any{
		"iss": s.reg.ClientID, "sub": s.reg.ClientID, "aud": audience,
		"iat": now.Add(-clockAhead).Unix(), "exp": now.Add(assertionLife).Unix(),
		"jti": rand.Text(),
	})
	if err != nil {
		return runbook.Secret{}, fmt.Errorf("%w: %w", errSign, err)
	}
	return runbook.NewSecret(text), nil
}

// parse reads the address of a service, and refuses one to which no token may go.
func (s *Service) parse(op, address string) (*url.URL, error) {
	if err := checkURL(address); err != nil {
		return nil, NewError(op, ErrInvalid, fmt.Errorf("the address of the service %w", err))
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, NewError(op, ErrInvalid, errors.New("the address of the service is not a URL"))
	}
	if !isHostName(u.Host) || !s.reg.ServesHost(u.Hostname()) {
		return nil, NewError(op, ErrHost, fmt.Errorf("%s: add it to ServiceHosts if it belongs to %s", quote(u.Host), quote(s.reg.Issuer)))
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

// isHostName reports whether a host, with port, has only characters that names
// and addresses have: url.Parse lets others pass.
func isHostName(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._:[]", r)
	})
}
