// Package sqlitefile opens the file in which package durable keeps runs when one process
// has them to itself: a service on one machine, or a laptop on call.
//
//	db, err := sqlitefile.Open(ctx, "/var/lib/opsd/runs.db")
//	if err != nil {
//		return err
//	}
//	runs, err := durable.Open(ctx, durable.Config{DB: db, Host: "opsd"})
//
// The file is a SQLite database with a write-ahead log. Every commit is on the disk before
// it returns: synchronous is FULL, which is verified on each connection, because a
// setting that is only asked for has been lost before. A new file, and its folder, are
// synchronised when it is made.
//
// # One process
//
// A file belongs to one process at a time. [Open] takes a lock on a second file beside
// it, named like it with ".lock" at its end. The kernel frees the lock when the process
// ends, however it ends; the lock file stays, and means nothing by itself. Locks do not
// work reliably on network file systems: the file has to be on a disk of the machine.
//
// # What importing compiles
//
// modernc.org/sqlite, which is SQLite translated to Go: about 9 MB of program. Nothing
// else of this module links it, so a program that keeps its runs in PostgreSQL does not
// pay for it.
package sqlitefile

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	// DBOS asks for its driver by an import. It also registers modernc.org/sqlite.
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite"
)

// ErrInUse means that another process has the file. It has to end first.
var ErrInUse = errors.New("another process has this file")

// Open opens the file, and makes it if there is none; its folder must be there. The file
// can be read by its owner only. Closing the database frees the file for another process;
// durable.Runs does so when it is closed.
//
// The error wraps [ErrInUse] if another process has the file, or this one has it open
// already.
func Open(ctx context.Context, path string) (*sql.DB, error) {
	db, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("sqlitefile: open %s: %w", path, err)
	}
	return db, nil
}

func open(ctx context.Context, path string) (*sql.DB, error) {
	if path == "" {
		return nil, errors.New("the path is empty")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	release, err := lock(path + ".lock")
	if err != nil {
		return nil, err
	}
	c := &connector{dsn: dsn(path), release: release}
	db, err := c.open(ctx, path)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return db, nil
}

// dsn names the database with the settings of each connection.
func dsn(path string) string {
	path = strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(filepath.ToSlash(path))
	return "file:" + path + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)"
}

// connector opens connections and looks at each. It has the lock on the file.
type connector struct {
	dsn     string
	driver  driver.Driver
	release func() error
}

func (c *connector) open(ctx context.Context, path string) (*sql.DB, error) {
	if err := create(path); err != nil {
		return nil, err
	}
	registered, err := sql.Open("sqlite", c.dsn) // only to have its driver
	if err != nil {
		return nil, err
	}
	c.driver = registered.Driver()
	if err := registered.Close(); err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	err = db.PingContext(ctx)
	if err == nil {
		err = syncFolder(path) // the log was made
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// create makes the file, durably, if there is none.
func create(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	return syncFolder(path)
}

// Connect implements [driver.Connector].
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	if err := verify(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Driver implements [driver.Connector].
func (c *connector) Driver() driver.Driver { return c.driver }

// Close frees the file. Package database/sql calls it when the database is closed.
func (c *connector) Close() error {
	if c.release == nil {
		return nil
	}
	release := c.release
	c.release = nil
	return release()
}

// verify reads the settings of a connection back.
func verify(ctx context.Context, conn driver.Conn) error {
	for _, setting := range []struct {
		name string
		ok   func(value string) bool
		want string
	}{
		{"synchronous", func(v string) bool { return v == "2" || v == "3" }, "FULL"},
		{"journal_mode", func(v string) bool { return v == "wal" }, "WAL"},
		{"foreign_keys", func(v string) bool { return v == "1" }, "ON"},
		{"busy_timeout", func(v string) bool { return v == "10000" }, "10000"},
	} {
		value, err := pragma(ctx, conn, setting.name)
		if err != nil {
			return fmt.Errorf("read the setting %s: %w", setting.name, err)
		}
		if !setting.ok(value) {
			return fmt.Errorf("the setting %s of a new connection is %s and not %s; runs would not survive: do not use this file", setting.name, value, setting.want)
		}
	}
	return nil
}

// pragma reads one setting.
func pragma(ctx context.Context, conn driver.Conn, name string) (string, error) {
	queryer, ok := conn.(driver.QueryerContext)
	if !ok {
		return "", errors.New("the driver cannot be asked")
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	rows, err := queryer.QueryContext(ctx, "PRAGMA "+name, nil)
	if err != nil {
		return "", err
	}
	values := make([]driver.Value, len(rows.Columns()))
	err = rows.Next(values)
	if err == io.EOF || err == nil && len(values) != 1 {
		err = errors.New("there is no answer")
	}
	if err := errors.Join(err, rows.Close()); err != nil {
		return "", err
	}
	return strings.ToLower(fmt.Sprint(values[0])), nil
}
