package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/railway"
)

// A finding is one thing that the doctor looked at.
type finding struct {
	About   string `json:"about"`
	State   string `json:"state"` // "ok", "note" or "problem"
	Finding string `json:"finding"`
}

// diagnosis collects findings.
type diagnosis struct{ findings []finding }

func (d *diagnosis) ok(about, format string, args ...any) {
	d.findings = append(d.findings, finding{about, "ok", fmt.Sprintf(format, args...)})
}

func (d *diagnosis) note(about, format string, args ...any) {
	d.findings = append(d.findings, finding{about, "note", fmt.Sprintf(format, args...)})
}

func (d *diagnosis) problem(about, format string, args ...any) {
	d.findings = append(d.findings, finding{about, "problem", fmt.Sprintf(format, args...)})
}

func (p *program) doctor(ctx context.Context, c *cli.Command) error {
	if err := none(c); err != nil {
		return err
	}
	s, err := p.settings(c)
	if err != nil {
		return err
	}
	d := &diagnosis{}
	d.ok("configuration", "can be read")
	d.state(s)
	d.people(s)
	if s.Estate == nil {
		d.channels(ctx, s.Channels, reachable())
	}
	h, e, err := look(ctx, s)
	if err != nil {
		for l := range strings.Lines(err.Error()) {
			d.problem("configuration", "%s", strings.TrimSpace(l))
		}
	} else {
		d.estate(ctx, s, h, e, c.String("environment"))
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		if err := errors.Join(h.Stop(ending), e.close()); err != nil {
			return err
		}
	}
	return p.diagnose(c, s, d)
}

// diagnose writes what was found.
func (p *program) diagnose(c *cli.Command, s *settings, d *diagnosis) error {
	problems := 0
	t, paint := p.table(), p.paint(c)
	words := map[string]string{"ok": paint.in(green, "ok"), "note": paint.in(yellow, "note"), "problem": paint.bad("problem")}
	if !c.Bool("json") {
		p.heading(s)
	}
	for _, f := range d.findings {
		if f.State == "problem" {
			problems++
		}
		if c.Bool("json") {
			if err := p.json(f); err != nil {
				return err
			}
			continue
		}
		t.row(words[f.State], f.About, f.Finding)
	}
	t.flush()
	if problems > 0 {
		if !c.Bool("json") {
			p.printf("\n%s.\n", count(problems, "problem"))
		}
		return quiet{exitNot}
	}
	return nil
}

// state says where the state is, and what speaks against it.
func (d *diagnosis) state(s *settings) {
	switch {
	case !s.State.Postgres.IsZero():
		d.ok("state", "PostgreSQL; whether it can be reached, and is not a server that is watched, opsd serve says when it starts")
		if s.SignIn != nil && s.SignIn.SessionKey.IsZero() {
			d.note("state", "sign_in.session_key is missing: each replica has sessions of its own")
		}
	case s.State.Folder == "":
		d.ok("state", "goes with the process")
	default:
		info, err := os.Stat(s.State.Folder)
		switch {
		case os.IsNotExist(err):
			d.ok("state", "folder %s is made when opsd starts", s.State.Folder)
		case err != nil:
			d.problem("state", "folder %s: %v", s.State.Folder, err)
		case info.Mode().Perm()&0o077 != 0:
			d.note("state", "folder %s can be read by others on this machine: chmod 700 %s", s.State.Folder, s.State.Folder)
		default:
			d.ok("state", "folder %s", s.State.Folder)
		}
	}
}

