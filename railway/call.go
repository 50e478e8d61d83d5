package railway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/Khan/genqlient/graphql"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
)

// An op is one call on its way. It is the client that the generated operations ask
// for.
type op struct {
	c    *Client
	name string // what is done, for errors: "restart deployment d1"
	// hides says that the call carries values that nobody may read, so that what
	// Railway says of it is not shown: it may quote them.
	hides bool
	// plain keeps the call from being diagnosed, because it is the diagnosis.
	plain bool
	// once makes it one attempt, whatever it is: a probe.
	once bool
	kind TokenKind
}

var _ graphql.Client = op{}

// op names a call. The name must not have a secret in it.
func (c *Client) op(format string, args ...any) op {
	return op{c: c, name: fmt.Sprintf(format, args...), kind: c.kind}
}

// hiding is op of a call that carries values of variables.
func (c *Client) hiding(format string, args ...any) op {
	o := c.op(format, args...)
	o.hides = true
	return o
}

// MakeRequest sends one operation. A query is sent again after failures that may
// pass, a mutation only if it is proven that it was not run. Data that comes with
// errors is in resp, and all the errors are in the [*Error].
func (o op) MakeRequest(ctx context.Context, req *graphql.Request, resp *graphql.Response) error {
	start := time.Now()
	mutation := isMutation(req.Query)
	attempts, err := o.send(ctx, req, resp, mutation)
	if o.c.hooks.OnCall != nil {
		o.c.hooks.OnCall(ctx, CallInfo{Op: o.name, Mutation: mutation, Attempts: attempts, Duration: time.Since(start), Err: err})
	}
	return err
}

func isMutation(query string) bool {
	return strings.HasPrefix(strings.TrimLeft(query, " \r\n\t"), "mutation")
}

// gatewayTries is how often a query is sent if Railway's gateway fails, which it
// says with status 200.
const gatewayTries = 3

func (o op) send(ctx context.Context, req *graphql.Request, resp *graphql.Response, mutation bool) (attempts int, err error) {
	call := httpx.Call{Op: o.name, Method: http.MethodPost, URL: o.c.endpoint, Idempotent: !mutation, Reads: !mutation}
	if err := call.Refused(ctx); err != nil {
		return 0, o.failed(err)
	}
	token, err := o.c.auth(ctx)
	if err == nil && !isToken(token.Reveal()) {
		err = errors.New("what Auth gave is none")
	}
	if err != nil {
		return 0, &Error{Op: o.name, unrun: true, cause: fmt.Errorf("no token: %w", err)}
	}
	body, err := json.Marshal(req)
	if err != nil {
		return 0, &Error{Op: o.name, unrun: true, cause: errors.New("the variables cannot be encoded")}
	}
	call.Header, call.Body = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}, body
	o.kind.authorize(call.Header, token)
	if o.once {
		call.Body, call.Stream, call.Size = nil, bytes.NewReader(body), int64(len(body))
	}
	for try := 1; ; try++ {
		r, err := o.c.http.Do(ctx, call)
		if err != nil {
			return attempts + max(1, attemptsOf(err)), o.failed(err)
		}
		attempts += r.Attempts
		e := o.read(r, req.OpName, resp, token, mutation)
		if e == nil {
			return attempts, nil
		}
		if e.gateway && !mutation && !o.once && try < gatewayTries && pause(ctx, time.Duration(try)*500*time.Millisecond) == nil {
			continue
		}
		if errors.Is(e, ErrNotAuthorized) && !o.plain {
			e.Diagnosis = o.c.diagnose(ctx)
		}
		return attempts, e
	}
}

func attemptsOf(err error) int {
	if e, ok := errors.AsType[*httpx.Error](err); ok {
		return e.Attempts
	}
	return 0
}

// failed makes the error of a call without an answer.
func (o op) failed(err error) *Error {
	e := &Error{Op: o.name, unrun: runbook.SafeToRetry(err), cause: err}
	if limited, ok := errors.AsType[*limitError](err); ok {
		e.kind, e.RetryAfter = ErrRateLimited, limited.after
	}
	return e
}

