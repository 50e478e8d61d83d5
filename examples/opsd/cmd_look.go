package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// environmentFlag names an environment.
func environmentFlag(value string) cli.Flag {
	return &cli.StringFlag{Name: "environment", Aliases: []string{"e"}, Usage: "the `ENVIRONMENT`", Value: value}
}

func (p *program) lookCommands() []*cli.Command {
	const category = "Looking"
	return []*cli.Command{
		{
			Name: "check", Category: category, Usage: "make every check once, now", ArgsUsage: "[CHECK...]",
			Description: directly + " It launches the tool, and runs a small QA task, as a user would.\n\nThe exit code is 0 if all is well, 1 if something is degraded, 2 if something is down.",
			Flags:       []cli.Flag{environmentFlag(""), &cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "list those that are well too"}},
			Action:      p.check,
		},
		{
			Name: "playbooks", Category: category, Usage: "list the playbooks, or show one as a document", ArgsUsage: "[PLAYBOOK]", Description: directly,
			Flags: []cli.Flag{environmentFlag("production")}, Action: p.playbooks,
		},
		{
			Name: "plan", Category: category, Usage: "what a playbook would do now, against the live state", ArgsUsage: "PLAYBOOK", Description: directly,
			Flags: []cli.Flag{environmentFlag("production"), parameterFlag()}, Action: p.plan,
		},
		{
			Name: "logs", Category: category, Usage: "the latest lines of the application's log", Description: directly,
			Flags: []cli.Flag{
				environmentFlag("production"), &cli.IntFlag{Name: "tail", Aliases: []string{"n"}, Usage: "how many `LINES`", Value: 100},
				&cli.DurationFlag{Name: "since", Usage: "how far back"}, &cli.StringSliceFlag{Name: "grep", Usage: "only lines with this `TEXT`; several mean any of them"},
				&cli.StringFlag{Name: "deployment", Usage: "of the deployment with this `ID`"}, &cli.BoolFlag{Name: "build", Usage: "that of the build"},
			},
			Action: p.logs,
		},
		{
			Name: "credentials", Category: category, Usage: "which credentials there are, and how old they are", Description: directly,
			Flags: []cli.Flag{environmentFlag("")}, Action: p.credentials,
		},
	}
}

// parameterFlag gives parameters of a playbook.
func parameterFlag() cli.Flag {
	return &cli.StringMapFlag{Name: "parameter", Aliases: []string{"p"}, Usage: "`NAME=VALUE` of a parameter of the playbook; may be given several times"}
}

