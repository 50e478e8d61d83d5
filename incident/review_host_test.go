package incident_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// What the host's own funcs do wrong neither ends the process nor makes an action
// unknown.
func TestFuncsOfTheHostMayPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(world)
		p := playbook(w.action("a", func(a *incident.Action, _ *incident.Step) {
			a.Repeat, a.Done = incident.CheckFirst, func(context.Context, *incident.Scope) (any, bool, error) { panic("done") }
		}), incident.Step{ID: "long", Title: "Long", Phase: "one", Do: incident.Check{Run: func(context.Context, *incident.Scope) (any, error) { time.Sleep(20 * time.Second); return nil, nil }}})
		p.Steps[0].OnFailure = incident.GoOn
		p.Phases = []incident.Phase{{Name: "one", Budget: time.Second}}
		runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
		r, err := incident.NewRunner(incident.RunnerConfig{
			Playbooks: []incident.Playbook{p}, Runs: runs, Store: new(incident.MemoryStore), OnEvent: func(context.Context, incident.Event) { panic("told") },
			Permit: func(context.Context, incident.AutomaticAction) error { panic("permit") },
		})
		require.NoError(t, err)
		require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: r.Program()}))
		run, err := r.Start(t.Context(), incident.Request{Playbook: p.Name, Environment: p.Environment, By: "jane"})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		run, err = r.Run(t.Context(), run.ID)
		require.NoError(t, err)
		assert.Equal(t, incident.StateSucceeded, run.State, run.Text)
		assert.Equal(t, incident.StepFailed, run.Step("a").State, "nothing was begun, and that is known")
		assert.Equal(t, "whether it was done already could not be read: the playbook panicked: done", run.Step("a").Message)
		run, err = r.Start(t.Context(), incident.Request{Playbook: p.Name, Environment: p.Environment, Automatic: true})
		require.NoError(t, err)
		synctest.Wait()
		run, err = r.Run(t.Context(), run.ID)
		require.NoError(t, err)
		assert.Equal(t, "needs a person: Do a: automatic actions are not allowed now", run.Text)
		require.NoError(t, runs.Close(t.Context()))
	})
}

// broken is a store that fails as long as somebody says so.
type broken struct {
	incident.Store
	mu   sync.Mutex
	down bool
}

func (s *broken) set(down bool) { s.mu.Lock(); defer s.mu.Unlock(); s.down = down }

func (s *broken) Commit(ctx context.Context, c incident.Change) (incident.Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return incident.Change{}, errors.New("the store is down")
	}
	return s.Store.Commit(ctx, c)
}

// The store is away at the moment in which people are asked: the run asks all the same,
// and their vote counts when the store is back.
func TestAStoreThatIsAwayDoesNotEndARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, store, runs := new(world), &broken{Store: new(incident.MemoryStore)}, incident.NewMemoryRuns(incident.MemoryRunsConfig{})
		p := playbook(incident.Step{ID: "sleep", Title: "Sleep", Do: incident.Sleep{For: time.Minute}}, gate(), w.action("act"))
		r, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{p}, Runs: runs, Store: store})
		require.NoError(t, err)
		require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: r.Program()}))
		run, err := r.Start(t.Context(), incident.Request{Playbook: p.Name, Environment: p.Environment, By: "jane", Incident: "INC-1"})
		require.NoError(t, err)
		store.set(true)
		time.Sleep(2 * time.Minute)
		run, err = r.Run(t.Context(), run.ID)
		require.NoError(t, err)
		require.Equal(t, incident.StateWaiting, run.State, run.Text)
		approve := incident.Answer{Kind: "approve", Actor: "kim"}
		require.ErrorContains(t, r.Answer(t.Context(), run.ID, run.Question.ID, approve), "the store is down")
		store.set(false)
		require.NoError(t, r.Answer(t.Context(), run.ID, run.Question.ID, approve))
		synctest.Wait()
		assert.Equal(t, []string{"act"}, w.did())
		open, err := r.Approvals(t.Context())
		require.NoError(t, err)
		assert.Empty(t, open)
		require.NoError(t, runs.Close(t.Context()))
	})
}

