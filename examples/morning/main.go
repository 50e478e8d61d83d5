// Morning is the morning health check of the runbook as one command: it asks the
// application and Canvas of every environment, prints what it found and what to
// do about it, and ends with a status that a script understands.
//
//	go run ./examples/morning                            # an embedded estate, nothing real
//	go run ./examples/morning -scenario database-gone    # what trouble looks like
//	go run ./examples/morning -config morning.yaml       # real systems
//	go run ./examples/morning -config morning.yaml -json # for machines
//
// Everything is asked at the same time, once, and nothing is changed. See
// README.md for the configuration, the JSON report and the exit codes.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/examples/internal/estate"
	"go.acu.edu.au/runbook/health"
	"golang.org/x/term"
)

// Exit codes.
const (
	exitHealthy   = 0
	exitDegraded  = 1
	exitDown      = 2
	exitUnchecked = 3 // also: a usage or configuration error
)

//go:embed config.sample.yaml
var sample []byte

const sampleName = "config.sample.yaml"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, os.Getenv))
}

// options are the command line.
type options struct {
	config   string
	scenario string
	json     bool
	notify   bool
	timeout  time.Duration
	color    string
}

// run is the program: it returns the exit code. The end of ctx ends it early,
// with a report of what is known by then.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) string) int {
	opts, err := parse(args, stdout, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitHealthy
	}
	if err != nil {
		return exitUnchecked // already told
	}
	code, err := routine(ctx, opts, stdout, getenv)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUnchecked
	}
	return code
}

func parse(args []string, stdout, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("morning", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.config, "config", "", "check the real systems that `FILE` describes")
	flags.StringVar(&o.scenario, "scenario", "", "check an embedded estate in which `NAME` is wrong")
	flags.BoolVar(&o.json, "json", false, "write JSON")
	flags.BoolVar(&o.notify, "notify", false, "tell the people that the configuration names of what is wrong")
	flags.DurationVar(&o.timeout, "timeout", 15*time.Second, "the longest that any request may take")
	flags.StringVar(&o.color, "color", "auto", "`WHEN` to use colour: auto, always, never")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(stdout, flags)
		return o, err
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.timeout <= 0:
		err = errors.New("-timeout must be more than 0")
	case o.color != "auto" && o.color != "always" && o.color != "never":
		err = fmt.Errorf("-color must be auto, always or never, not %q", o.color)
	}
	if err != nil {
		fmt.Fprintf(stderr, "morning: %v\nmorning -h tells how to use it\n", err)
	}
	return o, err
}

func usage(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprint(w, `Usage: morning [flags]

Asks the application and Canvas of every environment how they are. Without -config
it asks an embedded estate: nothing real.

`)
	flags.SetOutput(w)
	flags.PrintDefaults()
	fmt.Fprint(w, "\nScenarios (in production; test and beta are well):\n")
	for _, d := range estate.Scenarios() {
		fmt.Fprintf(w, "  %-21s %s\n", d.Scenario, d.Text)
	}
	fmt.Fprint(w, "\nExit codes: 0 healthy, 1 degraded, 2 down, 3 could not check (also: wrong usage or\nconfiguration). -config with -scenario rehearses that configuration on the estate.\n")
}

// routine loads, asks and writes. It returns the exit code.
func routine(ctx context.Context, o options, stdout io.Writer, getenv func(string) string) (int, error) {
	src := config.Source{Name: sampleName, Text: sample, Getenv: getenv, ReadFile: os.ReadFile}
	if o.config != "" {
		text, err := os.ReadFile(o.config)
		if err != nil {
			return 0, fmt.Errorf("morning: the configuration cannot be read: %w", err)
		}
		src.Name, src.Text = o.config, text
	}
	var client *http.Client
	if o.config == "" || o.scenario != "" {
		world, err := estate.Start(estate.Config{Scenario: estate.Scenario(o.scenario)})
		if err != nil {
			return 0, fmt.Errorf("morning: %w; morning -h lists the scenarios", err)
		}
		defer world.Close()
		client = world.Client()
		src.Getenv = func(name string) string {
			if token := world.Getenv(name); token != "" {
				return token
			}
			return getenv(name)
		}
	}
	r, err := ask(ctx, src, client, o)
	if err != nil {
		return 0, err
	}
	r.Source = src.Name
	if client != nil {
		r.Source, r.Scenario = "embedded estate", string(estate.Healthy)
		if o.scenario != "" {
			r.Scenario = o.scenario
		}
	}
	if o.json {
		err = r.writeJSON(stdout)
	} else {
		err = r.writeText(stdout, colour(o.color, stdout, getenv), width(stdout), heading(o, r), o.notify)
	}
	return r.ExitCode, err
}

// ask checks everything that a configuration names, and tells who is to be told.
// client is nil for real systems.
func ask(ctx context.Context, src config.Source, client *http.Client, o options) (*report, error) {
	s, file := load(src)
	p := makePlan(s, file, client, o.timeout)
	targets, zone := s.Alerts.targets(file, client != nil)
	if err := file.Err(); err != nil {
		return nil, err
	}
	monitor, err := health.New(health.Config{Checks: p.checks, Workers: len(p.checks), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("morning: %s: %w", src.Name, err)
	}
	began := time.Now()
	found, err := monitor.Check(ctx)
	interrupted := err != nil && ctx.Err() != nil
	if err != nil && !interrupted {
		return nil, fmt.Errorf("morning: %w", err)
	}
	took := time.Since(began)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
	defer cancel()
	_ = monitor.Stop(stopping) // ends the probes that an interrupt left

	r := makeReport(p, found)
	r.Time, r.DurationMS, r.Interrupted = began, milliseconds(took), interrupted
	r.summarize()
	if interrupted {
		return r, nil
	}
	return r, tell(ctx, r, targets, zone, o.notify)
}

// heading says what was asked, so that nobody takes a rehearsal for the truth.
func heading(o options, r *report) string {
	if r.Scenario == "" {
		return "Asked: the real systems of " + r.Source
	}
	text := "Embedded estate, no real system was asked. Scenario " + r.Scenario + ": "
	for _, d := range estate.Scenarios() {
		if string(d.Scenario) == r.Scenario {
			text += d.Text
		}
	}
	if r.Scenario != string(estate.Healthy) {
		text += " (production)"
	}
	if o.config != "" {
		text += ". Configuration: " + o.config
	}
	return text + "."
}

// colour reports whether to use colour. NO_COLOR counts when it is not empty
// (no-color.org), and -color always outranks it.
func colour(when string, w io.Writer, getenv func(string) string) bool {
	switch when {
	case "always":
		return true
	case "never":
		return false
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && getenv("NO_COLOR") == "" && !strings.EqualFold(getenv("TERM"), "dumb")
}

// width is the length of a line: the terminal's, within reason, and 100 where
// there is none.
func width(w io.Writer) int {
	const usual, least = 100, 60
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil {
			return max(min(n, 140), least)
		}
	}
	return usual
}
