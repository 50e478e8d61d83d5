package examples_test

import (
	"fmt"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// A deployment of an hour ago is bad. It is rolled back, after the plan was looked at and
// automatic deployments were frozen; the answer to the rollback is lost, and it is found
// out what happened all the same.
func Example_badDeployIsRolledBack() {
	platform := &railwaytest.Server{Building: -1, Deploying: -1, Lag: time.Millisecond}
	project := platform.AddProject(platform.AddWorkspace("ACU"), "qa-automation")
	production := platform.AddEnvironment(project, "production")
	id := platform.AddService(production, railwaytest.Service{
		Name: "app", Repo: "acu/qa-automation", Variables: map[string]string{"ASYNC_WORKERS": "8"}, Undeployed: true,
	})
	platform.AddDeployment(production, id, railwaytest.Deployment{
		Status: "SUCCESS", Commit: "1111111111", Message: "Faster reports", Created: time.Now().Add(-24 * time.Hour),
		CanRollback: true, Variables: map[string]string{"ASYNC_WORKERS": "8"},
	})
	platform.SetVariable(production, id, "ASYNC_WORKERS", "16", false) // somebody, with the bad deployment
	platform.Push(production, id, "2222222222", "Use more workers")
	token := platform.AddToken(railwaytest.Token{Kind: "project", Project: project, Environment: production})

	client, err := railway.New(railway.Config{Kind: railway.ProjectToken, Token: runbook.NewSecret(token), HTTP: platform.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	app, err := client.Service(ctx, railway.Target{Service: "app"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := app.WaitDeployment(ctx, platform.Newest(production, id), nil); err != nil {
		fmt.Println(err)
		return
	}
	list, err := app.Deployments(ctx, 20)
	if err != nil {
		fmt.Println(err)
		return
	}
	target, ok := incident.RollbackTarget(list)
	if !ok {
		fmt.Println("there is nothing to roll back to")
		return
	}
	plan, err := app.PlanRollback(ctx, target)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("from", plan.Current.Commit, "to", plan.Target.Commit)
	fmt.Println("variables that differ:", plan.Variables.Changed)
	for _, w := range plan.Warnings {
		fmt.Println("-", w)
	}
	freeze, err := app.SetDeployFreeze(ctx, true)
	fmt.Println("frozen:", freeze.Frozen, err)

	platform.Fail(railwaytest.Fault{Op: "deploymentRollback", Kind: railwaytest.LoseAnswer})
	d, err := app.Rollback(ctx, target)
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err = app.WaitDeployment(ctx, d.ID, nil)
	fmt.Println(d.Status, d.Commit, err)
	fmt.Println("it runs with ASYNC_WORKERS", platform.Got(d.ID)["ASYNC_WORKERS"])
	// Output:
	// from 2222222222 to 1111111111
	// variables that differ: [ASYNC_WORKERS]
	// - The next push to the branch is deployed automatically and brings the newer version back: freeze automatic deployments first.
	// - The target had other variables (ASYNC_WORKERS), which the rollback brings back; the next deployment has today's settings again.
	// - A rollback does not undo migrations of the database: the older version meets today's schema.
	// frozen: true <nil>
	// succeeded 1111111111 <nil>
	// it runs with ASYNC_WORKERS 8
}
