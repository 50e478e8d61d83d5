package sqlitefile_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
)

// Every connection of the pool synchronises fully, and not only the first.
//
// Requirement: INC-TRAP-7
func TestEachConnection(t *testing.T) {
	db, err := sqlitefile.Open(t.Context(), filepath.Join(t.TempDir(), "runs 100% #1?.db"))
	require.NoError(t, err)
	defer db.Close()
	for range 8 {
		conn, err := db.Conn(t.Context()) // kept, so that the next is another one
		require.NoError(t, err)
		defer conn.Close()
		for name, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "10000"} {
			var got string
			require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&got))
			assert.Equal(t, want, got, name)
		}
	}
}

// A transaction has the write lock from its beginning: two that read and then write do
// not fail because of each other.
func TestTransactionsAreImmediate(t *testing.T) {
	db, err := sqlitefile.Open(t.Context(), filepath.Join(t.TempDir(), "runs.db"))
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "CREATE TABLE t (n INTEGER)")
	require.NoError(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := db.ExecContext(t.Context(), "INSERT INTO t VALUES (2)")
		done <- err
	}()
	_, err = tx.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.NoError(t, <-done)
	var order string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT group_concat(n) FROM (SELECT n FROM t ORDER BY rowid)").Scan(&order))
	assert.Equal(t, "1,2", order)
}

// A file has one owner, also within a process, until it is closed.
//
// Requirement: INC-TRAP-7
func TestOneOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs.db")
	db, err := sqlitefile.Open(t.Context(), path)
	require.NoError(t, err)
	_, err = sqlitefile.Open(t.Context(), path)
	require.ErrorIs(t, err, sqlitefile.ErrInUse)
	require.NoError(t, os.Remove(path+".lock")) // somebody tidies up
	require.NoError(t, db.Close())
	db, err = sqlitefile.Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.NoError(t, db.Close(), "twice")
}

func TestProblems(t *testing.T) {
	for name, path := range map[string]string{
		"no path":     "",
		"no folder":   filepath.Join(t.TempDir(), "missing", "runs.db"),
		"a folder":    t.TempDir(),
		"no database": filepath.Join(t.TempDir(), "text"),
	} {
		t.Run(name, func(t *testing.T) {
			if name == "no database" {
				require.NoError(t, os.WriteFile(path, []byte("this is a text that is no database, and is long enough to be looked at as one, which takes a hundred bytes"), 0o600))
			}
			var db *sql.DB
			db, err := sqlitefile.Open(t.Context(), path)
			require.ErrorContains(t, err, "sqlitefile: open")
			assert.Nil(t, db)
			_, err = sqlitefile.Open(t.Context(), path)
			assert.NotErrorIs(t, err, sqlitefile.ErrInUse, "the lock is freed")
		})
	}
}

// The file is its owner's only.
func TestMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs.db")
	db, err := sqlitefile.Open(t.Context(), path)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "CREATE TABLE t (n INTEGER)")
	require.NoError(t, err)
	for _, name := range []string{path, path + "-wal", path + ".lock"} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
}
