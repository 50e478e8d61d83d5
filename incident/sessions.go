package incident

import "context"

// Sessions are the sign-ins of an application's users.
type Sessions interface {
	// EndSessions ends all sessions, of everybody, and returns how many there were,
	// or -1 if the application does not tell. Sessions that begin meanwhile may
	// stay. It may be called concurrently. The error is ErrNotPermitted, or another
	// one, and none was ended; or ErrOutcomeUnknown. Asking again is always safe.
	// A context that has ended before changes nothing.
	EndSessions(ctx context.Context) (ended int, err error)
}

// SessionsFunc makes a function a [Sessions].
type SessionsFunc func(ctx context.Context) (ended int, err error)

// EndSessions calls f.
func (f SessionsFunc) EndSessions(ctx context.Context) (ended int, err error) { return f(ctx) }
