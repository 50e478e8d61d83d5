package incident_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

func planOf(b *bench, parameters map[string]string) incident.Plan {
	b.t.Helper()
	p := b.Playbooks()[0]
	plan, err := b.Plan(b.t.Context(), incident.Request{Environment: p.Environment, Playbook: p.Name, By: "jane", Parameters: parameters})
	require.NoError(b.t, err)
	return plan
}

// Requirement: INC-FEATURE-PLAN, INC-ASK-SIMULATED
func TestAPlanLooksAndChangesNothing(t *testing.T) {
	w := new(world)
	failures, readOnly, sent := 3, 0, 0
	look := incident.Step{ID: "look", Title: "Look", Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
		if runbook.IsReadOnly(ctx) && s.Planning {
			readOnly++
		}
		return failures, nil
	}}}
	act := w.action("restart", func(a *incident.Action, s *incident.Step) {
		a.Preview = func(ctx context.Context, _ *incident.Scope) (incident.Effect, error) {
			if runbook.IsReadOnly(ctx) {
				readOnly++
			}
			return incident.Effect{Call: "restart web in production", Changes: []string{"its memory is empty"}, Destroys: []string{"running tasks"}, Undo: "none"}, nil
		}
		s.When = func(s *incident.Scope) (bool, string) {
			n, _ := incident.Result[int](s, "look")
			return n > 2, "it does not fail"
		}
	})
	tell := incident.Step{ID: "tell", Title: "Tell people", Do: incident.Notice{
		Message: func(*incident.Scope) incident.Message {
			return incident.Message{Title: "Restarting", Text: "two\nlines"}
		},
		Send: func(context.Context, *incident.Scope, incident.Message) error { sent++; return nil },
	}}
	after := incident.Step{ID: "again", Title: "Look again", Do: incident.Verify{Run: func(context.Context, *incident.Scope) (any, error) {
		sent++
		return nil, nil
	}}}
	inBubble(t, func(b *bench) {
		began := time.Now()
		plan := planOf(b, nil)
		assert.Equal(t, time.Duration(0), time.Since(began), "it waits for nothing")
		assert.True(t, plan.Run.Simulated)
		assert.Equal(t, "plan: 1 change", plan.Run.Text)
		assert.Equal(t, &incident.Effect{Call: "restart web in production", Changes: []string{"its memory is empty"}, Destroys: []string{"running tasks"}, Undo: "none"}, plan.Run.Step("restart").Effect)
		assert.Equal(t, &incident.Effect{Call: "tell: Restarting", Changes: []string{"two", "lines"}}, plan.Run.Step("tell").Effect)
		assert.Empty(t, w.did())
		assert.Zero(t, sent)
		assert.Equal(t, 2, readOnly)
		assert.Empty(t, b.events, "nothing is told")
		for range b.Runs(b.t.Context(), incident.RunQuery{}) {
			assert.Fail(t, "a plan is no run")
		}
		assert.Equal(t, plan.Hash, planOf(b, nil).Hash, "the same plan has the same hash")
		failures = 4
		assert.Equal(t, plan.Hash, planOf(b, nil).Hash, "what was found is not in it")
		failures = 1
		other := planOf(b, nil)
		assert.NotEqual(t, plan.Hash, other.Hash, "what follows from it is")
		assert.Equal(t, "plan: nothing would be changed", other.Run.Text)
		assert.Equal(t, incident.StepSkipped, other.Run.Step("restart").State)
	}, playbook(look, gate(), act, tell, after))
}

func TestAPlanSaysWhatWouldStopTheRun(t *testing.T) {
	w := new(world)
	act := w.action("act", func(a *incident.Action, _ *incident.Step) {
		a.Preview = func(context.Context, *incident.Scope) (incident.Effect, error) {
			return incident.Effect{}, errors.New("no deployment to go back to")
		}
	})
	inBubble(t, func(b *bench) {
		plan := planOf(b, nil)
		assert.Equal(t, []string{"act (Do act): what it would do could not be told: no deployment to go back to", "look (Check look): unreachable"}, plan.Problems)
		assert.Equal(t, "plan: nothing would be changed; it would end there: step look (Check look): unreachable; not everything is as it should be", plan.Run.Text)
	}, playbook(act, check("look", nil, errors.New("unreachable")), w.action("never")))
}

// Requirement: INC-FEATURE-PLAN
func TestARunOfAPlanThatHasChangedDoesNotBegin(t *testing.T) {
	w := new(world)
	target := "7f3a"
	act := w.action("act", func(a *incident.Action, _ *incident.Step) {
		a.Preview = func(context.Context, *incident.Scope) (incident.Effect, error) {
			return incident.Effect{Call: "roll back to " + target}, nil
		}
	})
	inBubble(t, func(b *bench) {
		hash := planOf(b, nil).Hash
		target = "9c01"
		run := b.run(b.start(incident.Request{Plan: hash}))
		assert.Equal(t, "failed: what it would do has changed since the plan was agreed to; make a new plan", run.Text)
		assert.Empty(t, w.did())
		run = b.run(b.start(incident.Request{Plan: planOf(b, nil).Hash}))
		assert.Equal(t, incident.StateSucceeded, run.State, run.Text)
	}, playbook(act))
}
