package httpsms_test

import (
	"context"
	"fmt"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/httpsms"
)

// A gateway that takes JSON. A real program has no HTTP client that answers in memory, and
// gives the notifier to a router.
func Example() {
	gateway := &alerttest.SMSGateway{Username: "acu-operations", Password: "key"}
	sms, err := httpsms.New(httpsms.Config{
		Service:  "clicksend",
		URL:      "https://rest.clicksend.com/v3/sms/send",
		Username: "acu-operations", Password: runbook.NewSecret("key"),
		JSON:   `{"messages": [{"to": "{to}", "from": "{from}", "body": "{text}", "source": "runbook"}]}`,
		Answer: httpsms.Answer{Path: "data.messages.0.status", OK: "^SUCCESS$", ID: "data.messages.0.message_id"},
		From:   "ACU-IT", To: "+61400111222", HTTP: gateway.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	down := alert.Notification{Key: "9f86d081", Seq: 1, Kind: alert.KindResolved, Title: "RESOLVED after 12 min: production: app is down"}
	receipt, err := sms.Notify(context.Background(), down)
	fmt.Println(receipt, err)

	gateway.Fail(alerttest.Refuse)
	_, err = sms.Notify(context.Background(), down)
	fmt.Println(err)
	for _, m := range gateway.Told() {
		fmt.Printf("%s to %s: %s\n", m.From, m.To, m.Body)
	}
	// Output:
	// BF7AD270-0DE2-418B-B606-000000000001 <nil>
	// alert: clicksend: send message: status 200: refused: INSUFFICIENT_CREDIT
	// ACU-IT to +61400111222: RESOLVED after 12 min: production: app is down
}
