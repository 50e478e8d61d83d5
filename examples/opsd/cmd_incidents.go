package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"go.acu.edu.au/runbook/incident"
)

func (p *program) incidentCommands() []*cli.Command {
	const category = "Incidents"
	return []*cli.Command{
		{
			Name: "incidents", Category: category, Usage: "list the open incidents and deadlines, or show one with its timeline", ArgsUsage: "[INCIDENT]", Description: running,
			Flags: []cli.Flag{&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "those that are over too"}, &cli.IntFlag{Name: "limit", Usage: "how `MANY`", Value: 50}}, Action: p.incidents,
		},
		{
			Name: "ack", Category: category, Usage: "say that you take care of an incident: nobody else is called", ArgsUsage: "INCIDENT", Description: running,
			Flags: []cli.Flag{&cli.StringFlag{Name: "comment", Aliases: []string{"m"}, Usage: "what you do about it"}, &cli.DurationFlag{Name: "for", Usage: "how long that counts"}}, Action: p.ack,
		},
		{
			Name: "open", Category: category, Usage: "open an incident by hand", ArgsUsage: "TITLE", Description: running,
			Flags: []cli.Flag{
				environmentFlag("production"), &cli.StringFlag{Name: "severity", Usage: "critical, high, medium or low; who is unsure takes the worse", Value: "high"},
				&cli.StringFlag{Name: "summary", Usage: "more about it"}, &cli.StringFlag{Name: "playbook", Usage: "the `PLAYBOOK` that is for it"},
			}, Action: p.open,
		},
		{
			Name: "resolve", Category: category, Usage: "say that an incident is over", ArgsUsage: "INCIDENT", Description: running,
			Flags: []cli.Flag{&cli.StringFlag{Name: "cause", Usage: "what the `CAUSE` was"}, &cli.StringFlag{Name: "resolution", Aliases: []string{"m"}, Usage: "what put it right"}}, Action: p.resolve,
		},
		{
			Name: "update", Category: category, Usage: "tell everyone how far an incident is", ArgsUsage: "INCIDENT TEXT", Description: running + " The text goes to the status channel, the stakeholders and the status page, as it is.",
			Flags: []cli.Flag{&cli.StringFlag{Name: "title", Usage: "one line"}, &cli.StringFlag{Name: "status", Usage: "investigating, identified, monitoring or resolved"}}, Action: p.update,
		},
		{
			Name: "report", Category: category, Usage: "the report of an incident, or one of those that are sent by the clock", ArgsUsage: "INCIDENT|morning|daily|weekly|monthly",
			Description: running + " morning, daily, weekly and monthly make the report now, and send it to those who get it.", Flags: runFlags(), Action: p.report,
		},
	}
}

func (p *program) incidents(ctx context.Context, c *cli.Command) error {
	api, err := p.client(c)
	if err != nil {
		return err
	}
	if c.Args().Present() {
		id, err := argument(c, "the incident")
		if err != nil {
			return err
		}
		return p.showIncident(ctx, c, api, id)
	}
	var list struct{ Incidents []incident.Incident }
	if err := api.get(ctx, fmt.Sprintf("/api/v1/incidents?open=%t&limit=%d", !c.Bool("all"), c.Int("limit")), &list); err != nil {
		return err
	}
	owing, err := withDeadlines(ctx, api)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		for _, i := range owing { // those that are over
			if !slices.ContainsFunc(list.Incidents, func(o incident.Incident) bool { return o.ID == i.ID }) {
				list.Incidents = append(list.Incidents, i)
			}
		}
		return p.each(list.Incidents)
	}
	if len(list.Incidents) == 0 {
		p.printf("There is no open incident.\n")
	}
	t, paint := p.table(), p.paint(c)
	for _, i := range list.Incidents {
		t.row(i.ID, paint.severity(i.Severity), string(i.State), i.Environment, ago(i.Triggered), who(i), i.Title)
	}
	t.flush()
	if len(owing) > 0 {
		p.printf("\nDeadlines that are open, also of what is over:\n")
		p.showDeadlines(c, owing)
	}
	return nil
}

// who says who takes care of an incident, or how long there is until somebody has to.
func who(i incident.Incident) string {
	switch {
	case !i.State.Open():
		return "over"
	case i.AcknowledgedBy != "":
		return i.AcknowledgedBy
	}
	for _, c := range i.Clocks {
		if c.Kind == incident.ClockAcknowledge && !c.Due.IsZero() && c.Stopped.IsZero() {
			if left := c.Left(time.Now()); left > 0 {
				return "nobody; " + span(left) + " left"
			}
			return "NOBODY, and late"
		}
	}
	return "nobody"
}

