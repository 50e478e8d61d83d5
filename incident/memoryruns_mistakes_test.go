package incident_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// A runsMistake is a way of getting an engine wrong, and the case that must notice.
type runsMistake struct {
	notices string
	// runs changes the methods of what keeps the runs, engine those of what a program is
	// given. Nil changes nothing.
	runs   func(w *wrongRuns)
	engine func(w *wrongEngine)
	// change changes what survives a process, hasty stops without waiting, zombies lets
	// processes go on that were abandoned.
	change         func(r *incident.RunRecord)
	hasty, zombies bool
}

func (m runsMistake) wrap(runs incident.Runs) incident.Runs {
	w := &wrongRuns{Runs: runs}
	if m.runs != nil {
		m.runs(w)
	}
	return w
}

func (m runsMistake) programs(programs map[string]incident.Program) map[string]incident.Program {
	wrong := make(map[string]incident.Program)
	for name, p := range programs {
		wrong[name] = func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
			w := &wrongEngine{Engine: e, late: time.Since(run.At)}
			if m.engine != nil {
				m.engine(w)
			}
			return p(ctx, w, run)
		}
	}
	return wrong
}

// wrongRuns are right where nothing else is said.
type wrongRuns struct {
	incident.Runs
	start  func(ctx context.Context, run incident.RunStart) (incident.RunRecord, error)
	list   func(ctx context.Context, q incident.RunQuery) iter.Seq2[incident.RunRecord, error]
	record func(ctx context.Context, id string, revision int64) (incident.RunRecord, error)
	signal func(ctx context.Context, id, topic string, s incident.Signal) error
	hold   func(ctx context.Context, id string, c incident.Control) error
	cancel func(ctx context.Context, id string, c incident.Control) error
	fork   func(ctx context.Context, id string, from incident.StepID, f incident.RunFork) (incident.RunRecord, error)

	replace func(ctx context.Context, runs []incident.Replacement) ([]incident.RunRecord, error)
}

func (w *wrongRuns) Start(ctx context.Context, run incident.RunStart) (incident.RunRecord, error) {
	if w.start == nil {
		return w.Runs.Start(ctx, run)
	}
	return w.start(ctx, run)
}

func (w *wrongRuns) List(ctx context.Context, q incident.RunQuery) iter.Seq2[incident.RunRecord, error] {
	if w.list == nil {
		return w.Runs.List(ctx, q)
	}
	return w.list(ctx, q)
}

func (w *wrongRuns) Record(ctx context.Context, id string, revision int64) (incident.RunRecord, error) {
	if w.record == nil {
		return w.Runs.Record(ctx, id, revision)
	}
	return w.record(ctx, id, revision)
}

func (w *wrongRuns) Signal(ctx context.Context, id, topic string, s incident.Signal) error {
	if w.signal == nil {
		return w.Runs.Signal(ctx, id, topic, s)
	}
	return w.signal(ctx, id, topic, s)
}

func (w *wrongRuns) Hold(ctx context.Context, id string, c incident.Control) error {
	if w.hold == nil {
		return w.Runs.Hold(ctx, id, c)
	}
	return w.hold(ctx, id, c)
}

func (w *wrongRuns) Cancel(ctx context.Context, id string, c incident.Control) error {
	if w.cancel == nil {
		return w.Runs.Cancel(ctx, id, c)
	}
	return w.cancel(ctx, id, c)
}

func (w *wrongRuns) Fork(ctx context.Context, id string, from incident.StepID, f incident.RunFork) (incident.RunRecord, error) {
	if w.fork == nil {
		return w.Runs.Fork(ctx, id, from, f)
	}
	return w.fork(ctx, id, from, f)
}

func (w *wrongRuns) Replace(ctx context.Context, runs []incident.Replacement) ([]incident.RunRecord, error) {
	if w.replace == nil {
		return w.Runs.Replace(ctx, runs)
	}
	return w.replace(ctx, runs)
}

// A wrongEngine is right where nothing else is said.
type wrongEngine struct {
	incident.Engine
	steps func(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error)
	sleep func(ctx context.Context, id incident.StepID, until time.Time) error
	await func(ctx context.Context, id incident.StepID, topic string, deadline time.Time) (incident.Signal, error)
	// late is how long after the run was started its program begins.
	late time.Duration
}

func (w *wrongEngine) Steps(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
	if w.steps == nil {
		return w.Engine.Steps(ctx, calls)
	}
	return w.steps(ctx, calls)
}

