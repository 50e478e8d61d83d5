package incidenttest_test

import (
	"context"
	"fmt"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// A variable is changed, and the proof says when the service has it.
func ExamplePlatform() {
	ctx := context.Background()
	platform := &incidenttest.Platform{}
	platform.Configure(map[string]string{"ASYNC_WORKERS": "4"})
	platform.Deploy(incident.Deployment{Commit: "5e1f0aa"})

	pending, err := platform.SetVariables(ctx, incident.VariableBatch{
		Set: map[string]runbook.Secret{"ASYNC_WORKERS": runbook.NewSecret("8")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	prove := func(after string, err error) {
		if err != nil {
			fmt.Println(err)
			return
		}
		proof, err := platform.ProveVariables(ctx, pending)
		fmt.Printf("%s: proven %v, pending %v, %v\n", after, proof.Proven(), proof.Pending, err)
	}
	_, err = platform.Restart(ctx)
	prove("after a restart", err)
	_, err = platform.Redeploy(ctx)
	prove("after a redeployment", err)
	// Output:
	// after a restart: proven false, pending [ASYNC_WORKERS], <nil>
	// after a redeployment: proven true, pending [], <nil>
}

// A restore says beforehand what it destroys, and is refused when that has changed.
func ExamplePlatform_restore() {
	ctx := context.Background()
	platform := &incidenttest.Platform{}
	good, err := platform.CreateBackup(ctx, "monday")
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := platform.PlanRestore(ctx, good.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("backups that would be lost:", len(plan.Deletes))
	if _, err := platform.CreateBackup(ctx, "tuesday"); err != nil { // while a person thinks about it
		fmt.Println(err)
		return
	}
	_, err = platform.RestoreBackup(ctx, plan)
	fmt.Println(err)
	plan, err = platform.PlanRestore(ctx, good.ID)
	fmt.Println("backups that would be lost:", len(plan.Deletes), err)
	// Output:
	// backups that would be lost: 0
	// incidenttest: restore of backup "b1": the plan would be another one now: changed meanwhile
	// backups that would be lost: 1 <nil>
}
