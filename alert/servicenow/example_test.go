package servicenow_test

import (
	"context"
	"fmt"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/servicenow"
)

// An incident is opened and resolved. A real program has no HTTP client that answers in
// memory, and gives the notifier to a router.
func Example() {
	ctx := context.Background()
	service := &alerttest.ServiceNow{}
	tickets, err := servicenow.New(servicenow.Config{
		BaseURL: "https://example.service-now.com", Username: "runbook", Password: runbook.NewSecret("password"),
		CloseCode: "Solution provided", HTTP: service.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	n := alert.Notification{Key: "9f86d081", Seq: 1, Kind: alert.KindFiring, Severity: alert.High, Title: "HIGH: production: it is slow", Text: "Response time of app is 7.2 s\n"}
	receipt, err := tickets.Notify(ctx, n)
	fmt.Println(service.Incidents()[0].Fields["correlation_id"], err)

	n = alert.Notification{Key: "9f86d081", Seq: 2, Kind: alert.KindResolved, Title: "RESOLVED", Text: "It is as fast as before.\n", Prior: receipt}
	if _, err = tickets.Notify(ctx, n); err != nil {
		fmt.Println(err)
		return
	}
	state, err := tickets.State(ctx, receipt)
	fmt.Println(state.ID, state.State, state.Done, err)
	fmt.Println(service.Incidents()[0].Fields["close_notes"])
	// Output:
	// 9f86d081 <nil>
	// INC0010001 6 true <nil>
	// It is as fast as before.
}
