package incident_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// bench is a runner in memory, in a bubble of virtual time.
type bench struct {
	*incident.Runner
	t      *testing.T
	runs   *incident.MemoryRuns
	store  *incident.MemoryStore
	mu     sync.Mutex
	events []incident.Event
}

// inBubble calls a test with a runner of playbooks, in virtual time.
func inBubble(t *testing.T, test func(b *bench), playbooks ...incident.Playbook) {
	t.Helper()
	inBubbleWith(t, incident.RunnerConfig{Playbooks: playbooks}, test)
}

func inBubbleWith(t *testing.T, cfg incident.RunnerConfig, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, runs: incident.NewMemoryRuns(incident.MemoryRunsConfig{}), store: new(incident.MemoryStore)}
		also := cfg.OnEvent
		cfg.Runs, cfg.Store, cfg.OnEvent = b.runs, b.store, func(ctx context.Context, e incident.Event) {
			b.mu.Lock()
			b.events = append(b.events, e)
			b.mu.Unlock()
			if also != nil {
				also(ctx, e)
			}
		}
		r, err := incident.NewRunner(cfg)
		require.NoError(t, err)
		b.Runner = r
		require.NoError(t, b.runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: r.Program()}))
		defer func() { require.NoError(t, b.runs.Close(context.WithoutCancel(t.Context()))) }()
		test(b)
	})
}

// start starts the only playbook of the runner and waits until nothing moves.
func (b *bench) start(q incident.Request) string {
	b.t.Helper()
	p := b.Playbooks()[0]
	q.Playbook, q.Environment = p.Name, p.Environment
	if q.By == "" && !q.Automatic {
		q.By = "jane"
	}
	run, err := b.Start(b.t.Context(), q)
	require.NoError(b.t, err)
	synctest.Wait()
	return run.ID
}

// run returns a run when nothing moves.
func (b *bench) run(id string) incident.Run {
	b.t.Helper()
	synctest.Wait()
	run, err := b.Run(b.t.Context(), id)
	require.NoError(b.t, err)
	return run
}

// answer answers the question of a run.
func (b *bench) answer(id string, a incident.Answer) {
	b.t.Helper()
	require.NoError(b.t, b.try(id, a))
}

func (b *bench) try(id string, a incident.Answer) error {
	b.t.Helper()
	q := b.run(id).Question
	require.NotNil(b.t, q, "the run asks nothing")
	if a.Actor == "" {
		a.Actor = "kim"
	}
	if a.Kind == incident.AnswerApprove && a.Plan == "" {
		a.Plan = q.Plan
	}
	defer synctest.Wait()
	return b.Answer(b.t.Context(), id, q.ID, a)
}

// said returns the texts of the events of a kind.
func (b *bench) said(kind incident.EventKind) (texts []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Kind == kind {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

// states returns the states of the steps of a run.
func states(run incident.Run) map[string]incident.StepState {
	all := make(map[string]incident.StepState)
	for _, s := range run.Steps {
		all[s.ID] = s.State
	}
	return all
}

// world is what the steps of a test act on.
type world struct {
	mu   sync.Mutex
	done []string
}

func (w *world) do(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, what)
}

func (w *world) did() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string{}, w.done...)
}

// action is a step that does something in the world.
func (w *world) action(id string, change ...func(*incident.Action, *incident.Step)) incident.Step {
	a := incident.Action{
		Run: func(_ context.Context, _ *incident.Scope) (any, error) { w.do(id); return id + " done", nil },
		Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
			return incident.Effect{Call: "would " + id}, nil
		},
		Undo: func(context.Context, *incident.Scope) (any, error) { w.do("undo " + id); return nil, nil },
	}
	s := incident.Step{ID: id, Title: "Do " + id}
	for _, c := range change {
		c(&a, &s)
	}
	s.Do = a
	return s
}

