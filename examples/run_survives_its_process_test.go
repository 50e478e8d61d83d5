package examples_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// A bad deployment is to be rolled back, and a person is asked. The process ends while it
// waits; the next one goes on from its file, and rolls back once.
func Example_runSurvivesItsProcess() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "runs")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	platform := new(incidenttest.Platform)
	platform.Deploy(incident.Deployment{Commit: "1111111", Status: incident.DeploymentSucceeded, CanRollback: true})
	platform.Deploy(incident.Deployment{Commit: "bad0bad", Status: incident.DeploymentSucceeded, CanRollback: true})
	store := new(incident.MemoryStore) // a real host keeps it in package sqlstore

	runner, runs, err := start(ctx, filepath.Join(folder, "runs.db"), rollback(platform), store)
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := runner.Plan(ctx, incident.Request{Environment: "production", Playbook: "roll-back", By: "jane"})
	fmt.Println(plan.Run.Step("roll-back").Effect.Call, err)
	_, err = runner.Start(ctx, incident.Request{ID: "run-1", Environment: "production", Playbook: "roll-back", By: "jane", Plan: plan.Hash})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = follow(ctx, runner, func(r incident.Run) bool { return r.Question != nil })
	fmt.Println(err, runs.Close(ctx)) // the process ends

	runner, runs, err = start(ctx, filepath.Join(folder, "runs.db"), rollback(platform), store)
	if err != nil {
		fmt.Println(err)
		return
	}
	asked, err := follow(ctx, runner, func(r incident.Run) bool { return r.Question != nil })
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := incident.Answer{Kind: incident.AnswerApprove, Actor: "kim", Plan: asked.Question.Plan}
	if err := runner.Answer(ctx, "run-1", asked.Question.ID, answer); err != nil {
		fmt.Println(err)
		return
	}
	ended, err := follow(ctx, runner, func(r incident.Run) bool { return r.State == incident.StateSucceeded })
	fmt.Println(ended.Text, err, platform.Effects())
	fmt.Println(runs.Close(ctx))
	// Output:
	// roll back production to commit 1111111 <nil>
	// <nil> <nil>
	// succeeded <nil> [Rollback d3]
	// <nil>
}

// start is what a host does when it starts.
func start(ctx context.Context, path string, p incident.Playbook, store incident.Store) (*incident.Runner, *durable.Runs, error) {
	db, err := sqlitefile.Open(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	runs, err := durable.Open(ctx, durable.Config{DB: db, Host: "opsd"})
	if err != nil {
		return nil, nil, err
	}
	runner, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{p}, Runs: runs, Store: store})
	if err != nil {
		return nil, nil, err
	}
	return runner, runs, runs.Launch(ctx, map[string]incident.Program{incident.PlaybookProgram: runner.Program()})
}

// follow follows the run until something is so.
func follow(ctx context.Context, runner *incident.Runner, so func(incident.Run) bool) (incident.Run, error) {
	for run, err := range runner.Follow(ctx, "run-1") {
		if err != nil || so(run) {
			return run, err
		}
	}
	return incident.Run{}, errors.New("it ended otherwise")
}

// rollback is a playbook: ask, roll back, and see that it helped.
func rollback(platform *incidenttest.Platform) incident.Playbook {
	target := func(ctx context.Context) (incident.Deployment, error) {
		list, err := platform.Deployments(ctx, 20)
		if err != nil {
			return incident.Deployment{}, err
		}
		to, ok := incident.RollbackTarget(list)
		if !ok {
			return to, incident.Final(errors.New("there is nothing to roll back to"))
		}
		return to, nil
	}
	return incident.Playbook{
		Name: "roll-back", Environment: "production", Title: "Roll back", Severity: alert.Critical,
		Steps: []incident.Step{
			{ID: "ask", Title: "May it be rolled back?", Do: incident.Approve{Bound: true, Question: func(*incident.Scope) string { return "It answers 502 since the last deployment." }}},
			{ID: "roll-back", Title: "Roll back", Do: incident.Action{
				Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
					to, err := target(ctx)
					if err != nil {
						return nil, err
					}
					return platform.Rollback(ctx, to)
				},
				Preview: func(ctx context.Context, _ *incident.Scope) (incident.Effect, error) {
					to, err := target(ctx)
					return incident.Effect{Call: "roll back production to commit " + to.Commit}, err
				},
			}},
			{ID: "verify", Title: "See that it is well", Do: incident.Verify{Run: func(context.Context, *incident.Scope) (any, error) { return health.Healthy, nil }}},
		},
	}
}
