package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
)

// program makes a program of a func.
func program(f func(ctx context.Context, e incident.Engine, run incident.RunStart) (any, error)) map[string]incident.Program {
	return map[string]incident.Program{"p": func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		v, err := f(ctx, e, run)
		if err != nil {
			return nil, err
		}
		return json.Marshal(v)
	}}
}

func done(id incident.StepID) incident.Call {
	return incident.Call{ID: id, Do: func(context.Context, []incident.Attempt) incident.Outcome {
		return incident.Outcome{Status: incident.Done}
	}}
}

// awaits is a program that waits for a person.
func awaits() map[string]incident.Program {
	return program(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (any, error) {
		s, err := e.Await(ctx, "ask", "approval", time.Time{})
		return s.Kind, err
	})
}

func start(t testing.TB, runs incident.Runs, run incident.RunStart) {
	t.Helper()
	run.Program = "p"
	_, err := runs.Start(t.Context(), run)
	require.NoError(t, err)
}

func waiting(r incident.RunRecord) bool { return len(r.Waits) > 0 }

// A new build of the same version takes up what the last one left. A run of another
// version is not taken, and that is said, in words; it can be cancelled and forked.
//
// Requirement: INC-TRAP-1
func TestTrapVersion(t *testing.T) {
	t.Parallel()
	p := newFile(t)
	runs := p.launch(t, awaits())
	start(t, runs, incident.RunStart{ID: "ours"})
	start(t, runs, incident.RunStart{ID: "theirs"})
	until(t, runs, "theirs", waiting)
	until(t, runs, "ours", waiting)
	closeRuns(t, runs)
	db, err := sqlitefile.Open(t.Context(), p.file)
	require.NoError(t, err)
	for _, statement := range []string{
		"UPDATE workflow_status SET application_version = 'runbook-interp-0' WHERE workflow_uuid = 'theirs'",
		"UPDATE runbook_runs SET version = 'runbook-interp-0' WHERE id = 'theirs'",
	} {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())

	runs = p.launch(t, awaits())
	require.NoError(t, runs.Signal(t.Context(), "ours", "approval", incident.Signal{ID: "1", Kind: "approve"}))
	assert.JSONEq(t, `"approve"`, string(ends(t, runs, "ours").Result))
	r := until(t, runs, "theirs", func(incident.RunRecord) bool { return true })
	assert.Equal(t, incident.RunStranded, r.Status)
	assert.Contains(t, r.Attention, "runbook-interp-0")
	var stranded []string
	for r, err := range runs.List(t.Context(), incident.RunQuery{Statuses: []incident.RunStatus{incident.RunStranded}}) {
		require.NoError(t, err)
		stranded = append(stranded, r.ID)
	}
	assert.Equal(t, []string{"theirs"}, stranded)
	require.NoError(t, runs.Cancel(t.Context(), "theirs", incident.Control{By: "grace"}))
	_, err = runs.Fork(t.Context(), "theirs", "ask", incident.RunFork{ID: "fork", By: "grace"})
	require.NoError(t, err)
	require.NoError(t, runs.Signal(t.Context(), "fork", "approval", incident.Signal{ID: "1", Kind: "deny"}))
	assert.JSONEq(t, `"deny"`, string(ends(t, runs, "fork").Result))
}

// DBOS lets environment variables override its settings, so that processes would take
// each other's runs, or strand their own. That is refused.
//
// Requirement: INC-TRAP-1, INC-TRAP-2
func TestTrapEnvironment(t *testing.T) {
	for _, name := range []string{"DBOS__APPVERSION", "DBOS__VMID"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "local")
			p := newFile(t)
			_, err := durable.Open(t.Context(), p.config(t))
			require.ErrorContains(t, err, name)
			db, err := sqlitefile.Open(t.Context(), p.file)
			require.NoError(t, err, "the file is free again")
			require.NoError(t, db.Close())
		})
	}
}

