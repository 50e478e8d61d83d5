// Package sqlmigrate creates and changes the tables of this module's stores in
// a database of the host, SQLite or PostgreSQL, over database/sql. It links no
// driver.
//
// A store declares its migrations once, as Go strings for each dialect, and
// applies them when it is made:
//
//	var migrations = sqlmigrate.Set{
//		Component: "health",
//		Migrations: []sqlmigrate.Migration{{
//			SQLite:     []string{`CREATE TABLE runbook_health_...`},
//			PostgreSQL: []string{`CREATE TABLE runbook_health_...`},
//		}},
//	}
//	dialect, err := migrations.Apply(ctx, db)
//
// What was applied is kept in the table runbook_migrations, per component. All
// that is missing is applied in one transaction under a lock that every
// replica takes, so that any number of them may start at once: one applies, the
// others find it done. A replica that finds nothing to do takes no lock and
// needs no right to create tables. Migrations are never changed and never
// undone: a database that holds a migration with other text, or one that this
// program does not know because a newer program has been here, is refused.
//
// Statements use the parameters $1, $2, ... in the order of their first
// appearance, which every driver of both databases understands.
package sqlmigrate

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors of [Set.Apply], for errors.Is.
var (
	// ErrNewer means that a newer program has migrated the database. This one
	// does not know what its tables look like now.
	ErrNewer = errors.New("the database was migrated by a newer version of this program")
	// ErrChanged means that a migration in the database is not the one in this
	// program.
	ErrChanged = errors.New("an applied migration has another text in this program")
)

// Prefix is what every table of this module begins with.
const Prefix = "runbook_"

// A Migration is one step. Its number is its place in the [Set], from 1.
type Migration struct {
	// SQLite and PostgreSQL are the statements for each, one statement a
	// string. They run in a transaction, in order.
	SQLite, PostgreSQL []string
}

// A Set is all migrations of one component, oldest first. Released migrations
// are never changed, reordered or removed.
type Set struct {
	// Component names the owner of the tables: "health".
	Component string
	// Migrations are the steps.
	Migrations []Migration
}

// lockKey is the advisory lock of PostgreSQL under which migrations run:
// "runbook" in ASCII.
const lockKey int64 = 0x72756e626f6f6b00

// Apply detects the dialect of db and applies what is missing, all or nothing.
// It may be called by any number of programs at the same time. Errors wrap
// [ErrNewer] or [ErrChanged] where those are the reason.
func (s Set) Apply(ctx context.Context, db *sql.DB) (Dialect, error) {
	d, err := Detect(ctx, db)
	if err != nil {
		return 0, err
	}
	applied, err := s.applied(ctx, d, db)
	if err == nil && applied < len(s.Migrations) {
		err = d.Write(ctx, db, func(tx Tx) error { return s.apply(ctx, d, tx) })
	}
	if err != nil {
		return 0, fmt.Errorf("migrate the tables of %s in %v: %w", s.Component, d, err)
	}
	return d, nil
}

// apply does the work of Apply inside the transaction that holds the lock.
func (s Set) apply(ctx context.Context, d Dialect, tx Tx) error {
	if d == PostgreSQL {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", lockKey); err != nil {
			return fmt.Errorf("wait for other programs that migrate: %w", err)
		}
	}
	applied, err := s.applied(ctx, d, tx)
	if err != nil {
		return err
	}
	for i := applied; i < len(s.Migrations); i++ {
		if err := s.step(ctx, d, tx, i); err != nil {
			return fmt.Errorf("migration %d: %w", i+1, err)
		}
	}
	return nil
}

func (s Set) step(ctx context.Context, d Dialect, tx Tx, i int) error {
	if exists, err := hasTable(ctx, d, tx); err != nil {
		return err
	} else if !exists {
		// The time is text in both, for people who look.
		if _, err := tx.ExecContext(ctx, `CREATE TABLE runbook_migrations (
			component TEXT NOT NULL,
			version INTEGER NOT NULL,
			checksum TEXT NOT NULL,
			applied TEXT NOT NULL,
			PRIMARY KEY (component, version))`); err != nil {
			return err
		}
	}
	for _, statement := range s.Migrations[i].statements(d) {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx,
		"INSERT INTO runbook_migrations (component, version, checksum, applied) VALUES ($1, $2, $3, $4)",
		s.Component, i+1, s.Migrations[i].checksum(d), time.Now().UTC().Format(time.RFC3339))
	return err
}

// applied returns how many migrations the database has, having compared them
// with those of the program.
func (s Set) applied(ctx context.Context, d Dialect, tx Tx) (n int, err error) {
	err = d.Retry(ctx, func() error {
		n, err = s.read(ctx, d, tx)
		return err
	})
	return n, err
}

func (s Set) read(ctx context.Context, d Dialect, tx Tx) (int, error) {
	if exists, err := hasTable(ctx, d, tx); err != nil || !exists {
		return 0, err
	}
	rows, err := tx.QueryContext(ctx,
		"SELECT version, checksum FROM runbook_migrations WHERE component = $1 ORDER BY version", s.Component)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	n := 0
	for rows.Next() {
		var version int
		var checksum string
		if err := rows.Scan(&version, &checksum); err != nil {
			return 0, err
		}
		switch {
		case version > len(s.Migrations):
			return 0, fmt.Errorf("migration %d: %w, which knows %d", version, ErrNewer, len(s.Migrations))
		case version != n+1:
			return 0, fmt.Errorf("migration %d is missing, but %d was applied", n+1, version)
		case checksum != s.Migrations[n].checksum(d):
			return 0, fmt.Errorf("migration %d: %w", version, ErrChanged)
		}
		n++
	}
	return n, rows.Err()
}

// hasTable reports whether runbook_migrations exists, where unqualified names
// are looked up. On PostgreSQL it reads the catalog as a table: to_regclass
// would answer from the connection's cache what was true before the wait for
// the lock.
func hasTable(ctx context.Context, d Dialect, tx Tx) (exists bool, err error) {
	query := `SELECT EXISTS (SELECT FROM pg_catalog.pg_class
		WHERE relname = 'runbook_migrations' AND relkind IN ('r', 'p') AND pg_catalog.pg_table_is_visible(oid))`
	if d == SQLite {
		query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'runbook_migrations'"
	}
	err = tx.QueryRowContext(ctx, query).Scan(&exists)
	return exists, err
}

func (m Migration) statements(d Dialect) []string {
	if d == SQLite {
		return m.SQLite
	}
	return m.PostgreSQL
}

// checksum identifies the text of a migration in one dialect.
func (m Migration) checksum(d Dialect) string {
	sum := sha256.Sum256([]byte(strings.Join(m.statements(d), "\x00")))
	return hex.EncodeToString(sum[:])
}
