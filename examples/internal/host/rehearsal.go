package host

import (
	"context"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
	"go.acu.edu.au/runbook/railway"
)

// A RehearsalDatabase says which database is made at the platform for each rehearsal of a
// restore, and removed again. It costs what such a service costs while it is there.
type RehearsalDatabase struct {
	// Environment names the environment at the platform in which it is made, which is made
	// too if there is none. Empty means that of the application. It takes a token that can
	// delete services there, and for another environment none of a project.
	Environment string
	// Image or Template is what it runs. Neither means the template "postgres", which is the
	// newest one; the server must not be older than that of the application.
	Image, Template string
	// Variables are variables of the service, such as the password that an image needs.
	Variables map[string]runbook.Secret
	// Load returns what loads dumps into the database, as the target name, by the variables
	// that its service has now. It fails while these do not lead to it yet. Required.
	Load func(ctx context.Context, name string, variables map[string]runbook.Secret) (incident.DumpLoader, error)
	// Check looks at what was loaded into it. Nil looks at the number of tables only.
	Check func(ctx context.Context, name string) error
}

// rehearsals lets restores be rehearsed in databases that are made for that. The services
// that are known are never removed.
func (r *reached) rehearsals(client *railway.Client, known ...*railway.Service) {
	d := r.connection.Rehearsal
	if d == nil || d.Load == nil || len(known) == 0 {
		return
	}
	at := known[0].Environment()
	to := playbooks.Rehearsals{
		Project: at.ProjectID(), Named: d.Environment,
		Service: incident.ServiceSpec{Image: d.Image, Template: d.Template, Variables: d.Variables},
		Connect: func(ctx context.Context, made incident.Disposable) (incident.DumpLoader, error) {
			service, err := client.Service(ctx, railway.Target{Project: made.Project, Environment: made.Environment, Service: made.ID})
			if err != nil {
				return nil, err
			}
			variables, err := service.RenderedVariables(ctx)
			if err != nil {
				return nil, err
			}
			return d.Load(ctx, made.Name, variables)
		},
	}
	if d.Environment == "" {
		to.Environment = at.ID()
	}
	if d.Check != nil {
		to.Check = func(ctx context.Context, made incident.Disposable) error { return d.Check(ctx, made.Name) }
	}
	for _, s := range known {
		to.Keep = append(to.Keep, s.ID())
	}
	r.connection.Dumps.Rehearsals = to
}
