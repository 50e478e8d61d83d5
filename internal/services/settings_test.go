//go:build unix

package services_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/internal/services"
)

// TestApplicationSettings shows that each variable that the runbook sets
// changes what the application does, not only what it says.
//
// Requirement: RB-VAR-ASYNC-WORKERS, RB-VAR-PARALLEL-PROCESSING-LIMIT
// Requirement: RB-VAR-MAX-CONCURRENT-TASKS
// Requirement: RB-VAR-BATCH-SIZE, RB-VAR-CANVAS-RATE-LIMIT
// Requirement: RB-VAR-PROGRESS-UPDATE-INTERVAL, RB-VAR-MEMORY-LIMIT
// Requirement: RB-VAR-CANVAS-MAINTENANCE-MODE, RB-VAR-SECRET-KEY
func TestApplicationSettings(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	s := e.start(t, nil)
	// Each test restarts the application with its variables and takes them back.
	with := func(name string, test func(*site, *canvas)) {
		t.Run(name, func(t *testing.T) {
			inner := *s
			inner.t = t
			test(&inner, e.canvas)
		})
	}
	with("ASYNC_WORKERS", testAsyncWorkers)
	with("PARALLEL_PROCESSING_LIMIT", testParallel)
	with("MAX_CONCURRENT_TASKS", testMaxConcurrent)
	with("BATCH_SIZE", testBatchSize)
	with("CANVAS_RATE_LIMIT_PER_MINUTE", testRateLimit)
	with("PROGRESS_UPDATE_INTERVAL", testProgressInterval)
	with("MEMORY_LIMIT_MB", testMemoryLimit)
	with("CANVAS_MAINTENANCE_MODE", testMaintenanceMode)
	with("SECRET_KEY", testSecretKey)
	with("ALLOW_DRILLS and DEMO_PASSWORD", testSwitches)
	s.Stop()
}

// testAsyncWorkers has tasks of one page at a time worked on by so many workers.
func testAsyncWorkers(s *site, c *canvas) {
	for _, workers := range []struct {
		set  string
		most int
	}{{"1", 1}, {"3", 3}} {
		s.Restart(map[string]string{"ASYNC_WORKERS": workers.set, "PARALLEL_PROCESSING_LIMIT": "1"})
		c.slow(60 * time.Millisecond)
		me := s.login()
		var ids []string
		for range 6 {
			ids = append(ids, s.submit(me, 2))
		}
		for _, id := range ids {
			assert.Equal(s.t, "completed", s.finish(me, id)["status"])
		}
		calls, _, most := c.measured()
		assert.Equal(s.t, 12, calls)
		assert.Equal(s.t, workers.most, most)
	}
	s.Restart(map[string]string{"ASYNC_WORKERS": "", "PARALLEL_PROCESSING_LIMIT": ""})
}

func testParallel(s *site, c *canvas) {
	for _, limit := range []struct {
		set  string
		most int
	}{{"1", 1}, {"3", 3}} {
		s.Restart(map[string]string{"PARALLEL_PROCESSING_LIMIT": limit.set})
		c.slow(60 * time.Millisecond)
		me := s.login()
		s.finish(me, s.submit(me, 9))
		_, _, most := c.measured()
		assert.Equal(s.t, limit.most, most)
	}
	s.Restart(map[string]string{"PARALLEL_PROCESSING_LIMIT": ""})
}

func testMaxConcurrent(s *site, c *canvas) {
	s.Restart(map[string]string{"MAX_CONCURRENT_TASKS": "2"})
	c.slow(2 * time.Second) // so that none ends while the six are handed in, on a busy machine too
	me := s.login()
	var ids []string
	for range 6 {
		ids = append(ids, s.submit(me, 1))
	}
	s.eventually("two tasks are in progress, and four wait", func() bool {
		m := s.metrics()
		return m["active_qa_tasks"] == 2. && m["queued_qa_tasks"] == 4.
	})
	c.slow(200 * time.Millisecond)
	for _, id := range ids {
		for s.task(me, id)["status"] != "completed" {
			require.LessOrEqual(s.t, s.metrics()["active_qa_tasks"], 2.)
		}
	}
	_, _, most := c.measured()
	assert.Equal(s.t, 2, most)
	s.Restart(map[string]string{"MAX_CONCURRENT_TASKS": ""})
}

