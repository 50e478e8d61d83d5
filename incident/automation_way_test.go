package incident_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// queueOf are a low playbook with these steps and a critical one, of one environment.
func queueOf(t *testing.T, w *world, test func(b *bench, start func(q incident.Request) string, way func() incident.Way), steps ...incident.Step) {
	t.Helper()
	low := playbook(steps...)
	low.Name, low.Title, low.Severity = "tidy", "Tidy up", alert.Low
	high := playbook(w.action("rescue"))
	high.Name = "rescue"
	permit := func(context.Context, incident.AutomaticAction) error { return errors.New("the policy is to observe") }
	inBubbleWith(t, incident.RunnerConfig{Playbooks: []incident.Playbook{high, low}, Permit: permit}, func(b *bench) {
		start := func(q incident.Request) string {
			q.Environment = "production"
			if q.By == "" && !q.Automatic {
				q.By = "jane"
			}
			run, err := b.Start(b.t.Context(), q)
			require.NoError(b.t, err)
			synctest.Wait()
			time.Sleep(time.Second)
			return run.ID
		}
		test(b, start, func() incident.Way {
			way, err := b.MakeWay(b.t.Context(), "production")
			require.NoError(b.t, err)
			synctest.Wait()
			return way
		})
	})
}

func ids(runs []incident.Run) (all []string) {
	for _, r := range runs {
		all = append(all, r.ID)
	}
	return all
}

// A question of a low run keeps no critical one from beginning: the low one is put aside
// and begins again after it, in the name of who started it, and asks again.
func TestWhatOnlyWaitsForAPersonMakesWay(t *testing.T) {
	w := new(world)
	queueOf(t, w, func(b *bench, start func(incident.Request) string, way func() incident.Way) {
		low := start(incident.Request{Playbook: "tidy", Parameters: nil, Incident: "INC-2026-0007"})
		assert.Equal(t, incident.StateWaiting, b.run(low).State)
		assert.Empty(t, way().Urgent.ID, "nobody waits")
		urgent := start(incident.Request{Playbook: "rescue"})
		assert.Equal(t, incident.StateQueued, b.run(urgent).State)
		done := way()
		assert.Equal(t, urgent, done.Urgent.ID)
		assert.Equal(t, []string{low}, ids(done.Aside))
		assert.Empty(t, done.Holder.ID)
		assert.Equal(t, incident.StateSucceeded, b.run(urgent).State)
		assert.Equal(t, []string{"rescue"}, w.did())
		was := b.run(low)
		assert.Equal(t, incident.StateCancelled, was.State)
		assert.Contains(t, was.Cancelled.Reason, "put aside for Restart the application of production (run "+urgent+"), which is more severe; it begins again after it, as run again-")

		again := b.run(done.Again[0].ID)
		assert.Equal(t, incident.StateWaiting, again.State)
		assert.Equal(t, "jane", again.By)
		assert.Equal(t, "INC-2026-0007", again.Incident)
		open, err := b.Approvals(b.t.Context())
		require.NoError(t, err)
		require.Len(t, open, 1, "the question of the one that was put aside is closed")
		assert.Equal(t, again.ID, open[0].Question.Run)
		require.ErrorIs(t, b.try(again.ID, incident.Answer{Kind: "approve", Actor: "jane"}), incident.ErrNotPermitted, "who started it does not approve it now either")
		b.answer(again.ID, incident.Answer{Kind: "approve"})
		assert.Equal(t, incident.StateSucceeded, b.run(again.ID).State)
		assert.Equal(t, []string{"rescue", "tidy"}, w.did())
		assert.Empty(t, way().Urgent.ID)
		assert.Contains(t, b.said(incident.EventControl)[0], "is put aside for Restart the application")
	}, gate(), w.action("tidy"))
}

