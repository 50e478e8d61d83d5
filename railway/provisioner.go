package railway

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
	"go.acu.edu.au/runbook/railway/internal/scalar"
)

var _ incident.Provisioner = (*Client)(nil)

// existing is find where none is no error.
func existing(o op, what, name string, all iter.Seq2[Named, error]) (n Named, ok bool, err error) {
	var list []Named
	for n, err := range all {
		if err != nil {
			return Named{}, false, err
		}
		list = append(list, n)
	}
	n, err = find(o, what, name, func(yield func(Named, error) bool) {
		for _, n := range list {
			if !yield(n, nil) {
				return
			}
		}
	})
	if errors.Is(err, incident.ErrNotFound) {
		return Named{}, false, nil
	}
	return n, err == nil, err
}

// appears waits until something is listed, after it was made or may have been, and
// fails with an incident.ErrOutcomeUnknown if it is not. cause is the error of the
// change if its answer was lost.
func appears(ctx context.Context, o op, what, name string, cause error, all func(context.Context) iter.Seq2[Named, error]) (n Named, err error) {
	err = o.confirm(ctx, cause, "look for the "+what+" in a few minutes, before it is made again", func(ctx context.Context) (bool, error) {
		var seen bool
		var err error
		n, seen, err = existing(o, what, name, all(ctx))
		return seen, err
	})
	return n, err
}

// EnsureProject makes sure that a workspace has a project. Owner is the workspace,
// by ID or name; it may be empty if the token sees only one. A project is found by
// its name as in a [Target]. Railway gives a new project an environment of the name
// "production". A project token finds its own project and makes none.
func (c *Client) EnsureProject(ctx context.Context, p incident.ProjectSpec) (incident.Provisioned, error) {
	o := c.op("make sure of project %q", printable(p.Name, 100))
	if err := p.Validate(); err != nil {
		return incident.Provisioned{}, o.refuse(nil, "%v", err)
	}
	if c.kind == ProjectToken {
		env, err := c.ownEnvironment(ctx, o, Target{Project: p.Name})
		if err != nil {
			return incident.Provisioned{}, err
		}
		return incident.Provisioned{ID: env.project, Name: p.Name}, nil
	}
	workspace, err := c.workspace(ctx, o, p.Owner)
	if err != nil {
		return incident.Provisioned{}, err
	}
	all := func(ctx context.Context) iter.Seq2[Named, error] { return c.projectsOf(ctx, o, workspace) }
	there, ok, err := existing(o, "project", p.Name, all(ctx))
	if err != nil || ok {
		return incident.Provisioned{ID: there.ID, Name: there.Name}, err
	}
	_, err = gql.ProjectCreate(ctx, o, p.Name, &workspace, nil)
	if err != nil && !maybeRun(err) {
		return incident.Provisioned{}, err
	}
	made, err := appears(ctx, o, "project", p.Name, err, all)
	return incident.Provisioned{ID: made.ID, Name: made.Name, Created: err == nil}, err
}

// workspace returns the ID of a workspace that the token sees.
func (c *Client) workspace(ctx context.Context, o op, owner string) (string, error) {
	got, err := gql.TokenWorkspaces(ctx, o)
	if err != nil {
		return "", err
	}
	var all []Named
	var names []string
	for _, w := range got.ApiToken.Workspaces {
		all = append(all, Named{w.Id, w.Name})
		names = append(names, fmt.Sprintf("%s (%q)", w.Id, w.Name))
	}
	slices.Sort(names)
	switch {
	case owner == "" && len(all) == 1:
		return all[0].ID, nil
	case owner == "":
		return "", o.refuse(nil, "the token sees %d workspaces; name one as the owner: %s", len(all), list(names))
	}
	found, err := find(o, "workspace", owner, func(yield func(Named, error) bool) {
		for _, w := range all {
			if !yield(w, nil) {
				return
			}
		}
	})
	return found.ID, err
}

