package railway

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// copyLimit is for how long a copy of an environment is waited for.
const copyLimit = 15 * time.Minute

// Copy makes a new environment of the same project with the services, settings and
// variables of this one, deploys it, and waits until all services are there; they
// may still be deploying. Sealed variables and the data of volumes are not copied
// (https://docs.railway.com/environments, https://docs.railway.com/variables).
//
// Railway copies in the background, because a large environment takes longer than a
// call may. The error is an incident.ErrOutcomeUnknown if the services are not all
// there after 15 minutes; the copy may go on. A name that is taken is an error, also
// if it is by something that cannot be seen, such as what a failed copy left. A
// project token cannot copy: that is an incident.ErrNotPermitted without a call.
func (e *Environment) Copy(ctx context.Context, name string) (*Environment, error) {
	o := e.c.op("copy environment %s to %q", e, printable(name, 100))
	if strings.TrimSpace(name) == "" {
		return nil, o.refuse(nil, "the new environment needs a name")
	}
	if err := o.needsMember(); err != nil {
		return nil, err
	}
	there, ok, err := existing(o, "environment", name, e.c.environments(ctx, o, e.project))
	switch {
	case err != nil:
		return nil, err
	case ok:
		return nil, o.refuse(nil, "there is an environment of that name, %s", there.ID)
	}
	var services []string
	for s, err := range e.instances(ctx, o) {
		if err != nil {
			return nil, err
		}
		services = append(services, s.ID)
	}
	made, err := e.c.createEnvironment(ctx, o, e.project, name, &e.id)
	if err != nil {
		return nil, err
	}
	copied := &Environment{c: e.c, project: e.project, id: made.ID, name: made.Name}
	if err := copied.awaitServices(ctx, o, services); err != nil {
		return nil, err
	}
	return copied, nil
}

// awaitServices waits until the environment has services.
func (e *Environment) awaitServices(ctx context.Context, o op, services []string) error {
	within, cancel := context.WithTimeout(ctx, copyLimit)
	defer cancel()
	missing := services
	var p patience
	err := poll(within, 500*time.Millisecond, 10*time.Second, func() (bool, error) {
		missing = slices.Clone(services)
		for s, err := range e.instances(within, o) {
			if errors.Is(err, incident.ErrNotFound) {
				return false, nil // not yet
			}
			if err != nil {
				return false, p.bear(within, err)
			}
			missing = slices.DeleteFunc(missing, func(id string) bool { return id == s.ID })
		}
		p = patience{}
		return len(missing) == 0, nil
	})
	if err != nil {
		return o.unknown(err, "environment "+e.id+" was made, and these services are not in it as far as can be seen: "+list(missing)+
			"; the copy may go on: look again, and delete the environment if it does not end")
	}
	return nil
}

// createEnvironment makes an environment, and waits until it is listed. With a
// source it is a copy, which goes on in the background.
func (c *Client) createEnvironment(ctx context.Context, o op, project, name string, source *string) (Named, error) {
	if err := c.notHidden(ctx, o, project, name); err != nil {
		return Named{}, err
	}
	var background *bool
	if source != nil {
		yes := true
		background = &yes
	}
	_, err := gql.EnvironmentCreate(ctx, o, project, name, source, background, nil)
	switch {
	case isTaken(err):
		return Named{}, o.hiddenName(err)
	case err != nil && !maybeRun(err):
		return Named{}, err
	}
	made, err := appears(ctx, o, "environment", name, err, func(ctx context.Context) iter.Seq2[Named, error] {
		return c.environments(ctx, o, project)
	})
	return made, err
}

// hiddenName is the error of a name that is taken by what is not listed.
func (o op) hiddenName(cause error) *Error {
	e := o.refuse(nil, "the name is taken by an environment that the token cannot see: a restricted one, one that is being deleted, or what a failed copy left; use another name, or ask Railway's support to free it")
	e.cause = cause
	return e
}

// notHidden refuses a name that an environment has which the token cannot use.
func (c *Client) notHidden(ctx context.Context, o op, project, name string) error {
	hidden := pages(o, func(after *string) (list []Named, _ *string, _ error) {
		got, err := gql.ProjectEnvironments(ctx, o, project, pageSize, after)
		if err != nil {
			return nil, nil, err
		}
		for _, edge := range got.Environments.Edges {
			if !edge.Node.CanAccess && !isDeleted(edge.Node.DeletedAt) {
				list = append(list, Named{edge.Node.Id, edge.Node.Name})
			}
		}
		return list, next(got.Environments.PageInfo.HasNextPage, got.Environments.PageInfo.EndCursor), nil
	})
	for n, err := range hidden {
		if err != nil {
			return err
		}
		if n.Name == name {
			return o.hiddenName(nil)
		}
	}
	return nil
}

// Rename gives the environment another name. Its ID stays, and so does what e is
// called in messages. The error is an incident.ErrNotPermitted without a call for a
// project token. Renaming it again is safe.
func (e *Environment) Rename(ctx context.Context, name string) error {
	o := e.c.op("rename environment %s to %q", e, printable(name, 100))
	if strings.TrimSpace(name) == "" {
		return o.refuse(nil, "the environment needs a name")
	}
	if err := o.needsMember(); err != nil {
		return err
	}
	there, ok, err := existing(o, "environment", name, e.c.environments(ctx, o, e.project))
	switch {
	case err != nil:
		return err
	case ok && there.ID != e.id:
		return o.refuse(nil, "there is an environment of that name, %s", there.ID)
	}
	_, err = gql.EnvironmentRename(ctx, o, e.id, name)
	switch {
	case isTaken(err):
		return o.hiddenName(err)
	case err != nil && !maybeRun(err):
		return err
	}
	return o.confirm(ctx, err, "look at its name, and rename it again", func(ctx context.Context) (bool, error) {
		return e.listed(ctx, o, func(n Named) bool { return n.ID == e.id && n.Name == name })
	})
}

// listed reports whether one of the environments of the project is as is says.
func (e *Environment) listed(ctx context.Context, o op, is func(Named) bool) (bool, error) {
	for n, err := range e.c.environments(ctx, o, e.project) {
		if err != nil {
			return false, err
		}
		if is(n) {
			return true, nil
		}
	}
	return false, nil
}

// Delete deletes the environment for good, with its services, volumes and backups,
// and waits until it is gone. The error is an incident.ErrNotFound if it is gone
// already, and an incident.ErrNotPermitted without a call for a project token.
//
// Railway may ask for a second factor, which is an [ErrTwoFactor]: nothing was
// deleted. It asks people who are logged in, and not tokens that were made in the
// settings of the account or the workspace (railwayapp/cli#846).
func (e *Environment) Delete(ctx context.Context) error {
	o := e.c.op("delete environment %s", e)
	if err := o.needsMember(); err != nil {
		return err
	}
	ours := func(n Named) bool { return n.ID == e.id }
	there, err := e.listed(ctx, o, ours)
	switch {
	case err != nil:
		return err
	case !there:
		return o.refuse(incident.ErrNotFound, "the project has no such environment")
	}
	got, err := gql.EnvironmentDelete(ctx, o, e.id)
	err = o.answered(got.EnvironmentDelete, err)
	if err != nil && !maybeRun(err) {
		return err
	}
	return o.confirm(ctx, err, "look at the environments of the project", func(ctx context.Context) (bool, error) {
		there, err := e.listed(ctx, o, ours)
		return err == nil && !there, err
	})
}
