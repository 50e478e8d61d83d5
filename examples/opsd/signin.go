package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"crypto/rand"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"go.acu.edu.au/runbook"
)

//go:embed signin.html
var signInPage string

// signer signs people in: at the issuer of the organisation, or with their token.
type signer struct {
	auth     *auth
	settings *settings
	page     *template.Template
	http     *http.Client // nil for the usual one; tests have an issuer of their own
	logger   *slog.Logger // of what is not told to whoever signs in

	mu      sync.Mutex
	finding *discovery // of the issuer; nil until somebody signs in, and after it has failed
}

// newSigner makes it. The logger is told why somebody was not signed in.
func newSigner(a *auth, s *settings, logger *slog.Logger) (*signer, error) {
	page, err := template.New("sign-in").Parse(signInPage)
	if err != nil {
		return nil, fmt.Errorf("opsd: the page for signing in: %w", err)
	}
	return &signer{auth: a, settings: s, page: page, logger: logger}, nil
}

// routes serves what signs in and out.
func (s *signer) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /sign-in", s.show)
	mux.HandleFunc("POST /sign-in", s.withToken)
	mux.HandleFunc("POST /sign-out", s.out)
	mux.HandleFunc("GET /sign-in/issuer", s.leave)
	mux.HandleFunc("GET /sign-in/callback", s.back)
}

func (s *signer) show(w http.ResponseWriter, r *http.Request) {
	s.render(w, http.StatusOK, r.FormValue("next"), "")
}

// render writes the page.
func (s *signer) render(w http.ResponseWriter, status int, next, problem string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = s.page.Execute(w, map[string]any{ // the client is gone if this fails
		"Next": local(next), "Problem": problem, "Issuer": s.settings.SignIn != nil, "Rehearsal": s.settings.Estate != nil, "Title": s.settings.StatusPage.Title,
	})
}

// withToken signs in who has a token.
func (s *signer) withToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	p := s.auth.byToken(runbook.NewSecret(strings.TrimSpace(r.PostFormValue("token"))))
	if p == nil {
		s.render(w, http.StatusUnauthorized, r.PostFormValue("next"), "Nobody has this token. It is the one that the configuration of opsd gives you.")
		return
	}
	s.enter(w, r, p, r.PostFormValue("next"))
}

func (s *signer) enter(w http.ResponseWriter, r *http.Request, p *person, next string) {
	if err := s.auth.begin(w, p); err != nil {
		s.render(w, http.StatusInternalServerError, next, "You could not be signed in.")
		return
	}
	http.Redirect(w, r, local(next), http.StatusSeeOther)
}

func (s *signer) out(w http.ResponseWriter, r *http.Request) {
	s.auth.forget(w, cookieSession, "/")
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// flow is what is remembered in the browser while somebody is at the issuer.
type flow struct {
	State, Nonce, Verifier, Next string
	Until                        time.Time
}

// leave sends somebody to the issuer.
func (s *signer) leave(w http.ResponseWriter, r *http.Request) {
	config, _, err := s.issuer(r.Context())
	if err != nil {
		s.failed(r.Context(), err)
		s.render(w, http.StatusBadGateway, r.FormValue("next"), "The issuer could not be asked. Sign in with your token, or try again.")
		return
	}
	f := flow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: local(r.FormValue("next")), Until: time.Now().Add(10 * time.Minute)}
	sealed, err := s.auth.seal(f)
	if err != nil {
		s.render(w, http.StatusInternalServerError, f.Next, "You could not be sent to the issuer.")
		return
	}
	http.SetCookie(w, s.auth.cookie(cookieFlow, sealed, "/sign-in", 10*time.Minute))
	http.Redirect(w, r, config.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), http.StatusSeeOther)
}

// back takes somebody who comes back from the issuer.
func (s *signer) back(w http.ResponseWriter, r *http.Request) {
	s.auth.forget(w, cookieFlow, "/sign-in")
	var f flow
	c, err := r.Cookie(cookieFlow)
	if err != nil || s.auth.open(c.Value, &f) != nil || time.Now().After(f.Until) || f.State == "" || r.FormValue("state") != f.State {
		s.render(w, http.StatusBadRequest, "", "This sign-in was not begun here, or too long ago. Begin again.")
		return
	}
	if r.FormValue("error") != "" {
		s.render(w, http.StatusForbidden, f.Next, "The issuer did not sign you in.")
		return
	}
	login, err := s.identify(r.Context(), r.FormValue("code"), f)
	if err != nil {
		s.failed(r.Context(), err)
		s.render(w, http.StatusUnauthorized, f.Next, "What the issuer said of you could not be verified. Begin again.")
		return
	}
	p := s.auth.byLogin(login)
	if p == nil {
		s.render(w, http.StatusForbidden, f.Next, "The issuer knows you, and you are none of the people of this opsd. Whoever keeps its configuration adds you, with your login.")
		return
	}
	s.enter(w, r, p, f.Next)
}