func (w *wrongEngine) Sleep(ctx context.Context, id incident.StepID, until time.Time) error {
	if w.sleep == nil {
		return w.Engine.Sleep(ctx, id, until)
	}
	return w.sleep(ctx, id, until)
}

func (w *wrongEngine) Await(ctx context.Context, id incident.StepID, topic string, deadline time.Time) (incident.Signal, error) {
	if w.await == nil {
		return w.Engine.Await(ctx, id, topic, deadline)
	}
	return w.await(ctx, id, topic, deadline)
}

// callMistake changes each call.
func callMistake(notices string, change func(c *incident.Call)) runsMistake {
	return runsMistake{notices: notices, engine: func(w *wrongEngine) {
		w.steps = func(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
			calls = slices.Clone(calls)
			for i := range calls {
				change(&calls[i])
			}
			return w.Engine.Steps(ctx, calls)
		}
	}}
}

// startMistake changes what is started.
func startMistake(notices string, change func(r *incident.RunStart)) runsMistake {
	return runsMistake{notices: notices, runs: func(w *wrongRuns) {
		w.start = func(ctx context.Context, run incident.RunStart) (incident.RunRecord, error) {
			change(&run)
			return w.Runs.Start(ctx, run)
		}
	}}
}

// listMistake changes what is asked for, and what is found.
func listMistake(notices string, ask func(q *incident.RunQuery), found func(list []incident.RunRecord)) runsMistake {
	return runsMistake{notices: notices, runs: func(w *wrongRuns) {
		w.list = func(ctx context.Context, q incident.RunQuery) iter.Seq2[incident.RunRecord, error] {
			q.Labels = maps.Clone(q.Labels)
			return func(yield func(incident.RunRecord, error) bool) {
				if ask != nil {
					ask(&q)
				}
				var list []incident.RunRecord
				for r, err := range w.Runs.List(ctx, q) {
					if err != nil {
						yield(r, err)
						return
					}
					list = append(list, r)
				}
				if found != nil {
					found(list)
				}
				for _, r := range list {
					if !yield(r, nil) {
						return
					}
				}
			}
		}
	}}
}

// forkMistake changes from where is forked, and what. There may be no next.
func forkMistake(notices string, change func(r incident.RunRecord, from *incident.StepID, f *incident.RunFork)) runsMistake {
	return runsMistake{notices: notices, runs: func(w *wrongRuns) {
		w.fork = func(ctx context.Context, id string, from incident.StepID, f incident.RunFork) (incident.RunRecord, error) {
			if r, err := w.Runs.Record(ctx, id, -1); err == nil && len(r.Entries) > 0 {
				change(r, &from, &f)
			}
			return w.Runs.Fork(ctx, id, from, f)
		}
	}}
}

// errorMistake says another error instead of one.
func errorMistake(notices string, is, says error) runsMistake {
	instead := func(err error) error {
		if errors.Is(err, is) {
			return says
		}
		return err
	}
	return runsMistake{notices: notices, runs: func(w *wrongRuns) {
		w.start = func(ctx context.Context, run incident.RunStart) (incident.RunRecord, error) {
			r, err := w.Runs.Start(ctx, run)
			return r, instead(err)
		}
		w.signal = func(ctx context.Context, id, topic string, s incident.Signal) error {
			return instead(w.Runs.Signal(ctx, id, topic, s))
		}
		w.hold = func(ctx context.Context, id string, c incident.Control) error {
			return instead(w.Runs.Hold(ctx, id, c))
		}
		w.cancel = func(ctx context.Context, id string, c incident.Control) error {
			return instead(w.Runs.Cancel(ctx, id, c))
		}
		w.fork = func(ctx context.Context, id string, from incident.StepID, f incident.RunFork) (incident.RunRecord, error) {
			r, err := w.Runs.Fork(ctx, id, from, f)
			return r, instead(err)
		}
	}}
}

// TestRunsSuiteNotices runs cases on engines that are wrong, each in a process of its
// own, which must fail.
func TestRunsSuiteNotices(t *testing.T) {
	if name := os.Getenv("RUNS_MISTAKE"); name != "" {
		incidenttest.TestRuns(t, survivorHarness(runsMistakes()[name]))
		return
	}
	for name, m := range runsMistakes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test := strings.ReplaceAll(m.notices, " ", "_")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.v", fmt.Sprintf("-test.run=^TestRunsSuiteNotices$/^%s$", regexp.QuoteMeta(test)))
			cmd.Env = append(os.Environ(), "RUNS_MISTAKE="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the suite accepts it")
			assert.Contains(t, string(out), "--- FAIL: TestRunsSuiteNotices/"+test+" (")
		})
	}
}
