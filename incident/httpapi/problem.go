package httpapi

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// A Problem is what is answered instead of a result: the problem details of RFC 9457, as
// application/problem+json. Programs branch on Code; see the package comment for all of
// them.
type Problem struct {
	// Type is a URI that names the sort of problem: "tag:acu.edu.au,2026:runbook:" and
	// the code.
	Type string `json:"type"`
	// Title says in words what sort of problem it is. Status is the status of the answer.
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says what happened, and what to do next, without secrets.
	Detail string `json:"detail"`
	// Code names the sort of problem: "stale".
	Code string `json:"code"`
	// Errors are all that is wrong with the request, if that is the problem.
	Errors []FieldProblem `json:"errors,omitempty"`
	// Reference is by which the log has more about it.
	Reference string `json:"reference,omitempty"`
}

// A FieldProblem is one thing that is wrong with a request.
type FieldProblem struct {
	// Pointer is where in the body, as the fragment of a JSON pointer: "#/parameters/to".
	Pointer string `json:"pointer,omitempty"`
	// Parameter is the parameter of the URL, or the header, that it is about otherwise.
	Parameter string `json:"parameter,omitempty"`
	// Detail says what is wrong.
	Detail string `json:"detail"`
}

// The codes of problems.
const (
	codeMalformed       = "malformed"
	codeUnauthenticated = "unauthenticated"
	codeNotPermitted    = "not-permitted"
	codeCrossSite       = "cross-site"
	codeNotFound        = "not-found"
	codeNoSuchPart      = "no-such-part"
	codeMethod          = "method-not-allowed"
	codeStale           = "stale"
	codeTaken           = "taken"
	codeState           = "state"
	codeBusy            = "busy"
	codeTooLarge        = "too-large"
	codeMediaType       = "media-type"
	codeInvalid         = "invalid"
	codeUnsupported     = "unsupported"
	codeRefused         = "refused"
	codeTooMany         = "too-many"
	codeInternal        = "internal"
	codeOutcomeUnknown  = "outcome-unknown"
	codeNotTold         = "not-told"
	codeCouldNotAsk     = "could-not-ask"
)

// sorts are the sorts of problems, in the order of their statuses.
var sorts = []struct {
	code   string
	status int
	title  string
}{
	{codeMalformed, http.StatusBadRequest, "The request cannot be read"},
	{codeUnauthenticated, http.StatusUnauthorized, "Who makes the request is not known"},
	{codeNotPermitted, http.StatusForbidden, "Not permitted"},
	{codeCrossSite, http.StatusForbidden, "The request comes from another site"},
	{codeNotFound, http.StatusNotFound, "There is no such thing"},
	{codeNoSuchPart, http.StatusNotFound, "This host does not have that"},
	{codeMethod, http.StatusMethodNotAllowed, "Not by this method"},
	{codeStale, http.StatusConflict, "It has changed meanwhile"},
	{codeTaken, http.StatusConflict, "There is one already"},
	{codeState, http.StatusConflict, "Not possible in this state"},
	{codeBusy, http.StatusConflict, "Something else has to end first"},
	{codeTooLarge, http.StatusRequestEntityTooLarge, "The request is too large"},
	{codeMediaType, http.StatusUnsupportedMediaType, "The request is not JSON"},
	{codeInvalid, http.StatusUnprocessableEntity, "Something in the request is wrong"},
	{codeUnsupported, http.StatusUnprocessableEntity, "Not possible here, whoever asks"},
	{codeRefused, http.StatusUnprocessableEntity, "The other side said no"},
	{codeTooMany, http.StatusTooManyRequests, "Too many at a time"},
	{codeInternal, http.StatusInternalServerError, "A fault of this program"},
	{codeOutcomeUnknown, http.StatusBadGateway, "It is not known whether it happened"},
	{codeNotTold, http.StatusBadGateway, "It is recorded, and not everybody was told"},
	{codeCouldNotAsk, http.StatusServiceUnavailable, "It could not be asked"},
}

// newProblem returns a problem of a sort.
func newProblem(code, format string, args ...any) *Problem {
	p := &Problem{Type: "tag:acu.edu.au,2026:runbook:" + code, Status: http.StatusInternalServerError, Title: code, Code: code, Detail: fmt.Sprintf(format, args...)}
	for _, s := range sorts {
		if s.code == code {
			p.Status, p.Title = s.status, s.title
		}
	}
	return p
}

// Error returns the detail. A *Problem is an error within the package.
func (p *Problem) Error() string { return p.Detail }

// invalid returns the problem of a request in which something is wrong.
func invalid(errs ...FieldProblem) *Problem {
	p := newProblem(codeInvalid, "%d things are wrong with it; nothing was done", len(errs))
	if len(errs) == 1 {
		p.Detail = "one thing is wrong with it; nothing was done"
	}
	p.Errors = errs
	return p
}

// sentinels say which problem an error of the core is. The first that fits counts.
var sentinels = []struct {
	err  error
	code string
}{
	{incident.ErrOutcomeUnknown, codeOutcomeUnknown},
	{incident.ErrNotPermitted, codeNotPermitted},
	{incident.ErrNotFound, codeNotFound},
	{incident.ErrTaken, codeTaken},
	{incident.ErrState, codeState},
	{incident.ErrStale, codeStale},
	{incident.ErrBusy, codeBusy},
	{incident.ErrUnsupported, codeUnsupported},
	{incident.ErrSealed, codeUnsupported},
	{alert.ErrRefused, codeRefused},
}

// problemOf says what an error means. An error of a command that says neither that it was
// refused nor that it is safe to repeat it leaves open whether it happened.
func problemOf(err error, command bool) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) && s.code != codeOutcomeUnknown {
			return newProblem(s.code, "%s", strings.TrimPrefix(err.Error(), "incident: "))
		}
		if errors.Is(err, s.err) {
			return outcomeUnknown()
		}
	}
	if command && !runbook.SafeToRetry(err) {
		return outcomeUnknown()
	}
	p := newProblem(codeCouldNotAsk, "what this rests on could not be reached, and nothing was changed; try again in a moment")
	p.Reference = rand.Text()[:12]
	return p
}

func outcomeUnknown() *Problem {
	p := newProblem(codeOutcomeUnknown, "it is not known whether it happened: look before doing it again")
	p.Reference = rand.Text()[:12]
	return p
}

// unsent marks an error of something that a command looked at before it did anything.
type unsent struct{ error }

func (e *unsent) Unwrap() error     { return e.error }
func (e *unsent) SafeToRetry() bool { return true }

// unchanged marks an error as one after which nothing was changed.
func unchanged(err error) error {
	if err == nil {
		return nil
	}
	return &unsent{err}
}
