package sqlnonce_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// lossySQLite opens a database through a driver that can run a statement and lose
// its answer.
func lossySQLite(t *testing.T, file string) (db *sql.DB, lose func()) {
	t.Helper()
	plain, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	t.Cleanup(func() { _ = plain.Close() })
	c := &lossyConnector{driver: plain.Driver(), name: file}
	db = sql.OpenDB(c)
	t.Cleanup(func() { _ = db.Close() })
	return db, func() { c.lose.Store(true) }
}

type lossyConnector struct {
	driver driver.Driver
	name   string
	lose   atomic.Bool
}

func (c *lossyConnector) Driver() driver.Driver { return c.driver }

func (c *lossyConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.name)
	if err != nil {
		return nil, err
	}
	return &lossyConn{conn, c}, nil
}

type lossyConn struct {
	driver.Conn
	c *lossyConnector
}

func (l *lossyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return l.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (l *lossyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := l.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	if l.c.lose.CompareAndSwap(true, false) {
		return nil, errLost
	}
	return result, err
}
