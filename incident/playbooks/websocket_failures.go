package playbooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// WebSocketFailures is the playbook for progress that users do not see: the connection
// that carries it cannot be made, or breaks. Tasks go on without it, so that there is time:
// it waits for them before it restarts the application, and then tries fewer updates.
//
// Its parameter is interval.
func WebSocketFailures(e Environment) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const look1, act, verify = "Investigation", "Resolution", "Verification"
	g := e.connection()
	again := trial{
		id: "restart", title: "Restart the application", gauge: g, value: func(*incident.Scope) string { return "once" }, when: decided("restart"),
		forward: []incident.Step{restart("restart", "Restart the application", e.Deployer)},
	}
	progress := e.tryProgress(trial{
		id: "progress", gauge: g, value: parameter("interval"),
		when: both(decided("restart", "fewer updates"), notYetWell("restart"), changes("settings", "PROGRESS_UPDATE_INTERVAL", parameter("interval"), raise)),
	})
	return incident.Playbook{
		Name: "websocket-failures", Environment: e.name(), Title: "WebSocket connection issues", Severity: alert.Medium, Timeout: d.outlasting(),
		About:      "Users see no progress: the WebSocket connection cannot be made, or breaks, while everything else works.",
		Source:     "Incident Severity Levels, Severity 3, WebSocket connection issues",
		Needs:      []incident.Need{incident.Needs("probe of the WebSocket", e.Probes.WebSocket)},
		Parameters: []incident.Parameter{{Name: "interval", About: "PROGRESS_UPDATE_INTERVAL to try, in seconds", Type: incident.Whole, Default: whole(d.ProgressInterval), Min: "1", Max: "600"}},
		Phases:     []incident.Phase{{Name: look1, Budget: 15 * time.Minute}, {Name: act}, {Name: verify}},
		Steps: slices.Concat(
			[]incident.Step{
				{ID: "assess", Title: "Look at the connection, and at what it goes through", Phase: look1, OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
					measuring("connection", "Measure the connection", g),
					look("health", "Look at the application", e.Probes.Application),
					look("activity", "Look at users and tasks", e.Probes.Activity),
					look("platform", "Look at what is said of the platform", e.Probes.Platform),
					e.lines("logs", "Read what the log says of WebSockets", incident.LogQuery{Tail: 100, Any: []string{"websocket"}}),
					e.deployments("deployments"),
					e.settings("settings", "PROGRESS_UPDATE_INTERVAL"),
				}}},
				connectionDecision(d),
				withPhase(act, withWhen(e.waitForOthers("wait-platform", d), decided("wait for the platform"))),
				e.drained("tasks-done", 30*time.Minute, decided("restart")),
			},
			again.steps(e), progress.steps(e),
			[]incident.Step{
				withPhase(verify, holding("well", "See that the connection works", g, incident.Verify{Within: d.Recover, Times: d.Times})),
				e.inform("inform", func(s *incident.Scope) incident.Message {
					return incident.Message{Title: "Users see progress again", Text: strings.Join(keptAndWhy(s, "restart", "progress"), "\n")}
				}),
			},
		),
		Escalation: "level 2, the development team, in the next hours; tasks go on without it",
	}
}

// connection is the gauge of the connection that carries progress: healthy is well,
// degraded is not, unhealthy is as bad as can be.
func (e Environment) connection() gauge {
	return gauge{name: "the connection", read: func(ctx context.Context) (float64, string, error) {
		f := probe(ctx, e.Probes.WebSocket)
		switch f.Status {
		case health.Healthy:
			return 0.5, "it works", nil
		case health.Degraded:
			return 2, "it works badly: " + cut(f.Message, 200), nil
		case health.Unhealthy:
			return failing, "it does not work: " + cut(f.Message, 200), nil
		}
		return 0, "", errors.New(f.String())
	}}
}

// connectionDecision decides what to do about the connection.
func connectionDecision(d Defaults) incident.Step {
	return incident.Step{
		ID: "decide", Title: "Decide what to do", OnFailure: incident.Pause,
		Do: checkOf(func(s *incident.Scope) (any, error) {
			now, measured := incident.Result[Measured](s, "connection")
			app, platform := saw(s, "health"), saw(s, "platform")
			deployed, _ := incident.Result[Deployments](s, "deployments")
			switch {
			case !measured:
				return nil, errors.New("whether the connection works could not be seen")
			case now.well():
				return Decision{"nothing", now.Text}, nil
			case platform.down() || platform.Status == health.Maintenance:
				return Decision{"wait for the platform", "the platform itself has a fault: " + platform.String()}, nil
			case app.down():
				return nil, fmt.Errorf("the application does not answer at all (%s): see the playbook application-down", app)
			case deployed.Recent && deployed.Current != nil && now.Share >= failing:
				return nil, fmt.Errorf("%s was deployed less than %v ago, and the connection does not work: a restart does not mend a version; roll it back, or have it mended", version(*deployed.Current), d.RecentDeployment)
			case now.Share < failing:
				return Decision{"fewer updates", now.Text}, nil
			}
			why := now.Text
			if lines, ok := incident.Result[Lines](s, "logs"); ok && len(lines.Lines) > 0 {
				why += fmt.Sprintf("; %d lines of the log are about it", len(lines.Lines)+lines.More)
			}
			return Decision{"restart", why}, nil
		}),
	}
}
