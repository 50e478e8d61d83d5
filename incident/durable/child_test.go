package durable_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
)

// childVariable makes this binary a program that carries out runs, and is killed.
const childVariable = "RUNBOOK_DURABLE_CHILD"

// A task is what a child does.
type task struct {
	File, URL string        // where the runs are
	Effects   string        // the file of what was done
	Point     string        // where it kills itself: "after-intent", "after-effect", "after-result", ...
	PointRun  string        // in which run
	Start     []string      // the runs that it starts
	Steps     int           // how many each has
	Slow      time.Duration // how long each call takes
	HungAfter time.Duration
	Crashes   int
	SizeLimit uint64          // of files, in bytes
	Changed   bool            // its program makes other calls
	Repeat    incident.Repeat // of the action of its playbook
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		var t task
		err := json.Unmarshal([]byte(text), &t)
		if err == nil {
			err = t.run(context.Background())
		}
		if err != nil {
			fmt.Println("panic:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// run carries out runs until its standard input is closed, and says what it does in lines
// on its standard output.
func (t task) run(ctx context.Context) error {
	if t.SizeLimit != 0 {
		limit := syscall.Rlimit{Cur: t.SizeLimit, Max: t.SizeLimit}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
	}
	cfg := durable.Config{Host: "child", HungAfter: t.HungAfter, MaxCrashes: t.Crashes, DeadAfter: 500 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	var err error
	if t.URL != "" {
		cfg.URL = runbook.NewSecret(t.URL)
	} else if cfg.DB, err = sqlitefile.Open(ctx, t.File); err != nil {
		return err
	}
	runs, err := durable.Open(ctx, cfg)
	if err != nil {
		return err
	}
	p := &killed{task: t, runs: runs}
	runner, escalations, err := p.hosts(nil)
	if err != nil {
		return err
	}
	if err := runs.Launch(ctx, map[string]incident.Program{
		"work": p.work, "poison": p.poison, "ask": p.ask,
		incident.PlaybookProgram: runner.Program(), incident.EscalationProgram: escalations.Program(),
	}); err != nil {
		return err
	}
	for _, id := range t.Start {
		if err := p.begins(ctx, id, runner, escalations); err != nil {
			return err
		}
	}
	fmt.Println("ready", runs.Process())
	if _, err := io.Copy(io.Discard, bufio.NewReader(os.Stdin)); err != nil {
		return err
	}
	closing, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return runs.Close(closing)
}

// killed is the program of the child.
type killed struct {
	task
	runs *durable.Runs
}

// begins starts a run.
func (k *killed) begins(ctx context.Context, id string, runner *incident.Runner, escalations *incident.Escalations) error {
	switch {
	case strings.HasPrefix(id, "playbook"):
		_, err := runner.Start(ctx, incident.Request{ID: id, Environment: "production", Playbook: "restart", By: "ada"})
		return err
	case strings.HasPrefix(id, "escalation"):
		_, err := escalations.Begin(ctx, outage())
		return err
	}
	if _, err := k.runs.Start(ctx, k.start(id)); err != nil {
		return err
	}
	for range 2 { // an approval that is sent twice counts once
		for _, s := range []string{"first", "second"} {
			if err := k.runs.Signal(ctx, id, "go", incident.Signal{ID: s}); err != nil && !errors.Is(err, incident.ErrStale) {
				return err
			}
		}
	}
	return nil
}

// start is a run; the digit at the end of its name is its environment.
func (k *killed) start(id string) incident.RunStart {
	program, _, _ := strings.Cut(id, "-")
	run := incident.RunStart{ID: id, Program: program, Lock: lockOf(id), By: "test"}
	run.Input, _ = json.Marshal(k.Steps)
	return run
}

func lockOf(id string) string {
	if i := strings.LastIndex(id, "-in-"); i >= 0 {
		return id[i+4:]
	}
	return ""
}

// work makes calls of every kind.
func (k *killed) work(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
	var steps int
	if err := json.Unmarshal(run.Input, &steps); err != nil {
		return nil, err
	}
	var signals []string
	for i := range steps {
		id := incident.StepID(fmt.Sprintf("%03d", i))
		var err error
		switch {
		case i == 3 || i == 7:
			var s incident.Signal
			s, err = e.Await(ctx, id, "go", time.Time{})
			signals = append(signals, s.ID)
		case i%10 == 9:
			_, err = e.Steps(ctx, []incident.Call{k.call(run.ID, id+"a", true), k.call(run.ID, id+"b", false), k.call(run.ID, id+"c", true)})
		case i%10 == 5:
			var out []incident.Outcome
			if out, err = e.Steps(ctx, []incident.Call{k.call(run.ID, id, false)}); err == nil {
				err = e.Sleep(ctx, id+"/sleep", out[0].Ended.Add(5*time.Millisecond))
			}
		default:
			_, err = e.Steps(ctx, []incident.Call{k.call(run.ID, id, i%2 == 0)})
		}
		if err != nil {
			return nil, err
		}
		if k.Point == "after-result" && k.PointRun == run.ID && i == 4 {
			die()
		}
		if k.Changed && i == 4 {
			if _, err := e.Steps(ctx, []incident.Call{k.call(run.ID, "inserted", false)}); err != nil {
				return nil, err
			}
		}
	}
	return json.Marshal(signals)
}

// die is a crash.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// call is one that leaves a trace, and that looks before it acts again.
func (k *killed) call(run string, id incident.StepID, intent bool) incident.Call {
	return incident.Call{ID: id, Intent: intent, Do: func(ctx context.Context, interrupted []incident.Attempt) incident.Outcome {
		at := k.Point != "" && k.PointRun == run && id == "004"
		if at && k.Point == "after-intent" {
			die()
		}
		if len(interrupted) > 0 && k.did(run, id) {
			return incident.Outcome{Status: incident.Done, Message: "it was done already"}
		}
		k.effect(run, id, len(interrupted))
		if at && k.Point == "after-effect" {
			die()
		}
		select {
		case <-time.After(k.Slow):
		case <-ctx.Done():
			k.effect(run, id+"/cancelled", 0)
		}
		return incident.Outcome{Status: incident.Done}
	}}
}

// effect is what a call does to the world: one line, at once.
func (k *killed) effect(run string, id incident.StepID, interrupted int) {
	f, err := os.OpenFile(k.Effects, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = fmt.Fprintf(f, "%s %s %d %d\n", run, id, interrupted, os.Getpid())
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		fmt.Println("panic:", err)
		os.Exit(1)
	}
}

func (k *killed) did(run string, id incident.StepID) bool {
	return slices.ContainsFunc(effects(k.Effects), func(e effect) bool { return e.run == run && e.step == string(id) })
}

// poison kills its process.
func (k *killed) poison(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
	_, err := e.Steps(ctx, []incident.Call{{ID: "poison", Intent: true, Do: func(context.Context, []incident.Attempt) incident.Outcome {
		die()
		return incident.Outcome{}
	}}})
	return nil, err
}

// ask waits for a person, or until a time.
func (k *killed) ask(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
	s, err := e.Await(ctx, "ask", "approval", run.At.Add(time.Hour))
	if err != nil {
		return nil, err
	}
	return json.Marshal(s.Kind)
}

// An effect is a line of the file of effects.
type effect struct {
	run, step   string
	interrupted int
	pid         int
}

func effects(file string) (list []effect) {
	text, _ := os.ReadFile(file) // there may be none yet
	for line := range strings.Lines(string(text)) {
		var e effect
		if n, _ := fmt.Sscan(line, &e.run, &e.step, &e.interrupted, &e.pid); n == 4 {
			list = append(list, e)
		}
	}
	return list
}
