package pagerduty_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/pagerduty"
)

// An alert is told, somebody acknowledges it at PagerDuty, and it ends. A real program
// has no HTTP client that answers in memory, and gives the notifier to a router.
func Example() {
	ctx := context.Background()
	service := &alerttest.PagerDuty{Secret: "webhook-secret"}
	notifier, err := pagerduty.New(pagerduty.Config{
		RoutingKey: runbook.NewSecret("R0123456789abcdef0123456789abcde"), Playbooks: "https://runbook.example.edu/playbooks/", HTTP: service.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	webhook, err := pagerduty.NewWebhook(pagerduty.WebhookConfig{
		Secrets: []runbook.Secret{runbook.NewSecret("webhook-secret")},
		OnEvent: func(_ context.Context, e pagerduty.Event) error {
			fmt.Println(e.Type, "by", e.By, "of", e.Key) // here: router.AcknowledgeConversation
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	down := alert.Notification{
		Key: "9f86d081", Seq: 1, Kind: alert.KindFiring, Severity: alert.Critical, Environment: "production",
		Title: "CRITICAL production: app is down", Text: "CRITICAL production: app is down\n", At: time.Now(),
		Alerts: []alert.Alert{{Rule: "failed_checks", Entity: "app", State: alert.Firing, Playbook: "application-down"}},
	}
	receipt, err := notifier.Notify(ctx, down)
	fmt.Println(receipt, err)

	request, err := service.Webhook("https://host.example.edu/hooks/pagerduty", "incident.acknowledged", "9f86d081", "Ana Silva")
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := httptest.NewRecorder()
	webhook.ServeHTTP(answer, request)
	fmt.Println(answer.Code)

	down.Seq, down.Kind, down.Prior = 2, alert.KindResolved, receipt
	_, err = notifier.Notify(ctx, down)
	at := service.Alerts()[0]
	fmt.Println(at.Status, at.Log[0].Links[0].Href, err)
	// Output:
	// 9f86d081 <nil>
	// incident.acknowledged by Ana Silva of 9f86d081
	// 202
	// resolved https://runbook.example.edu/playbooks/application-down <nil>
}
