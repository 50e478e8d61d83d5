package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// The two ways in which commands work, which -h says of each.
const (
	directly = "It looks at the systems itself, needs no running opsd, and changes nothing."
	running  = "It asks the running opsd (-server), which keeps the record of who did what."
)

const about = `Watches the environments of an application, tells the right people, and carries out the
runbook. Without -config it works on an embedded estate: nothing real.

Commands that only look ask the systems themselves. Commands that change or decide something
ask the running opsd, at -server, as the person whose token is in OPSD_TOKEN.

` + exitCodes

// commands is the command line.
func (p *program) commands() *cli.Command {
	root := &cli.Command{
		Name: "opsd", Usage: "the operations runbook as a program", Description: about,
		Writer: p.stdout, ErrWriter: p.stderr, Reader: p.stdin, HideVersion: true, Suggest: true, HideHelpCommand: true,
		EnableShellCompletion:           true,
		ConfigureShellCompletionCommand: configureCompletion,
		ExitErrHandler:                  func(context.Context, *cli.Command, error) {}, // run decides
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "the configuration `FILE`; opsd init prints one", Sources: env(p, "OPSD_CONFIG")},
			&cli.StringFlag{Name: "server", Usage: "the `URL` of the running opsd", Sources: env(p, "OPSD_SERVER"), DefaultText: "where the configuration says"},
			&cli.StringFlag{Name: "as", Usage: "on the embedded estate: the `PERSON` who asks", Value: "Ana Silva"},
			&cli.StringSliceFlag{Name: "fault", Usage: "on the embedded estate: what goes wrong, `KIND` or KIND=VARIANT; opsd faults lists them"},
			&cli.IntFlag{Name: "seed", Usage: "of the embedded estate", Value: 1},
			&cli.BoolFlag{Name: "json", Usage: "write JSON, one value or one event a line"},
			&cli.StringFlag{Name: "color", Usage: "`WHEN` to use colour: auto, always, never", Value: "auto", Validator: oneOf("auto", "always", "never")},
		},
		Commands: concat(p.serveCommands(), p.lookCommands(), p.runCommands(), p.decideCommands(), p.incidentCommands(), p.deadlineCommands(), p.holdCommands(), p.verbCommands(), p.quietCommands(), p.setupCommands()),
		Action:   group,
	}
	p.prepare(root)
	return root
}

func concat(groups ...[]*cli.Command) (all []*cli.Command) {
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

// prepare makes every command say itself what is wrong with its use, and complete its argument.
func (p *program) prepare(c *cli.Command) {
	c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error {
		return usage("%v; %s -h tells how to use it", err, c.FullName())
	}
	p.completes(c)
	for _, sub := range c.Commands {
		p.prepare(sub)
	}
}

// group is the action of a command that has others below it.
func group(ctx context.Context, c *cli.Command) error {
	if c.Args().Present() {
		return usage("there is no command %q; %s -h lists them", c.Args().First(), c.FullName())
	}
	return cli.ShowSubcommandHelp(c)
}

// usage is the error of a wrong use.
func usage(format string, args ...any) error { return fmt.Errorf("opsd: "+format, args...) }

// env is a variable from which a flag is taken.
func env(p *program, name string) cli.ValueSourceChain {
	return cli.NewValueSourceChain(&variable{p, name})
}

// variable is an environment variable of the program, which tests replace.
type variable struct {
	p    *program
	name string
}

// Lookup implements [cli.ValueSource].
func (v *variable) Lookup() (string, bool) {
	value := v.p.getenv(v.name)
	return value, value != ""
}

// String implements [cli.ValueSource].
func (v *variable) String() string { return "environment variable " + v.name }

// GoString implements [cli.ValueSource].
func (v *variable) GoString() string { return v.String() }

func oneOf(values ...string) func(string) error {
	return func(s string) error {
		for _, v := range values {
			if s == v {
				return nil
			}
		}
		return fmt.Errorf("must be %s", strings.Join(values, ", "))
	}
}

// argument returns the only argument.
func argument(c *cli.Command, what string) (string, error) {
	switch c.Args().Len() {
	case 1:
		return c.Args().First(), nil
	case 0:
		return "", usage("%s is missing; %s -h tells how to use it", what, c.FullName())
	}
	return "", usage("unexpected argument %q; %s -h tells how to use it", c.Args().Get(1), c.FullName())
}

// none says that there are no arguments.
func none(c *cli.Command) error {
	if c.Args().Present() {
		return usage("unexpected argument %q; %s -h tells how to use it", c.Args().First(), c.FullName())
	}
	return nil
}

// settings reads the configuration; without one it is that of the embedded estate.
func (p *program) settings(c *cli.Command) (*settings, error) {
	name := c.String("config")
	if name == "" {
		for _, f := range c.StringSlice("fault") {
			kind, _, _ := strings.Cut(f, "=")
			if err := oneOf(world.Kinds()...)(kind); err != nil {
				return nil, usage("-fault %s: %w", f, err)
			}
		}
		return embedded(estateSettings{Seed: c.Int("seed"), Faults: c.StringSlice("fault")}), nil
	}
	if len(c.StringSlice("fault")) > 0 {
		return nil, usage("-fault is for the embedded estate, and not for the systems of %s", name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("opsd: the configuration cannot be read: %w", err)
	}
	s := load(config.Source{Name: name, Text: text, Getenv: p.getenv, ReadFile: os.ReadFile})
	return s, s.problems()
}

// client is for asking the running opsd.
func (p *program) client(c *cli.Command) (*client, error) {
	base, token := c.String("server"), runbook.NewSecret(p.getenv("OPSD_TOKEN"))
	if base == "" && c.String("config") != "" {
		s, err := p.settings(c)
		if err != nil {
			return nil, err
		}
		base = s.address()
	}
	if base == "" {
		base = "http://" + defaultListen
	}
	if token.IsZero() && c.String("config") == "" {
		token = runbook.NewSecret(rehearsalToken(c.String("as")))
	}
	if token.IsZero() {
		return nil, usage("OPSD_TOKEN is not set: it says who you are, and the configuration gives it to you")
	}
	return &client{base: strings.TrimSuffix(base, "/"), token: token, http: direct()}, nil
}

// message is an error for people.
func message(err error) string {
	p, ok := errors.AsType[*httpapi.Problem](err)
	if !ok {
		return err.Error()
	}
	text := "opsd: " + p.Detail
	if p.Code == "unauthenticated" {
		text = "opsd: it is not known who you are: OPSD_TOKEN must be the token that the configuration gives you"
	}
	for _, f := range p.Errors {
		at := strings.TrimPrefix(f.Pointer, "#/")
		if at == "" {
			at = f.Parameter
		}
		text += "\n  " + at + ": " + f.Detail
	}
	if p.Reference != "" {
		text += "\n  the log of opsd has more under " + p.Reference
	}
	return text
}
