package world

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"go.acu.edu.au/runbook/internal/memhttp"
)

// object is a JSON object.
type object map[string]any

// client reaches everything of this environment that is not the platform: the
// application, Canvas and its status page, the issuer of launches.
func (e *environment) client() *http.Client {
	app := memhttp.Client(http.HandlerFunc(e.serve), func(*http.Request, []byte) error { return e.dial() }).Transport
	canvas := e.canvas.Client().Transport
	page := e.w.pageClient().Transport
	issuer := e.platform.Client().Transport
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if err := e.w.enter(); err != nil {
			return nil, err
		}
		switch r.URL.Hostname() {
		case e.application:
			return app.RoundTrip(r)
		case statusHost:
			return page.RoundTrip(r)
		case e.canvasAt:
			return e.askCanvas(canvas, r)
		}
		if why := e.canvasError(); why != nil {
			return nil, why
		}
		return issuer.RoundTrip(r)
	})}
}

// dial is why there is no connection to the application; nil if there is one.
func (e *environment) dial() error {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if e.unreachable() && e.name == "production" && e.w.noise(e, time.Now().Unix(), 7) < 0.5 {
		return memhttp.Refused()
	}
	return nil
}

// answer is what the application answers, and after how long.
type answer struct {
	status int
	body   any
	header map[string]string
	after  time.Duration
}

// serve is the application, with the platform's edge before it.
func (e *environment) serve(w http.ResponseWriter, r *http.Request) {
	e.w.mu.Lock()
	reply, next := e.reply(r)
	e.w.mu.Unlock()
	if !e.w.sleep(r.Context(), reply.after) {
		panic(http.ErrAbortHandler)
	}
	if next != nil {
		next(w, r)
		return
	}
	for name, value := range reply.header {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(reply.status)
	_ = json.NewEncoder(w).Encode(reply.body)
}

// sleep waits, and reports whether it waited to the end.
func (w *World) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-w.closing:
	}
	return false
}

// fallback is what the platform answers for an application that does not.
func fallback(text string) answer {
	return answer{status: http.StatusBadGateway, header: map[string]string{"X-Railway-Fallback": "true"},
		body: object{"status": "error", "code": 502, "message": text, "request_id": "world"}}
}

// reply is what is answered to a request. The lock is held. next is what answers instead,
// without the lock, after the wait.
func (e *environment) reply(r *http.Request) (reply answer, next http.HandlerFunc) {
	a := &e.app
	switch {
	case e.unreachable():
		return fallback("Application failed to respond"), nil
	case a.stopped:
		return answer{status: http.StatusNotFound, header: map[string]string{"X-Railway-Fallback": "true"}, body: object{"status": "error", "code": 404, "message": "Application not found"}}, nil
	case !a.up:
		return fallback("Application failed to respond"), nil
	}
	if f := e.brokenBy(); f != nil {
		if f.variant == "silent" {
			return fallback("Application failed to respond"), nil
		}
		e.printOften(time.Now(), "bad", "ImportError: cannot import name 'colour' from 'app.reports'")
		return answer{status: http.StatusInternalServerError, body: object{"detail": "Internal Server Error"}, after: 20 * time.Millisecond}, nil
	}
	reply, next = e.route(r)
	spread := 0.7 + 0.6*e.w.noise(e, time.Now().UnixNano()/int64(time.Second), uint64(len(r.URL.Path)))
	reply.after += time.Duration(float64(a.latency()) * spread)
	if reply.status >= 500 && a.latency() > 25*time.Second {
		reply.after = longest * time.Second
	}
	if f := e.fault(ClockSkew); f != nil {
		if reply.header == nil {
			reply.header = map[string]string{}
		}
		reply.header["Date"] = time.Now().Add(-e.skew()).UTC().Format(http.TimeFormat)
	}
	return reply, next
}

// skew is how far the clock of the application is behind.
func (e *environment) skew() time.Duration {
	f := e.fault(ClockSkew)
	if f == nil {
		return 0
	}
	return 7*time.Minute + time.Duration(f.strength*300)*time.Second
}

