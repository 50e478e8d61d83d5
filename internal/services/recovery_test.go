//go:build unix

package services_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answerWithin is what every health endpoint keeps, whatever is broken.
const answerWithin = 2 * time.Second

// TestApplicationRecovery takes PostgreSQL and Redis away, by stopping and by
// freezing them, and gives them back: the application says in time and by name
// what is missing, keeps its work, and recovers by itself.
func TestApplicationRecovery(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	s := e.start(t, map[string]string{"BATCH_SIZE": "2", "PARALLEL_PROCESSING_LIMIT": "1"})
	run := func(name string, test func(*site, *estate)) {
		t.Run(name, func(t *testing.T) {
			inner := *s
			inner.t = t
			test(&inner, e)
		})
	}
	run("postgres stops during a task", testPostgresStops)
	run("postgres hangs", testPostgresHangs)
	run("a table is locked", testTableLocked)
	run("redis stops", testRedisStops)
	run("redis hangs", testRedisHangs)
	run("the application is killed during a task", testKilled)
	run("the application is stopped during a task", testStopped)
	run("it starts with nothing there", testStartsAlone)
	assert.NotContains(t, s.Log(), "Traceback")
	assert.NotContains(t, s.Log(), "the workers failed")
}

// unwell checks every health endpoint while PostgreSQL does not answer.
func (s *site) unwell(part string) {
	s.t.Helper()
	want := map[string]any{"status": "unhealthy", "part": part}
	s.eventually("health is unhealthy", func() bool { return s.get("/health").Status == http.StatusServiceUnavailable })
	a := s.get("/health")
	assert.Less(s.t, a.Took, answerWithin)
	assert.Equal(s.t, "unhealthy", a.JSON["status"])
	assert.Empty(s.t, cmp.Diff(want, a.JSON["checks"].(map[string]any)["database"]))
	a = s.get("/health/database")
	assert.Less(s.t, a.Took, answerWithin)
	assert.Equal(s.t, http.StatusServiceUnavailable, a.Status)
	assert.Empty(s.t, cmp.Diff(want, a.JSON))
	started := time.Now()
	m := s.metrics()
	assert.Less(s.t, time.Since(started), answerWithin)
	assert.Nil(s.t, m["queued_qa_tasks"])

	// Many at once are answered as fast as one.
	var group sync.WaitGroup
	answers := make([]answer, 20)
	for i := range answers {
		group.Go(func() { answers[i] = s.get("/health") })
	}
	group.Wait()
	for _, a := range answers {
		assert.Equal(s.t, http.StatusServiceUnavailable, a.Status)
		assert.Less(s.t, a.Took, answerWithin)
	}
}

func (s *site) well() {
	s.t.Helper()
	s.eventually("health is healthy", func() bool { return s.get("/health").JSON["status"] == "healthy" })
	assert.Equal(s.t, http.StatusOK, s.get("/health/database").Status)
}

func testPostgresStops(s *site, e *estate) {
	e.canvas.slow(80 * time.Millisecond)
	me := s.login()
	id := s.submit(me, 12)
	s.eventually("the task has begun", func() bool { return s.task(me, id)["batches"].(float64) >= 1 })
	e.postgres.Stop()
	s.unwell("connection")
	a := s.do(http.MethodPost, "/tasks", taskOf(1), "Cookie", me)
	assert.Equal(s.t, http.StatusServiceUnavailable, a.Status)
	assert.Empty(s.t, cmp.Diff(map[string]any{"detail": "the database is not available"}, a.JSON))
	e.postgres.Start()
	s.well()
	task := s.finish(me, id)
	assert.Equal(s.t, "completed", task["status"])
	assert.EqualValues(s.t, 6, task["batches"])
	assert.EqualValues(s.t, 12, task["findings"])
	calls, _, _ := e.canvas.measured()
	assert.Equal(s.t, 12, calls, "nothing was done twice")
}

func testPostgresHangs(s *site, e *estate) {
	e.canvas.slow(0)
	me := s.login()
	s.finish(me, s.submit(me, 2))
	e.postgres.Freeze()
	s.unwell("connection")
	started := time.Now()
	s.Stop()
	assert.Less(s.t, time.Since(started), 10*time.Second)
	s.RunningApplication.Restart(nil)
	assert.Equal(s.t, http.StatusServiceUnavailable, s.get("/health").Status)
	e.postgres.Thaw()
	s.well()
	assert.Equal(s.t, "completed", s.finish(me, s.submit(me, 2))["status"])
}