// What would be lost stays, and it is said which run people have to answer.
func TestWhatHasChangedSomethingKeepsItsLock(t *testing.T) {
	fails := func(w *world) incident.Step {
		return w.action("fails", func(a *incident.Action, s *incident.Step) {
			s.Attempts = 1
			a.Run = func(context.Context, *incident.Scope) (any, error) {
				return nil, incident.Final(errors.New("it cannot"))
			}
		})
	}
	manual := incident.Step{ID: "by-hand", Title: "Do it by hand", Do: incident.Manual{Why: "no program can", Instruction: func(*incident.Scope) string { return "Do it." }}}
	for name, c := range map[string]struct {
		steps  func(w *world) []incident.Step
		before func(b *bench, low string)
		low    incident.Request
		why    string
	}{
		"an action that was made": {steps: func(w *world) []incident.Step { return []incident.Step{w.action("tidy"), gate()} }, why: "it may have changed something (step tidy is done)"},
		"one that has failed":     {steps: func(w *world) []incident.Step { return []incident.Step{fails(w)} }, why: "it may have changed something (step fails is failed)"},
		"what a person did": {
			steps:  func(*world) []incident.Step { return []incident.Step{manual, gate()} },
			before: func(b *bench, low string) { b.answer(low, incident.Answer{Kind: "done"}) }, why: "a person has decided about its step by-hand",
		},
		"a vote": {
			steps: func(w *world) []incident.Step {
				return []incident.Step{gate(func(a *incident.Approve, _ *incident.Step) { a.Min = 2 }), w.action("tidy")}
			},
			before: func(b *bench, low string) { b.answer(low, incident.Answer{Kind: "approve"}) }, why: "somebody has answered its question, or a part of it",
		},
		"one that a person has paused": {
			steps: func(*world) []incident.Step { return []incident.Step{gate()} },
			before: func(b *bench, low string) {
				require.NoError(b.t, b.Pause(b.t.Context(), low, "kim", "wait for me"))
			}, why: "kim has paused it",
		},
		"one that does something": {
			steps: func(*world) []incident.Step {
				return []incident.Step{{ID: "sleep", Title: "Sleep", Do: incident.Sleep{For: time.Hour}}}
			}, why: "it does something",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := new(world)
			queueOf(t, w, func(b *bench, start func(incident.Request) string, way func() incident.Way) {
				low := start(incident.Request{Playbook: "tidy"})
				if c.before != nil {
					c.before(b, low)
				}
				urgent := start(incident.Request{Playbook: "rescue"})
				done := way()
				assert.Equal(t, urgent, done.Urgent.ID)
				assert.Empty(t, done.Aside)
				assert.Equal(t, low, done.Holder.ID)
				assert.Equal(t, c.why, done.Why)
				assert.Equal(t, incident.StateQueued, b.run(urgent).State)
				assert.NotEqual(t, incident.StateCancelled, b.run(low).State)
				require.NoError(t, b.Cancel(b.t.Context(), low, "kim", "not now"))
				assert.Equal(t, incident.StateSucceeded, b.run(urgent).State)
			}, c.steps(w)...)
		})
	}
}

func TestOnlyWhatIsLessSevereMakesWay(t *testing.T) {
	w := new(world)
	queueOf(t, w, func(b *bench, start func(incident.Request) string, way func() incident.Way) {
		first := start(incident.Request{Playbook: "tidy"})
		second := start(incident.Request{Playbook: "tidy"})
		done := way()
		assert.Equal(t, second, done.Urgent.ID)
		assert.Equal(t, first, done.Holder.ID)
		assert.Equal(t, "it is as severe", done.Why)
	}, gate(), w.action("tidy"))
}

// Runs that wait for their turn before the urgent one come after it too. An automatic run
// that may do nothing has done nothing.
func TestWhatHasNotBegunMakesWay(t *testing.T) {
	w := new(world)
	queueOf(t, w, func(b *bench, start func(incident.Request) string, way func() incident.Way) {
		first := start(incident.Request{Playbook: "tidy", Automatic: true})
		assert.Equal(t, "needs a person: Do tidy: automatic actions are not allowed now", b.run(first).Text)
		second := start(incident.Request{Playbook: "tidy"})
		urgent := start(incident.Request{Playbook: "rescue"})
		done := way()
		assert.Equal(t, []string{first, second}, ids(done.Aside))
		assert.Equal(t, incident.StateSucceeded, b.run(urgent).State)
		again := b.run(done.Again[0].ID)
		assert.True(t, again.Automatic)
		assert.Equal(t, incident.StateWaiting, again.State, "it may do nothing still")
		assert.Equal(t, []string{"rescue"}, w.did())
		b.answer(again.ID, incident.Answer{Kind: "retry"})
		assert.Equal(t, incident.StateSucceeded, b.run(done.Again[1].ID).State, "the other one followed it")
		assert.Equal(t, []string{"rescue", "tidy", "tidy"}, w.did())
	}, w.action("tidy"))
}
