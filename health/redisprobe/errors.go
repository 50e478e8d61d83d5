package redisprobe

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// Causes beside those of [health], each of which asks for another remedy. Where
// package sqlprobe has the same cause, it has the same word.
const (
	CauseStarting    health.Cause = "starting"             // it is still reading its data from disk
	CauseBusy        health.Cause = "busy"                 // a script runs and lets nothing else in
	CauseConnections health.Cause = "too_many_connections" // it has as many clients as it may
	CauseReadOnly    health.Cause = "read_only"            // it is a replica, and was asked to write
	CausePersistence health.Cause = "persistence"          // it could not write its data to disk
	CauseReplication health.Cause = "replication"          // the link between master and replica is broken
)

// tooManyClients is the refusal of a server that has maxclients connections.
// (It also has the code ERR, which says nothing.)
const tooManyClients = "max number of clients"

// refusal returns what tells one error answer from another: its code, which is
// its first word, or for the code ERR the beginning of its text. It is empty
// for an error that is not an answer.
func refusal(err error) string {
	reply, ok := errors.AsType[redis.Error](err)
	if !ok || errors.Is(err, redis.Nil) {
		return ""
	}
	code, text, _ := strings.Cut(reply.Error(), " ")
	if code != "ERR" {
		return code
	}
	for _, known := range [...]string{tooManyClients, "invalid password", "AUTH <password> called", "Client sent AUTH"} {
		if strings.HasPrefix(text, known) {
			return known
		}
	}
	return code
}

// meanings tells what a refusal means.
var meanings = map[string]struct {
	cause health.Cause
	text  string
}{
	"NOAUTH":                 {health.CauseUnauthorized, "it wants a password, and was given none"},
	"WRONGPASS":              {health.CauseUnauthorized, "it does not accept the user name and password"},
	"invalid password":       {health.CauseUnauthorized, "it does not accept the password"},
	"AUTH <password> called": {health.CauseUnauthorized, "it was given a password, and has none"},
	"Client sent AUTH":       {health.CauseUnauthorized, "it was given a password, and has none"},
	"NOPERM":                 {health.CauseUnauthorized, "this user may not do that"},
	"DENIED":                 {health.CauseUnauthorized, "it is in protected mode, and takes connections only from its own host"},
	tooManyClients:           {CauseConnections, "it has as many clients as it may (maxclients)"},
	"LOADING":                {CauseStarting, "it is still loading its data from disk"},
	"BUSY":                   {CauseBusy, "it is busy with a script that runs too long"},
	"OOM":                    {health.CauseThreshold, "it has used all of maxmemory and may not evict enough"},
	"MISCONF":                {CausePersistence, "it could not write its data to disk, and therefore takes no writes"},
	"READONLY":               {CauseReadOnly, "it is a replica and takes no writes"},
	"MASTERDOWN":             {CauseReplication, "its link to the master is down, and it may not serve old data"},
	"NOREPLICAS":             {CauseReplication, "it has too few good replicas to take writes (min-replicas-to-write)"},
	"CLUSTERDOWN":            {health.CauseFailed, "the cluster is down"},
	"MOVED":                  {health.CauseFailed, "the key belongs to another node of the cluster"},
	"ASK":                    {health.CauseFailed, "the key is being moved to another node of the cluster"},
}

// A failure says why a step of a probe did not succeed.
type failure struct {
	netcheck.Finding
	reply bool // the server answered, by refusing
}

// add adds the failure to r. Refused is what it means if the server answered.
func (f failure) add(r health.Result, refused health.Status) health.Result {
	if f.reply {
		f.Status = refused
	}
	return f.Finding.Add(r)
}

// failed returns a failure in the present step.
func (l *link) failed(cause health.Cause, format string, args ...any) failure {
	return failure{Finding: netcheck.Down(cause, "%s: %s", l.step, fmt.Sprintf(format, args...))}
}

// explain finds out why the present step failed with err.
func (l *link) explain(ctx context.Context, err error) failure {
	code := refusal(err)
	switch {
	case ctx.Err() != nil:
		return failure{Finding: l.line.Explain(ctx, err)}
	case errors.Is(err, errNoCredentials):
		return failure{Finding: netcheck.Finding{Status: health.Unknown, Cause: health.CauseNotAsked, Message: errNoCredentials.Error()}}
	case errors.Is(err, errNotRedis):
		return l.failed(health.CauseProtocol, "%v", errNotRedis)
	case errors.Is(err, errTooLarge):
		return l.failed(health.CauseTooLarge, "%v", errTooLarge)
	case code != "":
		return l.refused(err, code)
	}
	f := l.line.Explain(ctx, err)
	switch {
	case f.Cause != health.CauseFailed:
		return failure{Finding: f}
	case errors.Is(err, errOnConnect):
		return l.failed(health.CauseFailed, "%v", errOnConnect)
	}
	// The connection stood, and no error of the network is left.
	return l.failed(health.CauseProtocol, "the answer breaks Redis's protocol")
}

// refused says what an error answer means. An unknown one is shown, but not
// during the login, when it may repeat the password.
func (l *link) refused(err error, code string) failure {
	cause, text := health.CauseFailed, "it answered with an error"
	if m, ok := meanings[code]; ok {
		cause, text = m.cause, m.text
	} else if reply, ok := errors.AsType[redis.Error](err); ok && !l.ready.IsZero() {
		text = "it answered " + netcheck.Quote(reply.Error())
	}
	f := l.failed(cause, "%s", text)
	f.reply = true
	return f
}
