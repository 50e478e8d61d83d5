package incident_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

func onFailure(f incident.Failure) func(*incident.Action, *incident.Step) {
	return func(_ *incident.Action, s *incident.Step) { s.OnFailure = f }
}

// Requirement: INC-ASK-TIMEOUTS
func TestNothingIsBegunWhenTheTimeOfTheRunIsOver(t *testing.T) {
	w := new(world)
	t.Run("because it slept", func(t *testing.T) {
		p := playbook(incident.Step{ID: "sleep", Title: "Sleep", Do: incident.Sleep{For: 2 * time.Hour}}, w.action("act"))
		p.Timeout = time.Hour
		inBubble(t, func(b *bench) {
			id := b.start(incident.Request{})
			time.Sleep(3 * time.Hour)
			assert.Equal(t, "failed: it had not ended after 1h0m0s", b.run(id).Text)
			assert.Empty(t, w.did())
		}, p)
	})
	t.Run("because nobody ran", func(t *testing.T) {
		p := playbook(w.action("a"), w.action("b"))
		p.Timeout = time.Hour
		r, start := started(t, p)
		start.At = start.At.Add(-5 * time.Hour)
		e := carryOut(t, r, start, -1, false)
		assert.Equal(t, "failed: it had not ended after 1h0m0s", view(t, e).Text)
		assert.Empty(t, w.did())
	})
}

// The same person under a name in other letters is the same person.
//
// Requirement: INC-FEATURE-APPROVAL, INC-ASK-APPROVER
func TestOnePersonIsOneHoweverTheNameIsWritten(t *testing.T) {
	w := new(world)
	two := gate(func(a *incident.Approve, _ *incident.Step) { a.Min = 2 })
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{By: "Jane Doe"})
		for _, name := range []string{"jane doe", "JANE  DOE", " Jane Doe "} {
			require.ErrorIs(t, b.try(id, incident.Answer{Kind: "approve", Actor: name}), incident.ErrNotPermitted, name)
		}
		b.answer(id, incident.Answer{Kind: "approve", Actor: "kim"})
		b.answer(id, incident.Answer{Kind: "approve", Actor: "Kim "})
		assert.Equal(t, incident.StateWaiting, b.run(id).State, "one person has approved")
		for _, name := range []string{"   ", "runbook", "Runbook", "kim\u200b", "k\x00", strings.Repeat("k", 101)} {
			require.Error(t, b.try(id, incident.Answer{Kind: "approve", Actor: name}), "%q", name)
			_, err := b.Start(b.t.Context(), incident.Request{Playbook: "restart", Environment: "production", By: name})
			require.Error(t, err, "%q", name)
			require.Error(t, b.Cancel(b.t.Context(), id, name, "why"), "%q", name)
		}
		assert.Empty(t, w.did())
	}, playbook(two, w.action("act")))
}

// What people did not approve is not gone on with because somebody, who may be the one
// who started the run, says that the approval can be left out.
//
// Requirement: INC-FEATURE-APPROVAL
func TestAnApprovalThatWasDeniedIsNotLeftOut(t *testing.T) {
	w := new(world)
	pause := gate(func(_ *incident.Approve, s *incident.Step) { s.OnFailure = incident.Pause })
	inner := playbook(gate(), w.action("inner"))
	for name, first := range map[string]incident.Step{
		"an approval":       pause,
		"a playbook within": {ID: "sub", Title: "Sub", Do: incident.Sub{Playbook: inner}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				id := b.start(incident.Request{})
				b.answer(id, incident.Answer{Kind: "deny", Comment: "exams"})
				q := b.run(id).Question
				assert.Equal(t, []string{"retry", "back", "undo", "abort"}, q.Answers)
				require.Error(t, b.try(id, incident.Answer{Kind: "skip", Actor: "jane", Comment: "I may"}))
				require.Error(t, b.try(id, incident.Answer{Kind: "done", Actor: "jane"}))
				b.answer(id, incident.Answer{Kind: "retry", Actor: "jane"})
				assert.Equal(t, "approve", b.run(id).Question.Kind, "it is asked again")
			}, playbook(first, w.action("act")))
		})
	}
	assert.Empty(t, w.did())
}

