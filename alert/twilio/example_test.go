package twilio_test

import (
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/twilio"
)

// A phone is told of an alert. A real program has no HTTP client that answers in memory, and
// gives the notifier to a router.
func Example() {
	service := &alerttest.Twilio{AccountSID: "AC0123456789abcdef0123456789abcdef", AuthToken: "token"}
	sms, err := twilio.New(twilio.Config{
		AccountSID: runbook.NewSecret(service.AccountSID), AuthToken: runbook.NewSecret(service.AuthToken),
		From: "+61400111333", To: "+61400111222", HTTP: service.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC)
	_, err = sms.Notify(context.Background(), alert.Notification{
		Key: "9f86d081", Seq: 1, Kind: alert.KindFiring, Severity: alert.Critical, At: at, Title: "CRITICAL production: app is down",
		Alerts: []alert.Alert{{Entity: "app", State: alert.Firing, Began: at.Add(-2 * time.Minute), Playbook: "application-down", Detail: "GET /health: status 503"}},
	})
	fmt.Println(err)
	fmt.Println(service.Told()[0].Body)

	_, err = twilio.New(twilio.Config{
		AccountSID: runbook.NewSecret(service.AccountSID), AuthToken: runbook.NewSecret(service.AuthToken),
		From: "+61400111333", To: "+61-x-xxxx-xxxx",
	})
	fmt.Println(err)
	// Output:
	// <nil>
	// CRITICAL production: app is down
	// Playbook: application-down. Nobody has it yet.
	// Since 03:10 UTC.
	// GET /health: status 503
	// twilio: To must be a phone number with + and the code of the country, in digits only, and no placeholder
}
