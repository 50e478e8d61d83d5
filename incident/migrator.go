package incident

import "context"

// Migrator brings the schema of a database to the version that the deployed
// application wants. With what command is a matter of whoever makes the Migrator.
type Migrator interface {
	// Migrate runs the migration, follows it to its end, and returns what was
	// observed. That it ran and failed is a result and no error. One at a time:
	// another one meanwhile gets ErrBusy.
	//
	// The error is ErrNotPermitted, ErrNotFound if there is nothing to run it in,
	// or another one, and it was not begun. If it may have begun and its end was
	// not seen, also after the end of ctx, the error is ErrOutcomeUnknown: a person
	// looks at the schema before it is tried again. A context that has ended before
	// changes nothing.
	Migrate(ctx context.Context) (Migration, error)
}

// MigratorFunc makes a function a [Migrator].
type MigratorFunc func(ctx context.Context) (Migration, error)

// Migrate calls f.
func (f MigratorFunc) Migrate(ctx context.Context) (Migration, error) { return f(ctx) }

// A Migration is what a migration did.
type Migration struct {
	// Succeeded says that it ran to its end without a failure.
	Succeeded bool
	// From and To are the versions of the schema before and after; empty if they
	// are not known. They are the same if there was nothing to do.
	From, To string
	// Deployment is the ID of the deployment that it was a part of; empty if it was
	// none.
	Deployment string
	// Output is the last of what it printed, a line each, without control
	// characters. At most 100 lines. It may have personal data in it.
	Output []string
}
