package playbooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// holdsData is the condition that the new database is not empty.
func holdsData(s *incident.Scope) (bool, string) {
	plan, ok := incident.Result[incident.LoadPlan](s, "load-plan")
	return ok && len(plan.Destroys) > 0, "the new database is empty"
}

// planData is a step that says what loading the dump into the new database would do.
func (r Rebuild) planData(id string, dumps Dumps) incident.Step {
	return incident.Step{
		ID: id, Title: "See what is in the new database", Attempts: 5, Backoff: 10 * time.Second,
		When: func(s *incident.Scope) (bool, string) { return !s.Planning, "there is no database yet" },
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			l, from, err := r.newLoader(ctx, s)
			if err != nil {
				return nil, err
			}
			return l.PlanLoad(ctx, from.Receipt, dumps.Live)
		}},
	}
}

// newLoader returns what loads dumps into the new database, and the dump.
func (r Rebuild) newLoader(ctx context.Context, s *incident.Scope) (incident.DumpLoader, Dump, error) {
	from, ok := chosenDump(s)
	if !ok {
		return nil, from, incident.Final(errors.New("no dump was chosen"))
	}
	made, err := r.Connect(ctx, rebuilt(s))
	if err != nil {
		return nil, from, err
	}
	l, err := made.loader()
	return l, from, err
}

// loadData is an action that loads the dump into the new database. It is never done twice.
func (r Rebuild) loadData(id string, dumps Dumps) incident.Step {
	return incident.Step{
		ID: id, Title: "Load the dump", Timeout: 4 * time.Hour, Replaces: []string{"railway database restore LATEST_BACKUP_ID --environment production"},
		Do: incident.Action{
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				plan, ok := incident.Result[incident.LoadPlan](s, "load-plan")
				if !ok {
					return nil, incident.Final(errors.New("what it would do was not told"))
				}
				l, from, err := r.newLoader(ctx, s)
				if err != nil {
					return nil, err
				}
				return dumps.load(ctx, s, l, plan, "load-plan", from)
			},
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				from, _ := chosenDump(s)
				plan, _ := incident.Result[incident.LoadPlan](s, "load-plan")
				return incident.Effect{Call: fmt.Sprintf("load dump %s into the new database", from.Name), Changes: []string{"it has the data of " + from.Receipt.Time.UTC().Format(time.RFC3339)}, Destroys: plan.Destroys}, nil
			},
		},
	}
}

// deployNew is an action that deploys the application to the new service.
func (r Rebuild) deployNew(id string) incident.Step {
	s := Environment{}.deploy(id, "Deploy the application", parameter("commit"), "railway deploy --environment production")
	do, _ := s.Do.(incident.Action)
	on := func(ctx context.Context, s *incident.Scope) (incident.Action, error) {
		made, err := r.Connect(ctx, rebuilt(s))
		if err != nil {
			return incident.Action{}, err
		}
		a, _ := made.deploy(id, "", parameter("commit")).Do.(incident.Action)
		return a, nil
	}
	do.Run = func(ctx context.Context, s *incident.Scope) (any, error) {
		a, err := on(ctx, s)
		if err != nil {
			return nil, err
		}
		return a.Run(ctx, s)
	}
	do.Done = func(ctx context.Context, s *incident.Scope) (any, bool, error) {
		a, err := on(ctx, s)
		if err != nil {
			return nil, false, err
		}
		return a.Done(ctx, s)
	}
	do.Undo, do.Undoes = nil, ""
	do.Preview = func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
		return incident.Effect{Call: "deploy the application to the new service", Changes: []string{"it runs " + cmp.Or(s.Text("commit"), "the newest version")}}, nil
	}
	s.Needs, s.Do = nil, do
	return s
}

// validation are the steps that see that what was rebuilt works: its health, Canvas with
// it, and what a user would do.
func (r Rebuild) validation(e Environment, phase string) []incident.Step {
	d := e.Defaults.WithDefaults()
	return []incident.Step{
		withPhase(phase, r.newly("proven", "See that the application got its variables", func(made Environment) func(ctx context.Context, s *incident.Scope) (any, error) {
			return func(ctx context.Context, s *incident.Scope) (any, error) {
				found, _ := incident.Result[Configured](s, "configuration")
				return nil, made.proven(ctx, found.Names) // what is sealed nobody can compare
			}
		})),
		replacing(r.newly("healthy", "See that everything is healthy", func(made Environment) func(ctx context.Context, s *incident.Scope) (any, error) {
			made.Probes.Canvas, made.Probes.Login, made.Probes.LTI, made.Probes.Task = nil, nil, nil, nil // after the address leads here
			do, _ := made.everything("").Do.(incident.Verify)
			return do.Run
		}), "./scripts/health-check.sh production"),
		{ID: "address", Title: "Lead the address of the application to the new service", Do: incident.Manual{
			Why: "the name is kept by those who keep the names of the university, and the old service may still have it at the platform: who takes it away there has to know that it is gone",
			Instruction: func(s *incident.Scope) string {
				return "Let the name of the application point to the new service " + rebuilt(s).Application + ", add the name there, wait until its certificate is valid, and say that it is done."
			},
		}},
		replacing(r.newly("canvas-works", "See that Canvas works with it", func(made Environment) func(ctx context.Context, s *incident.Scope) (any, error) {
			do, _ := Environment{Defaults: d, Probes: Probes{Canvas: made.Probes.Canvas, LTI: made.Probes.LTI, Login: made.Probes.Login, Task: made.Probes.Task}}.everything("").Do.(incident.Verify)
			return do.Run
		}), "./scripts/validate-canvas-integration.sh production"),
		{ID: "accepted", Title: "Make the checks that a user would", Timeout: 30 * time.Minute, Replaces: []string{"./scripts/uat-validation.sh production"},
			Do: incident.Verify{Within: d.Recover, Every: time.Minute, Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
				failed, err := r.Acceptance(ctx)
				if err == nil && len(failed) > 0 {
					err = fmt.Errorf("not accepted: %s", reportOf(failed))
				}
				return nil, err
			}}},
		e.tell("tell-resolved", "resolved", func(s *incident.Scope) incident.Message {
			c, _ := incident.Result[Chosen](s, "choose")
			return incident.Message{Title: "The application works again", Text: fmt.Sprintf("It was rebuilt, with the data of %s. What was entered later is not there.", e.stamp(c.Made))}
		}),
	}
}

// newly is a step that waits until something is so of what was made.
func (r Rebuild) newly(id, title string, is func(made Environment) func(ctx context.Context, s *incident.Scope) (any, error)) incident.Step {
	return incident.Step{
		ID: id, Title: title, Timeout: 5 * time.Minute,
		Do: incident.Verify{Within: 30 * time.Minute, Every: 30 * time.Second, Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			made, err := r.Connect(ctx, rebuilt(s))
			if err != nil {
				return nil, err
			}
			return is(made)(ctx, s)
		}},
	}
}
