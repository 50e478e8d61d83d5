package durable_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
	"go.acu.edu.au/runbook/internal/services"
)

// A kill at each point of a call with an intent leads to what is stated: right after the
// intent the call is told of it, and finds nothing done; after the effect and before the
// result it is told, and finds it done; after the result it is not made again.
//
// Requirement: INC-CRASH-KILL-POINTS, INC-TRAP-6, INC-TRAP-3
func TestKillPoints(t *testing.T) {
	t.Parallel()
	for point, want := range map[string][]int{ // how often the call was interrupted, by effect
		"after-intent": {1}, "after-effect": {0}, "after-result": {0},
	} {
		t.Run(point, func(t *testing.T) {
			places(t, func(t *testing.T, p place) {
				k := p.task(t)
				k.Steps, k.Start, k.Point, k.PointRun = 6, []string{"work-0"}, point, "work-0"
				k.begin(t).died()
				after := k
				after.Point, after.PointRun = "", ""
				runs := p.launch(t, map[string]incident.Program{"work": (&killed{task: after}).work})
				r := ends(t, runs, "work-0")
				require.Equal(t, incident.RunFinished, r.Status, r.Error)
				var got []int
				for _, e := range effects(k.Effects) {
					if e.step == "004" {
						got = append(got, e.interrupted)
					}
				}
				assert.Equal(t, want, got)
				outcome := entry(r, "004").Outcome
				require.NotNil(t, outcome)
				assert.Equal(t, point == "after-effect", outcome.Message != "", "whether it found that it was done")
			})
		})
	}
}

func entry(r incident.RunRecord, id incident.StepID) incident.RunEntry {
	for _, e := range r.Entries {
		if e.ID == id {
			return e
		}
	}
	return incident.RunEntry{}
}

// twoReplicas begins a process with one run, whose calls take long, and one of our own.
func twoReplicas(t *testing.T) (k task, other *child, runs *durable.Runs) {
	p := newPostgres(t)
	k = p.task(t)
	k.Steps, k.Slow, k.Start, k.HungAfter = 3, 5*time.Second, []string{"work-0"}, 3*time.Second
	other = k.begin(t).wait()
	require.Eventually(t, func() bool { return len(effects(k.Effects)) == 1 }, 30*time.Second, 10*time.Millisecond, "its first call is under way")
	ours := k
	ours.Slow = 0
	cfg := p.config(t)
	cfg.HungAfter, cfg.DeadAfter = k.HungAfter, 500*time.Millisecond
	runs, err := durable.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { closeRuns(t, runs) })
	require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{"work": (&killed{task: ours}).work}))
	return k, other, runs
}

// Of two processes one is killed, and the other goes on with its run, without anybody.
//
// Requirement: INC-TRAP-3, INC-CRASH-TWO-PROCESSES
// Requirement: INC-ASK-DEAD-WORKER
func TestReplicaDies(t *testing.T) {
	k, other, runs := twoReplicas(t)
	other.kill()
	began := time.Now()
	r := until(t, runs, "work-0", func(r incident.RunRecord) bool { return r.Process == runs.Process() })
	t.Logf("taken over %v after the kill", time.Since(began).Round(time.Millisecond))
	r = ends(t, runs, "work-0")
	assert.Equal(t, incident.RunFinished, r.Status, r.Error)
	got := effects(k.Effects)
	require.Len(t, got, 3, "the call that was under way looked, and found that it was done")
	assert.Equal(t, []string{"000", "001", "002"}, []string{got[0].step, got[1].step, got[2].step})
	assert.Empty(t, r.Attention)
}

// A process hangs. That is shown, nobody takes its run, and only a person may have it
// taken over, by name. When the process goes on, what it did and reports is refused; that
// it may have happened twice is said.
//
// Requirement: INC-CRASH-HANG, INC-CRASH-ZOMBIE
func TestReplicaHangs(t *testing.T) {
	k, other, runs := twoReplicas(t)
	_, err := runs.TakeOver(t.Context(), other.name, incident.Control{By: "grace"})
	require.ErrorIs(t, err, incident.ErrStale, "it lives")
	require.NoError(t, other.cmd.Process.Signal(syscall.SIGSTOP))
	require.Eventually(t, func() bool { return replica(t, runs, other.name).State == "hung" }, 20*time.Second, 50*time.Millisecond)
	r := until(t, runs, "work-0", func(r incident.RunRecord) bool { return r.Attention != "" })
	assert.Contains(t, r.Attention, "hangs")
	assert.Equal(t, []string{"work-0"}, replica(t, runs, other.name).Runs)
	time.Sleep(2 * k.HungAfter)
	assert.Equal(t, incident.RunRunning, until(t, runs, "work-0", func(incident.RunRecord) bool { return true }).Status, "nobody takes it by himself")

	_, err = runs.TakeOver(t.Context(), other.name, incident.Control{})
	require.Error(t, err, "a person decides, by name")
	taken, err := runs.TakeOver(t.Context(), other.name, incident.Control{By: "grace", Reason: "the machine is frozen"})
	require.NoError(t, err)
	require.Len(t, taken, 1)
	assert.Contains(t, taken[0].Attention, "grace")
	assert.Contains(t, taken[0].Attention, "twice")
	require.Len(t, taken[0].Open, 1, "what it was doing")
	assert.Equal(t, other.name, taken[0].Open[0].Process)

	r = ends(t, runs, "work-0")
	assert.Equal(t, incident.RunFinished, r.Status, r.Error)
	require.NoError(t, other.cmd.Process.Signal(syscall.SIGCONT))
	require.Eventually(t, func() bool {
		return strings.Contains(other.said(), "was refused") || replica(t, runs, other.name).State == "alive"
	}, 20*time.Second, 50*time.Millisecond)
	time.Sleep(k.Slow) // the call that hung ends
	after := until(t, runs, "work-0", func(incident.RunRecord) bool { return true })
	assert.Equal(t, r.Entries, after.Entries, "what it reports late is refused")
	for _, e := range after.Entries {
		if e.Outcome != nil {
			assert.Equal(t, runs.Process(), e.Outcome.Process)
		}
	}
	for _, e := range effects(k.Effects)[1:] {
		assert.NotEqual(t, other.cmd.Process.Pid, e.pid, "it begins nothing more")
	}
}

func replica(t testing.TB, runs *durable.Runs, name string) incident.Replica {
	t.Helper()
	list, err := runs.Replicas(t.Context())
	require.NoError(t, err)
	i := slices.IndexFunc(list, func(r incident.Replica) bool { return r.Process == name })
	require.GreaterOrEqual(t, i, 0)
	return list[i]
}

// A run is cancelled from another process: the call that is under way is told.
//
// Requirement: INC-CRASH-CANCEL, INC-TRAP-9
func TestCancelElsewhere(t *testing.T) {
	k, other, runs := twoReplicas(t)
	require.NoError(t, runs.Cancel(t.Context(), "work-0", incident.Control{By: "grace", Reason: "it is the wrong one"}))
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(effects(k.Effects), func(e effect) bool { return strings.HasSuffix(e.step, "/cancelled") })
	}, 30*time.Second, 10*time.Millisecond, "its context ends, before the call does")
	r := ends(t, runs, "work-0")
	assert.Equal(t, incident.RunCancelled, r.Status)
	assert.Equal(t, "grace", r.Cancelled.By)
	other.close()
	assert.Empty(t, until(t, runs, "work-0", func(incident.RunRecord) bool { return true }).Entries, "nothing is recorded after it")
	assert.Len(t, effects(k.Effects), 2, "and nothing more is done")
}

// A run with which process after process dies is not taken for ever: it stands still, says
// why, and a person may have it tried again.
//
// Requirement: INC-TRAP-3
func TestPoison(t *testing.T) {
	t.Parallel()
	p := newFile(t)
	k := p.task(t)
	k.Start, k.Crashes = []string{"poison-0"}, 3
	for range 3 {
		k.begin(t).died()
	}
	cfg := p.config(t)
	cfg.MaxCrashes = 3
	runs, err := durable.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { closeRuns(t, runs) })
	release := make(chan struct{})
	require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{"poison": func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		select {
		case <-release:
		default:
			t.Error("it is tried again although nobody released it")
		}
		return json.RawMessage(`"harmless now"`), nil
	}}))
	r := until(t, runs, "poison-0", func(r incident.RunRecord) bool { return r.Status == incident.RunStranded })
	assert.Contains(t, r.Attention, "3 processes")
	assert.Contains(t, r.Attention, "poison", "which call it was")
	require.Len(t, r.Open, 3)
	close(release)
	require.NoError(t, runs.Release(t.Context(), "poison-0", incident.Control{By: "grace"}))
	assert.JSONEq(t, `"harmless now"`, string(ends(t, runs, "poison-0").Result))
}

