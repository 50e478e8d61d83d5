package railway

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// A SnapshotRestore says what is restored of a snapshot.
type SnapshotRestore struct {
	// Snapshot is what is restored. Required.
	Snapshot *Snapshot
	// Values are the values of the variables that were sealed, from elsewhere; see
	// [Snapshot.NeedsValues]. An empty one is none.
	Values map[SealedValue]runbook.Secret
	// Settings says that the settings of the services are restored too, and not only
	// the variables.
	Settings bool
	// Incomplete allows that sealed variables without a value are left out. Else
	// nothing is restored without them.
	Incomplete bool
}

// A SnapshotPlan is what restoring a snapshot would do. It is what a person approves.
// It has no values in it and may be kept. All lists are in order.
type SnapshotPlan struct {
	// Environment is the one that is restored into, and Taken when the snapshot was
	// made. What was changed since is overwritten.
	Environment Named
	Taken       time.Time
	// Variables are those that are written, each as "service.NAME" or "shared.NAME":
	// those that are not there, that have another value, or that are sealed and given
	// a value.
	Variables []string
	// Settings are the settings that are written, each as a path: "api.deploy.startCommand".
	Settings []string
	// Kept are the sealed variables without a value that are there, sealed or not, and
	// that stay as they are. Missing are those that are not there and would be left
	// out.
	Kept, Missing []SealedValue
	// NoService are the services of the snapshot that the environment does not have.
	// They have to be created before.
	NoService []string
	// Skipped are settings that are not restored, because they name things that exist
	// once, such as domains and volumes: "api.networking".
	Skipped []string
	// Staged are changes that somebody has staged, as paths. Nothing is restored
	// before they are committed or discarded.
	Staged []string
}

// IsEmpty reports that there is nothing to write.
func (p SnapshotPlan) IsEmpty() bool { return len(p.Variables)+len(p.Settings) == 0 }

// Same reports whether two plans do the same.
func (p SnapshotPlan) Same(q SnapshotPlan) bool {
	return p.Environment == q.Environment && p.Taken.Equal(q.Taken) &&
		slices.Equal(p.Variables, q.Variables) && slices.Equal(p.Settings, q.Settings) &&
		slices.Equal(p.Kept, q.Kept) && slices.Equal(p.Missing, q.Missing) &&
		slices.Equal(p.NoService, q.NoService) && slices.Equal(p.Skipped, q.Skipped) && slices.Equal(p.Staged, q.Staged)
}

// PlanRestoreSnapshot says what restoring a snapshot into the environment would do,
// and changes nothing. The environment may be another one than that of the snapshot:
// services are matched by their names, as a [Target] is. Nothing that is not in the
// snapshot is removed.
func (e *Environment) PlanRestoreSnapshot(ctx context.Context, r SnapshotRestore) (SnapshotPlan, error) {
	restoring, err := e.planSnapshot(ctx, e.c.hiding("plan the restore of a snapshot into environment %s", e), r)
	if err != nil {
		return SnapshotPlan{}, err
	}
	return restoring.plan, nil
}

// RestoreSnapshot does what the plan says, all or nothing, in one commit that deploys
// nothing: redeploy the services, and prove the variables, afterwards.
//
// It plans again first: if that is not the [SnapshotPlan.Same], the error is an
// incident.ErrStale. It is an incident.ErrSealed if values are missing that the
// restore does not leave out: it writes neither null nor an empty value for them. It
// is an incident.ErrBusy if somebody has staged changes. In all of these cases
// nothing was changed. After a lost answer the configuration is read; if that does
// not tell, the error is an incident.ErrOutcomeUnknown. Restoring again is then safe,
// after a new plan.
func (e *Environment) RestoreSnapshot(ctx context.Context, r SnapshotRestore, approved SnapshotPlan) error {
	o := e.c.hiding("restore a snapshot into environment %s", e)
	now, err := e.planSnapshot(ctx, o, r)
	switch {
	case err != nil:
		return err
	case len(now.plan.Staged) > 0:
		return StagedChanges{Paths: now.plan.Staged}.busy(o)
	case !now.plan.Same(approved):
		return o.refuse(incident.ErrStale, "the plan is another one by now; look at it again")
	case len(now.plan.Missing) > 0 && !r.Incomplete:
		return o.refuse(incident.ErrSealed, "the values of %d sealed variables are missing: %s", len(now.plan.Missing), list(texts(now.plan.Missing)))
	case now.plan.IsEmpty():
		return nil
	}
	err = e.changeAlone(ctx, o, now.patch, "restore the configuration of "+now.plan.Taken.UTC().Format(time.RFC3339))
	if !maybeRun(err) {
		return err
	}
	if now.visible == 0 {
		return o.unknown(err, "only sealed variables were to be written, which cannot be seen; restoring again is safe")
	}
	return o.confirm(ctx, err, "plan again; restoring again is safe", func(ctx context.Context) (bool, error) {
		then, err := e.planSnapshot(ctx, o, r)
		return err == nil && then.visible == 0, err
	})
}

func texts(values []SealedValue) (all []string) {
	for _, v := range values {
		all = append(all, v.String())
	}
	return all
}

// A restoring is a restore as it is planned, with the values.
type restoring struct {
	SnapshotRestore
	plan SnapshotPlan
	// patch is what is written.
	patch map[string]any
	// visible is how much of it can be seen afterwards: all but what is sealed.
	visible int
}

func (e *Environment) planSnapshot(ctx context.Context, o op, r SnapshotRestore) (*restoring, error) {
	if r.Snapshot == nil {
		return nil, o.refuse(nil, "there is no snapshot to restore")
	}
	now, err := e.configuration(ctx, o)
	if err != nil {
		return nil, err
	}
	staged, err := e.staged(ctx, o)
	if err != nil {
		return nil, err
	}
	return r.over(o, now, staged)
}

