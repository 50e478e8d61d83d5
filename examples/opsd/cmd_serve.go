package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"
)

func (p *program) serveCommands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "serve", Category: "Running", Usage: "watch, tell people, carry out playbooks, and serve the pages, until it is stopped",
			Description: "It listens on this machine only unless server.listen says otherwise. Ctrl-C or SIGTERM stops it: what is under way ends, and runs go on when it is started again; a second Ctrl-C ends it at once.\n\n" + exitCodes,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "listen", Usage: "`HOST:PORT` instead of server.listen"},
				&cli.StringFlag{Name: "state", Usage: "the `FOLDER` of the state instead of state.folder"},
			},
			Action: p.serve,
		},
		{
			Name: "status", Category: "Running", Usage: "how the running opsd is, and what is wrong", Description: running, Action: p.status,
		},
	}
}

func (p *program) serve(ctx context.Context, c *cli.Command) error {
	if err := none(c); err != nil {
		return err
	}
	v, err := p.service(ctx, c)
	if err != nil {
		return err
	}
	err = v.serve(ctx, func(address string) {
		v.greet(address)
		if p.ready != nil {
			p.ready(address)
		}
	})
	v.journal.say("it has stopped")
	return err
}

// service makes a service, as the flags of the command want it.
func (p *program) service(ctx context.Context, c *cli.Command) (*service, error) {
	s, err := p.settings(c)
	if err != nil {
		return nil, err
	}
	if listen := c.String("listen"); listen != "" {
		s.Server.Listen = listen
		if (s.Estate != nil || s.Server.URL == "") && !isLoopback(listen) {
			return nil, usage("-listen %s: only an address of this machine is possible without server.url, and on the embedded estate, whose tokens are known", listen)
		}
	}
	if folder := c.String("state"); folder != "" {
		if !s.State.Postgres.IsZero() {
			return nil, usage("-state: the configuration keeps the state in PostgreSQL")
		}
		s.State.Folder = folder
	}
	return newService(ctx, s, &journal{w: p.stderr, json: c.Bool("json"), zone: s.zone, quiet: c.Bool("here")})
}

func (p *program) status(ctx context.Context, c *cli.Command) error {
	api, err := p.client(c)
	if err != nil {
		return err
	}
	var s hostStatus
	var checks reportView
	var alerts []alertView
	for path, into := range map[string]any{"status": &s, "checks": &checks, "alerts": &alerts} {
		if err := api.get(ctx, "/api/host/"+path, into); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return p.json(map[string]any{"opsd": s, "checks": checks, "alerts": alerts})
	}
	paint := p.paint(c)
	if s.Rehearsal {
		p.printf("Embedded estate: nothing is real.\n")
	}
	role := "in charge"
	if !s.InCharge {
		role = "not in charge: another replica is, or it has only just started"
	}
	p.printf("opsd     %s, %s, since %s\n", s.Process, role, ago(s.Since))
	p.printf("state    %s\n", s.State)
	p.printf("watches  %d checks, which are %s\n", s.Checks, paint.status(checks.Status))
	p.printf("acts     %s\n", s.Automation)
	for _, problem := range s.Problems {
		p.printf("%s\n", paint.bad("problem  "+problem))
	}
	p.printf("\n")
	p.failing(checks, paint)
	if len(alerts) > 0 {
		p.printf("\n")
		t := p.table()
		for _, a := range alerts {
			t.row(paint.severity(a.Severity), a.Environment, a.Summary, told(a))
		}
		t.flush()
	}
	return quietly(codeOfHealth(checks.Status))
}

// told says who was told of an alert.
func told(a alertView) string {
	if len(a.Told) > 0 {
		return fmt.Sprintf("told %d", len(a.Told))
	}
	for _, why := range a.Muted {
		return "nobody told: " + why
	}
	return "nobody told yet"
}

// failing writes the checks that are not well.
func (p *program) failing(r reportView, paint painter) {
	t, n := p.table(), 0
	for _, c := range r.Checks {
		if c.Status.OK() {
			continue
		}
		n++
		why := c.Message
		if c.BlockedBy != "" {
			why = "because of " + c.BlockedBy
		}
		t.row(paint.status(c.Status), c.Name, why)
	}
	if n == 0 {
		p.printf("Every check is well.\n")
	}
	t.flush()
}

// json writes a value on a line.
func (p *program) json(v any) error {
	return json.NewEncoder(p.stdout).Encode(v)
}

func (p *program) printf(format string, args ...any) { fmt.Fprintf(p.stdout, format, args...) }

// quietly is the end of a command whose result was shown: an error only if the code is not 0.
func quietly(code int) error {
	if code == exitDone {
		return nil
	}
	return quiet{code}
}

// ago says how long ago something was.
func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return span(time.Since(t)) + " ago"
}

// span is a duration in the two units that matter.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
