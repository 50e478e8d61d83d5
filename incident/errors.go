package incident

import "errors"

// What a caller of a port branches on, for errors.Is.
var (
	// ErrOutcomeUnknown means that a change was asked for, and that it is not
	// known whether it was made: the answer was lost, and reading the state
	// afterwards did not tell. The caller reads the state later, or asks a
	// person; only where a port says so may it simply ask again.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrNotFound means that the platform does not have what was named, or does
	// not keep what was asked for.
	ErrNotFound = errors.New("not found")
	// ErrNotPermitted means that the platform refuses this to the identity that
	// asks. Somebody else may do it: a person with more rights.
	ErrNotPermitted = errors.New("not permitted")
)
