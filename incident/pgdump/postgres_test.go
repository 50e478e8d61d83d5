//go:build unix

package pgdump_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/pgdump"
	"go.acu.edu.au/runbook/internal/services"
)

// estate is a real server and its programs.
type estate struct {
	t     testing.TB
	admin *sql.DB
	url   *url.URL
	bin   string
	id    *age.X25519Identity
}

func newEstate(t testing.TB) *estate {
	t.Helper()
	u, err := url.Parse(services.Need(t, services.PostgresURL))
	require.NoError(t, err)
	e := &estate{t: t, url: u, bin: services.Need(t, services.PostgresBin), id: identity(t)}
	e.admin = e.open(strings.TrimPrefix(u.Path, "/"))
	return e
}

func (e *estate) open(database string) *sql.DB {
	e.t.Helper()
	return e.openAs(database, e.url.User.Username())
}

func (e *estate) openAs(database, role string) *sql.DB {
	e.t.Helper()
	u := *e.url
	u.Path = "/" + database
	if role != e.url.User.Username() {
		u.User = url.User(role)
	}
	db, err := sql.Open("pgx", u.String())
	require.NoError(e.t, err)
	db.SetMaxIdleConns(0) // so that no session is left in the way
	e.t.Cleanup(func() { _ = db.Close() })
	return db
}

func (e *estate) exec(db *sql.DB, statement string, args ...any) {
	e.t.Helper()
	_, err := db.ExecContext(context.WithoutCancel(e.t.Context()), statement, args...)
	require.NoError(e.t, err)
}

