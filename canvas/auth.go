package canvas

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/clientcreds"
	"go.acu.edu.au/runbook/internal/httpx"
)

// A TokenSource gives a [Client] its access token.
//
// Implementations must be safe for concurrent use, and should honour the
// context. No error may contain the token.
type TokenSource interface {
	// Token returns the token to use now. It is called for each request and
	// should answer from memory as long as it can.
	Token(ctx context.Context) (runbook.Secret, error)
	// Renew is called when Canvas did not accept stale, and returns another
	// token, or an error if there is none. If it was renewed already since
	// stale was given out, it returns what it has. Calls at the same time must
	// lead to one renewal.
	Renew(ctx context.Context, stale runbook.Secret) (runbook.Secret, error)
}

// static is a token that somebody made.
type static struct{ token runbook.Secret }

func (s static) Token(context.Context) (runbook.Secret, error) { return s.token, nil }

func (s static) Renew(context.Context, runbook.Secret) (runbook.Secret, error) {
	return runbook.Secret{}, errFixed
}

var errFixed = errors.New("the token is fixed: make a new one in Canvas")

// ClientCredentialsConfig says how a tool gets tokens for itself.
type ClientCredentialsConfig struct {
	// BaseURL is the address of the Canvas instance; see [Config]. Required.
	BaseURL string
	// TokenURL is the token endpoint, https. Empty means /login/oauth2/token of
	// BaseURL. It is also the audience of the assertion.
	TokenURL string
	// Scopes are what the token is for. Required.
	Scopes []string
	// Assertion returns the JWT, signed with the tool's key, for one grant: iss
	// and sub are the client id, aud is the audience it is given, and it should
	// live five minutes at most and tolerate a clock that is a little off
	// (docs: OAuth2 Endpoints; RFC 7523). Required.
	Assertion func(ctx context.Context, audience string) (runbook.Secret, error)
	// HTTP and UserAgent are as in [Config].
	HTTP      *http.Client
	UserAgent string
}

// ClientCredentials is a [TokenSource] for a tool that signs assertions: the
// grant client_credentials. Each grant costs 200 units of the bucket of this
// machine's address, so tokens are kept until shortly before they expire, one
// grant serves all who wait, and grants are paced: three at once, then one in
// 20 seconds. Share one ClientCredentials between all clients that want the
// same scopes. It is safe for concurrent use.
type ClientCredentials struct {
	source *clientcreds.Source
	scopes []string
}

var _ TokenSource = (*ClientCredentials)(nil)

// NewClientCredentials returns a ClientCredentials, or all problems of cfg.
func NewClientCredentials(cfg ClientCredentialsConfig) (*ClientCredentials, error) {
	var problems []error
	endpoint, err := tokenEndpoint(cfg.BaseURL, cfg.TokenURL)
	if err != nil {
		problems = append(problems, fmt.Errorf("canvas: client credentials: %w", err))
	}
	if cfg.Assertion == nil {
		problems = append(problems, errors.New("canvas: client credentials: Assertion is not set"))
	}
	if len(cfg.Scopes) == 0 {
		problems = append(problems, errors.New("canvas: client credentials: Scopes is empty"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	source, err := clientcreds.New(clientcreds.Config{
		TokenURL: endpoint, Assertion: cfg.Assertion, Transport: tokenTransport(cfg.HTTP, cfg.UserAgent).Reading(),
	})
	if err != nil {
		return nil, err
	}
	return &ClientCredentials{source: source, scopes: append([]string(nil), cfg.Scopes...)}, nil
}

// Token implements [TokenSource].
func (s *ClientCredentials) Token(ctx context.Context) (runbook.Secret, error) {
	token, err := s.source.Token(ctx, s.scopes...)
	return token.Access, tokenError(err)
}

// Renew implements [TokenSource].
func (s *ClientCredentials) Renew(ctx context.Context, stale runbook.Secret) (runbook.Secret, error) {
	token, err := s.source.Renew(ctx, stale, s.scopes...)
	return token.Access, tokenError(err)
}

// tokenEndpoint returns the address of the token endpoint.
func tokenEndpoint(base, endpoint string) (string, error) {
	u, err := parseBase(base)
	if err != nil {
		return "", fmt.Errorf("base URL: %w", err)
	}
	if endpoint == "" {
		return u.String() + "/login/oauth2/token", nil
	}
	e, err := url.Parse(endpoint)
	switch {
	case err != nil || e.Hostname() == "" || e.User != nil || e.RawQuery != "" || e.Fragment != "":
		return "", errors.New("token URL: must have the form https://host/path")
	case e.Scheme != "https" && (e.Scheme != "http" || !isLoopback(e.Hostname())):
		return "", errors.New("token URL: must be https")
	}
	return endpoint, nil
}

// tokenTransport makes the calls of the token endpoint, which take from the
// bucket of the address and not from that of a token. A grant is repeated only
// if it was not run.
func tokenTransport(client *http.Client, userAgent string) *httpx.Client {
	if userAgent == "" {
		userAgent = DefaultUserAgent
	}
	return httpx.New(httpx.Config{
		HTTP: client, UserAgent: userAgent, Unrun: unrun, MaxBody: 1 << 20,
		Follow: func(*url.URL) bool { return false },
	})
}

// tokenError makes an [*Error] of what the token endpoint said.
func tokenError(err error) error {
	if err == nil {
		return nil
	}
	out := &Error{Op: "get an access token", cause: err, unrun: runbook.SafeToRetry(err)}
	e, ok := errors.AsType[*clientcreds.Error](err)
	if !ok {
		return out
	}
	out.cause, out.Status, out.Code = nil, e.Status, e.Code
	out.Route = "POST /login/oauth2/token"
	out.RequestID = requestID(e.Header)
	if e.Description != "" {
		out.Problems = []Problem{{Code: e.Code, Message: e.Description}}
	}
	switch {
	case e.Code == "invalid_scope":
		out.kind = ErrScope
	case e.Code != "" && e.Code != "unsupported_grant_type":
		// invalid_client: key or assertion; invalid_grant and invalid_request:
		// the code or refresh token is gone (canvas-lms,
		// lib/canvas/oauth/request_error.rb).
		out.kind = ErrUnauthenticated
	case isThrottled(e.Status, e.Header, e.Body):
		out.kind, out.unrun = ErrThrottled, true
	case e.Status == http.StatusServiceUnavailable:
		out.kind = ErrMaintenance
	}
	return out
}
