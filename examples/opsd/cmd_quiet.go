package main

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident/httpapi"
)

func (p *program) quietCommands() []*cli.Command {
	const category = "Telling people"
	until := []cli.Flag{
		&cli.DurationFlag{Name: "for", Usage: "how long, from its beginning", Value: time.Hour},
		&cli.StringFlag{Name: "comment", Aliases: []string{"reason", "m"}, Usage: "`WHY`: others will ask"},
	}
	return []*cli.Command{
		{
			Name: "silence", Category: category, Usage: "list the silences, or keep people from being told of some alerts", Description: running + " Rules go on being judged, and the end of what was told before is told.",
			Flags: append([]cli.Flag{
				environmentFlag(""), &cli.StringFlag{Name: "rule", Usage: "the `RULE`, as opsd status -json has it"}, &cli.StringFlag{Name: "entity", Usage: "the `THING`, such as a check"},
				&cli.BoolFlag{Name: "until-resolved", Usage: "end it when they are over"},
			}, until...),
			Action: p.silence, Commands: []*cli.Command{{Name: "end", Usage: "end one now", ArgsUsage: "SILENCE", Action: p.endOf("silences", "The silence has ended: what still fires is told now.")}},
		},
		{
			Name: "maintenance", Category: category, Usage: "list the maintenances, or plan one: nobody is told of what its checks find", Description: running,
			Flags: append([]cli.Flag{
				environmentFlag(""), &cli.StringFlag{Name: "check", Usage: "one `CHECK` instead of an environment"},
				&cli.StringFlag{Name: "from", Usage: "when it begins, as `2026-12-05T02:00:00+11:00`", DefaultText: "now"},
			}, until...),
			Action: p.maintenance, Commands: []*cli.Command{{Name: "end", Usage: "end one now", ArgsUsage: "MAINTENANCE", Action: p.endOf("maintenance", "The maintenance has ended.")}},
		},
		{
			Name: "notify", Category: category, Usage: "try the ways to tell people, and send drafts", Description: running, Action: group, Commands: []*cli.Command{
				{Name: "test", Usage: "send a test message", ArgsUsage: "[TARGET...]", Description: "Without a target it goes to all that do not ring: " + strings.Join(quietTargets, ", ") + ". phone-operations rings.", Action: p.notifyTest},
				{Name: "drafts", Usage: "messages to vendors that wait for a person", Action: p.drafts},
				{Name: "send", Usage: "send a draft", ArgsUsage: "DRAFT", Action: p.draft("send", "It is sent.")},
				{Name: "discard", Usage: "discard a draft", ArgsUsage: "DRAFT", Action: p.draft("discard", "It is discarded.")},
			},
		},
	}
}

// quietTargets are the targets of the host that ring nowhere.
var quietTargets = []string{"chat-alerts", "mail-on-call", "chat-operators", "chat-status", "mail-updates", "security"}

// some is a list that JSON has as one, also if there is nothing in it.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (p *program) silence(ctx context.Context, c *cli.Command) error {
	if err := none(c); err != nil {
		return err
	}
	api, err := p.client(c)
	if err != nil {
		return err
	}
	if c.String("environment")+c.String("rule")+c.String("entity") == "" {
		var list []alert.Silence
		if err := api.get(ctx, "/api/host/silences", &list); err != nil {
			return err
		}
		if c.Bool("json") {
			return p.json(some(list))
		}
		t := p.table()
		for _, s := range list {
			t.row(s.ID, s.Match.String(), "until "+s.Ends.Local().Format("02 Jan 15:04"), s.By, s.Comment)
		}
		t.flush()
		if len(list) == 0 {
			p.printf("Nothing is silenced.\n")
		}
		return nil
	}
	if c.String("comment") == "" {
		return usage("-comment is missing: others will ask why nobody was told")
	}
	body := silenceBody{
		Environment: c.String("environment"), Rule: c.String("rule"), Entity: c.String("entity"), Until: time.Now().Add(c.Duration("for")), Comment: c.String("comment"), UntilResolved: c.Bool("until-resolved"),
	}
	var s alert.Silence
	if err := api.post(ctx, "/api/host/silences", body, &s); err != nil {
		return err
	}
	if c.Bool("json") {
		return p.json(s)
	}
	p.printf("Nobody is told of %s until %s. opsd silence end %s ends it.\n", s.Match, s.Ends.Local().Format("02 Jan 15:04"), s.ID)
	return nil
}

