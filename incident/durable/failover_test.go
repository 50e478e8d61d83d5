package durable_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
)

// Two builds whose versions differ share a database, as they do while one replaces the
// other. Neither takes the runs of the other, none is stranded while both live, and a run
// waits for a lock that one of the other version has. When the old one dies, its runs are
// stranded, which is said, until there is a process of their version again.
//
// Requirement: INC-TRAP-1
func TestTrapTwoVersions(t *testing.T) {
	t.Parallel()
	const old = "runbook-interp-0"
	p := newPostgres(t)
	as := func(version string) *durable.Runs {
		cfg := p.config(t)
		cfg.DeadAfter = 100 * time.Millisecond
		runs, err := durable.OpenAs(t.Context(), cfg, version)
		require.NoError(t, err)
		t.Cleanup(func() { closeRuns(t, runs) })
		require.NoError(t, runs.Launch(t.Context(), awaits()))
		return runs
	}
	before, after := as(old), as(durable.Version)
	start(t, before, incident.RunStart{ID: "old", Lock: "production"})
	until(t, before, "old", waiting)
	start(t, before, incident.RunStart{ID: "old-queued", Lock: "production"})
	start(t, after, incident.RunStart{ID: "new"})
	until(t, after, "new", waiting)
	start(t, after, incident.RunStart{ID: "new-queued", Lock: "production"})

	time.Sleep(2 * sweepsEvery) // both look at everything more than once
	for name, runs := range map[string]*durable.Runs{"before": before, "after": after} {
		for id, process := range map[string]string{"old": before.Process(), "new": after.Process()} {
			r := now(t, runs, id)
			assert.Equal(t, incident.RunRunning, r.Status, "run %s, seen from %s", id, name)
			assert.Equal(t, process, r.Process, "run %s, seen from %s", id, name)
			assert.Empty(t, r.Attention, "run %s, seen from %s", id, name)
			assert.Len(t, r.Waits, 1, "run %s, seen from %s", id, name)
		}
		for _, id := range []string{"old-queued", "new-queued"} {
			assert.Equal(t, incident.RunQueued, now(t, runs, id).Status, "run %s, seen from %s", id, name)
		}
		assert.Empty(t, stranded(t, runs), "seen from %s", name)
	}
	_, err := after.TakeOver(t.Context(), before.Process(), incident.Control{By: "grace"})
	require.Error(t, err, "it lives")

	before.Die()
	r := until(t, after, "old", func(r incident.RunRecord) bool { return r.Status == incident.RunStranded })
	assert.Equal(t, "it was begun by version runbook-interp-0, and no process of that version lives; this one is "+durable.Version+
		", and cannot go on with it: start a process of that version, or cancel the run and fork it", r.Attention)
	time.Sleep(2 * sweepsEvery)
	assert.Equal(t, []string{"old-queued", "old"}, stranded(t, after), "and nobody took them")
	assert.Equal(t, before.Process(), now(t, after, "old").Process)
	answer(t, after, "new")

	again := as(old)
	until(t, after, "old", func(r incident.RunRecord) bool { return r.Process == again.Process() && r.Status == incident.RunRunning })
	assert.Empty(t, stranded(t, after))
	for _, id := range []string{"old", "old-queued", "new-queued"} {
		answer(t, after, id)
	}
	assert.Equal(t, again.Process(), now(t, after, "old-queued").Process)
	assert.Equal(t, after.Process(), now(t, after, "new-queued").Process)
}

// sweepsEvery is how often a process looks at what it has, and longer than it looks at the
// others.
const sweepsEvery = 2 * time.Second

// now returns a run as it is.
func now(t testing.TB, runs incident.Runs, id string) incident.RunRecord {
	t.Helper()
	return until(t, runs, id, func(incident.RunRecord) bool { return true })
}

// stranded returns the runs that nobody takes, the newest first.
func stranded(t testing.TB, runs incident.Runs) (ids []string) {
	t.Helper()
	for r, err := range runs.List(t.Context(), incident.RunQuery{Statuses: []incident.RunStatus{incident.RunStranded}}) {
		require.NoError(t, err)
		ids = append(ids, r.ID)
	}
	return ids
}

// answer lets a run that waits for a person come to its end.
func answer(t testing.TB, runs incident.Runs, id string) {
	t.Helper()
	until(t, runs, id, waiting)
	require.NoError(t, runs.Signal(t.Context(), id, "approval", incident.Signal{ID: "1", Kind: id}))
	r := ends(t, runs, id)
	assert.Equal(t, incident.RunFinished, r.Status, r.Error)
	assert.JSONEq(t, `"`+id+`"`, string(r.Result))
}
