package email_test

import (
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/email"
)

// A mail is sent, and another one is refused. A real program leaves Dial and TLS out, which
// are those of a server in memory, and gives the notifier to a router.
func Example() {
	down := alert.Notification{
		Key: "9f86d081", Seq: 1, Kind: alert.KindFiring, Severity: alert.Critical, Environment: "production", At: time.Now(),
		Title: "CRITICAL production: app is down", Text: "CRITICAL production: app is down\n",
	}
	server := &alerttest.SMTP{Host: "smtp.example.edu", Username: "runbook", Password: "right"}
	mail, err := email.New(email.Config{
		Host: "smtp.example.edu", Username: "runbook", Password: runbook.NewSecret("right"),
		From: "Operations <runbook@example.edu>", To: []string{"On call <on-call@example.edu>"},
		Dial: server.Dial, TLS: server.ClientTLS(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, reply := range []string{"250 2.0.0 queued", "554 5.7.1 this looks like spam"} {
		server.Answer(".", reply)
		receipt, err := mail.Notify(context.Background(), down)
		fmt.Println(receipt, err)
	}
	for _, m := range server.Mails() {
		fmt.Println(m.To, m.Encrypted, m.Subject)
	}
	// Output:
	// 9f86d081.1@example.edu <nil>
	//  alert: email: send: status 554: refused: 5.7.1 this looks like spam
	// [on-call@example.edu] true CRITICAL production: app is down
}
