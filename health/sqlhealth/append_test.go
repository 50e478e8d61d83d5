package sqlhealth_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/sqlhealth"
)

var start = time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)

// Two replicas append to one database, the same checks and others, in batches
// of different order: nothing counts twice, and no transaction waits for
// another that waits for it.
func TestReplicasAppendTogether(t *testing.T) {
	databases(t, func(t *testing.T, create func(testing.TB) opener) {
		open := create(t)
		stores := []*sqlhealth.Store{
			newStore(t, sqlhealth.Config{DB: open()}),
			newStore(t, sqlhealth.Config{DB: open()}),
		}
		const checks, minutes = 30, 60
		var wg sync.WaitGroup
		for replica, store := range stores {
			for half := range 2 {
				wg.Go(func() {
					for minute := 0; minute <= minutes; minute += 10 {
						var batch []health.Sample
						for i := range checks {
							check := (i*7 + half*checks/2 + replica) % checks
							batch = append(batch, health.Sample{
								Check: fmt.Sprint("shared ", check), Time: start.Add(time.Duration(minute) * time.Minute),
								Status: health.Healthy, Latency: time.Millisecond, Valid: time.Hour,
							}, health.Sample{
								Check: fmt.Sprintf("own %d-%d-%d", replica, half, check), Time: start.Add(time.Duration(minute) * time.Minute),
								Status: health.Unhealthy, Valid: time.Hour,
							})
						}
						assert.NoError(t, store.Append(t.Context(), batch))
					}
				})
			}
		}
		wg.Wait()
		for i := range checks {
			got, err := stores[0].Buckets(t.Context(), fmt.Sprint("shared ", i), health.Hourly, start, start.Add(time.Hour))
			require.NoError(t, err)
			require.Len(t, got, 1)
			assert.Equal(t, time.Hour, got[0].In[health.Healthy])
			assert.Equal(t, uint16(minutes/10), got[0].Latencies[0])

			got, err = stores[1].Buckets(t.Context(), fmt.Sprint("own 0-1-", i), health.Hourly, start, start.Add(time.Hour))
			require.NoError(t, err)
			require.Len(t, got, 1)
			assert.Equal(t, time.Hour, got[0].In[health.Unhealthy])
		}
	})
}

// What is recorded is there for the next process.
func TestHistorySurvives(t *testing.T) {
	databases(t, func(t *testing.T, create func(testing.TB) opener) {
		open := create(t)
		sample := health.Sample{Check: "a", Time: start, Status: health.Unhealthy, Valid: time.Hour, Latency: time.Second}
		require.NoError(t, newStore(t, sqlhealth.Config{DB: open()}).Append(t.Context(), []health.Sample{sample}))

		store := newStore(t, sqlhealth.Config{DB: open()})
		sample.Time, sample.Status = start.Add(30*time.Minute), health.Healthy
		require.NoError(t, store.Append(t.Context(), []health.Sample{sample}))
		got, err := store.Buckets(t.Context(), "a", health.Hourly, start, start.Add(time.Hour))
		require.NoError(t, err)
		require.Len(t, got, 1)
		assert.Equal(t, 30*time.Minute, got[0].In[health.Unhealthy])
		assert.Equal(t, uint16(2), got[0].Latencies[40])
		spells, err := store.Spells(t.Context(), "a", start, start.Add(time.Hour))
		require.NoError(t, err)
		assert.Equal(t, []health.Spell{{Start: start, End: start.Add(30 * time.Minute)}}, spells)
	})
}

func TestRetention(t *testing.T) {
	databases(t, func(t *testing.T, create func(testing.TB) opener) {
		db := create(t)()
		fill := func(check string, from, to time.Time) {
			store := newStore(t, sqlhealth.Config{DB: db, Retention: 48 * time.Hour}) // prunes at its first Append
			var samples []health.Sample
			for at := from; !at.After(to); at = at.Add(30 * time.Minute) {
				status := health.Healthy
				if at.Hour()%2 == 0 {
					status = health.Unhealthy
				}
				samples = append(samples, health.Sample{Check: check, Time: at, Status: status, Valid: time.Hour})
			}
			require.NoError(t, store.Append(t.Context(), samples))
		}
		count := func(query string) (n int) {
			require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
			return n
		}
		fill("old", start, start.Add(72*time.Hour))
		assert.Equal(t, 48, count("SELECT count(*) FROM runbook_health_hours"), "the last 48 hours remain")
		assert.Equal(t, 24, count("SELECT count(*) FROM runbook_health_spells"))

		// A replay of what is older removes nothing that is newer.
		fill("replay", start.Add(-24*time.Hour), start)
		assert.Equal(t, 48, count("SELECT count(*) FROM runbook_health_hours WHERE check_name = 'old'"))

		// A check that comes back after a year makes no rows for the year.
		fill("old", start.AddDate(1, 0, 0), start.AddDate(1, 0, 0))
		assert.Equal(t, 48, count("SELECT count(*) FROM runbook_health_hours"))
	})
}

