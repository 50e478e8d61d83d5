package lti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
)

// A ServiceCall is one call of a service.
type ServiceCall struct {
	// Op says what is done, in a few words, for errors: "list line items".
	Op string
	// Method is the HTTP method. Empty means GET.
	Method string
	// URL is the address, from a launch or stored since: its host must be one of
	// the registration. Its query is kept. https. Required.
	URL string
	// Scopes are those that the token is asked for. Calls with the same Scopes
	// share a token, so ask for all that the calls of a service need. Required.
	Scopes []string
	// AnyOf are the scopes of which the call needs one. If none of them is in
	// Scopes, or none was granted, the call is not made: [ErrScope]. Empty means
	// that all Scopes are needed.
	AnyOf []string
	// Accept and ContentType are media types.
	Accept, ContentType string
	// Body is what is sent. It must not change until Do returns.
	Body []byte
	// Idempotent says that running the call twice does what running it once
	// does, so that it is repeated as if it were a read.
	Idempotent bool
}

func (c *ServiceCall) reads() bool {
	return c.Method == "" || c.Method == http.MethodGet || c.Method == http.MethodHead
}

// A ServiceResponse is an answer with a status of 200 to 299.
type ServiceResponse struct {
	// Status is the status.
	Status int
	// Header has the header fields.
	Header http.Header
	// Body is the whole body.
	Body []byte
	// URL is what answered: after a redirect, not what was called.
	URL string

	op, host string
}

// Do makes a call. It is repeated once with another token if the platform did not
// accept the one it had, which proves that it was not run. Besides that, reads
// and what is Idempotent are repeated a few times after failures, and nothing
// else is unless it is proven that it was not run. Redirects to another host are
// not followed. The error is an [*Error].
func (s *Service) Do(ctx context.Context, call ServiceCall) (*ServiceResponse, error) {
	u, err := s.parse(call.Op, call.URL)
	if err != nil {
		return nil, err
	}
	if err := (httpx.Call{Op: call.Op, Method: call.Method, URL: u}).Refused(ctx); err != nil {
		return nil, unanswered(call.Op, u.Host, false, err)
	}
	token, err := s.permit(ctx, u, &call, runbook.Secret{})
	if err != nil {
		return nil, err
	}
	changes := !call.reads() && !call.Idempotent
	resp, err := s.send(ctx, u, &call, token.Access)
	if err != nil {
		return nil, unanswered(call.Op, u.Host, changes, err)
	}
	// An earlier attempt of a read may have been run.
	unrun := resp.Unrun || resp.Status == http.StatusUnauthorized && (changes || resp.Attempts == 1)
	if resp.Status == http.StatusUnauthorized && s.mayRenew(u, &call, token.Access) {
		first := unrun
		if token, err = s.permit(ctx, u, &call, token.Access); err != nil {
			if e, ok := errors.AsType[*Error](err); ok {
				e.unrun = first
			}
			return nil, err
		}
		if resp, err = s.send(ctx, u, &call, token.Access); err != nil {
			return nil, unanswered(call.Op, u.Host, changes, err)
		}
		unrun = first && (resp.Unrun || resp.Status == http.StatusUnauthorized && (changes || resp.Attempts == 1))
		if resp.Status == http.StatusUnauthorized {
			s.noteRefused(u, &call, token.Access)
		}
	}
	if resp.Status < 200 || resp.Status > 299 {
		return nil, answered(call.Op, u.Host, changes, unrun, resp)
	}
	return &ServiceResponse{Status: resp.Status, Header: resp.Header, Body: resp.Body, URL: resp.URL.String(), op: call.Op, host: u.Host}, nil
}

