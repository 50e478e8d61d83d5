package sqlprobe_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/health/sqlprobe"
	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/internal/sqlmigrate/sqltest"
)

// database returns the URL of a database of the test's own.
func database(t testing.TB) string {
	t.Helper()
	return sqltest.PostgresDatabase(t, services.Need(t, services.PostgresURL))
}

func postgres(t testing.TB) *sql.DB {
	t.Helper()
	return open(t, "pgx", database(t))
}

// changed returns an address with another part.
func changed(t testing.TB, address string, change func(u *url.URL)) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	change(u)
	return u.String()
}

// as returns an address with the name of an application.
func as(t testing.TB, address, application string) string {
	return changed(t, address, func(u *url.URL) {
		query := u.Query()
		query.Set("application_name", application)
		u.RawQuery = query.Encode()
	})
}

func mustExec(t testing.TB, on interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}, statement string) {
	t.Helper()
	_, err := on.ExecContext(t.Context(), statement)
	require.NoError(t, err, statement)
}

// begin opens a transaction that ends with the test.
func begin(t testing.TB, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// eventually waits for a state of the server that takes a moment.
func eventually(t testing.TB, db *sql.DB, what, query string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var yes bool
		require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&yes))
		if yes {
			return
		}
	}
	t.Fatalf("the server does not come to have %s", what)
}

func TestConformanceOnPostgres(t *testing.T) {
	healthtest.TestProber(t, healthtest.ProberHarness{
		Healthy: func(t testing.TB) health.Prober {
			return newProber(t, sqlprobe.Config{DB: postgres(t), Postgres: sqlprobe.Everything()})
		},
		Down: func(t testing.TB) (health.Prober, health.Cause) {
			address := changed(t, database(t), func(u *url.URL) { u.Path = "/no_such_database" })
			return newProber(t, sqlprobe.Config{DB: open(t, "pgx", address)}), health.CauseMissing
		},
		Hanging: func(t testing.TB) health.Prober {
			return newProber(t, sqlprobe.Config{DB: postgres(t), Queries: []sqlprobe.Query{{Name: "q", SQL: "SELECT 1 FROM pg_sleep(60)"}}})
		},
	})
}

// Requirement: HL-WANT-4
func TestEverything(t *testing.T) {
	cfg := sqlprobe.Everything()
	cfg.Role = sqlprobe.Primary
	db := postgres(t)
	p := newProber(t, sqlprobe.Config{DB: db, Postgres: cfg})
	p.Probe(t.Context())
	r := p.Probe(t.Context()) // the second has what the first compares with
	is(t, r, health.Healthy, "")
	assert.Equal(t, "primary", text(t, r, "role"))
	assert.Greater(t, value(t, r, "connections"), 0.0)
	assert.Greater(t, value(t, r, "connections_max"), value(t, r, "connections"))
	assert.Greater(t, value(t, r, "connections_used"), 0.0)
	assert.Greater(t, value(t, r, "database_size"), 1e6)
	for _, name := range []string{
		"blocked_queries", "longest_blocked", "longest_transaction", "idle_in_transaction", "longest_idle_in_transaction",
		"running_queries", "longest_query", "deadlocks", "xid_age",
	} {
		assert.GreaterOrEqual(t, value(t, r, name), 0.0, name)
	}
	assert.Contains(t, text(t, r, "disk_used"), "not readable: PostgreSQL cannot tell")
	assert.Contains(t, text(t, r, "slowest_query_mean"), "not readable: the extension pg_stat_statements is not installed")
	assert.Zero(t, db.Stats().InUse)
}

func TestRequiredButNotReadable(t *testing.T) {
	cfg := sqlprobe.Config{DB: postgres(t), Postgres: &sqlprobe.Postgres{
		Disk:        &sqlprobe.Disk{Diagnostic: sqlprobe.Diagnostic{Required: true}},
		SlowQueries: &sqlprobe.SlowQueries{Diagnostic: sqlprobe.Diagnostic{Required: true}},
	}}
	is(t, probe(t, cfg), health.Degraded, health.CauseMissing, "disk_used is not readable", "slowest_query_mean is not readable")
}

