package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"runtime/debug"
	"strconv"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// A call is one request that is served.
type call struct {
	a     *api
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context
	op    *operation // nil if it is none
	actor Actor
	known bool // actor is who makes it

	whole  context.Context // that of the request, without its time limit
	cancel context.CancelFunc
}

// limit limits how long the call may take, from now.
func (c *call) limit() {
	if c.cancel != nil {
		c.cancel()
	}
	if c.op.dry || c.op.results[mediaEvents] != nil {
		c.ctx, c.cancel = context.WithCancel(c.whole)
		return
	}
	c.ctx, c.cancel = context.WithTimeout(c.whole, c.a.cfg.Timeout)
}

// ServeHTTP implements [http.Handler].
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	// A path that is not as it should be is nothing: no redirect to another one.
	if escaped := r.URL.EscapedPath(); r.Method == http.MethodConnect || r.RequestURI == "*" || escaped != path.Clean(escaped) {
		a.refuse(w, r, nil, func(*call) *Problem { return newProblem(codeNotFound, "there is nothing at this path") })
		return
	}
	a.mux.ServeHTTP(w, r)
}

// serve serves a request for an operation.
func (a *api) serve(w http.ResponseWriter, r *http.Request, o *operation) {
	a.refuse(w, r, o, func(c *call) *Problem {
		if !a.may(c.actor, o.verb) {
			return newProblem(codeNotPermitted, "this needs the right to %s, which your roles do not give", o.verb)
		}
		if !a.has(o.part) {
			return newProblem(codeNoSuchPart, "this host has no %s", o.part)
		}
		for _, name := range o.names() {
			if !validName(name, r.PathValue(name)) {
				return newProblem(codeNotFound, "there is no such %s", name)
			}
		}
		ctx := context.WithValue(r.Context(), actorKey{}, c.actor)
		if o.command() {
			// What has arrived is carried out, also if the client goes away.
			ctx = context.WithoutCancel(ctx)
		}
		c.whole = ctx
		c.limit()
		defer func() { c.cancel() }()
		if err := o.serve(c); err != nil {
			return c.problem(err)
		}
		return nil
	})
}

// refuse finds out who makes a request, and answers with a problem, if there is one then.
func (a *api) refuse(w http.ResponseWriter, r *http.Request, o *operation, serve func(c *call) *Problem) {
	c := &call{a: a, w: w, r: r, ctx: r.Context(), op: o}
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler { //nolint:errorlint // it is compared as net/http does
			panic(p)
		}
		problem := newProblem(codeInternal, "this program has a fault; whether something was done is in its log")
		problem.Reference = rand.Text()[:12]
		a.cfg.Logger.ErrorContext(c.ctx, "httpapi: a panic", "path", r.URL.Path, "reference", problem.Reference, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		c.answer(problem)
	}()
	problem := c.who()
	if problem == nil {
		problem = serve(c)
	}
	if problem != nil {
		c.answer(problem)
	}
}

