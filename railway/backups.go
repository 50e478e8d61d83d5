package railway

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

var (
	_ incident.Backups        = (*Service)(nil)
	_ incident.BackupRestorer = (*Service)(nil)
	_ incident.Backups        = (*Volume)(nil)
	_ incident.BackupRestorer = (*Volume)(nil)
)

// Backups returns the backups of the volume of the service; [Service.Volume] chooses
// if it has several.
func (s *Service) Backups(ctx context.Context) ([]incident.Backup, error) {
	return s.Volume("").Backups(ctx)
}

// CreateBackup backs up the volume of the service, as [Volume.CreateBackup].
func (s *Service) CreateBackup(ctx context.Context, name string) (incident.Backup, error) {
	return s.Volume("").CreateBackup(ctx, name)
}

// Backups returns the backups of the volume, the newest first. Size is what a
// backup refers to, in bytes, of which Railway counts a million to the MB; what it
// costs is less, because backups share what did not change.
func (v *Volume) Backups(ctx context.Context) ([]incident.Backup, error) {
	o := v.s.c.op("list the backups of service %s", v.s)
	f, err := v.find(ctx, o)
	if err != nil {
		return nil, err
	}
	return listBackups(ctx, o, f.Id)
}

// bytesOfMB is a megabyte of Railway's: its volumes of 5 GB have 5000.
const bytesOfMB = 1_000_000

func listBackups(ctx context.Context, o op, instance string) (list []incident.Backup, err error) {
	got, err := gql.Backups(ctx, o, instance)
	if err != nil {
		return nil, err
	}
	for _, b := range got.VolumeInstanceBackupList {
		one := incident.Backup{ID: b.Id, Name: printable(gql.Text(b.Name), maxText), Created: b.CreatedAt}
		if b.ExpiresAt != nil {
			one.Expires = *b.ExpiresAt
		}
		// Not usedMB: it changes with other backups, and is hours old.
		if b.ReferencedMB != nil {
			one.Size = int64(*b.ReferencedMB) * bytesOfMB
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b incident.Backup) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(b.ID, a.ID))
	})
	return list, nil
}

// CreateBackup makes a backup, follows it to its end, and returns it. Railway keeps
// a backup made so until it is deleted. It is an incident.ErrUnsupported, before
// anything is tried, if more than half of the volume is in use: Railway backs up no
// more by hand (https://docs.railway.com/volumes/backups).
func (v *Volume) CreateBackup(ctx context.Context, name string) (incident.Backup, error) {
	o := v.s.c.op("back up service %s as %q", v.s, printable(name, 100))
	if strings.TrimSpace(name) == "" {
		return incident.Backup{}, o.refuse(nil, "a backup needs a name, to be found again")
	}
	f, err := v.find(ctx, o)
	if err != nil {
		return incident.Backup{}, err
	}
	before, err := listBackups(ctx, o, f.Id)
	if err != nil {
		return incident.Backup{}, err
	}
	named := func(b incident.Backup) bool { return b.Name == printable(name, maxText) }
	if i := slices.IndexFunc(before, named); i >= 0 {
		return before[i], nil
	}
	if err := canBackUp(o, f); err != nil {
		return incident.Backup{}, err
	}
	// The answer has no ID. What has the name afterwards, and was not there before,
	// is it.
	got, err := gql.BackupCreate(ctx, o, f.Id, name)
	if err != nil && !maybeRun(err) {
		return incident.Backup{}, err
	}
	if err == nil && got.VolumeInstanceBackupCreate.WorkflowId != nil {
		if err := o.c.follow(ctx, o, *got.VolumeInstanceBackupCreate.WorkflowId, commitLimit); err != nil {
			return incident.Backup{}, err
		}
	}
	b, seen := awaitBackup(ctx, o, f.Id, named)
	if !seen {
		return incident.Backup{}, o.unknown(err, "no backup of that name is listed yet; look at the list in a few minutes")
	}
	return b, nil
}

