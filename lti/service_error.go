package lti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/clientcreds"
	"go.acu.edu.au/runbook/internal/httpx"
)

// What a caller may want to know of an [*Error], for errors.Is. They are told
// apart by status and code, never by a text that a platform may translate.
var (
	// ErrUnauthenticated means that the platform did not accept the tool: its
	// assertion at the token endpoint, or the access token. Look at client id, key
	// and clock; package doctor does. Canvas says the same of a good token that
	// lacks a scope.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden means that the tool may not do that.
	ErrForbidden = errors.New("not permitted")
	// ErrScope means that a scope is missing: the launch did not offer it, or the
	// platform did not grant it.
	ErrScope = errors.New("not within the scopes that are granted")
	// ErrNotFound means that there is no such object any more.
	ErrNotFound = errors.New("not found")
	// ErrInvalid means that the call is wrong as it is: found out here before it
	// was sent (Status is 0), or by the platform.
	ErrInvalid = errors.New("not accepted")
	// ErrHost means that an address is not of a host of the registration, where
	// alone an access token may go. Nothing was sent.
	ErrHost = errors.New("not a host of this registration")
	// ErrUnavailable means that the platform could not be asked, or has no answer
	// now: 429, or 5xx to a call that can be repeated.
	ErrUnavailable = errors.New("not available")
	// ErrUnknownOutcome means that a call that changes something was sent and not
	// answered, or with 5xx: nobody knows whether the platform did it. Read the
	// state before doing it again.
	ErrUnknownOutcome = errors.New("unknown outcome")
)

// An Error is a call of a service that did not do what it should. Status tells
// "they said no" from "we could not ask": without an answer it is 0. Whether
// anything happened is the question of [runbook.SafeToRetry].
type Error struct {
	// Op is what was done, in a few words.
	Op string
	// Host is the host that was called, or was to be.
	Host string
	// Status is the status of the answer; 0 means that there was none.
	Status int
	// Code is the platform's name for the error, if it has one:
	// "invalid_client", "unauthorized". Some are ours: "redirect", "unreadable",
	// "paging".
	Code string
	// Message is what the platform says about it, shortened. It is foreign text,
	// may name people, and is not in the text of the error.
	Message string
	// RequestID is the platform's name for the request; Canvas has
	// X-Request-Context-Id. Quote it to those who run the platform.
	RequestID string
	// RetryAfter is how long the platform asks to wait; 0 means it does not say.
	RetryAfter time.Duration

	kind  error
	cause error
	grant error // why there is no token, if that is the cause
	unrun bool
}

// NewError returns the error of a call that was not made because it is wrong as
// it is: kind is [ErrInvalid], [ErrScope] or nil, and cause says why. It is for
// packages of services, such as ags.
func NewError(op string, kind, cause error) *Error {
	return &Error{Op: op, kind: kind, cause: cause, unrun: true}
}

