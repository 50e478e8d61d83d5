package railway

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

var _ incident.Disposer = (*Client)(nil)

// markVariable is the variable of a service that has its mark in it, and its name: a
// variable is easily copied to another service, and that has another name.
const markVariable = "RUNBOOK_MADE"

// markValue is the value of the variable.
func markValue(mark, name string) string { return mark + " as " + name }

// markIn returns the mark in a value, if it is that of a service of the name.
func markIn(value, name string) (mark string, ok bool) {
	mark, ok = strings.CutSuffix(value, " as "+name)
	return mark, ok && mark != "" && name != ""
}

// marked puts the mark of a specification into its variables.
func marked(o op, spec incident.ServiceSpec) (incident.ServiceSpec, error) {
	if _, given := spec.Variables[markVariable]; given {
		return spec, o.refuse(nil, "the variable %s is for the mark of a service; give it as that", markVariable)
	}
	if spec.Mark == "" {
		return spec, nil
	}
	spec.Variables = maps.Clone(spec.Variables)
	if spec.Variables == nil {
		spec.Variables = make(map[string]runbook.Secret, 1)
	}
	spec.Variables[markVariable] = runbook.NewSecret(markValue(spec.Mark, spec.Name))
	return spec, nil
}

// used is a service in an environment, with what is known of who needs it.
type used struct {
	Named
	made    time.Time
	domains []string
	runs    bool // something was deployed
}

// used yields the services of the environment.
func (e *Environment) used(ctx context.Context, o op) iter.Seq2[used, error] {
	return pages(o, func(after *string) (list []used, _ *string, _ error) {
		got, err := gql.ServicesInUse(ctx, o, e.id, &e.project, pageSize, after)
		if err != nil {
			return nil, nil, err
		}
		if isDeleted(got.Environment.DeletedAt) {
			return nil, nil, o.refuse(incident.ErrNotFound, "environment %s is deleted", e.id)
		}
		found := got.Environment.ServiceInstances
		for _, edge := range found.Edges {
			n := edge.Node
			if isDeleted(n.DeletedAt) {
				continue
			}
			u := used{Named: Named{n.ServiceId, n.ServiceName}, made: n.CreatedAt, runs: n.LatestDeployment != nil}
			for _, d := range n.Domains.ServiceDomains {
				u.domains = append(u.domains, d.Domain)
			}
			for _, d := range n.Domains.CustomDomains {
				u.domains = append(u.domains, d.Domain)
			}
			list = append(list, u)
		}
		return list, next(found.PageInfo.HasNextPage, found.PageInfo.EndCursor), nil
	})
}

// Disposables returns the services of an environment that [Client.EnsureService] made with
// a mark. It reads the configuration of the environment, with the values of variables,
// which are kept nowhere.
func (c *Client) Disposables(ctx context.Context, project, environment string) ([]incident.Disposable, error) {
	o := c.hiding("look for services with a mark in environment %s", printable(environment, 60))
	env := &Environment{c: c, project: asID(project), id: asID(environment)}
	tree, err := env.configuration(ctx, o)
	if err != nil {
		return nil, err
	}
	var all []incident.Disposable
	for u, err := range env.used(ctx, o) {
		if err != nil {
			return nil, err
		}
		if d, ok := env.disposable(tree, u); ok {
			all = append(all, d)
		}
	}
	slices.SortStableFunc(all, func(a, b incident.Disposable) int { return a.Made.Compare(b.Made) })
	return all, nil
}

// disposable returns a service as one that may be removed, if it has a mark.
func (e *Environment) disposable(c *configuration, u used) (incident.Disposable, bool) {
	value, _ := object(object(object(object(c.tree, "services"), u.ID), "variables"), markVariable)["value"].(string)
	mark, ok := markIn(value, u.Name)
	return incident.Disposable{Project: e.project, Environment: e.id, ID: u.ID, Name: u.Name, Mark: mark, Made: u.made}, ok
}

// Dispose deletes a service that [Client.EnsureService] made with a mark, with its volume,
// and waits until it is gone.
//
// Railway deletes a service in all environments of the project that are no forks, whichever
// is named. A token of an account or a workspace therefore looks whether it was deployed in
// another one, which is an incident.ErrBusy. A project token sees its own environment alone;
// whether Railway lets it delete services is not known.
//
// A service is needed if it has a domain, or if a variable that can be read, shared or of
// another service, leads to it: by a reference, by its private name, or by a TCP proxy. A
// TCP proxy alone is none that needs it: Railway's databases have one from the start.
func (c *Client) Dispose(ctx context.Context, d incident.Disposable) error {
	o := c.hiding("remove service %q", printable(d.Name, 100))
	if err := d.Validate(); err != nil {
		return o.refuse(nil, "%v", err)
	}
	env := &Environment{c: c, project: asID(d.Project), id: asID(d.Environment)}
	if err := env.mayDispose(ctx, o, d); err != nil {
		return err
	}
	got, err := gql.ServiceDelete(ctx, o, d.ID, env.id)
	err = o.answered(got.GetServiceDelete(), err)
	if err != nil && !maybeRun(err) {
		return err
	}
	return o.confirm(ctx, err, "see whether service "+d.ID+" is still there, before anything else is done about it", func(ctx context.Context) (bool, error) {
		_, there, err := env.find(ctx, o, d.ID)
		return err == nil && !there, err
	})
}

