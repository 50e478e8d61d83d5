package playbooks_test

import (
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/canvas/usage"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// What is unusual is found by package canvas/usage, in the audit log of Canvas.
//
// Requirement: RB-SCRIPT-ANALYZE-CANVAS-USAGE
func ExampleSecurityDesk() {
	log := new(incidenttest.AuditLog)
	day := time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)
	for i := range 10 {
		log.Add(incident.AuditEvent{ID: fmt.Sprint(i), Time: day.AddDate(0, 0, i-11), Kind: incident.AuditAuthentication, Action: "login", Actor: "7", Address: "10.0.0.1"})
	}
	log.Add(incident.AuditEvent{ID: "new", Time: day.Add(time.Hour), Kind: incident.AuditAuthentication, Action: "login", Actor: "7", Address: "203.0.113.9"})

	desk := playbooks.SecurityDesk{
		Unusual: func(ctx context.Context, since time.Time) (found []string, err error) {
			events := usage.FromAudit(log.AuditEvents(ctx, incident.AuditQuery{From: since.AddDate(0, -1, 0)}))
			all, err := usage.Analyze(usage.Rules{From: since}, events)
			for _, f := range all.Findings {
				found = append(found, f.String())
			}
			return found, err
		},
	}
	found, err := desk.Unusual(context.Background(), day)
	fmt.Println(found, err)
	// Output:
	// [new_address: user 1: 1 logins from network 1, where the user was never seen in the baseline (1 networks, 10 events) (2026-01-15 10:00 to 2026-01-15 10:00 UTC)] <nil>
}
