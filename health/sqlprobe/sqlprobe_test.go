package sqlprobe_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/health/sqlprobe"
	"go.acu.edu.au/runbook/internal/sqlmigrate/sqltest"
)

// secret is the password that no result may show.
const secret = "canary-5ae1"

func newProber(t testing.TB, cfg sqlprobe.Config) *sqlprobe.Prober {
	t.Helper()
	p, err := sqlprobe.New(cfg)
	require.NoError(t, err)
	return p
}

// probe runs a prober with a deadline that no test reaches.
func probe(t testing.TB, cfg sqlprobe.Config) health.Result {
	t.Helper()
	return probeFor(t, 30*time.Second, cfg)
}

func probeFor(t testing.TB, limit time.Duration, cfg sqlprobe.Config) health.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return newProber(t, cfg).Probe(ctx)
}

func open(t testing.TB, driver, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func sqlite(t testing.TB) *sql.DB { return sqltest.SQLite(t, filepath.Join(t.TempDir(), "test.db")) }

func at(f float64) *float64 { return &f }

// is demands a status and cause, and parts of the message.
func is(t testing.TB, r health.Result, status health.Status, cause health.Cause, message ...string) {
	t.Helper()
	assert.Equal(t, status, r.Status, r.Message)
	assert.Equal(t, cause, r.Cause, r.Message)
	for _, part := range message {
		assert.Contains(t, r.Message, part)
	}
}

func value(t testing.TB, r health.Result, name string) float64 {
	t.Helper()
	m, ok := r.Measurement(name)
	require.True(t, ok, "%s is not measured: %v", name, r.Measurements)
	require.Empty(t, m.Text, name)
	return m.Value
}

func text(t testing.TB, r health.Result, name string) string {
	t.Helper()
	m, ok := r.Measurement(name)
	require.True(t, ok, "%s is not measured: %v", name, r.Measurements)
	return m.Text
}

func TestConformance(t *testing.T) {
	healthtest.TestProber(t, healthtest.ProberHarness{
		Healthy: func(t testing.TB) health.Prober { return newProber(t, sqlprobe.Config{DB: sqlite(t)}) },
		Down: func(t testing.TB) (health.Prober, health.Cause) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			require.NoError(t, l.Close())
			return newProber(t, sqlprobe.Config{DB: open(t, "pgx", address(l)), Postgres: sqlprobe.Everything()}), health.CauseRefused
		},
		Hanging: func(t testing.TB) health.Prober {
			l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and nobody answers
			require.NoError(t, err)
			t.Cleanup(func() { _ = l.Close() })
			return newProber(t, sqlprobe.Config{DB: open(t, "pgx", address(l)), Postgres: sqlprobe.Everything()})
		},
		Secrets: []string{secret},
	})
}

func address(l net.Listener) string {
	return fmt.Sprintf("postgres://somebody:%s@%s/app?sslmode=disable", secret, l.Addr())
}

func TestNewReportsEverything(t *testing.T) {
	bad := health.Limit{Warn: at(2), Fail: at(1)}
	_, err := sqlprobe.New(sqlprobe.Config{
		Latency: health.Budget{Fail: -1}, Pool: bad,
		Postgres: &sqlprobe.Postgres{
			Role: "boss", Size: &sqlprobe.Diagnostic{Limit: bad},
			SlowQueries: &sqlprobe.SlowQueries{Top: -1},
			Migration:   &sqlprobe.Migration{Table: "a.b.c", Failure: health.Healthy},
		},
		Queries:    []sqlprobe.Query{{Name: "a", SQL: "SELECT 1"}, {Name: "a", Limit: bad, Failure: health.Healthy}},
		Invariants: []sqlprobe.Invariant{{Failure: 17}},
	})
	want := []string{
		"DB is required",
		"Latency: a latency budget must not be negative",
		"Pool: limit: warn (2) must be reached before fail (1)",
		`Postgres.Role "boss" is neither "primary" nor "replica"`,
		"Postgres.SlowQueries: Top and MinCalls must not be negative",
		"Postgres.Size: limit: warn (2) must be reached before fail (1)",
		`Postgres.Migration: Table "a.b.c" is not a name with at most one schema`,
		"Postgres.Migration: Failure cannot be healthy",
		`Queries[1]: Name "a" is taken`,
		"Queries[1]: SQL is required",
		"Queries[1]: Failure cannot be healthy",
		"Queries[1]: limit: warn (2) must be reached before fail (1)",
		"Invariants[0]: Name is required",
		"Invariants[0]: SQL is required",
		"Invariants[0]: Failure status(17) is not a status",
	}
	assert.EqualError(t, err, "sqlprobe: "+strings.Join(want, "\nsqlprobe: "))
}

