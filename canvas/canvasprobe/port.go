package canvasprobe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/incident"
)

// portError puts the words of package incident to an error of canvas that means
// that nothing was changed.
func portError(what string, err error) error {
	switch {
	case errors.Is(err, canvas.ErrNotFound):
		return fmt.Errorf("canvasprobe: %s: %w: %w", what, incident.ErrNotFound, err)
	case errors.Is(err, canvas.ErrForbidden), errors.Is(err, canvas.ErrScope):
		return fmt.Errorf("canvasprobe: %s: %w: %w", what, incident.ErrNotPermitted, err)
	}
	return fmt.Errorf("canvasprobe: %s: %w", what, err)
}

// unknownOutcome is the error of a change of which nobody knows whether it was
// made.
func unknownOutcome(what string, err error) error {
	return &outcomeUnknown{what, err}
}

type outcomeUnknown struct {
	what  string
	cause error
}

func (e *outcomeUnknown) Error() string {
	return "canvasprobe: " + e.what + ": " + incident.ErrOutcomeUnknown.Error() + ": " + e.cause.Error()
}
func (e *outcomeUnknown) Unwrap() []error { return []error{incident.ErrOutcomeUnknown, e.cause} }

// SafeToRetry says that nothing is proven, whatever the last attempt proved.
func (e *outcomeUnknown) SafeToRetry() bool { return false }

// mayHaveRun reports whether a change that failed may have been made all the
// same. What Canvas refuses, it has not done.
func mayHaveRun(err error) bool {
	if runbook.SafeToRetry(err) {
		return false
	}
	e, ok := errors.AsType[*canvas.Error](err)
	return !ok || e.Status < 400 || e.Status >= 500
}

// afterwards returns a context for reading what came of a change. It outlives
// ctx by up to 15 seconds: whoever gave up waiting still needs to know, and the
// answer decides whether the next step may be taken.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
}
