package sqlprobe_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/sqlprobe"
)

// A role that may do nothing: what it cannot read is said, and is no failure.
func TestRoleWithoutPrivileges(t *testing.T) {
	address := database(t)
	admin := open(t, "pgx", address)
	role := "test_" + strings.ToLower(rand.Text())
	mustExec(t, admin, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() { _, _ = admin.ExecContext(context.WithoutCancel(t.Context()), "DROP ROLE "+role) })
	mustExec(t, admin, "CREATE TABLE alembic_version (version_num text)")
	mustExec(t, begin(t, open(t, "pgx", address)), "SELECT 1")

	db := open(t, "pgx", changed(t, address, func(u *url.URL) { u.User = url.User(role) }))
	t.Cleanup(func() { _ = db.Close() })
	all := sqlprobe.Everything()
	all.Migration = &sqlprobe.Migration{}
	cfg := sqlprobe.Config{DB: db, Postgres: all,
		Queries:    []sqlprobe.Query{{Name: "q", SQL: "SELECT count(*) FROM alembic_version"}, {Name: "after", SQL: "SELECT 5"}},
		Invariants: []sqlprobe.Invariant{{Name: "v", SQL: "SELECT count(*) FROM alembic_version"}},
	}
	r := probe(t, cfg)
	is(t, r, health.Healthy, "")
	for _, name := range []string{"migration", "q", "v"} {
		assert.Contains(t, text(t, r, name), "not readable: permission denied (SQLSTATE 42501)", name)
	}
	assert.Contains(t, text(t, r, "activity"), "sessions of other roles are hidden")
	assert.Greater(t, value(t, r, "connections"), 1.0, "sessions of others are counted")
	assert.InDelta(t, 5, value(t, r, "after"), 0)

	all.Migration.Required, all.LongTransactions.Required = true, true
	is(t, probe(t, cfg), health.Degraded, health.CauseMissing,
		"migration is not readable: permission denied", "longest_transaction is not readable: ")
}
