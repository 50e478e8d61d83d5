package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"go.acu.edu.au/runbook/incident"
)

func (p *program) deadlineCommands() []*cli.Command {
	return []*cli.Command{{
		Name: "deadline", Category: "Incidents", Usage: "list the open deadlines, such as that of a notifiable breach, or set or settle one", Description: running +
			" A deadline goes on when its incident is over: a person settles it with a reason. Those of a suspected breach are set by the playbooks about security.",
		Action: p.deadlines,
		Commands: []*cli.Command{
			{
				Name: "settle", Usage: "say that what was due was done, or does not apply", ArgsUsage: "INCIDENT NAME", Description: running + " It is put on the record under your name, and is not rewritten.",
				Flags: []cli.Flag{&cli.StringFlag{Name: "reason", Aliases: []string{"comment", "m"}, Usage: "`WHAT` was done, or found"}, &cli.BoolFlag{Name: "void", Usage: "it does not apply"}}, Action: p.settleDeadline,
			},
			{
				Name: "set", Usage: "set one by hand, or bring it forward", ArgsUsage: "INCIDENT NAME", Description: running + " While one of this name is open an earlier time brings it forward, and a later one changes nothing.",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "what", Usage: "`WHAT` is due, in a line"}, &cli.StringFlag{Name: "tell", Usage: "`WHO` is to be told, in words"},
					&cli.TimestampFlag{Name: "due", Usage: "until `WHEN`: 2026-12-28T09:00:00+11:00", Config: cli.TimestampConfig{Layouts: []string{time.RFC3339}}},
					&cli.TimestampFlag{Name: "from", Usage: "since `WHEN` it counts; left out, now", Config: cli.TimestampConfig{Layouts: []string{time.RFC3339}}},
				}, Action: p.setDeadline,
			},
		},
	}}
}

func (p *program) deadlines(ctx context.Context, c *cli.Command) error {
	if err := none(c); err != nil {
		return err
	}
	api, err := p.client(c)
	if err != nil {
		return err
	}
	owing, err := withDeadlines(ctx, api)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.each(owing)
	}
	if len(owing) == 0 {
		p.printf("There is no open deadline.\n")
		return nil
	}
	p.showDeadlines(c, owing)
	return nil
}

// withDeadlines returns the incidents that have an open deadline, whatever their state, that
// which is due first first.
func withDeadlines(ctx context.Context, api *client) ([]incident.Incident, error) {
	list := struct{ Incidents []incident.Incident }{Incidents: []incident.Incident{}}
	if err := api.get(ctx, "/api/v1/incidents?deadlines=true&limit=1000", &list); err != nil {
		return nil, err
	}
	owing := slices.DeleteFunc(list.Incidents, func(i incident.Incident) bool { return len(i.OpenDeadlines()) == 0 })
	slices.SortStableFunc(owing, func(a, b incident.Incident) int { return a.OpenDeadlines()[0].Due.Compare(b.OpenDeadlines()[0].Due) })
	return owing, nil
}

// showDeadlines shows the open deadlines of incidents, a line each.
func (p *program) showDeadlines(c *cli.Command, owing []incident.Incident) {
	t, paint, now := p.table(), p.paint(c), time.Now()
	for _, i := range owing {
		for _, l := range i.OpenDeadlines() {
			line := l.Line(now, time.Local)
			if l.Missed(now) {
				line = paint.bad(line)
			}
			t.row(i.ID, string(i.State), line, l.What)
		}
	}
	t.flush()
}

func (p *program) settleDeadline(ctx context.Context, c *cli.Command) error {
	id, name, err := p.deadlineArguments(c)
	if err != nil {
		return err
	}
	if c.String("reason") == "" {
		return usage("what was done, or found, is missing: -reason tells it; it is put on the record")
	}
	said := fmt.Sprintf("The deadline %s of %s is settled. Nobody is reminded of it any more.", name, id)
	return p.command(ctx, c, deadlinePath(id)+"/"+url.PathEscape(name)+"/settle", map[string]any{"reason": c.String("reason"), "void": c.Bool("void")}, said)
}

func (p *program) setDeadline(ctx context.Context, c *cli.Command) error {
	id, name, err := p.deadlineArguments(c)
	if err != nil {
		return err
	}
	if c.Timestamp("due").IsZero() || c.String("what") == "" {
		return usage("-what is due, and -due until when, are wanted; %s -h tells how", c.FullName())
	}
	api, err := p.client(c)
	if err != nil {
		return err
	}
	body := map[string]any{"name": name, "what": c.String("what"), "tell": c.String("tell"), "due": c.Timestamp("due")}
	if from := c.Timestamp("from"); !from.IsZero() {
		body["from"] = from
	}
	var i incident.Incident
	if err := api.post(ctx, deadlinePath(id), body, &i); err != nil {
		return err
	}
	if c.Bool("json") {
		return p.json(i)
	}
	p.showDeadlines(c, []incident.Incident{i})
	return nil
}

func deadlinePath(id string) string { return "/api/v1/incidents/" + url.PathEscape(id) + "/deadlines" }

// deadlineArguments are the incident and the name of a deadline.
func (p *program) deadlineArguments(c *cli.Command) (id, name string, err error) {
	if c.Args().Len() != 2 {
		return "", "", usage("an incident and the name of a deadline are wanted; %s -h tells how, and opsd deadline lists them", c.FullName())
	}
	return c.Args().Get(0), c.Args().Get(1), nil
}
