package sqlhealth

import "go.acu.edu.au/runbook/internal/sqlmigrate"

// The schema. Times are BIGINT nanoseconds since 1970 UTC and lengths of time
// BIGINT nanoseconds, in both databases: that is what a Go time holds, so that
// "is it newer?" has one answer. Released migrations are never changed.
//
//   - runbook_health_state has one row per check: its newest sample, which is
//     not yet in the sums because the next one tells how long it lasted, and
//     since when it is down. This row is the lock for all rows of its check. In
//     PostgreSQL, which locks rows, it is made before the first sample, with
//     at NULL.
//   - runbook_health_hours has one row per check and hour: nanoseconds in each
//     state, and how often answers took how long (see [encodeLatencies]). Rows
//     are full values written under the lock of the state row, not increments.
//   - runbook_health_spells has one row per spell of downtime. ended is NULL
//     while it lasts.
//   - runbook_health_leases has one row per check: who runs it until when, and
//     the result shared last as JSON (see [encodeResult]). A lease that was
//     given up has the empty holder.
//
// The index on hour serves the removal of what is too old, once an hour. It is not on a
// column that updates change, so PostgreSQL's updates of the current hour stay
// within their page (heap-only tuples).
var migrations = sqlmigrate.Set{
	Component: "health",
	Migrations: []sqlmigrate.Migration{{
		SQLite:     schema(") WITHOUT ROWID"),
		PostgreSQL: schema(")"),
	}},
}

func schema(end string) []string {
	return []string{
		`CREATE TABLE runbook_health_state (
			check_name TEXT NOT NULL PRIMARY KEY,
			at BIGINT,
			status TEXT,
			valid BIGINT,
			down_since BIGINT
		` + end,
		`CREATE TABLE runbook_health_hours (
			check_name TEXT NOT NULL,
			hour BIGINT NOT NULL,
			unknown BIGINT NOT NULL,
			healthy BIGINT NOT NULL,
			degraded BIGINT NOT NULL,
			unhealthy BIGINT NOT NULL,
			maintenance BIGINT NOT NULL,
			latencies TEXT NOT NULL,
			PRIMARY KEY (check_name, hour)
		` + end,
		`CREATE INDEX runbook_health_hours_hour ON runbook_health_hours (hour)`,
		`CREATE TABLE runbook_health_spells (
			check_name TEXT NOT NULL,
			start BIGINT NOT NULL,
			ended BIGINT,
			PRIMARY KEY (check_name, start)
		` + end,
		`CREATE TABLE runbook_health_leases (
			check_name TEXT NOT NULL PRIMARY KEY,
			holder TEXT NOT NULL,
			expires BIGINT NOT NULL,
			result TEXT
		` + end,
	}
}
