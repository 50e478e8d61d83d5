package sqlprobe

import (
	"context"
	"fmt"
	"strings"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// readRole finds whether the server is a primary or a replica, and whether it
// takes writes. A role that is itself set to only read, as roles of monitors
// often are, says nothing about the server.
func readRole(want Role) reader {
	return func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
		var recovery, readOnly bool
		err := q.QueryRowContext(ctx, `SELECT pg_is_in_recovery(), setting = 'on' AND source NOT IN ('user', 'database user', 'client', 'session')
			FROM pg_settings WHERE name = 'default_transaction_read_only'`).Scan(&recovery, &readOnly)
		if err != nil {
			return r, err
		}
		role := Primary
		if recovery {
			role = Replica
		}
		r = netcheck.With(r, health.Measurement{Name: "role", Text: string(role)})
		switch {
		case want != "" && want != role:
			return r.Worsen(health.Unhealthy, health.CauseAssertion, fmt.Sprintf("the server is a %s, want a %s", role, want)), nil
		case want == Primary && readOnly:
			return r.Worsen(health.Unhealthy, CauseReadOnly, "the server takes no writes: default_transaction_read_only is on"), nil
		}
		return r, nil
	}
}

func readSize(d Diagnostic) reader {
	return func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
		var size float64
		err := q.QueryRowContext(ctx, "SELECT pg_database_size(current_database())::float8").Scan(&size)
		if err != nil {
			return r, err
		}
		return d.Limit.Apply(r, health.Measurement{Name: "database_size", Value: size, Unit: health.Bytes}), nil
	}
}

func readDisk(disk Disk) reading {
	return func(d Diagnostic) reader {
		return func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
			var percent float64
			var err error
			switch ok := true; {
			case disk.Used != nil:
				if percent, err = disk.Used(ctx); err != nil {
					err = unreadable{oneLine(err.Error())} // it is not the database that failed
				}
			case disk.SQL != "":
				if percent, ok, err = number(ctx, q, disk.SQL); err == nil && !ok {
					err = unreadable{errNothing.Error()}
				}
			default:
				err = unreadable{"PostgreSQL cannot tell how much disk is free, and the host was not asked"}
			}
			if err != nil {
				return r, err
			}
			return d.Limit.Apply(r, health.Measurement{Name: "disk_used", Value: round(percent), Unit: health.Percent}), nil
		}
	}
}

// xids is how many transaction numbers there are before the server stops to
// assign them: half of 2^32, without the last three million (PostgreSQL,
// "Preventing Transaction ID Wraparound Failures").
const xids = 1<<31 - 3_000_000

// readWraparound asks about all databases, because the oldest stops them all.
func readWraparound(d Diagnostic) reader {
	return func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
		var name string
		var age float64
		err := q.QueryRowContext(ctx, `SELECT datname, greatest(age(datfrozenxid), mxid_age(datminmxid))::float8 AS oldest
			FROM pg_database ORDER BY oldest DESC LIMIT 1`).Scan(&name, &age)
		if err != nil {
			return r, err
		}
		return limited(r, d.Limit, health.Measurement{Name: "xid_age", Value: round(100 * age / xids), Unit: health.Percent},
			fmt.Sprintf("the oldest database is %q", name)), nil
	}
}

// Settings of SlowQueries that are zero.
const (
	defaultTop      = 5
	defaultMinCalls = 5
)

