package doctor

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
	"go.acu.edu.au/runbook/lti"
)

// ErrTokenRefused means that the token endpoint answered and does not give the tool
// tokens at all, whatever their scopes: its key, its client id or its clock are
// wrong. [Doctor.Diagnose] with Config.TryToken says which.
var ErrTokenRefused = errors.New("doctor: the token endpoint refuses the tool")

// ServiceScopes are what the token endpoint gives the tool.
type ServiceScopes struct {
	// Granted are the scopes that it gives, of those that were asked for, and Denied
	// those that it does not give: they have to be added to the tool's key at the
	// platform, if the tool needs them.
	Granted, Denied []string
	// NotAsked are those of which nothing is known, each with the reason.
	NotAsked []incident.NotChecked
}

// Scopes asks the token endpoint for the scopes that a tool needs for its services
// (grades, members, notices), and compares them with what is granted. With none it
// asks for those that the platform says the tool has, which Config.PlatformTool
// reads. The tokens are thrown away.
//
// It sends one request if all are granted, and two if some are not and the platform
// says which. Only where it does not say, each is asked for alone, until the
// platform limits the rate: Canvas charges each grant 200 units of the bucket of
// this machine's address, so that few in a row are possible.
//
// The error wraps [ErrTokenRefused] if the platform said no to the tool. Any other
// means that it could not be asked, and that nothing is known.
func (d *Doctor) Scopes(ctx context.Context, scopes ...string) (ServiceScopes, error) {
	asker, err := d.scopeAsker(ctx)
	if err != nil {
		return ServiceScopes{}, err
	}
	if len(scopes) == 0 {
		if d.cfg.PlatformTool == nil {
			return ServiceScopes{}, errors.New("doctor: scopes: none are given, and PlatformTool, which would say what the tool has, is not set")
		}
		tool, err := d.cfg.PlatformTool(ctx)
		if err != nil {
			return ServiceScopes{}, fmt.Errorf("doctor: scopes: none are given, and what the tool has cannot be read: %w", err)
		}
		if scopes = tool.Scopes; len(scopes) == 0 {
			return ServiceScopes{}, nil // it has none, and needs none
		}
	}
	return asker.compare(ctx, slices.Compact(slices.Sorted(slices.Values(scopes))))
}

// A scopeAsker asks the token endpoint, as the tool does.
type scopeAsker struct {
	d            *Doctor
	key          *rsa.PrivateKey
	address, kid string
}

func (d *Doctor) scopeAsker(ctx context.Context) (*scopeAsker, error) {
	address, why := d.cfg.tokenURL()
	if why != "" {
		return nil, errors.New("doctor: scopes: " + why)
	}
	key, err := lti.ParsePrivateKey(d.cfg.PrivateKey)
	if err != nil || d.cfg.Registration.ClientID == "" {
		return nil, errors.New("doctor: scopes: it needs the client id, and a private key that can be read")
	}
	x := &exam{cfg: &d.cfg, signer: publicOf(&key.PublicKey)}
	if own := d.gather(ctx, askOwnKeys).ownKeys; own.ok() {
		if set, err := readKeySet(own.body); err == nil {
			x.set = set
		}
	}
	return &scopeAsker{d, key, address, x.signingKid()}, nil
}

// compare finds out which of the scopes are granted.
func (a *scopeAsker) compare(ctx context.Context, scopes []string) (ServiceScopes, error) {
	var out ServiceScopes
	granted, named, err := a.ask(ctx, scopes)
	switch {
	case err == nil:
		out.take(scopes, granted)
		return out, nil
	case !errors.Is(err, errScope):
		return out, err
	case len(scopes) == 1 || len(named) == len(scopes):
		out.Denied = scopes
		return out, nil
	case len(named) > 0:
		rest := slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return slices.Contains(named, s) })
		if granted, _, err = a.ask(ctx, rest); err == nil {
			out.take(rest, granted)
			out.Denied = append(out.Denied, named...)
			return out, nil
		}
		if !errors.Is(err, errScope) {
			out.Denied, out.NotAsked = named, unasked(rest, err)
			return out, nil
		}
	}
	for n, s := range scopes {
		granted, _, err := a.ask(ctx, []string{s})
		switch {
		case err == nil:
			out.take([]string{s}, granted)
		case errors.Is(err, errScope):
			out.Denied = append(out.Denied, s)
		default: // the next would fare no better, and cost more
			out.NotAsked = unasked(scopes[n:], err)
			return out, nil
		}
	}
	return out, nil
}

