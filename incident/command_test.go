package incident_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// A fork that is asked for twice, since an answer was lost or a button was pressed twice,
// is one run, and what it does is done once.
func TestAForkIsMadeOnce(t *testing.T) {
	w := new(world)
	act := w.action("b", w.fails("b", errors.New("no")), func(_ *incident.Action, s *incident.Step) { s.OnFailure = incident.Abort })
	inBubble(t, func(b *bench) {
		ctx := b.t.Context()
		id := b.start(incident.Request{})
		first, err := b.Fork(ctx, id, "b", "kim", "fixed")
		require.NoError(t, err)
		again, err := b.Fork(ctx, id, "b", "kim", "fixed")
		require.NoError(t, err)
		assert.Equal(t, first.ID, again.ID)
		assert.Equal(t, incident.StateSucceeded, b.run(first.ID).State)
		assert.Equal(t, []string{"a", "b fails", "b", "c"}, w.did())
		_, err = b.Fork(ctx, id, "b", "lee", "me too")
		require.ErrorIs(t, err, incident.ErrStale)
		assert.ErrorContains(t, err, "it was forked from step b before, as run "+first.ID)
	}, playbook(w.action("a"), act, w.action("c")))
}

// A run of another program, such as an escalation, is no business of the runner.
func TestARunOfAnotherProgramIsNone(t *testing.T) {
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	r, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{playbook(gate())}, Runs: runs, Store: new(incident.MemoryStore)})
	require.NoError(t, err)
	wait := func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		_, err := e.Await(ctx, "wait", "topic", run.At.AddDate(1, 0, 0))
		return nil, err
	}
	ctx := t.Context()
	require.NoError(t, runs.Launch(ctx, map[string]incident.Program{"escalation": wait}))
	defer func() { require.NoError(t, runs.Close(context.WithoutCancel(ctx))) }()
	_, err = runs.Start(ctx, incident.RunStart{ID: "calls-people", Program: "escalation"})
	require.NoError(t, err)
	_, err = r.Run(ctx, "calls-people")
	for _, err := range []error{
		err, r.Cancel(ctx, "calls-people", "kim", "noise"), r.Pause(ctx, "calls-people", "kim", "noise"),
		r.Answer(ctx, "calls-people", "q", incident.Answer{Kind: incident.AnswerAbort, Actor: "kim", Comment: "x"}),
	} {
		require.ErrorIs(t, err, incident.ErrNotFound)
	}
	record, err := runs.Record(ctx, "calls-people", -1)
	require.NoError(t, err)
	assert.False(t, record.Status.Ended(), "people are still called")
}

// The same request again, since its answer was lost, is one command in the audit record.
func TestAStartThatIsRepeatedIsRecordedOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		for range 2 {
			assert.Equal(t, "run-1", b.start(incident.Request{ID: "run-1"}))
		}
		n := 0
		for e, err := range b.store.Entries(b.t.Context(), "audit", 0) {
			require.NoError(t, err)
			if e.Kind == "run started" {
				n++
			}
		}
		assert.Equal(t, 1, n)
		_, err := b.Start(b.t.Context(), incident.Request{ID: "run-1", Playbook: "restart", Environment: "production", By: "lee"})
		require.ErrorIs(t, err, incident.ErrStale)
	}, playbook(gate()))
}