func testBatchSize(s *site, c *canvas) {
	c.slow(0)
	for set, batches := range map[string]float64{"3": 4, "25": 1} {
		s.Restart(map[string]string{"BATCH_SIZE": set})
		me := s.login()
		task := s.finish(me, s.submit(me, 10))
		assert.Equal(s.t, batches, task["batches"])
		assert.Equal(s.t, 10., task["findings"])
	}
	s.Restart(map[string]string{"BATCH_SIZE": ""})
}

// testRateLimit asks for five pages, the first at once and each of the others
// one interval later.
func testRateLimit(s *site, c *canvas) {
	for _, limit := range []struct {
		set      string
		earliest time.Duration
		latest   time.Duration
	}{{"120", 1900 * time.Millisecond, time.Minute}, {"60000", 0, 1500 * time.Millisecond}} {
		s.Restart(map[string]string{"CANVAS_RATE_LIMIT_PER_MINUTE": limit.set})
		c.slow(0)
		me := s.login()
		s.finish(me, s.submit(me, 5))
		calls, span, _ := c.measured()
		assert.Equal(s.t, 5, calls)
		assert.GreaterOrEqual(s.t, span, limit.earliest, "at %s a minute", limit.set)
		assert.LessOrEqual(s.t, span, limit.latest, "at %s a minute", limit.set)
	}
	s.Restart(map[string]string{"CANVAS_RATE_LIMIT_PER_MINUTE": "100000"})

	// When Canvas itself refuses, all calls wait, and the task goes on after it.
	c.behave("throttling")
	me := s.login()
	id := s.submit(me, 3)
	s.eventually("Canvas was asked", func() bool { calls, _, _ := c.measured(); return calls > 0 })
	limits := s.ops(http.MethodGet, "/health/canvas/rate-limits").JSON["instances"].(map[string]any)["test"].(map[string]any)
	assert.Positive(s.t, limits["throttled_last_minute"])
	assert.Positive(s.t, limits["paused_seconds"])
	c.behave("")
	assert.EqualValues(s.t, 0, s.finish(me, id)["failed"])
}

func testProgressInterval(s *site, c *canvas) {
	for _, interval := range []struct {
		set          string
		least, count int
	}{{"0.1", 5, 12}, {"30", 2, 2}} {
		s.Restart(map[string]string{"PROGRESS_UPDATE_INTERVAL": interval.set, "PARALLEL_PROCESSING_LIMIT": "1"})
		c.slow(100 * time.Millisecond)
		me := s.login()
		updates := s.follow(me, s.submit(me, 10))
		assert.GreaterOrEqual(s.t, len(updates), interval.least)
		assert.LessOrEqual(s.t, len(updates), interval.count)
		assert.Equal(s.t, "completed", updates[len(updates)-1]["status"])
		assert.EqualValues(s.t, 10, updates[len(updates)-1]["done"])
	}
	s.Restart(map[string]string{"PROGRESS_UPDATE_INTERVAL": "0.1", "PARALLEL_PROCESSING_LIMIT": ""})

	id := s.submit(s.login(), 1)
	other := s.do(http.MethodPost, "/sessions", `{"user":"lee","password":"`+services.DemoPassword+`"}`)
	for _, headers := range []http.Header{{}, {"Cookie": {cookie(s.t, other)}}, {"Cookie": {s.login()}, "Origin": {"https://elsewhere.example"}}} {
		_, response, err := websocket.Dial(s.t.Context(), s.URL()+"/ws/progress/"+id, &websocket.DialOptions{HTTPHeader: headers})
		require.Error(s.t, err)
		assert.Equal(s.t, http.StatusForbidden, response.StatusCode)
	}
}

// follow reads the progress of a task until the application closes.
func (s *site) follow(cookie, id string) []map[string]any {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	connection, _, err := websocket.Dial(ctx, s.URL()+"/ws/progress/"+id, &websocket.DialOptions{HTTPHeader: http.Header{"Cookie": {cookie}}})
	require.NoError(s.t, err)
	defer connection.CloseNow()
	var updates []map[string]any
	for {
		var update map[string]any
		if err := wsjson.Read(ctx, connection, &update); err != nil {
			assert.Equal(s.t, websocket.StatusNormalClosure, websocket.CloseStatus(err), err)
			return updates
		}
		updates = append(updates, update)
	}
}

