package durable_test

import (
	"context"
	"fmt"
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
	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
)

// setting adds a setting of the session to the URL of a PostgreSQL database.
func (p place) setting(value string) place {
	separator := "?"
	if strings.Contains(p.url, "?") {
		separator = "&"
	}
	return place{url: p.url + separator + value}
}

// A machine may have any name.
func TestHostName(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p place) {
		cfg := p.config(t)
		cfg.Host = "it's/ours"
		runs, err := durable.Open(t.Context(), cfg)
		require.NoError(t, err)
		t.Cleanup(func() { closeRuns(t, runs) })
		require.NoError(t, runs.Launch(t.Context(), awaits()))
		start(t, runs, incident.RunStart{ID: "r"})
		until(t, runs, "r", waiting)
		list, err := runs.Replicas(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 1)
		assert.Equal(t, "alive", list[0].State)
		assert.Equal(t, []string{"r"}, list[0].Runs)
		if p.url != "" {
			assert.Empty(t, until(t, p.open(t), "r", waiting).Attention, "to another process, too, it is alive")
		}
	})
}

// What a pool does before it connects, such as to ask for the password of the day, is done
// for all connections.
func TestPool(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(newPostgres(t).url)
	require.NoError(t, err)
	port := config.ConnConfig.Port
	config.ConnConfig.Port = 1
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		c.Port = port
		return nil
	}
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	_, err = durable.Open(t.Context(), durable.Config{Pool: pool})
	pool.Close()
	require.ErrorContains(t, err, "the Pool has one connection")

	config.MaxConns = 4
	pool, err = pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	runs, err := durable.Open(t.Context(), durable.Config{Pool: pool})
	require.NoError(t, err)
	t.Cleanup(func() { closeRuns(t, runs) })
	require.NoError(t, runs.Launch(t.Context(), program(func(context.Context, incident.Engine, incident.RunStart) (any, error) { return "done", nil })))
	start(t, runs, incident.RunStart{ID: "r"})
	assert.JSONEq(t, `"done"`, string(ends(t, runs, "r").Result))
	closeRuns(t, runs)
	require.NoError(t, pool.Ping(t.Context()), "it stays the host's")
}

// Of runs that refuse to wait one begins, also where transactions see by default what was
// there when they began.
func TestIsolation(t *testing.T) {
	t.Parallel()
	runs := newPostgres(t).setting("default_transaction_isolation=repeatable%20read").open(t)
	for round := range 5 {
		var began atomic.Int64
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				run := incident.RunStart{ID: fmt.Sprintf("%d-%d", round, i), Program: "p", Lock: fmt.Sprint(round), Refuse: true}
				if _, err := runs.Start(t.Context(), run); err == nil {
					began.Add(1)
				} else {
					assert.ErrorIs(t, err, incident.ErrBusy)
				}
			})
		}
		all.Wait()
		assert.EqualValues(t, 1, began.Load())
	}
}

// A server that may lose what it has committed is refused.
//
// Requirement: INC-TRAP-7
func TestTrapDurabilityServer(t *testing.T) {
	t.Parallel()
	_, err := durable.Open(t.Context(), newPostgres(t).setting("synchronous_commit=off").config(t))
	require.ErrorContains(t, err, "would not keep what it commits")
}

// A process that was gone for so long that it was forgotten is known again when it is back,
// so that its runs are taken over if it dies.
func TestForgotten(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	cfg := p.config(t)
	cfg.HungAfter = time.Second
	runs, err := durable.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { closeRuns(t, runs) })
	require.NoError(t, runs.Launch(t.Context(), awaits()))
	pool, err := pgxpool.New(t.Context(), p.url)
	require.NoError(t, err)
	defer pool.Close()
	_, err = pool.Exec(t.Context(), "DELETE FROM runbook_run_processes")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		list, err := runs.Replicas(t.Context())
		return err == nil && len(list) == 1 && list[0].Process == runs.Process()
	}, time.Minute, 20*time.Millisecond)
}

// A process dies when it has noted what a cancelled run was doing, and before the run is
// over for DBOS. The next one sees to that, and keeps the note: the run can be forked from
// there.
func TestCancelledTwice(t *testing.T) {
	t.Parallel()
	p := newFile(t)
	begun := make(chan struct{}, 1)
	programs := program(func(ctx context.Context, e incident.Engine, run incident.RunStart) (any, error) {
		out, err := e.Steps(ctx, []incident.Call{{ID: "a", Do: func(ctx context.Context, _ []incident.Attempt) incident.Outcome {
			if begun <- struct{}{}; run.Fork == "" {
				<-ctx.Done()
			}
			return incident.Outcome{Status: incident.Done}
		}}})
		return out, err
	})
	runs := p.launch(t, programs)
	start(t, runs, incident.RunStart{ID: "r"})
	<-begun
	require.NoError(t, runs.Cancel(t.Context(), "r", incident.Control{By: "grace"}))
	closeRuns(t, runs)

	db, err := sqlitefile.Open(t.Context(), p.file)
	require.NoError(t, err)
	var note string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT current FROM runbook_runs WHERE id = 'r'").Scan(&note))
	require.Contains(t, note, `"a"`)
	_, err = db.ExecContext(t.Context(), "UPDATE workflow_status SET status = 'PENDING', executor_id = 'dead', owner_xid = 'x' WHERE workflow_uuid = 'r'")
	require.NoError(t, err)
	require.NoError(t, db.Close())

	runs = p.launch(t, programs)
	start(t, runs, incident.RunStart{ID: "behind"}) // begins when the first one was looked at
	<-begun
	time.Sleep(500 * time.Millisecond)
	_, err = runs.Fork(t.Context(), "r", "a", incident.RunFork{ID: "fork", By: "grace"})
	require.NoError(t, err)
	assert.Equal(t, incident.RunFinished, ends(t, runs, "fork").Status)
}

// A program is told to end while it begins. Nothing is left of it, and its place is free.
func TestCloseDuringLaunch(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p place) {
		for i := range 10 {
			runs := p.open(t)
			launched := make(chan struct{})
			go func() {
				defer close(launched)
				_ = runs.Launch(t.Context(), awaits()) // it may be too late
			}()
			time.Sleep(time.Duration(i) * 3 * time.Millisecond)
			require.NoError(t, runs.Close(t.Context()))
			<-launched
		}
		if p.url == "" {
			return
		}
		pool, err := pgxpool.New(t.Context(), p.url)
		require.NoError(t, err)
		defer pool.Close()
		require.Eventually(t, func() bool {
			var left int
			err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'runbook%'").Scan(&left)
			return err == nil && left == 0
		}, 20*time.Second, 50*time.Millisecond, "its connections are closed")
	})
}

// Who may only look takes nothing over.
func TestTakeOverReadOnly(t *testing.T) {
	t.Parallel()
	runs := newFile(t).open(t)
	_, err := runs.TakeOver(runbook.ReadOnly(t.Context()), "another", incident.Control{By: "grace"})
	require.ErrorIs(t, err, runbook.ErrReadOnly)
	assert.True(t, runbook.SafeToRetry(err))
}
