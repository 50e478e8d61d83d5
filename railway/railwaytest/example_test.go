package railwaytest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// A client looks at a service, and then its token dies.
func Example() {
	fake := &railwaytest.Server{}
	project := fake.AddProject(fake.AddWorkspace("School"), "lessons")
	production := fake.AddEnvironment(project, "production")
	fake.AddService(production, railwaytest.Service{Name: "api", Image: "registry.example/api:1"})
	token := fake.AddToken(railwaytest.Token{Kind: "project", Project: project, Environment: production})

	client, err := railway.New(railway.Config{
		Kind: railway.ProjectToken, Token: runbook.NewSecret(token),
		HTTP: fake.Client(), // leads every host to the fake; leave it out for the real one
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	api, err := client.Service(ctx, railway.Target{Service: "api"})
	if err != nil {
		fmt.Println(err)
		return
	}
	deployments, err := api.Deployments(ctx, 5)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range deployments {
		fmt.Println(api, d.Status)
	}

	fake.Forbid(true)
	_, err = api.Deployments(ctx, 5)
	fmt.Println(errors.Is(err, railway.ErrNotAuthorized))
	// Output:
	// api succeeded
	// true
}

// A mutation is done, but its answer is lost: the client cannot know.
func ExampleServer_Fail() {
	fake := &railwaytest.Server{}
	production := fake.AddEnvironment(fake.AddProject(fake.AddWorkspace("School"), "lessons"), "production")
	api := fake.AddService(production, railwaytest.Service{Name: "api", Image: "registry.example/api:1"})
	token := fake.AddToken(railwaytest.Token{})

	fake.Fail(railwaytest.Fault{Op: "deploymentRestart", Kind: railwaytest.LoseAnswer})
	for range 2 {
		body := fmt.Sprintf(`{"query":"mutation { deploymentRestart(id: \"%s\") }"}`, fake.Newest(production, api))
		req, err := http.NewRequest(http.MethodPost, "https://backboard.railway.com/graphql/v2?source=example", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := fake.Client().Do(req)
		if err != nil {
			fmt.Println("no answer")
			continue
		}
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			fmt.Println(err)
		}
		if err := resp.Body.Close(); err != nil {
			fmt.Println(err)
		}
		fmt.Printf("%s\n", answer)
	}
	fmt.Println("restarted", len(fake.Effects()), "times")
	// Output:
	// no answer
	// {"data":{"deploymentRestart":true}}
	// restarted 2 times
}
