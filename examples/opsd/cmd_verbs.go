package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/urfave/cli/v3"

	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/incident"
)

func (p *program) verbCommands() []*cli.Command {
	const category = "Doing"
	const how = running + " It is a run like any other: it is planned with opsd plan, recorded, and followed."
	commit := &cli.StringFlag{Name: "commit", Usage: "the `COMMIT`", Required: true}
	return []*cli.Command{
		{Name: "deploy", Category: category, Usage: "deploy a commit; in production somebody else approves", Description: how, Flags: runFlags(commit), Action: p.with("deploy", "commit", "commit")},
		{
			Name: "promote", Category: category, Usage: "deploy what runs in one environment to the next", Description: how + " An update that goes through all environments with its evidence, the audit and the tests of security, is opsd run dependency-update.", Flags: runFlags(&cli.StringFlag{Name: "from", Usage: "the `ENVIRONMENT` whose commit it is", Value: "beta"}), Action: p.promote,
		},
		{
			Name: "rollback", Category: category, Usage: "roll back to the last good deployment, or to another", Description: how,
			Flags: runFlags(&cli.StringFlag{Name: "to", Usage: "the `DEPLOYMENT` or its commit"}), Action: p.with("roll-back", "to", "to"),
		},
		{Name: "restart", Category: category, Usage: "restart the application", Description: how, Flags: runFlags(), Action: p.start("restart")},
		{Name: "backup", Category: category, Usage: "back up the database, now", Description: how, Flags: runFlags(), Action: p.start("back-up")},
		{
			Name: "rotate", Category: category, Usage: "renew a credential", ArgsUsage: "CREDENTIAL", Description: how, Flags: runFlags(), Action: func(ctx context.Context, c *cli.Command) error {
				name, err := argument(c, "the credential (opsd credentials lists them)")
				if err != nil {
					return err
				}
				return p.launch(ctx, c, "rotate", map[string]string{"credential": name})
			},
		},
	}
}

// with returns the action of a command that gives a flag as a parameter.
func (p *program) with(playbook, flag, parameter string) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		if err := none(c); err != nil {
			return err
		}
		parameters := map[string]string{}
		if value := c.String(flag); value != "" {
			parameters[parameter] = value
		}
		return p.launch(ctx, c, playbook, parameters)
	}
}

// promote deploys what runs elsewhere. What that is says whoever deploys it: the running opsd,
// or with -here this process. So nothing of one estate is ever deployed to another.
func (p *program) promote(ctx context.Context, c *cli.Command) error {
	if err := none(c); err != nil {
		return err
	}
	from, to := c.String("from"), c.String("environment")
	if from == to {
		return usage("-from and -environment are the same: %s", to)
	}
	var d incident.Deployment
	var err error
	if c.Bool("here") {
		d, err = p.deployedHere(ctx, c, from)
	} else {
		d, err = p.deployedThere(ctx, c, from)
	}
	if err != nil {
		return err
	}
	if !c.Bool("json") {
		p.printf("%s runs commit %s%s, which is deployed to %s.\n", from, d.Commit, titled(d), to)
	}
	return p.launch(ctx, c, "deploy", map[string]string{"commit": d.Commit})
}

// titled is what a deployment says of itself, in brackets.
func titled(d incident.Deployment) string {
	if d.Message == "" {
		return ""
	}
	return " (" + oneLine(d.Message) + ")"
}

// deployedThere asks the running opsd.
func (p *program) deployedThere(ctx context.Context, c *cli.Command, from string) (incident.Deployment, error) {
	api, err := p.client(c)
	if err != nil {
		return incident.Deployment{}, err
	}
	var v deployedView
	err = api.get(ctx, "/api/host/deployed/"+url.PathEscape(from), &v)
	if _, ok := errors.AsType[*notRunning](err); ok {
		return v.Deployment, fmt.Errorf("%w; or carry it out in this process, with -here", err)
	}
	if err == nil && (v.Environment != from || v.Deployment.Commit == "") {
		return v.Deployment, fmt.Errorf("opsd: %s did not say which commit runs in %s: is it an opsd of the same version?", api.base, from)
	}
	return v.Deployment, err
}

// deployedHere looks itself.
func (p *program) deployedHere(ctx context.Context, c *cli.Command, from string) (d incident.Deployment, err error) {
	err = p.looking(ctx, c, func(_ *settings, h *host.Host) error {
		e, err := environmentOf(h, from)
		if err != nil {
			return err
		}
		if d, err = inUse(ctx, e); err != nil {
			return fmt.Errorf("opsd: %w", err)
		}
		return nil
	})
	return d, err
}
