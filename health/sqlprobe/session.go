package sqlprobe

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// A querier runs queries, in a transaction or not.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// A diagnostic is one thing that is asked.
type diagnostic struct {
	name     string
	required bool          // Degraded if it cannot be read
	failure  health.Status // what it means if it fails otherwise
	read     reader
}

// A reader adds what it finds to r. What it returns beside an error is dropped.
type reader func(ctx context.Context, q querier, r health.Result) (health.Result, error)

// A reading makes the reader of a diagnostic.
type reading func(d Diagnostic) reader

// unreadable is an error that says why something cannot be read: the role may
// not, or the server has it not. That is no failure of the server.
type unreadable struct{ why string }

func (u unreadable) Error() string { return u.why }

// A session runs diagnostics on one connection. On PostgreSQL they run in a
// read-only transaction, and in a new one after an error, which ends it.
type session struct {
	conn     *sql.Conn
	postgres bool
	start    time.Time // of the probe
	tx       *sql.Tx
	timeout  time.Duration // the statement_timeout in tx
}

// run adds one diagnostic to r. It is false if nothing more can be asked.
func (s *session) run(ctx context.Context, d diagnostic, r health.Result) (health.Result, bool) {
	q, err := s.querier(ctx)
	if err != nil {
		if f, ended := netcheck.Ended(ctx, time.Since(s.start), "during "+d.name); ended {
			return f.Add(r), false
		}
		cause, text := explain(err)
		return r.Worsen(health.Unhealthy, cause, "begin: "+text), false
	}
	found, err := d.read(ctx, q, r)
	if err == nil {
		return found, true
	}
	if f, ended := netcheck.Ended(ctx, time.Since(s.start), "during "+d.name); ended {
		return f.Add(r), false
	}
	cause, text := explain(err)
	if isBroken(err) {
		return r.Worsen(health.Unhealthy, cause, d.name+": "+text), false
	}
	s.end()
	if u, ok := errors.AsType[unreadable](err); ok {
		return noted(r, d.name, u.why, d.required), true
	}
	switch stateOf(err) {
	case insufficientPrivilege:
		return noted(r, d.name, text, d.required), true
	case queryCanceled:
		text = fmt.Sprintf("timed out after %v", s.timeout)
	case lockNotAvailable:
		text = fmt.Sprintf("timed out after %v while waiting for a lock", lockTimeout(s.timeout))
	}
	return r.Worsen(d.failure, cause, d.name+": "+text), true
}

// noted says in r that something could not be read.
func noted(r health.Result, name, why string, required bool) health.Result {
	r = netcheck.With(r, health.Measurement{Name: name, Text: "not readable: " + why})
	if required {
		r = r.Worsen(health.Degraded, health.CauseMissing, name+" is not readable: "+why)
	}
	return r
}

// querier returns what the next diagnostic runs on.
func (s *session) querier(ctx context.Context) (querier, error) {
	if !s.postgres {
		return s.conn, nil
	}
	if s.tx == nil {
		tx, err := s.conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted, ReadOnly: true})
		if err != nil {
			return nil, err
		}
		s.tx, s.timeout = tx, 0
	}
	return s.tx, s.limit(ctx)
}

// defaultTimeout is how long a statement may take if ctx has no deadline.
const defaultTimeout = 10 * time.Second

// limit sets the time that a statement may take on the server to half of what
// is left: so the server ends it before ctx ends here, and one that hangs
// leaves time for others. It is set anew once it is more than three quarters of
// what is left. Waiting for a lock ends a little earlier, for a clear error.
// Should this process stop in the transaction, the server ends it too.
func (s *session) limit(ctx context.Context) error {
	left := 2 * defaultTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	if s.timeout > 0 && s.timeout <= left/4*3 {
		return nil
	}
	s.timeout = max(2*time.Millisecond, (left / 2).Truncate(time.Millisecond))
	_, err := s.tx.ExecContext(ctx, `SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true),
		set_config('idle_in_transaction_session_timeout', $3, true)`,
		inMilliseconds(s.timeout), inMilliseconds(lockTimeout(s.timeout)), inMilliseconds(left+time.Second))
	return err
}

func lockTimeout(statement time.Duration) time.Duration {
	return max(time.Millisecond, (statement / 5 * 4).Truncate(time.Millisecond))
}

// inMilliseconds writes a duration as a setting of PostgreSQL.
func inMilliseconds(d time.Duration) string {
	return strconv.FormatInt(max(1, d.Milliseconds()), 10)
}

// end ends the transaction. It commits, though nothing was written, because the
// server counts rollbacks and this probe is not to be in that number. After an
// error the server makes a rollback of it by itself.
func (s *session) end() {
	if s.tx != nil {
		_ = s.tx.Commit()
		s.tx = nil
	}
}

// number reads one row of one column. ok is false if there is no row or NULL.
func number(ctx context.Context, q querier, query string) (value float64, ok bool, err error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		return 0, false, rows.Err()
	}
	var found any
	if err := rows.Scan(&found); err != nil {
		return 0, false, err
	}
	if found == nil {
		return 0, false, rows.Err()
	}
	if rows.Next() {
		return 0, false, errors.New("the query returns more than one row")
	}
	if err := rows.Err(); err != nil {
		return 0, false, err
	}
	value, err = toNumber(found)
	return value, err == nil, err
}

// toNumber reads what drivers return for numbers and booleans. A value that is
// neither is not repeated in the error: it may be somebody's data.
func toNumber(v any) (float64, error) {
	switch v := v.(type) {
	case int64:
		return float64(v), nil
	case float64:
		return v, nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case []byte:
		return toNumber(string(v))
	case string:
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			return f, nil
		}
		if b, err := strconv.ParseBool(v); err == nil {
			return toNumber(b)
		}
	}
	return 0, errors.New("the query returns neither a number nor a boolean")
}

// round leaves three decimals, enough for milliseconds and percent.
func round(f float64) float64 {
	text := strconv.FormatFloat(f, 'f', 3, 64)
	f, _ = strconv.ParseFloat(text, 64) // cannot fail
	return f
}
