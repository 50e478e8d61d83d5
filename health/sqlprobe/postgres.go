package sqlprobe

import (
	"context"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// Postgres says what a PostgreSQL server (14 or newer) is asked. A nil field is
// not asked. [Everything] asks all that needs no setting.
//
// What is measured of sessions is about the database that the pool is connected
// to. A role sees the sessions of other roles only if it is a member of
// pg_monitor or pg_read_all_stats; where sessions are hidden, the measurement
// "activity" says how many.
type Postgres struct {
	// Role demands that the server is a primary or a replica. Zero means that
	// either will do; the measurement "role" says which it is.
	Role Role
	// ShowQueries adds the texts of the queries found to measurements and
	// messages, at most 200 bytes each. They may hold people's data.
	ShowQueries bool

	// Connections limits "connections_used": percent of the connections that
	// the server allows to ordinary roles (max_connections without the reserved
	// ones), of all databases. Beside it: "connections" and "connections_max".
	Connections *Diagnostic
	// LongTransactions limits "longest_transaction": seconds since the oldest
	// open transaction began, prepared ones included; without this probe,
	// replication and autovacuum.
	LongTransactions *Diagnostic
	// IdleInTransaction limits "longest_idle_in_transaction": seconds for which
	// a session has held a transaction open and done nothing. Beside it:
	// "idle_in_transaction", the number of such sessions.
	IdleInTransaction *Diagnostic
	// RunningQueries limits "longest_query": seconds for which a query has been
	// running. Beside it: "running_queries".
	RunningQueries *Diagnostic
	// Blocked limits "longest_blocked": seconds for which a query has waited
	// for a lock. Beside it: "blocked_queries", and "blocked_by", which names
	// the process that the longest waits for.
	Blocked *Diagnostic
	// SlowQueries measures the slowest statements on average.
	SlowQueries *SlowQueries
	// Size limits "database_size", in bytes.
	Size *Diagnostic
	// Disk measures how full the disk is.
	Disk *Disk
	// Wraparound limits "xid_age": percent of the transaction numbers that the
	// oldest row of any database has used up. At 100 the server stops to write.
	// Autovacuum sets in at about 10; past 50 it is not keeping up.
	Wraparound *Diagnostic
	// Deadlocks limits "deadlocks": how many there were since the last probe of
	// this prober. The first probe does not measure it.
	Deadlocks *Diagnostic
	// Rollbacks limits "rollbacks": percent of the transactions that were
	// rolled back since the last probe of this prober. The first probe, and one
	// that finds fewer than 100 transactions, does not measure it.
	Rollbacks *Diagnostic
	// Replication measures how far replicas are behind.
	Replication *Replication
	// Migration compares the schema's version.
	Migration *Migration
}

// Everything returns a Postgres that measures all that needs no setting, and
// limits nothing. The caller may change it.
func Everything() *Postgres {
	return &Postgres{
		Connections: &Diagnostic{}, LongTransactions: &Diagnostic{}, IdleInTransaction: &Diagnostic{},
		RunningQueries: &Diagnostic{}, Blocked: &Diagnostic{}, SlowQueries: &SlowQueries{}, Size: &Diagnostic{},
		Disk: &Disk{}, Wraparound: &Diagnostic{}, Deadlocks: &Diagnostic{}, Rollbacks: &Diagnostic{},
		Replication: &Replication{},
	}
}

// A Diagnostic is one thing that is asked.
type Diagnostic struct {
	// Limit is how far the measurement may go. The zero Limit allows any.
	Limit health.Limit
	// Required makes the result Degraded if it cannot be read, or only in part,
	// because the role may not or the server has it not.
	Required bool
}

// SlowQueries asks the extension pg_stat_statements for the statements that are
// the slowest on average. Its limit is for "slowest_query_mean", in
// milliseconds. Beside it: "slow_queries", their ids with times and calls.
// Averages are since the statistics were reset last.
type SlowQueries struct {
	Diagnostic
	// Top is how many are listed. Zero means 5.
	Top int
	// MinCalls leaves out statements that were called less often. Zero means 5.
	MinCalls int
}

// Disk asks how full the disk of the database is. PostgreSQL cannot tell that:
// it knows sizes of its own files, not of the disk. A host that can (from its
// platform's metrics, or by a function in the database) passes either field.
// Without one, "disk_used" says that it is not readable.
type Disk struct {
	// Diagnostic has the limit for "disk_used", in percent.
	Diagnostic
	// Used returns how many percent are used. It must honour ctx.
	Used func(ctx context.Context) (percent float64, err error)
	// SQL returns the same as one row of one column. It is not asked if Used is
	// set.
	SQL string
}

// Replication asks how far replicas are behind. Its limit is for
// "replication_lag", in seconds; beside it "replication_lag_bytes".
//
// A replica tells its own lag: zero when it has replayed all that it received
// and is receiving (the age of the last transaction alone would grow while the
// primary has nothing to do), else the age of the last transaction that it
// replayed. One that receives nothing is Degraded, because of
// [CauseReplication].
//
// A primary tells the largest lag of its connected replicas, and "replicas",
// their number.
type Replication struct {
	Diagnostic
	// Replicas is how many a primary should have. With fewer, the result is
	// Degraded, because of [health.CauseMissing].
	Replicas int
}

// Migration compares the version of the schema, as Alembic and tools like it
// keep it, with the one that the application needs. The measurement "migration"
// has what was found.
type Migration struct {
	// Table has a row per head. It may be qualified by one schema:
	// "app.alembic_version". Empty means "alembic_version".
	Table string
	// Column has the version. Empty means "version_num".
	Column string
	// Want are the heads that should be there: one, but for branched
	// migrations. None demands only that there is one head.
	Want []string
	// Failure is what another version means, and also that there is none or
	// that the table cannot be read in time. The zero Status means Unhealthy.
	// More heads than wanted are Degraded if the wanted ones are among them.
	Failure health.Status
	// Required makes the result Degraded if the role may not read the table.
	Required bool
}

// Role is the part that a server plays in replication.
type Role string

// Roles.
const (
	// Primary must take writes: a server in recovery is [health.CauseAssertion],
	// one that has been made read-only is [CauseReadOnly].
	Primary Role = "primary"
	// Replica must be in recovery.
	Replica Role = "replica"
)

// postgres returns the diagnostics that are configured, the quick ones first.
func (p *Prober) postgres(cfg Postgres, problems *netcheck.Problems) (all []diagnostic) {
	add := func(field, name string, d *Diagnostic, read reading) {
		if d == nil {
			return
		}
		problems.In("Postgres."+field, d.Limit.Validate())
		all = append(all, diagnostic{name: name, required: d.Required, failure: health.Degraded, read: read(*d)})
	}
	if cfg.Role != "" && cfg.Role != Primary && cfg.Role != Replica {
		problems.Add("Postgres.Role %q is neither %q nor %q", string(cfg.Role), Primary, Replica)
	}
	all = append(all, diagnostic{name: "role", failure: health.Unhealthy, read: readRole(cfg.Role)})
	add("Connections", "connections_used", cfg.Connections, readConnections)
	add("Blocked", "longest_blocked", cfg.Blocked, readBlocked(cfg.ShowQueries))
	add("LongTransactions", "longest_transaction", cfg.LongTransactions, readSessions(longTransactions, cfg.ShowQueries))
	add("IdleInTransaction", "longest_idle_in_transaction", cfg.IdleInTransaction, readSessions(idleInTransaction, cfg.ShowQueries))
	add("RunningQueries", "longest_query", cfg.RunningQueries, readSessions(runningQueries, cfg.ShowQueries))
	if r := cfg.Replication; r != nil {
		add("Replication", "replication_lag", &r.Diagnostic, readReplication(r.Replicas))
	}
	add("Wraparound", "xid_age", cfg.Wraparound, readWraparound)
	add("Deadlocks", "deadlocks", cfg.Deadlocks, p.readDeadlocks)
	add("Rollbacks", "rollbacks", cfg.Rollbacks, p.readRollbacks)
	if d := cfg.Disk; d != nil {
		add("Disk", "disk_used", &d.Diagnostic, readDisk(*d))
	}
	if s := cfg.SlowQueries; s != nil {
		if s.Top < 0 || s.MinCalls < 0 {
			problems.Add("Postgres.SlowQueries: Top and MinCalls must not be negative")
		}
		add("SlowQueries", "slowest_query_mean", &s.Diagnostic, readSlowQueries(*s, cfg.ShowQueries))
	}
	add("Size", "database_size", cfg.Size, readSize)
	if m := cfg.Migration; m != nil {
		m.validate(problems)
		all = append(all, m.diagnostic())
	}
	return all
}
