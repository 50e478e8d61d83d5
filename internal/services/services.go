// Package services gives tests the real servers that they need, or skips them
// with a reason. Where RUNBOOK_REQUIRE_SERVICES is 1, a test that would be
// skipped fails instead, so that a full run cannot pass by skipping.
package services

import (
	"os"
	"testing"
)

// The environment variables that tell where the servers are.
const (
	// PostgresURL is the URL of a PostgreSQL database in which tests may create
	// and drop schemas: "postgres://runbook@127.0.0.1:15432/runbook".
	PostgresURL = "RUNBOOK_POSTGRES_URL"
	// RedisURL is the URL of a Redis server whose database tests may write:
	// "redis://127.0.0.1:16379/0".
	RedisURL = "RUNBOOK_REDIS_URL"
	// PostgresBin is the folder of initdb, pg_ctl and postgres, for tests that
	// start, stop and freeze a server of their own.
	PostgresBin = "RUNBOOK_POSTGRES_BIN"
	// RedisServer is the redis-server program, for the same.
	RedisServer = "RUNBOOK_REDIS_SERVER"
	// Python is a Python 3 that has FastAPI, uvicorn, asyncpg and redis, for
	// tests that start the application of examples/sidecar.
	Python = "RUNBOOK_PYTHON"
	// Chromium is the browser program, for tests that look at pages.
	Chromium = "RUNBOOK_CHROMIUM"
)

// Need returns the value of an environment variable that names a server or a
// program. Without it the test is skipped, or fails where all services are
// required.
func Need(t testing.TB, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		Missing(t, variable+" is not set")
	}
	return value
}

// Missing skips the test for a reason, or fails it where all services are
// required.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("RUNBOOK_REQUIRE_SERVICES") == "1" {
		t.Fatalf("%s, and RUNBOOK_REQUIRE_SERVICES is 1", reason)
	}
	t.Skip(reason)
}
