package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

func (p *program) runCommands() []*cli.Command {
	const category = "Playbooks"
	return []*cli.Command{
		{
			Name: "run", Category: category, Usage: "carry out a playbook, and follow it", ArgsUsage: "PLAYBOOK",
			Description: running + "\n\nCtrl-C stops following: the run goes on. With -here it is carried out in this process, which is an opsd serve that ends with the run: for when no opsd is running. On the embedded estate -here is how to try a playbook.",
			Flags:       runFlags(), Action: p.start(""),
		},
		{Name: "runs", Category: category, Usage: "list the runs, or follow one", ArgsUsage: "[RUN]", Description: running, Action: p.runs, Flags: []cli.Flag{
			&cli.IntFlag{Name: "limit", Usage: "how `MANY`", Value: 20}, &cli.BoolFlag{Name: "report", Usage: "of one: as a document"},
		}},
		{Name: "cancel", Category: category, Usage: "end a run for good", ArgsUsage: "RUN", Description: running + " What was done stays as it is.", Flags: []cli.Flag{reasonFlag()}, Action: p.control("cancel")},
		{Name: "pause", Category: category, Usage: "let a run begin nothing new", ArgsUsage: "RUN", Description: running, Flags: []cli.Flag{reasonFlag()}, Action: p.control("pause")},
		{Name: "resume", Category: category, Usage: "let a paused run go on", ArgsUsage: "RUN", Description: running, Flags: []cli.Flag{reasonFlag()}, Action: p.control("resume")},
	}
}

// runFlags are those of commands that start a run.
func runFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		environmentFlag("production"), parameterFlag(),
		&cli.StringFlag{Name: "incident", Usage: "the `INCIDENT` to which it belongs"},
		&cli.StringFlag{Name: "id", Usage: "an `ID` for the run: asking twice starts it once"},
		&cli.StringFlag{Name: "plan", Usage: "the `HASH` of a plan: it begins only if it would do that still"},
		&cli.BoolFlag{Name: "detach", Usage: "start it, and do not follow it"},
		&cli.BoolFlag{Name: "here", Usage: "carry it out in this process"},
	}, more...)
}

func reasonFlag() cli.Flag {
	return &cli.StringFlag{Name: "reason", Aliases: []string{"comment", "m"}, Usage: "`WHY`", Required: true}
}

// start returns the action of a command that starts a run of a playbook; without a name the
// argument names it.
func (p *program) start(playbook string) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		name := playbook
		if name == "" {
			var err error
			if name, err = argument(c, "the name of a playbook"); err != nil {
				return err
			}
		} else if err := none(c); err != nil {
			return err
		}
		return p.launch(ctx, c, name, c.StringMap("parameter"))
	}
}

