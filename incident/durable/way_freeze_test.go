package durable_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// icy are runs whose process stands still at one of its calls, before the call is made.
type icy struct {
	incident.Runs
	at    int
	then  func()
	calls int
}

func (r *icy) call() {
	if r.calls++; r.calls == r.at {
		r.then()
	}
}

func (r *icy) List(ctx context.Context, q incident.RunQuery) iter.Seq2[incident.RunRecord, error] {
	r.call()
	return r.Runs.List(ctx, q)
}

func (r *icy) Record(ctx context.Context, id string, revision int64) (incident.RunRecord, error) {
	r.call()
	return r.Runs.Record(ctx, id, revision)
}

func (r *icy) Replace(ctx context.Context, all []incident.Replacement) ([]incident.RunRecord, error) {
	r.call()
	records, err := r.Runs.Replace(ctx, all)
	r.call() // its answer is late
	return records, err
}

// icyWorld is what several cases have in common: each has an environment of its own.
type icyWorld struct {
	t    *testing.T
	runs incident.Runs // of the process that stands still
	cfg  incident.RunnerConfig
	two  *incident.Runner

	mu  sync.Mutex
	did map[string]int
}

func (w *icyWorld) act(environment, name string) incident.Step {
	return incident.Step{ID: name, Title: "Do " + name, Do: incident.Action{
		Run: func(context.Context, *incident.Scope) (any, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.did[environment+"/"+name]++
			return nil, nil
		},
		Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
			return incident.Effect{Call: name}, nil
		},
	}}
}

// is waits until a run is in a state.
func (w *icyWorld) is(t *testing.T, id string, state incident.RunState) {
	t.Helper()
	require.Eventually(t, func() bool {
		run, err := w.two.Run(t.Context(), id)
		return err == nil && run.State == state
	}, 50*time.Second, 20*time.Millisecond, "%s is %s", id, state)
}

// open returns the runs of an environment that have not ended, and answers what they ask.
func (w *icyWorld) open(t *testing.T, environment string) (open int) {
	t.Helper()
	query := incident.RunQuery{Labels: map[string]string{"environment": environment}, Statuses: []incident.RunStatus{incident.RunQueued, incident.RunRunning, incident.RunStranded}}
	for run, err := range w.two.Runs(t.Context(), query) {
		require.NoError(t, err)
		open++
		if q := run.Question; q != nil {
			err := w.two.Answer(t.Context(), run.ID, q.ID, incident.Answer{Kind: incident.AnswerApprove, Actor: "kim", Plan: q.Plan})
			if err != nil && !errors.Is(err, incident.ErrStale) {
				require.NoError(t, err)
			}
		}
	}
	return open
}

// test has a process stand still that makes way, and checks that all is done once.
func (w *icyWorld) test(t *testing.T, environment string, at int, then func(t *testing.T)) {
	ctx := t.Context()
	low, urgent := environment+"-low", environment+"-urgent"
	_, err := w.two.Start(ctx, incident.Request{ID: low, Environment: environment, Playbook: "tidy", By: "jane"})
	require.NoError(t, err)
	w.is(t, low, incident.StateWaiting)
	_, err = w.two.Start(ctx, incident.Request{ID: urgent, Environment: environment, Playbook: "rescue", By: "jane"})
	require.NoError(t, err)
	stands := &icy{Runs: w.runs, at: at, then: func() { then(t) }}
	cfg := w.cfg
	cfg.Runs = stands
	ice, err := incident.NewRunner(cfg)
	require.NoError(t, err)
	_, err = ice.MakeWay(ctx, environment)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, stands.calls, at, "it did not come to stand still")
	require.Eventually(t, func() bool {
		if _, err := w.two.MakeWay(ctx, environment); err != nil {
			require.ErrorIs(t, err, incident.ErrStale)
		}
		return w.open(t, environment) == 0
	}, 50*time.Second, 20*time.Millisecond, "all runs end")
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range []string{"tidy", "rescue"} {
		assert.Equal(t, 1, w.did[environment+"/"+what], "%s was done", what)
	}
}

// Wherever a process stands still that makes way, and whatever others do meanwhile, each run
// does what it is to do, once. On PostgreSQL the others are another process.
//
// Requirement: INC-CRASH-PUT-ASIDE
func TestMakingWayWhileItStandsStill(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p place) {
		w := &icyWorld{t: t, did: make(map[string]int)}
		w.cfg = incident.RunnerConfig{Store: new(incident.MemoryStore)}
		const points = 7 // the list, three records, the exchange, its answer, and what is read after it
		var cases []string
		for at := 1; at <= points; at++ {
			for _, what := range []string{"answered", "aside", "both"} {
				name := fmt.Sprintf("%s-%d", what, at)
				cases = append(cases, name)
				ask := incident.Step{ID: "ask", Title: "May it go on?", Do: incident.Approve{Question: func(*incident.Scope) string { return "May it?" }}}
				w.cfg.Playbooks = append(w.cfg.Playbooks,
					incident.Playbook{Name: "tidy", Title: "Tidy up", Environment: name, Severity: alert.Low, Steps: []incident.Step{ask, w.act(name, "tidy")}},
					incident.Playbook{Name: "rescue", Title: "Rescue", Environment: name, Severity: alert.Critical, Steps: []incident.Step{w.act(name, "rescue")}})
			}
		}
		host := func() (*incident.Runner, incident.Runs) {
			runs, cfg := p.open(t), w.cfg
			cfg.Runs = runs
			r, err := incident.NewRunner(cfg)
			require.NoError(t, err)
			require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: r.Program()}))
			return r, runs
		}
		w.two, w.runs = host()
		if p.url != "" {
			_, w.runs = host()
		}
		for i, name := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w.test(t, name, i/3+1, func(t *testing.T) {
					if i%3 > 0 {
						_, err := w.two.MakeWay(t.Context(), name)
						assert.NoError(t, err)
					}
					if i%3 != 1 {
						w.open(t, name)
						time.Sleep(100 * time.Millisecond) // so that the answer is taken
					}
				})
			})
		}
	})
}
