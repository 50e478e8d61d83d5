package playbooks_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// A rollback that waited for a person is not made any more when somebody has deployed
// another version meanwhile: that may be what mends it.
func TestARollbackThatWaitedDoesNotUndoTheFix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		h := newHouse(t)
		h.platform.Deploy(incident.Deployment{Commit: "bad0bad", Status: incident.DeploymentSucceeded, CanRollback: true})
		time.Sleep(5 * time.Minute)
		h.downUntil(func() bool { return h.runs("f1f1f1f") })
		runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
		r, err := incident.NewRunner(incident.RunnerConfig{
			Playbooks: []incident.Playbook{playbooks.ApplicationDown(h.Environment)}, Runs: runs, Store: new(incident.MemoryStore),
			Permit: func(context.Context, incident.AutomaticAction) error { return errors.New("over budget") },
		})
		require.NoError(t, err)
		require.NoError(t, runs.Launch(ctx, map[string]incident.Program{incident.PlaybookProgram: r.Program()}))
		defer func() { require.NoError(t, runs.Close(context.WithoutCancel(ctx))) }()
		_, err = r.Start(ctx, incident.Request{ID: "x", Environment: "production", Playbook: "application-down", Automatic: true})
		require.NoError(t, err)
		asked := func() incident.Run {
			synctest.Wait()
			time.Sleep(time.Minute)
			run, err := r.Run(ctx, "x")
			require.NoError(t, err)
			require.NotNil(t, run.Question, "%s", run.Text)
			return run
		}
		run := asked()
		for ; run.Question.Step != "roll-back"; run = asked() {
			require.NoError(t, r.Answer(ctx, "x", run.Question.ID, incident.Answer{Kind: "retry", Actor: "kim"}))
		}
		h.platform.Deploy(incident.Deployment{Commit: "f1f1f1f", Message: "the fix", Status: incident.DeploymentSucceeded, CanRollback: true})
		require.NoError(t, r.Answer(ctx, "x", run.Question.ID, incident.Answer{Kind: "retry", Actor: "kim"}))
		run = asked()
		assert.Contains(t, run.Question.Text, "somebody has deployed another version since")
		assert.True(t, h.runs("f1f1f1f"), "the fix runs")
		require.NoError(t, r.Cancel(ctx, "x", "kim", "enough"))
	})
}
