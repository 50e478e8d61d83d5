package runbook

import (
	"context"
	"errors"
)

// ErrReadOnly means that a call that would change something was refused because its
// context is read only. Nothing was sent.
var ErrReadOnly = errors.New("read only: nothing may be changed here")

type readOnlyKey struct{}

// ReadOnly returns a context in which nothing may be changed: a plan is made in one.
// Every call of this module that changes something at a provider refuses it there, with
// [ErrReadOnly], before anything is sent; hosts do the same for calls of their own.
func ReadOnly(ctx context.Context) context.Context {
	return context.WithValue(ctx, readOnlyKey{}, true)
}

// IsReadOnly reports whether nothing may be changed in a context.
func IsReadOnly(ctx context.Context) bool {
	only, ok := ctx.Value(readOnlyKey{}).(bool)
	return ok && only
}