func (p *program) showIncident(ctx context.Context, c *cli.Command, api *client, id string) error {
	var i incident.Incident
	var timeline struct{ Entries []incident.Entry }
	path := "/api/v1/incidents/" + url.PathEscape(id)
	if err := api.get(ctx, path, &i); err != nil {
		return err
	}
	if err := api.get(ctx, path+"/timeline", &timeline); err != nil {
		return err
	}
	if c.Bool("json") {
		return p.json(map[string]any{"incident": i, "timeline": timeline.Entries})
	}
	paint := p.paint(c)
	p.printf("%s  %s  %s  %s\n", paint.in(bold, i.ID), paint.severity(i.Severity), i.State, oneLine(i.Title))
	p.printf("environment  %s\n", i.Environment)
	p.printf("since        %s (%s)\n", i.Triggered.Local().Format("2006-01-02 15:04:05"), ago(i.Triggered))
	p.printf("taken by     %s\n", who(i))
	if i.Playbook != "" {
		p.printf("playbook     %s\n", i.Playbook)
	}
	for _, l := range i.Deadlines {
		p.printf("deadline     %s\n", oneLine(l.Line(time.Now(), time.Local)))
	}
	for _, run := range i.Runs {
		p.printf("run          %s\n", run)
	}
	p.printf("\n")
	for _, e := range timeline.Entries {
		p.printf("%s  %s  %s\n", e.At.Local().Format("15:04:05"), oneLine(e.Text), paint.weak(e.Actor))
	}
	if i.State == incident.Triggered {
		p.printf("\nopsd ack %s says that you take care of it.\n", i.ID)
	}
	for _, l := range i.OpenDeadlines() {
		p.printf("\nopsd deadline settle %s %s -reason ... says that this was done: %s\n", i.ID, l.Name, oneLine(l.What))
	}
	return nil
}

func (p *program) ack(ctx context.Context, c *cli.Command) error {
	id, err := argument(c, "the incident")
	if err != nil {
		return err
	}
	body := map[string]any{}
	if comment := c.String("comment"); comment != "" {
		body["comment"] = comment
	}
	if d := c.Duration("for"); d > 0 {
		body["for"] = d.String()
	}
	return p.command(ctx, c, "/api/v1/incidents/"+url.PathEscape(id)+"/acknowledge", body, id+" is yours. Nobody else is called.")
}

func (p *program) open(ctx context.Context, c *cli.Command) error {
	title, err := argument(c, "a title, in quotes,")
	if err != nil {
		return err
	}
	api, err := p.client(c)
	if err != nil {
		return err
	}
	body := map[string]any{"title": title, "environment": c.String("environment"), "severity": c.String("severity")}
	for name, value := range map[string]string{"summary": c.String("summary"), "playbook": c.String("playbook")} {
		if value != "" {
			body[name] = value
		}
	}
	var i incident.Incident
	if err := api.post(ctx, "/api/v1/incidents", body, &i); err != nil {
		return err
	}
	if c.Bool("json") {
		return p.json(i)
	}
	p.printf("%s is open.\n", i.ID)
	return nil
}

func (p *program) resolve(ctx context.Context, c *cli.Command) error {
	id, err := argument(c, "the incident")
	if err != nil {
		return err
	}
	body := map[string]any{}
	for name, value := range map[string]string{"cause": c.String("cause"), "resolution": c.String("resolution")} {
		if value != "" {
			body[name] = value
		}
	}
	return p.command(ctx, c, "/api/v1/incidents/"+url.PathEscape(id)+"/resolve", body, id+" is resolved.")
}

func (p *program) update(ctx context.Context, c *cli.Command) error {
	if c.Args().Len() != 2 {
		return usage("an incident and a text, in quotes, are wanted; opsd update -h tells how")
	}
	id := c.Args().Get(0)
	body := map[string]any{"text": c.Args().Get(1)}
	for name, value := range map[string]string{"title": c.String("title"), "status": c.String("status")} {
		if value != "" {
			body[name] = value
		}
	}
	return p.command(ctx, c, "/api/v1/incidents/"+url.PathEscape(id)+"/updates", body, "Told to everyone.")
}

// reports are those that are made by the clock.
var reports = map[string]string{"morning": "morning-check", "daily": "end-of-day-report", "weekly": "weekly-report", "monthly": "monthly-checklist"}

func (p *program) report(ctx context.Context, c *cli.Command) error {
	name, err := argument(c, "an incident, or morning, daily, weekly or monthly,")
	if err != nil {
		return err
	}
	if playbook, ok := reports[name]; ok {
		return p.launch(ctx, c, playbook, c.StringMap("parameter"))
	}
	api, err := p.client(c)
	if err != nil {
		return err
	}
	path := "/api/v1/incidents/" + url.PathEscape(name) + "/report"
	if c.Bool("json") {
		var v any
		if err := api.get(ctx, path, &v); err != nil {
			return err
		}
		return p.json(v)
	}
	var text string
	if err := api.get(ctx, path+"/document", &text); err != nil {
		return err
	}
	p.printf("%s\n", strings.TrimSpace(text))
	return nil
}
