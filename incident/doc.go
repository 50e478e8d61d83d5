// Package incident holds what happens when something is wrong: incidents with a clock
// on them, escalation, playbooks that put things right, and the ports through which these
// act on platforms.
//
// An incident is opened by an alert, which a [Manager] is told of as a notifier of the
// alert router, or by a person. It has a severity, clocks that follow from it, and a
// timeline that can only grow:
//
//	manager, err := incident.NewManager(incident.ManagerConfig{
//		Store: store, Bindings: bindings, Acknowledger: router, Escalator: escalations,
//	})
//
// A [Playbook] is a procedure as a program: checks, actions, verifications, approvals,
// waits, notices, and what a person does by hand. It is a value that can be validated,
// printed as a document, planned and run. A [Runner] does so, on [Runs] that survive:
//
//	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{}) // or those of package durable
//	runner, err := incident.NewRunner(incident.RunnerConfig{Playbooks: playbooks, Runs: runs, Store: store})
//	...
//	err = runs.Launch(ctx, map[string]incident.Program{incident.PlaybookProgram: runner.Program()})
//	plan, err := runner.Plan(ctx, request)  // looks, and changes nothing
//	run, err := runner.Start(ctx, request)
//	err = runner.Answer(ctx, run.ID, question, incident.Answer{Kind: incident.AnswerApprove, Actor: "kim"})
//
// # What a run promises
//
//   - What was recorded is not done again: a run that a crash interrupted goes on where it
//     was, in this process or in another one.
//   - Before an action is made, that it will be is recorded. One of which nobody knows how
//     it ended is read, or a person is asked; it is done again only if its step says that
//     twice is the same as once.
//   - Nobody approves what they started; time that runs out denies; an approval can be
//     for exactly what the plan says.
//   - After a failure a person is asked, unless the step says otherwise. Whatever is
//     decided, left out or skipped has a name and a reason.
//   - What no person started acts within an [AutomationPolicy], and one switch stops it.
//   - Runs that share a lock, which is the environment, never overlap.
//
// # Ports
//
// Of a platform that deploys, for one service in one environment:
//
//	Deployer        list deployments, roll back, restart, redeploy; and, where a
//	                platform can, wait, deploy a commit or an image, cancel, approve
//	Stopper         take the service off the network and back
//	DeployFreezer   no deployment that nobody asked for
//	Scaler          replicas by region, limits
//	Variables       read, write in one batch, prove what really runs
//	Backups         list, make; restore by a plan that names what it destroys
//	Dumper          copy a database off the platform, and load the copy elsewhere
//	Migrator        bring the schema to what the application wants
//	Logs, Metrics   what it printed, and what was measured
//	Provisioner     a project, an environment and a service from nothing; and a
//	                service that was made for a time only is removed again
//	Sessions        sign everybody out
//
// Of a learning platform, and of what talks to it:
//
//	Quota           how much may still be asked
//	PlatformKeys    is our key on, and switch it
//	AuditLog        who logged in, who changed what
//	Announcer       tell the users of the platform
//	Diagnoser       what is wrong, most likely first
//	Nonces          what "clear the nonce cache" may do
//
// A rollback, for example, is:
//
//	list, err := deployer.Deployments(ctx, 50)
//	if err != nil {
//		return err
//	}
//	to, ok := incident.RollbackTarget(list)
//	if !ok {
//		return errors.New("there is nothing to roll back to")
//	}
//	now, err := deployer.Rollback(ctx, to)
//	if errors.Is(err, incident.ErrOutcomeUnknown) {
//		// It may be under way or not: look, or ask a person. Do not roll back again.
//	}
//
// Each port has a few methods, whose comments speak to those who implement them:
// what may run concurrently, what the end of the context means, and which error
// says what. A provider implements the ports it can, and one type may implement
// all of them: no two have a method of the same name. What only some platforms can
// do is an interface of its own, found by assertion: [DeploymentWaiter],
// [BackupRestorer], [DumpLoader], [LogFollower]. Package incidenttest has
// implementations in memory and the tests that every implementation must pass.
//
// What a change returns is what was observed afterwards, and never what was asked
// for.
//
// # What it does not do
//
// It knows no provider. The ports do not repeat calls: whether a call can be repeated is
// in its error. There is no engine for runs that survive a process in it; that is package
// durable.
//
// # Errors
//
// [ErrOutcomeUnknown] is not a failure: it says that nobody knows. An error that
// is none of the sentinels of this package means that the platform could not be
// asked, or did not do what it was asked to, and changed nothing. That nothing was
// changed allows asking again only where runbook.SafeToRetry says so or the port
// does: another one may have been asked for meanwhile. No error has a secret in it.
//
// Ports, and all types with methods that do something, are safe for concurrent use; the
// others are values. Importing it compiles the packages runbook, health and alert, and
// the standard library.
package incident
