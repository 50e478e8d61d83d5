// Package incident holds what happens when something is wrong: incidents with a
// clock on them, escalation, and playbooks that put things right. Today it holds
// the ports that these will call: small interfaces for what an incident needs of
// the platforms that an application runs on and talks to.
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
//	Provisioner     a project, an environment and a service from nothing
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
// It knows no provider and sends nothing. It does not repeat calls: whether a
// call can be repeated is in its error.
//
// # Errors
//
// [ErrOutcomeUnknown] is not a failure: it says that nobody knows. An error that
// is none of the sentinels of this package means that the platform could not be
// asked, or did not do what it was asked to, and changed nothing. That nothing was
// changed allows asking again only where runbook.SafeToRetry says so or the port
// does: another one may have been asked for meanwhile. No error has a secret in it.
//
// Ports are safe for concurrent use, and so is everything else in the package,
// which is values. Importing it compiles package runbook and the standard library.
package incident
