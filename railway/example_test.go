package railway_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// A program that runs on Railway uses a project token: it needs no names, since the
// token has its own project and environment.
func Example() {
	// Railway in memory; a program has none of this, and no HTTP in its Config.
	server := &railwaytest.Server{}
	project := server.AddProject(server.AddWorkspace("ACU"), "canvas-tools")
	environment := server.AddEnvironment(project, "production")
	api := server.AddService(environment, railwaytest.Service{Name: "api", Image: "ghcr.io/acu/api:2"})
	server.AddDeployment(environment, api, railwaytest.Deployment{
		Status: "REMOVED", Image: "ghcr.io/acu/api:1", CanRollback: true, Created: time.Now().Add(-time.Hour),
	})
	token := server.AddToken(railwaytest.Token{Kind: "project", Project: project, Environment: environment})

	ctx := context.Background()
	client, err := railway.New(railway.Config{Kind: railway.ProjectToken, Token: runbook.NewSecret(token), HTTP: server.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	who, err := client.CheckToken(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("a token for", who.Project.Name, who.Environment.Name)

	service, err := client.Service(ctx, railway.Target{Service: "api"})
	if err != nil {
		fmt.Println(err)
		return
	}
	deployments, err := service.Deployments(ctx, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range deployments {
		fmt.Println(d.Status, d.Image, "can roll back:", d.CanRollback)
	}
	// Output:
	// a token for canvas-tools production
	// succeeded ghcr.io/acu/api:2 can roll back: false
	// removed ghcr.io/acu/api:1 can roll back: true
}

// What Railway says is "Not Authorized". What it means is found out.
func ExampleClient_CheckToken() {
	server := &railwaytest.Server{}
	token := server.AddToken(railwaytest.Token{Kind: "workspace", Workspace: server.AddWorkspace("ACU")})
	client, err := railway.New(railway.Config{Kind: railway.AccountToken, Token: runbook.NewSecret(token), HTTP: server.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.CheckToken(context.Background())
	fmt.Println(errors.Is(err, railway.ErrNotAuthorized))
	if e, ok := errors.AsType[*railway.Error](err); ok {
		fmt.Println(e.Diagnosis)
	}
	// Output:
	// true
	// the token is valid, but its kind is workspace and not account: correct the kind in the configuration
}

// The API has no versions. What it has lost since this package was written is named.
func ExampleClient_Verify() {
	server := &railwaytest.Server{}
	server.Drop("DeploymentSnapshot.variables")
	client, err := railway.New(railway.Config{
		Kind: railway.AccountToken, Token: runbook.NewSecret(server.AddToken(railwaytest.Token{})), HTTP: server.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	drifts, err := client.Verify(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range drifts {
		fmt.Println(d)
	}
	// Output:
	// DeploymentSnapshot.variables is gone; breaks DeploymentSnapshot
}
