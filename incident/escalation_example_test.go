package incident_test

import (
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// Nobody acknowledges, so that the second level is called; then somebody does.
//
// Requirement: AL-GATUS-ESCALATION
func ExampleEscalations() {
	ctx := context.Background()
	told := make(chan string, 10)
	phone := func(name string) alert.Notifier {
		return alert.NotifierFunc(func(_ context.Context, n alert.Notification) (alert.Receipt, error) {
			told <- name + ": " + n.Title
			return "", nil
		})
	}
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	escalations, err := incident.NewEscalations(incident.EscalationsConfig{
		Runs:     runs,
		Channels: map[string]alert.Notifier{"operations": phone("operations"), "development": phone("development")},
		Policies: []incident.EscalationPolicy{{
			Name: "everything",
			Levels: []incident.EscalationLevel{
				{Name: "Operations", Targets: []incident.EscalationTarget{{Channel: "operations"}}},
				// A quarter of an hour, for who reads this.
				{Name: "Development", After: 15 * time.Millisecond, Targets: []incident.EscalationTarget{{Channel: "development"}}},
			},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = runs.Launch(ctx, map[string]incident.Program{incident.EscalationProgram: escalations.Program()})
	if err != nil {
		fmt.Println(err)
		return
	}
	run, err := escalations.Begin(ctx, incident.Incident{
		ID: "INC-2026-0042", Title: "Canvas does not answer", Environment: "production", Severity: alert.Critical, Triggered: time.Now(),
	})
	fmt.Println(run, err)
	fmt.Println(<-told)
	fmt.Println(<-told)
	fmt.Println("acknowledged:", escalations.Acknowledged(ctx, run, "Bo Chen"))
	fmt.Println("closed:", runs.Close(ctx))
	// Output:
	// escalation-INC-2026-0042-0 <nil>
	// operations: CRITICAL production: Canvas does not answer (INC-2026-0042, level 1)
	// development: CRITICAL production: Canvas does not answer (INC-2026-0042, level 2)
	// acknowledged: <nil>
	// closed: <nil>
}