func TestDisk(t *testing.T) {
	disk := &sqlprobe.Disk{Diagnostic: sqlprobe.Diagnostic{Limit: health.Limit{Fail: at(90)}}}
	cfg := sqlprobe.Config{DB: postgres(t), Postgres: &sqlprobe.Postgres{Disk: disk}}
	disk.SQL = "SELECT 95.5"
	is(t, probe(t, cfg), health.Unhealthy, health.CauseThreshold, "disk_used 95.5 %, more than 90")
	disk.Used = func(context.Context) (float64, error) { return 12, nil }
	r := probe(t, cfg)
	is(t, r, health.Healthy, "")
	assert.InDelta(t, 12, value(t, r, "disk_used"), 0)
	disk.Used = func(context.Context) (float64, error) { return 0, errors.New("the platform says no: token=" + secret) }
	r = probe(t, cfg)
	is(t, r, health.Healthy, "")
	assert.Equal(t, "not readable: the platform says no: token=[redacted]", text(t, r, "disk_used"))
}

func TestConnectionsNearTheLimit(t *testing.T) {
	near := &sqlprobe.Diagnostic{Limit: health.Limit{Warn: at(0.5)}}
	r := probe(t, sqlprobe.Config{DB: postgres(t), Postgres: &sqlprobe.Postgres{Connections: near}})
	is(t, r, health.Degraded, health.CauseThreshold, "connections_used ", " of ", " connections")
}

// A query waits for a table that somebody has locked.
func TestBlocked(t *testing.T) {
	address := database(t)
	db := open(t, "pgx", address)
	mustExec(t, db, "CREATE TABLE grades (n int)")
	holder := begin(t, open(t, "pgx", as(t, address, "nightly-import")))
	mustExec(t, holder, "LOCK TABLE grades IN ACCESS EXCLUSIVE MODE")
	waiting, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	waiter := open(t, "pgx", as(t, address, "web"))
	go func() {
		_, err := waiter.ExecContext(waiting, "INSERT INTO grades VALUES (4711)")
		done <- err
	}()
	defer func() { stop(); <-done }()
	eventually(t, db, "a query that waits", "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND waitstart < clock_timestamp() - interval '20 ms' AND relation = 'grades'::regclass)")

	cfg := sqlprobe.Config{DB: db, Postgres: &sqlprobe.Postgres{
		Blocked:           &sqlprobe.Diagnostic{Limit: health.Limit{Warn: at(0.001)}},
		IdleInTransaction: &sqlprobe.Diagnostic{}, LongTransactions: &sqlprobe.Diagnostic{}, RunningQueries: &sqlprobe.Diagnostic{},
	}}
	r := probe(t, cfg)
	is(t, r, health.Degraded, health.CauseThreshold, "longest_blocked ", ` waits for pid `, `(application "nightly-import", idle in transaction)`)
	assert.InDelta(t, 1, value(t, r, "blocked_queries"), 0)
	assert.Greater(t, value(t, r, "longest_blocked"), 0.0)
	assert.Contains(t, text(t, r, "blocked_by"), "nightly-import")
	assert.InDelta(t, 1, value(t, r, "idle_in_transaction"), 0)
	assert.InDelta(t, 1, value(t, r, "running_queries"), 0)
	assert.Greater(t, value(t, r, "longest_transaction"), 0.0)
	assert.NotContains(t, fmt.Sprint(r), "LOCK TABLE", "texts of queries are not shown")

	cfg.Postgres.ShowQueries = true
	assert.Contains(t, probe(t, cfg).Message, "LOCK TABLE grades")

	// A query of the host that waits for the lock does not hang, says so, and
	// the next diagnostic is still asked.
	cfg = sqlprobe.Config{DB: db, Postgres: &sqlprobe.Postgres{Migration: &sqlprobe.Migration{Table: "grades", Column: "n"}},
		Queries: []sqlprobe.Query{{Name: "after", SQL: "SELECT 1"}}}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	r = newProber(t, cfg).Probe(ctx)
	is(t, r, health.Unhealthy, health.CauseTimeout, "migration: timed out after ")
	assert.InDelta(t, 1, value(t, r, "after"), 0)
	require.NoError(t, ctx.Err())
}

