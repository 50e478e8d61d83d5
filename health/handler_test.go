package health_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
)

func get(h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

// fixed returns a prober that always finds the same.
func fixed(s health.Status) *healthtest.Prober {
	return &healthtest.Prober{Results: []health.Result{{Status: s, Cause: health.CauseRefused, Message: "db.internal:5432 refused"}}}
}

// Requirement: HL-K8S-LIVENESS, HL-K8S-READINESS, HL-K8S-STARTUP
func TestProbeHandlerAnswersForEachGroup(t *testing.T) {
	database := &healthtest.Prober{Results: []health.Result{{Status: health.Healthy}, failing(health.CauseRefused)}}
	m := newMonitor(t, health.Config{Checks: []health.Check{
		{Name: "process", Prober: fixed(health.Healthy), Groups: health.Liveness},
		{Name: "database", Prober: database, Groups: health.Readiness | health.Startup},
		{Name: "cache", Prober: fixed(health.Unhealthy), Optional: true},
	}})
	h := http.StripPrefix("/ops", health.NewProbeHandler(m))
	codes := func() [3]int {
		return [3]int{get(h, "/ops/livez").Code, get(h, "/ops/readyz").Code, get(h, "/ops/startupz").Code}
	}
	assert.Equal(t, [3]int{503, 503, 503}, codes(), "before the first results")
	_, err := m.Check(t.Context())
	require.NoError(t, err)
	assert.Equal(t, [3]int{200, 200, 200}, codes(), "the optional cache does not count")
	_, err = m.Check(t.Context())
	require.NoError(t, err)
	assert.Equal(t, [3]int{200, 503, 200}, codes(), "starting happens once, and liveness does not depend on the database")

	w := get(h, "/ops/readyz")
	assert.Equal(t, "unhealthy\n", w.Body.String())
	assert.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	assert.Equal(t, 404, get(h, "/ops/other").Code)
	post := httptest.NewRecorder()
	h.ServeHTTP(post, httptest.NewRequest(http.MethodPost, "/ops/livez", nil))
	assert.Equal(t, 405, post.Code)
	assert.Equal(t, "GET, HEAD", post.Header().Get("Allow"))
}

func TestAGroupWithoutChecksIsWell(t *testing.T) {
	h := health.NewProbeHandler(newMonitor(t, health.Config{}))
	assert.Equal(t, 200, get(h, "/livez").Code)
	assert.Equal(t, 200, get(h, "/startupz").Code)
}

// Requirement: HL-K8S-VERBOSE
func TestVerboseAndExclude(t *testing.T) {
	m := newMonitor(t, health.Config{Checks: []health.Check{
		{Name: "database", Prober: fixed(health.Unhealthy)},
		{Name: "canvas", Prober: fixed(health.Maintenance)},
		{Name: "process", Prober: fixed(health.Healthy), Groups: health.Liveness},
	}})
	_, err := m.Check(t.Context())
	require.NoError(t, err)
	h := health.NewProbeHandler(m)
	assert.Equal(t, "[-] database unhealthy\n[+] canvas maintenance\nunhealthy\n", get(h, "/readyz?verbose").Body.String())
	w := get(h, "/readyz?verbose&exclude=database&exclude=%1b[31mnobody")
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, "[ ] database excluded\n[+] canvas maintenance\n[?] ?[31mnobody excluded, but there is no such check\nok\n", w.Body.String())
	assert.Equal(t, "ok\n", get(h, "/readyz?exclude=database").Body.String())
	assert.NotContains(t, get(h, "/readyz?verbose").Body.String(), "refused", "reasons are withheld")
}