func (e *environment) route(r *http.Request) (answer, http.HandlerFunc) {
	path := r.URL.Path
	operator := strings.HasPrefix(path, "/admin/") || strings.HasPrefix(path, "/synthetic/")
	switch path {
	case "/health/canvas/rate-limits", "/health/metrics", "/health/security-metrics":
		operator = true
	}
	if operator && r.Header.Get("Authorization") != "Bearer "+e.app.run.variables["OPS_TOKEN"] {
		return answer{status: http.StatusUnauthorized, header: map[string]string{"WWW-Authenticate": "Bearer"}, body: object{"detail": "unauthorized"}}, nil
	}
	method := http.MethodGet
	if strings.HasPrefix(path, "/admin/") || strings.HasPrefix(path, "/synthetic/") {
		method = http.MethodPost
	}
	if !strings.HasPrefix(path, "/lti/") && r.Method != method && r.Method != http.MethodHead {
		return answer{status: http.StatusMethodNotAllowed, body: object{"detail": "Method Not Allowed"}}, nil
	}
	switch path {
	case "/health":
		return e.healthReply(), nil
	case "/health/database":
		return e.databaseReply(), nil
	case "/health/canvas":
		return e.canvasReply(r.URL.Query().Get("instance")), nil
	case "/health/canvas/rate-limits":
		return e.rateLimitsReply(), nil
	case "/health/metrics":
		return answer{status: 200, body: e.metrics()}, nil
	case "/health/security-metrics":
		return answer{status: 200, body: e.securityMetrics()}, nil
	case "/ws/progress":
		if f := e.fault(WebsocketProxy); f != nil {
			e.printOften(time.Now(), "ws", "websocket closed before it was accepted")
			return answer{status: http.StatusBadGateway, body: object{"status": "error", "code": 502, "message": "upgrade failed"}}, nil
		}
		return answer{}, e.progress
	case "/admin/force-logout-all":
		ended := int(e.app.sessions)
		e.app.sessions, e.app.lost = 0, time.Now()
		e.w.act(e.name, "end-sessions", "")
		return answer{status: 200, body: object{"ended": ended}}, nil
	case "/admin/purge-nonces": // those whose time is over; live ones stay
		purged := int(math.Min(3600, time.Since(e.purged).Seconds()) / 30)
		e.purged = time.Now()
		e.w.act(e.name, "purge-nonces", "expired")
		return answer{status: 200, body: object{"purged": purged}}, nil
	case "/.well-known/jwks.json", "/lti/login", "/lti/launch":
		return e.launchReply(r.Context(), path)
	}
	return answer{status: http.StatusNotFound, body: object{"detail": "Not Found"}}, nil
}

func state(status string) object { return object{"status": status} }

func (e *environment) databaseState() (object, int) {
	if part := e.database.part(); part != "" {
		e.printOften(time.Now(), "db", "psycopg.OperationalError: "+part+" failed")
		return object{"status": "unhealthy", "part": part}, http.StatusServiceUnavailable
	}
	return state("healthy"), http.StatusOK
}

func (e *environment) healthReply() answer {
	db, code := e.databaseState()
	status, redis, memory := "healthy", "healthy", "healthy"
	if !e.redis.up {
		status, redis = "degraded", "degraded"
	}
	if e.app.memory > 0.95*e.app.set.memory {
		status, memory = "degraded", "degraded"
	}
	if e.leavesCanvasAlone() {
		status = "maintenance"
	}
	if code != http.StatusOK {
		status = "unhealthy"
	}
	return answer{status: code, body: object{
		"status": status, "environment": e.name, "version": "2.4.1", "commit": e.app.run.commit[:min(7, len(e.app.run.commit))],
		"checks": object{"database": db, "redis": state(redis), "memory": state(memory), "workers": state("healthy")},
	}}
}

func (e *environment) databaseReply() answer {
	body, code := e.databaseState()
	return answer{status: code, body: body}
}

func (e *environment) canvasReply(instance string) answer {
	known := false
	for _, p := range places() {
		known = known || p.instance == instance
	}
	if !known {
		return answer{status: http.StatusUnprocessableEntity, body: object{"detail": []object{{
			"loc": []string{"query", "instance"}, "type": "type_error.enum", "msg": "value is not a valid enumeration member; permitted: 'test', 'beta', 'prod'",
		}}}}
	}
	if e.leavesCanvasAlone() {
		return answer{status: 200, body: object{"status": "maintenance", "canvas_details": object{"instance": instance, "maintenance_mode": true}}}
	}
	status, code, canvasCode, took := "healthy", http.StatusOK, http.StatusOK, 84.5
	switch refused := e.launchesRefused(); {
	case instance != e.instance:
	case e.fault(CanvasMaintenance) != nil, e.announcedAway():
		status, canvasCode = "maintenance", http.StatusServiceUnavailable
	case e.fault(CanvasDown) != nil:
		status, code, canvasCode = "unhealthy", http.StatusServiceUnavailable, http.StatusInternalServerError
	case refused == "key" || refused == "expired" || refused == "clock":
		status, code, canvasCode = "unhealthy", http.StatusServiceUnavailable, http.StatusUnauthorized
		e.printOften(time.Now(), "canvas401", "Canvas answered 401 to the request for a token")
	case e.app.rejected > 0.05:
		status, canvasCode, took = "degraded", http.StatusTooManyRequests, 84.5+1000*backoff*e.app.rejected
	}
	reply := answer{status: code, body: object{"status": status, "canvas_details": object{
		"instance": instance, "configured": true, "http_status": canvasCode, "response_time_ms": took,
	}}}
	reply.after = time.Duration(took * float64(time.Millisecond))
	return reply
}