func TestAChosenStepIsMadeWithTheApprovalBeforeIt(t *testing.T) {
	w := new(world)
	look := check("look", 1, nil)
	sub := incident.Step{ID: "sub", Title: "Sub", Do: incident.Sub{Playbook: playbook(gate())}}
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{Only: []string{"act"}})
		assert.Equal(t, "needs a person: May it go on? (within 30m0s)", b.run(id).Text)
		b.answer(id, incident.Answer{Kind: "approve"})
		assert.Equal(t, []string{"act"}, w.did())
		assert.Equal(t, incident.StepSkipped, b.run(id).Step("look").State)
		assert.Equal(t, incident.StateSucceeded, b.run(b.start(incident.Request{Only: []string{"look"}})).State, "looking needs none")
	}, playbook(look, gate(), w.action("act"), w.action("last")))
	inBubble(t, func(b *bench) {
		_, err := b.Start(b.t.Context(), incident.Request{Playbook: "restart", Environment: "production", By: "jane", Only: []string{"act"}})
		require.ErrorContains(t, err, "step act is made with the approvals within step sub only; choose that too")
	}, playbook(sub, w.action("act")))
}

// Requirement: INC-FEATURE-PLAN
func TestABoundApprovalIsForEverythingUpToTheNext(t *testing.T) {
	w := new(world)
	effects := func(steps ...incident.Step) (calls []string) {
		inBubble(t, func(b *bench) {
			for _, e := range b.run(b.start(incident.Request{})).Question.Effects {
				calls = append(calls, e.Call)
			}
		}, playbook(steps...))
		return calls
	}
	bound := gate(func(a *incident.Approve, _ *incident.Step) { a.Bound = true })
	next := gate(func(_ *incident.Approve, s *incident.Step) { s.ID = "next" })
	never := next
	never.When = func(*incident.Scope) (bool, string) { return false, "not needed" }
	inner := func(steps ...incident.Step) incident.Step {
		return incident.Step{ID: "sub", Title: "Sub", Do: incident.Sub{Playbook: playbook(steps...)}}
	}
	assert.Equal(t, []string{"would a"}, effects(bound, w.action("a"), next, w.action("b")))
	assert.Equal(t, []string{"would a", "would b"}, effects(bound, w.action("a"), never, w.action("b")), "one that is not needed is no approval")
	assert.Equal(t, []string{"would a", "would b"}, effects(inner(bound, w.action("a")), w.action("b"), next, w.action("c")), "also what comes after the playbook that it is in")
	assert.Equal(t, []string{"would a", "would b"}, effects(bound, w.action("a"), inner(w.action("b"), next, w.action("c")), w.action("d")), "the next may be within another one")
}

func TestAPlanOfAnotherProcedureHasAnotherHash(t *testing.T) {
	w := new(world)
	hash := func(s incident.Step) (hash string) {
		inBubble(t, func(b *bench) { hash = planOf(b, nil).Hash }, playbook(s))
		return hash
	}
	plain := hash(w.action("act"))
	assert.Equal(t, plain, hash(w.action("act")))
	assert.NotEqual(t, plain, hash(w.action("act", onFailure(incident.GoOn))), "what it does after a failure matters")
	assert.NotEqual(t, plain, hash(w.action("act", func(a *incident.Action, _ *incident.Step) { a.Undo = nil })), "whether it can be taken back matters")
}

