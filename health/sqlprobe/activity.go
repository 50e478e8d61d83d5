package sqlprobe

import (
	"context"
	"fmt"
	"strings"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// readConnections counts clients of all databases. The type of a backend is
// hidden from roles without pg_read_all_stats, its user is not; background
// processes have none.
func readConnections(d Diagnostic) reader {
	return func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
		var used, most float64
		err := q.QueryRowContext(ctx, `SELECT count(*)::float8,
			(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
				- COALESCE(current_setting('reserved_connections', true)::int, 0))::float8
			FROM pg_stat_activity
			WHERE backend_type = 'client backend' OR (backend_type IS NULL AND usesysid IS NOT NULL)`).Scan(&used, &most)
		if err != nil {
			return r, err
		}
		r = netcheck.With(r, health.Measurement{Name: "connections", Value: used}, health.Measurement{Name: "connections_max", Value: most})
		percent := round(100 * used / most)
		return limited(r, d.Limit, health.Measurement{Name: "connections_used", Value: percent, Unit: health.Percent},
			fmt.Sprintf("%.0f of %.0f connections", used, most)), nil
	}
}

// A kind of session that is looked for.
type kind struct {
	count   string // the measurement of how many there are; "" for none
	longest string // the measurement of the one that is so for longest, in seconds
	found   string // SELECT pid, name, state, since, query FROM a
}

// The statements below select from a, the sessions of the database without this
// one. What is hidden from the role is NULL there, and so is not found.
var (
	longTransactions = kind{longest: "longest_transaction", found: `
		SELECT pid, application_name, state, xact_start, query FROM a
		WHERE xact_start IS NOT NULL AND backend_type NOT IN ('walsender', 'autovacuum worker', 'parallel worker')
		UNION ALL
		SELECT 0, gid, 'prepared', prepared, '' FROM pg_prepared_xacts WHERE database = current_database()`}
	idleInTransaction = kind{count: "idle_in_transaction", longest: "longest_idle_in_transaction", found: `
		SELECT pid, application_name, state, state_change, query FROM a
		WHERE state IN ('idle in transaction', 'idle in transaction (aborted)')`}
	runningQueries = kind{count: "running_queries", longest: "longest_query", found: `
		SELECT pid, application_name, state, query_start, query FROM a
		WHERE state = 'active' AND backend_type = 'client backend'`}
)

// readSessions finds how many sessions of a kind there are, and which has been
// so for longest.
func readSessions(k kind, show bool) reading {
	query := `WITH a AS (SELECT * FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()),
		x (pid, name, state, since, query) AS (` + k.found + `)
		SELECT (SELECT count(*) FROM a WHERE query = '<insufficient privilege>'), (SELECT count(*) FROM x)::float8,
			COALESCE(o.age, 0), COALESCE(o.pid, 0), COALESCE(o.name, ''), COALESCE(o.state, ''), COALESCE(o.query, '')
		FROM (SELECT) one LEFT JOIN (SELECT *, extract(epoch FROM clock_timestamp() - since)::float8 AS age
			FROM x ORDER BY since LIMIT 1) o ON true`
	return func(d Diagnostic) reader {
		return func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
			var hidden int
			var count, age float64
			var oldest process
			err := q.QueryRowContext(ctx, query).Scan(&hidden, &count, &age, &oldest.pid, &oldest.name, &oldest.state, &oldest.query)
			if err != nil {
				return r, err
			}
			if k.count != "" {
				r = netcheck.With(r, health.Measurement{Name: k.count, Value: count})
			}
			detail := ""
			if count > 0 {
				detail = "it is " + oldest.describe(show)
			}
			r = limited(r, d.Limit, health.Measurement{Name: k.longest, Value: round(max(0, age)), Unit: health.Seconds}, detail)
			return partly(r, k.longest, hidden, d.Required), nil
		}
	}
}

