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
	// ErrUnsupported means that the platform cannot do this, whoever asks, and
	// that nothing was changed. Another way has to be taken.
	ErrUnsupported = errors.New("not supported")
	// ErrStale means that what the call was based on is no longer so: somebody
	// else changed it. Nothing was changed. The caller reads, and decides again.
	ErrStale = errors.New("changed meanwhile")
	// ErrBusy means that something else is under way that has to end first, or
	// that somebody else's work would be swept along. Nothing was changed. It may
	// work later, or a person has to look.
	ErrBusy = errors.New("busy")
	// ErrSealed means that the platform has the value and shows it to nobody. It
	// can be replaced, and it is not missing.
	ErrSealed = errors.New("sealed")
)