// Any database answers the host's own queries.
//
// Requirement: HL-PEER-HELLO-CONNECTION
func TestGeneric(t *testing.T) {
	db := sqlite(t)
	_, err := db.ExecContext(t.Context(), "CREATE TABLE grades (student TEXT)")
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "INSERT INTO grades VALUES ('a'), (NULL), (NULL)")
	require.NoError(t, err)
	count := sqlprobe.Query{Name: "grades", SQL: "SELECT count(*) FROM grades", Limit: health.Limit{Warn: at(2), Fail: at(9)}}

	for name, test := range map[string]struct {
		query     sqlprobe.Query
		invariant sqlprobe.Invariant
		status    health.Status
		cause     health.Cause
		message   string
	}{
		"limit":       {query: count, status: health.Degraded, cause: health.CauseThreshold, message: "grades 3, more than 2"},
		"no value":    {query: sqlprobe.Query{SQL: "SELECT max(student) FROM grades WHERE false"}, status: health.Unhealthy, cause: health.CauseMissing, message: "q: the query returns no value"},
		"no row":      {query: sqlprobe.Query{SQL: "SELECT 1 WHERE false", Failure: health.Degraded}, status: health.Degraded, cause: health.CauseMissing},
		"many rows":   {query: sqlprobe.Query{SQL: "SELECT 1 FROM grades"}, status: health.Unhealthy, cause: health.CauseFailed, message: "q: the query returns more than one row"},
		"not numeric": {query: sqlprobe.Query{SQL: "SELECT 'Jane'"}, status: health.Unhealthy, cause: health.CauseFailed, message: "neither a number nor a boolean"},
		"no table":    {query: sqlprobe.Query{SQL: "SELECT count(*) FROM nowhere"}, status: health.Unhealthy, cause: health.CauseFailed, message: "no such table"},
		"violated":    {invariant: sqlprobe.Invariant{SQL: "SELECT count(*) FROM grades WHERE student IS NULL"}, status: health.Unhealthy, cause: health.CauseAssertion, message: "the invariant is violated: v 2"},
		"true":        {invariant: sqlprobe.Invariant{SQL: "SELECT 1 = 1", Failure: health.Degraded}, status: health.Degraded, cause: health.CauseAssertion},
		"holds":       {invariant: sqlprobe.Invariant{SQL: "SELECT false"}, status: health.Healthy},
		"null":        {invariant: sqlprobe.Invariant{SQL: "SELECT NULL"}, status: health.Unhealthy, cause: health.CauseMissing},
		"broken":      {invariant: sqlprobe.Invariant{SQL: "SELEKT", Failure: health.Degraded}, status: health.Degraded, cause: health.CauseFailed},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := sqlprobe.Config{DB: db}
			if test.query.SQL != "" {
				if test.query.Name == "" {
					test.query.Name = "q"
				}
				cfg.Queries = []sqlprobe.Query{test.query}
			}
			if test.invariant.SQL != "" {
				test.invariant.Name = "v"
				cfg.Invariants = []sqlprobe.Invariant{test.invariant}
			}
			r := probe(t, cfg)
			is(t, r, test.status, test.cause, test.message)
			assert.NotContains(t, r.Message, "Jane", "data is not shown")
			assert.Zero(t, db.Stats().InUse, "the connection is given back")
		})
	}
}

