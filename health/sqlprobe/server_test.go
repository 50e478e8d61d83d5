//go:build unix

package sqlprobe_test

import (
	"database/sql"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/sqlprobe"
	"go.acu.edu.au/runbook/internal/services"
)

// role returns the address of a server for another role.
func role(t testing.TB, server *services.Postgres, user *url.Userinfo) string {
	t.Helper()
	return changed(t, server.URL(), func(u *url.URL) { u.User = user })
}

// folder returns where a server has its data.
func folder(t testing.TB, db *sql.DB) (path string) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), "SHOW data_directory").Scan(&path))
	return path
}

// The server refuses, stops, comes back and freezes; each is named.
func TestServerInTrouble(t *testing.T) {
	server := services.StartPostgres(t)
	db := open(t, "pgx", server.URL())
	mustExec(t, db, "CREATE ROLE locked LOGIN PASSWORD 'right'")
	mustExec(t, db, "CREATE ROLE plain LOGIN")
	access := filepath.Join(folder(t, db), "pg_hba.conf")
	text, err := os.ReadFile(access)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(access, append([]byte("host all locked 127.0.0.1/32 scram-sha-256\n"), text...), 0o600))
	mustExec(t, db, "SELECT pg_reload_conf()")
	eventually(t, db, "read its new settings", "SELECT EXISTS (SELECT FROM pg_hba_file_rules WHERE 'locked' = ANY (user_name)) AND pg_conf_load_time() > pg_postmaster_start_time()")

	t.Run("wrong password", func(t *testing.T) {
		r := probe(t, sqlprobe.Config{DB: open(t, "pgx", role(t, server, url.UserPassword("locked", secret)))})
		is(t, r, health.Unhealthy, health.CauseUnauthorized, "connect: the server does not accept the role or its password (SQLSTATE 28P01)")
		assert.NotContains(t, fmt.Sprint(r), secret)
		r = probe(t, sqlprobe.Config{DB: open(t, "pgx", role(t, server, url.UserPassword("locked", "right")))})
		is(t, r, health.Healthy, "")
	})
	t.Run("too many connections", func(t *testing.T) {
		full := open(t, "pgx", role(t, server, url.User("plain")))
		full.SetMaxIdleConns(0)
		for range 1000 {
			conn, err := full.Conn(t.Context())
			if err != nil {
				break
			}
			defer func() { _ = conn.Close() }()
		}
		// The pool of the host has its connection, and sees it coming.
		cfg := sqlprobe.Config{DB: db, Postgres: &sqlprobe.Postgres{Connections: &sqlprobe.Diagnostic{Limit: health.Limit{Warn: at(90)}}}}
		is(t, probe(t, cfg), health.Degraded, health.CauseThreshold, "connections_used ", ", more than 90; ", " connections")
		// One that has none is refused.
		is(t, probe(t, sqlprobe.Config{DB: open(t, "pgx", role(t, server, url.User("plain")))}), health.Unhealthy, sqlprobe.CauseConnections,
			"the server accepts no more connections")
	})
	t.Run("stopped and back", func(t *testing.T) {
		cfg := sqlprobe.Config{DB: db, Postgres: sqlprobe.Everything()}
		is(t, probe(t, cfg), health.Healthy, "")
		server.Stop()
		is(t, probe(t, cfg), health.Unhealthy, health.CauseRefused)
		server.Start()
		is(t, probe(t, cfg), health.Healthy, "")
		server.Stop()
		server.Start()
		is(t, probe(t, cfg), health.Healthy, "") // at once, although the pool's connection has died
	})
	t.Run("frozen", func(t *testing.T) {
		fresh := open(t, "pgx", server.URL())
		server.Freeze()
		for _, pool := range []*sql.DB{db, fresh} { // with a connection, and without
			r := probeFor(t, 300*time.Millisecond, sqlprobe.Config{DB: pool, Postgres: sqlprobe.Everything()})
			is(t, r, health.Unhealthy, health.CauseTimeout)
		}
		assert.Zero(t, fresh.Stats().OpenConnections, "nothing leaks")
		server.Thaw()
		is(t, probe(t, sqlprobe.Config{DB: db}), health.Healthy, "")
	})
}