// Requirement: INC-ASK-PUSH-BACK
func TestGoingBackIntoTheMiddleOfAnotherStepIsRefused(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		for _, to := range []string{"sub.x", "a"} {
			require.ErrorContains(t, b.try(id, incident.Answer{Kind: "back", To: to, Comment: "again"}), "cannot go back into the middle", to)
		}
		b.answer(id, incident.Answer{Kind: "back", To: "group", Comment: "again"})
		assert.Equal(t, "needs a person: May it go on? (within 30m0s)", b.run(id).Text)
		assert.ElementsMatch(t, []string{"x", "a", "a"}, w.did())
	}, playbook(
		incident.Step{ID: "sub", Title: "Sub", Do: incident.Sub{Playbook: playbook(w.action("x"))}},
		incident.Step{ID: "group", Title: "Group", Do: incident.Parallel{Steps: []incident.Step{w.action("a")}}},
		gate(),
	))
}

// Requirement: INC-FEATURE-PARALLEL
func TestAGroupThatIsTriedAgainDoesNotMakeWhatAPersonLeftOut(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		b.answer(id, incident.Answer{Kind: "skip", Comment: "I see that it happens"}) // of a
		assert.Equal(t, "needs a person: Group: it has failed", b.run(id).Text)
		b.answer(id, incident.Answer{Kind: "retry"})
		assert.Equal(t, incident.StateSucceeded, b.run(id).State, b.run(id).Text)
		assert.ElementsMatch(t, []string{"a fails", "b fails", "b"}, w.did())
	}, playbook(incident.Step{ID: "group", Title: "Group", Do: incident.Parallel{Collect: true, Steps: []incident.Step{
		w.action("a", w.fails("a", incident.ErrOutcomeUnknown)), w.action("b", w.fails("b", errors.New("no"))),
	}}}))
}

func TestAStepOfAGroupThatWasMadeAgainIsAMatterOfTheGroup(t *testing.T) {
	w := new(world)
	group := incident.Step{ID: "group", Title: "Group", OnFailure: incident.GoOn, Do: incident.Parallel{Steps: []incident.Step{
		w.action("a", w.fails("a", incident.ErrOutcomeUnknown, errors.New("no")), onFailure(incident.Abort)),
	}}}
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		b.answer(id, incident.Answer{Kind: "retry"})
		run := b.run(id)
		assert.Equal(t, incident.StateSucceeded, run.State, run.Text)
		assert.Equal(t, incident.StepFailed, run.Step("group").State)
	}, playbook(group, w.action("last")))
}

// An attempt whose answer was lost, and one after it of which it is proven that it was
// not sent, are together an action that may have been done: it asks, and is taken back.
//
// Requirement: INC-FEATURE-UNDO
func TestAFailureAfterALostAnswerIsNotKnown(t *testing.T) {
	w := new(world)
	act := w.action("act", w.fails("act", incident.ErrOutcomeUnknown, notSent{}), onFailure(incident.GoOn), func(a *incident.Action, s *incident.Step) {
		a.Repeat, s.Attempts = incident.Idempotent, 2
	})
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		time.Sleep(time.Minute)
		assert.Equal(t, "needs a person: Do act: it is not known whether it was done", b.run(id).Text)
		b.answer(id, incident.Answer{Kind: "undo", Comment: "no"})
		assert.Equal(t, []string{"act fails", "act fails", "undo act"}, w.did())
	}, playbook(act))
}

// Requirement: INC-DET-9
func TestAnIdempotentActionAfterACrashThatFailsMayHaveBeenDone(t *testing.T) {
	n := 0
	r, start := started(t, playbook(incident.Step{ID: "act", Title: "Act", OnFailure: incident.GoOn, Do: incident.Action{
		Repeat: incident.Idempotent, Preview: func(context.Context, *incident.Scope) (incident.Effect, error) { return incident.Effect{}, nil },
		Run: func(context.Context, *incident.Scope) (any, error) {
			if n++; n == 1 {
				return nil, nil // and the process dies
			}
			return nil, notSent{}
		},
	}}))
	e := carryOut(t, r, start, 1, true)
	assert.Equal(t, "decide", e.question("act/ask").Kind, "it is not gone on with as if nothing had happened")
}

