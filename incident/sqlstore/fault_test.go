package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/internal/sqlmigrate/sqltest"
)

var errLost = errors.New("the answer was lost")

// openLossy opens a database through a driver that can run a statement and lose its answer.
func openLossy(t testing.TB, name, address string) (*sql.DB, *lossyConnector) {
	t.Helper()
	plain, err := sql.Open(name, address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = plain.Close() })
	c := &lossyConnector{driver: plain.Driver(), name: address}
	db := sql.OpenDB(c)
	t.Cleanup(func() { _ = db.Close() })
	return db, c
}

type lossyConnector struct {
	driver driver.Driver
	name   string

	mu   sync.Mutex
	lose string
	fail error // instead of errLost
}

// loseAnswerOf makes the next statement that begins so lose its answer.
func (c *lossyConnector) loseAnswerOf(statement string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lose, c.fail = statement, errLost
}

// failAfter makes the next statement that begins so end with an error.
func (c *lossyConnector) failAfter(statement string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lose, c.fail = statement, err
}

func (c *lossyConnector) loses(query string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lose == "" || !strings.HasPrefix(query, c.lose) {
		return nil
	}
	c.lose = ""
	return c.fail
}

func (c *lossyConnector) Driver() driver.Driver { return c.driver }

func (c *lossyConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.name)
	if err != nil {
		return nil, err
	}
	return &lossyConn{conn, c}, nil
}

type lossyConn struct {
	driver.Conn
	c *lossyConnector
}

func (l *lossyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := l.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	if err != nil {
		return nil, err
	}
	if err := l.c.loses(query); err != nil {
		_ = rows.Close()
		return nil, err
	}
	return rows, nil
}

func (l *lossyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := l.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	if err != nil {
		return nil, err
	}
	if err := l.c.loses(query); err != nil {
		return nil, err
	}
	return result, nil
}

func (l *lossyConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := l.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	return &lossyTx{tx, l.c}, err
}

type lossyTx struct {
	driver.Tx
	c *lossyConnector
}

func (l *lossyTx) Commit() error {
	if err := l.Tx.Commit(); err != nil {
		return err
	}
	return l.c.loses("COMMIT")
}

func lossyDatabases(t *testing.T, test func(t *testing.T, s incident.Store, lossy *lossyConnector)) {
	t.Run("sqlite", func(t *testing.T) {
		db, lossy := openLossy(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "incidents.db")+"?_pragma=busy_timeout(5000)")
		test(t, newStore(t, db), lossy)
	})
	t.Run("postgres", func(t *testing.T) {
		db, lossy := openLossy(t, "pgx", sqltest.PostgresDatabase(t, services.Need(t, services.PostgresURL)))
		test(t, newStore(t, db), lossy)
	})
}

// When an answer is lost before the commit, nothing was done, and the error says so. When
// that of the commit is lost nobody knows, and the error does not claim to.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	lossyDatabases(t, func(t *testing.T, s incident.Store, lossy *lossyConnector) {
		d := commit(t, s, incident.Change{Documents: []incident.Document{document("a", "k")}}).Documents[0]
		e := entry("audit", "x")
		e.Key = "once"
		for i, statement := range []string{
			"SELECT version", "UPDATE runbook_incident_documents", "DELETE FROM runbook_incident_keys", "INSERT INTO runbook_incident_keys",
			"INSERT INTO runbook_incident_chains", "SELECT chain", "INSERT INTO runbook_incident_entries", "UPDATE runbook_incident_chains",
		} {
			d.Key = fmt.Sprint("k", i)
			lossy.loseAnswerOf(statement)
			_, err := s.Commit(t.Context(), incident.Change{Documents: []incident.Document{d}, Entries: []incident.Entry{e}})
			require.ErrorIs(t, err, errLost, statement)
			assert.True(t, runbook.SafeToRetry(err), statement)
		}
		now, err := s.Document(t.Context(), "incident", "a")
		require.NoError(t, err)
		assert.Equal(t, int64(1), now.Version, "nothing was done")

		lossy.loseAnswerOf("COMMIT")
		_, err = s.Commit(t.Context(), incident.Change{Documents: []incident.Document{d}, Entries: []incident.Entry{e}})
		require.ErrorIs(t, err, errLost)
		assert.False(t, runbook.SafeToRetry(err))
		_, err = s.Commit(t.Context(), incident.Change{Documents: []incident.Document{d}, Entries: []incident.Entry{e}})
		require.ErrorIs(t, err, incident.ErrStale, "made again, it is told that it was made")
		assert.True(t, runbook.SafeToRetry(err))
		made := commit(t, s, incident.Change{Entries: []incident.Entry{e}})
		assert.Equal(t, int64(1), made.Entries[0].Seq, "and the entry is there once")

		for _, statement := range []string{"SELECT kind", "SELECT id", "SELECT 0, seq"} {
			lossy.loseAnswerOf(statement)
			var failures []error
			_, err := s.Document(t.Context(), "incident", "a")
			failures = append(failures, err)
			for _, err := range s.Documents(t.Context(), incident.DocumentQuery{Kind: "incident"}) {
				failures = append(failures, err)
			}
			for _, err := range s.Entries(t.Context(), "audit", 0) {
				failures = append(failures, err)
			}
			require.ErrorIs(t, errors.Join(failures...), errLost, statement)
		}
	})
}

// state is an error of PostgreSQL.
type state string

