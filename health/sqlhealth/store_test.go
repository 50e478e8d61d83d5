package sqlhealth_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/health/sqlhealth"
	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/internal/sqlmigrate/sqltest"
)

// An opener gives a further pool on the same database.
type opener func() *sql.DB

func sqlite(t testing.TB) opener {
	file := filepath.Join(t.TempDir(), "health.db")
	return func() *sql.DB { return sqltest.SQLite(t, file) }
}

func postgres(t testing.TB) opener {
	return sqltest.Postgres(t, services.Need(t, services.PostgresURL))
}

// databases runs a test on both databases. Each call of create makes a new one.
func databases(t *testing.T, test func(t *testing.T, create func(testing.TB) opener)) {
	t.Run("sqlite", func(t *testing.T) { test(t, sqlite) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres) })
}

func newStore(t testing.TB, cfg sqlhealth.Config) *sqlhealth.Store {
	t.Helper()
	store, err := sqlhealth.New(t.Context(), cfg)
	require.NoError(t, err)
	return store
}

func sydney(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(healthtest.HistoryZone)
	require.NoError(t, err)
	return zone
}

// Requirement: HL-WANT-14
func TestHistory(t *testing.T) {
	databases(t, func(t *testing.T, create func(testing.TB) opener) {
		healthtest.TestHistory(t, func(t testing.TB) health.History {
			return newStore(t, sqlhealth.Config{DB: create(t)(), Location: sydney(t)})
		})
	})
}

func TestLease(t *testing.T) {
	databases(t, func(t *testing.T, create func(testing.TB) opener) {
		healthtest.TestLease(t, func(t testing.TB) func(string) health.Lease {
			open := create(t)
			return func(holder string) health.Lease {
				return newStore(t, sqlhealth.Config{DB: open(), Holder: holder})
			}
		})
	})
}

func TestNewReportsEverything(t *testing.T) {
	_, err := sqlhealth.New(t.Context(), sqlhealth.Config{Holder: "a\x00b", Retention: time.Minute})
	require.Error(t, err)
	for _, want := range []string{"DB is required", `Holder "a\x00b"`, "Retention 1m0s is less than an hour"} {
		assert.ErrorContains(t, err, want)
	}
}

func TestLeaseNeedsAName(t *testing.T) {
	store := newStore(t, sqlhealth.Config{DB: sqlite(t)()})
	_, err := store.Acquire(t.Context(), "c", time.Hour)
	require.ErrorContains(t, err, "Holder is empty")
	require.ErrorContains(t, store.Publish(t.Context(), "c", health.Result{}), "Holder is empty")
	require.ErrorContains(t, store.Release(t.Context()), "Holder is empty")
}

func TestBadArguments(t *testing.T) {
	store := newStore(t, sqlhealth.Config{DB: sqlite(t)(), Holder: "a"})
	now := time.Now()
	for name, sample := range map[string]health.Sample{
		"a check needs a name":             {Time: now},
		"a database can store":             {Check: "a\xff", Time: now},
		"not between 1970 and 2262":        {Check: "a"},
		"is not a status":                  {Check: "a", Time: now, Status: 17},
		"1969-12-31 00:00:00 +0000 UTC, i": {Check: "a", Time: time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC)},
	} {
		good := health.Sample{Check: "good", Time: now, Status: health.Unhealthy, Valid: time.Hour}
		err := store.Append(t.Context(), []health.Sample{good, sample})
		assert.ErrorContains(t, err, name)
	}
	spells, err := store.Spells(t.Context(), "good", now.Add(-time.Hour), now.Add(time.Hour))
	require.NoError(t, err)
	assert.Empty(t, spells, "nothing of a bad batch is recorded")

	_, err = store.Acquire(t.Context(), "c", 0)
	require.ErrorContains(t, err, "must be more than zero")
	_, err = store.Acquire(t.Context(), "", time.Hour)
	require.ErrorContains(t, err, "a check needs a name")
}