// fails makes an action fail with errors, one for each attempt, before it succeeds.
func (w *world) fails(id string, errs ...error) func(*incident.Action, *incident.Step) {
	return func(a *incident.Action, _ *incident.Step) {
		run := a.Run
		a.Run = func(ctx context.Context, s *incident.Scope) (any, error) {
			if len(errs) > 0 {
				err := errs[0]
				errs = errs[1:]
				w.do(id + " fails")
				return nil, err
			}
			return run(ctx, s)
		}
	}
}

func check(id string, output any, err error) incident.Step {
	return incident.Step{ID: id, Title: "Check " + id, OnFailure: incident.Abort, Do: incident.Check{Run: func(context.Context, *incident.Scope) (any, error) { return output, err }}}
}

func playbook(steps ...incident.Step) incident.Playbook {
	return incident.Playbook{Name: "restart", Title: "Restart the application", Environment: "production", Severity: alert.Critical, Steps: steps}
}

// Requirement: INC-FEATURE-STEPS, INC-FEATURE-KEY
func TestAPlaybookRunsToItsEnd(t *testing.T) {
	w := new(world)
	var told []incident.Message
	var keys []string
	healthy := 0
	p := playbook(
		check("look", map[string]int{"failures": 3}, nil),
		incident.Step{ID: "tell", Title: "Tell people", Do: incident.Notice{
			Message: func(s *incident.Scope) incident.Message {
				found, _ := incident.Result[map[string]int](s, "look")
				return incident.Message{Title: "Restarting", Text: fmt.Sprintf("%d checks failed", found["failures"])}
			},
			Send: func(_ context.Context, _ *incident.Scope, m incident.Message) error {
				told = append(told, m)
				return nil
			},
		}},
		incident.Step{ID: "ask", Title: "May it be restarted?", Do: incident.Approve{Question: func(*incident.Scope) string { return "It is down." }}},
		w.action("restart", func(a *incident.Action, _ *incident.Step) {
			run := a.Run
			a.Run = func(ctx context.Context, s *incident.Scope) (any, error) {
				keys = append(keys, s.Key)
				return run(ctx, s)
			}
		}),
		incident.Step{ID: "settle", Title: "Let it settle", Do: incident.Sleep{For: time.Minute}},
		incident.Step{ID: "up", Title: "Wait until it is up", Do: incident.Wait{Within: 10 * time.Minute, Until: func(context.Context, *incident.Scope) (any, bool, error) {
			healthy++
			return nil, healthy > 3, nil
		}}},
		incident.Step{ID: "verify", Title: "See that it stays up", Do: incident.Verify{Times: 3, Run: func(context.Context, *incident.Scope) (any, error) { return nil, nil }}},
		incident.Step{ID: "tidy", Title: "Tidy up", Do: incident.Manual{Why: "nobody has an API for it", Instruction: func(*incident.Scope) string { return "Tidy up." }}},
	)
	inBubble(t, func(b *bench) {
		began := time.Now()
		id := b.start(incident.Request{})
		run := b.run(id)
		assert.Equal(t, incident.StateWaiting, run.State)
		assert.Equal(t, "needs a person: May it be restarted? (within 30m0s)", run.Text)
		require.ErrorIs(t, b.try(id, incident.Answer{Kind: incident.AnswerApprove, Actor: "jane"}), incident.ErrNotPermitted)
		b.answer(id, incident.Answer{Kind: incident.AnswerApprove})
		time.Sleep(5 * time.Minute)
		run = b.run(id)
		assert.Equal(t, "needs a person: To do: Tidy up", run.Text)
		assert.Equal(t, "Tidy up.\n\nWhy a person does this: nobody has an API for it", run.Question.Text)
		b.answer(id, incident.Answer{Kind: incident.AnswerDone, Comment: "tidied"})
		run = b.run(id)
		assert.Equal(t, incident.StateSucceeded, run.State, run.Text)
		for _, s := range run.Steps {
			assert.Equal(t, incident.StepDone, s.State, s.ID)
		}
		assert.Equal(t, []string{"restart"}, w.did())
		assert.Equal(t, []incident.Message{{Title: "Restarting", Text: "3 checks failed"}}, told)
		assert.Equal(t, []string{id + "/restart"}, keys)
		assert.Equal(t, 4, run.Step("up").Tries)
		assert.Equal(t, 3, run.Step("verify").Tries)
		assert.Equal(t, began.Add(time.Minute+3*15*time.Second+2*15*time.Second).UTC(), run.Step("verify").Ended.UTC())
	}, p)
}

