package jira_test

import (
	"context"
	"fmt"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/jira"
)

// A ticket is opened, commented on and closed. A real program has no HTTP client that
// answers in memory, and gives the notifier to a router.
func Example() {
	ctx := context.Background()
	service := &alerttest.Jira{}
	tickets, err := jira.New(jira.Config{
		BaseURL: "https://example.atlassian.net", Project: "OPS", Email: "runbook@example.edu", Token: runbook.NewSecret("token"), HTTP: service.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	n := alert.Notification{Key: "9f86d081", Seq: 1, Kind: alert.KindFiring, Title: "HIGH: production: it is slow", Text: "Response time of app is 7.2 s\n"}
	receipt, err := tickets.Notify(ctx, n)
	fmt.Println(receipt, service.Issues()[0].Labels, err)

	n = alert.Notification{Key: "9f86d081", Seq: 2, Kind: alert.KindResolved, Title: "RESOLVED", Text: "It is as fast as before.\n", Prior: receipt}
	if _, err = tickets.Notify(ctx, n); err != nil {
		fmt.Println(err)
		return
	}
	state, err := tickets.State(ctx, receipt)
	fmt.Println(state.URL, state.State, state.Done, err)
	// Output:
	// OPS-1 [runbook-9f86d081] <nil>
	// https://example.atlassian.net/browse/OPS-1 Done true <nil>
}