func (s state) Error() string    { return "SQLSTATE " + string(s) }
func (s state) SQLState() string { return string(s) }

// A transaction that the server undid for the sake of another one is made again.
func TestUndoneTransactions(t *testing.T) {
	t.Parallel()
	lossyDatabases(t, func(t *testing.T, s incident.Store, lossy *lossyConnector) {
		for i, code := range []state{"40001", "40P01"} {
			lossy.failAfter("INSERT INTO runbook_incident_chains", code)
			made := commit(t, s, incident.Change{Entries: []incident.Entry{entry("audit", string(code))}})
			assert.Equal(t, int64(i+1), made.Entries[0].Seq)
		}
		lossy.failAfter("INSERT INTO runbook_incident_chains", state("40003"))
		_, err := s.Commit(t.Context(), incident.Change{Entries: []incident.Entry{entry("audit", "x")}})
		require.ErrorIs(t, err, state("40003"))
	})
}

// Two that lock each other out get their way one after the other: what takes keys in
// opposite orders.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, open opener) {
		s := newStore(t, open())
		made := commit(t, s, incident.Change{Documents: []incident.Document{document("a", "1"), document("b", "2")}}).Documents
		var all sync.WaitGroup
		for w := range 2 {
			d := made[w]
			all.Go(func() {
				for i := range 20 {
					d.Key = fmt.Sprint(1 + (w+i+1)%2) // the key of the other, who may have given it up or not
					switch got, err := s.Commit(t.Context(), incident.Change{Documents: []incident.Document{d}}); {
					case err == nil:
						d = got.Documents[0]
					case !errors.Is(err, incident.ErrTaken):
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		for key, want := range map[string]int{"1": 1, "2": 1} {
			n := 0
			for _, err := range s.Documents(t.Context(), incident.DocumentQuery{Kind: "incident", Key: key, Open: true}) {
				require.NoError(t, err)
				n++
			}
			assert.LessOrEqual(t, n, want, "key %s", key)
		}
	})
}

// A disk that is full refuses a change as a whole; what is there can be read, and when there
// is room again the change can be made.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	db := sqlite(t)()
	db.SetMaxOpenConns(1) // the limit is one of the connection
	s := newStore(t, db)
	d := commit(t, s, incident.Change{Documents: []incident.Document{document("a", "k")}, Entries: []incident.Entry{entry("audit", "1")}}).Documents[0]
	run(t, db, "PRAGMA max_page_count=40")
	d.Key = "new"
	large := document("b", "k")
	large.Data = []byte(`"` + strings.Repeat("x", 1<<19) + `"`)
	change := incident.Change{Documents: []incident.Document{d, large}, Entries: []incident.Entry{entry("audit", "2")}}
	_, err := s.Commit(t.Context(), change)
	require.ErrorContains(t, err, "full")
	assert.True(t, runbook.SafeToRetry(err))
	last, err := incident.VerifyChain(s.Entries(t.Context(), "audit", 0))
	require.NoError(t, err)
	assert.Equal(t, int64(1), last.Seq)
	now, err := s.Document(t.Context(), "incident", "a")
	require.NoError(t, err)
	assert.Equal(t, "k", now.Key, "nothing of it was made")
	run(t, db, "PRAGMA max_page_count=100000")
	assert.Equal(t, int64(2), commit(t, s, change).Entries[0].Seq)
}

// A server that goes away and comes back has everything that was acknowledged, and nothing
// of which the error said that it was not done. The same store goes on.
func TestServerGoesAway(t *testing.T) {
	t.Parallel()
	server := services.StartPostgres(t)
	db, err := sql.Open("pgx", server.URL())
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	s := newStore(t, db)
	var mu sync.Mutex
	acknowledged, refused := make(map[string]string), make(map[string]bool) // hashes and keys
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for w := range 4 {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				e := entry("audit", "x")
				e.Key = fmt.Sprint(w, "-", i)
				made, err := s.Commit(t.Context(), incident.Change{Entries: []incident.Entry{e}})
				mu.Lock()
				if err == nil {
					acknowledged[e.Key] = made.Entries[0].Hash
				} else if runbook.SafeToRetry(err) {
					refused[e.Key] = true
				}
				mu.Unlock()
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(acknowledged) }
	for range 3 {
		before := count()
		require.Eventually(t, func() bool { return count() > before+20 }, time.Minute, time.Millisecond)
		server.Stop()
		server.Start()
	}
	before := count()
	require.Eventually(t, func() bool { return count() > before }, time.Minute, time.Millisecond, "it goes on")

	server.Freeze()
	short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	_, err = s.Commit(short, incident.Change{Entries: []incident.Entry{entry("audit", "x")}})
	stop()
	require.Error(t, err, "a server that does not answer does not hold up longer than the context")
	server.Thaw()
	cancel()
	all.Wait()

	there := make(map[string]string)
	for e, err := range s.Entries(t.Context(), "audit", 0) {
		require.NoError(t, err)
		there[e.Key] = e.Hash
	}
	_, err = incident.VerifyChain(s.Entries(t.Context(), "audit", 0))
	require.NoError(t, err)
	for key, hash := range acknowledged {
		assert.Equal(t, hash, there[key], "entry %s was acknowledged", key)
	}
	for key := range refused {
		assert.NotContains(t, there, key, "it was said that it was not done")
	}
	t.Logf("%d commits were acknowledged, of %d it is known that they were not made", len(acknowledged), len(refused))
}