// permit returns a token with which the call may be made.
func (s *Service) permit(ctx context.Context, u *url.URL, call *ServiceCall, stale runbook.Secret) (ServiceToken, error) {
	if len(call.Scopes) == 0 && len(call.AnyOf) == 0 {
		return ServiceToken{}, NewError(call.Op, ErrInvalid, errors.New("no scope is named"))
	}
	if len(call.AnyOf) > 0 && !anyOf(call.AnyOf, call.Scopes) {
		return ServiceToken{}, NewError(call.Op, ErrScope, fmt.Errorf("%s is needed, and the platform does not offer it", strings.Join(call.AnyOf, " or ")))
	}
	token, err := s.token(ctx, call.Op, u, call.Scopes, stale)
	if err != nil {
		return ServiceToken{}, err
	}
	var missing error
	switch {
	case len(call.AnyOf) > 0 && !anyOf(call.AnyOf, token.Scopes):
		missing = fmt.Errorf("%s is needed, and was asked for and not granted", strings.Join(call.AnyOf, " or "))
	case len(call.AnyOf) == 0 && len(token.Missing) > 0:
		missing = fmt.Errorf("%s: asked for and not granted", strings.Join(token.Missing, ", "))
	default:
		return token, nil
	}
	e := NewError(call.Op, ErrScope, missing)
	e.Host = u.Host
	return ServiceToken{}, e
}

func anyOf(wanted, there []string) bool {
	return slices.ContainsFunc(wanted, func(scope string) bool { return slices.Contains(there, scope) })
}

func (s *Service) send(ctx context.Context, u *url.URL, call *ServiceCall, access runbook.Secret) (*httpx.Response, error) {
	h := http.Header{"Authorization": {"Bearer " + access.Reveal()}}
	if call.Accept != "" {
		h.Set("Accept", call.Accept)
	}
	if call.ContentType != "" {
		h.Set("Content-Type", call.ContentType)
	}
	return s.calls.Do(ctx, httpx.Call{Op: call.Op, Method: call.Method, URL: u, Header: h, Body: call.Body, Idempotent: call.Idempotent})
}

// mayRenew reports whether another token may help. Canvas answers 401 also if the
// token is good and does not have the scope, so that a token that was renewed for
// nothing is not renewed again at once: each grant has its price.
func (s *Service) mayRenew(u *url.URL, call *ServiceCall, access runbook.Secret) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.refused[s.tokenKey(u, call)]
	return !ok || time.Since(last.at) > refusedTime || !last.access.Equal(access)
}

func (s *Service) noteRefused(u *url.URL, call *ServiceCall, access runbook.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refused) >= maxSources {
		clear(s.refused)
	}
	s.refused[s.tokenKey(u, call)] = refusedToken{access, time.Now()}
}

func (s *Service) tokenKey(u *url.URL, call *ServiceCall) string {
	return s.tokenURL(u) + "\n" + strings.Join(sorted(call.Scopes), " ")
}

// lenient reads what platforms send: a name that comes twice, or a text that is
// not valid UTF-8, in one of a thousand members is no reason to have none.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) //nolint:gochecknoglobals // constant

// Decode reads the body, JSON, into v. The error is an [*Error].
func (r *ServiceResponse) Decode(v any) error {
	err := json.Unmarshal(r.Body, v, lenient)
	if err == nil {
		return nil
	}
	// The text of the error may quote the body; where it happened is enough.
	cause := fmt.Errorf("the answer of %d bytes is not the JSON that was expected", len(r.Body))
	if e, ok := errors.AsType[*json.SemanticError](err); ok && e.JSONPointer != "" {
		cause = fmt.Errorf("the answer has something else than expected at %s", quote(string(e.JSONPointer)))
	}
	return r.Unreadable(cause)
}

// Unreadable returns the error of an answer that does not make sense, which is
// what cause says, without quoting it. The call itself was run.
func (r *ServiceResponse) Unreadable(cause error) *Error {
	return &Error{Op: r.op, Host: r.host, Status: r.Status, Code: "unreadable", RequestID: requestID(r.Header), cause: cause}
}

// Link returns the address of a relation ("next", "differences") in the Link
// fields of the answer (RFC 8288), resolved against the address that answered;
// empty if there is none, or none that can be read. It may lead anywhere: nothing
// was checked.
func (r *ServiceResponse) Link(rel string) string {
	target := httpx.Links(r.Header["Link"])[rel]
	if target == "" {
		return ""
	}
	base, err := url.Parse(r.URL)
	if err != nil {
		return ""
	}
	to, err := base.Parse(target)
	if err != nil {
		return ""
	}
	return to.String()
}
