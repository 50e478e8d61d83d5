package drill

import (
	"time"

	"go.acu.edu.au/runbook/alert"
)

// canvasIsCause forbids what people do in a hurry when it is Canvas that is down.
func canvasIsCause() []rule {
	return none("the cause is Canvas: say so, and change nothing of ours",
		"rollback", "restart", "scale", "restore", "restart-database", "key-on", "key-off", "begin", "end", "end-sessions")
}

// degraded are the changes of degraded service, each taken back by the end.
func degraded() []rule {
	return []rule{
		{Kind: "set-variable", Detail: "CANVAS_MAINTENANCE_MODE", Why: "During Canvas Maintenance"},
		{Kind: "redeploy", Why: "a restart applies no variable"}, {Kind: "announce"},
	}
}

func canvasScenarios() []scenario {
	status := []rule{{Kind: "slack", Detail: statusChannel, Why: "notify stakeholders"}}
	return []scenario{
		{
			Name: "canvas-throttled", Title: "Canvas answers 403, rate limit exceeded",
			Faults: []fault{{Kind: "canvas-throttled"}}, At: 10 * time.Hour, Watch: 6 * time.Hour,
			Oracle: oracle{
				Severity: alert.High, Required: join(warned(), []rule{
					{Kind: "set-variable", Detail: "CANVAS_RATE_LIMIT_PER_MINUTE", Why: "Canvas API Rate Limiting: reduce, then raise again"},
					{Kind: "redeploy", Why: "a restart applies no variable"},
				}),
				Forbidden: none("Canvas limits us: sending more, or older code, does not help", "rollback", "scale", "restore", "restart-database", "key-off", "end-sessions"),
				Undone:    []string{"CANVAS_RATE_LIMIT_PER_MINUTE", "ASYNC_WORKERS"},
				Detected:  12 * time.Minute, Acknowledged: 30 * time.Minute, Mitigated: time.Hour, Resolved: 5 * time.Hour,
			},
		},
		{
			Name: "canvas-maintenance", Title: "Canvas is in maintenance for an hour and a half",
			Faults: []fault{{Kind: "canvas-maintenance", For: 90 * time.Minute}}, At: 12 * time.Hour, Watch: 5 * time.Hour,
			Oracle: oracle{
				Severity: alert.High,
				Required: join(warned(), status, []rule{
					{Kind: "set-variable", Detail: "CANVAS_MAINTENANCE_MODE=true", Max: 1, Why: "During Canvas Maintenance: enable"},
					{Kind: "set-variable", Detail: "CANVAS_MAINTENANCE_MODE=false", Max: 1, Why: "During Canvas Maintenance: disable when it is back"},
				}),
				Allowed: degraded(), Forbidden: canvasIsCause(),
				Order:    []order{{First: rule{Kind: "set-variable", Detail: "=true"}, Then: rule{Kind: "set-variable", Detail: "=false"}, Why: "on before off"}},
				Detected: 8 * time.Minute, Acknowledged: 30 * time.Minute, Mitigated: 2 * time.Hour, Resolved: 3 * time.Hour,
			},
		},
		{
			Name: "canvas-down", Title: "Canvas is down, and its status page says so late",
			Faults: []fault{{Kind: "canvas-down", For: 70 * time.Minute}}, At: 14 * time.Hour, Watch: 4 * time.Hour,
			Oracle: oracle{
				Severity: alert.High, Required: join(warned(), status), Allowed: degraded(),
				Forbidden: canvasIsCause(), Undone: []string{"CANVAS_MAINTENANCE_MODE"},
				Detected: 6 * time.Minute, Acknowledged: 30 * time.Minute, Mitigated: 100 * time.Minute, Resolved: 3 * time.Hour,
			},
		},
		{
			Name: "canvas-down-and-bad-deploy", Title: "Canvas goes down, and somebody deploys a bad version meanwhile",
			Faults: []fault{{Kind: "canvas-down", For: time.Hour}, {Kind: "bad-deploy", After: 10 * time.Minute, Apart: 15 * time.Minute, Swap: true}},
			At:     15 * time.Hour, Watch: 5 * time.Hour,
			Oracle: oracle{
				Severity: alert.Critical, Required: join(told(), []rule{{Kind: "rollback", Max: 1}, {Kind: "freeze"}}),
				Allowed:   append(degraded(), rule{Kind: "unfreeze"}),
				Forbidden: none("neither asks for it", "scale", "restore", "restart-database", "key-off", "end", "end-sessions"),
				Undone:    []string{"CANVAS_MAINTENANCE_MODE"},
				Detected:  8 * time.Minute, Acknowledged: 15 * time.Minute, Mitigated: 2 * time.Hour, Resolved: 4 * time.Hour,
			},
		},
	}
}
