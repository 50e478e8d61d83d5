package dashboard

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident/httpapi"
)

// A Handler is the dashboard, an [http.Handler]. Make one with [New].
type Handler struct {
	cfg       Config
	cross     *http.CrossOriginProtection
	api       http.Handler // carries out every command
	mux       *http.ServeMux
	policy    string // Content-Security-Policy
	templates *template.Template
	once      onces
	pulse     pulse
	followers chan struct{} // has as much in it as there are
}

var _ http.Handler = (*Handler)(nil)

// A request is one that is served, by somebody who is known.
type request struct {
	h     *Handler
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context
	actor httpapi.Actor
	now   time.Time
	root  string // how to get from the page to the first one

	problem  *problem // why what was asked for was not done
	troubles []string // what could not be read
}

// A problem is why something was not done, for people.
type problem struct {
	Status              int
	Code, Title, Detail string
	Fields              []string
	Reference           string
}

// route registers the pages and commands.
func (h *Handler) route() {
	h.mux = http.NewServeMux()
	get := func(pattern string, verb httpapi.Verb, show func(c *request)) {
		h.mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, verb, show) })
	}
	get("/{$}", httpapi.Read, (*request).showNow)
	get("/events", httpapi.Read, (*request).followNow)
	get("/incidents", httpapi.Read, (*request).showIncidents)
	get("/incidents/{id}", httpapi.Read, (*request).showIncident)
	get("/runs", httpapi.Read, (*request).showRuns)
	get("/runs/{id}", httpapi.Read, (*request).showRun)
	get("/runs/{id}/events", httpapi.Read, (*request).followRun)
	get("/approvals/{id}", httpapi.Read, (*request).showApproval)
	get("/playbooks", httpapi.Read, (*request).showPlaybooks)
	get("/playbooks/{environment}/{playbook}", httpapi.Operate, (*request).showPlaybook)
	get("/automation", httpapi.Read, (*request).showAutomation)
	get("/record", httpapi.Read, (*request).showRecord)
	h.mux.HandleFunc("GET /follow.js", func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, httpapi.Read, (*request).showScript) })
	for _, a := range h.actions() {
		h.mux.HandleFunc("POST "+a.path, func(w http.ResponseWriter, r *http.Request) {
			h.serve(w, r, httpapi.Read, func(c *request) { c.act(a) })
		})
	}
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.serve(w, r, httpapi.Read, func(c *request) { c.lost("page") })
	})
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", h.policy)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		header.Set("Allow", "GET, HEAD, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	// A path that is not as it should be is nothing: a redirect would not know the prefix.
	if escaped := r.URL.EscapedPath(); escaped != path.Clean(escaped) {
		h.serve(w, r, httpapi.Read, func(c *request) { c.lost("page") })
		return
	}
	h.mux.ServeHTTP(w, r)
}

// serve finds out who makes a request, and lets them have what they may.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, verb httpapi.Verb, show func(c *request)) {
	c := &request{h: h, w: w, r: r, ctx: r.Context(), now: time.Now(), root: rootOf(r.URL.EscapedPath())}
	defer c.recover()
	if p := c.who(); p != nil {
		c.problem = p
		c.show(p.Status, "stopped", "Not signed in", nil)
		return
	}
	c.ctx = context.WithValue(c.ctx, actorKey{}, c.actor)
	if !c.may(verb) {
		c.refuse(&problem{Status: http.StatusForbidden, Title: "Not permitted", Detail: fmt.Sprintf("this needs the right to %s, which your roles do not give", verb)})
		return
	}
	show(c)
}

// rootOf returns how to get from a page to the first one.
func rootOf(path string) string {
	if n := strings.Count(path, "/") - 1; n > 0 {
		return strings.Repeat("../", n)
	}
	return "./"
}

// recover answers when this program has a fault.
func (c *request) recover() {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // it is compared as net/http does
		panic(p)
	}
	reference := rand.Text()[:12]
	c.h.cfg.Logger.ErrorContext(c.ctx, "dashboard: a panic", "path", c.r.URL.Path, "reference", reference, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	http.Error(c.w, "this program has a fault; whether something was done is in its log, under "+reference, http.StatusInternalServerError)
}

type actorKey struct{}

// actorOf says to the API who makes a request: that is known by then.
func actorOf(r *http.Request) (httpapi.Actor, error) {
	actor, ok := r.Context().Value(actorKey{}).(httpapi.Actor)
	if !ok {
		return actor, httpapi.ErrUnauthenticated
	}
	return actor, nil
}

// who finds out who makes the request, and that it comes from a page of this host if it
// changes something.
func (c *request) who() *problem {
	cross := &problem{Status: http.StatusForbidden, Code: "cross-site", Title: "This came from another site", Detail: "Nothing was done: a command must come from a page of this host. Open the page here, and press the button there."}
	if err := c.h.cross.Check(c.r); err != nil {
		return cross
	}
	actor, err := c.h.cfg.Actor(c.r)
	if errors.Is(err, httpapi.ErrUnauthenticated) {
		c.h.cfg.Logger.DebugContext(c.ctx, "dashboard: a request was not authenticated", "error", err)
		return &problem{Status: http.StatusUnauthorized, Code: "unauthenticated", Title: "Say who you are", Detail: "These pages are for people who are signed in. Nothing was done."}
	}
	if err != nil {
		reference := c.log("who makes a request could not be found out", err)
		return &problem{Status: http.StatusServiceUnavailable, Title: "Who you are could not be found out", Detail: "Nothing was done. Try again in a moment.", Reference: reference}
	}
	c.actor = actor
	if p := c.known(); p != nil {
		return p
	}
	if actor.Cookie && c.r.Method == http.MethodPost && c.r.Header.Get("Sec-Fetch-Site") == "" && c.r.Header.Get("Origin") == "" {
		return cross
	}
	return nil
}

