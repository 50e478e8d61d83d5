package durable_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
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
	until(t, after, "old", func(r incident.RunRecord) bool {
		return r.Process == again.Process() && r.Status == incident.RunRunning
	})
	assert.Empty(t, stranded(t, after))
	answer(t, after, "old")
	for _, id := range []string{"old-queued", "new-queued"} { // whichever has its turn first
		require.NoError(t, after.Signal(t.Context(), id, "approval", incident.Signal{ID: "1", Kind: id}))
	}
	for _, id := range []string{"old-queued", "new-queued"} {
		assert.JSONEq(t, `"`+id+`"`, string(ends(t, after, id).Result))
	}
	assert.Equal(t, again.Process(), now(t, after, "old-queued").Process)
	assert.Equal(t, after.Process(), now(t, after, "new-queued").Process)
}

// late is a process that sees that another one is dead, and gets no further: it is about
// to have the lock of that one, under which it takes the runs over, until it is let go.
type late struct {
	once       sync.Once
	about, had chan struct{} // closed when it is about to have the lock, and when it had it
	let        chan struct{}
}

type lateLock struct{}

// TraceQueryStart implements [pgx.QueryTracer].
func (l *late) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	if !strings.Contains(q.SQL, "pg_try_advisory_xact_lock") {
		return ctx
	}
	l.once.Do(func() {
		ctx = context.WithValue(ctx, lateLock{}, true)
		close(l.about)
		<-l.let
	})
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (l *late) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, end pgx.TraceQueryEndData) {
	if ctx.Value(lateLock{}) != nil && end.Err == nil {
		close(l.had)
	}
}

// A process dies, and two see it. One is slow: when it has the lock of the dead one, the
// other has taken its runs over, and one of them has come to its end. It lists them again
// under the lock, and takes neither.
//
// Requirement: INC-TRAP-3
func TestTrapFailover(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	var ended, waits atomic.Int64 // how often the one came to its end, and the other began
	programs := program(func(ctx context.Context, e incident.Engine, run incident.RunStart) (any, error) {
		if run.ID == "waits" {
			waits.Add(1)
			s, err := e.Await(ctx, "ask", "approval", time.Time{})
			return s.Kind, err
		}
		out, err := e.Steps(ctx, []incident.Call{{ID: "a", Intent: true, Do: func(ctx context.Context, interrupted []incident.Attempt) incident.Outcome {
			if len(interrupted) == 0 {
				<-ctx.Done() // until its process dies
			}
			return incident.Outcome{Status: incident.Done}
		}}})
		if err == nil {
			ended.Add(1)
		}
		return out, err
	})
	open := func(dead time.Duration, pool *pgxpool.Pool) *durable.Runs {
		cfg := p.config(t)
		if cfg.DeadAfter = dead; pool != nil {
			cfg.URL, cfg.Pool = runbook.Secret{}, pool
		}
		runs, err := durable.Open(t.Context(), cfg)
		require.NoError(t, err)
		t.Cleanup(func() { closeRuns(t, runs) })
		require.NoError(t, runs.Launch(t.Context(), programs))
		return runs
	}
	dying := open(time.Hour, nil)
	start(t, dying, incident.RunStart{ID: "ends"})
	start(t, dying, incident.RunStart{ID: "waits"})
	until(t, dying, "waits", waiting)
	until(t, dying, "ends", func(r incident.RunRecord) bool { return len(r.Open) == 1 })

	config, err := pgxpool.ParseConfig(p.url)
	require.NoError(t, err)
	l := &late{about: make(chan struct{}), had: make(chan struct{}), let: make(chan struct{})}
	config.ConnConfig.Tracer = l
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	slow := open(time.Millisecond, pool)
	dying.Die()
	<-l.about
	quick := open(time.Millisecond, nil)
	isTaken := func(r incident.RunRecord) bool { return r.Process != dying.Process() }
	until(t, quick, "ends", func(r incident.RunRecord) bool { return r.Status == incident.RunFinished })
	before := until(t, quick, "waits", func(r incident.RunRecord) bool { return isTaken(r) && waits.Load() == 2 })
	close(l.let)
	select {
	case <-l.had:
	case <-time.After(time.Minute):
		t.Fatal("it had no lock")
	}
	time.Sleep(sweepsEvery) // longer than a run that was given back waits in its queue
	assert.EqualValues(t, 2, waits.Load(), "it began once more when its process died, and not again")
	assert.Equal(t, before, now(t, slow, "waits"))
	assert.Empty(t, replica(t, slow, dying.Process()).Runs)
	assert.Equal(t, incident.RunFinished, now(t, slow, "ends").Status)
	assert.EqualValues(t, 1, ended.Load())
	answer(t, slow, "waits")
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
