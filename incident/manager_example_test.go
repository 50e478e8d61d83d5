package incident_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// An alert opens an incident. A person takes care of it and ends it, and what happened is
// on its timeline.
func ExampleManager() {
	ctx := context.Background()
	manager, err := incident.NewManager(incident.ManagerConfig{
		Store: &incident.MemoryStore{},
		SLAs:  incident.DefaultSLAs(nil),
		Bindings: []incident.Binding{{
			Name: "application-down", Match: alert.Matcher{Labels: map[string]string{"rule": "health_check"}},
			Severity: alert.Critical, Title: "Application down", Playbook: "application-down",
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// A router does this for each alert.
	receipt, err := manager.Notify(ctx, alert.Notification{
		Key: "c1", Seq: 1, Kind: alert.KindFiring, At: time.Now(), Alerts: []alert.Alert{{
			Key: alert.Key("health_check", "production", "app", alert.Failing), Rule: "health_check", Environment: "production", Entity: "app",
			Severity: alert.High, Summary: "3 checks have failed in a row", State: alert.Firing, Fired: time.Now(),
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	id := string(receipt)

	if _, err := manager.Acknowledge(ctx, id, incident.Ack{By: "Ana", Comment: "on it", For: time.Hour}); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := manager.Review(ctx, id, "Ana", ""); err != nil {
		fmt.Println(strings.Replace(err.Error(), id, "the incident", 1)) // its ID has the year
	}
	inc, err := manager.Resolve(ctx, id, incident.Resolution{By: "Ana", Cause: "a bad deployment", Resolution: "rolled back"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(inc.Title, "is", inc.State, "and was", inc.Severity)
	for e, err := range manager.Timeline(ctx, id, 0) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if e.Kind == "acknowledged" {
			e.Text = "Ana takes care of it, …" // the time is another one each time
		}
		fmt.Printf("%s: %s\n", e.Actor, e.Text)
	}
	// Output:
	// incident: the incident is acknowledged and cannot be reviewed; it can become triggered, mitigated, resolved, merged, cancelled: not possible in this state
	// Application down is resolved and was critical
	// runbook: opened as critical: Application down
	// runbook: 3 checks have failed in a row (app)
	// Ana: Ana takes care of it, …
	// Ana: resolved: rolled back; the cause: a bad deployment
}

// Who is unsure between two severities takes the worse.
func ExampleWorseSeverity() {
	fmt.Println(incident.WorseSeverity(alert.Medium, alert.High))
	// Output: high
}
