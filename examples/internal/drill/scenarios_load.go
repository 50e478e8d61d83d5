package drill

import (
	"time"

	"go.acu.edu.au/runbook/alert"
)

func loadScenarios() []scenario {
	older := none("no deployment is the cause", "rollback", "restore", "restart-database", "key-off", "end-sessions")
	return []scenario{
		{
			Name: "memory-leak", Title: "The memory of the application grows until it is killed",
			Faults: []fault{{Kind: "memory-leak"}}, At: 9 * time.Hour, Watch: 10 * time.Hour, Least: 4 * time.Hour,
			Oracle: oracle{
				Severity: alert.Medium,
				Required: []rule{
					{Kind: "slack", Detail: alertChannel, Max: 45, Why: "a tired operator reads that it came back, and not each time the same"},
					{Kind: "mail", Detail: onCallMail, Max: 25, Why: "the same"},
					{Kind: "mail", Detail: operationsMail, Max: 15, Why: "who has taken it knows, and is not called anew each time"},
					{Kind: "restart", Max: 2, Why: "High Memory Usage: restart to clear memory; what fills up again within hours is not restarted again and again"},
					{Kind: "set-variable", Detail: "MEMORY_LIMIT_MB=1024", Max: 1, Why: "High Memory Usage: raise the limit when a restart does not last"},
					{Kind: "redeploy", Why: "a restart applies no variable"},
					{Kind: "slack", Detail: alertChannel, Text: "leaks memory: it comes back", Max: 1, Why: "operators are told once a day what it is, not thirteen times that it is there"},
					{Kind: "mail", Detail: developmentMail, Text: "this is a leak", Max: 1, Why: "Escalation Matrix, level 2: only development removes the cause"},
				},
				Allowed: []rule{
					{Kind: "set-variable", Detail: "MAX_CONCURRENT_TASKS"}, {Kind: "set-variable", Detail: "MEMORY_LIMIT_MB"},
					{Kind: "delete-variable", Detail: "MEMORY_LIMIT_MB"}, {Kind: "delete-variable", Detail: "MAX_CONCURRENT_TASKS"},
				},
				Order: []order{
					{First: rule{Kind: "restart"}, Then: rule{Kind: "set-variable"}, Why: "one thing at a time: a restart is the least of them"},
					{First: rule{Kind: "set-variable", Detail: "MEMORY_LIMIT_MB"}, Then: rule{Kind: "set-variable", Detail: "MAX_CONCURRENT_TASKS"}, Why: "more memory takes nothing from users, fewer tasks do"},
				},
				Forbidden: older, Detected: 3 * time.Hour, Acknowledged: 2 * time.Hour,
			},
		},
		{
			Name: "slow-tasks", Title: "QA tasks take more than five minutes",
			Faults: []fault{{Kind: "slow-tasks"}}, At: 10 * time.Hour, Watch: 6 * time.Hour,
			Oracle: oracle{
				Severity: alert.Medium, Required: warned(),
				Allowed: []rule{
					{Kind: "set-variable", Detail: "BATCH_SIZE"}, {Kind: "set-variable", Detail: "PARALLEL_PROCESSING_LIMIT"},
					{Kind: "set-variable", Detail: "PROGRESS_UPDATE_INTERVAL"}, {Kind: "delete-variable", Detail: "BATCH_SIZE"},
					{Kind: "delete-variable", Detail: "PARALLEL_PROCESSING_LIMIT"}, {Kind: "delete-variable", Detail: "PROGRESS_UPDATE_INTERVAL"},
					{Kind: "redeploy", Why: "a restart applies no variable"},
				},
				Forbidden: join(older, unpaged(), none("a restart applies no variable and ends tasks", "restart")),
				Detected:  30 * time.Minute, Acknowledged: 2 * time.Hour, Unhurt: true,
			},
		},
		{
			Name: "overload", Title: "There are more users than the workers can serve",
			Faults: []fault{{Kind: "overload"}}, At: 10 * time.Hour, Watch: 6 * time.Hour,
			Oracle: oracle{
				Severity: alert.High,
				Required: join(warned(), []rule{
					{Kind: "set-variable", Detail: "ASYNC_WORKERS", Why: "Playbook 3: scale up application workers"},
					{Kind: "redeploy", Why: "a restart applies no variable"},
				}),
				Allowed:   []rule{{Kind: "set-variable", Detail: "CANVAS_RATE_LIMIT_PER_MINUTE"}, {Kind: "scale"}, {Kind: "delete-variable", Detail: "ASYNC_WORKERS"}},
				Forbidden: join(older, none("a restart applies no variable and ends tasks", "restart")),
				Undone:    []string{"CANVAS_RATE_LIMIT_PER_MINUTE"},
				Detected:  15 * time.Minute, Acknowledged: 30 * time.Minute, Mitigated: 90 * time.Minute, Resolved: 5 * time.Hour,
			},
		},
		{
			Name: "error-burst", Title: "More than five in a hundred requests fail for a while",
			Faults: []fault{{Kind: "error-burst", For: 25 * time.Minute}}, At: 11 * time.Hour, Watch: 3 * time.Hour,
			Oracle: oracle{
				Severity: alert.High,
				Required: []rule{{Kind: "slack", Detail: alertChannel, Max: 8, Why: "errors become one alert, not one each"}},
				Allowed:  []rule{{Kind: "restart", Max: 1}}, Forbidden: older,
				Detected: 12 * time.Minute, Acknowledged: 30 * time.Minute, Resolved: 2 * time.Hour,
			},
		},
		{
			Name: "websocket-proxy", Title: "A proxy cuts WebSocket connections",
			Faults: []fault{{Kind: "websocket-proxy"}}, At: 14 * time.Hour, Watch: 5 * time.Hour,
			People: people{Mends: []string{"websocket-proxy"}},
			Oracle: oracle{
				Severity: alert.Medium, Required: warned(),
				Allowed: []rule{
					{Kind: "restart", Max: 1}, {Kind: "redeploy"}, {Kind: "set-variable", Detail: "PROGRESS_UPDATE_INTERVAL"},
					{Kind: "delete-variable", Detail: "PROGRESS_UPDATE_INTERVAL"},
				},
				Forbidden: join(older, unpaged()),
				Detected:  15 * time.Minute, Acknowledged: 2 * time.Hour, Unhurt: true,
			},
		},
		{
			Name: "throttled-and-slow-tasks", Title: "Tasks are slow, and then Canvas limits us too",
			Faults: []fault{{Kind: "slow-tasks"}, {Kind: "canvas-throttled", After: 20 * time.Minute, Apart: 20 * time.Minute, Swap: true}},
			At:     10 * time.Hour, Watch: 8 * time.Hour,
			Oracle: oracle{
				Severity: alert.High, Required: warned(),
				Allowed: []rule{{Kind: "set-variable"}, {Kind: "delete-variable"}, {Kind: "redeploy"}},
				Forbidden: join(older, []rule{{Kind: "set-variable", Detail: "ASYNC_WORKERS", Why: "more workers ask Canvas for more"}},
					none("a restart applies no variable", "restart")),
				Undone:   []string{"CANVAS_RATE_LIMIT_PER_MINUTE", "ASYNC_WORKERS"},
				Detected: 45 * time.Minute, Acknowledged: 2 * time.Hour,
			},
		},
	}
}
