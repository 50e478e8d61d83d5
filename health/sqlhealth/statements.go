package sqlhealth

import (
	"strings"

	"go.acu.edu.au/runbook/internal/sqlmigrate"
)

// statements are the texts for one dialect. Many rows go to the database as one
// parameter, a JSON array of arrays: one round trip, one text, whatever the
// number of rows, and no array types that drivers differ in.
type statements struct {
	makeStates, lockStates string // PostgreSQL: make and lock the state rows of $1
	states                 string // read the state rows of $1
	readHours              string // the hour rows of $1, pairs of check and hour
	writeHours             string
	writeSpells            string
	writeStates            string

	acquire string
}

func statementsFor(d sqlmigrate.Dialect) statements {
	replace := strings.NewReplacer("{rows}", "json_array_elements($1::json) AS j(value)", "{now}", pgNow)
	if d == sqlmigrate.SQLite {
		replace = strings.NewReplacer("{rows}", "json_each($1) AS j", "{now}", "$4")
	}
	// "WHERE true" keeps SQLite from reading ON CONFLICT as a join condition.
	return statements{
		makeStates: replace.Replace(`INSERT INTO runbook_health_state (check_name)
			SELECT j.value->>0 FROM {rows} WHERE true ORDER BY 1
			ON CONFLICT (check_name) DO NOTHING`),
		lockStates: replace.Replace(`SELECT check_name FROM runbook_health_state
			WHERE check_name IN (SELECT j.value->>0 FROM {rows})
			ORDER BY check_name FOR UPDATE`),
		states: replace.Replace(`SELECT check_name, at, status, valid, down_since FROM runbook_health_state
			WHERE at IS NOT NULL AND check_name IN (SELECT j.value->>0 FROM {rows})`),
		readHours: replace.Replace(`SELECT ` + hourColumns + ` FROM {rows}
			JOIN runbook_health_hours h ON h.check_name = j.value->>0 AND h.hour = CAST(j.value->>1 AS BIGINT)`),
		writeHours: replace.Replace(`INSERT INTO runbook_health_hours
			(check_name, hour, unknown, healthy, degraded, unhealthy, maintenance, latencies)
			SELECT j.value->>0, CAST(j.value->>1 AS BIGINT), CAST(j.value->>2 AS BIGINT), CAST(j.value->>3 AS BIGINT),
				CAST(j.value->>4 AS BIGINT), CAST(j.value->>5 AS BIGINT), CAST(j.value->>6 AS BIGINT), j.value->>7
			FROM {rows} WHERE true
			ON CONFLICT (check_name, hour) DO UPDATE SET unknown = excluded.unknown, healthy = excluded.healthy,
				degraded = excluded.degraded, unhealthy = excluded.unhealthy, maintenance = excluded.maintenance,
				latencies = excluded.latencies`),
		writeSpells: replace.Replace(`INSERT INTO runbook_health_spells (check_name, start, ended)
			SELECT j.value->>0, CAST(j.value->>1 AS BIGINT), CAST(j.value->>2 AS BIGINT) FROM {rows} WHERE true
			ON CONFLICT (check_name, start) DO UPDATE SET ended = excluded.ended`),
		writeStates: replace.Replace(`INSERT INTO runbook_health_state (check_name, at, status, valid, down_since)
			SELECT j.value->>0, CAST(j.value->>1 AS BIGINT), j.value->>2, CAST(j.value->>3 AS BIGINT), CAST(j.value->>4 AS BIGINT)
			FROM {rows} WHERE true
			ON CONFLICT (check_name) DO UPDATE SET at = excluded.at, status = excluded.status,
				valid = excluded.valid, down_since = excluded.down_since`),
		acquire: replace.Replace(`INSERT INTO runbook_health_leases AS l (check_name, holder, expires)
			VALUES ($1, $2, $3 + {now})
			ON CONFLICT (check_name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires
			WHERE l.holder = excluded.holder OR l.expires <= {now}
			RETURNING holder, result`),
	}
}

// pgNow is the server's clock, so that the clocks of replicas do not matter,
// and the real time, not that of the beginning of the transaction.
const pgNow = "CAST(extract(epoch FROM clock_timestamp()) * 1000000000 AS BIGINT)"

const hourColumns = "h.check_name, h.hour, h.unknown, h.healthy, h.degraded, h.unhealthy, h.maintenance, h.latencies"

const (
	hoursBetween = `SELECT ` + hourColumns + ` FROM runbook_health_hours h
		WHERE h.check_name = $1 AND h.hour >= $2 AND h.hour < $3 ORDER BY h.hour`

	// A spell that lasts ends when its last sample stops to be valid.
	spellsBetween = `SELECT p.start, p.ended, s.at + s.valid FROM runbook_health_spells p
		JOIN runbook_health_state s ON s.check_name = p.check_name
		WHERE p.check_name = $1 AND p.start < $2 AND COALESCE(p.ended, s.at + s.valid) > $3
		ORDER BY p.start`

	pruneHours  = `DELETE FROM runbook_health_hours WHERE hour < $1`
	pruneSpells = `DELETE FROM runbook_health_spells WHERE ended <= $1 OR (ended IS NULL
		AND check_name IN (SELECT check_name FROM runbook_health_state WHERE at + valid <= $1))`

	holderOf = `SELECT holder, result FROM runbook_health_leases WHERE check_name = $1`
	publish  = `UPDATE runbook_health_leases SET result = $1 WHERE check_name = $2 AND holder = $3`
	release  = `UPDATE runbook_health_leases SET holder = '', expires = 0 WHERE holder = $1`
)
