// Package clientcreds gets access tokens by the OAuth 2 grant
// client_credentials with a signed assertion (RFC 6749, section 4.4; RFC 7523),
// as Canvas and LTI platforms want it.
//
// A grant is dear: Canvas charges 200 units for each to the bucket of the
// address it comes from, of which a bucket takes three at once and then one in
// 20 seconds. So a [Source] keeps a token until shortly before it expires, lets
// one grant serve all who wait for it, and paces grants by a [Pace] that a host
// can share between all sources of one platform.
//
// Who signs is not its business: the host gives a function that returns the
// assertion.
package clientcreds

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/flight"
)

// Config says where tokens come from, and for whom.
type Config struct {
	// TokenURL is the address of the token endpoint. Required.
	TokenURL string
	// Assertion returns the signed assertion (a JWT) for one grant. audience is
	// the TokenURL. It is called for each grant. Required.
	Assertion func(ctx context.Context, audience string) (runbook.Secret, error)
	// Transport makes the calls. Required; that of an *httpx.Client. A grant changes
	// nothing that anybody else could see: with its Reading, tokens can be had where
	// nothing may be changed.
	Transport http.RoundTripper
	// Pace holds grants back. Nil means one for this source alone.
	Pace *Pace
	// Early is how long before it expires a token is replaced. Zero means five
	// minutes, or a tenth of its life if that is less.
	Early time.Duration
}

// A Token is an access token and when it expires. A zero Expires means that the
// endpoint did not say.
type Token struct {
	Access  runbook.Secret
	Expires time.Time
	// Scopes are those that were granted, which may be fewer than were asked for
	// (RFC 6749, section 5.1). Nil means that the endpoint did not say: all.
	Scopes []string
	early  time.Duration
}

// fresh reports whether the token can be used for a while.
func (t Token) fresh(now time.Time) bool {
	return !t.Access.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires.Add(-t.early)))
}

// A Source gives tokens. It is safe for concurrent use.
type Source struct {
	cfg Config

	mu     sync.Mutex
	scopes map[string]*held
}

// held is what is known for one set of scopes.
type held struct {
	flight flight.Flight[Token]
	token  Token // guarded by Source.mu
}

// New returns a Source, or an error if cfg lacks what is required.
func New(cfg Config) (*Source, error) {
	if cfg.TokenURL == "" || cfg.Assertion == nil || cfg.Transport == nil {
		return nil, errors.New("clientcreds: TokenURL, Assertion and Transport are required")
	}
	if cfg.Pace == nil {
		cfg.Pace = new(Pace)
	}
	return &Source{cfg: cfg, scopes: make(map[string]*held)}, nil
}

// Token returns a token for the scopes, in whatever order they are given.
func (s *Source) Token(ctx context.Context, scopes ...string) (Token, error) {
	return s.get(ctx, scopes, runbook.Secret{})
}

// Renew returns a token other than stale, which was refused. If stale was
// replaced already, that is the answer.
func (s *Source) Renew(ctx context.Context, stale runbook.Secret, scopes ...string) (Token, error) {
	return s.get(ctx, scopes, stale)
}

func (s *Source) get(ctx context.Context, scopes []string, stale runbook.Secret) (Token, error) {
	scopes = slices.Clone(scopes)
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	key := strings.Join(scopes, " ")
	s.mu.Lock()
	h := s.scopes[key]
	if h == nil {
		h = new(held)
		s.scopes[key] = h
	}
	token := h.token
	s.mu.Unlock()
	usable := func(t Token) bool { return t.fresh(time.Now()) && (stale.IsZero() || !t.Access.Equal(stale)) }
	if usable(token) {
		return token, nil
	}
	return h.flight.Do(ctx, func(ctx context.Context) (Token, error) {
		s.mu.Lock()
		token := h.token // of a flight that has just landed
		s.mu.Unlock()
		if usable(token) {
			return token, nil
		}
		token, err := s.grant(ctx, scopes)
		if err != nil {
			return Token{}, err
		}
		s.mu.Lock()
		h.token = token
		s.mu.Unlock()
		return token, nil
	})
}

func (s *Source) grant(ctx context.Context, scopes []string) (Token, error) {
	if err := s.cfg.Pace.Wait(ctx); err != nil {
		return Token{}, err
	}
	assertion, err := s.cfg.Assertion(ctx, s.cfg.TokenURL)
	if err != nil {
		return Token{}, &unsent{fmt.Errorf("sign the assertion: %w", err)}
	}
	cfg := clientcredentials.Config{
		TokenURL: s.cfg.TokenURL, Scopes: scopes, AuthStyle: oauth2.AuthStyleInParams,
		EndpointParams: url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {assertion.Reveal()},
		},
	}
	token, err := cfg.Token(WithTransport(ctx, s.cfg.Transport))
	if err != nil {
		return Token{}, Refine(err)
	}
	return NewToken(token, s.cfg.Early), nil
}

// WithTransport returns a context with which golang.org/x/oauth2 makes its calls
// by way of transport. It follows no redirects: 307 and 308 would send the
// secrets in the body wherever the endpoint says.
func WithTransport(ctx context.Context, transport http.RoundTripper) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
}

// NewToken returns the access token of t, to be replaced early before it
// expires; see [Config].Early.
func NewToken(t *oauth2.Token, early time.Duration) Token {
	out := Token{Access: runbook.NewSecret(t.AccessToken), Expires: t.Expiry, Scopes: granted(t.Extra("scope"))}
	if !t.Expiry.IsZero() {
		out.early = early
		if early <= 0 {
			out.early = min(5*time.Minute, time.Until(t.Expiry)/10)
		}
	}
	return out
}

// granted reads the scope of an answer: words with spaces between them, or, as
// some endpoints have it, a list of words.
func granted(scope any) []string {
	switch scope := scope.(type) {
	case string:
		if words := strings.Fields(scope); len(words) > 0 {
			return words
		}
	case []any:
		var words []string
		for _, word := range scope {
			if text, ok := word.(string); ok {
				words = append(words, strings.Fields(text)...)
			}
		}
		return words
	}
	return nil
}

// Usable reports whether the token is not about to expire.
func (t Token) Usable() bool { return t.fresh(time.Now()) }

// An Error is a token endpoint that said no (RFC 6749, section 5.2).
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is the error, such as "invalid_client"; empty if the answer has none.
	Code string
	// Description is the error_description.
	Description string
	// Header has the header fields of the answer, Body its body.
	Header http.Header
	Body   []byte
}

// Error says status and code, and not the description, which may quote input.
func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("token endpoint: status %d", e.Status)
	}
	return fmt.Sprintf("token endpoint: status %d: %s", e.Status, e.Code)
}

// Refine turns an error of golang.org/x/oauth2, whose text may have the whole
// answer in it, into an [*Error]; others lose the address that net/http adds.
func Refine(err error) error {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		out := &Error{Code: clip(e.ErrorCode, 60), Description: clip(e.ErrorDescription, 500), Body: e.Body}
		if e.Response != nil {
			out.Status, out.Header = e.Response.StatusCode, e.Response.Header
		}
		return out
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	// The rest are answers that are no token; their texts may quote them.
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return errors.New("token endpoint: the answer is not a token")
}

func clip(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
	return s[:min(len(s), n)]
}

// unsent marks an error before anything was sent.
type unsent struct{ error }

func (e *unsent) Unwrap() error     { return e.error }
func (e *unsent) SafeToRetry() bool { return true }
