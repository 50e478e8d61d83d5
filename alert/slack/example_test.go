package slack_test

import (
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/slack"
)

// A conversation is a thread, whose first message shows how things are now. Somebody presses
// its button, which the host turns into an acknowledgement.
func Example() {
	service := &alerttest.Slack{Token: "xoxb-1", SigningSecret: "s1"}
	notifier, err := slack.New(slack.Config{
		Token: runbook.NewSecret("xoxb-1"), Channel: "#qa-automation-alerts", Buttons: true, HTTP: service.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	actions, err := slack.NewActionsHandler(slack.ActionsConfig{
		SigningSecret: runbook.NewSecret("s1"),
		OnAction: func(_ context.Context, a slack.Action) error {
			fmt.Printf("%s by %s: %s\n", a.Name, a.UserName, a.Alert)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// A router does this.
	app := alert.Alert{Key: "app-is-down", Rule: "health_check", Severity: alert.Critical, State: alert.Firing, Began: time.Now()}
	n := alert.Notification{Key: "k1", Seq: 1, Kind: alert.KindFiring, Severity: alert.Critical, Title: "CRITICAL: app is down", Alerts: []alert.Alert{app}}
	n.Prior, err = notifier.Notify(context.Background(), n)
	if err != nil {
		fmt.Println(err)
		return
	}
	first := service.Messages()[0]
	fmt.Println(service.Press(actions, first, first.Buttons[0], "U1", "ana"))

	app.State = alert.Resolved
	n.Seq, n.Kind, n.Title, n.Alerts = 2, alert.KindResolved, "RESOLVED after 12 min: app is down", []alert.Alert{app}
	if _, err := notifier.Notify(context.Background(), n); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range service.Messages() {
		fmt.Printf("%s, reply: %t\n", m.Header, m.ThreadTS != "")
	}
	// Output:
	// acknowledge by ana: app-is-down
	// 200
	// RESOLVED after 12 min: app is down, reply: false
	// RESOLVED after 12 min: app is down, reply: true
}