// launch starts a run, in the running opsd or here.
func (p *program) launch(ctx context.Context, c *cli.Command, playbook string, parameters map[string]string) error {
	all := map[string]string{}
	maps.Copy(all, c.StringMap("parameter")) // also with commands that give some themselves
	maps.Copy(all, parameters)
	parameters = all
	if !c.Bool("here") {
		api, err := p.client(c)
		if err != nil {
			return err
		}
		err = p.startAndFollow(ctx, c, api, playbook, parameters)
		if _, ok := errors.AsType[*notRunning](err); ok {
			return fmt.Errorf("%w; or carry it out in this process, with -here", err)
		}
		return err
	}
	if c.Bool("detach") {
		return usage("-here and -detach exclude each other: what is carried out here ends with this process")
	}
	v, err := p.service(ctx, c)
	if err != nil {
		return err
	}
	if v.settings.Estate != nil {
		v.settings.Server.Listen = "127.0.0.1:0"
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	address, served := make(chan string, 1), make(chan error, 1)
	go func() {
		served <- v.serve(serving, func(a string) { address <- a })
		stop() // nobody waits for what has ended
	}()
	var result error
	select {
	case at := <-address:
		result = p.asService(serving, c, v, at, playbook, parameters)
	case err := <-served:
		return err
	}
	stop()
	err = <-served
	if err != nil && ctx.Err() == nil && errors.Is(result, context.Canceled) {
		return err // which is why it was not waited for any more
	}
	return errors.Join(result, err)
}

// asService starts a run in the service of this process.
func (p *program) asService(ctx context.Context, c *cli.Command, v *service, address, playbook string, parameters map[string]string) error {
	token := runbook.NewSecret(p.getenv("OPSD_TOKEN"))
	if v.settings.Estate != nil && token.IsZero() {
		token = runbook.NewSecret(rehearsalToken(c.String("as")))
		fmt.Fprintf(p.stderr, "opsd: embedded estate, in this process: nothing real is changed. It can be asked at %s\n", address)
	}
	for !v.leading.Load() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return p.startAndFollow(ctx, c, &client{base: address, token: token, http: direct()}, playbook, parameters)
}

// startAndFollow starts a run, and follows it unless that is not wanted.
func (p *program) startAndFollow(ctx context.Context, c *cli.Command, api *client, playbook string, parameters map[string]string) error {
	body := map[string]any{"environment": c.String("environment"), "playbook": playbook}
	for name, value := range map[string]string{"id": c.String("id"), "incident": c.String("incident"), "plan": c.String("plan")} {
		if value != "" {
			body[name] = value
		}
	}
	if len(parameters) > 0 {
		body["parameters"] = parameters
	}
	var run incident.Run
	if err := api.post(ctx, "/api/v1/runs", body, &run); err != nil {
		return err
	}
	if c.Bool("detach") {
		if c.Bool("json") {
			return p.json(run)
		}
		p.printf("Run %s is started: opsd runs %s follows it.\n", run.ID, run.ID)
		return nil
	}
	return p.follow(ctx, c, api, run.ID)
}

// follow shows a run until it has ended. Its end is the exit code.
func (p *program) follow(ctx context.Context, c *cli.Command, api *client, id string) error {
	shown := &progress{p: p, paint: p.paint(c), json: c.Bool("json"), zone: time.Local}
	end := shown.begin()
	var last incident.Run
	err := api.follow(ctx, id, func(r incident.Run) bool {
		last = r
		shown.show(r)
		return r.Ended.IsZero()
	})
	end()
	if errors.Is(err, context.Canceled) {
		if c.Bool("here") {
			fmt.Fprintf(p.stderr, "opsd: run %s goes on when an opsd is started that has the same state; the embedded estate ends with this process\n", id)
			return quiet{exitGoesOn}
		}
		fmt.Fprintf(p.stderr, "opsd: run %s goes on; opsd runs %s follows it again, opsd cancel %s ends it\n", id, id, id)
		return quiet{exitGoesOn}
	}
	if err != nil {
		return err
	}
	return quietly(codeOfRun(last))
}

func (p *program) runs(ctx context.Context, c *cli.Command) error {
	api, err := p.client(c)
	if err != nil {
		return err
	}
	if c.Args().Present() {
		id, err := argument(c, "the run")
		if err != nil {
			return err
		}
		if c.Bool("report") {
			var text string
			if err := api.get(ctx, "/api/v1/runs/"+url.PathEscape(id)+"/document", &text); err != nil {
				return err
			}
			p.printf("%s\n", lines(strings.TrimSpace(text)))
			return nil
		}
		return p.follow(ctx, c, api, id)
	}
	var list struct{ Runs []incident.Run }
	if err := api.get(ctx, fmt.Sprintf("/api/v1/runs?limit=%d", c.Int("limit")), &list); err != nil {
		return err
	}
	if c.Bool("json") {
		return p.each(list.Runs)
	}
	t, paint := p.table(), p.paint(c)
	for _, r := range list.Runs {
		text := r.Reason
		if r.Question != nil {
			text = r.Question.Title
		}
		if r.Attention != "" {
			text = r.Attention
		}
		t.row(r.ID, paint.run(r.State), r.Environment, r.Playbook, ago(r.Started), "by "+by(r), brief(oneLine(text), 100))
	}
	if len(list.Runs) == 0 {
		p.printf("There are no runs.\n")
	}
	t.flush()
	return nil
}

// each writes values as JSON, a line each.
func (p *program) each(list any) error {
	switch all := list.(type) {
	case []incident.Run:
		for _, v := range all {
			if err := p.json(v); err != nil {
				return err
			}
		}
	case []incident.Incident:
		for _, v := range all {
			if err := p.json(v); err != nil {
				return err
			}
		}
	case []incident.Approval:
		for _, v := range all {
			if err := p.json(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// control returns the action of a command that interferes with a run.
func (p *program) control(verb string) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		id, err := argument(c, "the run")
		if err != nil {
			return err
		}
		return p.command(ctx, c, "/api/v1/runs/"+url.PathEscape(id)+"/"+verb, map[string]any{"reason": c.String("reason")}, "Run "+id+": "+verb+" is recorded.")
	}
}

// command gives a command to the running opsd, and says that it was done.
func (p *program) command(ctx context.Context, c *cli.Command, path string, body any, done string) error {
	api, err := p.client(c)
	if err != nil {
		return err
	}
	if err := api.post(ctx, path, body, nil); err != nil {
		return err
	}
	if !c.Bool("json") {
		p.printf("%s\n", done)
	}
	return nil
}
