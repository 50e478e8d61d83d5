package incident

import (
	"context"
	"slices"
	"time"
)

// Backups are the backups that a platform itself makes of the data of one service.
// They are lost with the platform, and often restore only to where they came
// from: what must survive goes through a [Dumper].
type Backups interface {
	// Backups returns the backups that can be restored, the newest first. None is
	// no error. It may be called concurrently. The error is ErrNotPermitted, or
	// ErrNotFound if the service has no data that is backed up. The slice belongs
	// to the caller.
	Backups(ctx context.Context) ([]Backup, error)

	// CreateBackup makes a backup, follows it to its end, and returns it as it is
	// listed then. If there is one of that name it is returned, and none is made:
	// so a call can be repeated after any error. Several calls at the same time may
	// make several.
	//
	// An empty name is an error without a call. The error is ErrNotPermitted,
	// ErrNotFound as above, ErrBusy if another one is being made or restored, and
	// ErrUnsupported if the platform has a limit that is reached; none was made
	// then. ErrOutcomeUnknown means that it may be there later. A context that has
	// ended before changes nothing.
	CreateBackup(ctx context.Context, name string) (Backup, error)
}

// BackupRestorer is a [Backups] that can restore one.
type BackupRestorer interface {
	// PlanRestore says what restoring a backup would do, and changes nothing. It
	// may be called concurrently. The error is ErrNotFound if there is no such
	// backup, ErrUnsupported if it cannot be restored, ErrNotPermitted.
	PlanRestore(ctx context.Context, id string) (RestorePlan, error)

	// RestoreBackup does what the plan says, follows it to its end, and returns
	// what was observed. It plans again first: if that is not the [RestorePlan.Same],
	// the error is ErrStale. It is never sent twice. One call at a time: another
	// one meanwhile gets ErrBusy.
	//
	// The error is ErrNotFound, ErrUnsupported, ErrNotPermitted, ErrStale, or
	// ErrBusy (also if changes of other people would be made along), and nothing
	// was changed. ErrOutcomeUnknown means that it may have been done, in part or
	// whole, or may still be going on: a person has to look before anything is
	// tried again. That includes the end of ctx after the beginning. A context
	// that has ended before changes nothing.
	RestoreBackup(ctx context.Context, p RestorePlan) (Restored, error)
}

// A Backup is a copy of the data of a service.
type Backup struct {
	// ID is what the platform calls it, Name what it was called by whoever made it.
	ID, Name string
	// Created is when it was made. What was written since is not in it.
	Created time.Time
	// Expires is when the platform deletes it; zero means never, or not known.
	Expires time.Time
	// Size is in bytes; zero means not known.
	Size int64
}

// A RestorePlan is what restoring a backup would do. It is what a person approves.
type RestorePlan struct {
	// Backup is what is restored.
	Backup Backup
	// Target names what is overwritten: a service, a volume.
	Target string
	// Deletes are the backups that are gone afterwards, the newest first: on many
	// platforms all that are newer.
	Deletes []Backup
	// Destroys is what else is lost, and what stops meanwhile, one thing in each
	// line: what was written since the backup, the connections of the service.
	// There is always something.
	Destroys []string
}

// Same reports whether two plans do the same. Times are compared as instants.
func (p RestorePlan) Same(q RestorePlan) bool {
	return p.Backup.same(q.Backup) && p.Target == q.Target &&
		slices.EqualFunc(p.Deletes, q.Deletes, Backup.same) && slices.Equal(p.Destroys, q.Destroys)
}

func (b Backup) same(c Backup) bool {
	return b.ID == c.ID && b.Name == c.Name && b.Created.Equal(c.Created) && b.Expires.Equal(c.Expires) && b.Size == c.Size
}

// Restored is what was observed after a restore.
type Restored struct {
	// Backup is what was restored.
	Backup Backup
	// Deleted are the backups of the plan that are gone, the newest first.
	Deleted []Backup
	// Kept names what still holds the data from before, if the platform keeps it:
	// the way back. Empty if there is none.
	Kept string
}
