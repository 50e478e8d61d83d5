package playbooks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// A Rebuild is what a service is rebuilt from when the platform, or our part of it, is
// lost. Everything in it is kept off the platform.
type Rebuild struct {
	// Project is the project that is made. Database and Application are its services,
	// without the ids of project and environment, and without variables.
	Project               incident.ProjectSpec
	Database, Application incident.ServiceSpec
	// Configuration opens the encrypted copy of the variables of the application, and
	// returns them with the names of those that are sealed and so not in it. Values of the
	// lost platform, such as the address of the database, are what they are to be now.
	// Required.
	Configuration func(ctx context.Context, made Rebuilt) (values map[string]runbook.Secret, sealed []string, err error)
	// Connect returns the environment as it is on the new platform: its ports and probes.
	// It is called for each step, changes nothing, and may be called again. Required.
	Connect func(ctx context.Context, made Rebuilt) (Environment, error)
	// Acceptance makes the checks that a user would, and returns those that failed, a line
	// each. Required.
	Acceptance func(ctx context.Context) (failed []string, err error)
}

// Rebuilt names what was made: the ids of the platform, which are no secrets.
type Rebuilt struct {
	// Project, Environment, Database and Application are the ids. In a plan they are empty.
	Project, Environment, Database, Application string
}

// CompleteRecovery is the playbook that rebuilds an environment from nothing: a project and
// its services, the variables from an encrypted copy, of which a person supplies what was
// sealed, the data from a dump off the platform, the application; and then health, Canvas
// and acceptance are validated. It makes what is not there, and goes on where it was
// interrupted.
//
// The environment is that of the playbook's own ports: a Provisioner, and the Credentials
// into which people put what was sealed. What it makes is reached through Rebuild.Connect.
func CompleteRecovery(e Environment, dumps Dumps, r Rebuild) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const infrastructure, configuration, data, validation = "Infrastructure", "Configuration", "Data", "Validation"
	steps := []incident.Step{
		withPhase(infrastructure, e.tell("tell-begin", "identified", func(*incident.Scope) incident.Message {
			return incident.Message{Title: "The application is being rebuilt", Text: "It is not available until that is done."}
		})),
		lookDumps("dumps", dumps),
		{ID: "choose", Title: "Choose the dump that is restored", Do: checkOf(func(s *incident.Scope) (any, error) { return chosenCopy(s) })},
		{ID: "approve", Title: "Rebuild from nothing?", Do: incident.Approve{Bound: true, Within: d.Approve, Question: func(s *incident.Scope) string {
			c, _ := incident.Result[Chosen](s, "choose")
			return fmt.Sprintf("%s is made anew, with the data of %s (%s). What there may still be of the old one is left alone.", e.name(), e.stamp(c.Made), c)
		}}},
		e.provision("project", "Make the project", func(ctx context.Context, _ *incident.Scope) (incident.Provisioned, error) {
			return e.Provisioner.EnsureProject(ctx, r.Project)
		}, "railway init"),
		e.provision("environment", "Make the environment", func(ctx context.Context, s *incident.Scope) (incident.Provisioned, error) {
			return e.Provisioner.EnsureEnvironment(ctx, incident.EnvironmentSpec{Project: rebuilt(s).Project, Name: e.name()})
		}, "railway environment create production", "railway environment production"),
		e.provision("database", "Make the service of the database", func(ctx context.Context, s *incident.Scope) (incident.Provisioned, error) {
			return e.Provisioner.EnsureService(ctx, in(r.Database, rebuilt(s)))
		}),
		e.provision("application", "Make the service of the application", func(ctx context.Context, s *incident.Scope) (incident.Provisioned, error) {
			return e.Provisioner.EnsureService(ctx, in(r.Application, rebuilt(s)))
		}),
		withPhase(configuration, e.openConfiguration("configuration", r)),
		e.askSealed("ask-sealed"),
		r.configure(e, "configure"),
		withPhase(data, r.planData("load-plan", dumps)),
		{ID: "approve-load", Title: "Load the dump in place of what is there?", When: holdsData, Do: incident.Approve{
			Bound: true, Min: d.Approvers, Within: d.Approve, Question: func(s *incident.Scope) string {
				plan, _ := incident.Result[incident.LoadPlan](s, "load-plan")
				return fmt.Sprintf("The database %s is not empty. Lost are: %s.", plan.Target, strings.Join(plan.Destroys, ", "))
			},
		}},
		r.loadData("load", dumps),
		{ID: "looks-right", Title: "See that what the dump has is there", Do: incident.Verify{
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				return nil, e.looksRight(ctx, s, dumps, "load", dumps.Live, chosenDump)
			},
		}},
		r.deployNew("deploy"),
	}
	return incident.Playbook{
		Name: "complete-recovery", Environment: e.name(), Title: "Rebuild the service", Severity: alert.Critical, Timeout: 72 * time.Hour,
		About:  "The platform, or everything that we had on it, is lost, and does not come back.",
		Source: "Disaster Recovery, Complete Service Recovery",
		Parameters: []incident.Parameter{
			{Name: "from", About: "The data comes from a dump off the platform: its own backups are lost with it", Default: "dump", Choices: []string{"dump"}},
			{Name: "id", About: "The name of the dump; none means the newest", Optional: true},
			{Name: "before", About: "None that was made at this time (RFC 3339) or later", Optional: true},
			{Name: "commit", About: "The version to deploy; none means the newest", Optional: true},
		},
		Needs:  r.needs(e, dumps),
		Phases: []incident.Phase{{Name: infrastructure}, {Name: configuration}, {Name: data}, {Name: validation}},
		Steps:  append(steps, r.validation(e, validation)...), Escalation: "level 4, the infrastructure team, and the IT director",
	}
}

