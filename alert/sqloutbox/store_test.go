package sqloutbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/sqloutbox"
	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/internal/sqlmigrate"
	"go.acu.edu.au/runbook/internal/sqlmigrate/sqltest"
)

// An opener gives a further pool on the same database.
type opener func() *sql.DB

func sqlite(t testing.TB) opener {
	file := filepath.Join(t.TempDir(), "alerts.db")
	return func() *sql.DB { return sqltest.SQLite(t, file) }
}

func postgres(t testing.TB) opener {
	return sqltest.Postgres(t, services.Need(t, services.PostgresURL))
}

// databases runs a test on both databases. Each call of create makes a new one.
func databases(t *testing.T, test func(t *testing.T, open opener)) {
	t.Run("sqlite", func(t *testing.T) { test(t, sqlite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres(t)) })
}

func newStore(t testing.TB, db *sql.DB, name string) *sqloutbox.Store {
	t.Helper()
	s, err := sqloutbox.New(t.Context(), sqloutbox.Config{DB: db, Name: name})
	require.NoError(t, err)
	return s
}

// read opens a store and returns what is in it, by kind and ID.
func read(t testing.TB, s *sqloutbox.Store) map[string]string {
	t.Helper()
	records := make(map[string]string)
	for r, err := range s.Open(t.Context()) {
		require.NoError(t, err)
		records[r.Kind+" "+r.ID] = string(r.Data)
	}
	return records
}

func record(kind, id, data string) alert.Record {
	return alert.Record{Kind: kind, ID: id, Data: []byte(data)}
}

func remove(kind, id string) alert.Record { return alert.Record{Kind: kind, ID: id} }

func TestRecordsAreKept(t *testing.T) {
	databases(t, func(t *testing.T, open opener) {
		s := newStore(t, open(), "")
		assert.Empty(t, read(t, s))
		write := func(changes ...alert.Record) { require.NoError(t, s.Write(t.Context(), changes)) }
		write()
		write(record("alert", "a", "1"), record("alert", "b", "2"), record("thread", "a", "3"))
		write(record("alert", "a", "4"), remove("alert", "b"), remove("alert", "never there"))
		// Of several changes of one record the last counts.
		write(record("x", "1", "old"), record("x", "1", "new"), record("x", "2", "y"), remove("x", "2"), remove("x", "3"), record("x", "3", "back"))
		want := map[string]string{"alert a": "4", "thread a": "3", "x 1": "new", "x 3": "back"}
		assert.Empty(t, cmp.Diff(want, read(t, newStore(t, open(), ""))))
		assert.Empty(t, cmp.Diff(want, read(t, newStore(t, open(), "default"))))
		assert.Empty(t, read(t, newStore(t, open(), "other")), "names keep routers apart")
	})
}

// Names and texts may be in any script, and data any bytes.
func TestUnicode(t *testing.T) {
	databases(t, func(t *testing.T, open opener) {
		s := newStore(t, open(), "überwachung 🚨")
		read(t, s)
		want := make(map[string]string)
		for i, text := range []string{"Ünïcödé", "日本語", "🚨🔥", "'; DROP TABLE runbook_alert_records; --", "a|b", "\u202eright to left", "e\u0301 and é", strings.Repeat("ß", 100)} {
			want["alert "+text] = fmt.Sprintf(`{"n":%d,"text":"%s\u0000"}`, i, text)
			want["raw "+text] = "\x00\xff\xfe" + text
		}
		var changes []alert.Record
		for name, data := range want {
			kind, id, _ := strings.Cut(name, " ")
			changes = append(changes, record(kind, id, data))
		}
		require.NoError(t, s.Write(t.Context(), changes))
		assert.Empty(t, cmp.Diff(want, read(t, newStore(t, open(), "überwachung 🚨"))))
	})
}

// A large batch is written whole, and removed whole.
func TestLargeBatches(t *testing.T) {
	databases(t, func(t *testing.T, open opener) {
		s := newStore(t, open(), "")
		read(t, s)
		const n = 5_001
		var sets, gone []alert.Record
		for i := range n {
			sets = append(sets, record("alert", fmt.Sprint(i), strings.Repeat("x", 300)))
			gone = append(gone, remove("alert", fmt.Sprint(i)))
		}
		sets = append(sets, record("thread", "large", strings.Repeat("y", 8<<20)))
		require.NoError(t, s.Write(t.Context(), sets))
		s = newStore(t, open(), "")
		records := read(t, s)
		assert.Len(t, records, n+1)
		assert.Len(t, records["thread large"], 8<<20)
		require.NoError(t, s.Write(t.Context(), gone))
		assert.Len(t, read(t, newStore(t, open(), "")), 1)
	})
}

