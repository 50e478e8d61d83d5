package schedule_test

import (
	"database/sql"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"go.acu.edu.au/runbook/alert/schedule"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/internal/sqlmigrate/sqltest"
)

// aLedger is a ledger, a second view of it, and how its time passes.
type aLedger struct {
	first, second schedule.Ledger
	pass          func(d time.Duration)
}

func onSQL(t testing.TB, open func() *sql.DB) aLedger {
	t.Helper()
	db := open()
	view := func() schedule.Ledger {
		l, err := schedule.NewSQLLedger(t.Context(), open())
		require.NoError(t, err)
		return l
	}
	return aLedger{view(), view(), func(d time.Duration) {
		_, err := db.ExecContext(t.Context(), "UPDATE runbook_schedule_runs SET until = until - $1", d.Milliseconds())
		require.NoError(t, err)
	}}
}

func ledgers(t *testing.T, test func(t *testing.T, l aLedger)) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := schedule.NewMemoryLedger()
			test(t, aLedger{m, m, time.Sleep})
		})
	})
	t.Run("sqlite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "runs.db")
		test(t, onSQL(t, func() *sql.DB { return sqltest.SQLite(t, file) }))
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, onSQL(t, sqltest.Postgres(t, services.Need(t, services.PostgresURL))))
	})
}

func aRun(name string) schedule.Run {
	return schedule.Run{Schedule: name, Date: "2026-11-23", At: health.At(8, 0), Due: time.Now()}
}

const lease = 11 * time.Minute

// Requirement: AL-DST-ONCE
func TestLedger(t *testing.T) {
	ledgers(t, func(t *testing.T, l aLedger) {
		ctx := t.Context()
		run := aRun("morning")
		c, err := l.first.Claim(ctx, run, lease)
		require.NoError(t, err)
		assert.Equal(t, schedule.Claim{Key: run.Key(), Attempt: 1}, c)
		_, err = l.second.Claim(ctx, run, lease)
		assert.ErrorIs(t, err, schedule.ErrTaken)

		// It fails, and nothing happened: it may be claimed when the wait is over.
		require.NoError(t, l.first.Finish(ctx, c, schedule.NotDone, time.Minute))
		_, err = l.second.Claim(ctx, run, lease)
		assert.ErrorIs(t, err, schedule.ErrTaken)
		l.pass(time.Minute + time.Second)
		c, err = l.second.Claim(ctx, run, lease)
		require.NoError(t, err)
		assert.Equal(t, schedule.Claim{Key: run.Key(), Attempt: 2}, c)

		// It fails, and may have happened; telling so twice counts once.
		require.NoError(t, l.second.Finish(ctx, c, schedule.NotKnown, time.Minute))
		require.NoError(t, l.second.Finish(ctx, c, schedule.NotKnown, time.Minute))
		l.pass(time.Minute + time.Second)
		c, err = l.first.Claim(ctx, run, lease)
		require.NoError(t, err)
		assert.Equal(t, schedule.Claim{Key: run.Key(), Attempt: 3, Unknown: 1}, c)

		// Its holder is killed: another takes over, and the first can no longer finish.
		l.pass(lease + time.Second)
		killed := c
		c, err = l.second.Claim(ctx, run, lease)
		require.NoError(t, err)
		assert.Equal(t, schedule.Claim{Key: run.Key(), Attempt: 4, Unknown: 2}, c)
		assert.ErrorIs(t, l.first.Finish(ctx, killed, schedule.Done, 0), schedule.ErrTaken)

		require.NoError(t, l.second.Finish(ctx, c, schedule.Done, 0))
		require.NoError(t, l.second.Finish(ctx, c, schedule.Done, 0))
		l.pass(24 * time.Hour)
		for _, view := range []schedule.Ledger{l.first, l.second} {
			_, err = view.Claim(ctx, run, lease)
			assert.ErrorIs(t, err, schedule.ErrDone)
		}
		_, err = l.first.Claim(ctx, aRun("evening"), lease)
		assert.NoError(t, err, "other runs are not affected")
	})
}

// Of many who claim a run at the same time one gets it.
//
// Requirement: AL-DST-ONCE
func TestLedgerHasOneWinner(t *testing.T) {
	ledgers(t, func(t *testing.T, l aLedger) {
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			run := aRun(name)
			var won atomic.Int32
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					_, err := []schedule.Ledger{l.first, l.second}[i%2].Claim(t.Context(), run, lease)
					if err == nil {
						won.Add(1)
					} else {
						assert.ErrorIs(t, err, schedule.ErrTaken)
					}
				})
			}
			all.Wait()
			assert.EqualValues(t, 1, won.Load())
		}
	})
}

// What is older than any run may be late is removed.
func TestLedgerForgets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "runs.db")
	l := onSQL(t, func() *sql.DB { return sqltest.SQLite(t, file) })
	for _, name := range []string{"old", "new"} {
		c, err := l.first.Claim(t.Context(), aRun(name), lease)
		require.NoError(t, err)
		require.NoError(t, l.first.Finish(t.Context(), c, schedule.Done, 0))
		if name == "old" {
			l.pass(101 * 24 * time.Hour)
		}
	}
	var left int
	require.NoError(t, sqltest.SQLite(t, file).QueryRowContext(t.Context(), "SELECT count(*) FROM runbook_schedule_runs").Scan(&left))
	assert.Equal(t, 1, left)
	_, err := schedule.NewSQLLedger(t.Context(), nil)
	assert.Error(t, err)
}

// BenchmarkClaim makes and finishes a run on SQLite with full synchronisation: under 50 ms,
// which is little beside a report.
func BenchmarkClaim(b *testing.B) {
	file := filepath.Join(b.TempDir(), "runs.db")
	l, err := schedule.NewSQLLedger(b.Context(), sqltest.SQLite(b, file))
	require.NoError(b, err)
	run := aRun("morning")
	date := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		date = date.AddDate(0, 0, 1)
		run.Date = date.Format("2006-01-02")
		c, err := l.Claim(b.Context(), run, lease)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Finish(b.Context(), c, schedule.Done, 0); err != nil {
			b.Fatal(err)
		}
	}
}
