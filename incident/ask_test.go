package incident_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

func gate(change ...func(*incident.Approve, *incident.Step)) incident.Step {
	a := incident.Approve{Question: func(*incident.Scope) string { return "May it go on?" }}
	s := incident.Step{ID: "gate", Title: "May it go on?"}
	for _, c := range change {
		c(&a, &s)
	}
	s.Do = a
	return s
}

// Requirement: INC-FEATURE-APPROVAL, INC-ASK-APPROVER
func TestApprovalNeedsEnoughOthers(t *testing.T) {
	w := new(world)
	two := gate(func(a *incident.Approve, _ *incident.Step) { a.Min = 2 })
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{By: "jane"})
		require.ErrorIs(t, b.try(id, incident.Answer{Kind: "approve", Actor: "jane"}), incident.ErrNotPermitted)
		b.answer(id, incident.Answer{Kind: "approve", Actor: "kim"})
		b.answer(id, incident.Answer{Kind: "approve", Actor: "kim"}) // counts once
		assert.Equal(t, incident.StateWaiting, b.run(id).State)
		require.ErrorIs(t, b.try(id, incident.Answer{Kind: "deny", Actor: "kim", Comment: "no"}), incident.ErrStale)
		open, err := b.Approvals(b.t.Context())
		require.NoError(t, err)
		require.Len(t, open, 1)
		assert.Len(t, open[0].Question.Votes, 1)
		b.answer(id, incident.Answer{Kind: "approve", Actor: "lee", Comment: "looks right"})
		run := b.run(id)
		assert.Equal(t, incident.StateSucceeded, run.State)
		assert.Equal(t, "approved by kim and lee", run.Step("gate").Message)
		assert.Equal(t, []string{"act"}, w.did())
		open, err = b.Approvals(b.t.Context())
		require.NoError(t, err)
		assert.Empty(t, open)
	}, playbook(two, w.action("act")))
}

// Requirement: INC-FEATURE-APPROVAL, INC-ASK-DENIED-ON-EXPIRY, INC-ASK-STUCK-PARENT
func TestTimeThatRunsOutDeniesAndNeverApproves(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		time.Sleep(30*time.Minute - time.Second)
		assert.Equal(t, incident.StateWaiting, b.run(id).State)
		time.Sleep(2 * time.Second)
		run := b.run(id)
		assert.Equal(t, incident.StateFailed, run.State)
		assert.Equal(t, "failed: step gate (May it go on?): denied: not approved in time", run.Text)
		assert.Contains(t, b.said(incident.EventDecided), "May it go on?: nobody answered in time")
		assert.Empty(t, w.did())
		open, err := b.Approvals(b.t.Context())
		require.NoError(t, err)
		assert.Empty(t, open, "it leaves nothing that waits")
	}, playbook(gate(), w.action("act")))
}

func TestOneDenialIsEnough(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		b.answer(id, incident.Answer{Kind: "approve", Actor: "kim"})
		require.Error(t, b.try(id, incident.Answer{Kind: "deny", Actor: "lee"}), "a denial says why")
		b.answer(id, incident.Answer{Kind: "deny", Actor: "lee", Comment: "exams are on"})
		assert.Equal(t, "failed: step gate (May it go on?): denied by lee: exams are on", b.run(id).Text)
		assert.Empty(t, w.did())
	}, playbook(gate(func(a *incident.Approve, _ *incident.Step) { a.Min = 2 }), w.action("act")))
}

// Requirement: INC-ASK-PUSH-BACK
func TestAReviewerSendsTheRunBack(t *testing.T) {
	w := new(world)
	looked := 0
	look := incident.Step{ID: "look", Title: "Look", Do: incident.Check{Run: func(context.Context, *incident.Scope) (any, error) { looked++; return looked, nil }}}
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		require.Error(t, b.try(id, incident.Answer{Kind: "back", To: "act", Comment: "x"}), "it has not come to that step")
		b.answer(id, incident.Answer{Kind: "back", To: "look", Comment: "look again"})
		assert.Equal(t, incident.StateWaiting, b.run(id).State)
		b.answer(id, incident.Answer{Kind: "approve"})
		assert.Equal(t, incident.StateSucceeded, b.run(id).State)
		assert.Equal(t, 2, looked)
		assert.Equal(t, 2, b.run(id).Step("look").Visits)
	}, playbook(look, gate(), w.action("act")))
}

