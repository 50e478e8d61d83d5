package playbooks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// CanvasRateLimiting is the playbook for requests that Canvas rejects because there are too
// many, and for a limit of which little is left. It watches which route costs what, lowers
// the rate of requests if it is this program that uses the limit up, sees whether that
// helps, and raises the rate again when it has been calm for a while.
//
// Its parameters are rate and restore.
func CanvasRateLimiting(e Environment) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const look1, act, watch = "Rate limit status", "Reduction", "Observation"
	rate := e.tryVariable(trial{
		id: "rate", title: "Send fewer requests to Canvas", gauge: e.budget(), value: parameter("rate"),
		when: both(decided("reduce"), changes("settings", "CANVAS_RATE_LIMIT_PER_MINUTE", parameter("rate"), lower)),
	}, "CANVAS_RATE_LIMIT_PER_MINUTE", "railway variables set CANVAS_RATE_LIMIT_PER_MINUTE=120 --environment production", "railway restart --environment production").steps(e)
	rate[0] = withPhase(act, rate[0])
	return incident.Playbook{
		Name: "canvas-rate-limiting", Environment: e.name(), Title: "Canvas limits the rate", Severity: alert.High, Timeout: d.outlasting(),
		About:  "Canvas answers 429, or warns that its quota is nearly used up.",
		Source: "Canvas-Specific Issues, Canvas API Rate Limiting",
		Parameters: []incident.Parameter{
			{Name: "rate", About: "CANVAS_RATE_LIMIT_PER_MINUTE to go down to", Type: incident.Whole, Default: whole(d.CanvasRateLimited), Min: "1", Max: "10000"},
			{Name: "restore", About: "Raise it again when it has been calm", Type: incident.YesNo, Default: "yes"},
		},
		Phases: []incident.Phase{{Name: look1, Budget: 5 * time.Minute}, {Name: act}, {Name: watch}},
		Steps: slices.Concat(
			[]incident.Step{
				{ID: "assess", Title: "Look at everything, and tell people", Phase: look1, OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
					e.tell("tell-investigating", "investigating", func(*incident.Scope) incident.Message {
						return incident.Message{Title: "Canvas limits the rate of requests", Text: "What needs Canvas may be slow. We are looking into it."}
					}),
					replacing(look("rate-limits", "Look at the rate limit as the application sees it", e.Probes.RateLimits), `curl -s "https://qa-automation.acu.edu.au/health/canvas/rate-limits"`),
					replacing(e.usage("usage"), "./scripts/monitor-canvas-api.sh"),
					look("canvas-host", "Look at Canvas", e.Probes.CanvasHost),
					look("canvas-status", "Look at what is said of Canvas", e.Probes.CanvasStatus),
					look("platform", "Look at what is said of the platform", e.Probes.Platform),
					e.settings("settings", "CANVAS_RATE_LIMIT_PER_MINUTE"),
				}}},
				rateDecision(),
				withWhen(e.waitForOthers("wait-platform", d), decided("wait for the platform")),
				withWhen(e.waitForCanvas("wait-canvas"), decided("wait for Canvas")),
			},
			rate,
			[]incident.Step{
				withPhase(watch, holding("well", "See that enough of the limit is left", e.budget(), incident.Verify{Within: d.Recover, Times: d.Times})),
				e.restoredVariable("rate", "Raise the rate of requests to Canvas again", e.budget(), func(s *incident.Scope) (bool, string) { return s.Yes("restore"), "it is not to be raised again" }),
				e.tell("tell-resolved", "resolved", func(s *incident.Scope) incident.Message {
					return incident.Message{Title: "Canvas no longer limits the rate of requests", Text: strings.Join(keptAndWhy(s, "rate"), "\n")}
				}),
			},
		),
		Escalation: "level 3, Canvas support, if requests are rejected although few are sent; level 2 for a route that costs more than it should",
	}
}

// rateDecision decides whether sending fewer requests would help.
func rateDecision() incident.Step {
	return incident.Step{
		ID: "decide", Title: "Decide what to do", OnFailure: incident.Pause,
		Do: checkOf(func(s *incident.Scope) (any, error) {
			u, watched := incident.Result[Usage](s, "usage")
			platform, away := saw(s, "platform"), canvasAway(s, "canvas-host", "canvas-status")
			switch {
			case away != "":
				return Decision{"wait for Canvas", away}, nil
			case !watched:
				return nil, errors.New("what is left of the rate limit could not be read: " + saw(s, "rate-limits").String())
			case !u.Found.Throttled && u.Rejected == 0 && u.Found.left() >= quotaLeft:
				return Decision{"nothing", "enough of the limit is left: " + u.String()}, nil
			case u.Others > u.Own:
				return nil, fmt.Errorf("it is another program with the same identity that uses the limit up, and fewer requests of this one would not help: find it, and give it a token of its own: %s", u)
			case platform.down() || platform.Status == health.Maintenance:
				return Decision{"wait for the platform", "nothing can be deployed while the platform has a fault: " + platform.String()}, nil
			}
			return Decision{"reduce", u.String()}, nil
		}),
	}
}
