package canvas

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
)

// What a caller may want to know of an error, for errors.Is. They are told
// apart by status, header and the form of the body, never by a text that Canvas
// may translate.
var (
	// ErrUnauthenticated means that Canvas did not accept the token: it is
	// missing, invalid, revoked or expired.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden means that the user of the token may not do that. Canvas
	// answers so with 401 or 403.
	ErrForbidden = errors.New("not permitted")
	// ErrScope means that the token lacks a scope, whatever the user may do.
	ErrScope = errors.New("not within the scopes of the token")
	// ErrNotFound means that there is no such object, or that it was deleted, or
	// that the account has no such feature.
	ErrNotFound = errors.New("not found")
	// ErrInvalid means that Canvas does not accept the request as it is: 400,
	// 409 or 422. [Error].Problems says why.
	ErrInvalid = errors.New("not accepted")
	// ErrThrottled means that the bucket was full and stayed so as long as the
	// call could wait. Nothing was run.
	ErrThrottled = errors.New("throttled")
	// ErrMaintenance means that Canvas answers 503 with a page instead of data,
	// as it does during maintenance.
	ErrMaintenance = errors.New("down, probably for maintenance")
	// ErrUserAgent means that Canvas does not accept the User-Agent.
	ErrUserAgent = errors.New("user agent not accepted")
)

// An Error is a call that did not do what it should. Status tells "they said no"
// from "we could not ask": without an answer it is 0. Whether anything happened
// is the question of [runbook.SafeToRetry].
type Error struct {
	// Op is what was done, in a few words.
	Op string
	// Route is method and path, with ids replaced.
	Route string
	// Status is the status of Canvas's answer; 0 means that there was none.
	Status int
	// Code is Canvas's own name for the error, if it has one: "invalid_client",
	// "internal_server_error". Some are ours: "redirect", "unreadable",
	// "graphql", "paging"; "upload" when the file service refused, "unchanged"
	// when an answer of 200 shows that nothing was changed, "failed" when a job
	// failed, and "unknown outcome" when nobody can tell.
	Code string
	// Problems are what Canvas says, one for each of its messages. The texts
	// may be translated, and may name people.
	Problems []Problem
	// RequestID is Canvas's X-Request-Context-Id, and ReportID the number of
	// its error report. Quote both to Instructure.
	RequestID, ReportID string
	// RetryAfter is how long Canvas asks to wait; usually 0, it does not say.
	RetryAfter time.Duration
	// Body is the beginning of the answer, with secrets removed.
	Body string

	kind  error
	unrun bool
	cause error
}

// A Problem is one message of Canvas.
type Problem struct {
	// Field is what the message is about; empty means the whole request.
	Field string
	// Code is Canvas's name for the problem, if it has one.
	Code string
	// Message is the text.
	Message string
}

// Error says what failed and how, without Canvas's texts.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("canvas: ")
	b.WriteString(e.Op)
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
		b.WriteString(strings.TrimPrefix(e.cause.Error(), "canvas: "+e.Op+": "))
	}
	switch {
	case e.RequestID != "" && e.ReportID != "":
		fmt.Fprintf(&b, " (request %s, report %s)", e.RequestID, e.ReportID)
	case e.RequestID != "":
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

// reply has what the bodies of Canvas's errors have in common (canvas-lms,
// lib/api/errors.rb, app/controllers/application_controller.rb).
type reply struct {
	Status      json.RawMessage `json:"status"`
	Errors      json.RawMessage `json:"errors"`
	Error       json.RawMessage `json:"error"`
	Description string          `json:"error_description"`
	Message     string          `json:"message"`
	ReportID    json.RawMessage `json:"error_report_id"`
}

// maxKept is how much of a body is kept, and maxProblems how many messages.
const (
	maxKept     = 2 << 10
	maxProblems = 50
)

// newError makes the error of an answer whose status is not from 200 to 299.
func newError(op, route string, resp *httpx.Response, token runbook.Secret) *Error {
	text := resp.Body
	if !token.IsZero() {
		text = bytes.ReplaceAll(text, []byte(token.Reveal()), []byte("[redacted]"))
	}
	e := &Error{
		Op: op, Route: route, Status: resp.Status, RequestID: requestID(resp.Header),
		Body: keep(text), unrun: resp.Unrun,
	}
	e.RetryAfter, _ = httpx.RetryAfter(resp.Header)
	var body reply
	isJSON := json.Unmarshal(text, &body) == nil
	e.Problems = body.problems()
	e.ReportID = printable(strings.Trim(string(body.ReportID), `"`), 40)
	e.Code = body.code()
	e.kind = kindOf(resp, &body, isJSON)
	if resp.Status >= 300 && resp.Status <= 399 {
		e.Code = "redirect"
	}
	return e
}

// requestID returns Canvas's name for the request.
func requestID(h http.Header) string { return printable(h.Get("X-Request-Context-Id"), 100) }

func kindOf(resp *httpx.Response, body *reply, isJSON bool) error {
	if isThrottled(resp.Status, resp.Header, resp.Body) {
		return ErrThrottled
	}
	switch resp.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		switch {
		case resp.Status == http.StatusUnauthorized && resp.Header.Get("WWW-Authenticate") != "":
			return ErrUnauthenticated
		case body.isScope():
			return ErrScope
		case body.text(body.Error) == "Forbidden" && body.Message != "":
			return ErrUserAgent
		}
		return ErrForbidden
	case http.StatusNotFound, http.StatusGone:
		return ErrNotFound
	case http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity:
		return ErrInvalid
	case http.StatusServiceUnavailable:
		if !isJSON {
			return ErrMaintenance
		}
	}
	if resp.Status >= 300 && resp.Status <= 399 {
		if to, err := url.Parse(resp.Header.Get("Location")); err == nil && isLogin(to) {
			return ErrUnauthenticated
		}
	}
	return nil
}

