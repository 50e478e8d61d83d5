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

func newFaulty(t testing.TB) *faulty {
	t.Helper()
	f := &faulty{dsn: "file:" + filepath.Join(t.TempDir(), "runs.db") + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)"}
	f.driver = sqlite(t, f.dsn).Driver()
	return f
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
	f := newFaulty(t)
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

// The disk is full, and what a run is about to do, or has done, or anything at all cannot
// be recorded. Who asks for the run is told that it stands still, and why; who wants
// something else gets an error. With room again it goes on, and nothing more is said.
//
// Requirement: INC-CRASH-DISK
func TestDiskFullIsSaid(t *testing.T) {
	t.Parallel()
	full := errors.New("database or disk is full (13)")
	for name, c := range map[string]struct {
		statement, what string
	}{
		"the intent":  {"runbook_run_attempts", "record the intent: "},
		"the outcome": {"operation_outputs", "record or read what it did: "},
		"everything":  {"", "record or read what it did: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t)
			runs, err := durable.Open(t.Context(), durable.Config{DB: sql.OpenDB(f), Logger: newFile(t).config(t).Logger})
			require.NoError(t, err)
			t.Cleanup(func() { closeRuns(t, runs) })
			var once sync.Once
			require.NoError(t, runs.Launch(t.Context(), program(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (any, error) {
				_, err := e.Steps(ctx, []incident.Call{{ID: "a", Do: func(context.Context, []incident.Attempt) incident.Outcome {
					once.Do(func() {
						f.set(func(statement string) error {
							if strings.Contains(statement, c.statement) {
								return full
							}
							return nil
						})
					})
					return incident.Outcome{Status: incident.Done}
				}}})
				if err != nil {
					return nil, err
				}
				b := done("b")
				b.Intent = true
				return e.Steps(ctx, []incident.Call{b})
			})))
			start(t, runs, incident.RunStart{ID: "r"})
			r := until(t, runs, "r", func(r incident.RunRecord) bool { return r.Attention != "" })
			states := []incident.RunStatus{incident.RunRunning}
			if c.statement == "" { // DBOS gives up after a while, and the run waits to be begun again
				states = append(states, incident.RunQueued)
			}
			assert.Contains(t, states, r.Status)
			assert.Regexp(t, `^it stands still since [-0-9]{10}T[:0-9]{8}Z: the database does not take or give what it needs \(`+c.what+
				`.*database or disk is full.*\); it is tried again, and goes on by itself when it can$`, r.Attention)
			for r, err := range runs.List(t.Context(), incident.RunQuery{}) {
				require.NoError(t, err)
				assert.Contains(t, r.Attention, "stands still")
			}
			if c.statement == "" {
				require.ErrorIs(t, runs.Signal(t.Context(), "r", "approval", incident.Signal{ID: "1"}), full)
			}
			f.set(nil)
			r = ends(t, runs, "r")
			assert.Equal(t, incident.RunFinished, r.Status, r.Error)
			assert.Empty(t, r.Attention)
		})
	}
}
