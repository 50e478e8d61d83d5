package incident

import (
	"context"
	"errors"
)

// Codes of outcomes, beside those that [CodeOf] gives to the sentinels of the package.
const (
	codeTimeout     = "timeout"      // the time of the attempt was over
	codePanic       = "panic"        // a func of the playbook panicked
	codeUnknownStep = "unknown step" // the program no longer has the step
	codeHeld        = "held"         // automatic actions are not allowed now
	codeFinal       = "final"        // it cannot succeed
	codeNotYet      = "not yet"      // what is waited for is not so
	codeExpired     = "expired"      // nobody answered in time
	codeDenied      = "denied"       // somebody said no
	codeTooLarge    = "too large"    // its output is too large, or cannot be marshalled
	codeLate        = "too late"     // the time of the run was over before it began
)

// codes are the sentinels that an outcome can name. The first that fits is taken.
var codes = []struct {
	err   error
	code  string
	final bool
}{
	{ErrOutcomeUnknown, "outcome unknown", false},
	{ErrNotFound, "not found", true},
	{ErrNotPermitted, "not permitted", true},
	{ErrUnsupported, "not supported", true},
	{ErrSealed, "sealed", true},
	{ErrStale, "changed meanwhile", false},
	{ErrBusy, "busy", false},
	{errFinal, codeFinal, true},
	{context.DeadlineExceeded, codeTimeout, false},
}

// CodeOf returns the name by which an outcome keeps an error, since errors do not
// survive a crash: "outcome unknown", "not found", "not permitted", "not supported",
// "sealed", "changed meanwhile" and "busy" for the sentinels of this package, "final" for
// [Final], "timeout", and else "failed". Of no error it is empty.
func CodeOf(err error) string {
	if err == nil {
		return ""
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return "failed"
}

var errFinal = errors.New("final")

// Final marks an error as one of which trying again makes no difference: the step that
// returns it is not tried again. ErrNotFound, ErrNotPermitted, ErrUnsupported and
// ErrSealed are final without it.
func Final(err error) error { return &finalError{err} }

type finalError struct{ error }

func (e *finalError) Unwrap() error        { return e.error }
func (e *finalError) Is(target error) bool { return target == errFinal }

// isFinal reports whether trying again makes no difference to what ended with a code.
func isFinal(code string) bool {
	for _, c := range codes {
		if c.code == code {
			return c.final
		}
	}
	return oneOf(code, codeUnknownStep, codeHeld, codeTooLarge, codeLate)
}