// people finds what people cannot do.
func (d *diagnosis) people(s *settings) {
	approvers, out := 0, 0
	for _, p := range s.People {
		if slices.Contains(p.Access, "approver") || slices.Contains(p.Access, "administrator") {
			approvers++
		}
		if p.Token.IsZero() && p.Login == "" {
			out++
		}
	}
	if approvers < 2 {
		d.problem("people", "%s may approve: nobody approves what they started, so that at least two are needed", count(approvers, "person"))
	} else {
		d.ok("people", "%d, of whom %d may approve", len(s.People), approvers)
	}
	if out > 0 {
		d.note("people", "%d can be called and cannot sign in: they have neither token nor login", out)
	}
	if s.Heartbeat.IsZero() && s.Estate == nil {
		d.note("heartbeat", "is missing: if this opsd dies, nobody is told; let a service elsewhere miss its beats")
	}
	if s.Estate == nil && !slices.ContainsFunc(s.Automation.Policies, func(p policy) bool { return p.Mode != "observe" }) {
		d.note("automation", "only observes: no playbook begins by itself")
	}
}

// estate looks at what is reached.
func (d *diagnosis) estate(ctx context.Context, s *settings, h *host.Host, e *estate, only string) {
	for _, c := range e.connections {
		if only != "" && c.Name != only {
			continue
		}
		d.platform(runbook.ReadOnly(ctx), c)
		d.canvas(runbook.ReadOnly(ctx), c)
		if env, err := environmentOf(h, c.Name); err == nil {
			var wanted []string
			if l := s.names[c.Name].LTI; l != nil {
				wanted = l.Scopes
			}
			d.toolScopes(ctx, env, wanted)
		}
	}
	names, err := chosen(h.Monitor().Snapshot(), only, nil)
	if err == nil {
		names = slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, "/task") }) // it is no matter of configuration
		found, err := h.Monitor().Check(ctx, names...)
		if err != nil {
			d.problem("checks", "were interrupted: %v", err)
			return
		}
		well := 0
		for _, k := range report(found).Checks {
			if k.Status.OK() {
				well++
			} else if k.BlockedBy == "" {
				d.problem(k.Name, "%s", k.Message)
			}
		}
		d.ok("reachability", "%d of %d checks are well", well, len(found.Checks))
	}
	for _, l := range lacking(h.Lacks()) {
		d.note("playbooks", "%s", l)
	}
}

// lacking says what playbooks lack, a line for each playbook.
func lacking(err error) (all []string) {
	for l := range strings.Lines(errorText(err)) {
		l = strings.TrimSpace(l)
		if n := len(all); n > 0 && !strings.HasPrefix(l, "playbook ") {
			all[n-1] += "; " + l
			continue
		}
		all = append(all, l)
	}
	return all
}

// platform looks at the token of Railway, and whether its API is as it was.
func (d *diagnosis) platform(ctx context.Context, c host.Connection) {
	about := c.Name + " railway"
	if c.Railway.Token.IsZero() {
		d.note(about, "is not configured: nothing can be rolled back, restarted or backed up")
		return
	}
	client, err := railway.New(c.Railway)
	if err != nil {
		d.problem(about, "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	token, err := client.CheckToken(ctx)
	if err != nil {
		d.problem(about, "the token: %v", err)
		return
	}
	d.ok(about, "the token is a %s token, and is accepted", c.Railway.Kind)
	d.sees(about, c, token)
	drifts, err := client.Verify(ctx)
	if err != nil {
		d.note(about, "whether its API is as it was could not be seen: %v", err)
		return
	}
	broken := 0
	for _, drift := range drifts {
		if drift.Breaks {
			broken++
			d.problem(about, "its API has changed: %s", drift)
		}
	}
	if broken == 0 {
		d.ok(about, "its API is as opsd needs it (%s)", count(len(drifts), "harmless difference"))
	}
}

// canvas looks at the token of Canvas.
func (d *diagnosis) canvas(ctx context.Context, c host.Connection) {
	about := c.Name + " canvas"
	if c.Canvas.BaseURL == "" {
		d.note(about, "is not configured")
		return
	}
	client, err := canvas.New(c.Canvas)
	if err != nil {
		d.problem(about, "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	user, err := client.GetUser(ctx, canvas.Self)
	if err != nil {
		d.problem(about, "the token: %v", err)
		return
	}
	d.ok(about, "the token is that of %s, and is accepted", oneLine(user.Name))
	d.canvasScopes(ctx, c)
}
