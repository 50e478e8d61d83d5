// Package playbooks has the procedures of the operations runbook as playbooks, written on
// the ports of package incident alone: what a host has of a platform it gives in an
// [Environment], and gets the playbooks that it can carry out there.
//
//	production := playbooks.Environment{
//		Name: "production", Probes: playbooks.Probes{Application: app, Canvas: canvas},
//		Deployer: service, Freezer: service, Logs: service,
//	}
//	runner, err := incident.NewRunner(incident.RunnerConfig{
//		Playbooks: []incident.Playbook{playbooks.ApplicationDown(production)}, Runs: runs, Store: store,
//	})
//
// # Rules that all of them keep
//
//   - They look before they act, and say why they act.
//   - They change nothing when the fault is somebody else's: Canvas, or the platform.
//   - One thing is changed at a time, measured, and taken back if it did not help.
//   - What destroys something is approved by a person.
//   - A change of variables is a batch without a deployment, a deployment, and a look at
//     what that got: a restart applies nothing.
//   - Whether something that may have happened did is read, or a person is asked.
//
// The functions that return playbooks may be called for any environment; whether the
// playbook can be carried out there is for its Validate to say.
//
// Importing this package compiles the standard library, the root package, health, alert
// and incident.
package playbooks