// known asks the API whether the actor can be one: it knows which names nobody has.
func (c *request) known() *problem {
	ctx := context.WithValue(c.ctx, actorKey{}, c.actor)
	p := c.h.call(ctx, c.r, http.MethodGet, "/", nil, nil)
	if p != nil && p.Status == http.StatusUnauthorized {
		return &problem{Status: p.Status, Code: p.Code, Title: "Say who you are", Detail: p.Detail}
	}
	return nil
}

// may reports whether the actor may do something, by the rules of the API.
func (c *request) may(verb httpapi.Verb) bool {
	for _, role := range c.actor.Roles {
		verbs := c.h.cfg.Roles[role]
		if slices.Contains(verbs, verb) || verb == httpapi.Read && len(verbs) > 0 {
			return true
		}
	}
	return false
}

// log logs what went wrong, and returns the reference under which it did.
func (c *request) log(what string, err error) string {
	reference := rand.Text()[:12]
	if c.r.Context().Err() == nil { // else nobody reads the answer
		c.h.cfg.Logger.WarnContext(c.ctx, "dashboard: "+what, "path", c.r.URL.Path, "actor", c.actor.Name, "reference", reference, "error", err)
	}
	return reference
}

// trouble notes what could not be read: the page shows the rest.
func (c *request) trouble(what string, err error) {
	reference := c.log(what+" could not be read", err)
	c.troubles = append(c.troubles, fmt.Sprintf("%s could not be read. What is there is not known, and not nothing. (Log: %s)", what, reference))
}

// refuse shows a problem, and nothing else.
func (c *request) refuse(p *problem) {
	c.problem = p
	c.show(p.Status, "stopped", p.Title, nil)
}

// lost says that there is no such thing.
func (c *request) lost(what string) {
	c.refuse(&problem{Status: http.StatusNotFound, Title: "There is no such " + what, Detail: "It may have been removed since it is long over, or the address is not right."})
}

// A page is what every page has.
type page struct {
	Heading, Title, Root, Section string
	Actor                         httpapi.Actor
	Roles                         string
	Now                           time.Time
	Zone, SignIn, Done            string
	Links                         []Link
	Problem                       *problem
	Troubles                      []string
	Stopped                       bool // it is known that automation is
	Refresh                       int
	CanOperate, CanApprove        bool
	CanAdminister                 bool
	Has                           parts
	Body                          any
}

// parts says which parts the host has.
type parts struct{ Runs, Incidents, Automation, Escalations bool }

// show writes a page.
func (c *request) show(status int, name, heading string, body any) {
	if c.problem != nil && status == http.StatusOK {
		status = c.problem.Status
	}
	p := page{
		Heading: heading, Title: c.h.cfg.Title, Root: c.root, Section: name, Actor: c.actor, Roles: strings.Join(c.actor.Roles, ", "), Now: c.now,
		Zone: c.h.cfg.Location.String(), SignIn: c.signIn(), Links: c.h.cfg.Links, Problem: c.problem, Troubles: c.troubles, Body: body,
		CanOperate: c.may(httpapi.Operate), CanApprove: c.may(httpapi.Approve), CanAdminister: c.may(httpapi.Administer), Has: c.h.has(),
	}
	if c.problem == nil {
		p.Done = done[c.r.URL.Query().Get("did")]
		p.Refresh = c.refresh()
	}
	text, err := c.render(name, p)
	if err != nil {
		reference := c.log("a page cannot be written", err)
		http.Error(c.w, "this page cannot be shown; the log has more about it, under "+reference, http.StatusInternalServerError)
		return
	}
	header := c.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	if p.Refresh > 0 {
		header.Set("Refresh", strconv.Itoa(p.Refresh))
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		header.Set("Retry-After", "5")
	}
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(text) // who asked has gone away
	}
}

// signIn returns where to sign in, with the page that was wanted.
func (c *request) signIn() string {
	to, err := url.Parse(c.h.cfg.SignIn)
	if err != nil || c.h.cfg.SignIn == "" || c.r.Method != http.MethodGet || !strings.HasPrefix(c.r.RequestURI, "/") {
		return c.h.cfg.SignIn
	}
	q := to.Query()
	q.Set("next", c.r.RequestURI)
	to.RawQuery = q.Encode()
	return to.String()
}

func (h *Handler) has() parts {
	return parts{Runs: h.cfg.Runner != nil, Incidents: h.cfg.Manager != nil, Automation: h.cfg.Automation != nil, Escalations: h.cfg.Escalations != nil}
}

// refresh returns the seconds after which somebody without scripts wants the page again.
func (c *request) refresh() int {
	n, err := strconv.Atoi(c.r.URL.Query().Get("refresh"))
	if err != nil || n < 5 || n > 3600 {
		return 0
	}
	return n
}

// render writes a template, without characters that change the direction in which others
// are shown: what is on a button must be what is done.
func (c *request) render(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := c.h.templates.ExecuteTemplate(&b, name, data); err != nil {
		return nil, err
	}
	return plain(b.Bytes()), nil
}
