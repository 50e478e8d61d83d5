package sqlprobe

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"regexp"
	"strings"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// Causes beside those of [health], each of which asks for another remedy. Where
// package redisprobe has the same cause, it has the same word.
const (
	// CausePool means that all connections of the host's pool were in use: the
	// database was not asked.
	CausePool health.Cause = "pool"
	// CauseConnections means that the server accepts no more connections.
	CauseConnections health.Cause = "too_many_connections"
	// CauseStarting means that the server is starting up, shutting down or in
	// recovery, and accepts no connections yet or any more.
	CauseStarting health.Cause = "starting"
	// CauseShutdown means that the server closed the connection because an
	// administrator, or a crash of another of its processes, made it.
	CauseShutdown health.Cause = "shutdown"
	// CauseReadOnly means that the server takes no writes although it should.
	CauseReadOnly health.Cause = "read_only"
	// CauseReplication means that a replica receives nothing from its primary.
	CauseReplication health.Cause = "replication"
	// CauseDiskFull means that the server has no disk space.
	CauseDiskFull health.Cause = "disk_full"
)

// States that the code asks for by name (PostgreSQL, appendix A).
const (
	insufficientPrivilege = "42501"
	undefinedTable        = "42P01"
	lockNotAvailable      = "55P03"
	notInPrerequisite     = "55000"
	queryCanceled         = "57014"
)

// stateOf returns the SQLSTATE in an error, or "". pgx and lib/pq have the
// method on their error types.
func stateOf(err error) string {
	type stater interface {
		error
		SQLState() string
	}
	if e, ok := errors.AsType[stater](err); ok {
		return e.SQLState()
	}
	return ""
}

// known returns the cause and an operator's words for a SQLSTATE.
func known(state string) (health.Cause, string) {
	switch state {
	case "28P01", "28000":
		return health.CauseUnauthorized, "the server does not accept the role or its password"
	case "3D000":
		return health.CauseMissing, "the database does not exist on the server"
	case "53300":
		return CauseConnections, "the server accepts no more connections"
	case "53100":
		return CauseDiskFull, "the server has no disk space"
	case "53200":
		return health.CauseFailed, "the server is out of memory"
	case "57P01":
		return CauseShutdown, "an administrator ended the connection"
	case "57P02":
		return CauseShutdown, "the server ended the connection after a crash"
	case "57P03":
		return CauseStarting, "the server is starting up or shutting down"
	case "57P05":
		return health.CauseConnection, "the server ended the connection because it was idle"
	case "25006":
		return CauseReadOnly, "the statement writes, in a transaction that only reads"
	case "25P03":
		return health.CauseTimeout, "the server ended the transaction because it was idle"
	case queryCanceled:
		return health.CauseTimeout, "the statement was cancelled"
	case lockNotAvailable:
		return health.CauseTimeout, "the lock was not available"
	case insufficientPrivilege:
		return health.CauseUnauthorized, "permission denied"
	}
	return "", ""
}

// missing is an error because something that should exist does not.
type missing struct{ what string }

func (m *missing) Error() string { return m.what }

// explain returns the cause of an error, and a line for operators that has no
// secret and nobody's data.
func explain(err error) (health.Cause, string) {
	if m, ok := errors.AsType[*missing](err); ok {
		return health.CauseMissing, m.what
	}
	state := stateOf(err)
	if cause, text := known(state); cause != "" {
		return cause, text + " (SQLSTATE " + state + ")"
	}
	cause := health.CauseOf(err)
	switch {
	case strings.HasPrefix(state, "08"), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone):
		cause = health.CauseConnection
	case strings.HasPrefix(state, "22"), strings.HasPrefix(state, "23"):
		// The server's words quote the value that it did not like.
		return health.CauseFailed, "the query failed on a value (SQLSTATE " + state + ")"
	}
	return cause, oneLine(err.Error())
}

// isBroken reports whether the connection cannot be used any more.
func isBroken(err error) bool {
	cause, _ := explain(err)
	return cause == health.CauseConnection || cause == CauseShutdown || cause == CauseStarting
}

// Where drivers' errors have credentials: in URLs, and in lists of keys and
// values.
var (
	userinfo = regexp.MustCompile(`//\S*@`)
	password = regexp.MustCompile(`(?i)\b(\w*(?:password|passwd|pwd|secret|token)\w*)["']?\s*[=:]\s*('[^']*'|"[^"]*"|\S+)`)
)

// How many characters of foreign texts are shown.
const (
	mostText  = 300 // of an error
	mostQuery = 200
)

// mostRead is how many bytes of a foreign text are looked at.
const mostRead = 8 << 10

// oneLine returns a foreign text in one line, without credentials.
func oneLine(text string) string {
	text = text[:min(len(text), mostRead)]
	text = userinfo.ReplaceAllString(text, "//")
	text = password.ReplaceAllString(text, "$1=[redacted]")
	return netcheck.Shorten(text, mostText)
}
