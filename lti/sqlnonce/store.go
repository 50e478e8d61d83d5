package sqlnonce

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/sqlmigrate"
	"go.acu.edu.au/runbook/lti"
)

// Config is what a [Store] needs.
type Config struct {
	// DB is the database, SQLite or PostgreSQL (14 or newer). The host opens
	// and closes it. Required.
	DB *sql.DB
}

// A Store keeps nonces in a database. [New] makes one. It is safe for concurrent
// use.
type Store struct {
	db      *sql.DB
	dialect sqlmigrate.Dialect
	sql     statements
	uses    atomic.Uint64
}

var _ lti.NonceStore = (*Store)(nil)

const (
	// slow is how long a statement may take, and how much clocks may differ.
	slow = time.Minute
	// grace is for how much longer than asked for a nonce is kept.
	grace = 2 * slow
	// longest is what "for ever" is cut to, so that no sum overflows.
	longest = 100 * 365 * 24 * time.Hour

	usesPerPurge    = 100
	rowsPerUsePurge = 2 * usesPerPurge // more than are added meanwhile
	rowsPerPurge    = 1000
)

// New returns a Store, having created or changed its table where that was
// needed. The error says what is wrong with cfg, or why the database could not be
// made ready: among others that a newer version of this package has changed its
// table.
func New(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.DB == nil {
		return nil, errors.New("sqlnonce: DB is required")
	}
	dialect, err := migrations.Apply(ctx, cfg.DB)
	if err != nil {
		return nil, fmt.Errorf("sqlnonce: %w", err)
	}
	return &Store{db: cfg.DB, dialect: dialect, sql: statementsFor(dialect)}, nil
}

// Use implements [lti.NonceStore]. An error that is neither [lti.ErrNonceUsed] nor
// [lti.ErrNonceExpired] means that the database could not be asked, or that its
// answer was lost: it is not known whether the nonce was recorded.
func (s *Store) Use(ctx context.Context, id lti.NonceID, until time.Time) error {
	if err := s.use(ctx, id, until); err != nil {
		return fmt.Errorf("sqlnonce: use a nonce: %w", err)
	}
	if s.uses.Add(1)%usesPerPurge == 0 {
		// The nonce is recorded; if the removal fails, a later one will do.
		_, _ = s.purge(ctx, rowsPerUsePurge)
	}
	return nil
}

func (s *Store) use(ctx context.Context, id lti.NonceID, until time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if runbook.IsReadOnly(ctx) {
		return runbook.ErrReadOnly
	}
	remaining := min(time.Until(until), longest)
	if remaining <= 0 {
		return lti.ErrNonceExpired
	}
	var recorded int64
	err := s.dialect.Retry(ctx, func() (err error) {
		recorded, err = s.exec(ctx, s.sql.use, append([]any{id[:], (remaining + grace).Milliseconds()}, s.clock()...)...)
		return err
	})
	switch {
	case err != nil:
		return err
	case recorded == 0:
		return lti.ErrNonceUsed
	case !time.Now().Add(-slow).Before(until):
		// It took so long that an earlier record of this nonce may have expired
		// before the statement ran.
		return lti.ErrNonceExpired
	}
	return nil
}

// PurgeExpired implements [lti.NonceStore]. It removes all rows that have expired,
// and on PostgreSQL not those that another replica is just removing. Also with an
// error, removed is how many are gone.
func (s *Store) PurgeExpired(ctx context.Context) (removed int, err error) {
	if runbook.IsReadOnly(ctx) {
		return 0, fmt.Errorf("sqlnonce: purge expired nonces: %w", runbook.ErrReadOnly)
	}
	for {
		var n int64
		err := s.dialect.Retry(ctx, func() (err error) {
			n, err = s.purge(ctx, rowsPerPurge)
			return err
		})
		removed += int(n)
		if err != nil {
			return removed, fmt.Errorf("sqlnonce: purge expired nonces: %w", err)
		}
		if n < rowsPerPurge {
			return removed, nil
		}
	}
}

func (s *Store) purge(ctx context.Context, most int) (int64, error) {
	return s.exec(ctx, s.sql.purge, append(s.clock(), most)...)
}

// clock returns the parameter that is the time, on SQLite, which is too coarse
// with its own.
func (s *Store) clock() []any {
	if s.dialect == sqlmigrate.SQLite {
		return []any{time.Now().UnixMilli()}
	}
	return nil
}

// exec runs a statement and returns how many rows it changed. One that PostgreSQL
// has undone, because its transactions are stricter than "read committed" and
// another was faster, is run again: then it sees what the other did.
func (s *Store) exec(ctx context.Context, query string, args ...any) (int64, error) {
	for attempt := 1; ; attempt++ {
		result, err := s.db.ExecContext(ctx, query, args...)
		if err == nil {
			return result.RowsAffected()
		}
		if attempt == 5 || !undone(err) {
			return 0, err
		}
	}
}

// undone reports whether PostgreSQL says that a statement was rolled back because
// of another one at the same time: class 40 of its error codes, but for
// statement_completion_unknown. pgx and lib/pq both have the method.
func undone(err error) bool {
	state, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err)
	if !ok {
		return false
	}
	return state.SQLState() == "40001" || state.SQLState() == "40P01"
}