// The database goes away during a call. The run waits for it, which who asks is told, and
// does not make the call again.
//
// Requirement: INC-CRASH-DATABASE
func TestDatabaseGoes(t *testing.T) {
	postgres := services.StartPostgres(t)
	p := place{url: postgres.URL()}
	begun, away := make(chan struct{}), make(chan struct{})
	calls := 0
	runs := p.launch(t, program(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (any, error) {
		for _, id := range []incident.StepID{"a", "b"} {
			_, err := e.Steps(ctx, []incident.Call{{ID: id, Intent: true, Do: func(context.Context, []incident.Attempt) incident.Outcome {
				if calls++; id == "a" {
					close(begun)
					<-away
				}
				return incident.Outcome{Status: incident.Done}
			}}})
			if err != nil {
				return nil, err
			}
		}
		return calls, e.Sleep(ctx, "s", time.Now())
	}))
	start(t, runs, incident.RunStart{ID: "r"})
	<-begun
	postgres.Stop()
	close(away)
	time.Sleep(3 * time.Second) // longer than a process that is gone has
	_, err := runs.Record(t.Context(), "r", -1)
	require.ErrorContains(t, err, "stand still", "who asks is told")
	for _, err := range runs.List(t.Context(), incident.RunQuery{}) {
		require.ErrorContains(t, err, "stand still")
	}
	postgres.Start()
	r := ends(t, runs, "r")
	assert.Equal(t, incident.RunFinished, r.Status, r.Error)
	assert.JSONEq(t, "2", string(r.Result), "each call was made once")
}

// The disk is full while a run is under way. The run stands still; what was recorded stays
// whole; and with room again it goes on.
//
// Requirement: INC-CRASH-DISK
func TestDiskFull(t *testing.T) {
	t.Parallel()
	p := newFile(t)
	k := p.task(t)
	prepared := p.open(t)
	for _, id := range []string{"work-0", "work-1", "work-2"} {
		run := (&killed{task: task{Steps: 100}}).start(id)
		_, err := prepared.Start(t.Context(), run)
		require.NoError(t, err)
		for _, s := range []string{"first", "second"} {
			require.NoError(t, prepared.Signal(t.Context(), id, "go", incident.Signal{ID: s}))
		}
	}
	closeRuns(t, prepared)
	k.Steps = 100
	k.SizeLimit = 1 << 20 // of each file: the log cannot grow any more, and then the database
	c := k.begin(t).wait()
	require.Eventually(t, func() bool {
		return strings.Contains(c.said(), "stands still") || strings.Contains(c.said(), "interrupted")
	}, time.Minute, 20*time.Millisecond)
	before := len(effects(k.Effects))
	time.Sleep(500 * time.Millisecond)
	assert.InDelta(t, before, len(effects(k.Effects)), 6, "nothing goes on that is not recorded")
	c.kill()
	k.SizeLimit = 0
	runs := p.launch(t, map[string]incident.Program{"work": (&killed{task: k}).work})
	for _, id := range []string{"work-0", "work-1", "work-2"} {
		r := ends(t, runs, id)
		require.Equal(t, incident.RunFinished, r.Status, r.Error)
		assert.JSONEq(t, `["first","second"]`, string(r.Result))
	}
	var step string
	seen := make(map[string]int)
	for _, e := range effects(k.Effects) {
		if e.run == "work-0" {
			assert.LessOrEqual(t, step, e.step[:3], "it never went back")
			step = e.step[:3]
		}
		seen[e.run+e.step]++
	}
	for key, n := range seen {
		assert.LessOrEqual(t, n, 12, key) // once for each time that it could not be recorded
	}
}