// isScope reports whether a refusal is about scopes. Canvas's refusals of
// permission say a status in the body; that for scopes has a list of one
// message and no status (canvas-lms, lib/authentication_methods.rb).
func (r *reply) isScope() bool {
	var list []map[string]json.RawMessage
	if r.Status != nil || r.Error != nil || json.Unmarshal(r.Errors, &list) != nil || len(list) != 1 || len(list[0]) != 1 {
		return false
	}
	return list[0]["message"] != nil
}

func (r *reply) text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s) // another type is no text
	return s
}

// code returns the name of the error: that of the token endpoint, or the
// error_code of the only message.
func (r *reply) code() string {
	if r.Description != "" {
		return printable(r.text(r.Error), 60)
	}
	var list []struct {
		Code string `json:"error_code"`
	}
	if json.Unmarshal(r.Errors, &list) == nil && len(list) == 1 {
		return printable(list[0].Code, 60)
	}
	return ""
}

// problems reads the messages of all forms: a list of objects or of texts, an
// object with a list for each attribute, one text, or fields beside.
func (r *reply) problems() []Problem {
	var out []Problem
	add := func(p Problem) {
		p.Field, p.Code, p.Message = printable(p.Field, 100), printable(p.Code, 60), printable(p.Message, 500)
		if len(out) < maxProblems && p != (Problem{}) {
			out = append(out, p)
		}
	}
	readProblems(r.Errors, "", add, 3)
	add(Problem{Message: r.text(r.Error)})
	add(Problem{Message: r.Description})
	add(Problem{Message: r.Message})
	return out
}

func readProblems(raw json.RawMessage, field string, add func(Problem), depth int) {
	if len(raw) == 0 || depth == 0 {
		return
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) == nil {
			add(Problem{Field: field, Message: s})
		}
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) == nil {
			for _, item := range list[:min(len(list), maxProblems)] {
				readProblems(item, field, add, depth-1)
			}
		}
	case '{':
		readProblemObject(raw, field, add, depth)
	}
}

func readProblemObject(raw json.RawMessage, field string, add func(Problem), depth int) {
	var one struct {
		Field     string `json:"field"`
		Attribute string `json:"attribute"`
		Type      string `json:"type"`
		Code      string `json:"error_code"`
		Message   string `json:"message"`
	}
	if json.Unmarshal(raw, &one) == nil && one.Message != "" {
		add(Problem{Field: cmp.Or(one.Field, one.Attribute, field), Code: cmp.Or(one.Code, one.Type), Message: one.Message})
		return
	}
	var byField map[string]json.RawMessage
	if json.Unmarshal(raw, &byField) != nil {
		return
	}
	for _, name := range sortedKeys(byField) {
		readProblems(byField[name], name, add, depth-1)
	}
}

// secretField matches a field of a body whose value must not be kept.
var secretField = regexp.MustCompile(`(?i)("?[a-z_]*(?:api_key|token|secret|password|assertion|authorization)[a-z_]*"?\s*[:=]\s*)("(?:[^"\\]|\\.)*"?|[^\s,;&}<"]+)`)

// keep returns the beginning of a body without secrets.
func keep(body []byte) string {
	// A secret that the cut goes through must not survive it, so more is
	// looked at than is kept.
	text := string(body[:min(len(body), 2*maxKept)])
	text = secretField.ReplaceAllString(text, `${1}"[redacted]"`)
	return printable(text, maxKept)
}