// Requirement: INC-FEATURE-FAILURE, INC-ASK-SUSPEND, INC-FEATURE-UNDO
func TestWhatHappensAfterAFailure(t *testing.T) {
	broken := errors.New("it is broken")
	lost := fmt.Errorf("restart: %w", incident.ErrOutcomeUnknown)
	for name, c := range map[string]struct {
		onFailure incident.Failure
		err       error
		answer    incident.Answer
		state     incident.RunState
		step      incident.StepState
		did       []string
	}{
		"pause is the default, and retry": {err: broken, answer: incident.Answer{Kind: "retry"}, state: incident.StateSucceeded, step: incident.StepDone, did: []string{"first", "act fails", "act", "last"}},
		"skip":                            {err: broken, answer: incident.Answer{Kind: "skip", Comment: "not needed"}, state: incident.StateSucceeded, step: incident.StepSkipped, did: []string{"first", "act fails", "last"}},
		"done by hand":                    {err: broken, answer: incident.Answer{Kind: "done"}, state: incident.StateSucceeded, step: incident.StepDone, did: []string{"first", "act fails", "last"}},
		"undo":                            {err: broken, answer: incident.Answer{Kind: "undo", Comment: "no use"}, state: incident.StateUndone, step: incident.StepFailed, did: []string{"first", "act fails", "undo first"}},
		"abort by a person":               {err: broken, answer: incident.Answer{Kind: "abort", Comment: "enough"}, state: incident.StateFailed, step: incident.StepFailed, did: []string{"first", "act fails"}},
		"back":                            {err: broken, answer: incident.Answer{Kind: "back", To: "first", Comment: "again"}, state: incident.StateSucceeded, step: incident.StepDone, did: []string{"first", "act fails", "first", "act", "last"}},
		"abort":                           {onFailure: incident.Abort, err: broken, state: incident.StateFailed, step: incident.StepFailed, did: []string{"first", "act fails"}},
		"undo by itself":                  {onFailure: incident.UndoAll, err: broken, state: incident.StateUndone, step: incident.StepFailed, did: []string{"first", "act fails", "undo first"}},
		"go on":                           {onFailure: incident.GoOn, err: broken, state: incident.StateSucceeded, step: incident.StepFailed, did: []string{"first", "act fails", "last"}},
		"go to":                           {onFailure: incident.GoTo("last"), err: broken, state: incident.StateSucceeded, step: incident.StepFailed, did: []string{"first", "act fails", "last"}},
		"unknown asks in any case":        {onFailure: incident.GoOn, err: lost, answer: incident.Answer{Kind: "abort", Comment: "look"}, state: incident.StateFailed, step: incident.StepUnknown, did: []string{"first", "act fails"}},
		"unknown is undone too":           {err: lost, answer: incident.Answer{Kind: "undo", Comment: "look"}, state: incident.StateUndone, step: incident.StepUndone, did: []string{"first", "act fails", "undo act", "undo first"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := new(world)
			act := w.action("act", w.fails("act", c.err), func(_ *incident.Action, s *incident.Step) { s.OnFailure = c.onFailure })
			inBubble(t, func(b *bench) {
				id := b.start(incident.Request{})
				if c.answer.Kind != "" {
					assert.Equal(t, incident.StateWaiting, b.run(id).State)
					b.answer(id, c.answer)
				}
				run := b.run(id)
				assert.Equal(t, c.state, run.State, run.Text)
				assert.Equal(t, c.step, run.Step("act").State)
				assert.Equal(t, c.did, w.did())
			}, playbook(w.action("first"), act, w.action("last")))
		})
	}
}
