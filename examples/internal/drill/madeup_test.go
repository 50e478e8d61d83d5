package drill_test

import (
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/drill"
)

var began = time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC)

// at is a time so many minutes after the first fault.
func at(minutes float64) time.Time { return began.Add(time.Duration(minutes * float64(time.Minute))) }

// good is a made-up history of a bad deployment that was handled as it should be.
func good() *drill.History {
	return &drill.History{
		Began: began, Ended: at(60), Whole: true,
		Faults:    []drill.Span{{From: at(0), To: at(9), What: "bad-deploy"}},
		Unserved:  []drill.Span{{From: at(0.5), To: at(9.2), What: "the application answers 500"}},
		Variables: map[string]string{"ASYNC_WORKERS": "4"}, Started: map[string]string{"ASYNC_WORKERS": "4"},
		Incidents: []drill.Opened{{
			ID: "INC-1", Title: "app has failed 3 checks in a row", Playbook: "application-down", Severity: alert.Critical,
			Opened: at(2), Acknowledged: at(6), Resolved: at(20),
		}},
		Runs: []drill.Ran{{ID: "run-1", Playbook: "application-down", State: "succeeded", Started: at(2), Ended: at(15), Steps: 9}},
		Acts: []drill.Act{
			{At: at(2), Kind: "incident-opened", Detail: "INC-1"},
			{At: at(2), Kind: "slack", Detail: "#qa-automation-alerts", Text: "app is down"},
			{At: at(2), Kind: "mail", Detail: "on-call-team@acu.edu.au", Text: "app is down"},
			{At: at(2), Kind: "page", Detail: "Operations Manager", Text: "app is down"},
			{At: at(3), Kind: "slack", Detail: "#qa-automation-status", Text: "The application is down. We are on it."},
			{At: at(4), Environment: "production", Kind: "freeze", Detail: "app"},
			{At: at(5), Environment: "production", Kind: "rollback", Detail: "1111111"},
			{At: at(6), Kind: "incident-acknowledged", Detail: "INC-1"},
			{At: at(10), Kind: "slack", Detail: "#qa-automation-status", Text: "It works again. Deployments are frozen."},
			{At: at(20), Kind: "incident-resolved", Detail: "INC-1"},
		},
		Frozen: true,
	}
}

// scenarioOf returns a scenario of the list by its name.
func scenarioOf(name string) drill.Scenario {
	for _, s := range drill.Scenarios() {
		if s.Name == name {
			return s
		}
	}
	return drill.Scenario{}
}
