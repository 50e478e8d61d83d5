package pgdump

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"go.acu.edu.au/runbook/incident"
)

// Target is a database as it was found before a restore.
type Target struct {
	// Database is its name, ServerVersion the version of its server.
	Database      string `json:"database"`
	ServerVersion string `json:"server_version"`
	// Bytes is the size of the database on disk.
	Bytes int64 `json:"bytes"`
	// Tables are its tables, materialized views and foreign tables, sorted.
	Tables []TargetTable `json:"tables"`
	// Others are all other things that somebody made in it, but for what belongs
	// to an extension: "schema app", "function app.f(integer)", "large object 16446".
	Others []string `json:"others"`
	// Extensions are the extensions but plpgsql, with their versions. A database
	// that has nothing else counts as empty.
	Extensions []string `json:"extensions"`
	// Sessions are the other sessions in it. What they write from now on until
	// the restore is done is lost with the tables.
	Sessions []Session `json:"sessions"`

	structure string // a hash of what there is
	activity  string // a hash of that and of what was ever written to it
}

// TargetTable is a table of a target.
type TargetTable struct {
	TableName
	// Kind is "table", "materialized view" or "foreign table".
	Kind string `json:"kind"`
	// Rows is the server's estimate; -1 means that it has none.
	Rows int64 `json:"rows"`
	// Bytes is the size on disk, with indexes.
	Bytes int64 `json:"bytes"`
}

// Session is a connection to a target.
type Session struct {
	// User and Application are what the session says that it is. User is empty
	// if the server does not tell us more of it.
	User        string `json:"user"`
	Application string `json:"application"`
	// State is PostgreSQL's: "idle", "active", "idle in transaction"; "unknown"
	// if the server does not tell us.
	State string `json:"state"`
}

// Empty reports whether a restore can destroy nothing.
func (t *Target) Empty() bool { return len(t.Tables) == 0 && len(t.Others) == 0 }

// busy returns how many sessions are in the middle of something, or may be.
func (t *Target) busy() (n int) {
	for _, s := range t.Sessions {
		if s.State != "idle" {
			n++
		}
	}
	return n
}

const (
	facts = `SELECT current_database(), session_user, current_setting('server_version'), pg_database_size(current_database()), pg_is_in_recovery()`

	// Only what somebody made: not the system's, not an extension's.
	made = ` n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.tableoid AND d.objid = o.oid AND d.deptype = 'e')`

	// The last column is how much was ever written, by the statistics, and how
	// long the file is, which changes at once.
	tables = `SELECT n.nspname, o.relname, CASE o.relkind WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'table' END,
			greatest(o.reltuples::bigint, s.n_live_tup, -1), coalesce(pg_total_relation_size(o.oid), 0),
			o.oid::text || '/' || o.relfilenode::text,
			coalesce(s.n_tup_ins, 0)::text || '/' || coalesce(s.n_tup_upd, 0) || '/' || coalesce(s.n_tup_del, 0) || '/' || coalesce(pg_relation_size(o.oid), 0)
		FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace LEFT JOIN pg_stat_all_tables s ON s.relid = o.oid
		WHERE o.relkind IN ('r', 'p', 'm', 'f') AND` + made + ` ORDER BY n.nspname COLLATE "C", o.relname COLLATE "C"`

	others = `SELECT what, id FROM (
		SELECT pg_describe_object(o.tableoid, o.oid, 0) AS what, o.oid::text AS id FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace
			WHERE o.relkind IN ('v', 'S', 'c') AND` + made + `
		UNION ALL SELECT pg_describe_object(o.tableoid, o.oid, 0), o.oid::text FROM pg_proc o JOIN pg_namespace n ON n.oid = o.pronamespace WHERE` + made + `
		UNION ALL SELECT pg_describe_object(o.tableoid, o.oid, 0), o.oid::text FROM pg_type o JOIN pg_namespace n ON n.oid = o.typnamespace
			WHERE o.typtype IN ('d', 'e', 'r') AND` + made + `
		UNION ALL SELECT pg_describe_object(o.tableoid, o.oid, 0), o.oid::text FROM pg_namespace o JOIN pg_namespace n ON n.oid = o.oid
			WHERE o.nspname <> 'public' AND` + made + `
		UNION ALL SELECT 'large object ' || oid, oid::text FROM pg_largeobject_metadata
		) found ORDER BY what COLLATE "C", id`

	extensions = `SELECT extname || ' ' || extversion, '' FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY extname COLLATE "C"`

	sessions = `SELECT coalesce(usename, ''), coalesce(application_name, ''), coalesce(state, 'unknown') FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend' ORDER BY 1, 2, 3, pid`
)

// beginner is a pool, or one connection of it.
type beginner interface {
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
}

