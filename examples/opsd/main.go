// Opsd is the whole SDK as one program: it watches the environments of an application, tells
// the right people, opens incidents, calls whoever is on call until somebody takes care, and
// carries out the runbook, by itself where the configuration lets it and else when a person
// says so. It serves a status page for everybody, and a dashboard and an API for operators.
//
//	go run ./examples/opsd serve                     # an embedded estate, nothing real
//	go run ./examples/opsd serve -fault bad-deploy   # in which something goes wrong
//	go run ./examples/opsd init > opsd.yaml          # a configuration to begin with
//	go run ./examples/opsd doctor -config opsd.yaml  # what is wrong with it
//	go run ./examples/opsd serve -config opsd.yaml   # real systems
//
// It is what a team would copy to start with: the packages of the SDK and the example's
// internal/host do the work, and what is here reads a configuration, keeps the state, serves
// and speaks to people. See README.md.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, width: 100}
	if term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("TERM") != "dumb" {
		p.terminal = true
		p.screen = &screen{w: os.Stdout, size: sizeOf(os.Stdout)}
		columns, _ := p.screen.size()
		p.width = max(min(columns, 160), 60)
		if term.IsTerminal(int(os.Stderr.Fd())) {
			p.stderr = p.screen.beside(os.Stderr)
		}
	}
	os.Exit(p.run(ctx, os.Args[1:]))
}

// sizeOf asks a terminal for its size. One that does not know, as on a serial line, has the
// size that they all had.
func sizeOf(f *os.File) func() (columns, rows int) {
	return func() (int, int) {
		columns, rows, err := term.GetSize(int(f.Fd()))
		if err != nil || columns < 1 || rows < 1 {
			return 80, 24
		}
		return columns, rows
	}
}

// A program is opsd with what it reads from and writes to.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	terminal       bool                 // stdout is one
	screen         *screen              // that terminal, for what is drawn over and over
	width          int                  // of tables, in columns
	ready          func(address string) // told when serve can be asked; nil outside of tests
}

// run is the program: it returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	err := p.commands().Run(ctx, append([]string{"opsd"}, args...))
	if text := errorText(err); text != "" {
		fmt.Fprintln(p.stderr, strings.TrimSpace(message(err)))
	}
	return codeOf(err)
}
