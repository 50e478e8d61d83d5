package railway

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// A Volume is a volume of a service, with its backups: incremental copies within
// Railway, which are lost with the volume or the project and restore only into the
// environment that they come from (https://docs.railway.com/volumes/backups). It is
// safe for concurrent use, and costs nothing to keep.
type Volume struct {
	s    *Service
	name string
}

// Volume returns a volume of the service by its name, its ID, or the path where it
// is mounted. Only the path is still right after a restore, which mounts another
// volume there. The empty name is right if the service has one volume. It costs no
// call: the methods of the volume say if there is none, or several.
func (s *Service) Volume(name string) *Volume { return &Volume{s: s, name: name} }

// EnsureVolume makes sure that the service has a volume at a path, in its own
// environment, and returns it. One that is there is returned as it is; a new one is
// empty, is where Railway chooses, and is mounted by the next deployment. The error
// is an incident.ErrOutcomeUnknown if it may be there later; a call can be repeated.
func (s *Service) EnsureVolume(ctx context.Context, mountPath string) (*Volume, error) {
	o := s.c.op("make sure of a volume of service %s at %q", s, printable(mountPath, 100))
	if !strings.HasPrefix(mountPath, "/") {
		return nil, o.refuse(nil, "the path must begin with /")
	}
	is := func(ctx context.Context) (bool, error) {
		all, err := s.env.volumeInstances(ctx, o)
		return slices.ContainsFunc(all, func(f *gql.VolumeInstanceFields) bool {
			return gql.Text(f.ServiceId) == s.id && f.MountPath == mountPath
		}), err
	}
	there, err := is(ctx)
	if err != nil {
		return nil, err
	}
	if !there {
		// Without an environment Railway makes a volume that is nowhere.
		_, err := gql.VolumeCreate(ctx, o, s.project, s.environment, s.id, mountPath, nil)
		if err != nil && !maybeRun(err) {
			return nil, err
		}
		if err := o.confirm(ctx, err, "look at the volumes of the service", is); err != nil {
			return nil, err
		}
	}
	return s.Volume(mountPath), nil
}

// volumeInstances returns the volumes of the environment that are not deleted.
func (e *Environment) volumeInstances(ctx context.Context, o op) (list []*gql.VolumeInstanceFields, err error) {
	all := pages(o, func(after *string) ([]*gql.VolumeInstanceFields, *string, error) {
		got, err := gql.VolumeInstances(ctx, o, e.id, &e.project, pageSize, after)
		if err != nil {
			return nil, nil, err
		}
		found := got.Environment.VolumeInstances
		var items []*gql.VolumeInstanceFields
		for _, edge := range found.Edges {
			items = append(items, edge.Node)
		}
		return items, next(found.PageInfo.HasNextPage, found.PageInfo.EndCursor), nil
	})
	for v, err := range all {
		if err != nil {
			return nil, err
		}
		if !isDeleted(v.DeletedAt) && !v.IsPendingDeletion && !inState(v, gql.VolumeStateDeleted, gql.VolumeStateDeleting) {
			list = append(list, v)
		}
	}
	return list, nil
}

func inState(v *gql.VolumeInstanceFields, states ...gql.VolumeState) bool {
	return v.State != nil && slices.Contains(states, *v.State)
}

// find returns the volume as the environment has it now.
func (v *Volume) find(ctx context.Context, o op) (*gql.VolumeInstanceFields, error) {
	all, err := v.s.env.volumeInstances(ctx, o)
	if err != nil {
		return nil, err
	}
	return v.among(o, all)
}

// among returns the volume out of all of the environment.
func (v *Volume) among(o op, all []*gql.VolumeInstanceFields) (*gql.VolumeInstanceFields, error) {
	mounted := slices.DeleteFunc(slices.Clone(all), func(f *gql.VolumeInstanceFields) bool { return gql.Text(f.ServiceId) != v.s.id })
	switch {
	case len(mounted) == 0:
		return nil, o.refuse(incident.ErrNotFound, "the service has no volume")
	case v.name == "" && len(mounted) == 1:
		return mounted[0], nil
	case v.name == "":
		var names []string
		for _, f := range mounted {
			names = append(names, fmt.Sprintf("%s (%q at %s)", f.Id, f.Volume.Name, f.MountPath))
		}
		slices.Sort(names)
		return nil, o.refuse(nil, "the service has %d volumes; choose one with Service.Volume: %s", len(names), list(names))
	}
	for _, f := range mounted {
		if f.MountPath == v.name || f.VolumeId == v.name {
			return f, nil
		}
	}
	found, err := find(o, "volume", v.name, volumeNames(mounted))
	if err != nil {
		return nil, err
	}
	return mounted[slices.IndexFunc(mounted, func(f *gql.VolumeInstanceFields) bool { return f.Id == found.ID })], nil
}

func volumeNames(volumes []*gql.VolumeInstanceFields) iter.Seq2[Named, error] {
	return func(yield func(Named, error) bool) {
		for _, f := range volumes {
			if !yield(Named{f.Id, f.Volume.Name}, nil) {
				return
			}
		}
	}
}

// idle is an incident.ErrBusy while Railway itself is at work on a volume.
func idle(o op, f *gql.VolumeInstanceFields) error {
	if inState(f, gql.VolumeStateRestoring, gql.VolumeStateUpdating, gql.VolumeStateMigrating, gql.VolumeStateMigrationPending) {
		return o.refuse(incident.ErrBusy, "volume %q is %s", f.Volume.Name, strings.ToLower(string(*f.State)))
	}
	return nil
}