// Each process has a name of its own, also those with the same settings; a second one
// does not touch the runs of the first.
//
// Requirement: INC-TRAP-2
func TestTrapExecutors(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	first := p.launch(t, awaits())
	start(t, first, incident.RunStart{ID: "r"})
	r := until(t, first, "r", waiting)
	second := p.launch(t, awaits())
	assert.NotEqual(t, first.Process(), second.Process())
	time.Sleep(time.Second)
	again := until(t, second, "r", waiting)
	assert.Equal(t, r.Waits, again.Waits, "nothing happened to it")
	assert.Empty(t, again.Attention)
	assert.Equal(t, first.Process(), again.Process)
	require.NoError(t, second.Signal(t.Context(), "r", "approval", incident.Signal{ID: "1", Kind: "approve"}))
	assert.Equal(t, first.Process(), ends(t, second, "r").Process)
}

// The input of a run, which holds the plan, is what it was at the start. A run whose
// program the process does not know pauses, says so, and goes on where it is known.
//
// Requirement: INC-TRAP-4
func TestTrapSnapshot(t *testing.T) {
	t.Parallel()
	p := newFile(t)
	plan := `{"steps": ["a", "b"], "note": "<&>"}`
	runs := p.open(t)
	start(t, runs, incident.RunStart{ID: "r", Input: json.RawMessage(plan)})
	require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{"another": awaits()["p"]}))
	r := until(t, runs, "r", func(r incident.RunRecord) bool { return r.Status == incident.RunStranded })
	assert.Contains(t, r.Attention, `no program "p"`)
	closeRuns(t, runs)

	runs = p.launch(t, program(func(_ context.Context, _ incident.Engine, run incident.RunStart) (any, error) {
		return string(run.Input), nil
	}))
	r = ends(t, runs, "r")
	require.Equal(t, incident.RunFinished, r.Status, r.Error)
	var input string
	require.NoError(t, json.Unmarshal(r.Result, &input))
	assert.JSONEq(t, plan, input)
}

// What a program decides by is the same after a restart: the code, the message and the
// rest of an outcome are data, and are not lost as the types of errors are.
//
// Requirement: INC-TRAP-5
func TestTrapErrorsAreData(t *testing.T) {
	t.Parallel()
	p := newFile(t)
	var calls atomic.Int64
	programs := program(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (any, error) {
		out, err := e.Steps(ctx, []incident.Call{{ID: "a", Do: func(context.Context, []incident.Attempt) incident.Outcome {
			calls.Add(1)
			return incident.Outcome{Status: incident.Failed, Code: "not-permitted", Message: "a token of another project", Unsent: true, Output: json.RawMessage(`{"tried":1}`)}
		}}})
		if err != nil {
			return nil, err
		}
		_, err = e.Await(ctx, "ask", "approval", time.Time{})
		return out[0], err
	})
	runs := p.launch(t, programs)
	start(t, runs, incident.RunStart{ID: "r"})
	before := until(t, runs, "r", waiting).Entries[0].Outcome
	closeRuns(t, runs)
	runs = p.launch(t, programs)
	require.NoError(t, runs.Signal(t.Context(), "r", "approval", incident.Signal{ID: "1"}))
	var after incident.Outcome
	require.NoError(t, json.Unmarshal(ends(t, runs, "r").Result, &after))
	assert.Equal(t, *before, after)
	assert.Equal(t, "not-permitted", after.Code)
	assert.True(t, after.Unsent)
	assert.EqualValues(t, 1, calls.Load())
}

// What a call with an intent is about to do is on record while it does it, with who does.
//
// Requirement: INC-TRAP-6
func TestTrapIntent(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p place) {
		var runs *durable.Runs
		var during incident.RunRecord
		runs = p.launch(t, program(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (any, error) {
			_, err := e.Steps(ctx, []incident.Call{{ID: "a", Intent: true, Do: func(ctx context.Context, interrupted []incident.Attempt) incident.Outcome {
				var err error
				if during, err = runs.Record(ctx, "r", -1); err != nil || len(interrupted) > 0 {
					return incident.Outcome{Status: incident.Failed}
				}
				return incident.Outcome{Status: incident.Done}
			}}})
			return nil, err
		}))
		start(t, runs, incident.RunStart{ID: "r"})
		r := ends(t, runs, "r")
		require.Equal(t, incident.Done, entry(r, "a").Outcome.Status)
		require.Len(t, during.Open, 1)
		assert.Equal(t, incident.StepID("a"), during.Open[0].Step)
		assert.Equal(t, runs.Process(), during.Open[0].Process)
		assert.Empty(t, r.Open)
	})
}

