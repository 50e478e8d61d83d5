package railway

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

// DefaultEndpoint is the address of Railway's public API.
const DefaultEndpoint = "https://backboard.railway.com/graphql/v2"

// DefaultUserAgent is sent if [Config] has no other.
const DefaultUserAgent = "runbook (go.acu.edu.au/runbook)"

// TokenKind says what sort of token a token is. It decides the header in which it
// is sent, and what it can do (https://docs.railway.com/integrations/api).
type TokenKind string

// The kinds of tokens.
const (
	// AccountToken acts for a person, everywhere. It was made without a workspace,
	// or comes from OAuth.
	AccountToken TokenKind = "account"
	// WorkspaceToken acts in one workspace.
	WorkspaceToken TokenKind = "workspace"
	// ProjectToken acts in one environment of one project. It can do what an
	// incident needs, and can create neither projects nor environments.
	ProjectToken TokenKind = "project"
)

// Config says which Railway a [Client] talks to, and as whom.
type Config struct {
	// Kind is the kind of the token. Required: the token itself does not tell, and
	// programs disagree on what the variable RAILWAY_TOKEN holds.
	Kind TokenKind

	// Token is the token. Either Token or Auth is required.
	Token runbook.Secret

	// Auth gives the token for each call, if it changes while the program runs. It
	// may be called concurrently.
	Auth func(ctx context.Context) (runbook.Secret, error)

	// Endpoint is the address of the API. Empty means [DefaultEndpoint]. Plain http
	// is for loopback addresses.
	Endpoint string

	// Source is sent with each call as ?source=, which also keeps the calls out of
	// the far lower limit that the edge has for requests without a query. Empty
	// means "runbook".
	Source string

	// Budget is shared by all clients in the process that use the same token. Nil
	// means one for this client alone.
	Budget *Budget

	// HTTP gives the transport, and a Timeout for one attempt. WebSockets go
	// through it too. Its cookie jar and redirect policy are not used. Nil means a
	// transport of our own, without a proxy.
	HTTP *http.Client

	// UserAgent names the host program. Empty means [DefaultUserAgent].
	UserAgent string

	// Timeout limits one attempt. Zero means the Timeout of HTTP, or else 90 s:
	// Railway takes longer than 30 s to copy a large environment.
	Timeout time.Duration

	// Polling keeps the client from opening WebSockets. Waiting and following then
	// cost a call every few seconds.
	Polling bool

	// Hooks are told of every call.
	Hooks Hooks
}

// Hooks are told what a [Client] does. A nil func is not called. They are called
// by the goroutine of the call and must not block.
type Hooks struct {
	// OnCall is called when a call has ended, for logs and metrics.
	OnCall func(context.Context, CallInfo)
}

// CallInfo is one call of the API.
type CallInfo struct {
	// Op is what was done, in a few words; it has no secret in it.
	Op string
	// Mutation says that the call changes something.
	Mutation bool
	// Attempts is how many requests were made.
	Attempts int
	// Duration is how long it took, with all waits.
	Duration time.Duration
	// Err is its error, or nil.
	Err error
}

// A Client calls Railway with one token. It is safe for concurrent use.
type Client struct {
	kind     TokenKind
	auth     func(ctx context.Context) (runbook.Secret, error)
	endpoint *url.URL
	budget   *Budget
	http     *httpx.Client
	raw      *http.Client // for WebSockets
	agent    string
	timeout  time.Duration
	polling  bool
	hooks    Hooks

	restoring busy // by environment
	diagnosed diagnosis
}

// New returns a Client, or all problems of cfg. It sends nothing.
func New(cfg Config) (*Client, error) {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("railway: "+format, args...))
	}
	switch cfg.Kind {
	case AccountToken, WorkspaceToken, ProjectToken:
	case "":
		bad("kind of token: is missing; it is account, workspace or project")
	default:
		bad("kind of token %q: must be account, workspace or project", string(cfg.Kind))
	}
	switch {
	case cfg.Token.IsZero() && cfg.Auth == nil:
		bad("neither Token nor Auth is set")
	case !cfg.Token.IsZero() && cfg.Auth != nil:
		bad("both Token and Auth are set")
	case cfg.Auth == nil && !isToken(cfg.Token.Reveal()):
		bad("the token has characters that no token has, such as a space or a line end")
	}
	endpoint, err := parseEndpoint(cfg.Endpoint)
	if err != nil {
		bad("endpoint: %w", err)
	}
	if cfg.Timeout < 0 {
		bad("Timeout must not be negative")
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = DefaultUserAgent
	}
	if !isVisible(cfg.UserAgent) {
		bad("user agent: must be visible text")
	}
	if cfg.Budget != nil && (cfg.Budget.PerSecond < 0 || cfg.Budget.MaxWait < 0) {
		bad("budget: PerSecond and MaxWait must not be negative")
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return newClient(cfg, endpoint), nil
}

func newClient(cfg Config, endpoint *url.URL) *Client {
	if cfg.Source == "" {
		cfg.Source = "runbook"
	}
	endpoint.RawQuery = url.Values{"source": {cfg.Source}}.Encode()
	if cfg.Budget == nil {
		cfg.Budget = &Budget{}
	}
	c := &Client{
		kind: cfg.Kind, auth: cfg.Auth, endpoint: endpoint, budget: cfg.Budget, agent: cfg.UserAgent,
		timeout: cfg.Timeout, polling: cfg.Polling, hooks: cfg.Hooks, raw: &http.Client{},
		diagnosed: diagnosis{turn: make(chan struct{}, 1)},
	}
	if c.auth == nil {
		c.auth = func(context.Context) (runbook.Secret, error) { return cfg.Token, nil }
	}
	if cfg.HTTP != nil {
		c.raw.Transport = cfg.HTTP.Transport
		if c.timeout == 0 {
			c.timeout = cfg.HTTP.Timeout
		}
	}
	if c.timeout == 0 {
		c.timeout = 90 * time.Second
	}
	c.http = httpx.New(httpx.Config{
		HTTP: cfg.HTTP, UserAgent: c.agent, AttemptTimeout: c.timeout, MaxBody: maxAnswer, MaxRejections: 3,
		Admit: func(next http.RoundTripper) http.RoundTripper { return &admission{b: cfg.Budget, next: next} },
		Unrun: cfg.Budget.unrun,
	})
	return c
}

// maxAnswer is the largest answer that is read: 5,000 log lines with attributes.
const maxAnswer = 64 << 20

// parseEndpoint reads the address of the API. The text is not quoted in the error:
// it may hold a password.
func parseEndpoint(text string) (*url.URL, error) {
	if text == "" {
		text = DefaultEndpoint
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("is not a URL")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, errors.New("must have the form https://host/graphql/v2")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("must have no user, password, query or fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, errors.New("must be https: over http the token could be read by anybody on the way")
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func isVisible(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return strings.TrimSpace(s) != ""
}

func isToken(s string) bool { return isVisible(s) && !strings.Contains(s, " ") }

// Budget returns the budget of the client, for [Budget.Stats] and for other clients
// with the same token.
func (c *Client) Budget() *Budget { return c.budget }

// authorize puts a token into the header that its kind needs.
func (k TokenKind) authorize(h http.Header, token runbook.Secret) {
	if k == ProjectToken {
		h.Set("Project-Access-Token", token.Reveal())
		return
	}
	h.Set("Authorization", "Bearer "+token.Reveal())
}
