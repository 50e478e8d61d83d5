package railway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// PlanRestore plans for the volume of the service, as [Volume.PlanRestore].
func (s *Service) PlanRestore(ctx context.Context, id string) (incident.RestorePlan, error) {
	return s.Volume("").PlanRestore(ctx, id)
}

// RestoreBackup restores the volume of the service, as [Volume.RestoreBackup].
func (s *Service) RestoreBackup(ctx context.Context, p incident.RestorePlan) (incident.Restored, error) {
	return s.Volume("").RestoreBackup(ctx, p)
}

// PlanRestore says what restoring a backup would do. Railway deletes all backups
// that are newer, also locked ones, and restores only into the environment that the
// backup is of (https://docs.railway.com/volumes/backups). The error is an
// incident.ErrUnsupported for a cluster with replicas, which would keep their own
// data; the dashboard can restore those.
func (v *Volume) PlanRestore(ctx context.Context, id string) (incident.RestorePlan, error) {
	p, _, _, err := v.plan(ctx, v.s.c.op("plan to restore backup %s of service %s", printable(id, 100), v.s), id)
	return p, err
}

// plan returns the plan, the volume, and the IDs of the other volumes of the
// environment.
func (v *Volume) plan(ctx context.Context, o op, id string) (p incident.RestorePlan, f *gql.VolumeInstanceFields, others []string, err error) {
	all, err := v.s.env.volumeInstances(ctx, o)
	if err != nil {
		return p, nil, nil, err
	}
	if f, err = v.among(o, all); err != nil {
		return p, nil, nil, err
	}
	list, err := listBackups(ctx, o, f.Id)
	if err != nil {
		return p, nil, nil, err
	}
	newer, err := indexOf(o, f, list, id)
	if err != nil {
		return p, nil, nil, err
	}
	services, err := v.s.env.configServices(ctx, true) // whether it is a cluster is a variable
	if err != nil {
		return p, nil, nil, err
	}
	if isCluster(services, v.s.id) {
		return p, nil, nil, o.refuse(incident.ErrUnsupported,
			"the service is a cluster: its replicas would keep the data of now; restore it in the dashboard, which renews them too")
	}
	for _, other := range all {
		if other.VolumeId != f.VolumeId {
			others = append(others, other.VolumeId)
		}
	}
	return v.planOf(f, list[newer], list[:newer:newer]), f, others, nil
}

func (v *Volume) planOf(f *gql.VolumeInstanceFields, b incident.Backup, newer []incident.Backup) incident.RestorePlan {
	return incident.RestorePlan{
		Backup: b, Target: fmt.Sprintf("volume %q (%s) at %s%s", f.Volume.Name, f.Id, f.MountPath, v.s.scope()), Deletes: newer,
		Destroys: []string{
			fmt.Sprintf("what was written since %s: it is not in the backup, and stays only on volume %q, which is kept and no longer mounted", b.Created.UTC().Format(time.RFC3339), f.Volume.Name),
			"the connections of the service: it is deployed anew with the other volume, and is down meanwhile",
		},
	}
}

// scope is the end of a target: a backup cannot be restored elsewhere.
func (s *Service) scope() string {
	return fmt.Sprintf(", of service %s in environment %s of project %s", s.id, s.environment, s.project)
}

// RestoreBackup does what the plan says. Railway copies the backup into a new
// volume, which takes up to half an hour and more, and stages the swap of the two;
// this is committed if nothing but the swap is staged, and the service is being
// deployed with the new volume when the call returns. The old one is kept, not
// mounted; [incident.Restored].Kept names it.
//
// While changes of somebody else are staged in the environment it is an
// incident.ErrBusy before anything is begun, and so is a restore in the same
// environment by the same [Client]. A plan for another service, environment or
// project is an incident.ErrUnsupported.
//
// Each error after the beginning is an incident.ErrOutcomeUnknown that says what to
// look at. The data of now is not touched before the commit, and kept after it.
func (v *Volume) RestoreBackup(ctx context.Context, p incident.RestorePlan) (incident.Restored, error) {
	o := v.s.c.op("restore backup %s of service %s", printable(p.Backup.ID, 100), v.s)
	leave, alone := v.s.c.restoring.enter(v.s.environment)
	if !alone {
		return incident.Restored{}, o.refuse(incident.ErrBusy, "another restore in the environment is under way")
	}
	defer leave()
	old, others, err := v.restorable(ctx, o, p)
	if err != nil {
		return incident.Restored{}, err
	}
	got, err := gql.BackupRestore(ctx, o, old.Id, p.Backup.ID)
	switch {
	case maybeRun(err):
		return incident.Restored{}, o.unknown(err, "it may have been begun: Railway then copies the backup, and stages the swap of volumes; "+
			"look at the staged changes of the environment, and commit them to finish it, or discard them")
	case err != nil:
		return incident.Restored{}, err
	case got.VolumeInstanceBackupRestore.WorkflowId == nil:
		return incident.Restored{}, o.unknown(nil, "it was begun, and cannot be followed; look at the staged changes of the environment, and commit the swap of volumes to finish it")
	}
	if err := o.c.follow(ctx, o, *got.VolumeInstanceBackupRestore.WorkflowId, restoreLimit); err != nil {
		return incident.Restored{}, o.unknown(err, "nothing was committed, and the data of now is in place; newer backups may be gone; "+
			"look at the staged changes of the environment: if the swap of volumes is among them, commit it to finish the restore, or discard it")
	}
	if err := v.commitSwap(ctx, o, old, others); err != nil {
		return incident.Restored{}, err
	}
	return v.restored(ctx, o, old, p)
}