func TestAQuestionOfARunThatHasEndedIsNotListed(t *testing.T) {
	w := new(world)
	open := func(b *bench) int {
		all, err := b.Approvals(b.t.Context())
		require.NoError(t, err)
		return len(all)
	}
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		require.Equal(t, 1, open(b))
		require.NoError(t, b.Cancel(b.t.Context(), id, "kim", "wrong one"))
		assert.Zero(t, open(b))
		id = b.start(incident.Request{})
		require.NoError(t, b.runs.Cancel(b.t.Context(), id, incident.Control{By: "x"})) // by something else
		require.Equal(t, 1, open(b))
		require.NoError(t, b.Reconcile(b.t.Context()))
		assert.Zero(t, open(b))
	}, playbook(gate(), w.action("act")))
}

// Requirement: INC-ASK-DENIED-ON-EXPIRY
func TestAnAnswerThatIsTooLateIsRefused(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		require.NoError(t, b.runs.Close(b.t.Context())) // so that nobody carries it out
		q := b.run(id).Question
		time.Sleep(31 * time.Minute)
		err := b.Answer(b.t.Context(), id, q.ID, incident.Answer{Kind: "approve", Actor: "kim"})
		require.ErrorIs(t, err, incident.ErrStale)
		require.ErrorContains(t, err, "the time to answer was over at 2000-01-01 00:30:00")
		assert.Empty(t, w.did())
	}, playbook(gate(), w.action("act")))
}

func TestASuggestionIsNeitherAnsweredTwiceNorStartedLongAfter(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		ctx := b.t.Context()
		q := incident.Request{Playbook: "restart", Environment: "production", By: "jane"}
		for _, wrong := range []int{-1, 21} {
			_, err := b.Suggest(ctx, q, wrong, 0)
			require.Error(t, err)
		}
		a, err := b.Suggest(ctx, q, 2, 0)
		require.NoError(t, err)
		_, err = b.AnswerSuggestion(ctx, a.ID, incident.Answer{Kind: "approve", Actor: "Jane", Plan: a.Question.Plan})
		require.ErrorIs(t, err, incident.ErrNotPermitted)
		_, err = b.AnswerSuggestion(ctx, a.ID, incident.Answer{Kind: "approve", Actor: "kim", Plan: a.Question.Plan})
		require.NoError(t, err)
		_, err = b.AnswerSuggestion(ctx, a.ID, incident.Answer{Kind: "deny", Actor: "kim", Comment: "I changed my mind"})
		require.ErrorIs(t, err, incident.ErrStale, "and it is not dropped without a word")
		same, err := b.AnswerSuggestion(ctx, a.ID, incident.Answer{Kind: "approve", Actor: "KIM", Plan: a.Question.Plan})
		require.NoError(t, err)
		assert.Equal(t, "open", same.Status)

		// It cannot be started when it is approved, since another run refuses it.
		other := b.start(incident.Request{})
		q.Refuse, q.ID = true, "refused"
		a, err = b.Suggest(ctx, q, 1, 0)
		require.NoError(t, err)
		_, err = b.AnswerSuggestion(ctx, a.ID, incident.Answer{Kind: "approve", Actor: "kim", Plan: a.Question.Plan})
		require.ErrorIs(t, err, incident.ErrBusy)
		require.ErrorIs(t, b.Reconcile(ctx), incident.ErrBusy)
		time.Sleep(2 * time.Hour)
		require.NoError(t, b.Reconcile(ctx))
		require.NoError(t, b.Cancel(ctx, other, "kim", "enough"))
		require.NoError(t, b.Reconcile(ctx))
		_, err = b.Run(ctx, "refused")
		require.ErrorIs(t, err, incident.ErrNotFound, "hours later nobody expects it any more")
	}, playbook(incident.Step{ID: "hand", Title: "By hand", Do: incident.Manual{Why: "w", Instruction: func(*incident.Scope) string { return "i" }}}, w.action("act")))
}

