package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"go.acu.edu.au/runbook/examples/internal/drill"
	"go.acu.edu.au/runbook/examples/internal/world"
)

//go:embed config.sample.yaml
var sample []byte

func (p *program) setupCommands() []*cli.Command {
	const category = "Configuration"
	return []*cli.Command{
		{Name: "init", Category: category, Usage: "print a configuration with an explanation of every key", Description: "opsd init > opsd.yaml", Action: func(_ context.Context, c *cli.Command) error {
			if err := none(c); err != nil {
				return err
			}
			_, err := p.stdout.Write(sample)
			return err
		}},
		{
			Name: "doctor", Category: category, Usage: "what is wrong with the configuration, the tokens, and what is reached with them", Description: directly + " It names what is wrong and what to do, all at once. It also tries, by reads, which scopes the tokens for Canvas, the LTI tool and Slack have, and asks mail, phone and tickets who they take opsd for. Nobody is told: opsd notify test does that.\n\nThe exit code is 0 if nothing is wrong, 1 if something is, 3 if the configuration cannot be read.",
			Flags: []cli.Flag{environmentFlag("")}, Action: p.doctor,
		},
		{
			Name: "state", Category: category, Usage: "copy the state, or put a copy in its place", Action: group, Description: "For a state in a folder. That in PostgreSQL is copied with pg_dump.", Commands: []*cli.Command{
				{
					Name: "backup", Usage: "copy the state to a new folder, also while opsd runs", ArgsUsage: "FOLDER", Flags: []cli.Flag{stateFlag()}, Action: p.stateBackup,
				},
				{
					Name: "restore", Usage: "put a copy in place of the state, while no opsd runs", ArgsUsage: "FOLDER", Flags: []cli.Flag{stateFlag()},
					Description: "What there was is kept in it, in a folder that says when; what is no state, as the kill file, stays. Whatever happened after the copy was made is unknown to it: runs that were under way then go on from there, and look before they act.", Action: p.stateRestore,
				},
			},
		},
		{Name: "faults", Category: category, Usage: "list what can go wrong on the embedded estate", Action: func(_ context.Context, c *cli.Command) error {
			if c.Bool("json") {
				return errors.Join(none(c), p.json(world.Kinds()))
			}
			for _, k := range world.Kinds() {
				p.printf("%s\n", k)
			}
			return none(c)
		}},
		{
			Name: "drill", Category: category, Usage: "rehearse the runbook on an estate in memory in which things go wrong", ArgsUsage: "[-scenario NAME] [-pairs N] ...", SkipFlagParsing: true,
			Description: "It is in virtual time, touches nothing real, and takes no configuration: opsd drill -h says what there is. One fault on the clock on the wall shows opsd serve -fault KIND.",
			Action: func(_ context.Context, c *cli.Command) error {
				if code := drill.Main(c.Args().Slice(), p.stdout, p.stderr); code != exitDone {
					return quiet{code}
				}
				return nil
			},
		},
	}
}

func stateFlag() cli.Flag {
	return &cli.StringFlag{Name: "state", Usage: "the `FOLDER` of the state instead of that of the configuration"}
}

// stateFolder is the folder of the state.
func (p *program) stateFolder(c *cli.Command) (string, error) {
	if folder := c.String("state"); folder != "" {
		return folder, nil
	}
	if c.String("config") == "" {
		return "", usage("give -config, or -state: the state of the embedded estate goes with its process")
	}
	s, err := p.settings(c)
	if err != nil {
		return "", err
	}
	if s.State.Folder == "" && s.Estate != nil && s.State.Postgres.IsZero() {
		return "", usage("give -state: the state of the embedded estate goes with its process")
	}
	if s.State.Folder == "" {
		return "", fmt.Errorf("opsd: the state is in PostgreSQL: copy it with pg_dump, the schemas dbos and that of the tables runbook_")
	}
	return s.State.Folder, nil
}
