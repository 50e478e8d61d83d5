package redisprobe

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"go.acu.edu.au/runbook/health"
)

// Causes that only Redis has, beside those of [health].
const (
	CauseLoading     health.Cause = "loading"     // it is still reading its data from disk
	CauseBusy        health.Cause = "busy"        // a script runs and lets nothing else in
	CauseMaxClients  health.Cause = "max_clients" // it has as many connections as it may
	CauseReadOnly    health.Cause = "read_only"   // it is a replica, and was asked to write
	CausePersistence health.Cause = "persistence" // it could not write its data to disk
	CauseReplication health.Cause = "replication" // the link between master and replica is broken
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
	tooManyClients:           {CauseMaxClients, "it has as many clients as it may (maxclients)"},
	"LOADING":                {CauseLoading, "it is still loading its data from disk"},
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
	cause health.Cause
	text  string // what happened, without the step and the address
	reply bool   // the server answered, by refusing
}

// explain finds out why a step failed with err. Quote allows to show the text
// of an answer that is not known. An answer during the login may repeat the
// password, and is not shown.
func explain(ctx context.Context, err error, quote bool) failure {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return failure{cause: health.CauseFailed, text: "the probe was cancelled"}
	case ctx.Err() != nil:
		return failure{cause: health.CauseTimeout, text: "no answer within the time allowed"}
	case errors.Is(err, errNotRedis):
		return failure{cause: health.CauseProtocol, text: errNotRedis.Error()}
	case errors.Is(err, errTooLarge):
		return failure{cause: health.CauseTooLarge, text: errTooLarge.Error()}
	}
	if code := refusal(err); code != "" {
		return explainRefusal(err, code, quote)
	}
	switch cause := health.CauseOf(err); cause {
	case health.CauseTimeout:
		return failure{cause: cause, text: "no answer within the time allowed"}
	case health.CauseConnection:
		return failure{cause: cause, text: "the connection broke before the answer was complete"}
	case health.CauseFailed:
		// The connection stood, and no error of the network is left.
		return failure{cause: health.CauseProtocol, text: "the answer breaks Redis's protocol"}
	default:
		return failure{cause: cause, text: err.Error()}
	}
}

func explainRefusal(err error, code string, quote bool) failure {
	f := failure{cause: health.CauseFailed, reply: true}
	if m, ok := meanings[code]; ok {
		f.cause, f.text = m.cause, m.text
		return f
	}
	f.text = "it answered with an error"
	if reply, ok := errors.AsType[redis.Error](err); ok && quote {
		f.text = fmt.Sprintf("it answered %.120q", reply.Error())
	}
	return f
}

// explainDial finds out why no connection could be made.
func explainDial(ctx context.Context, err error) failure {
	if ctx.Err() != nil {
		return explain(ctx, err, false)
	}
	return failure{cause: health.CauseOf(err), text: err.Error()}
}