// Requirement: INC-FEATURE-RESUME
func TestAForkNeitherTakesWhatWasTakenBackForDoneNorUsesAnApprovalTwice(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		assert.Equal(t, incident.StateUndone, b.run(id).State)
		_, err := b.Fork(b.t.Context(), id, "b", "kim", "again")
		require.ErrorIs(t, err, incident.ErrStale)
		require.ErrorContains(t, err, "step a was taken back since")
		fork, err := b.Fork(b.t.Context(), id, "a", "kim", "again")
		require.NoError(t, err)
		assert.Equal(t, incident.StateSucceeded, b.run(fork.ID).State)
	}, playbook(w.action("a"), w.action("b", w.fails("b", errors.New("no")), onFailure(incident.UndoAll))))
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		b.answer(id, incident.Answer{Kind: "approve"})
		assert.Equal(t, incident.StateFailed, b.run(id).State)
		_, err := b.Fork(b.t.Context(), id, "c", "jane", "again")
		require.ErrorIs(t, err, incident.ErrNotPermitted)
		fork, err := b.Fork(b.t.Context(), id, "d", "jane", "what failed only")
		require.NoError(t, err)
		assert.Equal(t, incident.StateSucceeded, b.run(fork.ID).State)
		fork, err = b.Fork(b.t.Context(), id, "gate", "jane", "all of it")
		require.NoError(t, err)
		assert.Equal(t, incident.StateWaiting, b.run(fork.ID).State)
	}, playbook(gate(), w.action("c"), w.action("d", w.fails("d", errors.New("no")), onFailure(incident.Abort))))
}

// A run that went back to a step goes on from where it came to it last.
func TestAForkBeginsWhereTheFlowCameLast(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		b.answer(id, incident.Answer{Kind: "back", To: "a", Comment: "once more"})
		b.answer(id, incident.Answer{Kind: "abort", Comment: "enough"})
		fork, err := b.Fork(b.t.Context(), id, "b", "kim", "go on")
		require.NoError(t, err)
		assert.Equal(t, incident.StateSucceeded, b.run(fork.ID).State)
		assert.Equal(t, 2, b.run(fork.ID).Step("a").Visits)
		assert.Equal(t, []string{"a", "b fails", "a", "b fails", "b"}, w.did())
	}, playbook(w.action("a"), w.action("b", w.fails("b", errors.New("no"), errors.New("no")))))
}

// Foreign bytes: an error with a page of HTML, NUL and what is no text, and a question
// that is too long, end in words, and not in a run that cannot be read.
func TestWhatIsTooMuchIsCut(t *testing.T) {
	w := new(world)
	junk := "\x00\xff<html>" + strings.Repeat("x", 1<<20)
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{Incident: "INC-1"})
		run := b.run(id)
		require.Equal(t, incident.StateWaiting, run.State, run.Text)
		assert.Less(t, len(run.Question.Text), 4000)
		assert.NotContains(t, run.Question.Text, "\x00")
		b.answer(id, incident.Answer{Kind: "skip", Comment: "x"})
		run = b.run(id)
		require.Equal(t, incident.StateWaiting, run.State, run.Text)
		assert.Less(t, len(run.Question.Text), 40000, "the instruction is cut")
		b.answer(id, incident.Answer{Kind: "done", Output: []byte(`"` + strings.Repeat("y", 60<<10) + `"`), Comment: strings.Repeat("\x01", 2000)})
		run = b.run(id)
		assert.Equal(t, incident.StateFailed, run.State)
		assert.Contains(t, run.Text, "people cannot be asked: what they would have to read is too much")
	}, playbook(
		w.action("act", w.fails("act", errors.New(junk))),
		incident.Step{ID: "hand", Title: "By hand", Do: incident.Manual{Why: "w", Instruction: func(*incident.Scope) string { return junk }}},
		gate(func(a *incident.Approve, _ *incident.Step) { a.Bound = true }),
		w.action("big", func(a *incident.Action, _ *incident.Step) {
			a.Preview = func(context.Context, *incident.Scope) (incident.Effect, error) {
				return incident.Effect{Call: strings.Repeat("z", 30<<10), Destroys: []string{strings.Repeat("z", 30<<10)}}, nil
			}
		}),
		w.action("big2", func(a *incident.Action, _ *incident.Step) {
			a.Preview = func(context.Context, *incident.Scope) (incident.Effect, error) {
				return incident.Effect{Call: strings.Repeat("z", 30<<10)}, nil
			}
		}),
	))
}

