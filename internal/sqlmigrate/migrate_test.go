package sqlmigrate_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/internal/sqlmigrate"
	"go.acu.edu.au/runbook/internal/sqlmigrate/sqltest"
)

// databases runs a test on both databases. open may be called several times and
// gives a further pool on the same database.
func databases(t *testing.T, test func(t *testing.T, open func() *sql.DB)) {
	t.Run("sqlite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "test.db")
		test(t, func() *sql.DB { return sqltest.SQLite(t, file) })
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, sqltest.Postgres(t, services.Need(t, services.PostgresURL)))
	})
}

func step(sqlite, postgres string) sqlmigrate.Migration {
	return sqlmigrate.Migration{SQLite: []string{sqlite}, PostgreSQL: []string{postgres}}
}

func same(statement string) sqlmigrate.Migration { return step(statement, statement) }

var first = step(
	"CREATE TABLE runbook_test (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
	"CREATE TABLE runbook_test (id BIGINT PRIMARY KEY, name TEXT NOT NULL)",
)

// second would do harm if it were applied twice: there would be two rows.
var second = same("INSERT INTO runbook_test (id, name) SELECT count(*) + 1, 'once' FROM runbook_test")

func set(migrations ...sqlmigrate.Migration) sqlmigrate.Set {
	return sqlmigrate.Set{Component: "test", Migrations: migrations}
}

func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

func TestApplyIsStepwiseAndRepeatable(t *testing.T) {
	databases(t, func(t *testing.T, open func() *sql.DB) {
		db := open()
		for _, s := range []sqlmigrate.Set{set(first), set(first), set(first, second), set(first, second)} {
			d, err := s.Apply(t.Context(), db)
			require.NoError(t, err)
			want, err := sqlmigrate.Detect(t.Context(), db)
			require.NoError(t, err)
			assert.Equal(t, want, d)
		}
		assert.Equal(t, 1, count(t, db, "SELECT count(*) FROM runbook_test"))
		assert.Equal(t, 2, count(t, db, "SELECT count(*) FROM runbook_migrations WHERE component = 'test'"))

		// Another component counts for itself.
		other := sqlmigrate.Set{Component: "other", Migrations: []sqlmigrate.Migration{same("CREATE TABLE runbook_other (id INTEGER)")}}
		_, err := other.Apply(t.Context(), db)
		require.NoError(t, err)
	})
}

// Several programs start at once: 8 at a time on two pools each.
func TestApplyConcurrently(t *testing.T) {
	databases(t, func(t *testing.T, open func() *sql.DB) {
		pools := []*sql.DB{open(), open()}
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range 8 {
			for _, db := range pools {
				migrations := []sqlmigrate.Migration{first, second}
				if i%2 == 1 {
					migrations = append(migrations, same("UPDATE runbook_test SET name = name || '!'"))
				}
				wg.Go(func() {
					<-start
					if _, err := set(migrations...).Apply(t.Context(), db); err != nil && !errors.Is(err, sqlmigrate.ErrNewer) {
						t.Error(err)
					}
				})
			}
		}
		close(start)
		wg.Wait()
		var name string
		require.NoError(t, pools[0].QueryRowContext(t.Context(), "SELECT name FROM runbook_test").Scan(&name))
		assert.Equal(t, "once!", name)
		assert.Equal(t, 1, count(t, pools[1], "SELECT count(*) FROM runbook_test"))
	})
}

func TestApplyRefuses(t *testing.T) {
	databases(t, func(t *testing.T, open func() *sql.DB) {
		db := open()
		_, err := set(first, second).Apply(t.Context(), db)
		require.NoError(t, err)

		_, err = set(first).Apply(t.Context(), db)
		require.ErrorIs(t, err, sqlmigrate.ErrNewer)
		assert.ErrorContains(t, err, "migrate the tables of test in ")
		assert.ErrorContains(t, err, "migration 2: ")

		_, err = set(first, same("SELECT 1"), same("SELECT 2")).Apply(t.Context(), db)
		require.ErrorIs(t, err, sqlmigrate.ErrChanged)
		assert.ErrorContains(t, err, "migration 2: ")

		_, err = db.ExecContext(t.Context(), "DELETE FROM runbook_migrations WHERE version = 1")
		require.NoError(t, err)
		_, err = set(first, second).Apply(t.Context(), db)
		assert.ErrorContains(t, err, "migration 1 is missing, but 2 was applied")
	})
}

