package incident_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// automated is a runner whose automatic runs ask an Automation.
func automated(t *testing.T, policy incident.AutomationPolicy, killFile string, test func(b *bench, a *incident.Automation), steps ...incident.Step) {
	t.Helper()
	store := new(incident.MemoryStore)
	policy.Environment = "production"
	a, err := incident.NewAutomation(incident.AutomationConfig{Store: store, Policies: []incident.AutomationPolicy{policy}, KillFile: killFile})
	require.NoError(t, err)
	inBubbleWith(t, incident.RunnerConfig{Playbooks: []incident.Playbook{playbook(steps...)}, Permit: a.Permit}, func(b *bench) { test(b, a) })
}

func opened() incident.Incident {
	return incident.Incident{ID: "INC-2026-0001", Environment: "production", Playbook: "restart", Triggered: time.Now()}
}

// Requirement: INC-POLICY-MODES, INC-POLICY-BINDING
func TestAPolicyIsToObserveToSuggestOrToAct(t *testing.T) {
	for _, c := range []struct {
		mode      incident.Mode
		automatic bool
		did       string
		runs      int
		open      int
	}{
		{"", true, "would start restart; the policy of production is to observe", 0, 0},
		{incident.Observe, true, "would start restart; the policy of production is to observe", 0, 0},
		{incident.Suggest, true, "suggested restart; the policy of production is to suggest", 0, 1},
		{incident.Act, false, "suggested restart; the binding does not let it start by itself", 0, 1},
		{incident.Act, true, "started restart", 1, 0},
	} {
		t.Run(fmt.Sprint(c.mode, c.automatic), func(t *testing.T) {
			w := new(world)
			automated(t, incident.AutomationPolicy{Mode: c.mode}, "", func(b *bench, a *incident.Automation) {
				for range 2 { // a second time does nothing twice
					did, err := a.Consider(b.t.Context(), b.Runner, opened(), c.automatic)
					require.NoError(t, err)
					assert.Equal(t, c.did, did)
				}
				n := 0
				for run, err := range b.Runs(b.t.Context(), incident.RunQuery{}) {
					require.NoError(t, err)
					run = b.run(run.ID)
					assert.Equal(t, incident.StateSucceeded, run.State, run.Text)
					n++
				}
				assert.Equal(t, c.runs, n)
				open, err := b.Approvals(b.t.Context())
				require.NoError(t, err)
				assert.Len(t, open, c.open)
			}, w.action("act"))
		})
	}
}

func TestASuggestionStartsWhenItIsApproved(t *testing.T) {
	w := new(world)
	automated(t, incident.AutomationPolicy{Mode: incident.Suggest}, "", func(b *bench, a *incident.Automation) {
		ctx := b.t.Context()
		_, err := a.Consider(ctx, b.Runner, opened(), true)
		require.NoError(t, err)
		open, err := b.Approvals(ctx)
		require.NoError(t, err)
		q := open[0].Question
		assert.Equal(t, "Start Restart the application in production?", q.Title)
		assert.Equal(t, []incident.Effect{{Call: "would act"}}, q.Effects)
		_, err = b.AnswerSuggestion(ctx, open[0].ID, incident.Answer{Kind: "approve", Actor: "kim"})
		require.ErrorIs(t, err, incident.ErrStale, "without the plan nobody approves")
		_, err = b.AnswerSuggestion(ctx, open[0].ID, incident.Answer{Kind: "approve", Actor: "kim", Plan: q.Plan})
		require.NoError(t, err)
		run := b.run(open[0].Start.ID)
		assert.Equal(t, incident.StateWaiting, run.State)
		require.ErrorIs(t, b.try(run.ID, incident.Answer{Kind: "approve", Actor: "kim"}), incident.ErrNotPermitted, "who wanted it is not who approves it")
		b.answer(run.ID, incident.Answer{Kind: "approve", Actor: "lee"})
		assert.Equal(t, incident.StateSucceeded, b.run(run.ID).State)
		assert.Equal(t, []string{"act"}, w.did(), "a person started it, so it needs no permission of the policy")
	}, gate(), w.action("act"))
}

// Requirement: INC-POLICY-KILL-SWITCH
func TestOneSwitchStopsAutomaticActions(t *testing.T) {
	for name, stop := range map[string]func(ctx context.Context, a *incident.Automation, file string) error{
		"by call": func(ctx context.Context, a *incident.Automation, _ string) error {
			return a.Stop(ctx, "kim", "it makes things worse")
		},
		"by file": func(_ context.Context, _ *incident.Automation, file string) error {
			return os.WriteFile(file, nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, file := new(world), filepath.Join(t.TempDir(), "stop")
			automated(t, incident.AutomationPolicy{Mode: incident.Act}, file, func(b *bench, a *incident.Automation) {
				ctx := b.t.Context()
				id := b.start(incident.Request{Automatic: true})
				time.Sleep(30 * time.Second)
				require.NoError(t, stop(ctx, a, file))
				time.Sleep(time.Minute)
				run := b.run(id)
				assert.Equal(t, "needs a person: Do b: automatic actions are not allowed now", run.Text)
				assert.Contains(t, run.Question.Text, "automatic actions were stopped by ")
				assert.Equal(t, []string{"a"}, w.did())
				did, err := a.Consider(ctx, b.Runner, opened(), true)
				require.NoError(t, err)
				assert.Equal(t, "suggested restart; automatic actions are stopped", did)
				b.answer(id, incident.Answer{Kind: "retry"})
				assert.Equal(t, []string{"a", "b"}, w.did(), "a person may")
			}, w.action("a"), incident.Step{ID: "pause", Title: "Pause", Do: incident.Sleep{For: time.Minute}}, w.action("b"))
		})
	}
}

// Requirement: INC-POLICY-BUDGET
func TestAfterABudgetOfActionsAPersonIsAsked(t *testing.T) {
	w := new(world)
	automated(t, incident.AutomationPolicy{Mode: incident.Act, PerHour: 3}, "", func(b *bench, a *incident.Automation) {
		first := b.start(incident.Request{Automatic: true})
		assert.Equal(t, incident.StateSucceeded, b.run(first).State)
		second := b.start(incident.Request{Automatic: true})
		run := b.run(second)
		assert.Equal(t, incident.StateWaiting, run.State)
		assert.Contains(t, run.Question.Text, "3 automatic actions were made in production within an hour, which is the limit")
		assert.Equal(t, []string{"a", "b", "a"}, w.did())
		b.answer(second, incident.Answer{Kind: "retry"})
		assert.Equal(t, []string{"a", "b", "a", "b"}, w.did())
		time.Sleep(time.Hour)
		assert.Equal(t, incident.StateSucceeded, b.run(b.start(incident.Request{Automatic: true})).State)
	}, w.action("a"), w.action("b"))
}

func TestPoliciesAreChecked(t *testing.T) {
	_, err := incident.NewAutomation(incident.AutomationConfig{Policies: []incident.AutomationPolicy{
		{Environment: "a b"}, {Environment: "x", Mode: "dance", PerHour: -1}, {Environment: "x"},
	}})
	for _, want := range []string{"a store is required", `environment "a b": a name`, `mode "dance" is none of`, "-1 actions an hour", `environment "x": a name`} {
		assert.ErrorContains(t, err, want)
	}
}
