package statuspageio_test

import (
	"context"
	"fmt"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/statuspageio"
)

// An incident is posted. A real program has no HTTP client that answers in memory, and
// posts through a router.
func Example() {
	ctx := context.Background()
	service := &alerttest.Statuspage{Components: map[string]string{"8kbf7d35c070": "operational"}}
	page, err := statuspageio.New(statuspageio.Config{
		Page: "kctbh9vrtdwd", APIKey: runbook.NewSecret("key"), HTTP: service.Client(),
		Components: map[string]string{"QA automation": "8kbf7d35c070"},
		PerSecond:  1000, // so that the example need not wait
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	post := alert.Post{
		ID: "incident-7", Title: "QA automation does not answer", Body: "We look into it.", Status: "investigating",
		Components: map[string]string{"QA automation": "major_outage"},
	}
	receipt, err := page.Notify(ctx, alert.Notification{Key: "9f86d081", Seq: 1, Kind: alert.KindPost, Post: &post})
	fmt.Println(service.Incidents()[0].Name, service.Component("8kbf7d35c070"), err)

	post.Status, post.Body, post.Components = "resolved", "It answers again.", nil
	_, err = page.Notify(ctx, alert.Notification{Key: "9f86d081", Seq: 2, Kind: alert.KindPost, Post: &post, Prior: receipt})
	fmt.Println(service.Incidents()[0].Status, service.Component("8kbf7d35c070"), err)
	// Output:
	// QA automation does not answer major_outage <nil>
	// resolved operational <nil>
}
