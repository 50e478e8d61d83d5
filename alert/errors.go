package alert

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
)

// What may be known of a notification that did not arrive, for errors.Is. An error
// that is neither of these, and of which runbook.SafeToRetry is false, leaves open
// whether the message arrived.
var (
	// ErrRefused means that the service does not take the message, and will not if
	// it is sent again: the channel does not exist, the token is not valid. The
	// fallback target gets it.
	ErrRefused = errors.New("refused")
	// ErrLimited means that the service takes no more messages for a while. Nothing
	// was sent. [Error].RetryAfter is how long to wait, if it says.
	ErrLimited = errors.New("too many messages")
)

// An Error is a notification that did not arrive, or of which that is not known. All
// notifiers return it.
type Error struct {
	// Service is what was asked: "slack". Op is what was done: "post message".
	Service, Op string
	// Status is the status code of the answer; 0 means that there was none.
	Status int
	// Code is the service's own name for the error: "channel_not_found".
	Code string
	// RetryAfter is how long the service asks to wait; 0 if it does not say.
	RetryAfter time.Duration
	// Kind is ErrRefused, ErrLimited, or nil if neither is known.
	Kind error
	// Unsent means that it is proven that nothing was sent.
	Unsent bool
	// Err is the cause: the error of the network, of the context. May be nil.
	Err error
}

// Error says what failed and how.
func (e *Error) Error() string {
	parts := []string{"alert: " + e.Service + ": " + e.Op}
	if e.Status != 0 {
		parts = append(parts, fmt.Sprintf("status %d", e.Status))
	}
	if e.Kind != nil {
		parts = append(parts, e.Kind.Error())
	}
	if e.Code != "" {
		parts = append(parts, e.Code)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	text := strings.Join(parts, ": ")
	if e.RetryAfter > 0 {
		text += fmt.Sprintf(" (wait %s)", e.RetryAfter.Round(time.Second))
	}
	return text
}

// Is reports whether the error is of the kind target.
func (e *Error) Is(target error) bool { return target != nil && e.Kind == target }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// SafeToRetry reports whether it is proven that nothing was sent. That the service
// refused the message proves it too, and sending it again is of no use.
func (e *Error) SafeToRetry() bool { return e.Unsent || e.Kind != nil }

// outcome is what an error of a notifier means for the message.
type outcome uint8

const (
	delivered outcome = iota
	unsent            // try again
	limited           // try again, later
	refused           // never again
	unknown           // it may have arrived
)

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return delivered
	case errors.Is(err, ErrLimited):
		return limited
	case errors.Is(err, ErrRefused):
		return refused
	case runbook.SafeToRetry(err):
		return unsent
	}
	return unknown
}
