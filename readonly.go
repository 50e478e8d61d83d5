package runbook

import "context"

// ErrReadOnly means that a call that would change something was refused because its
// context is read only. Nothing was sent: [SafeToRetry] is true of it, and of every error
// that wraps it and does not say otherwise.
var ErrReadOnly error = readOnly{}

type readOnly struct{}

func (readOnly) Error() string     { return "read only: nothing may be changed here" }
func (readOnly) SafeToRetry() bool { return true }

type readOnlyKey struct{}

// ReadOnly returns a context in which nothing may be changed: a plan is made in one.
// Every call of this module that changes something, at a provider, in a database or in a
// store of credentials, refuses it there, before anything is sent, with an error that
// wraps [ErrReadOnly]; those of hosts do the same:
//
//	if runbook.IsReadOnly(ctx) {
//		return fmt.Errorf("end all sessions: %w", runbook.ErrReadOnly)
//	}
//
// What only reads works as ever, also if it takes a POST, and so does getting an access
// token by a grant that uses nothing up. Not guarded is what a program keeps of its own
// work, to which no plan comes: the history and leases of package health, the ledger of a
// schedule, and the store behind an alert router, which itself refuses. There is no way
// back: a context that is made of a read-only one is read only.
func ReadOnly(ctx context.Context) context.Context {
	return context.WithValue(ctx, readOnlyKey{}, true)
}

// IsReadOnly reports whether nothing may be changed in a context.
func IsReadOnly(ctx context.Context) bool {
	only, ok := ctx.Value(readOnlyKey{}).(bool)
	return ok && only
}
