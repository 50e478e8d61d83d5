package webhook_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/webhook"
)

// One program tells another. What is sent again is taken once.
func Example() {
	secret := runbook.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	receiver, err := webhook.NewHandler(webhook.HandlerConfig{
		Secrets: []runbook.Secret{secret},
		OnMessage: func(_ context.Context, m webhook.Message) error {
			fmt.Printf("%s %s: %s\n", m.ID, m.Kind, m.Title)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewTLSServer(receiver)
	defer server.Close()
	notifier, err := webhook.New(webhook.Config{URL: runbook.NewSecret(server.URL), Secret: secret, HTTP: server.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	n := alert.Notification{Key: "app", Seq: 1, Kind: alert.KindFiring, Severity: alert.Critical, Title: "CRITICAL: app is down"}
	for range 2 {
		if _, err := notifier.Notify(context.Background(), n); err != nil {
			fmt.Println(err)
		}
		n.PossibleRepeat = true
	}
	// Output:
	// app-1 firing: CRITICAL: app is down
}