// over plans a restore over a configuration.
func (r SnapshotRestore) over(o op, now *configuration, staged StagedChanges) (*restoring, error) {
	file := r.Snapshot.file()
	p := &restoring{SnapshotRestore: r, patch: make(map[string]any)}
	p.plan = SnapshotPlan{Environment: now.environment, Taken: file.Time, Staged: staged.Paths}
	if shared := p.variables("", object(file.Config, "sharedVariables"), object(now.tree, "sharedVariables")); len(shared) > 0 {
		p.patch["sharedVariables"] = shared
	}
	if err := p.services(o, file, now); err != nil {
		return nil, err
	}
	if r.Settings {
		p.rest(file, now)
	}
	p.sort()
	return p, nil
}

// services plans the services of the snapshot, by their names.
func (p *restoring) services(o op, file snapshotFile, now *configuration) error {
	patches := make(map[string]any)
	for id, name := range file.Services {
		from := object(object(file.Config, "services"), id)
		target, err := find(o, "service", name, now.named())
		if err != nil && !errors.Is(err, incident.ErrNotFound) {
			return err
		}
		if err != nil || from == nil {
			p.plan.NoService = append(p.plan.NoService, name)
			continue
		}
		to := object(object(now.tree, "services"), target.ID)
		patch := make(map[string]any)
		if p.Settings {
			patch = p.settings(name, from, to)
		}
		if v := p.variables(name, object(from, "variables"), object(to, "variables")); len(v) > 0 {
			patch["variables"] = v
		}
		if len(patch) > 0 {
			patches[target.ID] = patch
		}
	}
	if len(patches) > 0 {
		p.patch["services"] = patches
	}
	return nil
}

// variables plans the variables of one service, or the shared ones.
func (p *restoring) variables(service string, from, to map[string]any) map[string]any {
	patch := make(map[string]any)
	for name := range from {
		v := object(from, name)
		now := object(to, name)
		key := SealedValue{service, name}
		if v == nil || isOwn(name) {
			continue
		}
		v = maps.Clone(v)
		switch value, given := p.Values[key]; {
		case v["isSealed"] != true:
			if now["isSealed"] == true {
				v["isSealed"] = true
			}
		case given && !value.IsZero():
			v["value"] = value.Reveal()
		case now != nil:
			p.plan.Kept = append(p.plan.Kept, key)
			continue
		default:
			p.plan.Missing = append(p.plan.Missing, key)
			continue
		}
		if difference(v, now, "", func(string) {}) == nil {
			continue
		}
		patch[name] = withoutNull(v)
		p.plan.Variables = append(p.plan.Variables, key.String())
		if v["isSealed"] != true {
			p.visible++
		}
	}
	return patch
}

// settings plans the settings of one service, also those that nobody here knows.
func (p *restoring) settings(name string, from, to map[string]any) map[string]any {
	from = maps.Clone(from)
	for _, key := range []string{"variables", "isCreated", "isDeleted"} {
		delete(from, key)
	}
	for _, key := range []string{"networking", "volumeMounts", "groupId", "parentServiceId"} {
		p.skip(name+"."+key, from, to, key)
	}
	return p.differing(name, from, to)
}

// rest plans what is in the configuration beside services and shared variables. It
// goes by IDs, and so it is restored into the same environment only.
func (p *restoring) rest(file snapshotFile, now *configuration) {
	from := maps.Clone(file.Config)
	delete(from, "services")
	delete(from, "sharedVariables")
	for _, key := range slices.Sorted(maps.Keys(from)) {
		if file.Environment != now.environment.ID || key == "volumes" || key == "buckets" {
			p.skip(key, from, now.tree, key)
		}
	}
	maps.Copy(p.patch, p.differing("", from, now.tree))
}

// skip takes out of from what is not restored, and says so if it differs.
func (p *restoring) skip(path string, from, to map[string]any, key string) {
	if difference(from[key], to[key], "", func(string) {}) != nil {
		p.plan.Skipped = append(p.plan.Skipped, path)
	}
	delete(from, key)
}

func (p *restoring) differing(path string, from, to map[string]any) map[string]any {
	patch, _ := difference(from, to, path, func(path string) {
		p.plan.Settings = append(p.plan.Settings, path)
		p.visible++
	}).(map[string]any)
	if patch == nil {
		patch = make(map[string]any)
	}
	return patch
}

// difference returns what of from is missing or otherwise in to; nil if nothing is.
// A null is never in it. differs is told the path of each.
func difference(from, to any, path string, differs func(path string)) any {
	a, isObject := from.(map[string]any)
	switch {
	case from == nil || !isObject && reflect.DeepEqual(from, to):
		return nil
	case !isObject:
		differs(path)
		return from
	}
	b, _ := to.(map[string]any)
	patch := make(map[string]any)
	for key := range a {
		below := key
		if path != "" {
			below = path + "." + key
		}
		if d := difference(a[key], b[key], below, differs); d != nil {
			patch[key] = d
		}
	}
	switch {
	case len(patch) > 0:
		return patch
	case len(a) == 0 && to == nil:
		differs(path) // such as a TCP proxy, which is an empty object
		return a
	}
	return nil
}

// withoutNull returns a variable without what is null in it.
func withoutNull(v map[string]any) map[string]any {
	maps.DeleteFunc(v, func(_ string, value any) bool { return value == nil })
	return v
}

func (p *restoring) sort() {
	for _, names := range [][]string{p.plan.Variables, p.plan.Settings, p.plan.NoService, p.plan.Skipped} {
		slices.Sort(names)
	}
	slices.SortFunc(p.plan.Kept, compareSealed)
	slices.SortFunc(p.plan.Missing, compareSealed)
}