func testTableLocked(s *site, e *estate) {
	ctx := s.t.Context()
	connection, err := pgx.Connect(ctx, e.postgres.URL())
	require.NoError(s.t, err)
	defer connection.Close(ctx)
	lock, err := connection.Begin(ctx)
	require.NoError(s.t, err)
	_, err = lock.Exec(ctx, "LOCK TABLE qa_tasks IN ACCESS EXCLUSIVE MODE")
	require.NoError(s.t, err)
	s.unwell("queries")
	for range 3 {
		s.get("/health")
	}
	var waiting int
	require.NoError(s.t, lock.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
		WHERE application_name = 'qa-automation-health' AND wait_event_type = 'Lock'`).Scan(&waiting))
	assert.LessOrEqual(s.t, waiting, 1, "checks that were given up do not wait on")
	require.NoError(s.t, lock.Rollback(ctx))
	s.well()
}

func testRedisStops(s *site, e *estate) {
	me := s.login()
	e.redis.Stop()
	s.degraded(me)
	e.redis.Start()
	s.well()
	assert.Equal(s.t, http.StatusUnauthorized, s.get("/sessions/current", "Cookie", me).Status, "it lost its data")
	assert.Equal(s.t, http.StatusOK, s.get("/sessions/current", "Cookie", s.login()).Status)
}

func testRedisHangs(s *site, e *estate) {
	me := s.login()
	e.redis.Freeze()
	s.degraded(me)
	e.redis.Thaw()
	s.well()
	assert.Equal(s.t, http.StatusOK, s.get("/sessions/current", "Cookie", me).Status)
	assert.Equal(s.t, "demo:kim", s.get("/sessions/current", "Cookie", me).JSON["user"])
}

// degraded checks the health endpoints while Redis does not answer.
func (s *site) degraded(cookie string) {
	s.t.Helper()
	a := s.get("/health")
	assert.Less(s.t, a.Took, answerWithin)
	assert.Equal(s.t, http.StatusOK, a.Status)
	assert.Equal(s.t, "degraded", a.JSON["status"])
	checks := a.JSON["checks"].(map[string]any)
	assert.Empty(s.t, cmp.Diff(map[string]any{"status": "degraded"}, checks["redis"]))
	assert.Empty(s.t, cmp.Diff(map[string]any{"status": "healthy"}, checks["database"]))
	started := time.Now()
	assert.Nil(s.t, s.metrics()["active_sessions"])
	assert.Less(s.t, time.Since(started), answerWithin)
	a = s.get("/sessions/current", "Cookie", cookie)
	assert.Equal(s.t, http.StatusServiceUnavailable, a.Status)
	assert.Empty(s.t, cmp.Diff(map[string]any{"detail": "the session store is not available"}, a.JSON))
}

// testKilled kills the application in the middle of a task. Its lease would
// keep the task for half a minute, so the test ends the lease.
func testKilled(s *site, e *estate) {
	e.canvas.slow(80 * time.Millisecond)
	me := s.login()
	id := s.submit(me, 8)
	s.eventually("the task has begun", func() bool { return s.task(me, id)["batches"].(float64) >= 1 })
	s.Kill()
	connection, err := pgx.Connect(s.t.Context(), e.postgres.URL())
	require.NoError(s.t, err)
	defer connection.Close(s.t.Context())
	tag, err := connection.Exec(s.t.Context(), "UPDATE qa_tasks SET lease_until = now() WHERE status = 'running'")
	require.NoError(s.t, err)
	assert.EqualValues(s.t, 1, tag.RowsAffected())
	s.Restart(nil)
	task := s.finish(me, id)
	assert.EqualValues(s.t, 8, task["findings"])
	assert.EqualValues(s.t, 4, task["batches"])
}

// testStopped stops it in the middle of a task, which is then taken up at once.
func testStopped(s *site, e *estate) {
	e.canvas.slow(80 * time.Millisecond)
	me := s.login()
	id := s.submit(me, 8)
	s.eventually("the task has begun", func() bool { return s.task(me, id)["batches"].(float64) >= 1 })
	started := time.Now()
	s.Stop()
	assert.Less(s.t, time.Since(started), 5*time.Second)
	s.Restart(nil)
	assert.EqualValues(s.t, 8, s.finish(me, id)["findings"])
	assert.Equal(s.t, http.StatusOK, s.get("/sessions/current", "Cookie", me).Status, "sessions outlive a restart")
}

func testStartsAlone(s *site, e *estate) {
	e.postgres.Stop()
	e.redis.Stop()
	s.RunningApplication.Restart(nil)
	s.unwell("connection")
	assert.Equal(s.t, "degraded", s.get("/health").JSON["checks"].(map[string]any)["redis"].(map[string]any)["status"])
	e.redis.Start()
	e.postgres.Start()
	s.well()
}
