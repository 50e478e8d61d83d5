package durable_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
)

// Everything that is wrong is said at once.
func TestOpenProblems(t *testing.T) {
	t.Parallel()
	_, err := durable.Open(t.Context(), durable.Config{Host: "a b", HungAfter: -1, Watched: []string{""}})
	for _, part := range []string{"DB, Pool and URL", "Host", "HungAfter", "Watched"} {
		require.ErrorContains(t, err, part)
	}
	_, err = durable.Open(t.Context(), durable.Config{URL: runbook.NewSecret("postgres://u:hunter2@[::")})
	require.ErrorContains(t, err, "URL")
	assert.NotContains(t, err.Error(), "hunter2")
	_, err = durable.Open(t.Context(), durable.Config{DB: sqlite(t, "file:"+filepath.Join(t.TempDir(), "x.db")+"?_pragma=synchronous(FULL)")})
	require.ErrorContains(t, err, "journal_mode")
}

func TestLaunchProblems(t *testing.T) {
	t.Parallel()
	runs := newFile(t).open(t)
	err := runs.Launch(t.Context(), map[string]incident.Program{"": nil, "p": nil})
	require.ErrorContains(t, err, `"p" has no name or no function`)
	require.NoError(t, runs.Launch(t.Context(), awaits()))
	require.Error(t, runs.Launch(t.Context(), awaits()), "twice")
	closeRuns(t, runs)
	require.NoError(t, runs.Close(t.Context()), "again")
	_, err = runs.Start(t.Context(), incident.RunStart{ID: "r", Program: "p"})
	require.Error(t, err)
	assert.True(t, runbook.SafeToRetry(err), "nothing was begun")
}

// The end of a process in order waits for the call that is under way, and records it; one
// that takes too long is told, and not waited for.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, 1), make(chan struct{})
	programs := program(func(ctx context.Context, e incident.Engine, run incident.RunStart) (any, error) {
		out, err := e.Steps(ctx, []incident.Call{{ID: "long", Intent: true, Do: func(ctx context.Context, interrupted []incident.Attempt) incident.Outcome {
			begun <- struct{}{}
			select {
			case <-finish:
				return incident.Outcome{Status: incident.Done}
			case <-ctx.Done():
				return incident.Outcome{Status: incident.Unknown, Message: "its process ended"}
			}
		}}})
		if err != nil {
			return nil, err
		}
		return out[0].Message, nil
	})
	p := newFile(t)
	runs := p.launch(t, programs)
	start(t, runs, incident.RunStart{ID: "r"})
	<-begun
	go func() {
		time.Sleep(50 * time.Millisecond)
		close(finish)
	}()
	require.NoError(t, runs.Close(t.Context()))
	runs = p.launch(t, programs)
	r := ends(t, runs, "r")
	assert.Equal(t, incident.Done, entry(r, "long").Outcome.Status)

	finish = make(chan struct{})
	start(t, runs, incident.RunStart{ID: "slow"})
	<-begun
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, runs.Close(short), context.DeadlineExceeded)
}

// A process of its own kind, which carries out nothing, sees and does everything.
func TestClient(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p place) {
		runs := p.open(t)
		start(t, runs, incident.RunStart{ID: "r", Labels: map[string]string{"environment": "production"}})
		require.NoError(t, runs.Signal(t.Context(), "r", "approval", incident.Signal{ID: "1", Kind: "approve"}))
		r, err := runs.Record(t.Context(), "r", -1)
		require.NoError(t, err)
		assert.Equal(t, incident.RunQueued, r.Status)
		replicas, err := runs.Replicas(t.Context())
		require.NoError(t, err)
		assert.Empty(t, replicas)
		require.NoError(t, runs.Launch(t.Context(), awaits()))
		assert.JSONEq(t, `"approve"`, string(ends(t, runs, "r").Result))
		replicas, err = runs.Replicas(t.Context())
		require.NoError(t, err)
		require.Len(t, replicas, 1)
		assert.Equal(t, "alive", replicas[0].State)
		assert.Equal(t, durable.Version, replicas[0].Version)
		_, err = runs.TakeOver(t.Context(), replicas[0].Process, incident.Control{By: "grace"})
		require.ErrorIs(t, err, incident.ErrStale)
		_, err = runs.TakeOver(t.Context(), "nobody", incident.Control{By: "grace"})
		require.ErrorIs(t, err, incident.ErrNotFound)
	})
}

// A process hangs when it has not said for 30 seconds that it lives, unless the host wants
// it otherwise.
//
// Requirement: INC-CRASH-HANG
func TestHungAfter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hungAfter, silent time.Duration
		state             string
	}{
		"by default, before":    {0, 25 * time.Second, "alive"}, // and not 30, on a machine that is slow
		"by default":            {0, 30 * time.Second, "hung"},
		"as configured, before": {time.Hour, 55 * time.Minute, "alive"},
		"as configured":         {time.Hour, time.Hour, "hung"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newFile(t)
			cfg := p.config(t)
			cfg.HungAfter = c.hungAfter
			runs, err := durable.Open(t.Context(), cfg) // and does not say by itself that it lives
			require.NoError(t, err)
			t.Cleanup(func() { closeRuns(t, runs) })
			_, err = sqlite(t, "file:"+p.file+"?_pragma=busy_timeout(10000)").ExecContext(t.Context(),
				"INSERT INTO runbook_run_processes (process, host, version, lock_key, started, seen) VALUES ($1, 'test', $2, 1, 1, $3)",
				runs.Process(), durable.Version, time.Now().Add(-c.silent).UnixMicro())
			require.NoError(t, err)
			assert.Equal(t, c.state, replica(t, runs, runs.Process()).State)
		})
	}
}

// Two runs for one environment never overlap, whoever queues and whoever refuses; runs for
// two environments do.
//
// Requirement: INC-CRASH-LOCK-ENVIRONMENT
func TestLocks(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p place) {
		both := make(chan struct{}, 2)
		meet := make(chan struct{})
		programs := map[string]incident.Program{"p": func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
			_, err := e.Steps(ctx, []incident.Call{{ID: "a", Do: func(ctx context.Context, _ []incident.Attempt) incident.Outcome {
				both <- struct{}{}
				select {
				case <-meet:
				case <-ctx.Done():
				}
				return incident.Outcome{Status: incident.Done}
			}}})
			return nil, err
		}}
		runs := p.launch(t, programs)
		other := runs
		if p.url != "" {
			other = p.launch(t, programs)
		}
		start(t, runs, incident.RunStart{ID: "production-1", Lock: "production"})
		start(t, other, incident.RunStart{ID: "production-2", Lock: "production"})
		start(t, runs, incident.RunStart{ID: "test-1", Lock: "test"})
		<-both
		<-both
		_, err := other.Start(t.Context(), incident.RunStart{ID: "production-3", Program: "p", Lock: "production", Refuse: true})
		require.ErrorIs(t, err, incident.ErrBusy)
		_, err = runs.Record(t.Context(), "production-3", -1)
		require.ErrorIs(t, err, incident.ErrNotFound, "one that was refused is not there")
		time.Sleep(500 * time.Millisecond)
		assert.Empty(t, both)
		r, err := runs.Record(t.Context(), "production-2", -1)
		require.NoError(t, err)
		assert.Equal(t, incident.RunQueued, r.Status)
		close(meet)
		for _, id := range []string{"production-1", "production-2", "test-1"} {
			assert.Equal(t, incident.RunFinished, ends(t, runs, id).Status)
		}
	})
}
