package lti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A launchForm is what a platform posts through the browser (Security Framework
// 1.0, section 5.1.1.3; OpenID Connect Core, section 3.1.2.6), and what the page
// that reads the platform's storage adds.
type launchForm struct {
	state, token         string
	errorCode, errorText string
	binding              string // what was in the platform's storage
	asked                string // "1" if the storage was asked
}

const (
	fieldBinding = "runbook_binding"
	fieldAsked   = "runbook_asked"
)

func (f *launchForm) parameters() []parameter {
	return []parameter{
		{"state", &f.state, maxLaunchBody}, {"id_token", &f.token, maxLaunchBody},
		{"error", &f.errorCode, maxHint}, {"error_description", &f.errorText, maxMessage},
		{fieldBinding, &f.binding, maxMessage}, {fieldAsked, &f.asked, maxFrame},
	}
}

// LaunchHandler answers launches, which are posted to [Config].LaunchURL. serve
// is called for each launch that passed every check, once: its token serves no
// second time. It should begin a session and redirect to the target
// (http.StatusSeeOther), so that a reload does not post the token again; see
// [Tool.Handover] where the browser keeps no cookies.
//
// A second click posts the token a second time, and shows a page that says so,
// although the first began a session: a host can look for that in
// [Config].ErrorPage, where the reason is [ReasonReplay], and go on.
//
// The handler reads the body itself: nothing before it may have parsed the form,
// as middleware against forged requests does.
//
// A launch whose key is not known waits for the platform's key set, for 5 seconds
// at most, with its body in memory: limit the connections of the server.
//
// The headers that a page in a frame needs are set already: who may show it, that
// it is not stored, and that its address is told to nobody.
func (t *Tool) LaunchHandler(serve func(w http.ResponseWriter, r *http.Request, l *Launch)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", "POST")
			t.refused(w, r, refuse(ReasonMethod, "the method is %s, and not POST", quote(r.Method)), nil)
			return
		}
		body, refusal := readForm(w, r, maxLaunchBody)
		if refusal != nil {
			t.refused(w, r, refusal, nil)
			return
		}
		var f launchForm
		if refusal := readParameters(body, f.parameters()); refusal != nil {
			t.refused(w, r, refusal, nil)
			return
		}
		k, s, refusal := t.begun(r, &f)
		switch {
		case refusal == errAskStorage:
			t.askPage(w, r, k, s, &f)
			return
		case refusal == nil:
			var l *Launch
			if l, refusal = t.launch(r.Context(), k, s, &f); refusal == nil {
				t.frameHeaders(w, k)
				serve(w, r, l)
				return
			}
		}
		if k != nil {
			refusal.Issuer, refusal.ClientID = k.Issuer, k.ClientID
		}
		t.refused(w, r, refusal, k)
	})
}

// errAskStorage says that the browser has to be asked what the platform's storage
// holds.
var errAskStorage = refuse(ReasonBrowser, "not yet")

// begun returns the registration and the state of the login that a launch ends.
// It costs no more than hashes: whoever has no login of ours gets no further.
func (t *Tool) begun(r *http.Request, f *launchForm) (*known, *state, *Refusal) {
	s, refusal := (*t.sealers.Load()).openState(f.state, time.Now())
	if refusal != nil {
		return nil, nil, refusal
	}
	// Which registration it is comes from our own state, never from the token.
	k, refusal := t.find(r.Context(), s.issuer, s.clientID)
	if refusal != nil {
		return nil, nil, refusal
	}
	if _, ok := bindingOf(r, s); ok {
		return k, s, nil
	}
	switch {
	case s.storage == "":
		return k, s, refuse(ReasonBrowser, "the cookie of this login did not arrive: it is another browser, or one that keeps no cookies in frames")
	case f.asked == "" && !looksLikeToken(f.token):
		return k, s, refuse(ReasonToken, "the token is not a signed JWT, or longer than %d bytes", maxToken) // it would all be written into a page
	case f.asked == "":
		return k, s, errAskStorage
	case r.Header.Get("Origin") != t.origin:
		// Whoever began a login knows its secret, and could post it from a page of
		// his own in somebody else's browser. Only our page has read it here.
		return k, s, refuse(ReasonBrowser, "the secret of this login was posted by a page of %s, and not by one of this tool", quote(r.Header.Get("Origin")))
	case f.binding == "":
		return k, s, refuse(ReasonBrowser, "neither the cookie of this login nor the platform's storage has what was put there")
	}
	secret, ok := parseBinding(f.binding)
	if !ok || !s.boundTo(secret) {
		return k, s, refuse(ReasonBrowser, "the platform's storage has another secret than that of this login")
	}
	return k, s, nil
}

