// Package sqltest gives tests databases of their own.
package sqltest

import (
	"crypto/rand"
	"database/sql"
	"net/url"
	"strings"
	"testing"
)

// SQLite opens the SQLite database in a file, with a write-ahead log and full
// synchronisation: a commit is on the disk when it returns. The test must link
// the driver modernc.org/sqlite.
func SQLite(t testing.TB, file string) *sql.DB {
	t.Helper()
	return open(t, "sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)")
}

// Postgres makes a schema that is dropped after the test, in the database
// behind a URL. The func opens a further pool that sees that schema only. The
// test must link the driver github.com/jackc/pgx/v5/stdlib.
func Postgres(t testing.TB, address string) func() *sql.DB {
	t.Helper()
	schema := "test_" + strings.ToLower(rand.Text())
	admin := open(t, "pgx", address)
	exec(t, admin, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { exec(t, admin, "DROP SCHEMA "+schema+" CASCADE") })
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the URL of the PostgreSQL server cannot be parsed") // it may hold a password
	}
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return func() *sql.DB { return open(t, "pgx", u.String()) }
}

// PostgresDatabase makes a database that is dropped after the test, on the
// server behind a URL, and returns its URL. A server that does not let the
// role create databases fails the test.
func PostgresDatabase(t testing.TB, address string) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	admin := open(t, "pgx", address)
	exec(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { exec(t, admin, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the URL of the PostgreSQL server cannot be parsed") // it may hold a password
	}
	u.Path = "/" + name
	return u.String()
}

func open(t testing.TB, driver, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// exec runs a statement, also while the test is being cleaned up.
func exec(t testing.TB, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil { //nolint:noctx // the test's context has ended when it cleans up
		t.Errorf("%s: %v", statement, err)
	}
}