// A run that this version cannot read does not hide the others.
func TestRunsShowsWhatItCanOfARunOfAnotherVersion(t *testing.T) {
	inBubble(t, func(b *bench) {
		first := b.start(incident.Request{})
		_, err := b.runs.Start(b.t.Context(), incident.RunStart{
			ID: "new", Program: incident.PlaybookProgram, Input: []byte(`{"interpreter":99}`), By: "lee",
			Labels: map[string]string{"playbook": "other", "environment": "beta"}, At: time.Now().Add(time.Second),
		})
		require.NoError(t, err)
		synctest.Wait()
		var ids []string
		for run, err := range b.Runs(b.t.Context(), incident.RunQuery{}) {
			require.NoError(t, err)
			ids = append(ids, run.ID)
			if run.ID == "new" {
				assert.Equal(t, "other", run.Playbook)
				assert.Contains(t, run.Text, "is failed, and cannot be shown here: incident: run new: it is of version 99")
			}
		}
		assert.Equal(t, []string{"new", first}, ids)
	}, playbook(check("look", 1, nil)))
}

func TestStepsOfAPlaybookWithinHaveNoPhasesOfTheirOwn(t *testing.T) {
	inner := playbook(incident.Step{ID: "x", Title: "X", Phase: "inner", Do: incident.Check{Run: func(context.Context, *incident.Scope) (any, error) { return nil, nil }}})
	look := check("look", 1, nil)
	look.Phase = "outer"
	p := playbook(look, incident.Step{ID: "sub", Title: "Sub", Do: incident.Sub{Playbook: inner}}, gate())
	p.Phases = []incident.Phase{{Name: "outer", Budget: 10 * time.Minute}}
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		assert.Equal(t, "outer", b.run(id).Phase)
		time.Sleep(11 * time.Minute)
		assert.Equal(t, []string{"outer has taken longer than its 10m0s"}, b.said(incident.EventOverrun))
	}, p)
}

// The words that people read in the night say what they can do.
func TestWordsOfADecision(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		q := b.run(b.start(incident.Request{})).Question
		assert.Equal(t, "Do act: it is not known whether it was done", q.Title)
		assert.Equal(t, `outcome unknown

Look whether it was done before you answer: if it was, retry may do it twice.

retry: make it again
skip: leave it out, and go on
done: it is done, by hand or as it was meant; go on
back: go on from an earlier step
undo: end the run, and take back, in this order: Do act, Do first
abort: end the run, and leave things as they are`, q.Text)
	}, playbook(w.action("first"), w.action("act", w.fails("act", incident.ErrOutcomeUnknown))))
}

// A run that was left in the middle of a group, or of a playbook within, shows nothing as
// under way when it has ended.
func TestNothingIsUnderWayInARunThatHasEnded(t *testing.T) {
	w := new(world)
	group := incident.Step{ID: "group", Title: "Group", Do: incident.Parallel{Steps: []incident.Step{w.action("a", w.fails("a", incident.ErrOutcomeUnknown))}}}
	inner := playbook(w.action("x", w.fails("x", errors.New("no"))))
	sub := incident.Step{ID: "sub", Title: "Sub", Do: incident.Sub{Playbook: inner}}
	for name, c := range map[string]struct {
		step   incident.Step
		answer incident.Answer
	}{
		"a group":           {group, incident.Answer{Kind: "abort", Comment: "no"}},
		"a playbook within": {sub, incident.Answer{Kind: "back", To: "first", Comment: "no"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				id := b.start(incident.Request{})
				b.answer(id, c.answer)
				for _, s := range b.run(id).Steps {
					if b.run(id).State != incident.StateSucceeded {
						assert.NotEqual(t, incident.StepRunning, s.State, s.ID)
					}
				}
			}, playbook(w.action("first"), c.step))
		})
	}
}