// looksLikeToken reports whether a text has no more than a token may have; empty
// counts.
func looksLikeToken(text string) bool {
	return len(text) <= maxToken && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_' && r != '.'
	})
}

// launch verifies a launch of a login that was begun in the same browser.
func (t *Tool) launch(ctx context.Context, k *known, s *state, f *launchForm) (*Launch, *Refusal) {
	if f.errorCode != "" {
		return nil, &Refusal{
			Reason: ReasonPlatform, Detail: "the platform says " + quote(f.errorCode) + ", " + quote(f.errorText),
			PlatformError: clip(f.errorCode), PlatformDescription: strings.ToValidUTF8(f.errorText[:min(len(f.errorText), 500)], ""),
		}
	}
	if f.token == "" {
		return nil, refuse(ReasonToken, "the request has no id_token")
	}
	token, payload, refusal := t.claims(ctx, &k.Registration, f.token)
	if refusal != nil {
		return nil, refusal
	}
	v := &verification{cfg: &t.cfg, reg: &k.Registration, now: time.Now(), token: token, state: s}
	for _, checks := range [...][]claimCheck{identity, message} {
		for _, check := range checks {
			if refusal := check(v); refusal != nil {
				return nil, refusal
			}
		}
	}
	l := token.launch(k.ClientID, payload)
	if refusal := t.accept(ctx, k, l); refusal != nil {
		return nil, refusal
	}
	if refusal := t.useNonce(ctx, v); refusal != nil {
		return nil, refusal
	}
	return l, nil
}

// claims verifies the signature of a token and decodes its payload.
func (t *Tool) claims(ctx context.Context, r *Registration, token string) (*idToken, []byte, *Refusal) {
	c, refusal := split(token)
	if refusal != nil {
		return nil, nil, refusal
	}
	if refusal := c.verify(ctx, t.keySets, r); refusal != nil {
		return nil, nil, refusal
	}
	return c.claims()
}

// accept asks the host.
func (t *Tool) accept(ctx context.Context, k *known, l *Launch) *Refusal {
	if refusal := t.deployment(ctx, k, l); refusal != nil {
		return refusal
	}
	if t.cfg.Accept != nil {
		if err := t.cfg.Accept(ctx, l); err != nil {
			return &Refusal{Reason: ReasonHost, cause: err}
		}
	}
	return nil
}

// deployment asks the host about a deployment that is not known.
func (t *Tool) deployment(ctx context.Context, k *known, l *Launch) *Refusal {
	switch {
	case slices.Contains(k.Deployments, l.DeploymentID):
		return nil
	case t.cfg.Deployment == nil:
		return refuse(ReasonDeployment, "deployment %s is not known, and nobody decides on those", quote(l.DeploymentID))
	}
	if err := t.cfg.Deployment(ctx, k.Registration, l); err != nil {
		return &Refusal{Reason: ReasonDeployment, Detail: "deployment " + quote(l.DeploymentID), cause: err}
	}
	return nil
}

// useNonce is the last step of every token: only one that passed everything else
// takes room in the store.
func (t *Tool) useNonce(ctx context.Context, v *verification) *Refusal {
	id := NewNonceID(v.reg.Issuer, v.reg.ClientID, *v.token.Nonce)
	err := t.nonces.Use(ctx, id, v.token.Expires.time().Add(t.cfg.Leeway))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNonceExpired):
		return &Refusal{Reason: ReasonExpired, Detail: "exp was over when the nonce was looked at", cause: ErrNonceExpired}
	case errors.Is(err, ErrNonceUsed):
		return &Refusal{Reason: ReasonReplay, Detail: "the token was posted before: a reload, a double click, or somebody who has a copy", cause: ErrNonceUsed}
	}
	return &Refusal{Reason: ReasonStore, cause: fmt.Errorf("nonce store: %w", err)}
}

// clip keeps foreign text short.
func clip(s string) string { return s[:min(len(s), 100)] }