// partly says that sessions are hidden from the role, if they are.
func partly(r health.Result, name string, hidden int, required bool) health.Result {
	if hidden == 0 {
		return r
	}
	why := fmt.Sprintf("%d sessions of other roles are hidden from this one, which is not a member of pg_read_all_stats", hidden)
	if _, said := r.Measurement("activity"); !said {
		r = netcheck.With(r, health.Measurement{Name: "activity", Text: "partly readable: " + why})
	}
	if required {
		r = r.Worsen(health.Degraded, health.CauseMissing, name+" is not readable: "+why)
	}
	return r
}

// A process is a backend of the server, as far as operators may know it.
type process struct {
	pid         int
	name, state string
	query       string
}

// describe returns "pid 12 (application "worker", idle in transaction)".
func (p process) describe(show bool) string {
	if p.state == "prepared" {
		return fmt.Sprintf("the prepared transaction %s", netcheck.Quote(p.name))
	}
	var details []string
	if p.name != "" {
		details = append(details, fmt.Sprintf("application %s", netcheck.Quote(p.name)))
	}
	if p.state != "" {
		details = append(details, p.state)
	}
	if show && p.query != "" {
		details = append(details, fmt.Sprintf("query \"%s\"", netcheck.Shorten(p.query, mostQuery)))
	}
	text := fmt.Sprintf("pid %d", p.pid)
	if len(details) > 0 {
		text += " (" + strings.Join(details, ", ") + ")"
	}
	return text
}

// readBlocked finds who waits for a lock. Everyone may read pg_locks, and only
// for those that wait there is pg_blocking_pids called, which stops the lock
// manager for a moment. Of several that block, one that does not wait itself is
// named: it is the one to look at.
func readBlocked(show bool) reading {
	const query = `WITH w AS (
			SELECT l.pid, min(l.waitstart) AS since FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
			WHERE NOT l.granted AND a.datname = current_database() GROUP BY l.pid)
		SELECT (SELECT count(*) FROM w)::float8, extract(epoch FROM clock_timestamp() - o.since)::float8, o.pid,
			COALESCE(b.pid, 0), COALESCE(a.application_name, ''), COALESCE(a.state, ''), COALESCE(a.query, '')
		FROM (SELECT * FROM w ORDER BY since NULLS LAST LIMIT 1) o
		LEFT JOIN LATERAL (SELECT u.pid FROM unnest(pg_blocking_pids(o.pid)) u(pid)
			ORDER BY EXISTS (SELECT FROM w WHERE w.pid = u.pid), u.pid LIMIT 1) b ON true
		LEFT JOIN pg_stat_activity a ON a.pid = b.pid`
	return func(d Diagnostic) reader {
		return func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
			rows, err := q.QueryContext(ctx, query)
			if err != nil {
				return r, err
			}
			defer func() { _ = rows.Close() }()
			var count float64
			var age *float64 // NULL in the moment in which waiting begins
			var waiter int
			var by process
			if rows.Next() {
				if err := rows.Scan(&count, &age, &waiter, &by.pid, &by.name, &by.state, &by.query); err != nil {
					return r, err
				}
			}
			if err := rows.Err(); err != nil {
				return r, err
			}
			r = netcheck.With(r, health.Measurement{Name: "blocked_queries", Value: count})
			longest := health.Measurement{Name: "longest_blocked", Unit: health.Seconds}
			if age != nil {
				longest.Value = round(max(0, *age))
			}
			if count == 0 {
				return d.Limit.Apply(r, longest), nil
			}
			text := by.describe(show)
			if by.pid == 0 { // so pg_blocking_pids names prepared transactions
				text = "a prepared transaction, or nobody any more"
			}
			r = limited(r, d.Limit, longest, fmt.Sprintf("pid %d waits for %s", waiter, text))
			return netcheck.With(r, health.Measurement{Name: "blocked_by", Text: text}), nil
		}
	}
}