func readSlowQueries(s SlowQueries, show bool) reading {
	if s.Top == 0 {
		s.Top = defaultTop
	}
	if s.MinCalls == 0 {
		s.MinCalls = defaultMinCalls
	}
	return func(d Diagnostic) reader {
		return func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
			schemas, err := texts(ctx, q, `SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
				WHERE e.extname = 'pg_stat_statements'`)
			if err != nil {
				return r, err
			}
			if len(schemas) == 0 {
				return r, unreadable{"the extension pg_stat_statements is not installed in this database"}
			}
			slowest, list, err := slowQueries(ctx, q, schemas[0], s, show)
			if stateOf(err) == notInPrerequisite {
				return r, unreadable{"the server has not loaded pg_stat_statements (shared_preload_libraries)"}
			}
			if err != nil {
				return r, err
			}
			text := strings.Join(list, "; ")
			r = limited(r, d.Limit, health.Measurement{Name: "slowest_query_mean", Value: slowest, Unit: health.Milliseconds}, text)
			if text != "" {
				r = netcheck.With(r, health.Measurement{Name: "slow_queries", Text: text})
			}
			return r, nil
		}
	}
}

// slowQueries returns the mean time of the slowest statement, and a line for
// each. Statements of other roles have neither id nor text for a role that is
// not a member of pg_read_all_stats, but they have their times.
func slowQueries(ctx context.Context, q querier, schema string, s SlowQueries, show bool) (slowest float64, list []string, err error) {
	rows, err := q.QueryContext(ctx, `SELECT COALESCE(queryid::text, 'hidden'), COALESCE(query, ''), calls, mean_exec_time
		FROM `+quoted(schema)+`.pg_stat_statements
		WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND calls >= $1
		ORDER BY mean_exec_time DESC LIMIT $2`, s.MinCalls, s.Top)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, text string
		var calls int64
		var mean float64
		if err := rows.Scan(&id, &text, &calls, &mean); err != nil {
			return 0, nil, err
		}
		slowest = max(slowest, round(mean))
		line := fmt.Sprintf("queryid %s: %v ms, %d calls", id, round(mean), calls)
		if show {
			line += fmt.Sprintf(" (%s)", netcheck.Shorten(text, mostQuery))
		}
		list = append(list, line)
	}
	return slowest, list, rows.Err()
}

// counters are what a database has counted since its statistics were reset.
type counters struct {
	deadlocks          float64
	commits, rollbacks float64
	seenDeadlocks      bool // deadlocks were read
	seenTransactions   bool // commits and rollbacks were read
}

func (p *Prober) readDeadlocks(d Diagnostic) reader {
	return func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
		var n float64
		err := q.QueryRowContext(ctx, "SELECT deadlocks::float8 FROM pg_stat_database WHERE datname = current_database()").Scan(&n)
		if err != nil {
			return r, err
		}
		p.mu.Lock()
		since, seen := n-p.last.deadlocks, p.last.seenDeadlocks
		p.last.deadlocks, p.last.seenDeadlocks = n, true
		p.mu.Unlock()
		if !seen || since < 0 { // negative after a reset
			return r, nil
		}
		return d.Limit.Apply(r, health.Measurement{Name: "deadlocks", Value: since}), nil
	}
}

// minTransactions is how many transactions a share of them needs.
const minTransactions = 100

func (p *Prober) readRollbacks(d Diagnostic) reader {
	return func(ctx context.Context, q querier, r health.Result) (health.Result, error) {
		var commits, rollbacks float64
		err := q.QueryRowContext(ctx, `SELECT xact_commit::float8, xact_rollback::float8
			FROM pg_stat_database WHERE datname = current_database()`).Scan(&commits, &rollbacks)
		if err != nil {
			return r, err
		}
		p.mu.Lock()
		last := p.last
		enough := !last.seenTransactions || commits < last.commits || rollbacks < last.rollbacks ||
			commits+rollbacks-last.commits-last.rollbacks >= minTransactions
		if enough {
			p.last.commits, p.last.rollbacks, p.last.seenTransactions = commits, rollbacks, true
		}
		p.mu.Unlock()
		commits, rollbacks = commits-last.commits, rollbacks-last.rollbacks
		if !enough || !last.seenTransactions || commits < 0 || rollbacks < 0 {
			return r, nil
		}
		percent := round(100 * rollbacks / (commits + rollbacks))
		return d.Limit.Apply(r, health.Measurement{Name: "rollbacks", Value: percent, Unit: health.Percent}), nil
	}
}
