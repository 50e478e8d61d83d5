package durable_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
)

// follows waits as a follower does: for a revision that is newer than the last, until a run is
// as it should be.
func follows(t testing.TB, runs incident.Runs, id string, is func(incident.RunRecord) bool) incident.RunRecord {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for revision := int64(-1); ; {
		r, err := runs.Record(ctx, id, revision)
		require.NoError(t, err, "it is not told of the change")
		require.Greater(t, r.Revision, revision)
		if revision = r.Revision; is(r) {
			return r
		}
	}
}

// A process hangs, and it is the only one of its version. Its runs are not abandoned: when it
// goes on, so do they. That it hangs is shown, and who follows a run is told; and so it is
// when it is dead, or there is another one.
//
// Requirement: INC-ASK-DEAD-WORKER
func TestTheOnlyProcessOfAVersionHangs(t *testing.T) {
	t.Parallel()
	const old = "runbook-interp-0"
	p := newPostgres(t)
	as := func(version string, hungAfter time.Duration) *durable.Runs {
		cfg := p.config(t)
		cfg.DeadAfter, cfg.HungAfter = 100*time.Millisecond, hungAfter
		runs, err := durable.OpenAs(t.Context(), cfg, version)
		require.NoError(t, err)
		t.Cleanup(func() { closeRuns(t, runs) })
		require.NoError(t, runs.Launch(t.Context(), awaits()))
		return runs
	}
	before := as(old, 100*time.Hour) // it does not say soon again that it lives, so that it hangs
	start(t, before, incident.RunStart{ID: "one", Lock: "production"})
	until(t, before, "one", waiting)
	start(t, before, incident.RunStart{ID: "queued", Lock: "production"})
	after := as(durable.Version, 2*time.Second)

	r := follows(t, after, "one", func(r incident.RunRecord) bool { return r.Attention != "" })
	assert.Equal(t, incident.RunRunning, r.Status, "it is not stranded: its process is there")
	assert.Contains(t, r.Attention, "process "+before.Process()+", which has it, hangs")
	r = follows(t, after, "queued", func(r incident.RunRecord) bool { return r.Attention != "" })
	assert.Equal(t, incident.RunQueued, r.Status)
	assert.Contains(t, r.Attention, "all that are there hang")
	assert.Empty(t, stranded(t, after))

	// It goes on with its run whenever it can, and is told no more of it then.
	require.NoError(t, after.Signal(t.Context(), "one", "approval", incident.Signal{ID: "1", Kind: "one"}))
	assert.JSONEq(t, `"one"`, string(ends(t, after, "one").Result))
	until(t, after, "queued", waiting)

	last := now(t, after, "queued")
	quiet, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for revision := last.Revision; ; { // what is the same for long is said once
		r, err := after.Record(quiet, "queued", revision)
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		require.NoError(t, err)
		require.LessOrEqual(t, r.Revision, last.Revision+2)
		revision = r.Revision
	}
	before.Die()
	r = follows(t, after, "queued", func(r incident.RunRecord) bool { return r.Status == incident.RunStranded })
	assert.Contains(t, r.Attention, "no process of that version lives")
	again := as(old, time.Hour)
	r = follows(t, after, "queued", func(r incident.RunRecord) bool { return r.Process == again.Process() })
	assert.Empty(t, r.Attention)
}

// Who may change nothing is shown how a run stands, and leaves no trace.
func TestAReadOnlyFollowerWritesNothing(t *testing.T) {
	t.Parallel()
	p := newFile(t)
	db, err := durable.OpenAs(t.Context(), p.config(t), "runbook-interp-0")
	require.NoError(t, err)
	start(t, db, incident.RunStart{ID: "theirs"})
	closeRuns(t, db)
	runs := p.launch(t, awaits())
	first := now(t, runs, "theirs")
	assert.Equal(t, incident.RunStranded, first.Status)
	ctx, cancel := context.WithTimeout(runbook.ReadOnly(t.Context()), 600*time.Millisecond)
	defer cancel()
	_, err = runs.Record(ctx, "theirs", first.Revision)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, first.Revision, now(t, runs, "theirs").Revision)
	next, err := runs.Record(t.Context(), "theirs", first.Revision)
	require.NoError(t, err)
	assert.Equal(t, first.Revision+1, next.Revision, "who may is told that nobody takes it")
}
