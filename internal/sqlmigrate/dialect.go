package sqlmigrate

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"
)

// Dialect is the kind of database behind a *sql.DB.
type Dialect uint8

// The dialects. The zero Dialect is none.
const (
	SQLite Dialect = iota + 1
	PostgreSQL
)

// String returns the database's name.
func (d Dialect) String() string {
	switch d {
	case SQLite:
		return "SQLite"
	case PostgreSQL:
		return "PostgreSQL"
	}
	return fmt.Sprintf("dialect(%d)", uint8(d))
}

// Tx runs statements: in a transaction, on one connection, or on any of a pool.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Detect asks the database what it is. It asks the server and not the type of
// the driver, because hosts wrap drivers to trace them. A database that is
// neither SQLite nor PostgreSQL is an error that names it.
func Detect(ctx context.Context, db *sql.DB) (Dialect, error) {
	var version string
	// SQLite has no function version(), and answers so without a trace;
	// PostgreSQL would write an error to its log if asked sqlite_version().
	err := busy(ctx, func() error { return db.QueryRowContext(ctx, "SELECT version()").Scan(&version) })
	if err == nil {
		if strings.HasPrefix(version, "PostgreSQL ") {
			return PostgreSQL, nil
		}
		return 0, fmt.Errorf("detect the database: only SQLite and PostgreSQL are supported, this is %.60q", version)
	}
	if ctx.Err() != nil {
		return 0, fmt.Errorf("detect the database: %w", err)
	}
	if db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version) == nil {
		return SQLite, nil
	}
	return 0, fmt.Errorf("detect the database: %w", err)
}

// Write runs fn in a transaction that writes, and commits it unless fn returns
// an error. On PostgreSQL each statement sees what was committed before it
// (read committed, whatever the server's default), so that what is read after
// waiting for a lock is fresh. On SQLite the transaction takes the write lock
// at its beginning, on a connection of its own: a transaction that began to
// read cannot become one that writes while another writes. It waits for that
// lock until ctx ends, at most 10 s, also where the host has set no
// busy_timeout.
//
// fn must use only the Tx given to it. If the commit fails it is not known
// whether it happened.
func (d Dialect) Write(ctx context.Context, db *sql.DB, fn func(tx Tx) error) error {
	if d == SQLite {
		return writeSQLite(ctx, db, fn)
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func writeSQLite(ctx context.Context, db *sql.DB, fn func(tx Tx) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = conn.Close() }() // back to the pool
	exec := func(statement string) error {
		return busy(ctx, func() error {
			_, err := conn.ExecContext(ctx, statement)
			return err
		})
	}
	open := true
	defer func() { // also when fn panics
		if open {
			rollback(ctx, conn)
		}
	}()
	if err := exec("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := fn(conn); err != nil {
		return err
	}
	if err := exec("COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	open = false
	return nil
}

// rollback ends the transaction on conn, although ctx may have ended. If that
// fails the connection is not given back to the pool: its next user would be
// inside the transaction.
func rollback(ctx context.Context, conn *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := conn.ExecContext(ctx, "ROLLBACK")
	if err != nil && !strings.Contains(err.Error(), "no transaction is active") {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}

// Retry calls fn, which runs one statement, until SQLite does not say that the
// database is locked by another connection, but no longer than ctx lasts, and
// at most 10 s. A statement that was answered so has done nothing. On
// PostgreSQL, which waits by itself, fn is called once.
func (d Dialect) Retry(ctx context.Context, fn func() error) error {
	if d == SQLite {
		return busy(ctx, fn)
	}
	return fn()
}

// patience is how long to wait for a lock of SQLite.
const patience = 10 * time.Second

func busy(ctx context.Context, fn func() error) error {
	err := fn()
	if err == nil || !isBusy(err) {
		return err
	}
	giveUp := time.NewTimer(patience)
	defer giveUp.Stop()
	for wait := time.Millisecond; isBusy(err); wait = min(2*wait, 50*time.Millisecond) {
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-giveUp.C:
			pause.Stop()
			return err
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%w, and %w", ctx.Err(), err)
		}
		err = fn()
	}
	return err
}

// isBusy reports whether SQLite refused because of another connection's lock.
// The drivers have no error type in common; the text is SQLite's own
// (sqlite3_errstr of SQLITE_BUSY and SQLITE_LOCKED).
func isBusy(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "database is locked") || strings.Contains(text, "database table is locked")
}
