package incidenttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// provisioned is something that was made, in something else.
type provisioned struct {
	in, id, name, mark string
	at                 time.Time
	uses               []string // what needs it
}

// EnsureProject implements [incident.Provisioner]. Owners are not known here.
func (p *Platform) EnsureProject(ctx context.Context, s incident.ProjectSpec) (incident.Provisioned, error) {
	if err := s.Validate(); err != nil {
		return incident.Provisioned{}, err
	}
	return p.ensure(ctx, "EnsureProject", provisioned{name: s.Name})
}

// EnsureEnvironment implements [incident.Provisioner].
func (p *Platform) EnsureEnvironment(ctx context.Context, e incident.EnvironmentSpec) (incident.Provisioned, error) {
	if err := e.Validate(); err != nil {
		return incident.Provisioned{}, err
	}
	return p.ensure(ctx, "EnsureEnvironment", provisioned{in: e.Project, name: e.Name})
}

// EnsureService implements [incident.Provisioner]. The service that it makes is a
// name: its variables and its deployments are those of a Platform of its own.
func (p *Platform) EnsureService(ctx context.Context, s incident.ServiceSpec) (incident.Provisioned, error) {
	if err := s.Validate(); err != nil {
		return incident.Provisioned{}, err
	}
	return p.ensure(ctx, "EnsureService", provisioned{in: s.Environment, name: s.Name, mark: s.Mark})
}

func (p *Platform) ensure(ctx context.Context, method string, made provisioned) (incident.Provisioned, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, method)
	if before != nil {
		return incident.Provisioned{}, before
	}
	if made.in != "" && p.madeOf(made.in) < 0 {
		return incident.Provisioned{}, noSuch("project or environment", made.in)
	}
	for _, m := range p.made {
		if m.in == made.in && m.name == made.name {
			return incident.Provisioned{ID: m.id, Name: m.name}, after
		}
	}
	made.id, made.at = p.id("p"), time.Now()
	p.made = append(p.made, made)
	p.effect(method, made.name)
	if after != nil {
		return incident.Provisioned{}, after
	}
	return incident.Provisioned{ID: made.id, Name: made.name, Created: true}, nil
}

// madeOf returns where something that was made is, by its ID; -1 if it is not.
func (p *Platform) madeOf(id string) int {
	return slices.IndexFunc(p.made, func(m provisioned) bool { return m.id == id })
}

// Has reports whether something that was made is there, by its ID.
func (p *Platform) Has(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.madeOf(id) >= 0
}

// Lose removes something that was made, as a person at the platform does.
func (p *Platform) Lose(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made = slices.DeleteFunc(p.made, func(m provisioned) bool { return m.id == id })
}

// Need makes something need a service that was made, in words: "domain db.example.edu". Such
// a service is not removed.
func (p *Platform) Need(service, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.madeOf(service); i >= 0 {
		p.made[i].uses = append(p.made[i].uses, what)
	}
}

// Disposables implements [incident.Disposer].
func (p *Platform) Disposables(ctx context.Context, project, environment string) ([]incident.Disposable, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, after := p.begin(ctx, "Disposables"); before != nil || after != nil {
		return nil, errors.Join(before, after)
	}
	i := p.madeOf(environment)
	if i < 0 || p.made[i].in != project {
		return nil, noSuch("environment", environment)
	}
	var all []incident.Disposable
	for _, m := range p.made {
		if m.in == environment && m.mark != "" {
			all = append(all, incident.Disposable{Project: project, Environment: environment, ID: m.id, Name: m.name, Mark: m.mark, Made: m.at})
		}
	}
	return all, nil
}

// Dispose implements [incident.Disposer]. It removes what [Platform.EnsureService] made, and
// never the service that the Platform itself is.
func (p *Platform) Dispose(ctx context.Context, d incident.Disposable) error {
	if err := d.Validate(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, "Dispose")
	if before != nil {
		return before
	}
	i, in := p.madeOf(d.ID), p.madeOf(d.Environment)
	if i < 0 || in < 0 || p.made[i].in != d.Environment || p.made[in].in != d.Project {
		return noSuch("service", d.ID)
	}
	m := p.made[i]
	is := incident.Disposable{Project: d.Project, Environment: d.Environment, ID: m.id, Name: m.name, Mark: m.mark, Made: m.at}
	switch {
	case !is.Same(d):
		return fmt.Errorf("incidenttest: service %q is not the one that was described: %w", d.Name, incident.ErrStale)
	case len(m.uses) > 0:
		return fmt.Errorf("incidenttest: service %q is needed: %s: %w", d.Name, strings.Join(m.uses, ", "), incident.ErrBusy)
	}
	p.made = slices.Delete(p.made, i, i+1)
	p.effect("Dispose", d.Name)
	return after
}