// Requirement: HL-PEER-ALEX-LEAK, HL-WANT-13, HL-JSON-STATUS, HL-JSON-CODES, HL-ASK-SHOW-MAINTENANCE
func TestThePublicViewHasNamesAndStatesOnly(t *testing.T) {
	for _, test := range []struct {
		status health.Status
		code   int
		want   string
	}{
		{health.Healthy, 200, `{"status":"pass","state":"healthy","serviceId":"qa","checks":{"database":[{"status":"pass","state":"healthy"}]}}`},
		{health.Degraded, 200, `{"status":"warn","state":"degraded","serviceId":"qa","checks":{"database":[{"status":"warn","state":"degraded"}]}}`},
		{health.Maintenance, 200, `{"status":"warn","state":"maintenance","serviceId":"qa","checks":{"database":[{"status":"warn","state":"maintenance"}]}}`},
		{health.Unhealthy, 503, `{"status":"fail","state":"unhealthy","serviceId":"qa","checks":{"database":[{"status":"fail","state":"unhealthy"}]}}`},
		{health.Unknown, 503, `{"status":"fail","state":"unknown","serviceId":"qa","checks":{"database":[{"status":"fail","state":"unknown"}]}}`},
	} {
		t.Run(test.status.String(), func(t *testing.T) {
			m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "database", Prober: fixed(test.status)}}})
			_, err := m.Check(t.Context())
			require.NoError(t, err)
			w := get(health.NewPublicHandler(m, health.Info{ServiceID: "qa"}), "/health")
			assert.Equal(t, test.code, w.Code)
			assert.Equal(t, "application/health+json", w.Header().Get("Content-Type"))
			assert.Equal(t, test.want+"\n", w.Body.String())
		})
	}
}

// Requirement: HL-JSON-NAMES, HL-PEER-ACTUATOR-ELAPSED
func TestTheDetailedViewShowsEverything(t *testing.T) {
	at := time.Date(2026, 10, 4, 2, 59, 0, 0, time.UTC)
	m := newMonitor(t, health.Config{Checks: []health.Check{
		{Name: "production/database", Prober: &healthtest.Prober{Results: []health.Result{{
			Status: health.Unhealthy, Cause: health.CauseThreshold, Message: "connections 97 %, more than 90",
			Time: at, Duration: 12500 * time.Microsecond,
			Measurements: []health.Measurement{{Name: "connections", Value: 97, Unit: health.Percent}, {Name: "version", Text: "15.18"}},
		}}}},
		{Name: "later", Prober: &healthtest.Prober{}},
	}})
	_, err := m.Check(t.Context(), "production/database")
	require.NoError(t, err)
	w := get(health.NewDetailHandler(m, health.Info{
		ServiceID: "qa", Description: "QA", Version: "1", ReleaseID: "1.2", Notes: []string{"n"}, Links: map[string]string{"about": "https://example.com"},
	}), "/")
	assert.Equal(t, 503, w.Code)
	assert.JSONEq(t, `{
		"status": "fail", "state": "unhealthy", "version": "1", "releaseId": "1.2", "notes": ["n"], "serviceId": "qa", "description": "QA",
		"links": {"about": "https://example.com"},
		"checks": {
			"production/database:responseTime": [{"componentId": "production/database", "observedValue": 12.5, "observedUnit": "ms", "status": "fail",
				"state": "unhealthy", "cause": "threshold", "output": "connections 97 %, more than 90",
				"time": "2026-10-04T02:59:00Z", "since": "2026-10-04T02:59:00Z"}],
			"production/database:connections": [{"componentId": "production/database", "observedValue": 97, "observedUnit": "%", "time": "2026-10-04T02:59:00Z"}],
			"production/database:version": [{"componentId": "production/database", "observedValue": "15.18", "time": "2026-10-04T02:59:00Z"}],
			"later:responseTime": [{"componentId": "later", "status": "fail", "state": "unknown", "cause": "pending"}]
		}}`, w.Body.String())
}

func TestJSONIsNotSentAgainToThoseWhoHaveIt(t *testing.T) {
	m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: fixed(health.Healthy)}}})
	_, err := m.Check(t.Context())
	require.NoError(t, err)
	h := health.NewDetailHandler(m, health.Info{})
	etag := get(h, "/").Header().Get("Etag")
	require.True(t, strings.HasPrefix(etag, `"`), etag)
	w := get(h, "/", "If-None-Match", etag)
	assert.Equal(t, 304, w.Code)
	assert.Empty(t, w.Body.String())
	assert.Equal(t, 200, get(h, "/", "If-None-Match", `"other"`).Code)
}

