package sqlstore_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/sqlstore"
	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/internal/sqlmigrate"
	"go.acu.edu.au/runbook/internal/sqlmigrate/sqltest"
)

// An opener gives a further pool on the same database.
type opener func() *sql.DB

func sqlite(t testing.TB) opener {
	file := filepath.Join(t.TempDir(), "incidents.db")
	return func() *sql.DB { return sqltest.SQLite(t, file) }
}

func postgres(t testing.TB) opener {
	open := sqltest.Postgres(t, services.Need(t, services.PostgresURL))
	return func() *sql.DB {
		db := open()
		db.SetMaxOpenConns(8)
		db.SetMaxIdleConns(8)
		return db
	}
}

func databases(t *testing.T, test func(t *testing.T, open opener)) {
	t.Run("sqlite", func(t *testing.T) { test(t, sqlite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres(t)) })
}

func newStore(t testing.TB, db *sql.DB) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(t.Context(), sqlstore.Config{DB: db})
	require.NoError(t, err)
	return s
}

var at = time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC)

func document(id, key string) incident.Document {
	return incident.Document{Kind: "incident", ID: id, Key: key, Open: true, Changed: at, Data: json.RawMessage(`{"id":"` + id + `"}`)}
}

func entry(chain, text string) incident.Entry {
	return incident.Entry{Chain: chain, At: at, Kind: "said", Actor: "ana", Text: text, Data: json.RawMessage(`{"why":"` + text + `"}`)}
}

func commit(t testing.TB, s incident.Store, c incident.Change) incident.Change {
	t.Helper()
	made, err := s.Commit(t.Context(), c)
	require.NoError(t, err)
	return made
}

func run(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), statement, args...)
	require.NoError(t, err, statement)
}

// Both databases, with replicas that have pools of their own.
func TestStore(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		incidenttest.TestStore(t, incidenttest.StoreHarness{New: func(t testing.TB) incidenttest.StoreCase {
			file := "file:" + filepath.Join(t.TempDir(), "incidents.db") + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)"
			return storeCase(t, "sqlite", file)
		}})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		address := sqltest.PostgresDatabase(t, services.Need(t, services.PostgresURL))
		admin, err := sql.Open("pgx", address)
		require.NoError(t, err)
		defer func() { _ = admin.Close() }()
		n := 0
		incidenttest.TestStore(t, incidenttest.StoreHarness{New: func(t testing.TB) incidenttest.StoreCase {
			n++
			run(t, admin, fmt.Sprintf("CREATE SCHEMA case_%d", n))
			return storeCase(t, "pgx", fmt.Sprintf("%s&search_path=case_%d", address, n))
		}})
	})
}

func storeCase(t testing.TB, driver, address string) incidenttest.StoreCase {
	db, lossy := openLossy(t, driver, address)
	plain, err := sql.Open(driver, address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = plain.Close() })
	for _, pool := range []*sql.DB{db, plain} {
		pool.SetMaxOpenConns(8)
		pool.SetMaxIdleConns(8)
	}
	return incidenttest.StoreCase{
		Store: newStore(t, db), Replica: func() incident.Store { return newStore(t, plain) },
		LoseAnswer: func() { lossy.loseAnswerOf("COMMIT") }, Break: func() { _ = db.Close() },
	}
}

// A host may give the store a single connection, and a SQLite file a rollback journal, with
// which nobody can write while somebody reads.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	incidenttest.TestStore(t, incidenttest.StoreHarness{Writers: 3, Rounds: 4, New: func(t testing.TB) incidenttest.StoreCase {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "incidents.db"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = db.Close() })
		db.SetMaxOpenConns(1)
		return incidenttest.StoreCase{Store: newStore(t, db)}
	}})
}

func TestNew(t *testing.T) {
	t.Parallel()
	_, err := sqlstore.New(t.Context(), sqlstore.Config{})
	require.ErrorContains(t, err, "sqlstore: DB is missing")
	databases(t, func(t *testing.T, open opener) {
		db := open()
		s := newStore(t, db)
		commit(t, s, incident.Change{Documents: []incident.Document{document("a", "")}, Entries: []incident.Entry{entry("audit", "x")}})
		again := newStore(t, open())
		_, err := again.Document(t.Context(), "incident", "a")
		require.NoError(t, err, "what is there stays")

		run(t, db, "INSERT INTO runbook_migrations (component, version, checksum, applied) VALUES ('incident', 3, 'x', 'later')")
		_, err = sqlstore.New(t.Context(), sqlstore.Config{DB: db})
		require.ErrorIs(t, err, sqlmigrate.ErrNewer)
		require.NoError(t, db.Close())
		_, err = sqlstore.New(t.Context(), sqlstore.Config{DB: db})
		require.ErrorContains(t, err, "sqlstore: ")
	})
}

// Several programs may make the tables at once.
func TestNewConcurrently(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, open opener) {
		pools := []*sql.DB{open(), open()}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				_, err := sqlstore.New(t.Context(), sqlstore.Config{DB: pools[i%2]})
				assert.NoError(t, err)
			})
		}
		all.Wait()
	})
}

