package railway

import (
	"context"

	"go.acu.edu.au/runbook/incident"
)

// confirm reads the state after a change until look says that it shows the change.
// cause is the error of the change if its answer was lost, and nil if it was
// answered: reads lag behind changes. If the state does not show it within a few
// seconds, the error is an incident.ErrOutcomeUnknown with the advice.
func (o op) confirm(ctx context.Context, cause error, advice string, look func(ctx context.Context) (shown bool, err error)) error {
	switch {
	case watch(ctx, showLimit, look):
		return nil
	case cause == nil:
		return o.unknown(nil, "Railway took the change and does not show it; "+advice)
	}
	return o.unknown(cause, advice)
}

// answered turns the answer false into an error, since the state has to decide then
// too.
func (o op) answered(did bool, err error) error {
	if err == nil && !did {
		return o.declined()
	}
	return err
}

// needsMember refuses what a project token cannot do, before it is tried.
func (o op) needsMember() error {
	if o.c.kind != ProjectToken {
		return nil
	}
	return o.refuse(incident.ErrNotPermitted, "a project token cannot do this: it takes a token of an account or a workspace")
}