// Whoever opened last owns the records; who did before writes nothing any more.
func TestTakeover(t *testing.T) {
	databases(t, func(t *testing.T, open opener) {
		db := open()
		first, second := newStore(t, db, ""), newStore(t, open(), "")
		assert.ErrorIs(t, first.Write(t.Context(), []alert.Record{record("a", "1", "x")}), alert.ErrNotOwner, "Open comes first")
		read(t, first)
		require.NoError(t, first.Write(t.Context(), []alert.Record{record("a", "1", "first")}))
		assert.Equal(t, map[string]string{"a 1": "first"}, read(t, second))
		err := first.Write(t.Context(), []alert.Record{record("a", "1", "late"), record("a", "2", "late")})
		require.ErrorIs(t, err, alert.ErrNotOwner)
		assert.ErrorContains(t, err, "sqloutbox: write: ")
		require.NoError(t, second.Write(t.Context(), []alert.Record{record("a", "3", "second")}))
		assert.Equal(t, map[string]string{"a 1": "first", "a 3": "second"}, read(t, newStore(t, open(), "")))
		require.ErrorIs(t, second.Write(t.Context(), nil), alert.ErrNotOwner)
		other := newStore(t, open(), "other")
		read(t, other)
		require.NoError(t, other.Write(t.Context(), []alert.Record{record("a", "1", "x")}), "another name has another owner")
	})
}