func TestLongAndIdleTransactions(t *testing.T) {
	address := database(t)
	db := open(t, "pgx", address)
	tx := begin(t, open(t, "pgx", as(t, address, "report")))
	mustExec(t, tx, "SELECT 1")
	short := &sqlprobe.Diagnostic{Limit: health.Limit{Fail: at(0.001)}}
	eventually(t, db, "an idle transaction", `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'report'
		AND state = 'idle in transaction' AND state_change < clock_timestamp() - interval '20 ms')`)
	for name, cfg := range map[string]*sqlprobe.Postgres{
		"longest_transaction":         {LongTransactions: short},
		"longest_idle_in_transaction": {IdleInTransaction: short},
	} {
		is(t, probe(t, sqlprobe.Config{DB: db, Postgres: cfg}), health.Unhealthy, health.CauseThreshold,
			name, `(application "report", idle in transaction)`)
	}
}

// A statement that hangs is ended by the server, and leaves time for others.
func TestStatementHangs(t *testing.T) {
	db := postgres(t)
	db.SetMaxOpenConns(1)
	p := newProber(t, sqlprobe.Config{DB: db, Postgres: &sqlprobe.Postgres{},
		Queries:    []sqlprobe.Query{{Name: "sleeps", SQL: "SELECT 1 FROM pg_sleep(60)", Failure: health.Degraded}, {Name: "after", SQL: "SELECT 7"}},
		Invariants: []sqlprobe.Invariant{{Name: "sound", SQL: "SELECT 1 FROM pg_sleep(60)"}},
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r := p.Probe(ctx)
	is(t, r, health.Unhealthy, health.CauseTimeout, "sleeps: timed out after ", "sound: timed out after ")
	assert.InDelta(t, 7, value(t, r, "after"), 0)
	require.NoError(t, ctx.Err(), "the server was quicker than the context")

	var sleeping int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(60)' AND state = 'active'").Scan(&sleeping))
	assert.Zero(t, sleeping, "nothing is left running")
	is(t, newProber(t, sqlprobe.Config{DB: db}).Probe(t.Context()), health.Healthy, "")
}

// An administrator ends the probe's own connection.
func TestTerminated(t *testing.T) {
	address := database(t)
	db, admin := open(t, "pgx", as(t, address, "probe")), open(t, "pgx", address)
	p := newProber(t, sqlprobe.Config{DB: db, Postgres: &sqlprobe.Postgres{}, Queries: []sqlprobe.Query{{Name: "q", SQL: "SELECT 1 FROM pg_sleep(60)"}}})
	results := make(chan health.Result, 1)
	go func() { results <- p.Probe(t.Context()) }()
	eventually(t, admin, "a backend to end", `SELECT COALESCE(bool_or(pg_terminate_backend(pid)), false) FROM pg_stat_activity
		WHERE application_name = 'probe' AND query LIKE 'SELECT 1 FROM pg_sleep%'`)
	is(t, <-results, health.Unhealthy, sqlprobe.CauseShutdown, "an administrator ended the connection")

	// The dead connection is not the next probe's.
	is(t, probe(t, sqlprobe.Config{DB: db}), health.Healthy, "")
}

// A pool whose connections have all died is not a database that is down.
func TestDeadConnectionsInThePool(t *testing.T) {
	address := database(t)
	db, admin := open(t, "pgx", as(t, address, "pool")), open(t, "pgx", address)
	db.SetMaxIdleConns(5)
	var conns []*sql.Conn
	for range 5 {
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	mustExec(t, admin, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'pool'")
	is(t, probe(t, sqlprobe.Config{DB: db, Postgres: sqlprobe.Everything()}), health.Healthy, "")
}

func TestMigration(t *testing.T) {
	db := postgres(t)
	migration := &sqlprobe.Migration{Table: `app.versions`, Column: "head", Want: []string{"b"}}
	cfg := sqlprobe.Config{DB: db, Postgres: &sqlprobe.Postgres{Migration: migration}}
	is(t, probe(t, cfg), health.Unhealthy, health.CauseMissing, "migration: there is no table app.versions")

	mustExec(t, db, "CREATE SCHEMA app")
	mustExec(t, db, "CREATE TABLE app.versions (head varchar(32))")
	is(t, probe(t, cfg), health.Unhealthy, health.CauseMissing, "migration: none has been applied")

	mustExec(t, db, "INSERT INTO app.versions VALUES ('a')")
	is(t, probe(t, cfg), health.Unhealthy, health.CauseAssertion, "migration: the schema is at a, want b")
	migration.Failure = health.Degraded
	is(t, probe(t, cfg), health.Degraded, health.CauseAssertion)

	mustExec(t, db, "INSERT INTO app.versions VALUES ('b')")
	r := probe(t, cfg)
	is(t, r, health.Degraded, health.CauseAssertion, "migration: the schema has 2 heads (a, b), want 1")
	assert.Equal(t, "a, b", text(t, r, "migration"))
	migration.Want = []string{"b", "a"}
	is(t, probe(t, cfg), health.Healthy, "")
	migration.Want = nil
	is(t, probe(t, cfg), health.Degraded, health.CauseAssertion, "2 heads")
}

// A transaction that only reads is what host's queries run in.
func TestQueriesCannotWrite(t *testing.T) {
	db := postgres(t)
	mustExec(t, db, "CREATE SEQUENCE numbers")
	r := probe(t, sqlprobe.Config{DB: db, Postgres: &sqlprobe.Postgres{}, Queries: []sqlprobe.Query{{Name: "q", SQL: "SELECT nextval('numbers')"}}})
	is(t, r, health.Unhealthy, sqlprobe.CauseReadOnly, "q: the statement writes")
}

func TestReadOnlyServer(t *testing.T) {
	address := database(t)
	admin := open(t, "pgx", address)
	name := strings.TrimPrefix(changedPath(t, address), "/")
	mustExec(t, admin, "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
	cfg := sqlprobe.Config{DB: open(t, "pgx", address), Postgres: &sqlprobe.Postgres{Role: sqlprobe.Primary}}
	is(t, probe(t, cfg), health.Unhealthy, sqlprobe.CauseReadOnly, "the server takes no writes")

	// A session that is read-only by its own wish says nothing about the server.
	cfg.DB = open(t, "pgx", changed(t, address, func(u *url.URL) {
		query := u.Query()
		query.Set("default_transaction_read_only", "on")
		u.RawQuery = query.Encode()
	}))
	is(t, probe(t, cfg), health.Healthy, "")
	cfg.Postgres.Role = sqlprobe.Replica
	is(t, probe(t, cfg), health.Unhealthy, health.CauseAssertion, "the server is a primary, want a replica")
}

func changedPath(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return u.Path
}

func TestRollbacksAndDeadlocks(t *testing.T) {
	db := postgres(t)
	db.SetMaxOpenConns(1) // so that statistics are complete when they are read
	p := newProber(t, sqlprobe.Config{DB: db, Postgres: &sqlprobe.Postgres{
		Rollbacks: &sqlprobe.Diagnostic{Limit: health.Limit{Warn: at(50)}}, Deadlocks: &sqlprobe.Diagnostic{},
	}})
	r := p.Probe(t.Context())
	_, measured := r.Measurement("rollbacks")
	assert.False(t, measured, "there is nothing to compare with")
	for range 150 {
		_, err := db.ExecContext(t.Context(), "SELECT 1/0")
		require.Error(t, err)
	}
	mustExec(t, db, "SELECT pg_stat_force_next_flush()")
	r = p.Probe(t.Context())
	is(t, r, health.Degraded, health.CauseThreshold, "rollbacks ")
	assert.Greater(t, value(t, r, "rollbacks"), 90.0)
	assert.Zero(t, value(t, r, "deadlocks"))
	_, measured = p.Probe(t.Context()).Measurement("rollbacks")
	assert.False(t, measured, "too few transactions since then")
}
