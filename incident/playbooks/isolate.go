package playbooks

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// optional is a step that is left out where there is no port for it.
func optional(s incident.Step) incident.Step {
	s.Needs = nil
	return s
}

// stopped is a step that looks whether the application is stopped before the step with an
// id stops it: what was stopped for another reason is not started again.
func (e Environment) stopped(id string, when incident.Condition) incident.Step {
	return incident.Step{
		ID: id + "-before", Title: "Look whether the application is stopped", When: when,
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) { return e.Stopper.Stopped(ctx) }},
	}
}

// stop are the steps that take the application off the network, and see that it is. A
// deployment would start it again: freeze those before. Its undo starts it.
func (e Environment) stop(id, title string, when incident.Condition) []incident.Step {
	return []incident.Step{
		{
			ID: id, Title: title, When: when, Attempts: 3,
			Do: incident.Action{
				Repeat: incident.Idempotent,
				Run:    func(ctx context.Context, _ *incident.Scope) (any, error) { return e.Stopper.Stop(ctx) },
				Undo:   func(ctx context.Context, _ *incident.Scope) (any, error) { return e.Stopper.Start(ctx) },
				Undoes: "Start the application again",
				Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
					return incident.Effect{
						Call: "stop the application of " + e.name(), Changes: []string{"nobody can use it until it is started again"},
						Destroys: []string{"what it does just now, and what is in its memory"}, Undo: "start it",
					}, nil
				},
			},
		},
		{
			ID: id + "-seen", Title: "See that it is really stopped", When: both(when, func(s *incident.Scope) (bool, string) { return s.Did(id), "it was not stopped" }),
			Do: incident.Verify{Every: 5 * time.Second, Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
				state, err := e.Stopper.Stopped(ctx)
				if err == nil && !state.Stopped {
					err = errors.New(cmp.Or(state.Reason, "some of its processes still run"))
				}
				return state, err
			}},
		},
	}
}

// start is a step that starts the application again.
func (e Environment) start(id string, when incident.Condition) incident.Step {
	return incident.Step{
		ID: id, Title: "Start the application again", When: when, Attempts: 3,
		Do: incident.Action{
			Repeat: incident.Idempotent,
			Run:    func(ctx context.Context, _ *incident.Scope) (any, error) { return e.Stopper.Start(ctx) },
			Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
				return incident.Effect{Call: "start the application of " + e.name(), Changes: []string{"it can be used again"}, Undo: "stop it"}, nil
			},
		},
	}
}

// approved is the condition that people have approved something. What would be done then is
// planned before they have: an approval that is bound to it shows it to them.
func approved(step string) incident.Condition {
	return func(s *incident.Scope) (bool, string) { return s.Planning || s.Did(step), "nobody approved it" }
}

// stamp writes a time for people, in their zone.
func (e Environment) stamp(t time.Time) string {
	zone := e.Zone
	if zone == nil {
		zone = time.UTC
	}
	return t.In(zone).Format("Mon 2 Jan 2006 15:04 MST")
}