// While several programs take over from each other and write, each write that succeeded
// before the last takeover is seen by it, and none succeeds after.
func TestTakeoverUnderLoad(t *testing.T) {
	databases(t, func(t *testing.T, open opener) {
		db := open()
		db.SetMaxOpenConns(8)
		var mu sync.Mutex
		accepted := make(map[string]bool)
		var all sync.WaitGroup
		for owner := range 6 {
			s := newStore(t, db, "")
			all.Go(func() {
				time.Sleep(time.Duration(owner) * 20 * time.Millisecond)
				for _, err := range s.Open(t.Context()) {
					if err != nil {
						t.Error(err)
						return
					}
				}
				for i := range 200 {
					id := fmt.Sprintf("%d-%d", owner, i)
					switch err := s.Write(t.Context(), []alert.Record{record("a", id, "x")}); {
					case err == nil:
						mu.Lock()
						accepted["a "+id] = true
						mu.Unlock()
					case errors.Is(err, alert.ErrNotOwner):
						return
					default:
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		got := read(t, newStore(t, open(), ""))
		assert.Len(t, got, len(accepted))
		for name := range accepted {
			assert.Contains(t, got, name)
		}
	})
}

// A router that was taken over stops to send, and says why to whoever hands it alerts.
func TestRouterThatWasTakenOver(t *testing.T) {
	databases(t, func(t *testing.T, open opener) {
		ctx := t.Context()
		told := make(chan string, 100)
		start := func(name string) *alert.Router {
			n := alert.NotifierFunc(func(_ context.Context, n alert.Notification) (alert.Receipt, error) {
				told <- name + ": " + string(n.Kind)
				return "x", nil
			})
			r, err := alert.NewRouter(alert.RouterConfig{
				Targets: []alert.Target{{Name: "t", Notifier: n}}, Routes: []alert.Route{{Name: "all", Targets: []string{"t"}, GroupBy: []string{"entity"}, Wait: -1}},
				Store: newStore(t, open(), ""),
			})
			require.NoError(t, err)
			require.NoError(t, r.Start(ctx))
			t.Cleanup(func() { assert.NoError(t, r.Stop(context.WithoutCancel(ctx))) })
			return r
		}
		old := start("old")
		require.NoError(t, old.Handle(ctx, firing("a")))
		assert.Equal(t, "old: firing", <-told)
		require.NoError(t, old.Handle(ctx, pending("x"))) // so that the delivery is stored
		young := start("young")
		require.ErrorIs(t, old.Handle(ctx, firing("b")), alert.ErrNotOwner)
		require.ErrorIs(t, old.Handle(ctx, firing("c")), alert.ErrNotOwner)
		require.NoError(t, young.Handle(ctx, over(firing("a"))))
		assert.Equal(t, "young: resolved", <-told)
		assert.Empty(t, told)
	})
}

func firing(entity string) alert.Alert {
	now := time.Now()
	return alert.Alert{
		Key: alert.Key("health_check", "production", entity, alert.Failing), Rule: "health_check", Environment: "production", Entity: entity,
		Severity: alert.Critical, Summary: entity + " is down", State: alert.Firing, Began: now, Fired: now,
	}
}

func pending(entity string) alert.Alert {
	a := firing(entity)
	a.State = alert.Pending
	return a
}

func over(a alert.Alert) alert.Alert {
	a.State, a.Ended = alert.Resolved, time.Now()
	return a
}

func TestNew(t *testing.T) {
	_, err := sqloutbox.New(t.Context(), sqloutbox.Config{})
	require.ErrorContains(t, err, "DB is missing")
	databases(t, func(t *testing.T, open opener) {
		db := open()
		_, err := sqloutbox.New(t.Context(), sqloutbox.Config{DB: db, Name: strings.Repeat("x", 101)})
		require.ErrorContains(t, err, "at most 100")
		for range 2 { // the tables are made once
			newStore(t, db, "")
		}
		s := newStore(t, db, "")
		read(t, s)
		require.NoError(t, s.Write(t.Context(), []alert.Record{record("a", "1", "x")}))
		again := newStore(t, db, "")
		assert.Len(t, read(t, again), 1, "and stay as they are")
		_, err = db.ExecContext(t.Context(), "INSERT INTO runbook_migrations (component, version, checksum, applied) VALUES ('alert', 2, 'x', 'later')")
		require.NoError(t, err)
		_, err = sqloutbox.New(t.Context(), sqloutbox.Config{DB: db})
		require.ErrorIs(t, err, sqlmigrate.ErrNewer)

		require.NoError(t, db.Close())
		_, err = sqloutbox.New(t.Context(), sqloutbox.Config{DB: db})
		require.ErrorContains(t, err, "sqloutbox: ")
		require.ErrorContains(t, again.Write(t.Context(), nil), "sqloutbox: write: ")
		for _, err := range again.Open(t.Context()) {
			require.ErrorContains(t, err, "sqloutbox: open: ")
		}
	})
}

// Several programs may make the tables at once.
func TestNewConcurrently(t *testing.T) {
	databases(t, func(t *testing.T, open opener) {
		pools := []*sql.DB{open(), open()}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if _, err := sqloutbox.New(t.Context(), sqloutbox.Config{DB: pools[i%2]}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

// A disk that is full refuses a batch as a whole. When there is room again it is written.
func TestDiskFull(t *testing.T) {
	db := sqlite(t)()
	db.SetMaxOpenConns(1) // the limit is one of the connection
	s := newStore(t, db, "")
	read(t, s)
	require.NoError(t, s.Write(t.Context(), []alert.Record{record("a", "1", "x")}))
	limit := func(pages int) {
		_, err := db.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count=%d", pages))
		require.NoError(t, err)
	}
	limit(20)
	batch := []alert.Record{record("a", "1", "y"), record("a", "2", strings.Repeat("x", 1<<20)), record("a", "3", "z")}
	err := s.Write(t.Context(), batch)
	require.ErrorContains(t, err, "full")
	require.NotErrorIs(t, err, alert.ErrNotOwner)
	limit(1 << 20)
	other := newStore(t, db, "")
	assert.Equal(t, map[string]string{"a 1": "x"}, read(t, other), "nothing of it was made")
	require.NoError(t, other.Write(t.Context(), batch))
	assert.Len(t, read(t, newStore(t, db, "")), 3)
}

// An answer that is lost leaves open whether the batch was written; it is written again,
// which does no harm.
func TestLostAnswer(t *testing.T) {
	file := "file:" + filepath.Join(t.TempDir(), "alerts.db") + "?_pragma=busy_timeout(5000)"
	db, lossy := lossySQLite(t, file)
	s := newStore(t, db, "")
	read(t, s)
	batch := []alert.Record{record("a", "1", "x"), remove("a", "2")}
	for _, statement := range []string{"BEGIN", "SELECT", "DELETE", "INSERT", "COMMIT"} {
		lossy.loseAnswerOf(statement)
		require.ErrorIs(t, s.Write(t.Context(), batch), errLost, statement)
		require.NoError(t, s.Write(t.Context(), batch), statement)
	}
	lossy.loseAnswerOf("COMMIT")
	for _, err := range s.Open(t.Context()) {
		require.ErrorIs(t, err, errLost)
	}
	assert.Equal(t, map[string]string{"a 1": "x"}, read(t, s), "it is taken over again")
	require.NoError(t, s.Write(t.Context(), batch))
}

// A router over a database whose answers are lost tells everything once.
func TestRouterOverADatabaseThatLosesAnswers(t *testing.T) {
	file := "file:" + filepath.Join(t.TempDir(), "alerts.db") + "?_pragma=busy_timeout(5000)"
	db, lossy := lossySQLite(t, file)
	var mu sync.Mutex
	var told []alert.Notification
	n := alert.NotifierFunc(func(_ context.Context, n alert.Notification) (alert.Receipt, error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, n)
		return "x", nil
	})
	r, err := alert.NewRouter(alert.RouterConfig{
		Targets: []alert.Target{{Name: "t", Notifier: n}}, Routes: []alert.Route{{Name: "all", Targets: []string{"t"}, Wait: -1}}, Store: newStore(t, db, ""),
	})
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context()))
	for _, a := range []alert.Alert{firing("a"), over(firing("a"))} {
		lossy.loseAnswerOf("COMMIT")
		require.ErrorIs(t, r.Handle(t.Context(), a), errLost)
		require.NoError(t, r.Handle(t.Context(), a), "it is handed over again, and stored")
		require.Eventually(t, func() bool { return len(r.Deliveries()) == 0 }, 10*time.Second, time.Millisecond)
		require.NoError(t, r.Handle(t.Context(), pending("x")), "and so is that it arrived")
		require.NoError(t, r.Handle(t.Context(), over(pending("x"))))
	}
	require.NoError(t, r.Stop(t.Context()))
	assert.Equal(t, []alert.Kind{alert.KindFiring, alert.KindResolved}, []alert.Kind{told[0].Kind, told[1].Kind})
	assert.Len(t, told, 2)
	assert.False(t, slices.ContainsFunc(told, func(n alert.Notification) bool { return n.PossibleRepeat }))
	assert.Empty(t, read(t, newStore(t, db, "")), "nothing is left")
}
