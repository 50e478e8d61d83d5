package canvas

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
)

// A Request is any call of Canvas's API, for what has no method of its own.
type Request struct {
	// Op says in a few words what is done, for errors: "list blueprints". Empty
	// means method and route.
	Op string
	// Method is the HTTP method. Empty means GET.
	Method string
	// Path is the escaped path, "/api/v1/courses/1/pages"; see [Path].
	Path string
	// Query has the parameters of the address. Lists are repeated parameters
	// with brackets: "include[]". It must hold no token.
	Query url.Values
	// Form is sent as the body of a form, JSON as a JSON body; at most one of
	// them may be set.
	Form url.Values
	JSON any
	// Idempotent says that doing it twice does what doing it once does, so
	// that it is repeated after a failure as a GET is. A request that the
	// bucket rejected did not run, and is repeated in any case.
	Idempotent bool
	// AsUser acts as another user, which needs a permission for it and shows in
	// Canvas's logs. Empty means not to.
	AsUser Ref

	// reads says that it changes nothing, although it is a POST.
	reads bool
}

// A Response is the answer to a successful call.
type Response struct {
	// Status is from 200 to 299.
	Status int
	// Header has the header fields.
	Header http.Header
	// Body is the whole body.
	Body []byte
}

// Do sends a request, and decodes a JSON answer into out unless that is nil.
// The error of a call that Canvas answered is an [*Error].
func (c *Client) Do(ctx context.Context, r Request, out any) (*Response, error) {
	u, err := c.resolve(&r)
	if err != nil {
		return nil, err
	}
	resp, err := c.send(ctx, &r, u)
	if err != nil {
		return nil, err
	}
	if out != nil {
		if err := decode(&r, resp, out); err != nil {
			return nil, err
		}
	}
	return &Response{Status: resp.Status, Header: resp.Header, Body: resp.Body}, nil
}

// resolve checks r, fills in its defaults and returns its address.
func (c *Client) resolve(r *Request) (*url.URL, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.Op == "" {
		r.Op = routeOf(r.Method, r.Path)
	}
	fail := func(why string) (*url.URL, error) {
		return nil, &Error{Op: r.Op, cause: errors.New(why), unrun: true}
	}
	if !strings.HasPrefix(r.Path, "/") || strings.HasPrefix(r.Path, "//") || strings.ContainsAny(r.Path, "?#\\ ") {
		return fail("the path must begin with one slash, be escaped, and have no query")
	}
	path, err := url.PathUnescape(r.Path)
	if err != nil {
		return fail("the path is not properly escaped")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == ".." || segment == "." {
			return fail("the path must not have . or .. in it")
		}
	}
	if r.Form != nil && r.JSON != nil {
		return fail("both Form and JSON are set")
	}
	if r.Query.Has("access_token") {
		return fail("a token does not belong into a query, which is logged")
	}
	u := c.base
	u.Path, u.RawPath = path, r.Path
	query := r.Query
	if r.AsUser != "" {
		query = cloneValues(query)
		query.Set("as_user_id", string(r.AsUser))
	}
	u.RawQuery = query.Encode()
	return &u, nil
}

func cloneValues(v url.Values) url.Values {
	out := make(url.Values, len(v)+2)
	for key, values := range v {
		out[key] = append([]string(nil), values...)
	}
	return out
}

// send makes the call at u, which must be on the host of the client, and
// returns an answer with a status from 200 to 299. If Canvas does not accept
// the token, it is renewed, and the call sent once more: Canvas checks the token
// before it does anything else.
func (c *Client) send(ctx context.Context, r *Request, u *url.URL) (*httpx.Response, error) {
	call := httpx.Call{Op: "canvas: " + r.Op, Method: r.Method, URL: u, Idempotent: r.Idempotent, Reads: r.reads}
	call.Header = http.Header{"Accept": {"application/json"}}
	if err := setBody(&call, r); err != nil {
		return nil, &Error{Op: r.Op, cause: err, unrun: true}
	}
	p := &passage{route: routeOf(r.Method, u.EscapedPath()), priority: c.priority}
	if priority, ok := ctx.Value(priorityKey{}).(Priority); ok {
		p.priority = priority
	}
	if err := call.Refused(ctx); err != nil {
		return nil, &Error{Op: r.Op, Route: p.route, cause: err, unrun: true}
	}
	token, err := c.auth.Token(ctx)
	if err != nil {
		return nil, &Error{Op: r.Op, Route: p.route, cause: err, unrun: true}
	}
	callCtx := context.WithValue(ctx, passageKey{}, p)
	resp, err := c.sendWith(callCtx, r, p, call, token)
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusUnauthorized || e.kind != ErrUnauthenticated {
		return resp, err
	}
	renewed, renewal := c.auth.Renew(ctx, token)
	switch {
	case renewal != nil:
		e, _ := errors.AsType[*Error](err)
		e.cause = renewal
		return nil, e
	case renewed.Equal(token):
		return nil, err
	}
	return c.sendWith(callCtx, r, p, call, renewed)
}

func (c *Client) sendWith(ctx context.Context, r *Request, p *passage, call httpx.Call, token runbook.Secret) (*httpx.Response, error) {
	if !isHeaderValue(token.Reveal()) || token.IsZero() {
		return nil, &Error{Op: r.Op, Route: p.route, cause: errors.New("the token is empty or has characters that no token has"), unrun: true}
	}
	call.Header.Set("Authorization", "Bearer "+token.Reveal())
	resp, err := c.http.Do(ctx, call)
	if err != nil {
		return nil, &Error{Op: r.Op, Route: p.route, cause: err, unrun: runbook.SafeToRetry(err)}
	}
	if resp.Status < 200 || resp.Status > 299 {
		return nil, newError(r.Op, p.route, resp, token)
	}
	return resp, nil
}

func setBody(call *httpx.Call, r *Request) error {
	switch {
	case r.JSON != nil:
		body, err := json.Marshal(r.JSON)
		if err != nil {
			return fmt.Errorf("the request cannot be encoded: %w", err)
		}
		call.Body = body
		call.Header.Set("Content-Type", "application/json")
	case r.Form != nil:
		call.Body = []byte(r.Form.Encode())
		call.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return nil
}

// decode reads a JSON answer. That it cannot be read says nothing about whether
// the request was run: it was.
func decode(r *Request, resp *httpx.Response, out any) error {
	fail := func(err error) error {
		return &Error{
			Op: r.Op, Route: routeOf(r.Method, resp.URL.EscapedPath()), Status: resp.Status,
			RequestID: requestID(resp.Header), Code: "unreadable", cause: err,
		}
	}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && !strings.HasSuffix(media, "json") &&
		!strings.HasSuffix(media, "json+canvas-string-ids") && media != "text/plain" {
		return fail(fmt.Errorf("the answer is %s and not JSON", media))
	}
	if len(bytes.TrimSpace(resp.Body)) == 0 {
		return fail(errors.New("the answer is empty"))
	}
	if err := json.Unmarshal(resp.Body, out); err != nil {
		return fail(fmt.Errorf("the answer cannot be read: %w", err))
	}
	return nil
}
