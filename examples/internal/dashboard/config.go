package dashboard

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// Config says what the dashboard of [New] shows, and with what it works. A part that is nil
// is left out of the pages.
type Config struct {
	// Title is the name of what is operated: "QA automation". Empty means "Operations".
	Title string
	// Actor says who makes a request, as an [httpapi.Authenticator] does: the error wraps
	// [httpapi.ErrUnauthenticated] if that is not known. An actor whom a cookie names has
	// Cookie set. Required: nothing is shown to nobody.
	Actor func(r *http.Request) (httpapi.Actor, error)
	// Store is that of the parts. Required.
	Store incident.Store
	// Runner has the playbooks and their runs, Manager the incidents, Automation the switch,
	// Escalations who is called, and Replicas the processes that share the runs. Optional.
	Runner      *incident.Runner
	Manager     *incident.Manager
	Automation  *incident.Automation
	Escalations *incident.Escalations
	Replicas    incident.Replicas
	// Monitor has the checks. A check's label "environment" says where it belongs. Optional.
	Monitor *health.Monitor

	// Roles say what the roles of actors may do. Nil means [httpapi.DefaultRoles].
	Roles map[string][]httpapi.Verb
	// Origins are further origins whose pages may send commands: see [httpapi.Config].
	Origins []string
	// SignIn is where somebody says who they are: an absolute path or address, to which the
	// page that was wanted is added as the parameter "next". Empty shows no link.
	SignIn string
	// Links lead elsewhere, at the foot of each page: the status page, signing out.
	Links []Link
	// Location is the zone in which times are shown. Nil means UTC.
	Location *time.Location
	// Timeout limits how long one source may take before the page is shown without it. Zero
	// means 5 s.
	Timeout time.Duration
	// Every is how often it is looked for news while somebody follows the first page. Zero
	// means 3 s.
	Every time.Duration
	// Heartbeat is how often somebody who follows hears something at least. Zero means 15 s.
	Heartbeat time.Duration
	// FollowFor is how long somebody follows before the browser asks again. Zero means 15
	// minutes.
	FollowFor time.Duration
	// Followers is how many follow at a time. Zero means 100.
	Followers int
	// Logger is told what goes wrong. Nil means slog.Default().
	Logger *slog.Logger
}

// A Link is an address with a text.
type Link struct {
	// Text is what is shown. URL is where it leads: an absolute path, or an address with http,
	// https or mailto. Both are required.
	Text, URL string
}

// New returns the dashboard, or everything that is wrong with cfg. All its links are
// relative: it works under any prefix that the host takes away, and that ends with a slash.
//
//	mux.Handle("/ops/", http.StripPrefix("/ops", board))
//
// It is safe for concurrent use, and has nothing that must be closed.
func New(cfg Config) (*Handler, error) {
	var problems []error
	bad := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Errorf("dashboard: "+format, args...))
		}
	}
	bad(cfg.Actor == nil, "Actor is missing: nothing is shown to nobody")
	bad(cfg.Store == nil, "Store is missing: it has the record")
	bad(cfg.Timeout < 0 || cfg.Every < 0 || cfg.Heartbeat < 0 || cfg.FollowFor < 0, "Timeout, Every, Heartbeat or FollowFor is negative")
	bad(cfg.Followers < 0, "Followers is negative")
	bad(cfg.SignIn != "" && !leads(cfg.SignIn), "SignIn %q is neither an absolute path nor an address", cfg.SignIn)
	for i, l := range cfg.Links {
		bad(l.Text == "" || !leads(l.URL), "link %d needs a Text, and as URL an absolute path or an address", i+1)
	}
	h := &Handler{cfg: cfg, cross: http.NewCrossOriginProtection()}
	for _, origin := range cfg.Origins {
		err := h.cross.AddTrustedOrigin(origin)
		bad(err != nil, "Origins: %w", err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	h.defaults()
	api, err := httpapi.New(h.apiConfig())
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	h.api = api
	h.route()
	return h, nil
}

// leads reports whether an address is one that a link may lead to.
func leads(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	if u.Scheme == "" {
		return u.Host == "" && strings.HasPrefix(u.Path, "/")
	}
	return slices.Contains([]string{"http", "https", "mailto"}, u.Scheme)
}

// defaults fills in what the host left open.
func (h *Handler) defaults() {
	cfg := &h.cfg
	cfg.Title = cmp.Or(strings.Join(strings.Fields(cfg.Title), " "), "Operations")
	if cfg.Roles == nil {
		cfg.Roles = httpapi.DefaultRoles()
	}
	cfg.Roles = maps.Clone(cfg.Roles)
	cfg.Links = slices.Clone(cfg.Links)
	cfg.Location = cmp.Or(cfg.Location, time.UTC)
	cfg.Timeout = cmp.Or(cfg.Timeout, 5*time.Second)
	cfg.Every = cmp.Or(cfg.Every, 3*time.Second)
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, 15*time.Second)
	cfg.FollowFor = cmp.Or(cfg.FollowFor, 15*time.Minute)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	h.followers = make(chan struct{}, cmp.Or(cfg.Followers, 100))
	h.once.done = make(map[string]*once)
	h.policy = policyOf(style)
	h.templates = parse(cfg.Location)
}

// apiConfig is that of the API, by which every command is given.
func (h *Handler) apiConfig() httpapi.Config {
	return httpapi.Config{
		Authenticate: httpapi.AuthenticatorFunc(actorOf), Store: h.cfg.Store, Runner: h.cfg.Runner, Manager: h.cfg.Manager,
		Automation: h.cfg.Automation, Replicas: h.cfg.Replicas, Escalations: h.cfg.Escalations, Roles: h.cfg.Roles, Origins: h.cfg.Origins,
		Logger: h.cfg.Logger,
	}
}