// The log of the file is cut short at many bytes, as a crash of the machine may leave it.
// Every time the file opens in an earlier state that is whole, and the run goes on from
// there to its end.
//
// Requirement: INC-CRASH-TORN
func TestTornLog(t *testing.T) {
	t.Parallel()
	p := newFile(t)
	k := p.task(t)
	k.Steps, k.Slow, k.Start = 8, time.Millisecond, []string{"work-0"}
	c := k.begin(t).wait()
	require.Eventually(t, func() bool { return len(effects(k.Effects)) >= 5 }, 30*time.Second, time.Millisecond)
	c.kill()
	db, err := os.ReadFile(p.file)
	require.NoError(t, err)
	log, err := os.ReadFile(p.file + "-wal")
	require.NoError(t, err)
	cuts := 24
	if testing.Short() {
		cuts = 6
	}
	began, entries := 0, 0
	for i := range cuts {
		at := len(log) - i*min(len(log), 400<<10)/cuts - i%2*7 // the end of it holds the run
		torn := place{file: filepath.Join(t.TempDir(), "torn.db")}
		require.NoError(t, os.WriteFile(torn.file, db, 0o600))
		require.NoError(t, os.WriteFile(torn.file+"-wal", log[:max(at, 0)], 0o600))
		recovered := k
		recovered.Effects = filepath.Join(t.TempDir(), "effects")
		runs := torn.launch(t, map[string]incident.Program{"work": (&killed{task: recovered}).work})
		if r, err := runs.Record(t.Context(), "work-0", -1); err == nil {
			began++
			entries += len(r.Entries)
		}
		_, err := runs.Start(t.Context(), (&killed{task: k}).start("work-0")) // it was not begun, in some
		require.NoError(t, err)
		for _, s := range []string{"first", "second"} {
			if err := runs.Signal(t.Context(), "work-0", "go", incident.Signal{ID: s}); err != nil {
				require.ErrorIs(t, err, incident.ErrStale)
			}
		}
		r := ends(t, runs, "work-0")
		require.Equal(t, incident.RunFinished, r.Status, "cut at byte %d of %d: %s", at, len(log), r.Error)
		assert.JSONEq(t, `["first","second"]`, string(r.Result))
		closeRuns(t, runs)
	}
	assert.NotZero(t, began)
	t.Logf("cut %d times; the run was there %d times, with %d records in all", cuts, began, entries)
}

// A program was changed while a run of it was under way, so that it makes a call that was
// not there. The run fails, in words, and can be forked from before that.
//
// Requirement: INC-CRASH-INSERTED-STEP
func TestChangedProgram(t *testing.T) {
	t.Parallel()
	p := newFile(t)
	k := p.task(t)
	k.Steps, k.Start, k.Slow = 8, []string{"work-0"}, 100*time.Millisecond
	c := k.begin(t).wait()
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(effects(k.Effects), func(e effect) bool { return e.step == "006" })
	}, 30*time.Second, time.Millisecond)
	c.kill()
	k.Changed, k.Slow = true, 0
	runs := p.launch(t, map[string]incident.Program{"work": (&killed{task: k}).work})
	r := ends(t, runs, "work-0")
	require.Equal(t, incident.RunFailed, r.Status)
	assert.Contains(t, r.Error, "was changed while the run was under way")
	assert.Contains(t, r.Error, "fork")

	_, err := runs.Fork(t.Context(), "work-0", "005", incident.RunFork{ID: "fork", By: "grace"})
	require.NoError(t, err)
	require.NoError(t, runs.Signal(t.Context(), "fork", "go", incident.Signal{ID: "second"}))
	r = ends(t, runs, "fork")
	assert.Equal(t, incident.RunFinished, r.Status, r.Error)
	assert.NotEmpty(t, entry(r, "inserted").ID)
	assert.Equal(t, "work-0", r.RunStart.Fork)
}

// Of two processes that want one file, one has it.
//
// Requirement: INC-TRAP-7, INC-CRASH-TWO-PROCESSES
func TestOneProcess(t *testing.T) {
	t.Parallel()
	p := newFile(t)
	c := p.task(t).begin(t).wait()
	_, err := sqlitefile.Open(t.Context(), p.file)
	require.ErrorIs(t, err, sqlitefile.ErrInUse)
	c.kill()
	db, err := sqlitefile.Open(t.Context(), p.file)
	require.NoError(t, err, "the kernel freed it")
	require.NoError(t, db.Close())
}
