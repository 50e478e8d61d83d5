package estate

import (
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// application is the QA automation application of one environment. The names
// and forms in its answers are those of examples/sidecar/app.
type application struct {
	estate   *Estate
	env      Environment
	scenario Scenario
	slow     time.Duration
}

// object is a JSON object.
type object map[string]any

// ServeHTTP answers as the scenario says, or as the application does.
func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch a.scenario {
	case ApplicationDown: // the platform's answer for a service that does not listen
		w.Header().Set("X-Railway-Fallback", "true")
		writeJSON(w, http.StatusBadGateway, object{"status": "error", "code": 502, "message": "Application failed to respond", "request_id": "estate"})
		return
	case Hanging:
		select {
		case <-r.Context().Done():
		case <-a.estate.closing:
		}
		panic(http.ErrAbortHandler) // a handler that returns has answered
	case NotJSON:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><head><title>Sign in</title></head><body><form action=\"/login\"></form></body></html>\n")
		return
	case Slow:
		if !wait(r.Context(), a.estate.closing, a.slow) {
			panic(http.ErrAbortHandler)
		}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		writeJSON(w, http.StatusMethodNotAllowed, object{"detail": "Method Not Allowed"})
		return
	}
	switch r.URL.Path {
	case "/health":
		a.health(w)
	case "/health/database":
		a.database(w)
	case "/health/canvas":
		a.canvas(w, r)
	case "/health/canvas/rate-limits":
		a.authorized(w, r, a.rateLimits)
	case "/health/metrics":
		a.authorized(w, r, a.metrics)
	case "/.well-known/jwks.json":
		jwks(w)
	default:
		writeJSON(w, http.StatusNotFound, object{"detail": "Not Found"})
	}
}

// authorized lets requests with the environment's token through.
func (a *application) authorized(w http.ResponseWriter, r *http.Request, next func(http.ResponseWriter)) {
	if a.scenario == TokenRejected || !bearer(r, a.env.applicationToken()) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		writeJSON(w, http.StatusUnauthorized, object{"detail": "unauthorized"})
		return
	}
	next(w)
}

// bearer reports whether a request has the token.
func bearer(r *http.Request, token string) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
}

// state is the finding of a check that the application made.
func state(status string) object { return object{"status": status} }

// databaseState is what the application says of its database, with the status
// code that belongs to it.
func (a *application) databaseState() (object, int) {
	if a.scenario == DatabaseGone {
		return object{"status": "unhealthy", "part": "connection"}, http.StatusServiceUnavailable
	}
	return state("healthy"), http.StatusOK
}

func (a *application) health(w http.ResponseWriter) {
	database, code := a.databaseState()
	status, redis := database["status"], "healthy"
	if a.scenario == RedisGone {
		status, redis = "degraded", "degraded"
	}
	writeJSON(w, code, object{
		"status":      status,
		"environment": a.env.Name,
		"version":     "2.4.1",
		"commit":      "9c1f3e7",
		"checks":      object{"database": database, "redis": state(redis), "memory": state("healthy"), "workers": state("healthy")},
	})
}

func (a *application) database(w http.ResponseWriter) {
	body, code := a.databaseState()
	writeJSON(w, code, body)
}

// canvas says what Canvas's /health_check answers the application. A rate limit
// is one of its token, which that request does not use.
func (a *application) canvas(w http.ResponseWriter, r *http.Request) {
	instance := r.URL.Query().Get("instance")
	if !slices.ContainsFunc(Environments(), func(e Environment) bool { return e.Instance == instance }) {
		writeJSON(w, http.StatusUnprocessableEntity, object{"detail": []object{{
			"loc": []string{"query", "instance"}, "type": "type_error.enum", "msg": "value is not a valid enumeration member; permitted: 'test', 'beta', 'prod'",
		}}})
		return
	}
	status, code, canvasCode := "healthy", http.StatusOK, http.StatusOK
	if instance == a.env.Instance {
		switch a.scenario {
		case CanvasDown:
			status, code, canvasCode = "unhealthy", http.StatusServiceUnavailable, http.StatusInternalServerError
		case CanvasMaintenance:
			status, canvasCode = "maintenance", http.StatusServiceUnavailable
		}
	}
	writeJSON(w, code, object{"status": status, "canvas_details": object{
		"instance": instance, "configured": true, "http_status": canvasCode, "response_time_ms": 84.5,
	}})
}

func (a *application) rateLimits(w http.ResponseWriter) {
	instances := object{}
	for _, e := range Environments() {
		limits := object{
			"configured": true, "limit_per_minute": 200, "used_last_minute": 31, "waiting": 0, "paused_seconds": 0.0,
			"canvas_remaining": 598.7, "throttled_last_minute": 0, "errors_last_minute": 0,
		}
		if e.Name == a.env.Name && (a.scenario == CanvasThrottled || a.scenario == CanvasThrottled403) {
			limits["used_last_minute"], limits["waiting"], limits["paused_seconds"] = 200, 17, 1.6
			limits["canvas_remaining"], limits["throttled_last_minute"], limits["errors_last_minute"] = 18.49, 14, 14
		}
		instances[e.Instance] = limits
	}
	writeJSON(w, http.StatusOK, object{"instances": instances})
}

func (a *application) metrics(w http.ResponseWriter) {
	m := object{
		"active_sessions": 42, "active_qa_tasks": 3, "queued_qa_tasks": 0,
		"recent_errors": 1, "recent_requests": 1250, "recent_seconds": 300.0, "requests_total": 184320, "errors_total": 97,
		"memory_usage_mb": 311.5, "memory_limit_mb": 512, "memory_usage_percent": 60.8,
		"response_time_ms":      object{"p50": 38.2, "p95": 121.7, "p99": 240.9},
		"task_duration_seconds": object{"p50": 21.4, "p95": 74.0, "p99": 118.3},
		"tasks_completed_total": 4127, "tasks_failed_total": 6, "websocket_connections": 12,
		"canvas_errors_last_minute": 0, "canvas_throttled_total": 0,
		"database_connections_in_use": 6, "database_connections_limit": 10,
		"uptime_seconds": 260123.4, "version": "2.4.1", "commit": "9c1f3e7", "environment": a.env.Name,
		"settings": object{
			"async_workers": 4, "canvas_rate_limit_per_minute": 200, "max_concurrent_tasks": 10, "batch_size": 50,
			"parallel_processing_limit": 5, "progress_update_interval": 2, "canvas_maintenance_mode": false,
		},
	}
	switch a.scenario {
	case MemoryHigh:
		m["memory_usage_mb"], m["memory_usage_percent"] = 481.28, 94.0
	case ErrorRateHigh:
		m["recent_requests"], m["recent_errors"] = 50, 4
	case RecentErrors:
		m["recent_errors"] = 9
	case CanvasThrottled, CanvasThrottled403:
		m["canvas_errors_last_minute"], m["canvas_throttled_total"] = 14, 14
	case RedisGone:
		m["active_sessions"] = nil
	case DatabaseGone:
		m["queued_qa_tasks"], m["database_connections_in_use"] = nil, 0
	}
	writeJSON(w, http.StatusOK, m)
}

// jwks answers with the public key of RFC 7517, appendix A.1, as a signing key.
func jwks(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "public, max-age=300")
	writeJSON(w, http.StatusOK, object{"keys": []object{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "2011-04-29", "e": "AQAB",
		"n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs" +
			"tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbI" +
			"SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
	}}})
}

func writeJSON(w http.ResponseWriter, code int, body object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
