package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/dashboard"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/statuspage"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// web is what opsd serves:
//
//	/status/      the status page, for everybody
//	/ops/         the dashboard, and /ops/status/ the status page with details
//	/api/v1/      package httpapi; /api/host/ what only this program has
//	/hooks/...    what others tell: Railway, Slack, PagerDuty, Alertmanager, heartbeats
//	/sign-in      signing in and out
//	/livez        whether the process works, /readyz whether it may be given requests
type web struct {
	service *service
	auth    *auth
	signer  *signer
	handler http.Handler
	hooks   atomic.Pointer[http.ServeMux] // what needs the engine, which is there when in charge
}

func newWeb(v *service) (*web, error) {
	w := &web{service: v}
	var err error
	if w.auth, err = newAuth(v.settings); err != nil {
		return nil, err
	}
	if w.signer, err = newSigner(w.auth, v.settings, v.logger()); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	if err := errors.Join(w.pages(mux), w.interfaces(mux)); err != nil {
		return nil, err
	}
	w.signer.routes(mux)
	mux.HandleFunc("GET /livez", w.live)
	mux.HandleFunc("GET /readyz", w.ready)
	mux.Handle("/hooks/", http.HandlerFunc(w.receive))
	mux.Handle("GET /{$}", http.RedirectHandler("/ops/", http.StatusSeeOther))
	cross := http.NewCrossOriginProtection()
	for _, origin := range w.origins() {
		if err := cross.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("opsd: server.url: %w", err)
		}
	}
	w.handler = cross.Handler(mux)
	return w, nil
}

// origins are those whose pages may send commands beside that which a request names: a proxy
// may change Host.
func (w *web) origins() []string {
	if url := w.service.settings.Server.URL; url != "" {
		return []string{strings.TrimSuffix(url, "/")}
	}
	return nil
}

// ServeHTTP implements [http.Handler].
func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) { w.handler.ServeHTTP(rw, r) }

// interfaces serves the APIs.
func (w *web) interfaces(mux *http.ServeMux) error {
	v := w.service
	api, err := httpapi.New(httpapi.Config{
		Authenticate: w.auth, Store: v.state.store, Runner: v.host.Runner(), Manager: v.host.Manager(), Automation: v.host.Automation(),
		Replicas: v.state.runs, Escalations: v.host.Escalations(), Logger: v.logger(), Origins: w.origins(),
	})
	if err != nil {
		return err
	}
	mux.Handle("/api/", http.StripPrefix("/api", api))
	mux.Handle("/api/host/", newHostAPI(v, w.auth))
	return nil
}

// pages serves what people look at.
func (w *web) pages(mux *http.ServeMux) error {
	v, s := w.service, w.service.settings
	cfg := statuspage.Config{
		Monitor: v.host.Monitor(), URL: s.address() + "/status", Title: s.StatusPage.Title, Description: s.StatusPage.Description, Components: v.components(),
		History: v.host.History(), Location: s.zone, Events: posts{v.state.store}.events, Logger: v.logger(),
	}
	public, err1 := statuspage.NewPublic(cfg)
	cfg.URL = s.address() + "/ops/status"
	private, err2 := statuspage.NewPrivate(cfg)
	board, err3 := dashboard.New(dashboard.Config{
		Title: s.StatusPage.Title, Actor: w.auth.Actor, Store: v.state.store, Runner: v.host.Runner(), Manager: v.host.Manager(), Automation: v.host.Automation(),
		Escalations: v.host.Escalations(), Replicas: v.state.runs, Monitor: v.host.Monitor(), SignIn: "/sign-in", Location: s.zone, Logger: v.logger(), Origins: w.origins(),
		Links: []dashboard.Link{{Text: "Checks and components", URL: "/ops/status/"}, {Text: "Public status page", URL: "/status/"}},
	})
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	mux.Handle("/status/", http.StripPrefix("/status", public))
	mux.Handle("/ops/status/", w.signedIn(http.StripPrefix("/ops/status", private)))
	mux.Handle("/ops/", http.StripPrefix("/ops", board))
	return nil
}

// signedIn serves people of opsd only, and sends others to sign in.
func (w *web) signedIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, err := w.auth.Actor(r)
		switch {
		case err == nil:
			next.ServeHTTP(rw, r)
		case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(rw, r, "/sign-in?next="+url.QueryEscape(r.URL.Path), http.StatusSeeOther)
		default:
			rw.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(rw, "sign in first", http.StatusUnauthorized)
		}
	})
}

// live answers whether the process itself works, which is what restarts it if it does not.
func (w *web) live(rw http.ResponseWriter, r *http.Request) {
	plain(rw, w.service.host.Monitor().SelfProber().Probe(r.Context()).Status != health.Unhealthy, "its checks do not run on time")
}

// ready answers whether it watches: a replica that is not in charge does so too.
func (w *web) ready(rw http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	_, err := w.service.state.store.Document(ctx, kindMaintenance, "none") // is the state there?
	plain(rw, err == nil || errors.Is(err, incident.ErrNotFound), "its state cannot be read")
}

func plain(rw http.ResponseWriter, ok bool, otherwise string) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-store")
	if !ok {
		rw.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(rw, otherwise)
		return
	}
	fmt.Fprintln(rw, "ok")
}

// component is a part of the service as people know it, and the checks of an environment by
// which it is judged.
type component struct {
	name, about string
	checks      []string
}

// parts are those that the public reads of.
var parts = []component{
	{"Website", "The pages of QA automation.", []string{"application", "websocket"}},
	{"Opening it from Canvas", "Signing in through a course.", []string{"launch", "keys", "developer-key"}},
	{"Work with Canvas", "Reading and changing courses.", []string{"canvas-application", "canvas"}},
	{"QA tasks", "Checks of courses that run in the background.", []string{"task"}},
	{"Database", "Where results are kept.", []string{"database", "database-server", "redis"}},
}

// components are those of each environment, that of the users first.
func (v *service) components() []statuspage.Component {
	there := make(map[string]bool)
	for _, c := range v.host.Monitor().Snapshot().Checks {
		there[c.Name] = true
	}
	var all []statuspage.Component
	environments := v.host.Environments()
	slices.Reverse(environments)
	for _, e := range environments {
		for _, p := range parts {
			c := statuspage.Component{Name: p.name, Description: p.about, Group: strings.ToUpper(e.Name[:1]) + e.Name[1:], ID: e.Name + "-" + strings.ToLower(strings.ReplaceAll(p.name, " ", "-"))}
			for _, name := range p.checks {
				if there[e.Name+"/"+name] {
					c.Checks = append(c.Checks, e.Name+"/"+name)
				}
			}
			if len(c.Checks) > 0 {
				all = append(all, c)
			}
		}
	}
	return all
}

// receive serves what others tell, once this replica is in charge.
func (w *web) receive(rw http.ResponseWriter, r *http.Request) {
	hooks := w.hooks.Load()
	if hooks == nil {
		rw.Header().Set("Retry-After", "5")
		http.Error(rw, "another replica takes this, or none yet: try again", http.StatusServiceUnavailable)
		return
	}
	hooks.ServeHTTP(rw, r)
}

// acknowledge takes it that somebody takes care of what an alert is about.
func (w *web) acknowledge(ctx context.Context, key, by string, at time.Time) error {
	return w.service.host.Router().Acknowledge(ctx, key, alert.Acknowledgement{By: by, At: at})
}
