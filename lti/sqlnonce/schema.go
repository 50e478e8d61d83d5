package sqlnonce

import (
	"strings"

	"go.acu.edu.au/runbook/internal/sqlmigrate"
)

// The schema: id is an lti.NonceID, and expires milliseconds since 1970 UTC, the
// two minutes that are added to them included. The index serves the removal.
// Released migrations are never changed.
var migrations = sqlmigrate.Set{
	Component: "lti_nonces",
	Migrations: []sqlmigrate.Migration{{
		SQLite: []string{
			`CREATE TABLE runbook_lti_nonces (id BLOB NOT NULL PRIMARY KEY, expires BIGINT NOT NULL) WITHOUT ROWID`,
			`CREATE INDEX runbook_lti_nonces_expires ON runbook_lti_nonces (expires)`,
		},
		PostgreSQL: []string{
			`CREATE TABLE runbook_lti_nonces (id BYTEA NOT NULL PRIMARY KEY, expires BIGINT NOT NULL)`,
			`CREATE INDEX runbook_lti_nonces_expires ON runbook_lti_nonces (expires)`,
		},
	}},
}

// statements are the texts for one dialect, with their parameters in order.
type statements struct {
	use   string // id, remaining, SQLite: now. Changes one row, or none if the nonce was used.
	purge string // SQLite: now; how many
}

// pgNow is the time at which the server got the statement. That is before any
// wait for the lock of a row, so that what expires meanwhile still counts as
// live; and it is constant, so that an index can be used.
const pgNow = "CAST(extract(epoch FROM statement_timestamp()) * 1000 AS BIGINT)"

func statementsFor(d sqlmigrate.Dialect) statements {
	const use = `INSERT INTO runbook_lti_nonces AS n (id, expires) VALUES ($1, $2 + {now})
		ON CONFLICT (id) DO UPDATE SET expires = excluded.expires WHERE n.expires <= {now}`
	if d == sqlmigrate.SQLite {
		return statements{
			use: strings.ReplaceAll(use, "{now}", "$3"),
			purge: `DELETE FROM runbook_lti_nonces WHERE id IN
				(SELECT id FROM runbook_lti_nonces WHERE expires <= $1 ORDER BY expires LIMIT $2)`,
		}
	}
	// Replicas that purge at the same time skip each other's rows. The array
	// makes the server look for them once, so that the limit holds. A row that a
	// use has overwritten meanwhile is not removed: its lock is waited for or
	// skipped, and its time looked at again.
	return statements{
		use: strings.ReplaceAll(use, "{now}", pgNow),
		purge: strings.ReplaceAll(`DELETE FROM runbook_lti_nonces WHERE expires <= {now} AND id = ANY (ARRAY
			(SELECT id FROM runbook_lti_nonces WHERE expires <= {now} ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED))`,
			"{now}", pgNow),
	}
}