// A database that does not keep what it commits is refused, or made to.
func TestDurability(t *testing.T) {
	t.Parallel()
	for level, kept := range map[string]bool{"OFF": false, "NORMAL": false, "FULL": true, "EXTRA": true} {
		t.Run("sqlite "+level, func(t *testing.T) {
			db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "incidents.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous("+level+")")
			require.NoError(t, err)
			defer func() { _ = db.Close() }()
			if _, err = sqlstore.New(t.Context(), sqlstore.Config{DB: db}); kept {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "synchronous FULL")
			}
		})
	}
	t.Run("postgres", func(t *testing.T) {
		address := sqltest.PostgresDatabase(t, services.Need(t, services.PostgresURL))
		db, err := sql.Open("pgx", address)
		require.NoError(t, err)
		defer func() { _ = db.Close() }()
		db.SetMaxOpenConns(1)
		run(t, db, "SET synchronous_commit TO off")
		s := newStore(t, db)
		run(t, db, "CREATE TABLE seen (setting TEXT)")
		run(t, db, `CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$`)
		run(t, db, "CREATE TRIGGER see AFTER INSERT ON runbook_incident_entries FOR EACH ROW EXECUTE FUNCTION see()")
		commit(t, s, incident.Change{Entries: []incident.Entry{entry("audit", "x")}})
		var setting, outside string
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT setting, current_setting('synchronous_commit') FROM seen").Scan(&setting, &outside))
		assert.Equal(t, "on", setting, "within the transaction")
		assert.Equal(t, "off", outside, "the host's own setting stays")
	})
}

// A database that does not have every character would refuse an entry some night.
func TestEncoding(t *testing.T) {
	t.Parallel()
	address := services.Need(t, services.PostgresURL)
	admin, err := sql.Open("pgx", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close() })
	name := "latin1_" + strings.ToLower(rand.Text())
	run(t, admin, "CREATE DATABASE "+name+" ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
	t.Cleanup(func() {
		_, err := admin.ExecContext(context.WithoutCancel(t.Context()), "DROP DATABASE "+name+" WITH (FORCE)")
		assert.NoError(t, err)
	})
	u, err := url.Parse(address)
	require.NoError(t, err)
	u.Path = "/" + name
	db, err := sql.Open("pgx", u.String())
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	_, err = sqlstore.New(t.Context(), sqlstore.Config{DB: db})
	require.ErrorContains(t, err, "LATIN1")
}

// After the first start the role needs no right to make tables, nor one to change or remove
// entries.
func TestPermissions(t *testing.T) {
	t.Parallel()
	address := sqltest.PostgresDatabase(t, services.Need(t, services.PostgresURL))
	admin, err := sql.Open("pgx", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close() })
	newStore(t, admin)
	role := "runbook_test_" + fmt.Sprint(time.Now().UnixNano())
	run(t, admin, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() {
		for _, statement := range []string{"DROP OWNED BY ", "DROP ROLE "} {
			_, err := admin.ExecContext(context.WithoutCancel(t.Context()), statement+role)
			assert.NoError(t, err)
		}
	})
	run(t, admin, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	run(t, admin, "GRANT SELECT ON runbook_migrations TO "+role)
	run(t, admin, "GRANT SELECT, INSERT, UPDATE, DELETE ON runbook_incident_documents, runbook_incident_keys, runbook_incident_chains TO "+role)
	run(t, admin, "GRANT SELECT, INSERT ON runbook_incident_entries TO "+role)

	db, err := sql.Open("pgx", address)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	run(t, db, "SET ROLE "+role)
	s := newStore(t, db)
	keyed := entry("audit", "once")
	keyed.Key = "k"
	d := commit(t, s, incident.Change{Documents: []incident.Document{document("a", "key")}, Entries: []incident.Entry{keyed, entry("audit", "x")}}).Documents[0]
	d.Open = false
	commit(t, s, incident.Change{Documents: []incident.Document{d}, Entries: []incident.Entry{keyed, entry("audit", "y")}})
	last, err := incident.VerifyChain(s.Entries(t.Context(), "audit", 0))
	require.NoError(t, err)
	assert.Equal(t, int64(3), last.Seq)

	require.NoError(t, s.Delete(t.Context(), "incident", "a", ""))
	err = s.Delete(t.Context(), "", "", "audit")
	require.ErrorContains(t, err, "permission denied")
	assert.True(t, runbook.SafeToRetry(err))
	for _, statement := range []string{"UPDATE runbook_incident_entries SET text = 'nothing'", "DELETE FROM runbook_incident_entries", "CREATE TABLE mine (x TEXT)"} {
		_, err := db.ExecContext(t.Context(), statement)
		require.ErrorContains(t, err, "permission denied", statement)
	}
}