// failed writes down why somebody was not signed in. It is not told to them: they could be
// anybody.
func (s *signer) failed(ctx context.Context, err error) {
	s.logger.WarnContext(ctx, "somebody was not signed in", "error", brief(oneLine(err.Error()), 300))
}

// refusal is what the issuer says of a code, without the rest of its answer, in which it may
// repeat the code.
func refusal(err error) error {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return fmt.Errorf("the issuer answers with status %d, error %q", e.Response.StatusCode, brief(e.ErrorCode, 40))
	}
	return err
}

// identify asks the issuer who somebody is, and verifies what it says.
func (s *signer) identify(ctx context.Context, code string, f flow) (string, error) {
	config, provider, err := s.issuer(ctx)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(s.client(ctx), 15*time.Second)
	defer cancel()
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return "", fmt.Errorf("opsd: sign-in: the code was not taken: %w", refusal(err))
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return "", errors.New("opsd: sign-in: there is no ID token")
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: config.ClientID}).Verify(ctx, raw)
	if err != nil {
		return "", fmt.Errorf("opsd: sign-in: %w", err)
	}
	if id.Nonce != f.Nonce {
		return "", errors.New("opsd: sign-in: the ID token is not for this sign-in")
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return "", fmt.Errorf("opsd: sign-in: %w", err)
	}
	claim := s.settings.SignIn.Claim
	login, _ := claims[claim].(string)
	if login == "" {
		return "", fmt.Errorf("opsd: sign-in: there is no claim %s", claim)
	}
	// Where nobody looks whose address it is, people can give themselves the one of another.
	if verified := claims["email_verified"]; claim == "email" && verified != true && verified != "true" { // some issuers write a text
		return "", errors.New("opsd: sign-in: the issuer does not say that it has verified the mail address: let sign_in.claim be one that people cannot change, such as oid or sub")
	}
	return login, nil
}

// issuer returns how the issuer is asked. It is looked up when it is first needed, so that
// opsd starts when it is away.
func (s *signer) issuer(ctx context.Context) (*oauth2.Config, *oidc.Provider, error) {
	in := s.settings.SignIn
	if in == nil {
		return nil, nil, errors.New("opsd: there is no issuer: sign_in is not configured")
	}
	provider, err := s.discover(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &oauth2.Config{
		ClientID: in.ClientID, ClientSecret: in.ClientSecret.Reveal(), Endpoint: provider.Endpoint(),
		RedirectURL: s.settings.address() + "/sign-in/callback", Scopes: []string{oidc.ScopeOpenID, "email", "profile"},
	}, provider, nil
}

// discovery is one look at what the issuer says of itself, for all who wait for it.
type discovery struct {
	done     chan struct{} // closed when it has ended
	provider *oidc.Provider
	err      error
}

// discover waits for what the issuer says of itself, as long as ctx lasts. It is asked once at
// a time, however many sign in: an issuer that is away is not made busier, and holds up nobody
// who has gone.
func (s *signer) discover(ctx context.Context) (*oidc.Provider, error) {
	s.mu.Lock()
	d := s.finding
	if d == nil {
		d = &discovery{done: make(chan struct{})}
		s.finding = d
		go s.find(context.WithoutCancel(ctx), d)
	}
	s.mu.Unlock()
	select {
	case <-d.done:
		return d.provider, d.err
	case <-ctx.Done():
		return nil, fmt.Errorf("opsd: sign_in: the issuer has not answered yet: %w", context.Cause(ctx))
	}
}

// find looks, within the time limit of the client. The provider keeps the context for its
// keys: it has the client, and no end.
func (s *signer) find(ctx context.Context, d *discovery) {
	defer close(d.done)
	if d.provider, d.err = oidc.NewProvider(s.client(ctx), s.settings.SignIn.Issuer); d.err != nil {
		d.err = fmt.Errorf("opsd: sign_in: %w", d.err)
		s.mu.Lock()
		s.finding = nil // the next one asks again
		s.mu.Unlock()
	}
}

// client gives the libraries a client with a time limit.
func (s *signer) client(ctx context.Context) context.Context {
	client := s.http
	if client == nil {
		client = &http.Client{Timeout: 10 * time.Second}
	}
	return oidc.ClientContext(ctx, client)
}
