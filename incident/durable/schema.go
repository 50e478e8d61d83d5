package durable

import "go.acu.edu.au/runbook/internal/sqlmigrate"

// migrations are the tables of our own, beside those of DBOS. DBOS keeps the queue, the
// recorded calls, and who may record them; we keep what it has no place for. Times are
// microseconds since 1970, zero is none. Released migrations are never changed.
//
// The owner of a run is the one execution of it that may begin something: a name that no
// other has. It is empty while nobody has the run.
var migrations = sqlmigrate.Set{
	Component: "durable",
	Migrations: []sqlmigrate.Migration{{
		SQLite:     tables("INTEGER PRIMARY KEY AUTOINCREMENT"),
		PostgreSQL: tables("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
	}, {
		SQLite:     shown,
		PostgreSQL: shown,
	}},
}

// shown keeps how a run stood when its revision last told of that.
var shown = []string{"ALTER TABLE runbook_runs ADD COLUMN shown TEXT NOT NULL DEFAULT ''"}

func tables(counter string) []string {
	return []string{
		`CREATE TABLE runbook_runs (
			number ` + counter + `,
			id TEXT NOT NULL UNIQUE,
			program TEXT NOT NULL,
			lock_name TEXT NOT NULL,
			at BIGINT NOT NULL,
			start TEXT NOT NULL,
			version TEXT NOT NULL,
			owner TEXT NOT NULL DEFAULT '',
			process TEXT NOT NULL DEFAULT '',
			began BIGINT NOT NULL DEFAULT 0,
			ended BIGINT NOT NULL DEFAULT 0,
			status TEXT NOT NULL DEFAULT '',
			result TEXT,
			error TEXT NOT NULL DEFAULT '',
			held TEXT,
			cancelled TEXT,
			taken TEXT,
			stranded TEXT NOT NULL DEFAULT '',
			crashes BIGINT NOT NULL DEFAULT 0,
			crash_steps BIGINT NOT NULL DEFAULT 0,
			current TEXT NOT NULL DEFAULT '',
			revision BIGINT NOT NULL DEFAULT 1)`,
		`CREATE INDEX runbook_runs_active ON runbook_runs (lock_name) WHERE ended = 0`,
		`CREATE INDEX runbook_runs_at ON runbook_runs (at, number)`,
		`CREATE TABLE runbook_run_labels (
			run TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (run, name))`,
		`CREATE INDEX runbook_run_labels_value ON runbook_run_labels (name, value)`,
		`CREATE TABLE runbook_run_attempts (
			number ` + counter + `,
			run TEXT NOT NULL, step TEXT NOT NULL, call BIGINT NOT NULL, process TEXT NOT NULL, at BIGINT NOT NULL)`,
		`CREATE INDEX runbook_run_attempts_step ON runbook_run_attempts (run, step)`,
		`CREATE TABLE runbook_run_waits (
			run TEXT NOT NULL, step TEXT NOT NULL, call BIGINT NOT NULL, topic TEXT NOT NULL, until BIGINT NOT NULL, since BIGINT NOT NULL,
			PRIMARY KEY (run, step))`,
		`CREATE TABLE runbook_run_signals (
			number ` + counter + `,
			run TEXT NOT NULL, topic TEXT NOT NULL, id TEXT NOT NULL, data TEXT NOT NULL, arrived BIGINT NOT NULL,
			UNIQUE (run, topic, id))`,
		`CREATE TABLE runbook_run_locks (name TEXT NOT NULL PRIMARY KEY, run TEXT NOT NULL)`,
		`CREATE TABLE runbook_run_processes (
			process TEXT NOT NULL PRIMARY KEY,
			host TEXT NOT NULL, version TEXT NOT NULL, lock_key BIGINT NOT NULL,
			started BIGINT NOT NULL, seen BIGINT NOT NULL,
			stopped BIGINT NOT NULL DEFAULT 0, dead BIGINT NOT NULL DEFAULT 0, taken BIGINT NOT NULL DEFAULT 0)`,
	}
}