// The record says who did what, when and why, and shows every change of it.
//
// Requirement: INC-FEATURE-AUDIT
func TestTheRecordShowsChanges(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]string{
		"who":          "UPDATE runbook_incident_entries SET actor = 'bob' WHERE seq = 4",
		"what":         "UPDATE runbook_incident_entries SET text = 'nothing' WHERE seq = 4",
		"kind":         "UPDATE runbook_incident_entries SET kind = 'other' WHERE seq = 4",
		"when":         "UPDATE runbook_incident_entries SET at = at + 1 WHERE seq = 4",
		"why":          `UPDATE runbook_incident_entries SET data = '{"why":"no"}' WHERE seq = 4`,
		"key":          "UPDATE runbook_incident_entries SET key = 'x' WHERE seq = 4",
		"hash":         "UPDATE runbook_incident_entries SET hash = prior WHERE seq = 4",
		"a hole":       "DELETE FROM runbook_incident_entries WHERE seq = 4",
		"the first":    "DELETE FROM runbook_incident_entries WHERE seq = 1",
		"the last":     "DELETE FROM runbook_incident_entries WHERE seq = 6",
		"the end":      "DELETE FROM runbook_incident_entries WHERE seq > 2",
		"everything":   "DELETE FROM runbook_incident_entries",
		"one replaced": "UPDATE runbook_incident_entries SET text = 'nothing', hash = '" + strings.Repeat("0", 64) + "' WHERE seq = 6",
		"another chain": "INSERT INTO runbook_incident_entries SELECT 'audit', 7, key, at, kind, actor, text, data, prior, hash, salt, content " +
			"FROM runbook_incident_entries WHERE seq = 6",
	} {
		t.Run(name, func(t *testing.T) {
			databases(t, func(t *testing.T, open opener) {
				db := open()
				s := newStore(t, db)
				for i := range 6 {
					commit(t, s, incident.Change{Entries: []incident.Entry{entry("audit", fmt.Sprint(i))}})
				}
				verify := func() error {
					_, err := incident.VerifyChain(s.Entries(t.Context(), "audit", 0))
					return err
				}
				require.NoError(t, verify())
				run(t, db, tamper)
				if name == "another chain" { // what was added behind the store's back is not in the chain
					require.NoError(t, verify())
					_, err := s.Commit(t.Context(), incident.Change{Entries: []incident.Entry{entry("audit", "next")}})
					require.Error(t, err, "and in the way of the next")
					return
				}
				require.ErrorIs(t, verify(), incident.ErrBroken)
				commit(t, s, incident.Change{Entries: []incident.Entry{entry("audit", "next")}})
				require.ErrorIs(t, verify(), incident.ErrBroken, "what is added does not heal it")
			})
		})
	}
}

// A loop over a chain that is removed meanwhile does not end as if that were all.
func TestDeletedWhileRead(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, open opener) {
		s := newStore(t, open())
		var some []incident.Entry
		for i := range 1200 {
			some = append(some, entry("audit", fmt.Sprint(i)))
		}
		commit(t, s, incident.Change{Entries: some})
		n := 0
		for _, err := range s.Entries(t.Context(), "audit", 0) {
			if err != nil {
				require.ErrorIs(t, err, incident.ErrStale)
				require.NotErrorIs(t, err, incident.ErrBroken)
				continue
			}
			if n++; n == 10 {
				require.NoError(t, s.Delete(t.Context(), "", "", "audit"))
			}
		}
		assert.Equal(t, 500, n)
	})
}

// Queries that a host makes all the time look at what they choose and not at everything.
func TestIndexes(t *testing.T) {
	t.Parallel()
	db := sqlite(t)()
	newStore(t, db)
	for query, index := range map[string]string{
		"SELECT id FROM runbook_incident_documents WHERE kind = $1 ORDER BY changed DESC, id DESC LIMIT 5":                               "documents_changed",
		"SELECT id FROM runbook_incident_documents WHERE kind = $1 AND open ORDER BY changed DESC, id DESC":                              "documents_open",
		"SELECT id FROM runbook_incident_documents WHERE kind = $1 AND key = $2 AND key <> '' ORDER BY changed DESC, id DESC":            "documents_key",
		"SELECT id FROM runbook_incident_documents WHERE kind = $1 AND changed >= $2 ORDER BY changed DESC, id DESC":                     "documents_changed",
		"SELECT seq FROM runbook_incident_entries WHERE chain = $1 AND key = $2 AND key <> ''":                                           "entries_key",
		"SELECT seq, text FROM runbook_incident_entries WHERE chain = $1 AND seq > $2 ORDER BY seq LIMIT 500":                            "sqlite_autoindex_runbook_incident_entries",
		"SELECT id FROM runbook_incident_documents WHERE kind = $1 AND id IN ($2, $3)":                                                   "sqlite_autoindex_runbook_incident_documents",
		"SELECT id FROM runbook_incident_documents WHERE kind = $1 AND open AND changed >= $2 ORDER BY changed DESC, id DESC LIMIT 1000": "documents_open",
	} {
		rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, "a", "b", "c")
		require.NoError(t, err)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			plan = append(plan, detail)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		assert.Contains(t, strings.Join(plan, "; "), index, query)
		assert.NotContains(t, strings.Join(plan, "; "), "TEMP B-TREE", query)
	}
}