func TestAttemptsOfARunningStepSayWhyTheLastOneFailed(t *testing.T) {
	look := incident.Step{ID: "look", Title: "Look", Attempts: 5, Backoff: time.Hour, Do: incident.Check{
		Run: func(context.Context, *incident.Scope) (any, error) { return nil, errors.New("it answers 502") },
	}}
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		time.Sleep(time.Minute)
		assert.Equal(t, "Look, for 1m0s (the last time: it answers 502)", b.run(id).Text)
		time.Sleep(4*time.Minute + time.Second)
		assert.Equal(t, 2, b.run(id).Step("look").Tries, "it waits at most five minutes")
	}, playbook(look))
}

func TestReservedNamesAndLengths(t *testing.T) {
	p := playbook(check("run", 1, nil), check("phase", 1, nil))
	p.Environment = "prod/x"
	err := p.Validate()
	require.ErrorContains(t, err, "step run: the record of a run has its own things under this id")
	require.ErrorContains(t, err, "step phase: the record")
	require.ErrorContains(t, err, "an environment is required, of letters")
	inBubble(t, func(b *bench) {
		_, err := b.Start(b.t.Context(), incident.Request{Playbook: "restart", Environment: "production", By: "jane", Incident: "../audit"})
		require.ErrorContains(t, err, `incident "../audit" is not the ID of one`)
	}, playbook(check("look", 1, nil)))
}

// Two steps of a group say what they do, each for itself.
func TestProgressOfAGroup(t *testing.T) {
	slow := func(id string) incident.Step {
		return incident.Step{ID: id, Title: id, Do: incident.Check{Run: func(_ context.Context, s *incident.Scope) (any, error) {
			s.Progress("%s is at it", id)
			time.Sleep(time.Minute / 2)
			return nil, nil
		}}}
	}
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		run := b.run(id)
		assert.Equal(t, "a is at it", run.Step("a").Progress)
		assert.Equal(t, "b is at it", run.Step("b").Progress)
	}, playbook(incident.Step{ID: "group", Title: "Group", Do: incident.Parallel{Steps: []incident.Step{slow("a"), slow("b")}}}))
}

func TestARunThatIsToBeStartedIsValidated(t *testing.T) {
	err := incident.RunStart{ID: "a b", Input: []byte("{")}.Validate()
	for _, want := range []string{"its ID is not made of", "it names no program", "its input is not JSON"} {
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, incident.RunStart{ID: "a", Program: "p", Input: []byte("{}")}.Validate())
}

func TestAPointerToAStepIsRefusedWhenItIsValidated(t *testing.T) {
	p := playbook(incident.Step{ID: "a", Title: "A", Do: &incident.Check{}}, incident.Step{ID: "b", Title: "B", Do: (*incident.Action)(nil)})
	p.Parameters = []incident.Parameter{{Name: "x", Type: "float"}}
	err := p.Validate()
	require.ErrorContains(t, err, "step a: what it does is a *incident.Check; it has to be one of the kinds")
	require.ErrorContains(t, err, "step b: what it does is a *incident.Action")
	require.ErrorContains(t, err, `parameter x: there is no type "float"`)
}

// Of an approval that is void nobody reads later that it was approved.
func TestAnApprovalThatIsVoidIsKeptAsVoid(t *testing.T) {
	w, target := new(world), "7f3a"
	act := w.action("act", func(a *incident.Action, _ *incident.Step) {
		a.Preview = func(context.Context, *incident.Scope) (incident.Effect, error) {
			return incident.Effect{Call: target}, nil
		}
	})
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		target = "9c01"
		b.answer(id, incident.Answer{Kind: "approve"})
		b.answer(id, incident.Answer{Kind: "approve"})
		var statuses []string
		for doc, err := range b.store.Documents(b.t.Context(), incident.DocumentQuery{Kind: "approval"}) {
			require.NoError(t, err)
			var a incident.Approval
			require.NoError(t, json.Unmarshal(doc.Data, &a))
			statuses = append(statuses, a.Status)
		}
		assert.ElementsMatch(t, []string{"approved", "void"}, statuses)
	}, playbook(gate(func(a *incident.Approve, _ *incident.Step) { a.Bound = true }), act))
}