// Requirement: HL-PEER-ACTUATOR-STAMPEDE, HL-PEER-ASPNET-RERUN, HL-K8S-FAST
func TestRequestsProbeNothingAndSeeChangesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &healthtest.Prober{Delay: 5 * time.Second, Results: []health.Result{{Status: health.Healthy}, {Status: health.Healthy}, failing(health.CauseRefused)}}
		m := newMonitor(t, health.Config{Checks: []health.Check{{Name: "a", Prober: p}}})
		h := health.NewDetailHandler(m, health.Info{})
		body := func() string { return get(h, "/").Body.String() }
		check := func() {
			_, err := m.Check(t.Context())
			require.NoError(t, err)
		}
		check()
		first := body()
		go check()
		synctest.Wait()
		began := time.Now()
		for range 100 {
			assert.Equal(t, first, body())
		}
		assert.Zero(t, time.Since(began), "a request waited for a probe")
		assert.Equal(t, 2, p.Calls(), "a request probed")
		time.Sleep(6 * time.Second)
		assert.NotEqual(t, first, body(), "newer times are shown")
		check()
		assert.Contains(t, body(), `"state":"unhealthy"`, "a new status is shown at once")
		m.Remove("a")
		var report struct{ Checks map[string]any }
		require.NoError(t, json.Unmarshal([]byte(body()), &report))
		assert.Empty(t, report.Checks)
	})
}

// A lease in memory: replicas that share one are one group.
type sharedLease struct {
	mu     sync.Mutex
	grants map[string]*health.Grant
	until  map[string]time.Time
	err    error
}

func (l *sharedLease) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

type replica struct {
	*sharedLease
	name string
}

func (l replica) Acquire(_ context.Context, check string, ttl time.Duration) (health.Grant, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return health.Grant{}, l.err
	}
	g := l.grants[check]
	if g == nil {
		g = &health.Grant{}
		l.grants[check] = g
	}
	if g.Holder != l.name && time.Now().Before(l.until[check]) {
		return health.Grant{Holder: g.Holder, Result: g.Result}, nil
	}
	g.Holder, l.until[check] = l.name, time.Now().Add(ttl)
	return health.Grant{Held: true, Holder: l.name, Result: g.Result}, nil
}

func (l replica) Publish(_ context.Context, check string, r health.Result) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grants[check].Holder != l.name {
		return health.ErrLeaseLost
	}
	l.grants[check].Result = r
	return nil
}

func (l replica) Release(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for check, g := range l.grants {
		if g.Holder == l.name {
			l.until[check] = time.Time{}
		}
	}
	return nil
}

func TestReplicasShareChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &sharedLease{grants: make(map[string]*health.Grant), until: make(map[string]time.Time)}
		start := func(name string, p health.Prober) (*health.Monitor, *health.MemoryHistory) {
			history := &health.MemoryHistory{}
			m := newMonitor(t, health.Config{Lease: replica{shared, name}, History: history, Checks: []health.Check{{Name: "a", Prober: p, Interval: time.Minute}}})
			require.NoError(t, m.Start(t.Context()))
			time.Sleep(time.Second) // so that the two never ask at the same instant
			return m, history
		}
		first, second := fixed(health.Degraded), fixed(health.Degraded)
		one, _ := start("one", first)
		two, _ := start("two", second)
		time.Sleep(time.Hour)
		assert.InDelta(t, 61, first.Calls(), 1)
		assert.Zero(t, second.Calls(), "both replicas ran the check")
		assert.Equal(t, health.Degraded, two.Status(), "the other replica sees the result")
		assert.WithinDuration(t, time.Now(), state(t, two, "a").Last.Time, 2*time.Minute)
		assert.Less(t, state(t, two, "a").Successes, 65, "a result read twice counts once")

		stop(t, one)
		time.Sleep(time.Minute + time.Second)
		assert.Positive(t, second.Calls(), "a replica that stops gives up its leases")

		shared.fail(context.DeadlineExceeded)
		time.Sleep(10 * time.Minute)
		assert.InDelta(t, 11, second.Calls(), 1, "without a lease the check still runs")
		assert.Error(t, two.Self().LeaseError)
		shared.fail(nil)
		time.Sleep(2 * time.Minute)
		assert.NoError(t, two.Self().LeaseError)
		stop(t, two)
	})
}