// A database that does not keep what it commits is refused.
//
// Requirement: INC-TRAP-7
func TestTrapDurability(t *testing.T) {
	t.Parallel()
	db := sqlite(t, "file:"+filepath.Join(t.TempDir(), "x.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
	_, err := durable.Open(t.Context(), durable.Config{DB: db})
	require.ErrorContains(t, err, "would not keep what it commits")
}

// As many runs as are meant to wait in one process do, and each goes on when it is told.
//
// Requirement: INC-TRAP-8
func TestTrapManyWait(t *testing.T) {
	t.Parallel()
	runs := newFile(t).launch(t, awaits())
	n := 100
	for i := range n {
		start(t, runs, incident.RunStart{ID: fmt.Sprint("r", i)})
	}
	for i := range n {
		until(t, runs, fmt.Sprint("r", i), waiting)
	}
	for i := range n {
		require.NoError(t, runs.Signal(t.Context(), fmt.Sprint("r", i), "approval", incident.Signal{ID: "1", Kind: fmt.Sprint(i)}))
	}
	for i := range n {
		assert.JSONEq(t, fmt.Sprintf("%q", fmt.Sprint(i)), string(ends(t, runs, fmt.Sprint("r", i)).Result))
	}
}

// A call whose own time ran out has that as its outcome, and the run goes on; a run that
// was cancelled does not, whatever its program makes of the error.
//
// Requirement: INC-TRAP-9
func TestTrapCancelled(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	var more atomic.Int64
	runs := newFile(t).launch(t, program(func(ctx context.Context, e incident.Engine, run incident.RunStart) (any, error) {
		out, err := e.Steps(ctx, []incident.Call{{ID: "slow", Do: func(ctx context.Context, _ []incident.Attempt) incident.Outcome {
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			<-ctx.Done()
			return incident.Outcome{Status: incident.Unknown, Code: "timeout"}
		}}})
		if err != nil {
			return nil, err
		}
		if run.ID == "cancelled" {
			_, err := e.Steps(ctx, []incident.Call{{ID: "long", Do: func(ctx context.Context, _ []incident.Attempt) incident.Outcome {
				close(begun)
				<-ctx.Done()
				return incident.Outcome{Status: incident.Done}
			}}})
			if err == nil || !errors.Is(err, context.Canceled) {
				t.Errorf("error %v; want that it was cancelled", err)
			}
			_, _ = e.Steps(ctx, []incident.Call{{ID: "more", Do: func(context.Context, []incident.Attempt) incident.Outcome { // swallows the error
				more.Add(1)
				return incident.Outcome{Status: incident.Done}
			}}})
		}
		return out[0].Code, nil
	}))
	start(t, runs, incident.RunStart{ID: "r"})
	start(t, runs, incident.RunStart{ID: "cancelled"})
	assert.JSONEq(t, `"timeout"`, string(ends(t, runs, "r").Result))
	<-begun
	require.NoError(t, runs.Cancel(t.Context(), "cancelled", incident.Control{By: "grace"}))
	r := ends(t, runs, "cancelled")
	assert.Equal(t, incident.RunCancelled, r.Status)
	closeRuns(t, runs)
	assert.Zero(t, more.Load())
	assert.Nil(t, r.Result)
}

// The engine is of one version, and of it only the free package is used.
//
// Requirement: INC-TRAP-10
func TestTrapPinned(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	assert.Contains(t, string(mod), "github.com/dbos-inc/dbos-transact-golang v1.8.0\n", "another version needs all tests of this package, and a look at what became commercial")
	assert.NotContains(t, string(mod), "dbos-enterprise")
	for _, folder := range []string{".", "sqlitefile"} {
		files, err := filepath.Glob(folder + "/*.go")
		require.NoError(t, err)
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			require.NoError(t, err)
			for _, i := range f.Imports {
				path := strings.Trim(i.Path.Value, `"`)
				if strings.Contains(path, "dbos") && path != "github.com/dbos-inc/dbos-transact-golang/dbos" && path != "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite" {
					t.Errorf("%s imports %s", file, path)
				}
				if strings.Contains(path, "sqlite") && folder == "." && !strings.HasSuffix(file, "_test.go") {
					t.Errorf("%s imports %s: who keeps runs in PostgreSQL would link SQLite", file, path)
				}
			}
		}
	}
	var _ dbos.Config // it is the one that is linked
}

// A database on a server that the host watches is refused, by whatever name, unless a
// person confirmed it. A file always works.
//
// Requirement: INC-CRASH-STATE-ELSEWHERE
func TestStateElsewhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url, watched string
		refused      bool
	}{
		"the same":             {"postgres://u:secret@db.invalid:5433/x", "db.invalid:5433", true},
		"the standard port":    {"postgres://u:secret@db.invalid/x", "DB.invalid", true},
		"this machine":         {"postgres://u:secret@127.0.0.1:1/x", "localhost:1", true},
		"a socket":             {"host=/var/run/postgresql port=1 user=u dbname=x", "127.0.0.1:1", true},
		"IPv6":                 {"postgres://u:secret@[::1]:1/x", "[0:0::1]:1", true},
		"one of several hosts": {"postgres://u:secret@other.invalid:1,db.invalid:2/x", "db.invalid:2", true},
		"another port":         {"postgres://u:secret@127.0.0.1:1/x", "127.0.0.1:2", false},
		"another host":         {"postgres://u:secret@127.0.0.1:1/x", "db.invalid:1", false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			cfg := durable.Config{URL: runbook.NewSecret(c.url), Watched: []string{"elsewhere.invalid", c.watched}}
			_, err := durable.Open(ctx, cfg)
			require.Error(t, err, "there is no server")
			assert.Equal(t, c.refused, errors.Is(err, durable.ErrWatched), "%v", err)
			assert.NotContains(t, err.Error(), "secret")
			cfg.ConfirmedBy = "grace"
			_, err = durable.Open(ctx, cfg)
			assert.NotErrorIs(t, err, durable.ErrWatched)
		})
	}
	cfg := newFile(t).config(t)
	cfg.Watched = []string{"localhost", "127.0.0.1"}
	runs, err := durable.Open(t.Context(), cfg)
	require.NoError(t, err)
	closeRuns(t, runs)
}

