// Package jira keeps a ticket in Jira for each conversation about alerts: Jira Cloud, or
// Jira Data Center.
//
//	tickets, err := jira.New(jira.Config{
//		BaseURL: "https://example.atlassian.net",
//		Project: "OPS",
//		Email:   "runbook@example.edu", Token: token, // an API token
//	})
//	...
//	targets := []alert.Target{{Name: "jira", Notifier: tickets}}
//	...
//	receipt, err := tickets.Notify(ctx, notification) // the key of the ticket: "OPS-42"
//	state, err := tickets.State(ctx, receipt)         // what became of it
//
// # What people see
//
// The first message opens a ticket, those that follow are comments, and the last one
// moves it to a status of the category "done", by a transition that Jira offers at that
// moment: workflows differ, so that neither the ID nor the name of a transition is
// assumed. If Jira offers none, or refuses it, the comment says that the ticket must be
// closed by hand. A ticket that somebody closed before stays as it is.
//
// On Jira Cloud texts are documents (ADF) of plain paragraphs, on Data Center they are
// quoted as {noformat}: text from outside mentions nobody and has no markup.
//
// # Twice
//
// Jira has no keys of ours, so each ticket has a label, "runbook-" and the key. After an
// unknown outcome the ticket is looked for by this label. Jira's search lags behind, and
// may not find what was made a moment ago: what was not found is created, and says that
// it may be a repetition. In all other cases the receipt names the ticket and nothing is
// searched.
//
// # Which Jira
//
// [Cloud] uses version 3 of the REST API and its search at /search/jql, since the one
// before was removed (https://developer.atlassian.com/changelog/#CHANGE-2046);
// [DataCenter] uses version 2. Requests carry basic authentication with an API token if
// Email is set, else a bearer token, which is a personal access token on Data Center.
//
// # What it does not do
//
// It reads no comments, reopens nothing, leaves the priority as it was set at first,
// whatever follows, and sets no fields but those of Config.
//
// # Concurrency, errors and cost
//
// A [Notifier] is safe for concurrent use. Errors are [*alert.Error]; what Jira says of
// the reason is its Code. Importing this package compiles alert and the module's HTTP path.
package jira
