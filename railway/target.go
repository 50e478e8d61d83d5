package railway

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// A Target names a service in an environment of a project, each by its ID or its
// name. A name is matched as it is written; if there is none, in whatever case, if
// that is unique. What is deleted, or what the token has no access to, is not
// chosen. Names are not unique on Railway: where several match, the error lists
// their IDs.
//
// A program that runs on Railway finds the IDs of its own service in its variables:
// RAILWAY_PROJECT_ID, RAILWAY_ENVIRONMENT_ID and RAILWAY_SERVICE_ID.
type Target struct {
	// Project and Environment may be empty with a project token: they are its own.
	Project, Environment string
	// Service is the service.
	Service string
}

// An Environment is one environment of one project. It is safe for concurrent use,
// and costs nothing to keep.
type Environment struct {
	c       *Client
	project string
	id      string
	name    string // as far as it is known
}

// A Service is one service in one environment. It implements the ports of a platform
// in package incident: Deployer with everything optional, Stopper, DeployFreezer,
// Scaler, Variables, Backups, BackupRestorer, Logs, LogFollower and Metrics. It is
// safe for concurrent use, and costs nothing to keep.
type Service struct {
	c           *Client
	env         *Environment
	project     string
	environment string
	id          string
	name        string // as far as it is known
}

// Service returns the service that t names. It costs no call if t has IDs only, and
// else one for each name. The error is an incident.ErrNotFound if there is none of a
// name.
func (c *Client) Service(ctx context.Context, t Target) (*Service, error) {
	o := c.op("find service %q", t.Service)
	if t.Service == "" {
		return nil, o.refuse(nil, "the service has no name and no ID")
	}
	env, err := c.Environment(ctx, t)
	if err != nil {
		return nil, err
	}
	s := &Service{c: c, env: env, project: env.project, environment: env.id, id: asID(t.Service)}
	if isID(t.Service) {
		return s, nil
	}
	found, err := find(o, "service", t.Service, c.services(ctx, o, env.project))
	if err != nil {
		return nil, err
	}
	s.id, s.name = found.ID, found.Name
	return s, nil
}

// Environment returns the environment that t names; its Service is not used. Costs
// and errors are those of [Client.Service].
func (c *Client) Environment(ctx context.Context, t Target) (*Environment, error) {
	o := c.op("find environment %q", t.Environment)
	if c.kind == ProjectToken && (!isID(t.Project) || !isID(t.Environment)) {
		return c.ownEnvironment(ctx, o, t)
	}
	if t.Project == "" || t.Environment == "" {
		return nil, o.refuse(nil, "the project or the environment has no name and no ID; only a project token has its own")
	}
	env := &Environment{c: c, project: asID(t.Project), id: asID(t.Environment)}
	if !isID(t.Project) {
		found, err := find(o, "project", t.Project, c.projects(ctx, o))
		if err != nil {
			return nil, err
		}
		env.project = found.ID
	}
	if !isID(t.Environment) {
		found, err := find(o, "environment", t.Environment, c.environments(ctx, o, env.project))
		if err != nil {
			return nil, err
		}
		env.id, env.name = found.ID, found.Name
	}
	return env, nil
}

// ownEnvironment is the environment of a project token. That another one is named is
// told before anything is tried.
func (c *Client) ownEnvironment(ctx context.Context, o op, t Target) (*Environment, error) {
	info, err := c.CheckToken(ctx)
	if err != nil {
		return nil, err
	}
	matches := func(name string, own Named) bool {
		return name == "" || name == own.ID || strings.EqualFold(name, own.Name)
	}
	if !matches(t.Project, info.Project) || !matches(t.Environment, info.Environment) {
		return nil, o.refuse(incident.ErrNotPermitted, "the project token is for environment %q of project %q only", info.Environment.Name, info.Project.Name)
	}
	return &Environment{c: c, project: info.Project.ID, id: info.Environment.ID, name: info.Environment.Name}, nil
}

// uuid is the form of Railway's IDs.
var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

func isID(s string) bool { return uuid.MatchString(s) }

// asID returns an ID as Railway writes it, so that it can be compared: in lower case.
func asID(s string) string {
	if isID(s) {
		return strings.ToLower(s)
	}
	return s
}