// Requirement: INC-FEATURE-PLAN
func TestAnApprovalThatIsBoundIsVoidWhenThePlanHasChanged(t *testing.T) {
	w := new(world)
	target := "7f3a"
	act := w.action("act", func(a *incident.Action, _ *incident.Step) {
		a.Preview = func(context.Context, *incident.Scope) (incident.Effect, error) {
			return incident.Effect{Call: "roll back to " + target}, nil
		}
	})
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		q := b.run(id).Question
		assert.Equal(t, []incident.Effect{{Call: "roll back to 7f3a"}}, q.Effects)
		require.ErrorIs(t, b.try(id, incident.Answer{Kind: "approve", Plan: "of yesterday"}), incident.ErrStale)
		target = "9c01" // somebody deploys
		b.answer(id, incident.Answer{Kind: "approve"})
		run := b.run(id)
		assert.Equal(t, incident.StateWaiting, run.State, "people are asked again")
		assert.Equal(t, []incident.Effect{{Call: "roll back to 9c01"}}, run.Question.Effects)
		assert.Contains(t, b.said(incident.EventDecided), "May it go on?: the approval is void: what would be done has changed since")
		assert.Empty(t, w.did())
		b.answer(id, incident.Answer{Kind: "approve"})
		assert.Equal(t, incident.StateSucceeded, b.run(id).State)
		assert.Equal(t, []string{"act"}, w.did())
	}, playbook(gate(func(a *incident.Approve, _ *incident.Step) { a.Bound = true }), act))
}

func TestOfTwoDecisionsTheFirstCounts(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		q := b.run(id).Question
		require.NoError(t, b.runs.Hold(b.t.Context(), id, incident.Control{By: "x"})) // so that both see the question
		errs := make(chan error, 2)
		for _, a := range []incident.Answer{{Kind: "skip", Actor: "kim", Comment: "not needed"}, {Kind: "retry", Actor: "lee"}} {
			go func() { errs <- b.Answer(b.t.Context(), id, q.ID, a) }()
			synctest.Wait()
		}
		require.NoError(t, b.runs.Release(b.t.Context(), id, incident.Control{By: "x"}))
		require.NoError(t, <-errs)
		require.ErrorIs(t, <-errs, incident.ErrStale)
		assert.Equal(t, incident.StateSucceeded, b.run(id).State)
		assert.Equal(t, []string{"act fails"}, w.did())
		require.ErrorIs(t, b.Answer(b.t.Context(), id, q.ID, incident.Answer{Kind: "retry", Actor: "kim"}), incident.ErrStale)
	}, playbook(w.action("act", w.fails("act", fmt.Errorf("no")))))
}

func TestAManualStepSaysWhatCannotBeDone(t *testing.T) {
	w := new(world)
	manual := incident.Step{ID: "hand", Title: "By hand", Do: incident.Manual{
		Why: "no API", Within: time.Hour, Instruction: func(*incident.Scope) string { return "Press the button." },
	}}
	for name, c := range map[string]struct {
		answer incident.Answer
		state  incident.RunState
		text   string
	}{
		"done":    {incident.Answer{Kind: "done", Output: json.RawMessage(`"green"`)}, incident.StateSucceeded, "succeeded"},
		"skip":    {incident.Answer{Kind: "skip", Comment: "was green"}, incident.StateSucceeded, "succeeded"},
		"cannot":  {incident.Answer{Kind: "deny", Comment: "no button"}, incident.StateWaiting, "needs a person: By hand: it has failed"},
		"expired": {incident.Answer{}, incident.StateWaiting, "needs a person: By hand: it has failed"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				id := b.start(incident.Request{})
				if c.answer.Kind == "" {
					time.Sleep(time.Hour + time.Second)
				} else {
					b.answer(id, c.answer)
				}
				run := b.run(id)
				assert.Equal(t, c.state, run.State)
				assert.Equal(t, c.text, run.Text)
			}, playbook(manual, w.action("act")))
		})
	}
}

// Requirement: INC-FEATURE-RESUME
func TestSkippingNeedsAReasonAndAName(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		q := b.run(id).Question.ID
		err := b.Answer(b.t.Context(), id, q, incident.Answer{Kind: "skip"})
		require.ErrorContains(t, err, "who answers is required")
		require.ErrorContains(t, err, "a comment that says why is required")
		b.answer(id, incident.Answer{Kind: "skip", Actor: "kim", Comment: "it was restarted by hand"})
		s := b.run(id).Step("act")
		assert.Equal(t, incident.StepSkipped, s.State)
		assert.Equal(t, "left out by kim: it was restarted by hand", s.Message)
	}, playbook(w.action("act", w.fails("act", fmt.Errorf("no")))))
}

