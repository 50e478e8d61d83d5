package email_test

import (
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/email"
)

// A mail is sent, and another one is refused. A real program dials a real server, with
// STARTTLS and a password, and gives the notifier to a router.
func Example() {
	down := alert.Notification{
		Key: "9f86d081", Seq: 1, Kind: alert.KindFiring, Severity: alert.Critical, Environment: "production", At: time.Now(),
		Title: "CRITICAL production: app is down", Text: "CRITICAL production: app is down\n",
	}
	for _, reply := range []string{"250 2.0.0 queued", "554 5.7.1 this looks like spam"} {
		mail, err := email.New(email.Config{
			Host: "smtp.example.edu", Encryption: email.Opportunistic, Dial: scripted(map[string]string{".": reply}),
			From: "Operations <runbook@example.edu>", To: []string{"On call <on-call@example.edu>"},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		receipt, err := mail.Notify(context.Background(), down)
		fmt.Println(receipt, err)
	}
	// Output:
	// 9f86d081.1@example.edu <nil>
	//  alert: email: send: status 554: refused: 5.7.1 this looks like spam
}