// answer is the body of every answer of a GraphQL server.
type answer struct {
	Data   any            `json:"data"`
	Errors []graphQLError `json:"errors"`
}

// graphQLError is one error of an answer. traceId is at its top and not among the
// extensions.
type graphQLError struct {
	Message    string          `json:"message"`
	Path       []any           `json:"path"`
	TraceID    string          `json:"traceId"`
	Extensions json.RawMessage `json:"extensions"`
}

func (o op) read(r *httpx.Response, operation string, resp *graphql.Response, token runbook.Secret, mutation bool) *Error {
	a := answer{Data: resp.Data}
	err := json.Unmarshal(r.Body, &a)
	hasData := err == nil && a.Data != nil && !isAbsent(a.Data, r.Body)
	if hasData && r.Status == http.StatusOK && len(a.Errors) == 0 {
		return o.complete(operation, a.Data, r.Status)
	}
	e := &Error{Op: o.name, Status: r.Status, unrun: r.Unrun, Partial: hasData && len(a.Errors) > 0}
	e.RetryAfter, _ = retryAfterOf(r.Header)
	switch {
	case r.Status == http.StatusTooManyRequests:
		e.kind = ErrRateLimited
		if blocked := o.c.budget.Stats().Blocked; e.RetryAfter == 0 && !blocked.IsZero() {
			e.RetryAfter = time.Until(blocked)
		}
		if isEdgeLimit(r.Header, r.Body) {
			e.Code, e.Message = "1015", "the edge's limit of requests, which does not say for how long"
		}
	case len(a.Errors) > 0:
		o.take(e, a.Errors, token, mutation)
	case r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden:
		e.kind = ErrNotAuthorized // by what is before Railway, or so it seems
	case r.Status/100 != 2: // and no more to say
	case err != nil:
		e.Code = "unreadable"
		e.cause = errors.New("the answer is not what was asked for: " + decodeProblem(err))
	default:
		e.Code = "no data"
	}
	return e
}

// complete is an error if an answer has not what it must have. It is one that cannot
// be used, and of a mutation says nothing: it was run.
func (o op) complete(operation string, data any, status int) *Error {
	if path := missing(operation, data); path != "" {
		return &Error{Op: o.name, Status: status, Code: "no data", Message: "the answer has no " + path + ", which cannot be null"}
	}
	return nil
}

// isAbsent reports whether an answer has no data at all. Where something was decoded
// it has, so that the answer is seldom read twice.
func isAbsent(data any, body []byte) bool {
	if v := reflect.ValueOf(data); v.Kind() != reflect.Pointer || !v.Elem().IsZero() {
		return false
	}
	var a struct {
		Data json.RawMessage `json:"data"`
	}
	return json.Unmarshal(body, &a) != nil || a.Data == nil
}

// decodeProblem says why an answer cannot be decoded, without quoting it.
func decodeProblem(err error) string {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		form, _, _ := strings.Cut(t.Value, " ") // of a number it has the value too
		return fmt.Sprintf("field %q has another type, %s", printable(t.Field, 200), form)
	}
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("no JSON at byte %d", s.Offset)
	}
	return "it has another form"
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxFailures is how many looks in a row may fail before a wait does.
const maxFailures = 5

// A patience bears failures that may pass, for what is waited for.
type patience struct{ failures int }

// bear returns the error of a look, if there is no use in looking again. It waits
// until a limit of requests is over.
func (p *patience) bear(ctx context.Context, err error) error {
	if errors.Is(err, ErrRateLimited) {
		return pause(ctx, retryAfter(err))
	}
	e, ok := errors.AsType[*Error](err)
	if p.failures++; ok && e.refused || p.failures == maxFailures {
		return err
	}
	return nil
}

func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// poll calls look after waits that grow by half from first to most, until it is
// done, it fails, or ctx ends.
func poll(ctx context.Context, first, most time.Duration, look func() (done bool, err error)) error {
	for wait := first; ; wait = min(wait+wait/2, most) {
		if err := pause(ctx, wait); err != nil {
			return err
		}
		if done, err := look(); done || err != nil {
			return err
		}
	}
}
