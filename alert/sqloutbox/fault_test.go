package sqloutbox_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var errLost = errors.New("the answer was lost")

// lossySQLite opens a database through a driver that can run a statement and lose its
// answer.
func lossySQLite(t *testing.T, file string) (*sql.DB, *lossyConnector) {
	t.Helper()
	plain, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	t.Cleanup(func() { _ = plain.Close() })
	c := &lossyConnector{driver: plain.Driver(), name: file}
	db := sql.OpenDB(c)
	t.Cleanup(func() { _ = db.Close() })
	return db, c
}

type lossyConnector struct {
	driver driver.Driver
	name   string

	mu   sync.Mutex
	lose string
}

// loseAnswerOf makes the next statement that begins so lose its answer.
func (c *lossyConnector) loseAnswerOf(statement string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lose = statement
}

func (c *lossyConnector) loses(query string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lose == "" || !strings.HasPrefix(query, c.lose) {
		return false
	}
	c.lose = ""
	return true
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
	rows, err := l.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	if err == nil && l.c.loses(query) {
		_ = rows.Close()
		return nil, errLost
	}
	return rows, err
}

func (l *lossyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := l.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	if err == nil && l.c.loses(query) {
		return nil, errLost
	}
	return result, err
}
