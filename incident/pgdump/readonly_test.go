package pgdump_test

import (
	"bytes"
	"database/sql"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/pgdump"
)

// Where nothing may be changed, nothing is restored: no program is started, and the
// database is not even looked at.
func TestRestoreIsRefusedWhereNothingMayBeChanged(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	db := sql.OpenDB(nil) // whoever asks it panics
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	target, err := pgdump.New(pgdump.Config{
		PgDump: "/nowhere/pg_dump", PgRestore: "/nowhere/pg_restore", DB: db, Identities: []age.Identity{identity},
		Connection: pgdump.Connection{Host: "db.example.com", User: "app", Database: "app", Password: runbook.NewSecret("p"), RootCertFile: "/nowhere/root.pem"},
	})
	require.NoError(t, err)
	only := runbook.ReadOnly(t.Context())
	_, restore := target.Restore(only, bytes.NewReader(nil), pgdump.Plan{Digest: "agreed", ConfirmedBy: "ada"})
	port, err := pgdump.NewPort(nil, map[string]*pgdump.Dumper{"spare": target})
	require.NoError(t, err)
	_, load := port.Load(only, incident.LoadPlan{Target: "spare"}, bytes.NewReader(nil))
	for _, err := range []error{restore, load} {
		require.ErrorIs(t, err, runbook.ErrReadOnly)
		assert.True(t, runbook.SafeToRetry(err))
		assert.Equal(t, "pgdump: restore: nothing was restored: read only: nothing may be changed here", err.Error())
	}
}