func TestADayThatHasNoMidnight(t *testing.T) {
	zone, err := time.LoadLocation("America/Sao_Paulo") // clocks went from 0:00 to 1:00 on 4 November 2018
	require.NoError(t, err)
	store := newStore(t, sqlhealth.Config{DB: sqlite(t)(), Location: zone})
	dayBefore := time.Date(2018, 11, 3, 0, 0, 0, 0, zone)
	var samples []health.Sample
	for at := range 3 * 24 {
		samples = append(samples, health.Sample{
			Check: "a", Time: dayBefore.Add(time.Duration(at) * time.Hour), Status: health.Healthy, Valid: time.Hour,
		})
	}
	require.NoError(t, store.Append(t.Context(), samples))
	got, err := store.Buckets(t.Context(), "a", health.Daily, dayBefore, dayBefore.Add(47*time.Hour))
	require.NoError(t, err)
	require.Len(t, got, 2)
	for i, want := range []struct {
		start string
		hours int
	}{{"2018-11-03T00:00:00-03:00", 24}, {"2018-11-04T01:00:00-02:00", 23}} {
		assert.Equal(t, want.start, got[i].Start.Format(time.RFC3339))
		assert.Equal(t, time.Duration(want.hours)*time.Hour, got[i].In[health.Healthy])
	}
}

func TestADayThatHasTwoMidnights(t *testing.T) {
	zone, err := time.LoadLocation("America/Havana") // clocks went from 1:00 to 0:00 on 4 November 2018
	require.NoError(t, err)
	store := newStore(t, sqlhealth.Config{DB: sqlite(t)(), Location: zone})
	noonBefore := time.Date(2018, 11, 3, 12, 0, 0, 0, zone)
	var samples []health.Sample
	for at := range 3 * 24 {
		samples = append(samples, health.Sample{
			Check: "a", Time: noonBefore.Add(time.Duration(at) * time.Hour), Status: health.Healthy, Valid: time.Hour,
		})
	}
	require.NoError(t, store.Append(t.Context(), samples))
	got, err := store.Buckets(t.Context(), "a", health.Daily, noonBefore.Add(13*time.Hour), noonBefore.Add(14*time.Hour))
	require.NoError(t, err)
	require.Len(t, got, 1)
	assert.Equal(t, "2018-11-04T00:00:00-04:00", got[0].Start.Format(time.RFC3339))
	assert.Equal(t, 25*time.Hour, got[0].In[health.Healthy])
}

// A file as SQLite makes it by default: readers keep writers out, and nobody
// waits by himself.
func TestSQLiteWithoutSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plain.db")
	var wg sync.WaitGroup
	for replica := range 3 {
		db, err := sql.Open("sqlite", file)
		require.NoError(t, err)
		t.Cleanup(func() { _ = db.Close() })
		store := newStore(t, sqlhealth.Config{DB: db, Holder: fmt.Sprint("replica ", replica)})
		for range 2 {
			wg.Go(func() {
				for minute := range 20 {
					sample := health.Sample{Check: "a", Time: start.Add(time.Duration(minute) * time.Minute), Status: health.Healthy, Valid: time.Hour}
					assert.NoError(t, store.Append(t.Context(), []health.Sample{sample}))
					_, err := store.Acquire(t.Context(), "a", time.Hour)
					assert.NoError(t, err)
					_, err = store.Buckets(t.Context(), "a", health.Daily, start, start.Add(time.Hour))
					assert.NoError(t, err)
				}
			})
		}
	}
	wg.Wait()
}
