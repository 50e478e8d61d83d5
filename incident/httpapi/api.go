package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// Config says what the handler of [New] serves. What is nil of the optional parts answers
// 404, and says so.
type Config struct {
	// Authenticate says who makes a request. Required: nothing works without a name.
	Authenticate Authenticator
	// Store is that of the parts: timelines and the audit record are read from it, and what
	// was refused is recorded there. Required.
	Store incident.Store
	// Runner has the playbooks and their runs. Optional.
	Runner *incident.Runner
	// Manager has the incidents. Optional.
	Manager *incident.Manager
	// Automation has the switch that stops automatic actions. Optional.
	Automation *incident.Automation
	// Replicas are the processes that share the runs: the [incident.Runs] of the runner, if
	// they are some. Optional.
	Replicas incident.Replicas
	// Escalations let a person call the next level. Optional.
	Escalations *incident.Escalations

	// Roles say what the roles of actors may do. Nil means [DefaultRoles].
	Roles map[string][]Verb
	// Challenge is the WWW-Authenticate of an answer to a request that does not say who
	// makes it. Empty means "Bearer".
	Challenge string
	// Origins are further origins whose pages may send commands, such as
	// "https://ops.example.edu": that of the page itself is known by Sec-Fetch-Site, or by
	// Host. They are needed only behind a proxy that changes Host, for browsers that do not
	// send Sec-Fetch-Site, as over plain HTTP. It is no CORS: no answer can be read by
	// pages of other origins.
	Origins []string
	// Timeout limits each request but plans and following, and how long a body may take to
	// arrive. A command that has arrived is carried out also if its client goes away. Zero
	// means 30 s.
	Timeout time.Duration
	// Heartbeat is how often somebody who follows a run hears something at least. Zero
	// means 15 s.
	Heartbeat time.Duration
	// FollowFor is how long somebody follows a run before they have to ask again, and to
	// say again who they are; browsers do so by themselves. Zero means 15 minutes.
	FollowFor time.Duration
	// Followers is how many follow runs at a time, and Plans how many plans are made at a
	// time. Zero means 100, and 10.
	Followers, Plans int
	// Logger is told what goes wrong. Nil means slog.Default().
	Logger *slog.Logger
}

// New returns a handler of the API, or all problems of cfg. It serves paths that begin with
// /v1/; a host that mounts it elsewhere takes the rest of the path away:
//
//	mux.Handle("/ops/", http.StripPrefix("/ops", api))
//
// All links in it are relative. The handler is safe for concurrent use, and has nothing
// that must be closed.
func New(cfg Config) (http.Handler, error) {
	var problems []error
	bad := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Errorf("httpapi: "+format, args...))
		}
	}
	bad(cfg.Authenticate == nil, "Authenticate is missing: nothing works without a named actor")
	bad(cfg.Store == nil, "Store is missing: it keeps the audit record")
	bad(cfg.Timeout < 0 || cfg.Heartbeat < 0 || cfg.FollowFor < 0, "Timeout, Heartbeat or FollowFor is negative")
	bad(cfg.Followers < 0 || cfg.Plans < 0, "Followers or Plans is negative")
	if cfg.Roles == nil {
		cfg.Roles = DefaultRoles()
	}
	for _, role := range slices.Sorted(maps.Keys(cfg.Roles)) {
		for _, verb := range cfg.Roles[role] {
			bad(!slices.Contains([]Verb{Read, Operate, Approve, Administer}, verb), "Roles: %q of role %q is none of read, operate, approve and administer", verb, role)
		}
	}
	a := &api{cfg: cfg, cross: http.NewCrossOriginProtection()}
	for _, origin := range cfg.Origins {
		err := a.cross.AddTrustedOrigin(origin)
		bad(err != nil, "Origins: %w", err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	a.defaults()
	if err := a.route(); err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	return a, nil
}

// defaults fills in what the host left open.
func (a *api) defaults() {
	cfg := &a.cfg
	cfg.Roles = maps.Clone(cfg.Roles)
	cfg.Challenge = cmp.Or(cfg.Challenge, "Bearer")
	cfg.Timeout = cmp.Or(cfg.Timeout, 30*time.Second)
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, 15*time.Second)
	cfg.FollowFor = cmp.Or(cfg.FollowFor, 15*time.Minute)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	a.followers = make(chan struct{}, cmp.Or(cfg.Followers, 100))
	a.plans = make(chan struct{}, cmp.Or(cfg.Plans, 10))
	a.refusals = &refusals{store: cfg.Store, logger: cfg.Logger, actors: make(map[string]*refused)}
}

// An api is the handler.
type api struct {
	cfg       Config
	cross     *http.CrossOriginProtection
	mux       *http.ServeMux
	document  []byte
	refusals  *refusals
	followers chan struct{} // has as much in it as there are
	plans     chan struct{}
}