func (e *environment) rateLimitsReply() answer {
	instances := object{}
	for _, p := range places() {
		limits := object{
			"configured": true, "limit_per_minute": int(e.app.set.rate), "used_last_minute": 0, "waiting": 0, "paused_seconds": 0.0,
			"canvas_remaining": 700.0, "throttled_last_minute": 0, "errors_last_minute": 0,
		}
		if p.instance == e.instance {
			minute := e.app.recent(12)
			limits["used_last_minute"] = int(math.Round(minute.calls))
			limits["waiting"] = int(math.Round(minute.throttled / 4))
			limits["canvas_remaining"] = math.Round(10*math.Max(0, highWater-e.app.bucket)) / 10
			limits["throttled_last_minute"], limits["errors_last_minute"] = int(math.Round(minute.throttled)), int(math.Round(minute.canvasErrors))
			limits["paused_seconds"] = math.Round(10*backoff*e.app.rejected) / 10
		}
		instances[p.instance] = limits
	}
	return answer{status: 200, body: object{"instances": instances}}
}

func (e *environment) metrics() object {
	a, s := &e.app, e.app.set
	recent, minute := a.recent(24), a.recent(12)
	latency := 1000 * a.at(0).latency
	m := object{
		"active_sessions": int(a.sessions), "active_qa_tasks": int(a.running), "queued_qa_tasks": int(math.Max(0, a.waiting/callsPerTask-a.running)),
		"recent_errors": int(recent.errors), "recent_requests": int(recent.requests), "recent_seconds": 120.0, "requests_total": int(a.requests), "errors_total": int(a.errors + 97),
		"memory_usage_mb": math.Round(10*a.memory) / 10, "memory_limit_mb": int(s.memory), "memory_usage_percent": math.Round(1000*a.memory/s.memory) / 10,
		"response_time_ms":      object{"p50": latency * 0.6, "p95": latency, "p99": latency * 1.5},
		"task_duration_seconds": object{"p50": a.duration * 0.8, "p95": a.duration, "p99": a.duration * 1.4},
		"tasks_completed_total": int(a.finished), "tasks_failed_total": 6, "websocket_connections": int(a.sessions / 4),
		"canvas_errors_last_minute": int(math.Round(minute.canvasErrors)), "canvas_throttled_total": int(a.throttledTotal),
		"database_connections_in_use": int(math.Round(a.pool)), "database_connections_limit": 10,
		"uptime_seconds": time.Since(a.run.began).Seconds(), "version": "2.4.1", "commit": a.run.commit, "environment": e.name,
		"settings": object{
			"async_workers": int(s.workers), "canvas_rate_limit_per_minute": int(s.rate), "max_concurrent_tasks": int(s.tasks), "batch_size": int(s.batch),
			"parallel_processing_limit": int(s.parallel), "progress_update_interval": int(s.progress), "canvas_maintenance_mode": e.leavesCanvasAlone(),
		},
	}
	if !e.redis.up {
		m["active_sessions"] = nil
	}
	if e.database.part() != "" {
		m["queued_qa_tasks"], m["database_connections_in_use"] = nil, 0
	}
	return m
}

func (e *environment) securityMetrics() object {
	failed, sources := 2+int(3*e.w.noise(e, time.Now().Unix()/600, 9)), 2
	if f := e.fault(LeakedCredential); f != nil {
		failed, sources = 60+int(80*f.strength), 19
	}
	return object{"failed_logins_last_hour": failed, "failed_launches_last_hour": failed / 3, "distinct_sources": sources, "sessions_last_hour": int(e.app.sessions)}
}

// progress is the WebSocket that carries the progress of tasks. It answers a text with the
// same text.
func (e *environment) progress(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	go func() { // ends with the handler
		select {
		case <-e.w.closing:
			stop()
		case <-ctx.Done():
		}
	}()
	for {
		kind, text, err := c.Read(ctx)
		if err != nil {
			return
		}
		if c.Write(ctx, kind, text) != nil {
			return
		}
	}
}
