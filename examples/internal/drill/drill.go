// Package drill is a game day: an estate in memory in which things go wrong, and a host of the SDK
// that has to notice, tell people, and put them right with nothing but what it can see.
//
// A scenario is data: what goes wrong and when, what people do, and an oracle, which was
// written from the runbook before any playbook was run against it. See README.md of
// examples/drill.
package drill

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Exit codes.
const (
	exitKept   = 0
	exitBroken = 1
	exitUsage  = 3
)

// Main runs the drill with the arguments of a command line, and returns the exit code: 0 each
// oracle was kept, 1 one was not, 3 wrong usage. A drill in virtual time ends the process with
// it instead of returning, since the bubble it is in ends with its process.
func Main(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitKept
	case err != nil:
		fmt.Fprintln(stderr, err)
		return exitUsage
	case o.list:
		if err := writeList(stdout, scenarios()); err != nil {
			return exitUsage
		}
		return exitKept
	case o.realtime:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second signal ends the program at once
		return drill(o, stdout, stderr, atOnce(ctx))
	}
	// A bubble of virtual time needs a test to be in.
	os.Args = os.Args[:1]
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "drill", F: func(t *testing.T) {
		os.Exit(drill(o, stdout, stderr, inBubble(t)))
	}}}, nil, nil)
	return exitUsage // never reached: the test ends the process
}

// options are the command line.
type options struct {
	scenarios []scenario
	seed      uint64
	json      bool
	html      string
	list      bool
	realtime  bool
	verbose   bool
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (options, error) {
	flags := flag.NewFlagSet("drill", flag.ContinueOnError)
	flags.SetOutput(stderr)
	o := options{}
	names := flags.String("scenario", "", "the scenarios to run, separated by commas, or with -pairs which of the pairs: pair-007; empty means all")
	count := flags.Int("pairs", 0, "draw so many random pairs of faults, run them instead, and look only for what is forbidden in any case")
	flags.Uint64Var(&o.seed, "seed", 1, "varies cause, order and timing; the same seed gives the same exercise")
	flags.BoolVar(&o.json, "json", false, "write JSON instead of the table")
	flags.StringVar(&o.html, "html", "", "write a report with timelines to this `file`")
	flags.BoolVar(&o.list, "list", false, "list the scenarios and end")
	flags.BoolVar(&o.realtime, "realtime", false, "run at the speed of the clock on the wall, and tell what happens; takes as long as it takes")
	flags.BoolVar(&o.verbose, "v", false, "write down all that happened, on standard error")
	flags.Usage = func() {
		fmt.Fprint(stderr, "Drill runs the runbook against an estate in memory in which things go wrong.\n\n"+
			"Exit status: 0 each oracle was kept, 1 one was not, 3 wrong usage.\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("drill: unexpected argument %q; see -h", flags.Arg(0))
	case *count < 0:
		err = errors.New("drill: -pairs must not be negative")
	case *count > 0:
		o.scenarios, err = choose(pairs(*count, o.seed, kinds()), *names)
	default:
		o.scenarios, err = choose(scenarios(), *names)
	}
	if err == nil && o.realtime && len(o.scenarios) != 1 {
		err = errors.New("drill: -realtime takes hours for all scenarios: choose one with -scenario")
	}
	return o, err
}

// choose returns those of all with the names; all if there are none. A pair may be named
// without its faults, by its number alone.
func choose(all []scenario, names string) ([]scenario, error) {
	if names == "" {
		return all, nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(names, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(all, func(s scenario) bool { return s.Name == name || s.Pair && s.number() == name })
		switch {
		case i < 0 && all[0].Pair:
			return nil, fmt.Errorf("drill: there is no pair %q: the %d that are drawn are %s to %s", name, len(all), all[0].number(), all[len(all)-1].number())
		case i < 0:
			return nil, fmt.Errorf("drill: there is no scenario %q; -list shows those there are", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// drill runs the scenarios and writes what came of them. It returns the exit code.
func drill(o options, stdout, stderr io.Writer, run func(scenario, uint64, func(string)) *history) int {
	began := time.Now()
	results := make([]result, len(o.scenarios))
	together := runtime.GOMAXPROCS(0)
	follow := func(string) {}
	if o.realtime || o.verbose { // what is followed is read as it comes
		together, follow = 1, func(line string) { fmt.Fprintln(stderr, line) }
	}
	var all sync.WaitGroup
	next := make(chan int)
	for range together {
		all.Go(func() {
			for i := range next {
				s, start := o.scenarios[i], time.Now()
				follow(s.Name + ": " + s.Title)
				h := run(s, o.seed, follow)
				for _, line := range h.transcript() {
					follow(line)
				}
				results[i] = result{Name: s.Name, Title: s.Title, Seed: o.seed, History: h, Findings: judge(s, h), Took: time.Since(start)}
			}
		})
	}
	for i := range o.scenarios {
		next <- i
	}
	close(next)
	all.Wait()
	write := writeTable
	if o.json {
		write = writeJSON
	}
	if err := write(stdout, results); err != nil {
		fmt.Fprintln(stderr, "drill:", err)
		return exitUsage
	}
	if o.html != "" {
		if err := writeFile(o.html, results, o.seed, time.Since(began)); err != nil {
			fmt.Fprintln(stderr, "drill: the report could not be written:", err)
			return exitUsage
		}
		fmt.Fprintln(stderr, "The report is in", o.html)
	}
	if !o.json {
		fmt.Fprintf(stderr, "It took %s.\n", time.Since(began).Round(100*time.Millisecond))
	}
	if len(broken(results)) > 0 {
		return exitBroken
	}
	return exitKept
}

// writeFile writes the report to a file.
func writeFile(name string, results []result, seed uint64, took time.Duration) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	return errors.Join(writeHTML(w, results, seed, took), w.Flush(), f.Close())
}