func TestApplyIsAllOrNothing(t *testing.T) {
	databases(t, func(t *testing.T, open func() *sql.DB) {
		db := open()
		_, err := set(first, second, same("SELECT * FROM runbook_nowhere")).Apply(t.Context(), db)
		require.ErrorContains(t, err, "migration 3: ")
		assert.ErrorContains(t, err, "runbook_nowhere")

		// Nothing is left of it, nor of its lock.
		_, err = db.ExecContext(t.Context(), "SELECT * FROM runbook_test")
		require.Error(t, err)
		_, err = set(first, second).Apply(t.Context(), db)
		require.NoError(t, err)
	})
}

// A role that may not create tables can start once the tables are there.
func TestApplyNeedsNoRightsWhenThereIsNothingToDo(t *testing.T) {
	db := sqltest.Postgres(t, services.Need(t, services.PostgresURL))()
	_, err := set(first).Apply(t.Context(), db)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), "SET default_transaction_read_only = on")
	require.NoError(t, err)
	_, err = set(first).Apply(t.Context(), db)
	assert.NoError(t, err)
}

func TestWriteWaitsForTheLock(t *testing.T) {
	file := filepath.Join(t.TempDir(), "test.db")
	a, b := sqltest.SQLite(t, file), sqltest.SQLite(t, file)
	_, err := set(first).Apply(t.Context(), a)
	require.NoError(t, err)

	insert := func(id int) func(sqlmigrate.Tx) error {
		return func(tx sqlmigrate.Tx) error {
			_, err := tx.ExecContext(t.Context(), "INSERT INTO runbook_test (id, name) VALUES ($1, 'x')", id)
			return err
		}
	}
	// While a holds the lock, b waits as long as its context allows.
	err = sqlmigrate.SQLite.Write(t.Context(), a, func(tx sqlmigrate.Tx) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := sqlmigrate.SQLite.Write(ctx, b, insert(1))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		return insert(2)(tx)
	})
	require.NoError(t, err)
	assert.Equal(t, 1, count(t, b, "SELECT count(*) FROM runbook_test"))

	// Writers at the same time all get their turn.
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			db := a
			if i%2 == 0 {
				db = b
			}
			assert.NoError(t, sqlmigrate.SQLite.Write(t.Context(), db, insert(100+i)))
		})
	}
	wg.Wait()
	assert.Equal(t, 33, count(t, a, "SELECT count(*) FROM runbook_test"))
}

func TestWriteRollsBack(t *testing.T) {
	databases(t, func(t *testing.T, open func() *sql.DB) {
		db := open()
		d, err := set(first).Apply(t.Context(), db)
		require.NoError(t, err)
		insert := func(tx sqlmigrate.Tx) {
			_, err := tx.ExecContext(t.Context(), "INSERT INTO runbook_test (id, name) VALUES (1, 'x')")
			require.NoError(t, err)
		}
		failure := errors.New("no")
		err = d.Write(t.Context(), db, func(tx sqlmigrate.Tx) error { insert(tx); return failure })
		require.ErrorIs(t, err, failure)
		assert.PanicsWithValue(t, "oh", func() {
			_ = d.Write(t.Context(), db, func(tx sqlmigrate.Tx) error { insert(tx); panic("oh") })
		})
		ctx, cancel := context.WithCancel(t.Context())
		err = d.Write(ctx, db, func(tx sqlmigrate.Tx) error { insert(tx); cancel(); return nil })
		require.Error(t, err, "the context ended before the commit")

		assert.Equal(t, 0, count(t, db, "SELECT count(*) FROM runbook_test"))
		assert.Zero(t, db.Stats().InUse, "connections are given back")
		require.NoError(t, d.Write(t.Context(), db, func(tx sqlmigrate.Tx) error { insert(tx); return nil }))
		assert.Equal(t, 1, count(t, db, "SELECT count(*) FROM runbook_test"))
	})
}

func TestDetectRefusesOthers(t *testing.T) {
	db := sql.OpenDB(unreachable{})
	t.Cleanup(func() { _ = db.Close() })
	_, err := sqlmigrate.Detect(t.Context(), db)
	require.ErrorIs(t, err, errUnreachable)
	assert.ErrorContains(t, err, "detect the database: ")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = sqlmigrate.Detect(ctx, db)
	assert.ErrorIs(t, err, context.Canceled)
}

// unreachable is a database that is down.
type unreachable struct{}

var errUnreachable = errors.New("connection refused")

func (unreachable) Connect(context.Context) (driver.Conn, error) { return nil, errUnreachable }
func (unreachable) Driver() driver.Driver                        { return nil }
