// Package servicenow keeps an incident in ServiceNow for each conversation about alerts,
// through its Table API.
//
//	tickets, err := servicenow.New(servicenow.Config{
//		BaseURL:   "https://example.service-now.com",
//		Username:  "runbook", Password: password,
//		CloseCode: "Solution provided", // one that the instance has
//		Fields:    map[string]string{"assignment_group": "287ebd7da9fe198100f92cc8d1d2154e"},
//	})
//	...
//	targets := []alert.Target{{Name: "servicenow", Notifier: tickets}}
//	...
//	receipt, err := tickets.Notify(ctx, notification)
//	state, err := tickets.State(ctx, receipt) // what became of it
//
// # What people see
//
// The first message opens an incident, whose impact and urgency follow the severity; those
// that follow are work notes, which customers do not see. The last one resolves it: it
// sets the state, the close code and the close notes together, and reads from the answer
// whether the instance did so. An incident that somebody resolved or closed before gets a
// work note and stays as it is.
//
// Texts are plain. What ServiceNow would take for markup in a journal, [code], is broken.
//
// # Twice
//
// The correlation ID of an incident is [alert.Notification].Key. Before one is created, it
// is looked up, so that a lost answer opens nothing twice. A work note whose answer was
// lost is written again, and says that it may be a repetition.
//
// An instance ignores a condition on a field that a table does not have, and finds
// anything: what is found is used only if its correlation ID is the right one, else the
// message is refused.
//
// # What it does not do
//
// It reopens nothing, leaves the priority as it was set at first, whatever follows, and
// assigns to people and groups only by Config.Fields.
//
// # Concurrency, errors and cost
//
// A [Notifier] is safe for concurrent use. Errors are [*alert.Error]; what ServiceNow says
// of the reason is its Code. Importing this package compiles alert and the module's HTTP
// path.
package servicenow