// find returns the one of a name, or of an ID.
func find(o op, what, name string, all iter.Seq2[Named, error]) (Named, error) {
	var exact, folded []Named
	for n, err := range all {
		if err != nil {
			return Named{}, err
		}
		if n.Name == name || n.ID == name {
			exact = append(exact, n)
		}
		if strings.EqualFold(n.Name, name) {
			folded = append(folded, n)
		}
	}
	found := exact
	if len(found) == 0 {
		found = folded
	}
	switch len(found) {
	case 0:
		return Named{}, o.refuse(incident.ErrNotFound, "there is no %s %q that the token can see", what, name)
	case 1:
		return found[0], nil
	}
	var ids []string
	for _, n := range found {
		ids = append(ids, fmt.Sprintf("%s (%q)", n.ID, n.Name))
	}
	slices.Sort(ids)
	return Named{}, o.refuse(nil, "there are %d %ss of the name %q; use the ID of one: %s", len(found), what, name, strings.Join(ids, ", "))
}

// pageSize is how much is asked for at once of a list.
const pageSize = 500

// maxPages is how many pages a list has at most: 100,000 items.
const maxPages = 200

// pages yields the items of all pages of a connection. One without an end fails: as
// it is, it must not be taken for complete.
func pages[T any](o op, get func(after *string) (items []T, next *string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var after *string
		for n := 0; ; n++ {
			items, next, err := get(after)
			if err == nil && next != nil && (n == maxPages || after != nil && *next == *after) {
				err = &Error{Op: o.name, Code: "unreadable", Message: "the list has no end"}
			}
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == nil || *next == "" {
				return
			}
			after = next
		}
	}
}

// next returns the cursor of the next page, if there is one.
func next(has bool, cursor *string) *string {
	if !has {
		return nil
	}
	return cursor
}

func isDeleted(at *time.Time) bool { return at != nil && !at.IsZero() }

// projects yields the projects of all workspaces that the token can see: without a
// workspace the list of an account is empty.
func (c *Client) projects(ctx context.Context, o op) iter.Seq2[Named, error] {
	return func(yield func(Named, error) bool) {
		workspaces, err := gql.TokenWorkspaces(ctx, o)
		if err != nil {
			yield(Named{}, err)
			return
		}
		for _, w := range workspaces.ApiToken.Workspaces {
			for p, err := range c.projectsOf(ctx, o, w.Id) {
				if !yield(p, err) || err != nil {
					return
				}
			}
		}
	}
}

func (c *Client) projectsOf(ctx context.Context, o op, workspace string) iter.Seq2[Named, error] {
	return pages(o, func(after *string) (list []Named, _ *string, _ error) {
		got, err := gql.Projects(ctx, o, &workspace, pageSize, after)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range got.Projects.Edges {
			if !isDeleted(e.Node.DeletedAt) {
				list = append(list, Named{e.Node.Id, e.Node.Name})
			}
		}
		return list, next(got.Projects.PageInfo.HasNextPage, got.Projects.PageInfo.EndCursor), nil
	})
}

func (c *Client) environments(ctx context.Context, o op, project string) iter.Seq2[Named, error] {
	return pages(o, func(after *string) (list []Named, _ *string, _ error) {
		got, err := gql.ProjectEnvironments(ctx, o, project, pageSize, after)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range got.Environments.Edges {
			if e.Node.CanAccess && !isDeleted(e.Node.DeletedAt) {
				list = append(list, Named{e.Node.Id, e.Node.Name})
			}
		}
		return list, next(got.Environments.PageInfo.HasNextPage, got.Environments.PageInfo.EndCursor), nil
	})
}

func (c *Client) services(ctx context.Context, o op, project string) iter.Seq2[Named, error] {
	return pages(o, func(after *string) (list []Named, _ *string, _ error) {
		got, err := gql.ProjectServices(ctx, o, project, pageSize, after)
		if err != nil {
			return nil, nil, err
		}
		services := got.Project.Services
		for _, e := range services.Edges {
			if !isDeleted(e.Node.DeletedAt) {
				list = append(list, Named{e.Node.Id, e.Node.Name})
			}
		}
		return list, next(services.PageInfo.HasNextPage, services.PageInfo.EndCursor), nil
	})
}

// ID returns the ID of the environment.
func (e *Environment) ID() string { return e.id }

// ProjectID returns the ID of the project.
func (e *Environment) ProjectID() string { return e.project }

// ID returns the ID of the service.
func (s *Service) ID() string { return s.id }

// Environment returns the environment of the service.
func (s *Service) Environment() *Environment { return s.env }

// String says what the service is, for messages: its name, or else its ID.
func (s *Service) String() string {
	if s.name != "" {
		return s.name
	}
	return s.id
}
