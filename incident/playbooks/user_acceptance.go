package playbooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// An AcceptanceCheck is a check of the host that the application must pass for its users.
type AcceptanceCheck struct {
	// Name says in a few words what users can do if it passes. Required.
	Name string
	// Prober makes the check. Required.
	Prober health.Prober
}

// UserAcceptance is the playbook that does what a user does: it launches the tool from
// Canvas and runs a QA task on a course for tests, from its beginning to its end, in the
// time that a task may take; and it makes the checks of the host. It ends as failed if one
// does not pass. While the application or Canvas is down nothing is tried: there would be
// nothing to learn from it.
func UserAcceptance(e Environment, checks ...AcceptanceCheck) incident.Playbook {
	needs := []incident.Need{incident.Needs("probe of Task, a QA task on a course for tests", e.Probes.Task)}
	own := []incident.Step{look("websocket", "Look at the connection that carries progress", e.Probes.WebSocket)}
	for i, c := range checks {
		needs = append(needs, incident.Need{Name: fmt.Sprintf("name and prober of check %d", i+1), Met: c.Name != "" && c.Prober != nil})
		step := look(fmt.Sprintf("check-%d", i+1), "Check: "+c.Name, c.Prober)
		step.Timeout = 2 * time.Minute
		own = append(own, step)
	}
	login := look("login", "Launch the tool as a user does", e.Probes.Login)
	login.Timeout = time.Minute
	return incident.Playbook{
		Name: "user-acceptance", Environment: e.name(), Title: "User acceptance", Severity: alert.Medium, Lock: e.name() + "-acceptance",
		About:  "After a recovery, and after an update.",
		Source: "Disaster Recovery, 4. Validation",
		Needs:  needs,
		Steps: []incident.Step{
			{ID: "look", Title: "See whether there is something to try", OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
				look("health", "Look at the application", e.Probes.Application),
				look("canvas-host", "Look at Canvas", e.Probes.CanvasHost),
				look("canvas-status", "Look at what is said of Canvas", e.Probes.CanvasStatus),
			}}},
			{ID: "decide", Title: "Decide whether to try", OnFailure: incident.Abort, Do: checkOf(func(s *incident.Scope) (any, error) { return worthTrying(s) })},
			login,
			replacing(e.sampleTask("task"), "./scripts/uat-validation.sh "+e.name()),
			{ID: "checks", Title: "Make the other checks", OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: own}},
			{ID: "judge", Title: "See what passed", OnFailure: incident.GoOn, Do: checkOf(func(s *incident.Scope) (any, error) { return accepted(s, checks, e.Defaults.WithDefaults()), nil })},
			withWhen(concluding("accepted", "judge"), func(s *incident.Scope) (bool, string) { return !s.Planning, "a plan runs no task" }),
		},
		Escalation: "level 2, the development team",
	}
}

// worthTrying decides whether users could work at all.
func worthTrying(s *incident.Scope) (any, error) {
	app := looked(s, "health")
	switch why := canvasAway(s, "canvas-host", "canvas-status"); {
	case !app.fine():
		return nil, fmt.Errorf("the application is not well, see the playbook application-down: %s", app)
	case why != "":
		return nil, fmt.Errorf("nothing can be tried while Canvas is away: %s", why)
	}
	return Decision{"try", "the application and Canvas answer"}, nil
}

// sampleTask is an action that runs the QA task for tests. It may be run again: it leaves
// nothing but results on a course that nobody needs.
func (e Environment) sampleTask(id string) incident.Step {
	d := e.Defaults.WithDefaults()
	return incident.Step{
		ID: id, Title: "Run a QA task on the course for tests", Timeout: 2*d.SlowTask + time.Minute, OnFailure: incident.GoOn,
		Do: incident.Action{
			Repeat: incident.Idempotent,
			Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
				f := probe(ctx, e.Probes.Task)
				if f.Status != health.Healthy && f.Status != health.Degraded {
					return nil, incident.Final(errors.New("the task did not come to its end: " + cut(f.String(), 300)))
				}
				return f, nil
			},
			Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
				return incident.Effect{Call: "run a QA task in " + e.name() + ", on the course for tests", Changes: []string{"the course for tests has the results of one more task"}}, nil
			},
		},
	}
}

// accepted puts together what passed.
func accepted(s *incident.Scope, checks []AcceptanceCheck, d Defaults) (r Routine) {
	r.add("a launch", looked(s, "login"))
	task, ok := incident.Result[Found](s, "task")
	o, _ := s.Outcome("task")
	took := task.Took
	if v, measured := task.Numbers["task_duration"]; measured {
		took = time.Duration(v * float64(time.Second))
	}
	switch {
	case !ok:
		r.Problems = append(r.Problems, "a QA task: "+cut(o.Message, 300))
	case took > d.SlowTask:
		r.Problems = append(r.Problems, fmt.Sprintf("a QA task: it took %v, and %v may it take", took.Round(time.Second), d.SlowTask))
	default:
		r.Well = append(r.Well, fmt.Sprintf("a QA task came to its end in %v", took.Round(time.Second)))
	}
	r.add("progress over WebSocket", looked(s, "websocket"))
	for i, c := range checks {
		r.add(c.Name, looked(s, fmt.Sprintf("check-%d", i+1)))
	}
	return r
}