func (p *program) maintenance(ctx context.Context, c *cli.Command) error {
	if err := none(c); err != nil {
		return err
	}
	api, err := p.client(c)
	if err != nil {
		return err
	}
	if c.String("environment")+c.String("check") == "" {
		var list []maintenance
		if err := api.get(ctx, "/api/host/maintenance", &list); err != nil {
			return err
		}
		if c.Bool("json") {
			return p.json(some(list))
		}
		t := p.table()
		for _, m := range list {
			t.row(m.ID, m.Environment+m.Check, m.From.Local().Format("02 Jan 15:04"), "to "+m.To.Local().Format("02 Jan 15:04"), m.By, m.Comment)
		}
		t.flush()
		if len(list) == 0 {
			p.printf("No maintenance is planned or under way.\n")
		}
		return nil
	}
	m := maintenance{Environment: c.String("environment"), Check: c.String("check"), From: time.Now(), Comment: c.String("comment")}
	if from := c.String("from"); from != "" {
		if m.From, err = time.Parse(time.RFC3339, from); err != nil {
			return usage("-from must be a time such as 2026-12-05T02:00:00+11:00")
		}
	}
	m.To = m.From.Add(c.Duration("for"))
	if err := api.post(ctx, "/api/host/maintenance", m, &m); err != nil {
		return err
	}
	if c.Bool("json") {
		return p.json(m)
	}
	p.printf("%s is in maintenance from %s to %s. opsd maintenance end %s ends it.\n", m.Environment+m.Check, m.From.Local().Format("02 Jan 15:04"), m.To.Local().Format("02 Jan 15:04"), m.ID)
	return nil
}

// endOf returns the action of a command that ends something.
func (p *program) endOf(what, done string) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		id, err := argument(c, "its ID")
		if err != nil {
			return err
		}
		return p.command(ctx, c, "/api/host/"+what+"/"+url.PathEscape(id)+"/end", nil, done)
	}
}

func (p *program) notifyTest(ctx context.Context, c *cli.Command) error {
	targets := c.Args().Slice()
	if len(targets) == 0 {
		targets = quietTargets
	}
	api, err := p.client(c)
	if err != nil {
		return err
	}
	t, paint, code := p.table(), p.paint(c), exitDone
	for _, target := range targets {
		err := api.post(ctx, "/api/host/notify/"+url.PathEscape(target), nil, nil)
		answer, answered := errors.AsType[*httpapi.Problem](err)
		if err != nil && codeOf(err) == exitCouldNot && (!answered || answer.Code != "could-not-ask") {
			return err // opsd cannot be asked at all
		}
		text := paint.in(green, "arrived")
		if err != nil {
			what := "did not arrive: "
			if codeOf(err) == exitUnknown {
				what = "may have arrived: "
			}
			text, code = paint.bad(what+strings.TrimPrefix(message(err), "opsd: ")), codeOf(err)
		}
		if c.Bool("json") {
			if err := p.json(map[string]any{"target": target, "arrived": err == nil, "error": errorText(err)}); err != nil {
				return err
			}
			continue
		}
		t.row(target, text)
	}
	t.flush()
	return quietly(code)
}

func (p *program) drafts(ctx context.Context, c *cli.Command) error {
	api, err := p.client(c)
	if err != nil {
		return err
	}
	var list []alert.Draft
	if err := api.get(ctx, "/api/host/drafts", &list); err != nil {
		return err
	}
	if c.Bool("json") {
		return p.json(some(list))
	}
	for _, d := range list {
		p.printf("%s  to %s, %s: %s\n", d.ID, d.Target, ago(d.At), oneLine(d.Post.Title))
		for l := range strings.Lines(strings.TrimSpace(d.Post.Body)) {
			p.printf("  %s\n", oneLine(strings.TrimRight(l, "\n")))
		}
	}
	if len(list) == 0 {
		p.printf("No draft waits.\n")
	}
	return nil
}

func (p *program) draft(verb, done string) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		id, err := argument(c, "the draft")
		if err != nil {
			return err
		}
		return p.command(ctx, c, "/api/host/drafts/"+url.PathEscape(id)+"/"+verb, nil, done)
	}
}
