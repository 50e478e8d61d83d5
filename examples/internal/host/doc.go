// Package host is the SDK composed into one program: it watches the environments of the
// application by the schedule of the operations runbook, raises alerts, opens incidents,
// calls people until one takes care, and carries out the playbooks, by itself where the
// policy of the environment lets it and else when a person says so.
//
//	h, err := host.New(ctx, host.Config{
//		Connections: connections, Channels: channels, Store: store, Runs: runs,
//		Policies:    []incident.AutomationPolicy{{Environment: "production", Mode: incident.Act}},
//		Defaults:    playbooks.Defaults{Security: "security@example.edu", Escalation: numbers},
//		People:      people,
//	})
//	if err != nil {
//		return err // everything that is wrong with the configuration
//	}
//	if err := h.Start(ctx); err != nil {
//		return err
//	}
//	defer h.Stop(ctx)
//
// # How it hangs together
//
//	checks (health.Monitor) -> rules (alert.Engine) -> who is told (alert.Router)
//	                                                     |
//	             bindings (incident.Manager) <-----------+
//	                  |                  |
//	        escalation of people     automation -> playbook -> the ports of the environment
//
// An acknowledgement of an incident goes back to its alerts, and the end of its alerts
// resolves it. Operators read #qa-automation-alerts and the mail of whoever is on call;
// stakeholders read #qa-automation-status, a mail and the status page, and never an alert:
// only what was written for them. Phones are for critical incidents of production.
//
// It works on runs and a store in memory, also in a bubble of testing/synctest, and on
// those of packages durable and sqlstore, unchanged.
package host