// The pool of the host is exhausted: that is not the database being down.
func TestPoolExhausted(t *testing.T) {
	db := sqlite(t)
	db.SetMaxOpenConns(2)
	cfg := sqlprobe.Config{DB: db, Pool: health.Limit{Warn: at(80)}}
	r := probe(t, cfg)
	is(t, r, health.Healthy, "")
	assert.Zero(t, value(t, r, "pool_used"))

	first, err := db.Conn(t.Context())
	require.NoError(t, err)
	second, err := db.Conn(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	r = newProber(t, cfg).Probe(ctx)
	is(t, r, health.Unhealthy, sqlprobe.CausePool, "all 2 of the pool are in use", "the database itself was not asked")
	assert.InDelta(t, 100, value(t, r, "pool_used"), 0)

	// Slow to connect, because the pool was full when the probe began.
	time.AfterFunc(20*time.Millisecond, func() { _ = first.Close() })
	cfg.Latency = health.Budget{Fail: time.Millisecond}
	r = probe(t, cfg)
	is(t, r, health.Unhealthy, health.CauseSlow, "more than 1ms", "all 2 connections of the pool were in use when the probe began")
	require.NoError(t, second.Close())
}

// A probe that nobody waits for says nothing about the database, wherever it
// was.
func TestCancelled(t *testing.T) {
	for name, cfg := range map[string]sqlprobe.Config{
		"connecting": {DB: sql.OpenDB(hanging{})},
		"asking":     {DB: sqlite(t), Queries: []sqlprobe.Query{{Name: "endless", SQL: endless}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { _ = cfg.DB.Close() })
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			is(t, newProber(t, cfg).Probe(ctx), health.Unknown, health.CauseNotAsked, "the probe was cancelled ")
			ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			is(t, newProber(t, cfg).Probe(ctx), health.Unhealthy, health.CauseTimeout, "timed out after ")
			assert.Zero(t, cfg.DB.Stats().InUse)
		})
	}
}

const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

// hanging is a database that nobody gets into.
type hanging struct{}

func (hanging) Driver() driver.Driver { return nil }
func (hanging) Connect(ctx context.Context) (driver.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Each answer of a server that refuses has its cause, however it is wrapped.
// The codes are those of PostgreSQL's appendix A.
func TestCauses(t *testing.T) {
	for state, want := range map[string]struct {
		cause health.Cause
		words string
	}{
		"28P01": {health.CauseUnauthorized, "does not accept the role or its password"},
		"28000": {health.CauseUnauthorized, "does not accept the role"},
		"3D000": {health.CauseMissing, "the database does not exist"},
		"53300": {sqlprobe.CauseConnections, "accepts no more connections"},
		"53100": {sqlprobe.CauseDiskFull, "no disk space"},
		"53200": {health.CauseFailed, "out of memory"},
		"57P01": {sqlprobe.CauseShutdown, "an administrator ended the connection"},
		"57P02": {sqlprobe.CauseShutdown, "after a crash"},
		"57P03": {sqlprobe.CauseStarting, "starting up or shutting down"},
		"57P05": {health.CauseConnection, "it was idle"},
		"25006": {sqlprobe.CauseReadOnly, "a transaction that only reads"},
		"08006": {health.CauseConnection, "refused by a pooler"},
		"22P02": {health.CauseFailed, "failed on a value"},
		"XX000": {health.CauseFailed, "refused by a pooler password=[redacted] at postgres://host"},
	} {
		t.Run(state, func(t *testing.T) {
			db := sql.OpenDB(refusing{fmt.Errorf("connect: %w", stateError(state))})
			t.Cleanup(func() { _ = db.Close() })
			r := probe(t, sqlprobe.Config{DB: db, Postgres: sqlprobe.Everything()})
			is(t, r, health.Unhealthy, want.cause, "connect: ", want.words)
			assert.NotContains(t, fmt.Sprint(r), secret)
			if state == "22P02" {
				assert.NotContains(t, r.Message, "pooler")
			}
		})
	}
}

// refusing is a database that does not let anyone in.
type refusing struct{ err error }

func (d refusing) Connect(context.Context) (driver.Conn, error) { return nil, d.err }
func (d refusing) Driver() driver.Driver                        { return nil }

// A stateError has the method that errors of PostgreSQL's drivers have.
type stateError string

func (e stateError) SQLState() string { return string(e) }
func (e stateError) Error() string {
	return "refused by\n\ta pooler password=" + secret + " at postgres://me:" + secret + "@host/db"
}

// BenchmarkProbe connects from the pool: about 3 µs on SQLite, where nothing
// else is asked, and 2 ms on PostgreSQL 15 with [sqlprobe.Everything] (two busy
// cores, go test -bench . ./health/sqlprobe). The target is well below the
// network's own time: under 5 ms for everything on a server nearby.
func BenchmarkProbe(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmark(b, sqlprobe.Config{DB: sqlite(b)}) })
	b.Run("postgres", func(b *testing.B) {
		benchmark(b, sqlprobe.Config{DB: postgres(b), Postgres: sqlprobe.Everything()})
	})
}

func benchmark(b *testing.B, cfg sqlprobe.Config) {
	p := newProber(b, cfg)
	b.ReportAllocs()
	for b.Loop() {
		if r := p.Probe(b.Context()); r.Status != health.Healthy {
			b.Fatal(errors.New(r.Message))
		}
	}
}
