package playbooks_test

import (
	"context"
	"fmt"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// What would be done about an application that is down since its last deployment, without
// doing it.
func ExampleApplicationDown() {
	ctx := context.Background()
	platform := new(incidenttest.Platform)
	platform.Deploy(incident.Deployment{Commit: "1111111", Status: incident.DeploymentSucceeded, CanRollback: true})
	platform.Deploy(incident.Deployment{Commit: "2222222", Status: incident.DeploymentSucceeded, CanRollback: true})
	production := playbooks.Environment{
		Name: "production", Deployer: platform, Freezer: platform,
		Probes: playbooks.Probes{Application: health.ProberFunc(func(context.Context) health.Result {
			return health.Result{Status: health.Unhealthy, Message: "status 502"}
		})},
	}
	runner, err := incident.NewRunner(incident.RunnerConfig{
		Playbooks: []incident.Playbook{playbooks.ApplicationDown(production)},
		Runs:      incident.NewMemoryRuns(incident.MemoryRunsConfig{}), Store: new(incident.MemoryStore),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := runner.Plan(ctx, incident.Request{Environment: "production", Playbook: "application-down", By: "jane"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Run.Text)
	for _, step := range plan.Run.Steps {
		if step.Effect != nil {
			fmt.Println("-", step.Effect.Call)
		}
	}
	// Output:
	// plan: 2 changes
	// - freeze automatic deployments of production
	// - roll back production to deployment d1 (commit 1111111)
}

// A playbook that needs what an environment does not have says so before it is needed.
func ExampleApplicationDown_missing() {
	err := playbooks.ApplicationDown(playbooks.Environment{Name: "test"}).Validate()
	fmt.Println(err)
	// Output:
	// playbook application-down of test: step deployments needs a Deployer, which this environment does not have
	// step freeze needs a DeployFreezer, which this environment does not have
	// step roll-back needs a Deployer, which this environment does not have
	// step restart needs a Deployer, which this environment does not have
	// step unfreeze needs a DeployFreezer, which this environment does not have
}