func TestADeadReplicaIsReplacedWithinTwoIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &sharedLease{grants: make(map[string]*health.Grant), until: make(map[string]time.Time)}
		lease := replica{shared, "dead"}
		_, err := lease.Acquire(t.Context(), "a", 90*time.Second)
		require.NoError(t, err)
		require.NoError(t, lease.Publish(t.Context(), "a", health.Result{Status: health.Healthy, Time: time.Now()}))
		p := fixed(health.Healthy)
		m := startMonitor(t, health.Config{Lease: replica{shared, "alive"}, Checks: []health.Check{{Name: "a", Prober: p, Interval: time.Minute}}})
		time.Sleep(time.Second)
		assert.Zero(t, p.Calls())
		assert.Equal(t, health.Healthy, m.Status())
		time.Sleep(2 * time.Minute)
		assert.Positive(t, p.Calls())
	})
}

// A history that fails while err is set.
type brokenHistory struct {
	health.MemoryHistory
	err atomic.Pointer[error]
}

func (h *brokenHistory) Append(ctx context.Context, s []health.Sample) error {
	if err := h.err.Load(); err != nil {
		return *err
	}
	return h.MemoryHistory.Append(ctx, s)
}

// Requirement: HL-WANT-14
func TestHistoryIsKeptAndSurvivesATroubledStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &brokenHistory{}
		p := &healthtest.Prober{Delay: 40 * time.Millisecond, Results: []health.Result{{Status: health.Healthy}, {Status: health.Healthy}, failing(health.CauseRefused), {Status: health.Healthy}}}
		m := newMonitor(t, health.Config{History: h, Checks: []health.Check{{Name: "a", Prober: p, Interval: time.Minute}}})
		began := time.Now()
		require.NoError(t, m.Start(t.Context()))
		time.Sleep(90 * time.Second)
		h.err.Store(new(context.DeadlineExceeded))
		time.Sleep(10 * time.Minute)
		assert.ErrorIs(t, m.Self().HistoryError, context.DeadlineExceeded)
		h.err.Store(nil)
		time.Sleep(10*time.Minute + 2*time.Second)
		assert.NoError(t, m.Self().HistoryError)
		assert.Zero(t, m.Self().SamplesLost)
		stop(t, m)
		buckets, err := h.Buckets(t.Context(), "a", health.Daily, began, time.Now())
		require.NoError(t, err)
		require.Len(t, buckets, 1)
		assert.Equal(t, time.Minute, buckets[0].In[health.Unhealthy])
		uptime, ok := buckets[0].Uptime()
		assert.True(t, ok)
		assert.InDelta(t, 0.95, uptime, 0.01)
		assert.InDelta(t, 40, buckets[0].Latencies.Quantile(0.5).Milliseconds(), 8)
		spells, err := h.Spells(t.Context(), "a", began, time.Now())
		require.NoError(t, err)
		require.Len(t, spells, 1)
		assert.Equal(t, time.Minute, spells[0].End.Sub(spells[0].Start))
	})
}

func TestHistoryIsWrittenWithoutStart(t *testing.T) {
	h := &health.MemoryHistory{}
	m := newMonitor(t, health.Config{History: h, Checks: []health.Check{{Name: "a", Prober: fixed(health.Healthy)}}})
	_, err := m.Check(t.Context())
	require.NoError(t, err)
	buckets, err := h.Buckets(t.Context(), "a", health.Hourly, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	require.NoError(t, err)
	assert.Len(t, buckets, 1)
}
