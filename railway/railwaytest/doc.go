// Package railwaytest is Railway in memory: an [http.Handler] that behaves as the
// public API of railway.com does where a client can notice. It is for the tests and
// the rehearsals of programs that use Railway, whether they do by package railway or
// not.
//
//	fake := &railwaytest.Server{}
//	workspace := fake.AddWorkspace("School")
//	project := fake.AddProject(workspace, "lessons")
//	production := fake.AddEnvironment(project, "production")
//	api := fake.AddService(production, railwaytest.Service{Name: "api", Image: "registry.example/api:1"})
//	token := fake.AddToken(railwaytest.Token{Kind: "project", Project: project, Environment: production})
//
//	client, err := railway.New(railway.Config{
//		Kind: railway.ProjectToken, Token: runbook.NewSecret(token),
//		HTTP: fake.Client(), // leads every host to the fake; leave it out for the real one
//	})
//	...
//	fake.NextDeployments("FAILED")                                     // what the next one ends as
//	fake.Fail(railwaytest.Fault{Kind: railwaytest.LoseAnswer})         // the next mutation is done, and nobody is told
//	fake.SetVariable(production, api, "LEVEL", "debug", false)         // somebody else is at work
//	fake.Effects()                                                     // what took effect, to count it
//
// The clock is that of package time, and nothing runs in the background: what has
// become due is worked out when somebody looks. So a test in a bubble of
// testing/synctest waits for hours of deployments in no time, and the same server
// can be given to other programs with [net/http/httptest.NewServer] or on a port.
//
// # What is there
//
// The protocol: operations are parsed, validated and executed as GraphQL asks for,
// against the part of Railway's schema that package railway uses; introspection;
// [Server.Drop] for a schema that changes under its clients. Railway's errors, most
// of which come with status 200 and a code that says nothing. Three kinds of tokens,
// each in its own header. The limit per hour and per second with its headers, and
// that of the edge for requests without a query, which has none. Subscriptions over
// WebSockets (graphql-transport-ws) with their close codes. Uploads of code.
//
// The state: workspaces, projects, environments, services, deployments that take
// their time and whose lists lag behind, variables with references and sealed ones,
// staged changes, volumes with backups and restores that are only staged, workflows,
// logs, metrics, domains, notification rules.
//
// The failures of [Fault]: answers that are lost or cut off after the change was
// made, gateways that fail before and after it, connections that cannot be made,
// WebSockets that break and repeat themselves.
//
// Where Railway is stricter or less convenient than one would like, so is this. A
// null for an environment means all of them. A restart does not apply variables. A
// rollback does not say which deployment it made. What is not there is "Not Authorized"
// to some tokens and "not found" to others.
//
// # What is not there
//
// Building and running of code: a deployment is a status and what it was given.
// Fields of the real schema that package railway does not use are refused as unknown
// ones are. Sign-in by browser, OAuth, templates beyond their configuration, billing,
// private networks. GET and batches of operations; queries and mutations over a
// WebSocket. Where Railway's documentation does not say how something looks, such as
// the body of a 429, the form is a guess, and clients had better not depend on it.
//
// # Concurrency and cost
//
// All of it is safe for concurrent use; an operation is one step. The package starts
// one goroutine for each request of [Server.Client] and for each subscription, and
// none besides: in a bubble, close the WebSockets before the test ends. Importing it
// compiles github.com/vektah/gqlparser and github.com/coder/websocket.
package railwaytest
