package schedule

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/internal/sqlmigrate"
)

// An SQLLedger is a [Ledger] in a SQLite or PostgreSQL database of the host, for all
// replicas that share it. Make one with [NewSQLLedger]. It is safe for concurrent use.
type SQLLedger struct {
	db      *sql.DB
	dialect sqlmigrate.Dialect
}

var _ Ledger = (*SQLLedger)(nil)

// The schema: state is an Outcome, or 0 while the run is held, and until milliseconds since
// 1970 UTC. Released migrations are never changed.
func migrations() sqlmigrate.Set {
	create := []string{`CREATE TABLE runbook_schedule_runs (
		run TEXT NOT NULL PRIMARY KEY, state INTEGER NOT NULL, attempt INTEGER NOT NULL, unknown INTEGER NOT NULL, until BIGINT NOT NULL)`}
	return sqlmigrate.Set{Component: "alert_schedule", Migrations: []sqlmigrate.Migration{{SQLite: create, PostgreSQL: create}}}
}

// NewSQLLedger returns an SQLLedger, having created the table runbook_schedule_runs, or
// changed it, where that was needed; any number of replicas may start at once. The host
// opens and closes db, which is SQLite or PostgreSQL 14 or newer.
func NewSQLLedger(ctx context.Context, db *sql.DB) (*SQLLedger, error) {
	if db == nil {
		return nil, errors.New("schedule: the database is missing")
	}
	dialect, err := migrations().Apply(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	return &SQLLedger{db: db, dialect: dialect}, nil
}

// clock puts the time into a statement: on PostgreSQL that of the server, so that the clocks
// of replicas do not matter; on SQLite, whose users share a machine, the last parameter.
func (l *SQLLedger) clock(query string, args ...any) (string, []any) {
	if l.dialect == sqlmigrate.PostgreSQL {
		return strings.ReplaceAll(query, "{now}", "CAST(extract(epoch FROM statement_timestamp()) * 1000 AS BIGINT)"), args
	}
	return strings.ReplaceAll(query, "{now}", fmt.Sprintf("$%d", len(args)+1)), append(args, time.Now().UnixMilli())
}

// Claim implements [Ledger]. One statement decides, of which the database lets one succeed.
func (l *SQLLedger) Claim(ctx context.Context, run Run, lease time.Duration) (Claim, error) {
	c := Claim{Key: run.Key()}
	query, args := l.clock(`INSERT INTO runbook_schedule_runs AS r (run, state, attempt, unknown, until) VALUES ($1, 0, 1, 0, $2 + {now})
		ON CONFLICT (run) DO UPDATE SET state = 0, attempt = r.attempt + 1,
			unknown = r.unknown + CASE WHEN r.state = 0 THEN 1 ELSE 0 END, until = excluded.until
		WHERE r.state <> 1 AND r.until <= {now} RETURNING attempt, unknown`, c.Key, lease.Milliseconds())
	err := l.dialect.Retry(ctx, func() error { return l.db.QueryRowContext(ctx, query, args...).Scan(&c.Attempt, &c.Unknown) })
	if errors.Is(err, sql.ErrNoRows) {
		return Claim{}, l.whyNot(ctx, c.Key)
	}
	if err != nil {
		return Claim{}, fmt.Errorf("schedule: claim a run: %w", err)
	}
	return c, nil
}

func (l *SQLLedger) whyNot(ctx context.Context, key string) error {
	var state Outcome
	err := l.dialect.Retry(ctx, func() error {
		return l.db.QueryRowContext(ctx, "SELECT state FROM runbook_schedule_runs WHERE run = $1", key).Scan(&state)
	})
	switch {
	case err != nil:
		return fmt.Errorf("schedule: claim a run: %w", err)
	case state == Done:
		return ErrDone
	}
	return ErrTaken
}

// Finish implements [Ledger].
func (l *SQLLedger) Finish(ctx context.Context, c Claim, outcome Outcome, wait time.Duration) error {
	query, args := l.clock("UPDATE runbook_schedule_runs SET state = $1, unknown = $2, until = $3 + {now} WHERE run = $4 AND attempt = $5",
		outcome, c.unknown(outcome), wait.Milliseconds(), c.Key, c.Attempt)
	changed, err := l.exec(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("schedule: finish a run: %w", err)
	}
	if changed == 0 {
		return ErrTaken
	}
	if outcome == Done {
		// The run is done; if the removal fails, a later one will do.
		query, args := l.clock("DELETE FROM runbook_schedule_runs WHERE until + $1 < {now}", keep.Milliseconds())
		_, _ = l.exec(ctx, query, args...)
	}
	return nil
}

func (l *SQLLedger) exec(ctx context.Context, query string, args ...any) (changed int64, err error) {
	err = l.dialect.Retry(ctx, func() error {
		result, err := l.db.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	return changed, err
}
