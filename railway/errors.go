package railway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// What a caller may want to know of an error, for errors.Is. Beside these, errors
// are those of package incident: incident.ErrNotFound, incident.ErrNotPermitted,
// incident.ErrOutcomeUnknown and so on. They are told apart by Railway's messages:
// its codes say INTERNAL_SERVER_ERROR for most.
var (
	// ErrNotAuthorized means that Railway answered "Not Authorized", which it does
	// for a dead token, for one of another kind, for what the token may not do, and
	// for some things that do not exist. [Error].Diagnosis says which of them it
	// was. It is an incident.ErrNotPermitted too.
	ErrNotAuthorized = errors.New("not authorized")
	// ErrRateLimited means that a limit of requests was reached, Railway's or that
	// of the edge before it, and nothing was run. [Error].RetryAfter is how long to
	// wait.
	ErrRateLimited = errors.New("too many requests")
	// ErrSchemaDrift means that the API no longer has what was asked for: it changes
	// without versions. Nothing was run. [Client.Verify] says what else changed.
	ErrSchemaDrift = errors.New("the API has changed")
	// ErrTwoFactor means that the account must have a second factor for that. It is
	// an incident.ErrNotPermitted too.
	ErrTwoFactor = errors.New("a second factor is required")
)

// An Error is a call that did not do what it should. Status tells "they said no"
// from "we could not ask": without an answer it is 0. Whether anything happened is
// the question of [runbook.SafeToRetry].
type Error struct {
	// Op is what was done, in a few words.
	Op string
	// Status is the status of the answer; 0 means that there was none. Railway
	// answers most errors with 200.
	Status int
	// Code is Railway's code; it says little. Some are ours: "unreadable" and "no
	// data" for an answer that cannot be used, "1015" for the limit of the edge,
	// "workflow" for a job that failed, "change set" for one that was not applied.
	Code string
	// Message is Railway's message. It is empty where it could have quoted values of
	// variables.
	Message string
	// Path is the field of the answer that it is about.
	Path string
	// TraceID names the request in Railway's logs. Quote it to their support.
	TraceID string
	// RetryAfter is how long to wait; 0 if Railway does not say.
	RetryAfter time.Duration
	// Partial says that the answer had data beside the errors.
	Partial bool
	// Others are the messages of the errors after the first, as Message.
	Others []string
	// Diagnosis says what "Not Authorized" means, as far as could be found out.
	Diagnosis string

	kind    error
	gateway bool // it never got to Railway's servers, or not back
	refused bool // Railway looked at it and did not run it
	unrun   bool
	cause   error
}

// Error says what failed and how.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("railway: ")
	b.WriteString(e.Op)
	if e.Status != 0 && e.Status != http.StatusOK {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.kind != nil {
		b.WriteString(": ")
		b.WriteString(e.kind.Error())
	}
	said := e.Message
	if said == "" {
		said = e.Code
	}
	if said != "" && (e.kind == nil || !strings.EqualFold(said, e.kind.Error())) {
		b.WriteString(": ")
		b.WriteString(said)
	}
	if e.cause != nil {
		b.WriteString(": ")
		b.WriteString(strings.TrimPrefix(e.cause.Error(), e.Op+": "))
	}
	if e.Diagnosis != "" {
		b.WriteString("; ")
		b.WriteString(e.Diagnosis)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, " (wait %s)", e.RetryAfter.Round(time.Second))
	}
	if e.TraceID != "" {
		fmt.Fprintf(&b, " (trace %s)", e.TraceID)
	}
	return b.String()
}

// Is reports whether the error is of the kind that target names.
func (e *Error) Is(target error) bool {
	if target == nil || e.kind == nil {
		return false
	}
	return e.kind == target || target == incident.ErrNotPermitted && (e.kind == ErrNotAuthorized || e.kind == ErrTwoFactor)
}

// Unwrap returns why there is no answer, or none that can be used.
func (e *Error) Unwrap() error { return e.cause }

// SafeToRetry reports whether it is proven that nothing was run: the call was not
// sent, or a limit rejected it, or Railway refused it.
func (e *Error) SafeToRetry() bool {
	return e.kind != incident.ErrOutcomeUnknown && (e.unrun || e.refused)
}

// maxText is how much is kept of a message.
const maxText = 500

