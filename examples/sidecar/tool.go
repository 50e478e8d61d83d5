package main

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
	"go.acu.edu.au/runbook/health/redisprobe"
	"go.acu.edu.au/runbook/health/sqlprobe"
	"go.acu.edu.au/runbook/health/wsprobe"
	"go.acu.edu.au/runbook/lti/doctor"
)

// A tool watches one application, and answers what that asks.
type tool struct {
	settings
	database   *sql.DB
	redis      *redis.Client
	monitor    *health.Monitor
	alerts     *alerts
	budgets    map[string]*budget        // by instance
	doctors    map[string]*doctor.Doctor // by instance
	diagnosing chan struct{}             // has room for one
	http       *http.Client              // of the doctor; nil is its own
}

// newTool reads the environment and reports everything that is wrong with it.
// No error shows a value, since URLs hold passwords. patience is how many
// results in a row must fail before the application counts as down.
func newTool(getenv func(string) string, patience int, logger *slog.Logger) (*tool, error) {
	s, err := readSettings(getenv)
	errs := []error{err}
	t := &tool{settings: s, diagnosing: make(chan struct{}, 1)}
	database, err := pgx.ParseConfig(s.databaseURL)
	if err != nil || s.databaseURL == "" {
		errs = append(errs, errors.New("sidecar: DATABASE_URL must be the URL of a PostgreSQL database"))
	} else {
		t.database = stdlib.OpenDB(*database)
		t.database.SetMaxOpenConns(2)
		t.database.SetConnMaxIdleTime(5 * time.Minute)
	}
	options, err := redis.ParseURL(s.redisURL)
	if err != nil {
		errs = append(errs, errors.New("sidecar: REDIS_URL must be the URL of a Redis server"))
	} else {
		t.redis = redis.NewClient(options)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	checks, err := t.checks(patience)
	if err != nil {
		return nil, err
	}
	t.monitor, err = health.New(health.Config{Checks: checks, History: &health.MemoryHistory{}, Logger: logger})
	errs = []error{err}
	t.alerts, err = newAlerts(s, logger)
	errs = append(errs, err)
	t.budgets, err = t.newBudgets()
	errs = append(errs, err)
	t.doctors, err = t.newDoctors()
	return t, errors.Join(append(errs, err)...)
}

func (t *tool) close() { _ = errors.Join(t.database.Close(), t.redis.Close()) }

// words are what the application calls its states.
var words = map[string]health.Status{
	"healthy": health.Healthy, "degraded": health.Degraded, "maintenance": health.Maintenance, "unhealthy": health.Unhealthy,
}

// checks are all that is watched, with the intervals and limits of the runbook.
func (t *tool) checks(patience int) ([]health.Check, error) {
	postgres, err := t.postgres()
	errs := []error{err}
	cache, err := redisprobe.New(redisprobe.Config{Client: t.redis, Write: true, Memory: percent(80, 90)})
	errs = append(errs, err)
	echo, err := wsprobe.New(wsprobe.Config{URL: t.application + "/ws/echo", Send: "are you there?", Latency: health.Budget{Warn: 5 * time.Second}})
	errs = append(errs, err)
	get := func(path string, cfg httpprobe.Config) health.Prober {
		cfg.URL = t.application + path
		cfg.Latency = health.Budget{Warn: 5 * time.Second}
		p, err := httpprobe.New(cfg)
		errs = append(errs, err)
		return p
	}
	status := []httpprobe.Assertion{{Path: ".status", Want: words}}
	operator := httpprobe.Auth{Bearer: t.token}
	saying := []int{http.StatusOK, http.StatusServiceUnavailable} // both come with a body that says why

	checks := []health.Check{
		{Name: "postgres", Interval: time.Minute, Prober: postgres},
		{Name: "redis", Interval: time.Minute, Optional: true, Prober: cache},
		{Name: "application", FailureThreshold: patience, DependsOn: []string{"postgres"}, Prober: get("/health", httpprobe.Config{Assert: status, Status: saying})},
		{Name: "application/database", Interval: time.Minute, DependsOn: []string{"postgres", "application"}, Prober: get("/health/database", httpprobe.Config{Assert: status, Status: saying})},
		{Name: "application/metrics", Interval: 5 * time.Minute, DependsOn: []string{"application"}, Prober: get("/health/metrics", httpprobe.Config{Auth: operator, Extract: metrics()})},
		{Name: "application/keys", Interval: time.Minute, DependsOn: []string{"application"}, Prober: get("/.well-known/jwks.json", httpprobe.Config{Contains: `"keys"`})},
		{Name: "application/websocket", Interval: time.Minute, Optional: true, DependsOn: []string{"application"}, Prober: echo},
	}
	for _, path := range []string{"/health/metrics", "/health/security-metrics", "/health/canvas/rate-limits"} {
		checks = append(checks, health.Check{
			Name: "closed" + path, Interval: 5 * time.Minute, DependsOn: []string{"application"},
			Prober: get(path, httpprobe.Config{Status: []int{http.StatusUnauthorized}}),
		})
	}
	for _, instance := range instances {
		checks = append(checks, health.Check{
			Name: "application/canvas/" + instance, Interval: time.Minute, Optional: instance != "prod", DependsOn: []string{"application"},
			Prober: get("/health/canvas?instance="+url.QueryEscape(instance), httpprobe.Config{Assert: status, Status: saying}),
		})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	return checks, nil
}

// postgres looks at the database from the side: what holds it up, and how full
// it is.
func (t *tool) postgres() (health.Prober, error) {
	seconds := func(warn float64) *sqlprobe.Diagnostic {
		return &sqlprobe.Diagnostic{Limit: health.Limit{Warn: &warn}}
	}
	ask := sqlprobe.Everything()
	ask.Connections = &sqlprobe.Diagnostic{Limit: percent(80, 95)}
	ask.LongTransactions, ask.Blocked, ask.IdleInTransaction = seconds(300), seconds(10), seconds(300)
	ask.SlowQueries.Limit = health.Limit{Warn: new(5000.0)}
	ask.Wraparound = &sqlprobe.Diagnostic{Limit: percent(50, 80)}
	return sqlprobe.New(sqlprobe.Config{DB: t.database, Postgres: ask})
}

func percent(warn, fail float64) health.Limit { return health.Limit{Warn: &warn, Fail: &fail} }

// metrics are the numbers of the application, with the runbook's limits.
func metrics() []httpprobe.Field {
	return []httpprobe.Field{
		{Path: ".active_sessions", Optional: true},
		{Path: ".active_qa_tasks", Optional: true},
		{Path: ".recent_errors", Limit: health.Limit{Warn: new(5.0)}},
		{Path: ".memory_usage_mb", Unit: health.Megabytes},
		{Path: ".memory_usage_mb", Name: "memory_usage", Of: ".memory_limit_mb", Limit: percent(80, 90)},
		{Path: ".recent_errors", Name: "error_rate", Of: ".recent_requests", Optional: true, Limit: health.Limit{Warn: new(5.0)}},
		{Path: ".response_time_ms.p95", Name: "response_time_p95", Unit: health.Milliseconds, Optional: true},
		{Path: ".websocket_connections", Optional: true},
		{Path: ".version"},
	}
}