func TestSlowQueries(t *testing.T) {
	server := services.StartPostgres(t)
	db := open(t, "pgx", server.URL())
	load := func(libraries string) {
		mustExec(t, db, "ALTER SYSTEM SET shared_preload_libraries = "+libraries)
		server.Stop()
		server.Start()
		is(t, probe(t, sqlprobe.Config{DB: db}), health.Healthy, "") // empties the pool of what has died
	}
	load("pg_stat_statements")
	mustExec(t, db, "CREATE SCHEMA stats")
	mustExec(t, db, "CREATE EXTENSION pg_stat_statements SCHEMA stats")
	for range 3 {
		mustExec(t, db, "SELECT pg_sleep(0.02)")
	}
	slow := &sqlprobe.SlowQueries{Top: 2, MinCalls: 3, Diagnostic: sqlprobe.Diagnostic{Limit: health.Limit{Warn: at(15)}, Required: true}}
	cfg := sqlprobe.Config{DB: db, Postgres: &sqlprobe.Postgres{SlowQueries: slow}}
	r := probe(t, cfg)
	is(t, r, health.Degraded, health.CauseThreshold, "slowest_query_mean ", "queryid ", ", 3 calls")
	assert.NotContains(t, fmt.Sprint(r), "pg_sleep")
	cfg.Postgres.ShowQueries = true
	assert.Contains(t, text(t, probe(t, cfg), "slow_queries"), "pg_sleep")

	load("DEFAULT") // installed, but no longer loaded
	r = probe(t, cfg)
	is(t, r, health.Degraded, health.CauseMissing)
	assert.Contains(t, text(t, r, "slowest_query_mean"), "not readable: the server has not loaded pg_stat_statements")
}

// replicate makes a server a replica of another.
func replicate(t testing.TB, replica, primary *services.Postgres) {
	t.Helper()
	data := folder(t, open(t, "pgx", replica.URL()))
	replica.Stop()
	owner, err := os.Stat(data)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(data))
	copying := exec.CommandContext(t.Context(), filepath.Join(services.Need(t, services.PostgresBin), "pg_basebackup"),
		"-D", data, "-d", primary.URL(), "-R", "--no-sync", "-c", "fast")
	out, err := copying.CombinedOutput()
	require.NoError(t, err, "%s", out)
	id := owner.Sys().(*syscall.Stat_t)
	require.NoError(t, filepath.WalkDir(data, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(id.Uid), int(id.Gid))
	}))
	replica.Start()
}

func TestReplication(t *testing.T) {
	primary, replica := services.StartPostgres(t), services.StartPostgres(t)
	onPrimary, onReplica := open(t, "pgx", primary.URL()), open(t, "pgx", replica.URL())
	lag := &sqlprobe.Replication{Replicas: 1, Diagnostic: sqlprobe.Diagnostic{Limit: health.Limit{Fail: at(0.001)}}}
	look := func(db *sql.DB) health.Result {
		return probe(t, sqlprobe.Config{DB: db, Postgres: &sqlprobe.Postgres{Replication: lag}})
	}
	is(t, look(onPrimary), health.Degraded, health.CauseMissing, "0 replicas are connected, want 1")

	replicate(t, replica, primary)
	const replayed = "SELECT pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn()"
	eventually(t, onPrimary, "a replica", "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')")
	mustExec(t, onPrimary, "CREATE TABLE numbers (n int)")
	eventually(t, onReplica, "the table", "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'numbers')")
	eventually(t, onReplica, "replayed everything", replayed)

	// An idle primary: the last transaction grows old, and that is no lag.
	r := look(onReplica)
	is(t, r, health.Healthy, "")
	assert.Zero(t, value(t, r, "replication_lag"))
	assert.InDelta(t, 1, value(t, look(onPrimary), "replicas"), 0)
	r = probe(t, sqlprobe.Config{DB: onReplica, Postgres: &sqlprobe.Postgres{Role: sqlprobe.Primary}})
	is(t, r, health.Unhealthy, health.CauseAssertion, "the server is a replica, want a primary")
	is(t, probe(t, sqlprobe.Config{DB: onReplica, Postgres: sqlprobe.Everything()}), health.Healthy, "")

	// Replay stands still while more comes in.
	mustExec(t, onReplica, "SELECT pg_wal_replay_pause()")
	mustExec(t, onPrimary, "INSERT INTO numbers SELECT generate_series(1, 1000)")
	eventually(t, onReplica, "something to replay", "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()")
	r = look(onReplica)
	is(t, r, health.Unhealthy, health.CauseThreshold, "replication_lag ", "replay is paused")
	assert.Greater(t, value(t, r, "replication_lag_bytes"), 0.0)
	mustExec(t, onReplica, "SELECT pg_wal_replay_resume()")
	eventually(t, onReplica, "replayed everything", replayed)

	// The primary is gone: having replayed everything proves nothing any more.
	primary.Stop()
	eventually(t, onReplica, "noticed", "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")
	is(t, look(onReplica), health.Unhealthy, health.CauseThreshold, "the replica receives nothing from its primary")
}
