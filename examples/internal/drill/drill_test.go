package drill_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/drill"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// differing are the scenarios that are played also with the race detector.
var differing = []string{"bad-deploy", "canvas-throttled", "connection-storm", "leaked-credential", "replica-killed"}

// Every scenario is played, and its oracle is kept. One of them alone is, for example,
// -run TestDrill/bad-deploy. With the race detector only those that differ most are.
//
// From what a check finds to what is well again, with nobody but scripted people:
//
// Requirement: RB-PLAYBOOK-1, RB-PLAYBOOK-2, RB-PLAYBOOK-3, RB-PLAYBOOK-4, RB-ALERT-SMS
// Requirement: RB-HIGH-MEMORY-RESTART, RB-HIGH-MEMORY-LIMIT
// Requirement: RB-CANVAS-COMPROMISE-DISABLE, RB-CANVAS-COMPROMISE-GENERATE, RB-CANVAS-COMPROMISE-UPDATE
// Requirement: RB-CANVAS-COMPROMISE-NOTIFY, RB-CANVAS-COMPROMISE-AUDIT
func TestDrill(t *testing.T) {
	for _, s := range drill.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			if testing.Short() && s.Watch > 4*time.Hour {
				t.Skip("it takes some seconds")
			}
			if raceDetector && !slices.Contains(differing, s.Name) {
				t.Skip("with the race detector only those that differ most")
			}
			t.Parallel()
			h := drill.InBubble(t)(s, 1, func(string) {})
			for _, f := range drill.Judge(s, h) {
				assert.Fail(t, f.Text)
			}
		})
	}
}

// Whatever two things go wrong, nothing is done that is forbidden in any case.
func TestPairsDoNothingForbidden(t *testing.T) {
	pairs := drill.Pairs(3, 20, drill.Kinds())
	if raceDetector {
		pairs = pairs[:2]
	}
	for _, s := range pairs {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			h := drill.InBubble(t)(s, 20, func(string) {})
			for _, f := range drill.Judge(s, h) {
				assert.Fail(t, f.Text)
			}
		})
	}
}

// A playbook that does the wrong thing is caught: one that rolls back whatever the cause is,
// and takes the application off the network with nobody's approval.
func TestWrongPlaybookIsCaught(t *testing.T) {
	s := scenarioOf("canvas-down")
	s.Name, s.Watch = "canvas-down-and-panic", time.Hour
	s.Playbooks = func(e playbooks.Environment) []incident.Playbook {
		if e.Name != "production" {
			return nil
		}
		return []incident.Playbook{{
			Name: "panic", Environment: e.Name, Title: "Do something", Severity: alert.Critical,
			Steps: []incident.Step{
				{ID: "back", Title: "Roll back, whatever it is", Do: incident.Action{
					Repeat: incident.Idempotent,
					Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
						list, err := e.Deployer.Deployments(ctx, 20)
						if err != nil {
							return nil, err
						}
						to, _ := incident.RollbackTarget(list)
						return e.Deployer.Rollback(ctx, to)
					},
					Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
						return incident.Effect{Call: "roll back"}, nil
					},
				}},
				{ID: "off", Title: "Take it off the network", Do: incident.Action{
					Repeat: incident.Idempotent,
					Run:    func(ctx context.Context, _ *incident.Scope) (any, error) { return e.Stopper.Stop(ctx) },
					Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
						return incident.Effect{Call: "stop"}, nil
					},
				}},
			},
		}}
	}
	s.People.Declare = drill.Reported("Somebody panics", "panic")
	h := drill.InBubble(t)(s, 1, func(string) {})
	found := texts(drill.Judge(s, h))
	for _, want := range []string{
		"forbidden: rollback app (the cause is Canvas: say so, and change nothing of ours)",
		"forbidden in any case, rollback without a cause",
		"forbidden in any case, destruction without approval: stop",
	} {
		assert.Contains(t, found, want)
	}
}