// looking does something with a host that is not started.
func (p *program) looking(ctx context.Context, c *cli.Command, do func(s *settings, h *host.Host) error) error {
	s, err := p.settings(c)
	if err != nil {
		return err
	}
	h, e, err := look(ctx, s)
	if err != nil {
		return err
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	return errors.Join(do(s, h), h.Stop(ending), e.close())
}

// heading says what was asked, so that nobody takes a rehearsal for the truth.
func (p *program) heading(s *settings) {
	if s.Estate == nil {
		return
	}
	p.printf("Embedded estate: nothing real was asked.")
	if len(s.Estate.Faults) > 0 {
		p.printf(" Wrong there: %s.", strings.Join(s.Estate.Faults, ", "))
	}
	p.printf("\n\n")
}

func (p *program) check(ctx context.Context, c *cli.Command) error {
	return p.looking(ctx, c, func(s *settings, h *host.Host) error {
		names, err := chosen(h.Monitor().Snapshot(), c.String("environment"), c.Args().Slice())
		if err != nil {
			return err
		}
		began := time.Now()
		found, err := h.Monitor().Check(ctx, names...)
		if err != nil {
			return fmt.Errorf("opsd: the checks were interrupted: %w", err)
		}
		v := report(found)
		if c.Bool("json") {
			return errors.Join(p.json(v), quietly(codeOfHealth(v.Status)))
		}
		p.heading(s)
		paint := p.paint(c)
		p.summary(v, paint, time.Since(began))
		if c.Bool("all") {
			t := p.table()
			for _, k := range v.Checks {
				t.row(paint.status(k.Status), k.Name, span(time.Duration(k.DurationMS*float64(time.Millisecond))), k.Message)
			}
			t.flush()
		} else if v.Status != health.Healthy {
			p.failing(v, paint)
		}
		return quietly(codeOfHealth(v.Status))
	})
}

// chosen returns the names of the checks of an environment, or those that are named.
func chosen(all *health.Report, environment string, names []string) ([]string, error) {
	var list []string
	for _, s := range all.Checks {
		named := slices.ContainsFunc(names, func(n string) bool { return n == s.Name || strings.HasSuffix(s.Name, "/"+n) })
		if (environment == "" || s.Labels["environment"] == environment) && (len(names) == 0 || named) {
			list = append(list, s.Name)
		}
	}
	if len(list) == 0 {
		return nil, usage("there is no such check; opsd check -all lists them")
	}
	return list, nil
}

// summary says how each environment is.
func (p *program) summary(v reportView, paint painter, took time.Duration) {
	type sum struct {
		worst     health.Status
		well, all int
	}
	sums := make(map[string]*sum)
	var order []string
	for _, c := range v.Checks {
		name := c.Environment
		if name == "" {
			name = "opsd"
		}
		if sums[name] == nil {
			sums[name], order = &sum{worst: health.Healthy}, append(order, name)
		}
		s := sums[name]
		if s.all++; c.Status.OK() {
			s.well++
		}
		if c.Optional && c.Status == health.Unhealthy {
			s.worst = health.Worst(s.worst, health.Degraded)
		} else {
			s.worst = health.Worst(s.worst, c.Status)
		}
	}
	t := p.table()
	for _, name := range order {
		s := sums[name]
		t.row(name, paint.status(s.worst), fmt.Sprintf("%d of %d checks are well", s.well, s.all))
	}
	t.flush()
	p.printf("\n%s in %s.\n", count(len(v.Checks), "check"), span(took))
}

func (p *program) playbooks(ctx context.Context, c *cli.Command) error {
	return p.looking(ctx, c, func(s *settings, h *host.Host) error {
		environment := c.String("environment")
		if c.Args().Present() {
			b, err := h.Runner().Playbook(environment, c.Args().First())
			if err != nil {
				return fmt.Errorf("opsd: there is no playbook %q that can be carried out in %s; opsd playbooks lists them, and opsd doctor says what others lack", c.Args().First(), environment)
			}
			if c.Bool("json") {
				return p.json(listed(b))
			}
			p.heading(s)
			p.printf("%s\n", lines(b.Markdown()))
			return nil
		}
		if !c.Bool("json") {
			p.heading(s)
		}
		t := p.table()
		paint := p.paint(c)
		for _, b := range h.Runner().Playbooks() {
			if b.Environment != environment {
				continue
			}
			if c.Bool("json") {
				if err := p.json(listed(b)); err != nil {
					return err
				}
				continue
			}
			t.row(b.Name, paint.severity(b.Severity), b.Title)
		}
		t.flush()
		return nil
	})
}

// listed is a playbook as JSON.
func listed(b incident.Playbook) map[string]any {
	return map[string]any{"name": b.Name, "environment": b.Environment, "title": b.Title, "about": b.About, "severity": b.Severity, "parameters": b.Parameters, "steps": b.Specs()}
}

func (p *program) plan(ctx context.Context, c *cli.Command) error {
	name, err := argument(c, "the name of a playbook")
	if err != nil {
		return err
	}
	return p.looking(ctx, c, func(s *settings, h *host.Host) error {
		plan, err := h.Runner().Plan(ctx, incident.Request{
			Environment: c.String("environment"), Playbook: name, Parameters: c.StringMap("parameter"), By: "plan",
		})
		if err != nil {
			return fmt.Errorf("opsd: %w", err)
		}
		if c.Bool("json") {
			return p.json(plan)
		}
		p.heading(s)
		p.printf("%s\n", lines(strings.TrimSpace(plan.Markdown())))
		if len(plan.Problems) > 0 {
			return quiet{exitNot}
		}
		return nil
	})
}

// environmentOf returns an environment of a host.
func environmentOf(h *host.Host, name string) (playbooks.Environment, error) {
	var names []string
	for _, e := range h.Environments() {
		if e.Name == name {
			return e, nil
		}
		names = append(names, e.Name)
	}
	return playbooks.Environment{}, usage("there is no environment %q; there are %s", name, strings.Join(names, ", "))
}

func (p *program) logs(ctx context.Context, c *cli.Command) error {
	return p.looking(ctx, c, func(s *settings, h *host.Host) error {
		e, err := environmentOf(h, c.String("environment"))
		if err != nil {
			return err
		}
		if e.Logs == nil {
			return fmt.Errorf("opsd: the logs of %s cannot be read: it has no railway in the configuration", e.Name)
		}
		q := incident.LogQuery{Tail: c.Int("tail"), Any: c.StringSlice("grep"), Deployment: c.String("deployment")}
		if c.Bool("build") {
			q.Kind = incident.LogBuild
		}
		if since := c.Duration("since"); since > 0 {
			q.From = time.Now().Add(-since)
		}
		if !c.Bool("json") {
			p.heading(s)
		}
		n := 0
		for l, err := range e.Logs.Logs(ctx, q) {
			if err != nil {
				return fmt.Errorf("opsd: the logs of %s: %w", e.Name, err)
			}
			n++
			if c.Bool("json") {
				if err := p.json(l); err != nil {
					return err
				}
				continue
			}
			p.printf("%s  %-5s  %s\n", l.Time.In(s.zone).Format("2006-01-02 15:04:05"), oneLine(l.Level), oneLine(l.Message))
		}
		if n == 0 && !c.Bool("json") {
			p.printf("There are no such lines.\n")
		}
		return nil
	})
}

func (p *program) credentials(ctx context.Context, c *cli.Command) error {
	return p.looking(ctx, c, func(s *settings, h *host.Host) error {
		old := playbooks.RunbookDefaults().CredentialAge
		if s.Limits.CredentialAge > 0 {
			old = s.Limits.CredentialAge
		}
		if !c.Bool("json") {
			p.heading(s)
		}
		t, paint, code := p.table(), p.paint(c), exitDone
		for _, e := range h.Environments() {
			if want := c.String("environment"); want != "" && want != e.Name {
				continue
			}
			for _, r := range e.Rotations {
				age, known := "age not known", false
				var days float64
				if r.Age != nil {
					if d, err := r.Age(ctx); err == nil {
						age, known, days = span(d)+" old", true, d.Hours()/24
						if d > old {
							age, code = paint.bad(age+": to be renewed"), exitNot
						}
					} else {
						age = "age not known: " + err.Error()
					}
				}
				if c.Bool("json") {
					if err := p.json(map[string]any{"environment": e.Name, "name": r.Name, "about": r.About, "owner": r.Owner, "age_known": known, "age_days": days}); err != nil {
						return err
					}
					continue
				}
				t.row(e.Name, r.Name, age, r.Owner)
			}
		}
		t.flush()
		return quietly(code)
	})
}