func (r Rebuild) needs(e Environment, dumps Dumps) []incident.Need {
	return []incident.Need{
		incident.Needs("Provisioner", e.Provisioner), incident.Needs("Credentials", e.Credentials), {Name: "Dumps that are kept off the platform", Met: dumps.kept() && dumps.Live != ""},
		incident.Needs("Rebuild.Configuration", r.Configuration), incident.Needs("Rebuild.Connect", r.Connect), incident.Needs("Rebuild.Acceptance", r.Acceptance),
	}
}

// rebuilt returns what was made by now.
func rebuilt(s *incident.Scope) (made Rebuilt) {
	id := func(step string) string {
		p, _ := incident.Result[incident.Provisioned](s, step)
		return p.ID
	}
	return Rebuilt{Project: id("project"), Environment: id("environment"), Database: id("database"), Application: id("application")}
}

// in puts a service into what was made.
func in(spec incident.ServiceSpec, made Rebuilt) incident.ServiceSpec {
	spec.Project, spec.Environment = made.Project, made.Environment
	return spec
}

// provision is an action that makes sure that there is something. There is only one of its
// name, however often it is made.
func (e Environment) provision(id, title string, ensure func(ctx context.Context, s *incident.Scope) (incident.Provisioned, error), replaces ...string) incident.Step {
	return incident.Step{
		ID: id, Title: title, Attempts: 3, Backoff: 10 * time.Second, Timeout: 15 * time.Minute, Replaces: replaces,
		Do: incident.Action{
			Repeat:  incident.Idempotent,
			Run:     func(ctx context.Context, s *incident.Scope) (any, error) { return ensure(ctx, s) },
			Preview: effect(incident.Effect{Call: "make sure that there is: " + id + " of " + e.name(), Changes: []string{"there is one, if there was none"}, Undo: "delete it at the platform"}),
		},
	}
}

// Configured says which variables there are to be, by name.
type Configured struct {
	// Names are those of the copy, Sealed those that are not in it, and Missing those of
	// the sealed ones that nobody has supplied yet.
	Names   []string `json:"names"`
	Sealed  []string `json:"sealed,omitempty"`
	Missing []string `json:"missing,omitempty"`
}

// openConfiguration is a step that opens the copy of the variables, and says what is not in
// it. No value is kept.
func (e Environment) openConfiguration(id string, r Rebuild) incident.Step {
	return incident.Step{
		ID: id, Title: "Open the encrypted copy of the variables",
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			values, sealed, err := r.Configuration(ctx, rebuilt(s))
			if err != nil {
				return nil, err
			}
			found := Configured{Names: sortedKeys(values), Sealed: slices.Sorted(slices.Values(sealed))}
			for _, name := range found.Sealed {
				switch _, err := e.Credentials.Get(ctx, name); {
				case errors.Is(err, runbook.ErrNoCredential):
					found.Missing = append(found.Missing, name)
				case err != nil:
					return nil, fmt.Errorf("whether %s was supplied could not be read: %w", name, err)
				}
			}
			return found, nil
		}},
	}
}

// askSealed is what a person does about values that no copy has.
func (e Environment) askSealed(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Supply what was sealed",
		When: func(s *incident.Scope) (bool, string) {
			found, _ := incident.Result[Configured](s, "configuration")
			return len(found.Missing) > 0, "nothing is missing"
		},
		Do: incident.Manual{
			Why: "what is sealed was never shown to a program, so that no copy has it",
			Instruction: func(s *incident.Scope) string {
				found, _ := incident.Result[Configured](s, "configuration")
				return "Put the values of these into the store of credentials, each by its name, or make new ones where they come from: " + strings.Join(found.Missing, ", ") +
					".\nNever write a value into a comment: say only that it is done."
			},
		},
	}
}

// configure is an action that writes all variables. Twice is the same as once.
func (r Rebuild) configure(e Environment, id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Write the variables", Attempts: 3, Replaces: []string{"./scripts/restore-environment-config.sh production"},
		Do: incident.Action{
			Repeat: incident.Idempotent,
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				values, sealed, err := r.Configuration(ctx, rebuilt(s))
				if err != nil {
					return nil, err
				}
				b := incident.VariableBatch{Set: maps.Clone(values), Seal: sealed}
				for _, name := range sealed {
					c, err := e.Credentials.Get(ctx, name)
					if err != nil {
						return nil, fmt.Errorf("%s was sealed, and nobody has supplied it: %w", name, err)
					}
					b.Set[name] = c.Secret
				}
				made, err := r.Connect(ctx, rebuilt(s))
				if err != nil {
					return nil, err
				}
				_, err = made.Variables.SetVariables(ctx, b)
				return map[string]int{"variables": len(b.Set)}, err
			},
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				found, _ := incident.Result[Configured](s, "configuration")
				return incident.Effect{Call: fmt.Sprintf("write %d variables of %s, of which %d are sealed", len(found.Names)+len(found.Sealed), e.name(), len(found.Sealed)), Changes: []string{"they are configured: " + strings.Join(append(slices.Clone(found.Names), found.Sealed...), ", ")}}, nil
			},
		},
	}
}
