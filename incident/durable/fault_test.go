package durable_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
)

// sqlite opens a SQLite database.
func sqlite(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// faulty is a database whose commits can fail.
type faulty struct {
	dsn    string
	driver driver.Driver

	mu   sync.Mutex
	fail func(statement string) error // of the last statement that wrote, before its commit
}

func (f *faulty) Driver() driver.Driver { return f.driver }

func (f *faulty) Connect(context.Context) (driver.Conn, error) {
	conn, err := f.driver.Open(f.dsn)
	return &faultyConn{Conn: conn, faulty: f}, err
}

func (f *faulty) set(fail func(statement string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

type faultyConn struct {
	driver.Conn
	faulty *faulty
	last   string
}

func (c *faultyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.last = query
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c *faultyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c *faultyConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	return &faultyTx{Tx: tx, conn: c}, err
}

type faultyTx struct {
	driver.Tx
	conn *faultyConn
}

func (t *faultyTx) Commit() error {
	f := t.conn.faulty
	f.mu.Lock()
	fail := f.fail
	f.mu.Unlock()
	if fail != nil {
		if err := fail(t.conn.last); err != nil {
			return errors.Join(err, t.Rollback())
		}
	}
	return t.Tx.Commit()
}

// The disk does not take what was written. That call is not taken for recorded, and not
// simply committed again: the run begins anew from what is on the disk, and is told that
// the call was begun.
//
// Requirement: INC-CRASH-FSYNC
func TestFsyncFails(t *testing.T) {
	t.Parallel()
	f := &faulty{dsn: "file:" + filepath.Join(t.TempDir(), "runs.db") + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)"}
	f.driver = sqlite(t, f.dsn).Driver()
	runs, err := durable.Open(t.Context(), durable.Config{DB: sql.OpenDB(f), Logger: place{file: filepath.Join(t.TempDir(), "x")}.config(t).Logger})
	require.NoError(t, err)
	t.Cleanup(func() { closeRuns(t, runs) })
	failed := 0
	require.NoError(t, runs.Launch(t.Context(), program(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (any, error) {
		out, err := e.Steps(ctx, []incident.Call{{ID: "a", Intent: true, Do: func(_ context.Context, interrupted []incident.Attempt) incident.Outcome {
			if len(interrupted) == 0 {
				f.set(func(statement string) error {
					if !strings.Contains(statement, "operation_outputs") {
						return nil
					}
					f.set(nil)
					failed++
					return errors.New("disk I/O error (1034)") // SQLITE_IOERR_FSYNC
				})
			}
			output, _ := json.Marshal(len(interrupted))
			return incident.Outcome{Status: incident.Done, Output: output}
		}}})
		if err != nil {
			return nil, err
		}
		return out[0].Output, nil
	})))
	start(t, runs, incident.RunStart{ID: "r"})
	r := ends(t, runs, "r")
	assert.Equal(t, incident.RunFinished, r.Status, r.Error)
	assert.Equal(t, 1, failed)
	assert.JSONEq(t, "1", string(r.Result), "the second time it knows of the first")
}
