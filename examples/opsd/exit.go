package main

import (
	"context"
	"errors"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// Exit codes. Each says something else to a script, and to whoever reads its log.
const (
	exitDone     = 0 // it was done, or all is well
	exitNot      = 1 // it was not: refused, denied, failed; or something is degraded
	exitDown     = 2 // something is down
	exitCouldNot = 3 // it could not be asked or begun, and nothing was changed; also wrong usage, or a wrong configuration
	exitGoesOn   = 4 // it goes on, and nobody follows it any more
	exitUnknown  = 5 // nobody knows whether it was done: look before doing it again
)

const exitCodes = `Exit codes:
  0  it was done, or all is well
  1  it was not done: refused, denied, failed; of check and doctor: something is degraded
  2  something is down
  3  it could not be asked or begun, and nothing was changed; also a wrong usage or configuration
  4  it goes on, and nobody follows it any more
  5  nobody knows whether it was done: look before you do it again`

// quiet is an error whose reason was shown already.
type quiet struct{ code int }

func (quiet) Error() string { return "" }

// codeOf is the exit code of an error.
func codeOf(err error) int {
	if q, ok := errors.AsType[quiet](err); ok {
		return q.code
	}
	p, isProblem := errors.AsType[*httpapi.Problem](err)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, incident.ErrOutcomeUnknown) || isProblem && p.Code == "outcome-unknown":
		return exitUnknown
	case isProblem && p.Status < 500 && p.Code != "unauthenticated":
		return exitNot
	case errors.Is(err, context.Canceled):
		return exitCouldNot
	}
	return exitCouldNot
}

// codeOfHealth is the exit code of what was found.
func codeOfHealth(s health.Status) int {
	switch s {
	case health.Healthy, health.Maintenance:
		return exitDone
	case health.Degraded:
		return exitNot
	case health.Unhealthy:
		return exitDown
	}
	return exitCouldNot
}

// codeOfRun is the exit code of a run as it is.
func codeOfRun(r incident.Run) int {
	switch r.State {
	case incident.StateSucceeded:
		return exitDone
	case incident.StateFailed, incident.StateUndone, incident.StateCancelled:
		return exitNot
	}
	return exitGoesOn
}
