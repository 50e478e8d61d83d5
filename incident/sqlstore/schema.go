package sqlstore

import "go.acu.edu.au/runbook/internal/sqlmigrate"

// The schema. Times are microseconds since 1970 UTC. Data is text and not JSON of the
// database, which would not keep its bytes. Released migrations are never changed.
//
//   - runbook_incident_documents has a row for each document. The row is the lock for it.
//   - runbook_incident_keys has a row for each key that an open document has: its primary
//     key is what lets only one have it.
//   - runbook_incident_chains has a row for each chain: the number and the hash of its last
//     entry. The row is the lock for adding to it, and shows if the end was cut off.
//   - runbook_incident_entries has the entries, which are never changed but by redaction.
//     Without a key, key is empty.
//
// Only IDs are sorted by, and have to be sorted as bytes.
var migrations = sqlmigrate.Set{
	Component: "incident",
	Migrations: []sqlmigrate.Migration{{
		SQLite:     schema("TEXT", "INTEGER", ") WITHOUT ROWID"),
		PostgreSQL: schema(`TEXT COLLATE "C"`, "BOOLEAN", ")"),
	}, {
		SQLite:     redactable,
		PostgreSQL: redactable,
	}},
}

// redactable are what lets entries be redacted.
var redactable = []string{
	`ALTER TABLE runbook_incident_entries ADD COLUMN salt TEXT NOT NULL DEFAULT ''`,
	`ALTER TABLE runbook_incident_entries ADD COLUMN content TEXT NOT NULL DEFAULT ''`,
}

func schema(id, boolean, small string) []string {
	return []string{
		`CREATE TABLE runbook_incident_documents (
			kind TEXT NOT NULL,
			id ` + id + ` NOT NULL,
			version BIGINT NOT NULL,
			key TEXT NOT NULL,
			open ` + boolean + ` NOT NULL,
			changed BIGINT NOT NULL,
			data TEXT NOT NULL,
			PRIMARY KEY (kind, id)
		)`,
		`CREATE INDEX runbook_incident_documents_changed ON runbook_incident_documents (kind, changed, id)`,
		`CREATE INDEX runbook_incident_documents_open ON runbook_incident_documents (kind, changed, id) WHERE open`,
		`CREATE INDEX runbook_incident_documents_key ON runbook_incident_documents (kind, key, changed, id) WHERE key <> ''`,
		`CREATE TABLE runbook_incident_keys (
			kind TEXT NOT NULL,
			key TEXT NOT NULL,
			id TEXT NOT NULL,
			PRIMARY KEY (kind, key)
		` + small,
		`CREATE TABLE runbook_incident_chains (
			chain TEXT NOT NULL PRIMARY KEY,
			seq BIGINT NOT NULL,
			hash TEXT NOT NULL
		` + small,
		`CREATE TABLE runbook_incident_entries (
			chain TEXT NOT NULL,
			seq BIGINT NOT NULL,
			key TEXT NOT NULL,
			at BIGINT NOT NULL,
			kind TEXT NOT NULL,
			actor TEXT NOT NULL,
			text TEXT NOT NULL,
			data TEXT NOT NULL,
			prior TEXT NOT NULL,
			hash TEXT NOT NULL,
			PRIMARY KEY (chain, seq)
		)`,
		`CREATE UNIQUE INDEX runbook_incident_entries_key ON runbook_incident_entries (chain, key) WHERE key <> ''`,
	}
}

const (
	documentColumns = `kind, id, version, key, open, changed, data`
	entryColumns    = `chain, seq, key, at, kind, actor, text, data, salt, content, prior, hash`

	// lockDocument gets FOR UPDATE on PostgreSQL.
	lockDocument   = `SELECT version, key, open FROM runbook_incident_documents WHERE kind = $1 AND id = $2`
	insertDocument = `INSERT INTO runbook_incident_documents (` + documentColumns + `) VALUES ($1, $2, 1, $3, $4, $5, $6)
		ON CONFLICT (kind, id) DO NOTHING`
	// reserveDocument locks the row of a document, which it makes if there is none.
	reserveDocument = `INSERT INTO runbook_incident_documents (` + documentColumns + `) VALUES ($1, $2, 0, '', FALSE, 0, 'null')
		ON CONFLICT (kind, id) DO UPDATE SET version = runbook_incident_documents.version`
	updateDocument = `UPDATE runbook_incident_documents SET version = version + 1, key = $1, open = $2, changed = $3, data = $4
		WHERE kind = $5 AND id = $6`
	releaseKey = `DELETE FROM runbook_incident_keys WHERE kind = $1 AND key = $2 AND id = $3`
	claimKey   = `INSERT INTO runbook_incident_keys (kind, key, id) VALUES ($1, $2, $3) ON CONFLICT (kind, key) DO NOTHING`

	// lockChain locks the row of a chain, which it makes if there is none.
	lockChain = `INSERT INTO runbook_incident_chains (chain, seq, hash) VALUES ($1, 0, '')
		ON CONFLICT (chain) DO UPDATE SET seq = runbook_incident_chains.seq RETURNING seq, hash`
	growChain  = `UPDATE runbook_incident_chains SET seq = $1, hash = $2 WHERE chain = $3`
	entryByKey = `SELECT ` + entryColumns + ` FROM runbook_incident_entries WHERE chain = $1 AND key = $2 AND key <> ''`

	// touchChain locks the row of a chain, if there is one.
	touchChain    = `UPDATE runbook_incident_chains SET seq = seq WHERE chain = $1`
	entryByNumber = `SELECT text, data, salt, content FROM runbook_incident_entries WHERE chain = $1 AND seq = $2`
	// redactEntry takes what an entry says out of it.
	redactEntry = `UPDATE runbook_incident_entries SET text = '', data = '', salt = '', content = $1 WHERE chain = $2 AND seq = $3`

	// readEntries returns a row that is the end of the chain, if there is a chain, and the
	// next entries, as they are at one moment. They need not come in order.
	readEntries = `SELECT 0, seq, '', 0, '', '', '', '', '', '', '', hash FROM runbook_incident_chains WHERE chain = $1
		UNION ALL SELECT 1, seq, key, at, kind, actor, text, data, salt, content, prior, hash FROM (
			SELECT ` + entryColumns + ` FROM runbook_incident_entries WHERE chain = $1 AND seq > $2 ORDER BY seq LIMIT $3
		) e`
)
