//go:build unix

package pgdump_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/pgdump"
)

// countingRestore is pg_restore, noting each restore that was committed, and losing
// the answer of the one after the file lose was made.
func countingRestore(e *estate, dir string) string {
	return program(e.t, "pg_restore", strings.NewReplacer("REAL", "'"+filepath.Join(e.bin, "pg_restore")+"'", "DIR", dir).Replace(`
case "$*" in *--single-transaction*) ;; *) exec REAL "$@";; esac
REAL "$@" || exit
echo done >>'DIR/effects'
if [ -e 'DIR/lose' ]; then rm 'DIR/lose'; echo 'pg_restore: error: server closed the connection unexpectedly' >&2; exit 1; fi`))
}

// The port is what package incident asks for, on a real server.
//
// Requirement: INC-RESTORE-ONCE
func TestPortConforms(t *testing.T) {
	incidenttest.TestDumper(t, incidenttest.DumperHarness{New: func(tb testing.TB) incidenttest.DumperCase {
		e := newEstate(tb)
		source, empty, full := e.database(), e.database(), e.database()
		const secret = "a secret text of a row"
		tables := []string{`CREATE TABLE a (id integer PRIMARY KEY, v text)`, `CREATE TABLE b (a integer REFERENCES a)`}
		e.write(source, append(tables, `INSERT INTO a SELECT i, '`+secret+`' FROM generate_series(1, 100) i`, `INSERT INTO b SELECT id FROM a`)...)
		e.write(full, append(tables, `INSERT INTO a VALUES (1, 'old')`)...)
		role := "role_" + source
		e.exec(e.admin, "CREATE ROLE "+role+" SUPERUSER LOGIN")
		tb.Cleanup(func() { e.exec(e.admin, "DROP ROLE "+role) })
		dir := tb.TempDir()
		restore := countingRestore(e, dir)
		as := func(database string) *pgdump.Dumper {
			db := e.openAs(database, role)
			return e.dumper(database, func(c *pgdump.Config) {
				c.Connection.User, c.DB, c.PgRestore = role, db, restore
			})
		}
		port, err := pgdump.NewPort(as(source), map[string]*pgdump.Dumper{"empty": as(empty), "full": as(full)})
		require.NoError(tb, err)
		databases := map[string]string{"empty": empty, "full": full}
		data := func(database string) string {
			text, err := json.Marshal(e.fingerprint(database))
			require.NoError(tb, err)
			return string(text)
		}
		return incidenttest.DumperCase{
			Faults: incidenttest.Faults{
				Effects: func() int {
					text, _ := os.ReadFile(filepath.Join(dir, "effects"))
					return strings.Count(string(text), "done")
				},
				LoseAnswer: func() { require.NoError(tb, os.WriteFile(filepath.Join(dir, "lose"), nil, 0o600)) },
				Forbid:     func() { e.exec(e.admin, "ALTER ROLE "+role+" NOLOGIN") },
				Break: func() {
					for _, name := range []string{source, empty, full} {
						e.exec(e.admin, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
					}
				},
			},
			Dumper: port, Tables: 2, Empty: "empty", Full: "full", Missing: "missing", Secret: secret,
			Data:   func(target string) string { return data(databases[target]) },
			Source: func() string { return data(source) },
			Spoil:  func(target string) { e.write(databases[target], `UPDATE a SET v = 'new'`) },
		}
	}})
}
