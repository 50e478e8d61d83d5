package main

import (
	"context"
	"fmt"

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
			Name: "promote", Category: category, Usage: "deploy what runs in one environment to the next", Description: how, Flags: runFlags(&cli.StringFlag{Name: "from", Usage: "the `ENVIRONMENT` whose commit it is", Value: "beta"}), Action: p.promote,
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

// promote deploys what runs elsewhere. What that is it asks the platform itself.
func (p *program) promote(ctx context.Context, c *cli.Command) error {
	if err := none(c); err != nil {
		return err
	}
	from, to := c.String("from"), c.String("environment")
	if from == to {
		return usage("-from and -environment are the same: %s", to)
	}
	if c.String("config") == "" && c.String("server") != "" && !c.Bool("here") {
		return usage("promote asks the platform itself what runs in %s: give -config, or say which commit with opsd deploy -commit", from)
	}
	commit := ""
	err := p.looking(ctx, c, func(_ *settings, h *host.Host) error {
		e, err := environmentOf(h, from)
		if err != nil {
			return err
		}
		if e.Deployer == nil {
			return fmt.Errorf("opsd: what runs in %s cannot be read: it has no railway in the configuration", from)
		}
		list, err := e.Deployer.Deployments(ctx, 20)
		if err != nil {
			return fmt.Errorf("opsd: what runs in %s: %w", from, err)
		}
		for _, d := range list {
			if d.Current && d.Status == incident.DeploymentSucceeded {
				commit = d.Commit
			}
		}
		if commit == "" {
			return fmt.Errorf("opsd: in %s no commit runs that was deployed well: there is nothing to promote", from)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !c.Bool("json") {
		p.printf("%s runs commit %s, which is deployed to %s.\n", from, commit, to)
	}
	return p.launch(ctx, c, "deploy", map[string]string{"commit": commit})
}