type committee []string

func (c committee) MayApprove(_ context.Context, actor string, a incident.Approval) error {
	for _, name := range c {
		if name == actor {
			return nil
		}
	}
	return fmt.Errorf("not one of %v: %w", a.Question.Roles, incident.ErrNotPermitted)
}

func TestApprovalsSaysWhoMay(t *testing.T) {
	w := new(world)
	cfg := incident.RunnerConfig{
		Playbooks: []incident.Playbook{playbook(gate(func(a *incident.Approve, _ *incident.Step) { a.Roles = []string{"manager"} }), w.action("act"))},
		Approvals: committee{"kim"},
	}
	inBubbleWith(t, cfg, func(b *bench) {
		id := b.start(incident.Request{})
		err := b.try(id, incident.Answer{Kind: "approve", Actor: "lee"})
		require.ErrorIs(t, err, incident.ErrNotPermitted)
		assert.ErrorContains(t, err, "lee may not approve this: not one of [manager]")
		b.answer(id, incident.Answer{Kind: "approve", Actor: "kim"})
		assert.Equal(t, incident.StateSucceeded, b.run(id).State)
	})
}

// A question is listed before the run has recorded it. Whoever answers in between, or
// after a crash in between, waits for it, and is told to try again if it does not come.
func TestAnsweringWhatIsListedAndNotRecordedYet(t *testing.T) {
	for takes, says := range map[time.Duration]string{3 * time.Second: "", 8 * time.Second: "it does not ask gate/ask yet: "} {
		t.Run(takes.String(), func(t *testing.T) {
			w := new(world)
			cfg := incident.RunnerConfig{Playbooks: []incident.Playbook{playbook(gate(), w.action("act"))}, OnEvent: func(_ context.Context, e incident.Event) {
				if e.Kind == incident.EventAsked {
					time.Sleep(takes)
				}
			}}
			inBubbleWith(t, cfg, func(b *bench) {
				id := b.start(incident.Request{})
				open, err := b.Approvals(b.t.Context())
				require.NoError(t, err)
				require.Len(t, open, 1)
				require.Nil(t, b.run(id).Question)
				err = b.Answer(b.t.Context(), id, open[0].Question.ID, incident.Answer{Kind: "approve", Actor: "kim"})
				if says != "" {
					require.ErrorIs(t, err, incident.ErrStale)
					require.ErrorContains(t, err, says)
					require.ErrorContains(t, err, "answer again in a moment")
					time.Sleep(takes)
					err = b.Answer(b.t.Context(), id, open[0].Question.ID, incident.Answer{Kind: "approve", Actor: "kim"})
				}
				require.NoError(t, err)
				synctest.Wait()
				assert.Equal(t, incident.StateSucceeded, b.run(id).State)
				err = b.Answer(b.t.Context(), id, open[0].Question.ID, incident.Answer{Kind: "approve", Actor: "lee"})
				require.ErrorIs(t, err, incident.ErrStale)
				require.ErrorContains(t, err, "it does not ask gate/ask any more")
			})
		})
	}
}

// A vote that was recorded and did not reach its run, because the process died between
// the two, counts after all.
func TestReconcileSendsVotesAgain(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		q := b.run(id).Question
		open, err := b.Approvals(b.t.Context())
		require.NoError(t, err)
		a := open[0]
		a.Question.Votes = []incident.Signal{{ID: q.ID + "/kim", Kind: "approve", Actor: "kim", At: time.Now()}}
		doc, err := b.store.Document(b.t.Context(), "approval", a.ID)
		require.NoError(t, err)
		doc.Data, err = json.Marshal(a)
		require.NoError(t, err)
		_, err = b.store.Commit(b.t.Context(), incident.Change{Documents: []incident.Document{doc}})
		require.NoError(t, err)
		assert.Equal(t, incident.StateWaiting, b.run(id).State)
		require.NoError(t, b.Reconcile(b.t.Context()))
		assert.Equal(t, incident.StateSucceeded, b.run(id).State)
		require.NoError(t, b.Reconcile(b.t.Context()))
		assert.Equal(t, []string{"act"}, w.did())
	}, playbook(gate(), w.action("act")))
}
