package canvas

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
)

// Config says which Canvas a [Client] talks to, and as whom.
type Config struct {
	// BaseURL is the address of the Canvas instance, scheme and host only:
	// "https://school.instructure.com". Plain http is for loopback addresses.
	// Required.
	BaseURL string

	// Token is an access token that somebody made in Canvas. Either Token or
	// Auth is required.
	Token runbook.Secret

	// Auth gives the access token if it has to be fetched or refreshed: an
	// [*OAuth], a [*ClientCredentials], or the host's own.
	Auth TokenSource

	// Throttle is shared by all clients in the process that use the same token.
	// Nil means one for this client alone.
	Throttle *Throttle

	// Priority is that of requests whose context says nothing else; see
	// [WithPriority]. Zero means Interactive.
	Priority Priority

	// HTTP gives the transport, and a Timeout for one attempt. Its cookie jar
	// and redirect policy are not used: a cookie would move requests into
	// another bucket, and a redirect could take the token elsewhere. Nil means
	// a transport of our own, without a proxy.
	HTTP *http.Client

	// UserAgent names the host program, as Canvas demands: "acu-ops/2.1
	// (ops@acu.edu.au)". Empty means "runbook (go.acu.edu.au/runbook)".
	UserAgent string

	// AttemptTimeout limits one attempt, without the wait for the bucket. Zero
	// means the Timeout of HTTP, or else a minute.
	AttemptTimeout time.Duration

	// MaxBody limits the size of an answer, in bytes. Zero means 16 MiB.
	MaxBody int64

	// Hooks are told of every attempt.
	Hooks Hooks
}

// A Client calls one Canvas with one token. It is safe for concurrent use.
type Client struct {
	base     url.URL
	auth     TokenSource
	throttle *Throttle
	priority Priority
	http     *httpx.Client
	outer    *httpx.Client // for services other than the API: no token, no throttle
}

// transferTimeout is how long a file may take on its way.
const transferTimeout = time.Hour

// DefaultUserAgent is sent if [Config] has no other.
const DefaultUserAgent = "runbook (go.acu.edu.au/runbook)"

// New returns a Client, or all problems of cfg. It sends nothing.
func New(cfg Config) (*Client, error) {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("canvas: "+format, args...))
	}
	base, err := parseBase(cfg.BaseURL)
	if err != nil {
		bad("base URL: %w", err)
	}
	switch {
	case cfg.Token.IsZero() && cfg.Auth == nil:
		bad("neither Token nor Auth is set")
	case !cfg.Token.IsZero() && cfg.Auth != nil:
		bad("both Token and Auth are set")
	case cfg.Auth == nil && !isHeaderValue(cfg.Token.Reveal()):
		bad("the token has characters that no token has, such as a line end")
	}
	if cfg.Priority > Bulk {
		bad("priority %d: is not known", cfg.Priority)
	}
	if cfg.AttemptTimeout < 0 || cfg.MaxBody < 0 {
		bad("AttemptTimeout and MaxBody must not be negative")
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = DefaultUserAgent
	}
	if !isHeaderValue(cfg.UserAgent) || strings.TrimSpace(cfg.UserAgent) == "" {
		bad("user agent: must be visible text")
	}
	if cfg.Throttle == nil {
		cfg.Throttle = &Throttle{mark: assumedMark}
	}
	if len(problems) == 0 {
		if err := cfg.Throttle.share(base.Host, cfg.Token); err != nil {
			bad("%w", err)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	c := &Client{base: base, auth: cfg.Auth, throttle: cfg.Throttle, priority: cfg.Priority}
	if c.auth == nil {
		c.auth = static{cfg.Token}
	}
	c.http = httpx.New(httpx.Config{
		HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, AttemptTimeout: cfg.AttemptTimeout, MaxBody: cfg.MaxBody,
		Admit: func(next http.RoundTripper) http.RoundTripper {
			return &admission{t: cfg.Throttle, hooks: cfg.Hooks, next: next}
		},
		Unrun:  unrun,
		Follow: func(to *url.URL) bool { return !isLogin(to) },
	})
	c.outer = httpx.New(httpx.Config{HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, AttemptTimeout: transferTimeout, MaxBody: cfg.MaxBody})
	return c, nil
}

// unrun tells the HTTP path that a rejection by the bucket did not run.
func unrun(resp *http.Response, body []byte) (time.Duration, bool) {
	if !isThrottled(resp.StatusCode, resp.Header, body) {
		return 0, false
	}
	return rejectionWait(resp.Header), true
}

// parseBase reads the address of a Canvas instance. The text is not quoted in
// the error: it may hold a password.
func parseBase(text string) (url.URL, error) {
	if text == "" {
		return url.URL{}, errors.New("is empty")
	}
	u, err := url.Parse(text)
	if err != nil {
		return url.URL{}, errors.New("is not a URL")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return url.URL{}, errors.New("must have the form https://host")
	case u.User != nil:
		return url.URL{}, errors.New("must have no user or password")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return url.URL{}, errors.New("must have no path, query or fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return url.URL{}, errors.New("must be https: over http the token could be read by anybody on the way")
	}
	return url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func isHeaderValue(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}

// isLogin reports whether an address is Canvas's login page, to which it sends
// whoever is not authenticated and does not ask for JSON.
func isLogin(u *url.URL) bool {
	return u.Path == "/login" || strings.HasPrefix(u.Path, "/login/")
}

// Throttle returns the throttle of the client, for [Throttle.Stats],
// [Throttle.SetLimit], and other clients with the same token.
func (c *Client) Throttle() *Throttle { return c.throttle }

// BaseURL returns the address of the Canvas instance, without a slash at its end.
func (c *Client) BaseURL() string { return c.base.String() }

type priorityKey struct{}

// WithPriority returns a context whose requests have the priority p, whatever
// that of the client.
func WithPriority(ctx context.Context, p Priority) context.Context {
	return context.WithValue(ctx, priorityKey{}, p)
}
