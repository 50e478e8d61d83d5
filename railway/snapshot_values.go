package railway

import (
	"context"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// Variables returns the variables that a service had, by its name, or the shared ones of
// the environment for the empty name: their values, raw, with references to others as they
// are, and the names of those that are sealed and have none here. It is for services that
// are made anew elsewhere; [Environment.RestoreSnapshot] restores what is still there. The
// error is an incident.ErrNotFound if there was no such service.
func (s *Snapshot) Variables(service string) (values map[string]runbook.Secret, sealed []string, err error) {
	file := s.file()
	from := object(file.Config, "sharedVariables")
	if service != "" {
		from = nil
		found := false
		for id, name := range file.Services {
			if name == service {
				from, found = object(object(object(file.Config, "services"), id), "variables"), true
			}
		}
		if !found {
			o := op{name: "read the snapshot"}
			return nil, nil, o.refuse(incident.ErrNotFound, "it has no service %s", printable(service, 100))
		}
	}
	values = make(map[string]runbook.Secret)
	for name := range from {
		if isOwn(name) {
			continue
		}
		if value, ok := object(from, name)["value"].(string); ok {
			values[name] = runbook.NewSecret(value)
		}
	}
	for _, v := range s.NeedsValues() {
		if v.Service == service && !isOwn(v.Name) {
			sealed = append(sealed, v.Name)
		}
	}
	return values, sealed, nil
}

// RenderedVariables returns the variables that a deployment of the service made now would
// get, with their references replaced, among them those that Railway makes itself: the
// address of a database that it made, for example. Those that are sealed are not there. The
// error is an incident.ErrNotPermitted if we may not read them.
func (s *Service) RenderedVariables(ctx context.Context) (map[string]runbook.Secret, error) {
	o := s.c.hiding("read the variables of service %s as a deployment gets them", s)
	got, err := gql.RenderedVariables(ctx, o, s.project, s.environment, s.id)
	if err != nil {
		return nil, err
	}
	values := make(map[string]runbook.Secret)
	for name, value := range got.VariablesForServiceDeployment {
		if value != nil {
			values[name] = runbook.NewSecret(*value)
		}
	}
	return values, nil
}