// take takes the errors of an answer into e, without what must not be shown.
func (o op) take(e *Error, list []graphQLError, token runbook.Secret, mutation bool) {
	clean := func(text string, most int) string {
		return printable(strings.ReplaceAll(text, token.Reveal(), "[redacted]"), most)
	}
	first := list[0]
	e.Code = clean(first.code(), 60)
	e.TraceID = traceID(clean(first.TraceID, 100))
	_, _, e.kind = classify(first.Message, e.Code, e.Status)
	e.refused = !e.Partial
	for _, g := range list {
		refused, gateway, _ := classify(g.Message, g.code(), e.Status)
		e.gateway = e.gateway || gateway
		// What came below the field of a mutation came after it was run.
		e.refused = e.refused && refused && !(mutation && len(g.Path) > 1)
	}
	if o.hides {
		if quotesNothing(first.Message) {
			e.Message = first.Message
		}
		return
	}
	e.Message = clean(first.Message, maxText)
	e.Path = clean(pathText(first.Path), 200)
	for _, other := range list[1:min(len(list), 21)] {
		e.Others = append(e.Others, clean(other.Message, maxText))
	}
}

// traceID returns what has the form of one.
func traceID(text string) string {
	isOther := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:", r)
	}
	if strings.ContainsFunc(text, isOther) {
		return ""
	}
	return text
}

// quotesNothing reports whether a message of Railway is one of those that are the
// same for all values.
func quotesNothing(message string) bool {
	switch strings.ToLower(message) {
	case "not authorized", "problem processing request", "two factor authentication required", "project token not found", "project not found",
		"environment not found", "service not found", "service instance not found", "deployment not found", "volume instance not found":
		return true
	}
	return false
}

// code returns the code, which is a name in capitals; anything else is none.
func (g graphQLError) code() string {
	var extensions struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(g.Extensions, &extensions) // what is not an object has no code
	for _, r := range extensions.Code {
		if (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' {
			return ""
		}
	}
	return extensions.Code
}

// classify reads a message of Railway. refused means that it was not run. Railway's
// code is INTERNAL_SERVER_ERROR for most errors, whatever they are.
func classify(message, code string, status int) (refused, gateway bool, kind error) {
	m := strings.ToLower(strings.TrimSpace(message))
	switch {
	case strings.Contains(m, "problem processing request"):
		return false, true, nil
	case strings.Contains(m, "two factor authentication required"):
		return true, false, ErrTwoFactor
	case strings.Contains(m, "not authorized"), strings.Contains(m, "project token not found"), strings.Contains(m, "invalid token"):
		return true, false, ErrNotAuthorized
	case strings.HasPrefix(m, "cannot query field"), strings.HasPrefix(m, "unknown argument"), strings.HasPrefix(m, "unknown type"),
		code == "GRAPHQL_VALIDATION_FAILED", code == "GRAPHQL_PARSE_FAILED":
		return true, false, ErrSchemaDrift
	case strings.HasSuffix(strings.TrimSuffix(m, "."), "not found"):
		return true, false, incident.ErrNotFound
	case code == "BAD_USER_INPUT", status == http.StatusBadRequest:
		return true, false, nil
	}
	return false, false, nil
}

func pathText(path []any) string {
	var parts []string
	for _, p := range path {
		parts = append(parts, fmt.Sprint(p))
	}
	return strings.Join(parts, ".")
}

// printable returns a text without what could change a terminal, cut to a length.
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// maybeRun reports whether an error leaves open whether a mutation was run.
func maybeRun(err error) bool { return err != nil && !runbook.SafeToRetry(err) }

// unknown makes the error of a change of which reading the state did not tell
// whether it was made. advice says what a person does next. The error of the change
// is its cause by text only: it must not be taken for a refusal.
func (o op) unknown(cause error, advice string) *Error {
	e := &Error{Op: o.name, kind: incident.ErrOutcomeUnknown, Message: advice}
	if cause != nil {
		e.cause = &quoted{strings.TrimPrefix(cause.Error(), "railway: "+o.name+": "), cause}
	}
	if sent, ok := errors.AsType[*Error](cause); ok {
		e.TraceID, e.Status = sent.TraceID, sent.Status
	}
	return e
}

// quoted is an error of which only the end of a context can still be recognised.
type quoted struct {
	text  string
	cause error
}

func (q *quoted) Error() string { return q.text }
func (q *quoted) Is(target error) bool {
	return isContextError(target) && errors.Is(q.cause, target)
}

// refuse makes the error of what is not tried, since it cannot or must not be done.
func (o op) refuse(kind error, format string, args ...any) *Error {
	return &Error{Op: o.name, kind: kind, refused: true, Message: fmt.Sprintf(format, args...)}
}

// needsMember refuses what a project token cannot do, before it is tried.
func (o op) needsMember() error {
	if o.c.kind != ProjectToken {
		return nil
	}
	return o.refuse(incident.ErrNotPermitted, "a project token cannot do this: it takes a token of an account or a workspace")
}
