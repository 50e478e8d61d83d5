package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/sqlmigrate"
)

// Config says where things are kept. See [New].
type Config struct {
	// DB is the database, SQLite or PostgreSQL (14 or newer). The host opens and closes
	// it. Required.
	DB *sql.DB
}

// A Store is an [incident.Store] in a database. Make one with [New].
type Store struct {
	db      *sql.DB
	dialect sqlmigrate.Dialect
	lock    string // lockDocument in the dialect
	first   string // is run first in each transaction, if it is not empty
}

var (
	_ incident.Store         = (*Store)(nil)
	_ incident.EntryRedactor = (*Store)(nil)
)

// New creates or changes the tables where that is needed, looks whether the database keeps
// what it commits, and returns a Store. The error says what is wrong with cfg or with the
// database: among others that a newer version of this package has changed its tables.
func New(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.DB == nil {
		return nil, errors.New("sqlstore: DB is missing")
	}
	dialect, err := migrations.Apply(ctx, cfg.DB)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	s := &Store{db: cfg.DB, dialect: dialect, lock: lockDocument}
	check := s.checkSQLite
	if dialect == sqlmigrate.PostgreSQL {
		s.lock += ` FOR UPDATE`
		check = s.checkPostgreSQL
	}
	if err := check(ctx); err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	return s, nil
}

// checkSQLite looks at one connection; a host sets all of them up alike.
func (s *Store) checkSQLite(ctx context.Context) error {
	var level int
	err := s.dialect.Retry(ctx, func() error { return s.db.QueryRowContext(ctx, `PRAGMA synchronous`).Scan(&level) })
	if err != nil {
		return fmt.Errorf("ask SQLite whether it synchronises: %w", err)
	}
	if level < 2 {
		return fmt.Errorf("SQLite's synchronous is %d, so that what was committed can be lost: open the database with synchronous FULL", level)
	}
	return nil
}

func (s *Store) checkPostgreSQL(ctx context.Context) error {
	var encoding, synchronous string
	err := s.db.QueryRowContext(ctx, `SELECT current_setting('server_encoding'), current_setting('synchronous_commit')`).Scan(&encoding, &synchronous)
	if err != nil {
		return fmt.Errorf("ask PostgreSQL for its settings: %w", err)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database is encoded in %s, which does not have every character: make one with the encoding UTF8", encoding)
	}
	if synchronous == "off" {
		s.first = `SET LOCAL synchronous_commit TO on`
	}
	return nil
}

// unmade marks the error of something that certainly was not done.
type unmade struct{ error }

func (e *unmade) Unwrap() error     { return e.error }
func (e *unmade) SafeToRetry() bool { return true }

// attempts is how often a transaction is made that the server undid because of another
// one.
const attempts = 5

// write runs fn in a transaction, several times if need be. Its errors are marked if it is
// certain that nothing was done.
func (s *Store) write(ctx context.Context, fn func(tx sqlmigrate.Tx) error) error {
	for attempt := 1; ; attempt++ {
		committing := false
		err := s.dialect.Write(ctx, s.db, func(tx sqlmigrate.Tx) error {
			if s.first != "" {
				if _, err := tx.ExecContext(ctx, s.first); err != nil {
					return err
				}
			}
			err := fn(tx)
			committing = err == nil
			return err
		})
		switch undone := isUndone(err); {
		case err == nil:
			return nil
		case undone && attempt < attempts:
			continue
		case undone || !committing: // the transaction was not committed, and so ends with nothing
			return &unmade{err}
		}
		return err
	}
}

// isUndone reports whether PostgreSQL says that it rolled a transaction back because of
// another one at the same time. pgx and lib/pq both have the method.
func isUndone(err error) bool {
	state, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err)
	return ok && (state.SQLState() == "40001" || state.SQLState() == "40P01")
}

// Delete implements [incident.Store].
func (s *Store) Delete(ctx context.Context, kind, id, chain string) error {
	if runbook.IsReadOnly(ctx) {
		return fmt.Errorf("sqlstore: delete: %w", runbook.ErrReadOnly)
	}
	type statement struct {
		text string
		args []any
	}
	// What is deleted is locked first, in the order of Commit, also if it is not there: what
	// somebody adds meanwhile is all deleted, or comes all after it.
	var statements []statement
	if kind != "" && id != "" && storable(kind) && storable(id) {
		statements = append(statements,
			statement{reserveDocument, []any{kind, id}},
			statement{`DELETE FROM runbook_incident_documents WHERE kind = $1 AND id = $2`, []any{kind, id}},
			statement{`DELETE FROM runbook_incident_keys WHERE kind = $1 AND id = $2`, []any{kind, id}})
	}
	if chain != "" && storable(chain) {
		statements = append(statements,
			statement{lockChain, []any{chain}},
			statement{`DELETE FROM runbook_incident_chains WHERE chain = $1`, []any{chain}},
			statement{`DELETE FROM runbook_incident_entries WHERE chain = $1`, []any{chain}})
	}
	if len(statements) == 0 {
		return ctx.Err()
	}
	err := s.write(ctx, func(tx sqlmigrate.Tx) error {
		for _, st := range statements {
			if _, err := tx.ExecContext(ctx, st.text, st.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqlstore: delete: %w", err)
	}
	return nil
}

// storable reports whether a text can be in the database: PostgreSQL takes valid UTF-8
// without NUL. No other text names anything.
func storable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }
