package main

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/incident/playbooks"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/railway"
)

// canvasScopes looks whether the token may make the calls that opsd makes of Canvas.
func (d *diagnosis) canvasScopes(ctx context.Context, c host.Connection) {
	about := c.Name + " canvas"
	r, err := c.CanvasScopes(ctx)
	if err != nil {
		d.problem(about, "%v", err)
		return
	}
	allowed, untried := 0, 0
	for _, f := range r.Findings {
		purpose := strings.Join(f.For, ", ")
		switch f.Verdict {
		case canvasprobe.ScopeAllowed:
			allowed++
		case canvasprobe.ScopeMissing:
			d.problem(about, "%s: %s", purpose, f.Message)
		case canvasprobe.ScopeForbidden:
			d.problem(about, "%s: the call %s: %s", purpose, called(f.Scope), f.Message)
		case canvasprobe.ScopeNoObject:
			d.note(about, "%s: the call %s: %s", purpose, called(f.Scope), f.Message)
		case canvasprobe.ScopeRefused:
			d.problem(about, "the token is refused: %s", f.Message)
			return
		case canvasprobe.ScopeNotAsked:
			d.note(about, "%s: whether the call %s is allowed could not be asked: %s", purpose, called(f.Scope), f.Message)
		case canvasprobe.ScopeUntried:
			untried++
			d.note(about, "%s: the call %s: %s", purpose, called(f.Scope), f.Message)
		}
	}
	if all := len(r.Findings); allowed == all {
		d.ok(about, "all %d kinds of calls that opsd makes are allowed; what writes was not tried", all)
	} else {
		d.note(about, "%d of %d kinds of calls that opsd makes are allowed; what writes was not tried", allowed, all)
	}
	d.canvasKey(about, r, untried > 0)
}

// canvasKey says how the developer key of the token compares with what is needed. Why it
// cannot be read matters only where something is not known for that.
func (d *diagnosis) canvasKey(about string, r canvasprobe.ScopeReport, unknown bool) {
	k := r.Key
	switch {
	case k == nil && unknown && r.Why != "":
		d.note(about, "what cannot be tried is not known either from the developer key: %s", r.Why)
	case k == nil:
	case !k.Limits:
		d.note(about, "developer key %s does not enforce scopes: its tokens may do whatever their user may", k)
	default:
		for _, s := range k.Missing {
			d.problem(about, "developer key %s lacks the scope %s", k, s)
		}
		if len(k.Excess) > 0 {
			d.note(about, "developer key %s has more than opsd needs; if nothing else uses it, take away %s", k, strings.Join(k.Excess, ", "))
		}
		if k.IgnoresIncludes {
			d.note(about, "developer key %s does not allow includes: Canvas leaves them out in silence", k)
		}
	}
}

// called is the call of a scope: "GET /api/v1/users/:id" of "url:GET|/api/v1/users/:id".
func called(scope string) string {
	return strings.Replace(strings.TrimPrefix(scope, "url:"), "|", " ", 1)
}

// toolScopes looks whether the services of the LTI tool are granted what it needs.
func (d *diagnosis) toolScopes(ctx context.Context, e playbooks.Environment, wanted []string) {
	about := e.Name + " lti"
	asker, ok := e.Doctor.(host.ScopeDoctor)
	if !ok {
		d.note(about, "is not configured: failed launches cannot be diagnosed")
		return
	}
	got, err := asker.Scopes(ctx, wanted...)
	switch {
	case errors.Is(err, doctor.ErrTokenRefused):
		d.problem(about, "%v", err)
		return
	case err != nil:
		d.note(about, "which scopes the tool is granted could not be asked: %v", err)
		return
	}
	for _, s := range got.Denied {
		d.problem(about, "the tool is not granted the scope %s: add it to the tool's developer key in Canvas, if the tool needs it", s)
	}
	for _, n := range got.NotAsked {
		d.note(about, "%s: %s", n.What, n.Why)
	}
	switch {
	case len(got.Denied)+len(got.NotAsked) > 0:
	case len(got.Granted) == 0:
		d.ok(about, "the tool has no scopes of services in Canvas, and is asked for none")
	case len(wanted) > 0:
		d.ok(about, "the tool is granted all that it needs: %s", count(len(got.Granted), "scope"))
	default:
		d.ok(about, "the tool is granted all that it has in Canvas: %s", count(len(got.Granted), "scope"))
	}
}

// sees says what a token of Railway sees, beside what is needed: one project, and one
// environment of it.
func (d *diagnosis) sees(about string, c host.Connection, t railway.TokenInfo) {
	switch {
	case t.Kind == railway.ProjectToken && !(names(t.Project, c.Project) && names(t.Environment, c.RailwayEnvironment)):
		d.problem(about, "the token is for environment %s of project %s, and the configuration names another: %s of %s", t.Environment.ID, t.Project.ID, c.RailwayEnvironment, c.Project)
	case t.Kind == railway.ProjectToken:
		d.ok(about, "the token sees what is needed and no more: environment %s of project %s", oneLine(t.Environment.Name), oneLine(t.Project.Name))
	default:
		var all []string
		for _, w := range t.Workspaces {
			all = append(all, oneLine(w.Name))
		}
		d.note(about, "the token sees more than this environment, all of %s; only complete-recovery needs that: for all else a project token will do", cmp.Or(strings.Join(all, ", "), "its account"))
	}
}

// names reports whether a name or an ID of the configuration is that of something; an empty
// one is any.
func names(n railway.Named, configured string) bool {
	return configured == "" || configured == n.ID || configured == n.Name
}
