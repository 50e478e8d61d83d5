package estate

import (
	"time"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

// statusPage is the host of the page on which the makers of Canvas say how it is.
const statusPage = "status.instructure.com"

// newCanvas returns the Canvas of one environment, with the user of the
// monitoring token, as the scenario wants it.
func newCanvas(env Environment, scenario Scenario) *canvastest.Server {
	s := &canvastest.Server{TestCluster: env.Name != "production", Seed: 1}
	identifier := canvastest.TokenIdentifier(env.canvasToken())
	throttled := scenario == CanvasThrottled || scenario == CanvasThrottled403
	if throttled {
		// The bucket stays full, as if others used the token as fast as it leaks.
		// Without reservations, requests at the same time get the same answer.
		s.Throttle.Custom = map[string]canvastest.Throttle{identifier: {Outflow: 1e-9, UpFront: -1}}
		if scenario == CanvasThrottled403 {
			s.Throttle.Status = 403
		}
	}
	user := s.Add(canvastest.Users, canvastest.RootAccount, canvastest.Object{
		"id": int64(1207), "name": "QA Automation", "created_at": time.Date(2025, time.February, 3, 1, 30, 0, 0, time.UTC),
	})
	s.AddToken(canvastest.Token{Text: env.canvasToken(), User: user, Purpose: "monitoring"})
	switch {
	case throttled:
		s.Spend(identifier, 601)
	case scenario == CanvasDown:
		s.Inject(canvastest.Fault{Status: 500, HTML: true, Times: -1})
	case scenario == CanvasTokenRevoked:
		s.Revoke(env.canvasToken())
	case scenario == CanvasMaintenance:
		s.SetMaintenance(true)
	}
	return s
}

// newStatusPage returns the status page, which knows of a maintenance that is
// under way.
func newStatusPage(scenario Scenario, now time.Time) *canvastest.StatusPage {
	p := &canvastest.StatusPage{}
	if scenario == CanvasMaintenance {
		p.Add(canvastest.Incident{
			Name: "Scheduled maintenance of Canvas", Status: "in_progress", Components: []string{"Canvas"},
			ScheduledFor: now.Add(-time.Hour).Truncate(time.Minute), ScheduledUntil: now.Add(2 * time.Hour).Truncate(time.Minute),
		})
	}
	return p
}