// who finds out who makes the request.
func (c *call) who() *Problem {
	if err := c.a.cross.Check(c.r); err != nil {
		return newProblem(codeCrossSite, "a command must come from a page of this host, or from no page")
	}
	actor, err := c.a.cfg.Authenticate.Actor(c.r)
	if errors.Is(err, ErrUnauthenticated) {
		c.a.cfg.Logger.DebugContext(c.ctx, "httpapi: a request was not authenticated", "error", err)
		c.w.Header().Set("WWW-Authenticate", c.a.cfg.Challenge)
		return newProblem(codeUnauthenticated, "say who you are")
	}
	if err != nil {
		p := newProblem(codeCouldNotAsk, "who you are could not be found out; try again in a moment")
		p.Reference = rand.Text()[:12]
		c.a.cfg.Logger.WarnContext(c.ctx, "httpapi: who makes a request could not be found out", "reference", p.Reference, "error", err)
		return p
	}
	if wrong := actor.problem(); wrong != "" {
		c.a.cfg.Logger.WarnContext(c.ctx, "httpapi: the authenticator returned an actor that cannot be one", "problem", wrong)
		c.w.Header().Set("WWW-Authenticate", c.a.cfg.Challenge)
		return newProblem(codeUnauthenticated, "%s", wrong)
	}
	c.actor, c.known = actor, true
	if actor.Cookie && !safe(c.r.Method) && c.r.Header.Get("Sec-Fetch-Site") == "" && c.r.Header.Get("Origin") == "" {
		return newProblem(codeCrossSite, "a command with a cookie must say by Sec-Fetch-Site or Origin from where it comes")
	}
	return nil
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// validName reports whether a part of the path may be what it stands for. Environments and
// playbooks are looked up in a table, and may have any name.
func validName(name, value string) bool {
	return name == "environment" || name == "playbook" || idPattern.MatchString(value)
}

// readBody reads the body, which must be JSON.
func (c *call) readBody() ([]byte, *Problem) {
	media, parameters, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	charset, given := parameters["charset"]
	if err != nil || media != mediaJSON || given && charset != "utf-8" && charset != "UTF-8" {
		return nil, newProblem(codeMediaType, "the Content-Type must be application/json")
	}
	if c.r.Header.Get("Content-Encoding") != "" {
		return nil, newProblem(codeMediaType, "the body must not be encoded")
	}
	// A body that does not come holds nothing for longer than that; not every connection
	// has a deadline.
	control := http.NewResponseController(c.w)
	_ = control.SetReadDeadline(time.Now().Add(c.a.cfg.Timeout))
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	_ = control.SetReadDeadline(time.Time{})
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, newProblem(codeTooLarge, "the body has more than 1 MiB")
	}
	if err != nil {
		return nil, newProblem(codeMalformed, "the body did not arrive as a whole; nothing was done")
	}
	return raw, nil
}

// write answers with JSON.
func (c *call) write(status int, result any) error {
	text, err := json.Marshal(result)
	if err != nil {
		p := newProblem(codeInternal, "the answer cannot be written; what was asked for was done")
		p.Reference = rand.Text()[:12]
		c.a.cfg.Logger.ErrorContext(c.ctx, "httpapi: an answer cannot be written", "operation", c.op.id, "reference", p.Reference, "error", err)
		return p
	}
	c.send(status, mediaJSON, append(text, '\n'))
	return nil
}

// send answers.
func (c *call) send(status int, media string, content []byte) {
	h := c.w.Header()
	if media != "" {
		h.Set("Content-Type", media)
		h.Set("Content-Length", strconv.Itoa(len(content)))
	}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(content) // who asked has gone away
}

// problem says what an error means, and logs what is not told.
func (c *call) problem(err error) *Problem {
	p := problemOf(err, c.op.command())
	gone := !c.op.command() && c.r.Context().Err() != nil // nobody reads the answer
	if p.Reference != "" && p.Code != codeInternal && !gone {
		c.a.cfg.Logger.WarnContext(c.ctx, "httpapi: a request failed", "operation", c.op.id, "actor", c.actor.Name, "code", p.Code, "reference", p.Reference, "error", err)
	}
	return p
}

// answer answers with a problem, and records it if a command was refused.
func (c *call) answer(p *Problem) {
	c.a.refusals.note(c, p)
	text, err := json.Marshal(p)
	if err != nil { // a problem is texts and numbers
		text = []byte("{}")
	}
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		c.w.Header().Set("Retry-After", "5")
	}
	c.send(p.Status, mediaProblem, append(text, '\n'))
}

// audit records a command that the core does not record, before it has an effect.
func (c *call) audit(kind, text string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("record it: %w", err)
	}
	entry := incident.Entry{Chain: "audit", At: time.Now(), Kind: kind, Actor: c.actor.Name, Text: text, Data: raw}
	if _, err := c.a.cfg.Store.Commit(c.ctx, incident.Change{Entries: []incident.Entry{entry}}); err != nil {
		p := newProblem(codeCouldNotAsk, "nothing was done, because it could not be recorded; try again in a moment")
		p.Reference = rand.Text()[:12]
		c.a.cfg.Logger.WarnContext(c.ctx, "httpapi: a command was not recorded, and not carried out", "operation", c.op.id, "reference", p.Reference, "error", err)
		return p
	}
	return nil
}