// database makes a database that ends with the test.
func (e *estate) database() string {
	e.t.Helper()
	name := "pgdump_" + strings.ToLower(rand.Text()[:12])
	e.exec(e.admin, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING UTF8")
	e.t.Cleanup(func() { e.exec(e.admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return name
}

// write runs statements in a session that ends, so that the server's statistics
// have everything.
func (e *estate) write(database string, statements ...string) {
	e.t.Helper()
	db := e.open(database)
	defer func() { require.NoError(e.t, db.Close()) }()
	for _, s := range statements {
		e.exec(db, s)
	}
	require.NoError(e.t, db.Close())
	require.Eventually(e.t, func() bool { return e.count(database) == 0 }, 5*time.Second, 5*time.Millisecond)
}

// count returns how many sessions a database has.
func (e *estate) count(database string) (n int) {
	e.t.Helper()
	require.NoError(e.t, e.admin.QueryRowContext(context.WithoutCancel(e.t.Context()), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'", database).Scan(&n))
	return n
}

// dumper returns a Dumper of a database.
func (e *estate) dumper(database string, change func(*pgdump.Config)) *pgdump.Dumper {
	e.t.Helper()
	port, err := strconv.Atoi(e.url.Port())
	require.NoError(e.t, err)
	password, _ := e.url.User.Password()
	if password == "" {
		password = canary // the server of the tests asks for none
	}
	cfg := pgdump.Config{
		PgDump: filepath.Join(e.bin, "pg_dump"), PgRestore: filepath.Join(e.bin, "pg_restore"),
		Connection: pgdump.Connection{Host: e.url.Hostname(), Port: port, User: e.url.User.Username(), Database: database, Password: runbook.NewSecret(password), SSLMode: "disable"},
		DB:         e.open(database), Recipients: []age.Recipient{e.id.Recipient()}, Identities: []age.Identity{e.id},
		GracePeriod: time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	d, err := pgdump.New(cfg)
	require.NoError(e.t, err)
	return d
}

// content is one of everything that an application may have.
var content = []string{
	`CREATE EXTENSION pgcrypto`,
	`CREATE SCHEMA app`,
	`CREATE TYPE app.mood AS ENUM ('good', 'bad')`,
	`CREATE DOMAIN app.positive AS integer CHECK (VALUE > 0)`,
	`CREATE TABLE app."my Table" (id serial PRIMARY KEY, v text NOT NULL, "Größe" numeric(20, 10), at timestamptz DEFAULT '2026-01-02 03:04:05+10', j jsonb, b bytea,
		m app.mood, p app.positive, a integer[], u uuid, d double precision, n text, r int4range, ip inet)`,
	`INSERT INTO app."my Table" (v, "Größe", j, b, m, p, a, u, d, n, r, ip) SELECT E'line\n\\.\t漢 ' || i, i / 7.0, jsonb_build_object('k', i, 'q', '"\'), sha256(i::text::bytea),
		CASE i % 2 WHEN 0 THEN 'good' ELSE 'bad' END::app.mood, i, ARRAY[i, NULL, -i], md5(i::text)::uuid, CASE i WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' ELSE 1 / i::float8 END,
		NULL, int4range(i, i + 5), '10.0.0.1' FROM generate_series(1, 2000) i`,
	`CREATE TABLE child (id bigint GENERATED ALWAYS AS IDENTITY, parent integer NOT NULL REFERENCES app."my Table" (id), CHECK (parent <> 0))`,
	`INSERT INTO child (parent) SELECT 1 + i % 2000 FROM generate_series(1, 500) i`,
	`CREATE INDEX ON child (parent)`,
	`CREATE TABLE part (k integer, v text) PARTITION BY RANGE (k)`,
	`CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (100)`,
	`CREATE TABLE part_high PARTITION OF part FOR VALUES FROM (100) TO (1000)`,
	`INSERT INTO part SELECT i, 'p' || i FROM generate_series(0, 199) i`,
	`CREATE VIEW app.v AS SELECT count(*) FROM child`,
	`CREATE MATERIALIZED VIEW app.mv AS SELECT parent, count(*) FROM child GROUP BY parent`,
	`CREATE FUNCTION app.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
DROP TABLE IF EXISTS public.not_really;
RETURN NEW; END $$`,
	`CREATE TRIGGER tr BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION app.f()`,
	`SELECT lo_from_bytea(4711, decode(repeat('deadbeef', 5000), 'hex'))`,
	`CREATE TABLE empty ()`,
}

// fingerprint is all rows of all tables, and the rest that is data.
func (e *estate) fingerprint(database string) map[string]string {
	e.t.Helper()
	db := e.open(database)
	defer func() { _ = db.Close() }()
	found := make(map[string]string)
	one := func(name, query string) {
		var v string
		require.NoError(e.t, db.QueryRowContext(context.WithoutCancel(e.t.Context()), query).Scan(&v), name)
		found[name] = v
	}
	names, err := db.QueryContext(e.t.Context(), `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('app', 'public') UNION ALL SELECT format('%I.%I', schemaname, matviewname) FROM pg_matviews`)
	require.NoError(e.t, err)
	var tables []string
	for names.Next() {
		var name string
		require.NoError(e.t, names.Scan(&name))
		tables = append(tables, name)
	}
	require.NoError(e.t, names.Err())
	for _, name := range tables {
		one(name, `SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, E'\n' ORDER BY t::text)), '') FROM `+name+` t`)
	}
	one("sequences", `SELECT coalesce(string_agg(schemaname || sequencename || coalesce(last_value, 0), ',' ORDER BY 1), '') FROM (SELECT * FROM pg_sequences ORDER BY 1, 2) s GROUP BY ()`)
	one("large objects", `SELECT coalesce(string_agg(oid || md5(lo_get(oid)), ','), '') FROM pg_largeobject_metadata`)
	one("objects", `SELECT coalesce(md5(string_agg(pg_describe_object(classid, objid, 0), ',' ORDER BY pg_describe_object(classid, objid, 0))), '') FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass AND refobjid >= 2200`)
	return found
}

func query1(t testing.TB, db *sql.DB, query string) (v string) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(context.WithoutCancel(t.Context()), query).Scan(&v))
	return v
}

// A dump made of one database, kept off it, is verified and restored into another,
// and has everything.
func TestDumpVerifyRestore(t *testing.T) {
	e := newEstate(t)
	source, target := e.database(), e.database()
	e.write(source, content...)
	path := filepath.Join(t.TempDir(), "dump.age")
	file, err := os.Create(path)
	require.NoError(t, err)
	receipt, err := e.dumper(source, func(c *pgdump.Config) { c.Identities = nil }).Dump(t.Context(), file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	assert.Len(t, receipt.Tables, 6)
	assert.Equal(t, strings.Fields(query1(t, e.admin, "SHOW server_version"))[0], receipt.ServerVersion)

	// A new server has nothing but the file and the receipt.
	text, err := json.Marshal(receipt)
	require.NoError(t, err)
	kept, err := pgdump.ParseReceipt(text)
	require.NoError(t, err)
	file, err = os.Open(path)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	d := e.dumper(target, func(c *pgdump.Config) { c.Recipients = nil })
	contents, err := d.Verify(t.Context(), file, &kept)
	require.NoError(t, err)
	rows := make(map[string]int64)
	for _, table := range contents.Tables {
		rows[table.String()] = table.Rows
	}
	assert.Equal(t, map[string]int64{"app.my Table": 2000, "public.child": 500, "public.part_low": 100, "public.part_high": 100, "public.empty": 0}, rows)
	assert.EqualValues(t, 1, contents.LargeObjects)

	rewind(t, file)
	plan, err := d.PlanRestore(t.Context(), file, &kept)
	require.NoError(t, err)
	assert.True(t, plan.Target.Empty())
	assert.Empty(t, plan.Destroys)
	assert.Empty(t, plan.Statements)
	rewind(t, file)
	restored, err := d.Restore(t.Context(), file, plan)
	require.NoError(t, err)
	assert.Len(t, restored.Target.Tables, 7) // with the materialized view
	assert.Equal(t, []string{"pgcrypto 1.3"}, restored.Target.Extensions)
	assert.Equal(t, e.fingerprint(source), e.fingerprint(target))
	noCanary(t, receipt, contents, plan, restored)

	t.Run("a plan is not used twice", func(t *testing.T) {
		rewind(t, file)
		_, err := d.Restore(t.Context(), file, plan)
		require.ErrorIs(t, err, incident.ErrStale)
		assert.True(t, runbook.SafeToRetry(err))
	})
}

func rewind(t testing.TB, s io.Seeker) {
	t.Helper()
	_, err := s.Seek(0, io.SeekStart)
	require.NoError(t, err)
}

// dumped returns the dump of a database.
func (e *estate) dumped(database string) (*bytes.Reader, *pgdump.Receipt) {
	e.t.Helper()
	var w bytes.Buffer
	receipt, err := e.dumper(database, nil).Dump(e.t.Context(), &w)
	require.NoError(e.t, err)
	return bytes.NewReader(w.Bytes()), &receipt
}

// The plan for a target that has something names what it destroys, in the words of
// pg_restore, and somebody has to confirm it.
//
// Requirement: INC-RESTORE-ONCE
func TestPlanNamesWhatItDestroys(t *testing.T) {
	e := newEstate(t)
	source, target := e.database(), e.database()
	e.write(source, content...)
	dump, receipt := e.dumped(source)
	e.write(target, content...)
	e.write(target, `DELETE FROM child`, `CREATE TABLE extra (id integer PRIMARY KEY)`, `INSERT INTO extra VALUES (1), (2)`, `ANALYZE`)
	d := e.dumper(target, nil)
	plan, err := d.PlanRestore(t.Context(), dump, receipt)
	require.NoError(t, err)
	destroys := strings.Join(plan.Destroys, "\n")
	assert.Regexp(t, `(?m)^table app\.my Table: about 2000 rows, \d{6} bytes$`, destroys)
	assert.Regexp(t, `(?m)^materialized view app\.mv: `, destroys)
	assert.Contains(t, destroys, "other things: see Statements and Target.Others")
	assert.NotContains(t, destroys, "extra")
	assert.Equal(t, []pgdump.TableName{{Schema: "public", Name: "extra"}}, plan.Keeps)
	assert.Contains(t, plan.Statements, `DROP TABLE IF EXISTS app."my Table";`)
	assert.NotContains(t, strings.Join(plan.Statements, "\n"), "not_really")
	assert.Subset(t, plan.Target.Others, []string{"schema app", "function app.f()", "type app.mood", "type app.positive", "view app.v", "large object 4711"})
	assert.Positive(t, plan.Target.Bytes)

	before := e.fingerprint(target)
	refused := func(plan pgdump.Plan, is error) {
		t.Helper()
		rewind(t, dump)
		_, err := d.Restore(t.Context(), dump, plan)
		require.ErrorIs(t, err, is)
		assert.True(t, runbook.SafeToRetry(err))
		assert.Equal(t, before, e.fingerprint(target))
	}
	refused(pgdump.Plan{}, pgdump.ErrNotConfirmed)
	refused(pgdump.Plan{ConfirmedBy: "ada"}, pgdump.ErrNotConfirmed)
	refused(plan, pgdump.ErrNotConfirmed)
	edited := plan
	edited.ConfirmedBy, edited.Destroys = "ada", nil
	refused(edited, incident.ErrStale)

	t.Run("others are at work", func(t *testing.T) {
		db := e.open(target)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), "SELECT 1")
		require.NoError(t, err)
		busy := plan
		busy.ConfirmedBy = "ada"
		rewind(t, dump)
		_, err = d.Restore(t.Context(), dump, busy)
		require.ErrorIs(t, err, incident.ErrBusy)
		require.ErrorContains(t, err, "1 other sessions")
		require.NoError(t, tx.Rollback())
		require.NoError(t, db.Close())
	})

	// A plan goes through a person as JSON.
	text, err := json.Marshal(plan)
	require.NoError(t, err)
	var confirmed pgdump.Plan
	require.NoError(t, json.Unmarshal(text, &confirmed))
	confirmed.ConfirmedBy = "ada"
	rewind(t, dump)
	_, err = d.Restore(t.Context(), dump, confirmed)
	require.NoError(t, err)
	after, want := e.fingerprint(target), e.fingerprint(source)
	assert.Equal(t, "2 ", after["public.extra"][:2], "what the dump does not have stays")
	delete(after, "public.extra")
	delete(after, "objects")
	delete(want, "objects")
	assert.Equal(t, want, after)
}

// Whatever happens to the target between the plan and the restore, the plan is
// refused.
func TestTargetHasChanged(t *testing.T) {
	e := newEstate(t)
	source, target := e.database(), e.database()
	e.write(source, content...)
	dump, receipt := e.dumped(source)
	d := e.dumper(target, nil)
	for _, change := range []string{
		`CREATE TABLE t (id integer, v text)`, // the target was empty
		`INSERT INTO t VALUES (1, 'a')`,
		`UPDATE t SET v = 'b'`,
		`DELETE FROM t`,
		`TRUNCATE t`,
		`CREATE FUNCTION g() RETURNS integer LANGUAGE sql AS 'SELECT 1'`,
		`SELECT lo_from_bytea(0, 'x')`,
		`DROP FUNCTION g()`,
	} {
		rewind(t, dump)
		plan, err := d.PlanRestore(t.Context(), dump, receipt)
		require.NoError(t, err)
		e.write(target, change)
		plan.ConfirmedBy = "ada"
		before := e.fingerprint(target)
		rewind(t, dump)
		_, err = d.Restore(t.Context(), dump, plan)
		require.ErrorIs(t, err, incident.ErrStale, change)
		assert.True(t, runbook.SafeToRetry(err))
		assert.Equal(t, before, e.fingerprint(target))
	}
	// Looking, and what the server does by itself, is no change.
	rewind(t, dump)
	plan, err := d.PlanRestore(t.Context(), dump, receipt)
	require.NoError(t, err)
	e.write(target, `SELECT * FROM t`, `ANALYZE`)
	plan.ConfirmedBy = "ada"
	rewind(t, dump)
	_, err = d.Restore(t.Context(), dump, plan)
	require.NoError(t, err)
}

// twice is a dump that is another one when it is read again.
type twice struct {
	first, second *bytes.Reader
	rewound       bool
}

func (f *twice) now() *bytes.Reader {
	if f.rewound {
		return f.second
	}
	return f.first
}

func (f *twice) Read(p []byte) (int, error) { return f.now().Read(p) }

func (f *twice) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		f.rewound = true
	}
	return f.now().Seek(offset, whence)
}

// A restore that fails, wherever it does, leaves the target as it was.
func TestFailedRestoreChangesNothing(t *testing.T) {
	e := newEstate(t)
	source, target, empty := e.database(), e.database(), e.database()
	e.write(source, content...)
	dump, receipt := e.dumped(source)
	e.write(target, content...)
	e.write(target, `DELETE FROM child`, `INSERT INTO part VALUES (5, 'mine')`)
	good := make([]byte, dump.Len())
	_, err := io.ReadFull(dump, good)
	require.NoError(t, err)
	other, _ := e.dumped(source)

	type attempt struct {
		database string
		dump     func() io.ReadSeeker
		change   func(*pgdump.Config)
		before   []string // changes before the plan
		undo     []string
		is       error
		want     string
		unknown  bool
	}
	same := func() io.ReadSeeker { return bytes.NewReader(good) }
	realRestore := filepath.Join(e.bin, "pg_restore")
	wrapped := func(script string) func(*pgdump.Config) {
		return func(c *pgdump.Config) {
			c.PgRestore = program(t, "pg_restore", `case "$*" in *--file=-*) exec '`+realRestore+`' "$@";; esac`+"\n"+strings.ReplaceAll(script, "REAL", "'"+realRestore+"'"))
		}
	}
	// Between the last chunk and its hash there is time enough to commit.
	slowly := func(c *pgdump.Config) {
		c.Progress = func(p pgdump.Progress) {
			if p.Op == "restore" {
				time.Sleep(time.Second)
			}
		}
	}
	for name, a := range map[string]attempt{
		"something that stays depends on what is dropped": {database: target, dump: same, before: []string{`CREATE VIEW mine AS SELECT * FROM child`}, undo: []string{`DROP VIEW mine`},
			want: "cannot drop table public.child because other objects depend on it"},
		"the second reading is damaged": {database: target, is: pgdump.ErrDamaged, dump: func() io.ReadSeeker {
			changed := bytes.Clone(good)
			changed[len(changed)-5] ^= 1
			return &twice{first: bytes.NewReader(good), second: bytes.NewReader(changed)}
		}},
		"the second reading is cut off": {database: empty, is: pgdump.ErrDamaged, dump: func() io.ReadSeeker {
			return &twice{first: bytes.NewReader(good), second: bytes.NewReader(good[:len(good)-1])}
		}},
		"the second reading is another dump": {database: empty, is: pgdump.ErrDamaged, want: "not the dump that the plan was made for", dump: func() io.ReadSeeker {
			rewind(t, other)
			return &twice{first: bytes.NewReader(good), second: other}
		}},
		"the first reading is another dump": {database: target, is: pgdump.ErrDamaged, dump: func() io.ReadSeeker { rewind(t, other); return other }},
		"pg_restore has time before the end is checked": {database: target, is: pgdump.ErrDamaged, change: slowly, dump: func() io.ReadSeeker {
			rewind(t, other)
			return &twice{first: bytes.NewReader(good), second: other}
		}},
		"pg_restore dies":                 {database: target, dump: same, change: wrapped(`head -c 20000 | REAL "$@"; kill -9 $$`)},
		"pg_restore does not read":        {database: target, dump: same, change: wrapped(`exit 1`), want: "exit status 1"},
		"the password is wrong, and said": {database: empty, dump: same, change: wrapped(`cat >/dev/null; echo "pg_restore: error: connection failed with $PGPASSWORD" >&2; exit 1`), want: "[redacted]"},
		"it says no after it was done":    {database: empty, dump: same, change: wrapped(`REAL "$@"; exit 1`), is: incident.ErrOutcomeUnknown, unknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			if a.before != nil {
				e.write(a.database, a.before...)
			}
			d := e.dumper(a.database, a.change)
			plan, err := d.PlanRestore(t.Context(), bytes.NewReader(good), receipt)
			require.NoError(t, err)
			plan.ConfirmedBy = "ada"
			before := e.fingerprint(a.database)
			_, err = d.Restore(t.Context(), a.dump(), plan)
			require.Error(t, err)
			noCanary(t, err)
			if a.is != nil {
				require.ErrorIs(t, err, a.is)
			}
			require.ErrorContains(t, err, a.want)
			if a.unknown {
				assert.False(t, runbook.SafeToRetry(err))
				e.write(a.database, `DROP SCHEMA app, public CASCADE`, `CREATE SCHEMA public`, `SELECT lo_unlink(4711)`)
				return
			}
			assert.True(t, runbook.SafeToRetry(err), err)
			assert.Equal(t, before, e.fingerprint(a.database))
			if a.undo != nil {
				e.write(a.database, a.undo...)
			}
		})
	}
	t.Run("a row that the target refuses", func(t *testing.T) {
		e.write(source, `ALTER TABLE child DISABLE TRIGGER ALL`, `UPDATE app."my Table" SET v = 'personal data' WHERE id = 7`,
			`CREATE TABLE z (s text, i text)`, `INSERT INTO z VALUES ('ada@example.com', '1'), ('ada@example.com', '2')`, `CREATE FUNCTION ok(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true'`,
			`ALTER TABLE z ADD CHECK (ok(s))`, `CREATE OR REPLACE FUNCTION ok(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT false'`)
		dump, receipt := e.dumped(source)
		d := e.dumper(target, nil)
		plan, err := d.PlanRestore(t.Context(), dump, receipt)
		require.NoError(t, err)
		plan.ConfirmedBy = "ada"
		before := e.fingerprint(target)
		rewind(t, dump)
		_, err = d.Restore(t.Context(), dump, plan)
		require.ErrorContains(t, err, "COPY failed for table")
		assert.NotContains(t, err.Error(), "ada@example.com")
		assert.True(t, runbook.SafeToRetry(err))
		assert.Equal(t, before, e.fingerprint(target))
	})
	t.Run("cancelled", func(t *testing.T) {
		d := e.dumper(target, nil)
		plan, err := d.PlanRestore(t.Context(), bytes.NewReader(good), receipt)
		require.NoError(t, err)
		plan.ConfirmedBy = "ada"
		before := e.fingerprint(target)
		ctx, cancel := context.WithCancel(t.Context())
		slow := &twice{first: bytes.NewReader(good), second: bytes.NewReader(good)}
		_, err = d.Restore(ctx, &cancelling{slow, cancel}, plan)
		require.ErrorIs(t, err, context.Canceled)
		assert.True(t, runbook.SafeToRetry(err), err)
		assert.Equal(t, before, e.fingerprint(target))
		assert.Eventually(t, func() bool { return e.count(target) == 0 }, 5*time.Second, 10*time.Millisecond)
	})
}

// Of restores at the same time with one plan, one is done.
//
// Requirement: INC-RESTORE-ONCE
func TestRestoreIsDoneOnce(t *testing.T) {
	e := newEstate(t)
	source, target := e.database(), e.database()
	e.write(source, content...)
	dump, receipt := e.dumped(source)
	whole := make([]byte, dump.Len())
	_, err := io.ReadFull(dump, whole)
	require.NoError(t, err)
	e.write(target, content...)
	runs := filepath.Join(t.TempDir(), "runs")
	wrapper := program(t, "pg_restore", `case "$*" in *--single-transaction*) echo run >>'`+runs+`';; esac; exec '`+filepath.Join(e.bin, "pg_restore")+`' "$@"`)
	var dumpers []*pgdump.Dumper
	for range 4 { // each as a process of its own would be
		dumpers = append(dumpers, e.dumper(target, func(c *pgdump.Config) { c.PgRestore = wrapper; c.DB.SetMaxOpenConns(1) }))
	}
	plan, err := dumpers[0].PlanRestore(t.Context(), bytes.NewReader(whole), receipt)
	require.NoError(t, err)
	require.NotEmpty(t, plan.Destroys)
	plan.ConfirmedBy = "ada"
	results := make(chan error)
	for _, d := range dumpers {
		go func() {
			_, err := d.Restore(t.Context(), bytes.NewReader(whole), plan)
			results <- err
		}()
	}
	done := 0
	for range dumpers {
		if err := <-results; err == nil {
			done++
		} else {
			assert.True(t, errors.Is(err, incident.ErrBusy) || errors.Is(err, incident.ErrStale), err)
			assert.True(t, runbook.SafeToRetry(err))
		}
	}
	assert.Equal(t, 1, done)
	text, err := os.ReadFile(runs)
	require.NoError(t, err)
	assert.Equal(t, "run\n", string(text))
	assert.Equal(t, e.fingerprint(source), e.fingerprint(target))
	// Other tests have locks in databases of their own.
	assert.Equal(t, "0", query1(t, e.admin, "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database WHERE locktype = 'advisory' AND d.datname = '"+target+"'"))
}

// A server that asks for a password gets the one of the configuration, and nobody
// else does.
func TestPasswordIsUsedAndNotShown(t *testing.T) {
	e := newEstate(t)
	server := services.StartPostgres(t)
	db, err := sql.Open("pgx", server.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	access := filepath.Join(query1(t, db, "SHOW data_directory"), "pg_hba.conf")
	text, err := os.ReadFile(access)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(access, append([]byte("host all locked 127.0.0.1/32 scram-sha-256\n"), text...), 0o600))
	_, err = db.ExecContext(t.Context(), "CREATE ROLE locked SUPERUSER LOGIN PASSWORD '"+strings.ReplaceAll(canary, "'", "''")+"'")
	require.NoError(t, err)
	server.Stop()
	server.Start()
	u, err := url.Parse(server.URL())
	require.NoError(t, err)
	port, err := strconv.Atoi(u.Port())
	require.NoError(t, err)
	with := func(password string) error {
		d, err := pgdump.New(pgdump.Config{
			PgDump: filepath.Join(e.bin, "pg_dump"), PgRestore: filepath.Join(e.bin, "pg_restore"), Recipients: []age.Recipient{e.id.Recipient()},
			Connection: pgdump.Connection{Host: "127.0.0.1", Port: port, User: "locked", Database: "runbook", Password: runbook.NewSecret(password), SSLMode: "disable"},
		})
		require.NoError(t, err)
		receipt, err := d.Dump(t.Context(), io.Discard)
		noCanary(t, err, receipt, d)
		return err
	}
	require.NoError(t, with(canary))
	err = with(canary + "wrong")
	require.ErrorIs(t, err, incident.ErrNotPermitted)
	require.ErrorContains(t, err, "password authentication failed")
	require.ErrorContains(t, with(""), "no password supplied")
}

// cancelling ends the context in the middle of the second reading.
type cancelling struct {
	*twice
	cancel func()
}

func (f *cancelling) Read(p []byte) (int, error) {
	if f.rewound && f.second.Len() < int(f.second.Size())/2 {
		f.cancel()
	}
	return f.twice.Read(p[:min(len(p), 4096)])
}

// A pool and a connection that lead to different databases are found out before
// anything is read or changed.
func TestPoolLeadsElsewhere(t *testing.T) {
	e := newEstate(t)
	source, target := e.database(), e.database()
	e.write(source, content...)
	dump, receipt := e.dumped(source)
	d := e.dumper(target, func(c *pgdump.Config) { c.DB = e.open(source) })
	_, err := d.PlanRestore(t.Context(), dump, receipt)
	require.ErrorIs(t, err, pgdump.ErrElsewhere)
	require.ErrorContains(t, err, target)

	// The same names on another server.
	second := services.StartPostgres(t)
	u, err := url.Parse(second.URL())
	require.NoError(t, err)
	db, err := sql.Open("pgx", second.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	e.exec(db, "CREATE ROLE "+e.url.User.Username()+" SUPERUSER LOGIN")
	e.exec(db, "CREATE DATABASE "+target)
	u.User, u.Path = url.User(e.url.User.Username()), "/"+target
	elsewhere, err := sql.Open("pgx", u.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = elsewhere.Close() })
	rewind(t, dump)
	_, err = e.dumper(target, func(c *pgdump.Config) { c.DB = elsewhere }).PlanRestore(t.Context(), dump, receipt)
	require.ErrorIs(t, err, pgdump.ErrElsewhere)
	assert.ErrorContains(t, err, "a snapshot of the one is not known to the other")

	// Another server, empty as a new service is, takes the dump.
	rehearsal := e.dumper(target, func(c *pgdump.Config) {
		c.DB = elsewhere
		c.Connection.Port, err = strconv.Atoi(u.Port())
		c.SkipOwners = true
	})
	rewind(t, dump)
	plan, err := rehearsal.PlanRestore(t.Context(), dump, receipt)
	require.NoError(t, err)
	rewind(t, dump)
	_, err = rehearsal.Restore(t.Context(), dump, plan)
	require.NoError(t, err)
	assert.Equal(t, "2000", query1(t, elsewhere, `SELECT count(*) FROM app."my Table"`))
}

// A dump that is cancelled, or waits for a lock, leaves no process and no session.
func TestDumpInTrouble(t *testing.T) {
	e := newEstate(t)
	source := e.database()
	e.write(source, content...)
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var w bytes.Buffer
		_, err := e.dumper(source, nil).Dump(ctx, writerFunc(func(p []byte) (int, error) { cancel(); return w.Write(p) }))
		require.ErrorIs(t, err, context.Canceled)
		assert.Eventually(t, func() bool { return e.count(source) == 0 }, 5*time.Second, 10*time.Millisecond)
	})
	t.Run("locked", func(t *testing.T) {
		db := e.open(source)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), "LOCK TABLE child IN ACCESS EXCLUSIVE MODE")
		require.NoError(t, err)
		began := time.Now()
		_, err = e.dumper(source, func(c *pgdump.Config) { c.LockTimeout = 200 * time.Millisecond }).Dump(t.Context(), io.Discard)
		require.ErrorContains(t, err, "statement timeout")
		assert.Less(t, time.Since(began), 10*time.Second)
		assert.True(t, runbook.SafeToRetry(err))
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err = e.dumper(source, nil).Dump(ctx, io.Discard)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, tx.Rollback())
		require.NoError(t, db.Close())
		assert.Eventually(t, func() bool { return e.count(source) == 0 }, 5*time.Second, 10*time.Millisecond)
	})
	t.Run("refused", func(t *testing.T) {
		port := services.FreePort(t)
		_, err := e.dumper(source, func(c *pgdump.Config) { c.Connection.Port = port }).Dump(t.Context(), io.Discard)
		require.ErrorContains(t, err, "Connection refused")
		assert.True(t, runbook.SafeToRetry(err))
		noCanary(t, err)
	})
	t.Run("no such database, schema", func(t *testing.T) {
		_, err := e.dumper(source, func(c *pgdump.Config) { c.Connection.Database = "dbname=" + source }).Dump(t.Context(), io.Discard)
		require.ErrorContains(t, err, "does not exist")
		_, err = e.dumper(source, func(c *pgdump.Config) { c.Schemas = []string{"absent"} }).Dump(t.Context(), io.Discard)
		require.ErrorContains(t, err, "no matching schemas")
	})
	t.Run("not all may be read", func(t *testing.T) {
		role := "reader_" + source
		e.exec(e.admin, "CREATE ROLE "+role+" LOGIN")
		t.Cleanup(func() { e.exec(e.admin, "DROP ROLE "+role) })
		_, err := e.dumper(source, func(c *pgdump.Config) { c.Connection.User = role }).Dump(t.Context(), io.Discard)
		require.ErrorIs(t, err, incident.ErrNotPermitted)
	})
	t.Run("encrypted connection is asked for", func(t *testing.T) {
		_, err := e.dumper(source, func(c *pgdump.Config) { c.Connection.SSLMode = "require" }).Dump(t.Context(), io.Discard)
		require.ErrorContains(t, err, "does not support SSL")
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A real dump that was cut off or changed is refused.
func TestRealDumpIsDamaged(t *testing.T) {
	e := newEstate(t)
	source := e.database()
	e.write(source, content...)
	dump, receipt := e.dumped(source)
	whole, err := io.ReadAll(dump)
	require.NoError(t, err)
	d := e.dumper(source, nil)
	bad := func(err error) bool { return errors.Is(err, pgdump.ErrDamaged) || errors.Is(err, pgdump.ErrKey) }
	for n := 0; n < len(whole); n += 1024 {
		_, err := d.Verify(t.Context(), bytes.NewReader(whole[:n]), receipt)
		require.True(t, bad(err), "cut at %d: %v", n, err)
	}
	for n := 0; n < len(whole); n += 2999 {
		changed := bytes.Clone(whole)
		changed[n] ^= 0x10
		_, err := d.Verify(t.Context(), bytes.NewReader(changed), receipt)
		require.True(t, bad(err), "changed at %d: %v", n, err)
	}
	t.Run("an archive that is cut off, but well encrypted", func(t *testing.T) {
		r, err := age.Decrypt(bytes.NewReader(whole), e.id)
		require.NoError(t, err)
		archive, err := io.ReadAll(r)
		require.NoError(t, err)
		for _, n := range []int{0, 3, 100, len(archive) / 2, len(archive) - 1} {
			var b bytes.Buffer
			w, err := age.Encrypt(&b, e.id.Recipient())
			require.NoError(t, err)
			_, err = w.Write(archive[:n])
			require.NoError(t, err)
			require.NoError(t, w.Close())
			_, err = d.Verify(t.Context(), &b, nil)
			require.ErrorIs(t, err, pgdump.ErrDamaged, "%d bytes", n)
		}
	})
}

// The port of playbooks: the same by named targets.
func TestPort(t *testing.T) {
	e := newEstate(t)
	source, target := e.database(), e.database()
	e.write(source, content...)
	port, err := pgdump.NewPort(e.dumper(source, nil), map[string]*pgdump.Dumper{"rehearsal": e.dumper(target, nil)})
	require.NoError(t, err)
	var w bytes.Buffer
	receipt, err := port.Dump(t.Context(), &w)
	require.NoError(t, err)
	require.NoError(t, receipt.Validate())
	assert.Equal(t, 6, receipt.Tables)
	for round, destroys := range []bool{false, true} {
		plan, err := port.PlanLoad(t.Context(), receipt, "rehearsal")
		require.NoError(t, err)
		assert.Equal(t, destroys, len(plan.Destroys) > 0)
		again, err := port.PlanLoad(t.Context(), receipt, "rehearsal")
		require.NoError(t, err)
		assert.True(t, plan.Same(again))

		_, err = port.Load(t.Context(), plan, io.NopCloser(bytes.NewReader(w.Bytes())))
		require.ErrorIs(t, err, incident.ErrUnsupported)
		changed := bytes.Clone(w.Bytes())
		changed[len(changed)/2] ^= 1
		_, err = port.Load(t.Context(), plan, bytes.NewReader(changed))
		require.ErrorIs(t, err, pgdump.ErrDamaged)
		other := plan
		other.Receipt.SHA256 = strings.Repeat("ab", 32)
		_, err = port.Load(t.Context(), other, bytes.NewReader(w.Bytes()))
		require.ErrorIs(t, err, pgdump.ErrDamaged)

		loaded, err := port.Load(t.Context(), plan, bytes.NewReader(w.Bytes()))
		require.NoError(t, err, "round %d", round)
		assert.Equal(t, incident.Loaded{Target: "rehearsal", Tables: 6}, loaded)
		assert.Equal(t, e.fingerprint(source), e.fingerprint(target))
		_, err = port.Load(t.Context(), plan, bytes.NewReader(w.Bytes()))
		require.ErrorIs(t, err, incident.ErrStale)
	}
	_, err = port.PlanLoad(t.Context(), receipt, "production")
	require.ErrorIs(t, err, incident.ErrNotFound)
	_, err = port.PlanLoad(t.Context(), incident.DumpReceipt{}, "rehearsal")
	require.ErrorContains(t, err, "Time is missing")
	receipt.Format = "tar"
	_, err = port.PlanLoad(t.Context(), receipt, "rehearsal")
	require.ErrorIs(t, err, incident.ErrUnsupported)

	plan := incident.LoadPlan{Target: "rehearsal"}
	block, entered := make(chan struct{}), make(chan struct{})
	slow, err := pgdump.NewPort(nil, map[string]*pgdump.Dumper{"rehearsal": e.dumper(target, nil)})
	require.NoError(t, err)
	receipt.Format = "age, pg_dump custom"
	plan, err = slow.PlanLoad(t.Context(), receipt, "rehearsal")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := slow.Load(t.Context(), plan, struct {
			io.Reader
			io.Seeker
		}{readerFunc(func([]byte) (int, error) { close(entered); <-block; return 0, errFull }), bytes.NewReader(nil)})
		done <- err
	}()
	<-entered
	_, err = slow.Load(t.Context(), plan, bytes.NewReader(w.Bytes()))
	require.ErrorIs(t, err, incident.ErrBusy)
	close(block)
	require.ErrorIs(t, <-done, errFull)
	_, err = slow.Dump(t.Context(), io.Discard)
	require.ErrorIs(t, err, incident.ErrUnsupported)
}

// What ps shows of real programs while they run does not have the password.
func TestPasswordIsNotInTheProcessList(t *testing.T) {
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		t.Skip("this system has no /proc")
	}
	e := newEstate(t)
	source := e.database()
	e.write(source, content...)
	seen := 0
	_, err := e.dumper(source, nil).Dump(t.Context(), writerFunc(func(p []byte) (int, error) {
		all, err := filepath.Glob("/proc/[0-9]*/cmdline")
		require.NoError(t, err)
		for _, path := range all {
			if line, err := os.ReadFile(path); err == nil && bytes.Contains(line, []byte(source)) {
				seen++
				assert.NotContains(t, string(line), "c4n4ry")
			}
		}
		return len(p), nil
	}))
	require.NoError(t, err)
	assert.Positive(t, seen, fmt.Sprint("pg_dump of ", source, " was not seen"))
}
