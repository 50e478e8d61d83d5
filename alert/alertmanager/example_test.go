package alertmanager_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alertmanager"
	"go.acu.edu.au/runbook/alert/alerttest"
)

// printer is a handler of alerts; a router is one.
type printer struct{}

func (printer) Handle(_ context.Context, a alert.Alert) error {
	fmt.Printf("%s %s: %s\n", a.State, a.Severity, a.Summary)
	return nil
}

// Alertmanager is told of an alert, and tells its receivers, of which this program is one.
func Example() {
	service := &alerttest.Alertmanager{}
	notifier, err := alertmanager.New(alertmanager.Config{URL: "http://alertmanager:9093", HTTP: service.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	a := alert.Alert{
		Key: "app-is-down", Rule: "health_check", Environment: "production", Entity: "app", Severity: alert.Critical,
		State: alert.Firing, Summary: "app is down", Began: time.Now().Add(-time.Minute),
	}
	n := alert.Notification{Key: "k1", Seq: 1, Kind: alert.KindFiring, Alerts: []alert.Alert{a}}
	if _, err := notifier.Notify(context.Background(), n); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(service.Firing()[0].Labels)

	receiver, err := alertmanager.NewHandler(alertmanager.HandlerConfig{Out: printer{}, Token: runbook.NewSecret("t1")})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := httptest.NewRecorder()
	receiver.ServeHTTP(answer, service.WebhookRequest("t1"))
	fmt.Println(answer.Code)
	// Output:
	// map[alertname:health_check entity:app environment:production severity:critical]
	// firing critical: app is down
	// 204
}