// The clock on the wall jumps forwards, as it does when a machine has slept: what should
// have ended by now does. It jumps back: a wait does not end before its time, nor twice.
//
// Requirement: INC-CRASH-CLOCK
func TestClockJumps(t *testing.T) {
	t.Parallel()
	var at time.Time
	runs := newFile(t).launch(t, program(func(ctx context.Context, e incident.Engine, run incident.RunStart) (any, error) {
		if err := e.Sleep(ctx, "sleep", run.At.Add(time.Hour)); err != nil {
			return nil, err
		}
		s, err := e.Await(ctx, "ask", "approval", run.At.Add(2*time.Hour))
		if err != nil {
			return nil, err
		}
		return s.Expired, e.Sleep(ctx, "again", run.At.Add(3*time.Hour))
	}))
	at = time.Now()
	start(t, runs, incident.RunStart{ID: "r", At: at})
	on := func(id incident.StepID) func(incident.RunRecord) bool {
		return func(r incident.RunRecord) bool { return len(r.Waits) == 1 && r.Waits[0].ID == id }
	}
	until(t, runs, "r", on("sleep"))
	runs.Jump(-24 * time.Hour)
	time.Sleep(100 * time.Millisecond)
	until(t, runs, "r", on("sleep"))
	runs.Jump(25*time.Hour + time.Minute)
	r := until(t, runs, "r", on("ask"))
	assert.True(t, r.Entries[0].Slept.Equal(at.Add(time.Hour).Truncate(time.Microsecond)), "%v", r.Entries[0].Slept)
	runs.Jump(-2 * time.Hour)
	time.Sleep(100 * time.Millisecond)
	require.Len(t, until(t, runs, "r", on("ask")).Entries, 1, "the sleep is over, and is not repeated")
	runs.Jump(24 * time.Hour)
	r = ends(t, runs, "r")
	assert.JSONEq(t, "true", string(r.Result))
	assert.Len(t, r.Entries, 3)
}
