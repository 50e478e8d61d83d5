package drill

import (
	"time"

	"go.acu.edu.au/runbook/alert"
)

// restoring is what no trouble of connections asks for.
func restoring() []rule {
	return none("data are not corrupted: restart before restore", "restore", "dump-restored", "rollback", "migrate")
}

func dataScenarios() []scenario {
	return []scenario{
		{
			Name: "database-down", Title: "The database server is gone",
			Faults: []fault{{Kind: "database-down"}}, At: 10 * time.Hour, Watch: 3 * time.Hour,
			People: people{Mends: []string{"database-down"}},
			Oracle: oracle{
				Severity: alert.High, Required: join(warned(), []rule{{Kind: "slack", Detail: statusChannel}}),
				Allowed: []rule{
					{Kind: "restart-database", Max: 1}, {Kind: "redeploy-database", Max: 1},
					{Kind: "restart", Max: 1, Why: "Playbook 4: restart the application if it is the pool"},
					{Kind: "backup"}, {Kind: "dump"}, {Kind: "scale-database", Max: 1},
				},
				Forbidden: restoring(),
				Detected:  4 * time.Minute, Acknowledged: 30 * time.Minute, Mitigated: 40 * time.Minute, Resolved: 90 * time.Minute,
			},
		},
		{
			Name: "connection-storm", Title: "Connections to the database are taken and not given back",
			Faults: []fault{{Kind: "connection-storm"}}, At: 11 * time.Hour, Watch: 3 * time.Hour,
			Oracle: oracle{
				Severity: alert.High, Required: join(warned(), []rule{{Kind: "restart", Max: 1, Why: "Playbook 4: restart the application if connection pool issues"}}),
				Allowed:   []rule{{Kind: "terminate-query"}, {Kind: "backup"}, {Kind: "dump"}},
				Forbidden: join(restoring(), none("the server is well", "restart-database", "redeploy-database")),
				Detected:  6 * time.Minute, Acknowledged: 30 * time.Minute, Mitigated: 35 * time.Minute, Resolved: 90 * time.Minute,
			},
		},
		{
			Name: "blocked-queries", Title: "A forgotten transaction blocks all others",
			Faults: []fault{{Kind: "blocked-queries"}}, At: 16 * time.Hour, Watch: 3 * time.Hour,
			Oracle: oracle{
				Severity: alert.High, Required: warned(),
				Allowed:   []rule{{Kind: "terminate-query"}, {Kind: "restart", Max: 1}, {Kind: "backup"}, {Kind: "dump"}},
				Forbidden: join(restoring(), none("the server is well", "restart-database", "redeploy-database")),
				Detected:  8 * time.Minute, Acknowledged: 30 * time.Minute, Mitigated: 40 * time.Minute, Resolved: 90 * time.Minute,
			},
		},
		{
			Name: "disk-filling", Title: "The volume of the database fills",
			Faults: []fault{{Kind: "disk-filling"}}, At: 9 * time.Hour, Watch: 8 * time.Hour,
			People: people{Mends: []string{"disk-filling"}},
			Oracle: oracle{
				Severity: alert.High, Required: warned(),
				Allowed:   []rule{{Kind: "scale-database", Max: 1}, {Kind: "backup"}, {Kind: "dump"}},
				Forbidden: join(restoring(), none("a restart frees no disk", "restart", "restart-database", "redeploy", "redeploy-database")),
				Detected:  2 * time.Hour, Acknowledged: 30 * time.Minute, Resolved: 7 * time.Hour,
			},
		},
		{
			Name: "stale-backup", Title: "The nightly backups stopped, and nobody noticed",
			Faults: []fault{{Kind: "stale-backup"}}, At: 7 * time.Hour, Watch: 12 * time.Hour, People: people{Mends: []string{"stale-backup"}},
			Oracle: oracle{
				Severity: alert.Medium, Required: []rule{
					{Kind: "slack", Detail: alertChannel, Text: "backup", Why: "Daily Backup Check: how old the last one is"},
					{Kind: "make-service", Detail: "rehearsal-", Why: "a dump is all that there is: it is restored into a new service"},
					{Kind: "dump-rehearsed", Detail: "rehearsal-"}, {Kind: "remove-service", Why: "what was made for the rehearsal goes again"},
				},
				Allowed:   []rule{{Kind: "dump"}},
				Forbidden: join(restoring(), unpaged(), none("users are served", "restart", "redeploy", "restart-database", "lose-service")),
				Detected:  10 * time.Hour, Acknowledged: 2 * time.Hour, Unhurt: true,
			},
		},
		{
			Name: "redis-down", Title: "The cache is gone",
			Faults: []fault{{Kind: "redis-down"}}, At: 12 * time.Hour, Watch: 4 * time.Hour,
			People: people{Mends: []string{"redis-down"}},
			Oracle: oracle{
				Severity: alert.High, Required: warned(),
				Allowed:   []rule{{Kind: "restart", Detail: "redis", Max: 1}, {Kind: "redeploy", Detail: "redis", Max: 1}, {Kind: "restart", Max: 1}},
				Forbidden: join(restoring(), none("the database is well", "restart-database", "redeploy-database", "scale-database")),
				Detected:  5 * time.Minute, Acknowledged: 30 * time.Minute, Mitigated: 2 * time.Hour, Resolved: 3 * time.Hour,
			},
		},
	}
}