// look reads the target, in a transaction that changes nothing. Within it, prove
// is called with a snapshot that only this database has.
func (d *Dumper) look(ctx context.Context, db beginner, prove func(snapshot string) error) (Target, error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return Target{}, looking(err)
	}
	defer func() { _ = tx.Rollback() }()
	// A server in trouble may not hold us for long, nor end us while we prove.
	for _, set := range []string{"statement_timeout = '30s'", "lock_timeout = '10s'", "idle_in_transaction_session_timeout = 0"} {
		if _, err := tx.ExecContext(ctx, "SET LOCAL "+set); err != nil {
			return Target{}, looking(err)
		}
	}
	t, err := d.readTarget(ctx, tx)
	if err != nil {
		return Target{}, err
	}
	if prove != nil {
		var snapshot string
		if err := tx.QueryRowContext(ctx, "SELECT pg_export_snapshot()").Scan(&snapshot); err != nil {
			return Target{}, looking(err)
		}
		if err := prove(snapshot); err != nil {
			return Target{}, err
		}
	}
	return t, nil
}

func (d *Dumper) readTarget(ctx context.Context, tx *sql.Tx) (Target, error) {
	var t Target
	var user string
	var standby bool
	if err := tx.QueryRowContext(ctx, facts).Scan(&t.Database, &user, &t.ServerVersion, &t.Bytes, &standby); err != nil {
		return Target{}, looking(err)
	}
	if want := d.cfg.Connection; t.Database != want.Database || user != want.User {
		return Target{}, problem(ErrElsewhere, "DB is database %s as user %s, Connection is database %s as user %s",
			quote(t.Database), quote(user), quote(want.Database), quote(want.User))
	}
	if standby {
		return Target{}, problem(nil, "the target is a standby, which takes no writes: use the primary")
	}
	structure, activity := sha256.New(), sha256.New()
	err := rows(ctx, tx, tables, func(scan func(...any) error) error {
		var table TargetTable
		var id, written string
		if err := scan(&table.Schema, &table.Name, &table.Kind, &table.Rows, &table.Bytes, &id, &written); err != nil {
			return err
		}
		note(structure, table.Schema, table.Name, id)
		note(activity, written)
		t.Tables = append(t.Tables, table)
		return nil
	})
	if err != nil {
		return Target{}, err
	}
	for query, list := range map[string]*[]string{others: &t.Others, extensions: &t.Extensions} {
		part := sha256.New()
		err := rows(ctx, tx, query, func(scan func(...any) error) error {
			var what, id string
			if err := scan(&what, &id); err != nil {
				return err
			}
			note(part, what, id)
			*list = append(*list, what)
			return nil
		})
		if err != nil {
			return Target{}, err
		}
		if query == others {
			note(structure, string(part.Sum(nil)))
		}
	}
	err = rows(ctx, tx, sessions, func(scan func(...any) error) error {
		var s Session
		err := scan(&s.User, &s.Application, &s.State)
		t.Sessions = append(t.Sessions, s)
		return err
	})
	t.structure = hex.EncodeToString(structure.Sum(nil))
	note(activity, t.structure)
	t.activity = hex.EncodeToString(activity.Sum(nil))
	return t, err
}

// looking says that the target could not be looked at. Drivers tell the SQLSTATE of
// an error by this method.
func looking(err error) error {
	own := because(err, "look at the target")
	if coded, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok && (strings.HasPrefix(coded.SQLState(), "28") || coded.SQLState() == "42501") {
		own.kind, own.detail = incident.ErrNotPermitted, "look at the target: SQLSTATE "+quote(coded.SQLState())
	}
	return own
}

// rows calls each for every row of a query.
func rows(ctx context.Context, tx *sql.Tx, query string, each func(scan func(...any) error) error) error {
	found, err := tx.QueryContext(ctx, query)
	if err != nil {
		return looking(err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		if err := each(found.Scan); err != nil {
			return looking(err)
		}
	}
	if err := found.Err(); err != nil {
		return looking(err)
	}
	return nil
}

// note adds texts to a hash so that no two lists of texts give the same.
func note(h hash.Hash, texts ...string) {
	for _, text := range texts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(text), text)
	}
}

// proveSame proves that Connection leads to where DB does: only a session of the
// same database of the same server can use a snapshot of it. pg_dump is the one
// program that takes a snapshot; it is told to dump nothing, and locks nothing.
func (d *Dumper) proveSame(ctx context.Context) func(snapshot string) error {
	return func(snapshot string) error {
		args := []string{"--schema-only", "--exclude-schema=*", "--no-password", "--snapshot=" + snapshot, d.cfg.Connection.database()}
		c, err := d.start(ctx, d.cfg.PgDump, args, d.cfg.Connection.environment("runbook-prove"), false, false)
		if err != nil {
			return err
		}
		defer c.end()
		err = c.wait(ctx)
		if own, ok := err.(*Error); ok && c.said.mentions("snapshot") {
			own.kind, own.detail = ErrElsewhere, "a snapshot of the one is not known to the other"
		}
		return err
	}
}