// canBackUp says what is known to be refused before it is tried.
func canBackUp(o op, f *gql.VolumeInstanceFields) error {
	if err := idle(o, f); err != nil {
		return err
	}
	if f.SizeMB > 0 && f.CurrentSizeMB > float64(f.SizeMB)/2 {
		return o.refuse(incident.ErrUnsupported, "%.0f of %d MB of volume %q are in use, and Railway backs up no more than half of a volume by hand; grow it first",
			f.CurrentSizeMB, f.SizeMB, f.Volume.Name)
	}
	return nil
}

// awaitBackup waits until a backup is listed.
func awaitBackup(ctx context.Context, o op, instance string, is func(incident.Backup) bool) (b incident.Backup, seen bool) {
	seen = watch(ctx, seenLimit, func(ctx context.Context) (bool, error) {
		list, err := listBackups(ctx, o, instance)
		i := slices.IndexFunc(list, is)
		if i >= 0 {
			b = list[i]
		}
		return i >= 0, err
	})
	return b, seen
}

// backup returns one backup, and the volume that it is of.
func (v *Volume) backup(ctx context.Context, o op, id string) (*gql.VolumeInstanceFields, incident.Backup, error) {
	f, err := v.find(ctx, o)
	if err != nil {
		return nil, incident.Backup{}, err
	}
	list, err := listBackups(ctx, o, f.Id)
	if err != nil {
		return nil, incident.Backup{}, err
	}
	i, err := indexOf(o, f, list, id)
	if err != nil {
		return nil, incident.Backup{}, err
	}
	return f, list[i], nil
}

func indexOf(o op, f *gql.VolumeInstanceFields, list []incident.Backup, id string) (int, error) {
	i := slices.IndexFunc(list, func(b incident.Backup) bool { return b.ID == id })
	if i < 0 {
		return 0, o.refuse(incident.ErrNotFound, "volume %q has no such backup", f.Volume.Name)
	}
	return i, nil
}

// DeleteBackup deletes a backup for good, and waits until it is gone. The error is
// an incident.ErrNotFound if there is none of that ID.
func (v *Volume) DeleteBackup(ctx context.Context, id string) error {
	o := v.s.c.op("delete backup %s of service %s", printable(id, 100), v.s)
	f, _, err := v.backup(ctx, o, id)
	if err != nil {
		return err
	}
	got, err := gql.BackupDelete(ctx, o, f.Id, id)
	if err != nil && !maybeRun(err) {
		return err
	}
	if err == nil && got.VolumeInstanceBackupDelete.WorkflowId != nil {
		if err := o.c.follow(ctx, o, *got.VolumeInstanceBackupDelete.WorkflowId, commitLimit); err != nil {
			return err
		}
	}
	return o.confirm(ctx, err, "look at the list in a few minutes", func(ctx context.Context) (bool, error) {
		list, err := listBackups(ctx, o, f.Id)
		return err == nil && !slices.ContainsFunc(list, func(b incident.Backup) bool { return b.ID == id }), err
	})
}

// LockBackup keeps a backup from expiring, and returns it as it is then. It cannot
// be taken back; it can still be deleted, also by restoring an older one.
func (v *Volume) LockBackup(ctx context.Context, id string) (incident.Backup, error) {
	o := v.s.c.op("lock backup %s of service %s", printable(id, 100), v.s)
	f, b, err := v.backup(ctx, o, id)
	if err != nil || b.Expires.IsZero() {
		return b, err
	}
	got, err := gql.BackupLock(ctx, o, f.Id, id)
	err = o.answered(got.VolumeInstanceBackupLock, err)
	if err != nil && !maybeRun(err) {
		return incident.Backup{}, err
	}
	err = o.confirm(ctx, err, "look at the list in a few minutes", func(ctx context.Context) (bool, error) {
		list, err := listBackups(ctx, o, f.Id)
		i := slices.IndexFunc(list, func(b incident.Backup) bool { return b.ID == id && b.Expires.IsZero() })
		if i >= 0 {
			b = list[i]
		}
		return i >= 0, err
	})
	return b, err
}
