// Package railway operates applications on Railway (https://railway.com): it finds out
// what is deployed, rolls back, restarts, changes variables, restores, and proves what
// happened. It is a client of Railway's public GraphQL API.
//
//	client, err := railway.New(railway.Config{Kind: railway.ProjectToken, Token: token})
//	if err != nil {
//		return err
//	}
//	app, err := client.Service(ctx, railway.Target{Service: "app"})
//	if err != nil {
//		return err
//	}
//	list, err := app.Deployments(ctx, 20)
//	...
//	if target, ok := incident.RollbackTarget(list); ok {
//		d, err := app.Rollback(ctx, target)
//		...
//		d, err = app.WaitDeployment(ctx, d.ID, nil)
//	}
//
// A [Service] is one service in one environment, and an [Environment] what it is in. A
// Service implements the ports of package incident: Deployer with everything optional,
// Stopper, DeployFreezer, Scaler, Variables, Backups and BackupRestorer, Logs and
// LogFollower, Metrics; [Service.Migrator] makes a Migrator. A [Client] is a Provisioner
// and a Disposer.
// [NewCredentials] makes a runbook.CredentialStore of a service's variables.
//
// # Tokens
//
// The kind of a token is stated, because neither the token nor the name of the variable
// that it is in tells it. A project token reaches one environment of one project, and
// does what an incident needs; what it cannot do is refused before it is tried. "Not
// Authorized" means several things at Railway; the Diagnosis of the [Error] says which.
//
// # What happened
//
// Mutations are sent once. Railway's have no key by which it would recognise a
// repetition, and many answer with no more than true. So the state is noted before and
// read afterwards, and what is returned was observed. If the answer is lost, the state
// decides; if it does not tell, the error is an incident.ErrOutcomeUnknown, which says
// where to look. runbook.SafeToRetry is true only if it is proven that nothing was run.
//
// Some of what Railway does surprises, and is in the comments of the methods: a restart
// applies no changed variable, a rollback brings back the variables of its deployment and
// leaves those that are configured, committing staged changes commits those of other
// people too (they are refused here), a restore deletes newer backups, and a deployment
// that succeeded is not checked again: whether an application is healthy is for probes of
// package health to say. Names of methods that need an environment always send one: where
// Railway takes none for all of them, that cannot happen here.
//
// # Limits
//
// A [Budget] paces calls, reads what is left of the hourly limit, and holds calls back when
// a limit was reached, Railway's or that of the edge before it. Waiting and following use
// a WebSocket, which costs one call, and fall back to asking now and then.
//
// # The schema
//
// The API changes without versions. The operations are generated from documents of our
// own, which ask for little. [Client.Verify] compares them with what the API is now and
// names each difference; [Client.DriftProber] does it as a check.
//
// # What it does not do
//
// It builds nothing, and describes no infrastructure as code. Railway's volume backups
// restore only into the same environment: what must survive Railway goes through
// incident/pgdump, and the configuration through [Environment.Snapshot].
//
// # Concurrency, errors and cost
//
// All types but the plain values are safe for concurrent use. Errors are [*Error], told
// apart by errors.Is with those of this package and of package incident. No error, log or
// formatter shows a token or the value of a variable. Nothing is logged. Importing this
// package compiles the root package, health, incident, go-retryablehttp, x/time, the parts
// of genqlient and gqlparser that generated code needs, coder/websocket, and age for
// snapshots. For tests there is railwaytest, Railway in memory.
package railway