// testMemoryLimit fills the application's memory for a while.
func testMemoryLimit(s *site, c *canvas) {
	s.Restart(map[string]string{"MEMORY_LIMIT_MB": "200"})
	c.slow(0)
	me := s.login()
	require.Equal(s.t, http.StatusAccepted, s.do(http.MethodPost, "/tasks", taskOf(1), "Cookie", me).Status)
	full := make(chan int, 1)
	go func() {
		request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.URL()+"/work?mb=250&ms=2000", nil)
		if err != nil {
			full <- 0
			return
		}
		request.Header.Set("Authorization", "Bearer "+services.OpsToken)
		response, err := oneShot.Do(request)
		if err != nil {
			full <- 0
			return
		}
		response.Body.Close()
		full <- response.StatusCode
	}()
	s.eventually("health is degraded", func() bool { return s.get("/health").JSON["status"] == "degraded" })
	assert.Equal(s.t, http.StatusOK, s.get("/health").Status)
	assert.Greater(s.t, s.metrics()["memory_usage_mb"], 250.)
	assert.EqualValues(s.t, 200, s.metrics()["memory_limit_mb"])
	assert.Greater(s.t, s.metrics()["memory_usage_percent"], 100.)
	a := s.do(http.MethodPost, "/tasks", taskOf(1), "Cookie", me)
	assert.Equal(s.t, http.StatusServiceUnavailable, a.Status)
	assert.Equal(s.t, "60", a.Header.Get("Retry-After"))
	assert.Equal(s.t, http.StatusOK, <-full)
	s.eventually("health is well again", func() bool { return s.get("/health").JSON["status"] == "healthy" })
	assert.Equal(s.t, http.StatusAccepted, s.do(http.MethodPost, "/tasks", taskOf(1), "Cookie", me).Status)
	s.Restart(map[string]string{"MEMORY_LIMIT_MB": ""})
}

func testMaintenanceMode(s *site, c *canvas) {
	s.Restart(map[string]string{"CANVAS_MAINTENANCE_MODE": "true"})
	c.slow(0)
	a := s.get("/health")
	assert.Equal(s.t, http.StatusOK, a.Status)
	assert.Equal(s.t, "maintenance", a.JSON["status"])
	assert.Equal(s.t, "maintenance", s.get("/health/canvas?instance=test").JSON["status"])
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		a := s.do(method, "/lti/login", "")
		assert.Equal(s.t, http.StatusServiceUnavailable, a.Status)
		assert.Equal(s.t, "300", a.Header.Get("Retry-After"))
		assert.Contains(s.t, a.Text, "We will be right back")
	}
	assert.Contains(s.t, s.do(http.MethodPost, "/lti/launch", "").Text, "We will be right back")
	me := s.login()
	id := s.submit(me, 2)
	time.Sleep(1200 * time.Millisecond) // longer than the workers' pause between two looks
	assert.Equal(s.t, "queued", s.task(me, id)["status"])
	calls, _, _ := c.measured()
	assert.Zero(s.t, calls)

	s.Restart(map[string]string{"CANVAS_MAINTENANCE_MODE": "false"})
	assert.Equal(s.t, "healthy", s.get("/health").JSON["status"])
	assert.Equal(s.t, "completed", s.finish(me, id)["status"])
}

func testSecretKey(s *site, _ *canvas) {
	const second = "another secret key, 32 characters or more"
	s.ops(http.MethodPost, "/admin/force-logout-all")
	me := s.login()
	current := func(cookie string) int { return s.get("/sessions/current", "Cookie", cookie).Status }

	s.Restart(map[string]string{"SECRET_KEY": second, "SECRET_KEY_PREVIOUS": services.SecretKey})
	assert.Equal(s.t, http.StatusOK, current(me), "the previous key is still believed")
	fresh := s.login()
	assert.EqualValues(s.t, 2, s.metrics()["active_sessions"])

	s.Restart(map[string]string{"SECRET_KEY_PREVIOUS": ""})
	assert.Equal(s.t, http.StatusUnauthorized, current(me), "the previous key is gone")
	assert.Equal(s.t, http.StatusOK, current(fresh))
	assert.EqualValues(s.t, 1, s.metrics()["active_sessions"])
	s.Restart(map[string]string{"SECRET_KEY": services.SecretKey})
	assert.Equal(s.t, http.StatusUnauthorized, current(fresh))
}

func testSwitches(s *site, _ *canvas) {
	s.Restart(map[string]string{"ALLOW_DRILLS": "", "DEMO_PASSWORD": ""})
	assert.Equal(s.t, http.StatusNotFound, s.ops(http.MethodGet, "/work?fail=true").Status)
	assert.Equal(s.t, http.StatusNotFound, s.do(http.MethodPost, "/sessions", `{"user":"kim","password":""}`).Status)
}