// restorable checks everything that can be checked before the beginning. It returns
// the volume, and the IDs of all others.
func (v *Volume) restorable(ctx context.Context, o op, p incident.RestorePlan) (*gql.VolumeInstanceFields, []string, error) {
	if !strings.HasSuffix(p.Target, v.s.scope()) {
		return nil, nil, o.refuse(incident.ErrUnsupported, "the plan is for %s, and Railway restores a backup only to where it comes from", printable(p.Target, maxText))
	}
	now, f, others, err := v.plan(ctx, o, p.Backup.ID)
	if err != nil {
		return nil, nil, err
	}
	if !now.Same(p) {
		return nil, nil, o.refuse(incident.ErrStale, "it would do something else by now than the plan says; plan again")
	}
	if err := idle(o, f); err != nil {
		return nil, nil, err
	}
	hiding := o
	hiding.hides = true
	return f, others, v.s.env.nothingStaged(ctx, hiding)
}

// commitSwap commits the swap of volumes, once it is staged, if nothing else is. All
// of its errors are outcomes that are not known: the copy is made.
func (v *Volume) commitSwap(ctx context.Context, o op, old *gql.VolumeInstanceFields, others []string) error {
	env := v.s.env
	hiding := o
	hiding.hides = true
	var staged StagedChanges
	var err error
	seen := watch(ctx, seenLimit, func(ctx context.Context) (swapped bool, _ error) {
		if staged, err = env.staged(ctx, hiding); err != nil || !staged.IsEmpty() {
			return true, err
		}
		// Somebody may have committed it in the dashboard.
		swapped, _, err = v.swapped(ctx, o, old)
		return swapped, err
	})
	switch {
	case !seen:
		return o.unknown(err, "the backup is copied, and the swap of volumes is not staged as far as can be seen; look at the staged changes of the environment")
	case staged.IsEmpty():
		return nil
	}
	if foreign := foreignPaths(staged.Paths, v.s.id, old.VolumeId, others); len(foreign) > 0 {
		return o.unknown(nil, "the backup is copied and the swap of volumes staged, but nothing was committed, because something else is staged by now: "+
			list(foreign)+"; commit all of it to finish the restore, or discard it")
	}
	message := "Restore a backup of " + v.s.String()
	if err := env.commitStaged(ctx, hiding, staged, message, false); err != nil {
		return o.unknown(err, "the backup is copied, and the commit of the swap of volumes was not seen to succeed; look at the staged changes of the environment")
	}
	return nil
}

// foreignPaths returns the staged paths that are not of the swap: that is a new
// volume, and what is mounted at the service. The old one stays.
func foreignPaths(paths []string, service, old string, others []string) (foreign []string) {
	for _, path := range paths {
		parts := strings.Split(path, ".")
		switch {
		case len(parts) >= 3 && parts[0] == "services" && parts[1] == service && parts[2] == "volumeMounts":
		case len(parts) >= 2 && parts[0] == "volumes" && !slices.Contains(others, parts[1]) && (parts[1] != old || !deletes(parts)):
		default:
			foreign = append(foreign, path)
		}
	}
	return foreign
}

// deletes reports whether a path into a volume may delete it.
func deletes(parts []string) bool { return len(parts) == 2 || parts[2] == "isDeleted" }

// swapped reports whether another volume than the old one is mounted in its place,
// and returns the ID of its instance.
func (v *Volume) swapped(ctx context.Context, o op, old *gql.VolumeInstanceFields) (bool, string, error) {
	all, err := v.s.env.volumeInstances(ctx, o)
	if err != nil {
		return false, "", err
	}
	instance := ""
	for _, f := range all {
		switch {
		case gql.Text(f.ServiceId) != v.s.id || f.MountPath != old.MountPath:
		case f.VolumeId == old.VolumeId:
			return false, "", nil
		default:
			instance = f.Id
		}
	}
	return instance != "", instance, nil
}

// restored observes what a restore did.
func (v *Volume) restored(ctx context.Context, o op, old *gql.VolumeInstanceFields, p incident.RestorePlan) (incident.Restored, error) {
	var left []incident.Backup
	var err error
	seen := watch(ctx, seenLimit, func(ctx context.Context) (done bool, _ error) {
		var instance string
		if done, instance, err = v.swapped(ctx, o, old); err == nil && done {
			left, err = listBackups(ctx, o, instance)
		}
		return done, err
	})
	if !seen {
		return incident.Restored{}, o.unknown(err, "the swap of volumes is committed; look at the volumes and the backups of the service")
	}
	r := incident.Restored{Backup: p.Backup, Kept: fmt.Sprintf("volume %q (%s), not mounted", old.Volume.Name, old.Id)}
	for _, b := range p.Deletes {
		if !slices.ContainsFunc(left, func(x incident.Backup) bool { return x.ID == b.ID }) {
			r.Deleted = append(r.Deleted, b)
		}
	}
	return r, nil
}

// A busy is the set of what is under way, for what is done by one at a time.
type busy struct {
	sync.Mutex
	keys map[string]bool
}

// enter adds a key, unless it is there.
func (b *busy) enter(key string) (leave func(), ok bool) {
	b.Lock()
	defer b.Unlock()
	if b.keys[key] {
		return nil, false
	}
	if b.keys == nil {
		b.keys = make(map[string]bool)
	}
	b.keys[key] = true
	return func() {
		b.Lock()
		defer b.Unlock()
		delete(b.keys, key)
	}, true
}