// take sorts what was asked for into what was granted and what was not.
func (s *ServiceScopes) take(asked, granted []string) {
	for _, scope := range asked {
		if slices.Contains(granted, scope) {
			s.Granted = append(s.Granted, scope)
		} else {
			s.Denied = append(s.Denied, scope)
		}
	}
}

func unasked(scopes []string, err error) (all []incident.NotChecked) {
	for _, s := range scopes {
		all = append(all, incident.NotChecked{What: "the scope " + netcheck.Clean(s), Why: err.Error()})
	}
	return all
}

// errScope means that a scope, and not the tool, was refused.
var errScope = errors.New("a scope is refused")

// ask asks for one token, and returns what is granted. With errScope, named are those
// of the scopes that the refusal names.
func (a *scopeAsker) ask(ctx context.Context, scopes []string) (granted, named []string, err error) {
	r, err := a.d.grantRequest(a.key, a.address, a.kid, strings.Join(scopes, " "))
	if err != nil {
		return nil, nil, fmt.Errorf("doctor: scopes: %w", err)
	}
	got := wait(eventually(ctx, a.d.cfg.Timeout, func(ctx context.Context) (answer, error) { return a.d.ask(ctx, r), nil }))
	switch {
	case got.skip != "":
		return nil, nil, errors.New("doctor: scopes: " + got.skip)
	case got.failure != nil:
		return nil, nil, errors.New("doctor: scopes: the token endpoint could not be asked: " + got.failure.Result().Message)
	}
	if _, limited := throttled(&got); limited {
		return nil, nil, errors.New("doctor: scopes: the platform limits the rate of this machine's address: ask again in a minute")
	}
	what := got.asked + ": answered " + httpcheck.Status(got.status)
	if !got.ok() {
		refusal, spoke := readRefusal(got.body)
		switch {
		case spoke && refusal.code == "invalid_scope":
			return nil, namedIn(refusal.text, scopes), errScope
		case spoke && got.status < http.StatusInternalServerError:
			said := netcheck.Quote(refusal.code) + ", " + netcheck.Quote(netcheck.Shorten(refusal.text, 120))
			for _, c := range causes {
				if strings.Contains(refusal.text, c.part) {
					said += ". " + c.title + ". " + c.remedy
					break
				}
			}
			return nil, nil, fmt.Errorf("%w: %s, %s", ErrTokenRefused, what, said)
		}
		return nil, nil, errors.New("doctor: scopes: " + what + ", which says nothing about scopes")
	}
	var in struct {
		Token string  `json:"access_token"`
		Scope *string `json:"scope"`
	}
	if err := json.Unmarshal(got.body, &in, lax); err != nil || in.Token == "" {
		return nil, nil, errors.New("doctor: scopes: " + what + " without a token: what answers is not a token endpoint")
	}
	if in.Scope == nil {
		return scopes, nil, nil // it may be left out if all is granted (RFC 6749, section 5.1)
	}
	return strings.Fields(*in.Scope), nil, nil
}

// namedIn returns those of the scopes that a text has as whole words.
func namedIn(text string, scopes []string) (named []string) {
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\n,;\"'", r) })
	for _, s := range scopes {
		if slices.ContainsFunc(words, func(w string) bool { return w == s || strings.TrimRight(w, ".") == s }) {
			named = append(named, s)
		}
	}
	return named
}