// EnsureEnvironment makes sure that a project has an environment, found by its name
// as in a [Target]. A new one is empty; [Environment.Copy] makes one with services.
// A name that is taken by what the token cannot see is an error that says so: a
// restricted environment, or what a failed copy left. A project token finds its own
// environment and makes none.
func (c *Client) EnsureEnvironment(ctx context.Context, e incident.EnvironmentSpec) (incident.Provisioned, error) {
	o := c.op("make sure of environment %q", printable(e.Name, 100))
	if err := e.Validate(); err != nil {
		return incident.Provisioned{}, o.refuse(nil, "%v", err)
	}
	if c.kind == ProjectToken {
		env, err := c.ownEnvironment(ctx, o, Target{Project: e.Project, Environment: e.Name})
		if err != nil {
			return incident.Provisioned{}, err
		}
		return incident.Provisioned{ID: env.id, Name: env.name}, nil
	}
	if err := c.liveProject(ctx, o, e.Project); err != nil {
		return incident.Provisioned{}, err
	}
	there, ok, err := existing(o, "environment", e.Name, c.environments(ctx, o, e.Project))
	if err != nil || ok {
		return incident.Provisioned{ID: there.ID, Name: there.Name}, err
	}
	made, err := c.createEnvironment(ctx, o, e.Project, e.Name, nil)
	return incident.Provisioned{ID: made.ID, Name: made.Name, Created: err == nil}, err
}

// liveProject checks that a project is there and not deleted.
func (c *Client) liveProject(ctx context.Context, o op, id string) error {
	got, err := gql.Project(ctx, o, id)
	if err != nil {
		return err
	}
	if isDeleted(got.Project.DeletedAt) {
		return o.refuse(incident.ErrNotFound, "project %s is deleted", id)
	}
	return nil
}

// EnsureService makes sure that an environment has a service, found by its name as
// in a [Target], with its variables from the start, so that the first build has them.
//
// An image is named as for docker, a repository as "owner/name", and a template by
// its code: "postgres". Of a template with several services, one must have the name
// of the service; the variables are those of that one. A service that the project
// has in other environments only is added to this one.
//
// Railway cannot seal what it makes a service with. Seal is staged and committed
// afterwards, without a deployment; if changes of somebody else are staged it is an
// incident.ErrBusy before anything is made. The error is an
// incident.ErrOutcomeUnknown that says so if the service was made and not sealed.
//
// Railway puts a service that is made into all environments of the project that are
// no copies of a pull request; in the others it has nothing to run.
//
// A mark is a variable of the service, RUNBOOK_MADE, from the start. It is never put on
// a service that the project has already.
func (c *Client) EnsureService(ctx context.Context, spec incident.ServiceSpec) (incident.Provisioned, error) {
	o := c.hiding("make sure of service %q", printable(spec.Name, 100))
	if err := spec.Validate(); err != nil {
		return incident.Provisioned{}, o.refuse(nil, "%v", err)
	}
	spec, err := marked(o, spec)
	if err != nil {
		return incident.Provisioned{}, err
	}
	env := &Environment{c: c, project: asID(spec.Project), id: asID(spec.Environment)}
	all := func(ctx context.Context) iter.Seq2[Named, error] { return env.instances(ctx, o) }
	there, ok, err := existing(o, "service", spec.Name, all(ctx))
	if err != nil || ok {
		return incident.Provisioned{ID: there.ID, Name: there.Name}, err
	}
	elsewhere, known, err := existing(o, "service", spec.Name, c.services(ctx, o, env.project))
	if err != nil {
		return incident.Provisioned{}, err
	}
	if len(spec.Seal) > 0 {
		if err := env.nothingStaged(ctx, o); err != nil {
			return incident.Provisioned{}, err
		}
	}
	switch {
	case known && spec.Mark != "":
		return incident.Provisioned{}, o.refuse(incident.ErrUnsupported, "the project has a service of that name in other environments, %s, which is not made anew and gets no mark; use another name", elsewhere.ID)
	case known && spec.Template != "":
		return incident.Provisioned{}, o.refuse(incident.ErrUnsupported, "the project has a service of that name in other environments, %s; a template makes another one: use another name", elsewhere.ID)
	case known:
		err = env.add(ctx, o, elsewhere.ID, spec)
	case spec.Template != "":
		err = env.deployTemplate(ctx, o, spec)
	default:
		err = env.createService(ctx, o, spec)
	}
	if err != nil && !maybeRun(err) {
		return incident.Provisioned{}, err
	}
	made, err := appears(ctx, o, "service", spec.Name, err, all)
	if err != nil {
		return incident.Provisioned{}, err
	}
	if err := env.seal(ctx, o, made.ID, spec); err != nil {
		return incident.Provisioned{}, o.unknown(err, "service "+made.ID+" was made, and its variables were not sealed; seal "+list(spec.Seal))
	}
	return incident.Provisioned{ID: made.ID, Name: made.Name, Created: true}, nil
}