// find returns a service of the environment by its ID.
func (e *Environment) find(ctx context.Context, o op, id string) (used, bool, error) {
	for u, err := range e.used(ctx, o) {
		if err != nil {
			return used{}, false, err
		}
		if u.ID == id {
			return u, true, nil
		}
	}
	return used{}, false, nil
}

// mayDispose returns what is against removing a service, or nil. All of it is read from
// the platform now.
func (e *Environment) mayDispose(ctx context.Context, o op, d incident.Disposable) error {
	u, there, err := e.find(ctx, o, d.ID)
	switch {
	case err != nil:
		return err
	case !there:
		return o.refuse(incident.ErrNotFound, "the environment has no service %s", printable(d.ID, 60))
	}
	tree, err := e.configuration(ctx, o)
	if err != nil {
		return err
	}
	is, ok := e.disposable(tree, u)
	switch {
	case !ok:
		return o.refuse(incident.ErrStale, "service %s is %q and was not made with a mark: it is not removed", u.ID, printable(u.Name, 100))
	case !is.Same(d):
		return o.refuse(incident.ErrStale, "service %s is not the one that was described: it is %q, made %s with the mark %q", u.ID, printable(u.Name, 100), u.made.UTC().Format(time.RFC3339), printable(is.Mark, 200))
	}
	needs := slices.Clone(u.domains)
	for i, domain := range needs {
		needs[i] = "it has the domain " + printable(domain, 100)
	}
	leads, err := e.leading(ctx, o, tree, u)
	if err != nil {
		return err
	}
	elsewhere, err := e.elsewhere(ctx, o, u.ID)
	if err != nil {
		return err
	}
	if needs = append(append(needs, leads...), elsewhere...); len(needs) > 0 {
		return o.refuse(incident.ErrBusy, "it is needed: %s", list(needs))
	}
	return nil
}

// leading returns which variables of others lead to a service.
func (e *Environment) leading(ctx context.Context, o op, c *configuration, u used) ([]string, error) {
	addresses := []string{"${{" + u.Name + ".", strings.ToLower(u.Name) + ".railway.internal"}
	s := &Service{c: e.c, env: e, project: e.project, environment: e.id, id: u.ID, name: u.Name}
	proxies, err := s.domains(ctx, o)
	if err != nil {
		return nil, err
	}
	for _, p := range proxies {
		if p.Kind == TCPProxy {
			addresses = append(addresses, fmt.Sprintf("%s:%d", p.Name, p.PublicPort))
		}
	}
	var found []string
	look := func(of string, variables map[string]any) {
		for _, name := range slices.Sorted(maps.Keys(variables)) {
			settings, _ := variables[name].(map[string]any)
			value, _ := settings["value"].(string)
			if slices.ContainsFunc(addresses, func(address string) bool { return containsFold(value, address) }) {
				found = append(found, fmt.Sprintf("variable %s of %s leads to it", printable(name, 100), of))
			}
		}
	}
	look("the environment", object(c.tree, "sharedVariables"))
	services := object(c.tree, "services")
	for _, id := range slices.Sorted(maps.Keys(services)) {
		if settings, _ := services[id].(map[string]any); id != u.ID {
			look("service "+printable(c.services[id], 100), object(settings, "variables"))
		}
	}
	return found, nil
}

// containsFold reports whether a text has another in it, in whatever case.
func containsFold(text, part string) bool {
	return part != "" && strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// elsewhere returns the other environments in which a service was deployed.
func (e *Environment) elsewhere(ctx context.Context, o op, id string) (found []string, _ error) {
	if e.c.kind == ProjectToken {
		return nil, nil
	}
	for n, err := range e.c.environments(ctx, o, e.project) {
		if err != nil {
			return nil, err
		}
		if n.ID == e.id {
			continue
		}
		other := &Environment{c: e.c, project: e.project, id: n.ID}
		u, there, err := other.find(ctx, o, id)
		switch {
		case errors.Is(err, incident.ErrNotFound): // it is being deleted
		case err != nil:
			return nil, err
		case there && u.runs:
			found = append(found, fmt.Sprintf("it was deployed in environment %q too", printable(n.Name, 100)))
		}
	}
	return found, nil
}