// Requirement: INC-POLICY-KILL-SWITCH
func TestTheSwitchStopsTakingBackToo(t *testing.T) {
	w := new(world)
	automated(t, incident.AutomationPolicy{Mode: incident.Act}, "", func(b *bench, a *incident.Automation) {
		id := b.start(incident.Request{Automatic: true})
		require.NoError(t, a.Stop(b.t.Context(), "kim", "it makes things worse"))
		time.Sleep(2 * time.Minute)
		assert.Equal(t, []string{"a"}, w.did())
		run := b.run(id)
		assert.Equal(t, "needs a person: Undo of Do a: automatic actions are not allowed now", run.Text)
		b.answer(id, incident.Answer{Kind: "retry"})
		assert.Equal(t, incident.StateUndone, b.run(id).State)
		assert.Equal(t, []string{"a", "undo a"}, w.did())
	}, w.action("a"), incident.Step{ID: "pause", Title: "Pause", Do: incident.Sleep{For: time.Minute}},
		incident.Step{ID: "look", Title: "Look", Attempts: 1, OnFailure: incident.UndoAll, Do: incident.Check{Run: func(context.Context, *incident.Scope) (any, error) { return nil, errors.New("bad") }}})
}

// Requirement: INC-POLICY-BUDGET
func TestEachAttemptAtAnAutomaticActionIsCounted(t *testing.T) {
	w := new(world)
	automated(t, incident.AutomationPolicy{Mode: incident.Act, PerHour: 3}, "", func(b *bench, _ *incident.Automation) {
		id := b.start(incident.Request{Automatic: true})
		time.Sleep(20 * time.Minute)
		assert.Len(t, w.did(), 3, "a step that loops has no budget of its own")
		assert.Contains(t, b.run(id).Question.Text, "3 automatic actions were made in production within an hour")
	}, w.action("a"), incident.Step{ID: "look", Title: "Look", Attempts: 1, OnFailure: incident.GoTo("a"), Do: incident.Check{Run: func(context.Context, *incident.Scope) (any, error) { return nil, errors.New("bad") }}})
}

// Requirement: INC-POLICY-BUDGET
func TestTheBudgetHoldsForAllAtTheSameTime(t *testing.T) {
	store := new(incident.MemoryStore)
	var all sync.WaitGroup
	var mu sync.Mutex
	permitted := 0
	for i := range 2 { // two processes
		a, err := incident.NewAutomation(incident.AutomationConfig{Store: store, Policies: []incident.AutomationPolicy{{Environment: "production", Mode: incident.Act, PerHour: 4}}})
		require.NoError(t, err)
		for j := range 20 {
			all.Go(func() {
				if a.Permit(t.Context(), incident.AutomaticAction{Environment: "production", Run: fmt.Sprintf("r%d-%d", i, j), Step: "s", Call: "s"}) == nil {
					mu.Lock()
					defer mu.Unlock()
					permitted++
				}
			})
		}
	}
	all.Wait()
	assert.Equal(t, 4, permitted)
}

func TestAPersonMakesAGroupThatAutomationMayNot(t *testing.T) {
	w := new(world)
	automated(t, incident.AutomationPolicy{Mode: incident.Act}, "", func(b *bench, a *incident.Automation) {
		require.NoError(t, a.Stop(b.t.Context(), "kim", "no"))
		id := b.start(incident.Request{Automatic: true})
		assert.Empty(t, w.did())
		b.answer(id, incident.Answer{Kind: "retry"})
		assert.ElementsMatch(t, []string{"a", "b"}, w.did())
		assert.Equal(t, incident.StateSucceeded, b.run(id).State, b.run(id).Text)
	}, incident.Step{ID: "group", Title: "Group", Do: incident.Parallel{Steps: []incident.Step{w.action("a"), w.action("b")}}})
}