// instances yields the services that the environment has; the project may have more.
func (e *Environment) instances(ctx context.Context, o op) iter.Seq2[Named, error] {
	return pages(o, func(after *string) (list []Named, _ *string, _ error) {
		got, err := gql.EnvironmentStatus(ctx, o, e.id, &e.project, pageSize, after)
		if err != nil {
			return nil, nil, err
		}
		if isDeleted(got.Environment.DeletedAt) {
			return nil, nil, o.refuse(incident.ErrNotFound, "environment %s is deleted", e.id)
		}
		found := got.Environment.ServiceInstances
		for _, edge := range found.Edges {
			if !isDeleted(edge.Node.DeletedAt) {
				list = append(list, Named{edge.Node.ServiceId, edge.Node.ServiceName})
			}
		}
		return list, next(found.PageInfo.HasNextPage, found.PageInfo.EndCursor), nil
	})
}

func (e *Environment) createService(ctx context.Context, o op, spec incident.ServiceSpec) error {
	var variables *scalar.Values
	if len(spec.Variables) > 0 {
		values := make(scalar.Values, len(spec.Variables))
		for name, value := range spec.Variables {
			text := value.Reveal()
			values[name] = &text
		}
		variables = &values
	}
	if spec.Image == "" && spec.Repository == "" {
		_, err := gql.ServiceCreateEmpty(ctx, o, e.project, e.id, spec.Name, variables)
		return err
	}
	_, err := gql.ServiceCreate(ctx, o, e.project, e.id, spec.Name, optional(spec.Image), optional(spec.Repository), optional(spec.Branch), variables)
	return err
}

// optional returns a text that is to be sent, or nil.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// add makes an instance of a service that the project has elsewhere.
func (e *Environment) add(ctx context.Context, o op, id string, spec incident.ServiceSpec) error {
	source, variables := make(map[string]any), make(map[string]any)
	for name, value := range map[string]string{"image": spec.Image, "repo": spec.Repository, "branch": spec.Branch} {
		if value != "" {
			source[name] = value
		}
	}
	for name, value := range spec.Variables {
		variables[name] = map[string]any{"value": value.Reveal()}
	}
	change := map[string]any{"isCreated": true, "source": source, "variables": variables}
	return e.commitPatch(ctx, o, inService(id, change), "Add "+spec.Name)
}

// seal makes variables such that nobody can read them any more.
func (e *Environment) seal(ctx context.Context, o op, id string, spec incident.ServiceSpec) error {
	if len(spec.Seal) == 0 {
		return nil
	}
	variables := make(map[string]any, len(spec.Seal))
	for _, name := range spec.Seal {
		variables[name] = map[string]any{"value": spec.Variables[name].Reveal(), "isSealed": true}
	}
	return e.changeAlone(ctx, o, inService(id, map[string]any{"variables": variables}), "Seal variables of "+spec.Name)
}

// awaitService waits until the environment has a service of a name.
func (e *Environment) awaitService(ctx context.Context, o op, name string) (made Named, err error) {
	seen := watch(ctx, seenLimit, func(ctx context.Context) (seen bool, _ error) {
		made, seen, err = existing(o, "service", name, e.instances(ctx, o))
		return seen, err
	})
	if !seen {
		return Named{}, o.unknown(err, "no service of that name is there yet; look for it in a few minutes")
	}
	return made, nil
}

// isTaken reports whether an error is of a name that something has.
func isTaken(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	m := strings.ToLower(e.Message)
	return strings.Contains(m, "already") || strings.Contains(m, "taken") || strings.Contains(m, "must be unique")
}
