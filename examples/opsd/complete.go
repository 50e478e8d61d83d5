package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v3"
)

// configureCompletion makes the command completion one that is seen in the help. What it
// prints for bash works without the package bash-completion too, which a server seldom has.
func configureCompletion(c *cli.Command) {
	c.Hidden, c.Category = false, "Configuration"
	c.Usage = "print the completion for a shell: source <(opsd completion bash)"
	for _, shell := range c.Commands {
		if shell.Name != "bash" {
			continue
		}
		script := shell.Action
		shell.Action = func(ctx context.Context, c *cli.Command) error {
			if err := script(ctx, c); err != nil {
				return err
			}
			_, err := io.WriteString(c.Root().Writer, withoutPackage)
			return err
		}
	}
}

const withoutPackage = `
# The words are known already; the package bash-completion is not needed to find them.
if ! declare -F _comp_initialize >/dev/null && ! declare -F _get_comp_words_by_ref >/dev/null; then
  __opsd_init_completion() { COMPREPLY=(); }
fi
`

// completes completes the argument of a command, where it is the name of a playbook.
func (p *program) completes(c *cli.Command) {
	if strings.Trim(c.ArgsUsage, "[]") == "PLAYBOOK" {
		c.ShellComplete = p.completePlaybooks
	}
}

// completePlaybooks writes the names of playbooks. They are those of the embedded estate, which
// has them all: who types does not wait for systems, nor for what a configuration lacks.
func (p *program) completePlaybooks(ctx context.Context, c *cli.Command) {
	if c.Args().Present() {
		if strings.HasPrefix(c.Args().Get(c.Args().Len()-1), "-") {
			cli.DefaultCompleteWithFlags(ctx, c)
		}
		return
	}
	h, e, err := look(ctx, embedded(estateSettings{Seed: 1}))
	if err != nil {
		return // there is nobody to tell
	}
	defer func() {
		_ = h.Stop(ctx) // nor here
		_ = e.close()
	}()
	seen := make(map[string]bool)
	for _, b := range h.Runner().Playbooks() {
		if !seen[b.Name] {
			seen[b.Name] = true
			fmt.Fprintf(p.stdout, "%s:%s\n", b.Name, oneLine(b.Title))
		}
	}
}
