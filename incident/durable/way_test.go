package durable_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// A run that only waits for a person makes way for a more severe one, and begins again after
// it; on PostgreSQL also if the one that makes way is carried out by another process than
// the one that puts it aside.
func TestMakeWay(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p place) {
		var mu sync.Mutex
		var did []string
		act := func(name string) incident.Step {
			return incident.Step{ID: name, Title: "Do " + name, Do: incident.Action{
				Run: func(context.Context, *incident.Scope) (any, error) {
					mu.Lock()
					defer mu.Unlock()
					did = append(did, name)
					return nil, nil
				},
				Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
					return incident.Effect{Call: name}, nil
				},
			}}
		}
		ask := incident.Step{ID: "ask", Title: "May it go on?", Do: incident.Approve{Question: func(*incident.Scope) string { return "May it?" }}}
		all := []incident.Playbook{
			{Name: "tidy", Title: "Tidy up", Environment: "production", Severity: alert.Low, Steps: []incident.Step{ask, act("tidy")}},
			{Name: "rescue", Title: "Rescue", Environment: "production", Severity: alert.Critical, Steps: []incident.Step{act("rescue")}},
		}
		store := new(incident.MemoryStore)
		host := func() *incident.Runner {
			runs := p.open(t)
			r, err := incident.NewRunner(incident.RunnerConfig{Playbooks: all, Runs: runs, Store: store})
			require.NoError(t, err)
			require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: r.Program()}))
			return r
		}
		first := host()
		second := first
		if p.url != "" { // a file has one process at a time
			second = host()
		}
		reaches := func(id string, state incident.RunState) (run incident.Run) {
			t.Helper()
			require.Eventually(t, func() bool {
				var err error
				run, err = second.Run(t.Context(), id)
				return err == nil && run.State == state
			}, 30*time.Second, 20*time.Millisecond, "%s: %s", id, run.Text)
			return run
		}
		_, err := first.Start(t.Context(), incident.Request{ID: "low", Environment: "production", Playbook: "tidy", By: "jane"})
		require.NoError(t, err)
		reaches("low", incident.StateWaiting)
		_, err = second.Start(t.Context(), incident.Request{ID: "urgent", Environment: "production", Playbook: "rescue", By: "jane"})
		require.NoError(t, err)
		way, err := second.MakeWay(t.Context(), "production")
		require.NoError(t, err)
		require.Len(t, way.Again, 1)
		reaches("urgent", incident.StateSucceeded)
		assert.Equal(t, incident.StateCancelled, reaches("low", incident.StateCancelled).State)
		again := reaches(way.Again[0].ID, incident.StateWaiting)
		require.NoError(t, first.Answer(t.Context(), again.ID, again.Question.ID, incident.Answer{Kind: incident.AnswerApprove, Actor: "kim", Plan: again.Question.Plan}))
		reaches(again.ID, incident.StateSucceeded)
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, []string{"rescue", "tidy"}, did)
	})
}