// Error says what failed, where and how, without texts of the platform.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("lti: ")
	b.WriteString(e.Op)
	if e.Host != "" {
		b.WriteString(": ")
		b.WriteString(e.Host)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.kind != nil {
		b.WriteString(": ")
		b.WriteString(e.kind.Error())
	}
	if e.Code != "" {
		b.WriteString(": ")
		b.WriteString(e.Code)
	}
	if e.cause != nil {
		b.WriteString(": ")
		b.WriteString(strings.TrimPrefix(e.cause.Error(), e.Op+": "+e.Host+": "))
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	return b.String()
}

// Is reports whether the error is of the kind that target names.
func (e *Error) Is(target error) bool { return target != nil && e.kind == target }

// Unwrap returns why there is no answer, or none that can be used.
func (e *Error) Unwrap() error { return e.cause }

// SafeToRetry reports whether it is proven that nothing was run.
func (e *Error) SafeToRetry() bool { return e.unrun }

// unanswered is the error of a call that got no answer. changes says that the
// call would change something.
func unanswered(op, host string, changes bool, err error) *Error {
	e := &Error{Op: op, Host: host, cause: err, unrun: runbook.SafeToRetry(err)}
	switch {
	case changes && !e.unrun:
		e.kind = ErrUnknownOutcome
	case !errors.Is(err, context.Canceled):
		e.kind = ErrUnavailable
	}
	return e
}

// answered is the error of a call with an answer that is not 2xx.
func answered(op, host string, changes, unrun bool, resp *httpx.Response) *Error {
	e := &Error{Op: op, Host: host, Status: resp.Status, unrun: unrun, RequestID: requestID(resp.Header)}
	e.RetryAfter, _ = httpx.RetryAfter(resp.Header)
	e.Code, e.Message = problem(resp.Body)
	switch s := resp.Status; {
	case isThrottled(s, resp.Header, resp.Body):
		e.kind = ErrUnavailable
	case (s == http.StatusUnauthorized || s == http.StatusForbidden) && strings.Contains(resp.Header.Get("WWW-Authenticate"), `"insufficient_scope"`):
		e.kind = ErrScope // RFC 6750, section 3.1
	case s == http.StatusUnauthorized:
		e.kind = ErrUnauthenticated
	case s == http.StatusForbidden:
		e.kind = ErrForbidden
	case s == http.StatusNotFound, s == http.StatusGone:
		e.kind = ErrNotFound
	case s >= 500 && changes && !unrun:
		e.kind = ErrUnknownOutcome
	case s >= 500, s == http.StatusTooManyRequests:
		e.kind = ErrUnavailable
	case s >= 400:
		e.kind = ErrInvalid
	default:
		e.Code = "redirect"
	}
	return e
}

// ungranted is the error of a call whose token could not be had; op is that of
// the call. The call itself was not made.
func ungranted(op, host string, err error) *Error {
	out := &Error{Op: op, Host: host, cause: fmt.Errorf("no access token: %w", err), grant: err, unrun: true}
	e, ok := errors.AsType[*clientcreds.Error](err)
	if !ok {
		if !errors.Is(err, context.Canceled) && !errors.Is(err, errSign) {
			out.kind = ErrUnavailable
		}
		return out
	}
	out.Status, out.Code, out.Message = e.Status, wordOnly(e.Code), e.Description
	out.cause = errors.New("from the token endpoint")
	out.RequestID = requestID(e.Header)
	out.RetryAfter, _ = httpx.RetryAfter(e.Header)
	switch {
	case e.Code == "invalid_scope":
		out.kind = ErrScope
	case e.Status >= 500, e.Status == http.StatusTooManyRequests, isThrottled(e.Status, e.Header, e.Body):
		out.kind = ErrUnavailable
	case e.Status >= 400:
		out.kind = ErrUnauthenticated
	default:
		out.Code = "redirect"
	}
	return out
}

// problem reads code and message of the answer to a call that failed: the forms
// of OAuth (RFC 6749, section 5.2), of Canvas' services, and of RFC 9457.
func problem(body []byte) (code, message string) {
	var in struct {
		Error       optional[string] `json:"error"`
		Description optional[string] `json:"error_description"`
		Message     optional[string] `json:"message"`
		Detail      optional[string] `json:"detail"`
		Errors      optional[struct {
			Type    optional[string] `json:"type"`
			Message optional[string] `json:"message"`
		}] `json:"errors"`
	}
	if json.Unmarshal(body, &in, lenient) != nil {
		return "", ""
	}
	code = in.Error.value + in.Errors.value.Type.value
	for _, text := range [...]string{in.Errors.value.Message.value, in.Description.value, in.Message.value, in.Detail.value} {
		if message == "" {
			message = printable(text, 500)
		}
	}
	return wordOnly(code), message
}

// wordOnly returns a code if it is one: a sentence may name people.
func wordOnly(code string) string {
	if len(code) > 60 || strings.ContainsFunc(code, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return code
}

// isThrottled reports whether an answer is that of Canvas' rate limit, which did
// not run the request (canvas-lms, app/middleware/request_throttle.rb). What ran
// has a cost. Any other platform's 429 proves nothing.
func isThrottled(status int, h http.Header, body []byte) bool {
	if h.Get("X-Request-Cost") != "" || status != http.StatusForbidden && status != http.StatusTooManyRequests {
		return false
	}
	return strings.Contains(string(body[:min(len(body), 1<<10)]), "Rate Limit Exceeded")
}

func requestID(h http.Header) string {
	id := h.Get("X-Request-Context-Id")
	if id == "" {
		id = h.Get("X-Request-Id")
	}
	return printable(id, 100)
}

// printable returns the beginning of a foreign text, on one line.
func printable(s string, most int) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s[:min(len(s), most)])
}
