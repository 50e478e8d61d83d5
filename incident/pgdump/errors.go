package pgdump

import (
	"errors"
	"fmt"

	"go.acu.edu.au/runbook/incident"
)

// What a caller branches on, for errors.Is, beside [incident.ErrStale] (the target
// is not what it was when the plan was made), [incident.ErrBusy] (others are at
// work in a target that has something to lose), [incident.ErrNotPermitted] and
// [incident.ErrOutcomeUnknown].
var (
	// ErrVersion means that the programs are older than the server or than the
	// dump. The text has both versions. It is [incident.ErrUnsupported] as well.
	ErrVersion = errors.New("the PostgreSQL programs are too old")
	// ErrDamaged means that a dump is not whole or not as it was made: cut off,
	// changed, not a dump, or not the one of its receipt.
	ErrDamaged = errors.New("the dump is damaged")
	// ErrKey means that none of the identities can read the dump. A change in the
	// first few hundred bytes of a file looks the same.
	ErrKey = errors.New("no identity can read the dump")
	// ErrNotConfirmed means that there is no plan, or that it destroys something
	// and nobody has confirmed it.
	ErrNotConfirmed = errors.New("the plan is not confirmed")
	// ErrElsewhere means that Config.DB and Config.Connection do not lead to the
	// same database with the same user.
	ErrElsewhere = errors.New("the pool and the connection lead to different databases")
)

// Error is an error of this package. It never has a password, and of what a
// program or a server said only a short, quoted part.
type Error struct {
	// Op is what was done: "dump", "verify", "plan restore" or "restore".
	Op string
	// Program is the program that failed: "pg_dump" or "pg_restore". Empty if
	// none did.
	Program string
	// Exit is the exit status of Program, -1 if it was ended by a signal, and 0 if
	// it did not run or did not fail.
	Exit int

	detail  string
	kind    error // a sentinel
	cause   error
	notDone bool
}

// Error says what happened, to what, and what to do.
func (e *Error) Error() string {
	text := "pgdump: " + e.Op + ": "
	if e.Program != "" {
		text += e.Program + ": "
	}
	if e.Exit > 0 {
		text += fmt.Sprintf("exit status %d: ", e.Exit)
	}
	switch {
	case e.kind != nil && e.detail != "":
		return text + e.kind.Error() + ": " + e.detail
	case e.kind != nil:
		return text + e.kind.Error()
	case e.detail != "" && e.cause != nil:
		return text + e.detail + ": " + e.cause.Error()
	case e.cause != nil:
		return text + e.cause.Error()
	}
	return text + e.detail
}

// Is reports whether target is the sentinel that this error is.
func (e *Error) Is(target error) bool {
	return e.kind != nil && (target == e.kind || e.kind == ErrVersion && target == incident.ErrUnsupported)
}

// Unwrap returns the cause: the error of a context, of the host's reader or
// writer, of the pool.
func (e *Error) Unwrap() error { return e.cause }

// SafeToRetry is for [runbook.SafeToRetry].
func (e *Error) SafeToRetry() bool { return e.notDone }

// problem is an Error whose Op is filled in at the end of the operation.
func problem(kind error, format string, args ...any) *Error {
	return &Error{kind: kind, detail: fmt.Sprintf(format, args...)}
}

// because is an Error with a cause that is shown after the detail.
func because(cause error, format string, args ...any) *Error {
	return &Error{cause: cause, detail: fmt.Sprintf(format, args...)}
}

// finish makes any error one of this package, of an operation.
func finish(op string, notDone bool, err error) error {
	if err == nil {
		return nil
	}
	own, ok := err.(*Error)
	if !ok {
		own = &Error{cause: err}
	}
	own.Op, own.notDone = op, notDone
	return own
}

// quote returns foreign text for an operator: quoted, and not long.
func quote(s string) string {
	const most = 200
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
