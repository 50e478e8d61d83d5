package playbooks

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// Shares of what the server has, in percent, from which on it is the trouble; and for how
// many seconds a query may be held up by another one.
const (
	connectionsFull = 90
	diskFull        = 90
	blockedLong     = 60
)

// Causes that only a look at a database gives, as package health/sqlprobe writes them.
const (
	causeConnections health.Cause = "too_many_connections"
	causeDisk        health.Cause = "disk_full"
	causeStarting    health.Cause = "starting"
)

// DatabaseIssues is the playbook for a database that cannot be reached, is slow, or has
// data that does not fit together. It asks the server and the application, restarts the
// application before anything else, and the server only if that is not well and a person
// approves. If the server works and a new version of the application does not get through to
// it, it rolls that back, as [ApplicationDown] does: after a restart that did not help, or at
// once if it began with the deployment. A restore it suggests, and does not make: see
// [DatabaseRestore].
func DatabaseIssues(e Environment) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const check, diagnose, act = "Database health check", "Database diagnostics", "Recovery actions"
	steps := []incident.Step{
		{ID: "assess", Title: "Look at everything, and tell people", Phase: check, OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
			e.tell("tell-investigating", "investigating", func(*incident.Scope) incident.Message {
				return incident.Message{Title: "The database gives trouble", Text: "We are looking into it."}
			}),
			replacing(look("database", "Ask the application about the database", e.Probes.Database), `curl -f "https://qa-automation.acu.edu.au/health/database"`),
			look("application", "Look at the application", e.Probes.Application),
			look("activity", "Look at what the application is doing, and how full its pool of connections is", e.Probes.Activity),
			look("platform", "Look at what is said of the platform", e.Probes.Platform),
			replacing(e.databaseService("service"), "railway status --environment production"),
		}}},
		{ID: "diagnose", Title: "Ask the server", Phase: diagnose, OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
			e.lookServer("server", "Look at connections, slow and blocked queries, and the disk"),
			e.lookBackups("backups"),
			e.deployments("deployments"),
		}}},
		e.databaseDecision(d),
		e.inform("tell-operators", databaseFindings(d)),
		withPhase(act, withWhen(restart("restart", "Restart the application, which lets go of its connections", e.Deployer, "railway restart --environment production"), decided("restart"))),
		{ID: "settle", Title: "Let it start", When: decided("restart"), Do: incident.Sleep{For: d.Settle}},
		goingOn(withWhen(e.databaseWell("restart-helped", d), decided("restart"))),
	}
	steps = append(steps, e.rollBackFromDatabase(d)...)
	steps = append(steps, e.restartDatabase(d)...)
	steps = append(steps, e.scaleDatabase(d)...)
	steps = append(steps,
		suggestRestore(),
		withWhen(e.waitForOthers("wait", d), databaseDecided("wait")),
		e.databaseWell("well", d),
		well("application-well", "See that the application is well", d.Recover, d.Times, e.Probes.Application),
		e.tell("tell-resolved", "resolved", func(s *incident.Scope) incident.Message {
			v, _ := databaseDecisionOf(s)
			return incident.Message{Title: "The database works again", Text: "What was done: " + v.Action + ". " + v.Why}
		}),
	)
	return incident.Playbook{
		Name: "database-issues", Environment: e.name(), Title: "Database issues", Severity: alert.High, Timeout: d.outlasting(),
		About:  "Connections to the database fail, queries are slow, or data does not fit together.",
		Source: "Incident Response Playbooks, 4. Database Issues",
		Needs:  []incident.Need{incident.Needs("Probes.Database", e.Probes.Database)},
		Parameters: []incident.Parameter{{
			Name: "memory-gb", About: "To how much memory the database is scaled if more of it would help; none means that a person decides", Type: incident.Whole, Optional: true, Min: "1", Max: "512",
		}},
		Phases: []incident.Phase{{Name: check, Budget: 5 * time.Minute}, {Name: diagnose, Budget: 5 * time.Minute}, {Name: act}},
		Steps:  steps, Escalation: "level 4, the infrastructure team and the support of the platform",
	}
}

// goingOn lets a run go on when a step fails: a later one looks at that.
func goingOn(s incident.Step) incident.Step {
	s.OnFailure = incident.GoOn
	return s
}

// databaseService is a step that looks at the service of the database at the platform.
func (e Environment) databaseService(id string) incident.Step {
	database := e
	database.Deployer = e.Database
	s := database.deployments(id)
	s.Title, s.Needs = "Look at the service of the database", nil
	return withWhen(s, func(*incident.Scope) (bool, string) {
		return e.Database != nil, "this environment does not tell how the service of the database is"
	})
}

// databaseWell is a step that waits until application and server agree that the database
// is well.
func (e Environment) databaseWell(id string, d Defaults) incident.Step {
	s := well(id, "See that the database is well", d.Recover, d.Times, e.Probes.Database)
	do, _ := s.Do.(incident.Verify)
	ask := do.Run
	do.Run = func(ctx context.Context, s *incident.Scope) (any, error) {
		found, err := ask(ctx, s)
		if err != nil {
			return nil, err
		}
		if server := probe(ctx, e.Probes.DatabaseServer); server.down() || server.Status == health.Degraded {
			return nil, fmt.Errorf("the server is %s", server)
		}
		return found, nil
	}
	s.Do = do
	return s
}

// databaseDecision decides what to do about the database from what was found.
func (e Environment) databaseDecision(d Defaults) incident.Step {
	return incident.Step{
		ID: "decide", Title: "Decide what to do", OnFailure: incident.Pause,
		Do: checkOf(func(s *incident.Scope) (any, error) {
			database, server, platform := saw(s, "database"), saw(s, "server"), saw(s, "platform")
			service, told := incident.Result[Deployments](s, "service")
			switch {
			case platform.down() || platform.Status == health.Maintenance:
				return Decision{"wait", "the platform itself has a fault: " + platform.String()}, nil
			case server.Cause == health.CauseAssertion:
				return Decision{"restore", "data does not fit together, which no restart mends: " + server.Message}, nil
			case noRoom(server):
				return Decision{"make room", "the disk is full or nearly so, which no restart changes: " + cmp.Or(server.Message, fmt.Sprintf("%.0f %% are used", server.Numbers["disk_used"]))}, nil
			case server.Cause == causeStarting:
				return nil, fmt.Errorf("the server is starting or stopping (%s); wait a moment, and try again", server.Message)
			case told && stands(service):
				return Decision{"restart the database", "the service of the database does not run: " + lastDeployment(service)}, nil
			}
			if why := holdsConnections(server, saw(s, "activity")); why != "" {
				return Decision{"restart", why + e.recently(s, d)}, nil
			}
			switch {
			case database.down() && e.justDeployed(s):
				return Decision{"roll back", cutOff(database) + ", since " + e.blamed(s, "deployments", d)}, nil
			case database.down() && server.Status.OK() && !server.Missing:
				return Decision{"restart", cutOff(database) + e.recently(s, d)}, nil
			case database.down():
				return Decision{"restart", "the application does not get through to the database (" + database.Message + "), and if its connections are the trouble a restart lets go of them" + e.recently(s, d)}, nil
			case server.Status == health.Degraded || server.down():
				return Decision{"scale", "the server answers, and is not as it should be: " + server.Message}, nil
			case database.Status.OK():
				return Decision{"nothing", "the database works: " + database.String()}, nil
			}
			return nil, fmt.Errorf("whether the database works could not be seen: the application says %s; the server: %s", database, server)
		}),
	}
}

// stands reports whether a service does not run although it was deployed once.
func stands(d Deployments) bool {
	if d.Current == nil {
		return len(d.Newest) > 0
	}
	return d.Current.Status == incident.DeploymentCrashed
}

// holdsConnections says which connections a restart of the application would let go of;
// empty if nothing speaks for it.
func holdsConnections(server, activity Found) string {
	n, pool := server.Numbers, max(server.Numbers["pool_used"], activity.Numbers["pool_used"])
	switch {
	case server.Cause == causeConnections:
		return "the server accepts no more connections"
	case n["connections_used"] >= connectionsFull:
		return fmt.Sprintf("%.0f %% of the connections of the server are in use", n["connections_used"])
	case n["blocked_queries"] > 0 && n["longest_blocked"] >= blockedLong:
		return fmt.Sprintf("%.0f queries wait for others, one of them for %.0f s", n["blocked_queries"], n["longest_blocked"])
	case pool >= connectionsFull:
		return fmt.Sprintf("%.0f %% of the pool of connections are in use", pool)
	}
	return ""
}

// noRoom reports whether the disk of a server is full, or nearly so.
func noRoom(server Found) bool {
	return server.Numbers["disk_used"] >= diskFull || server.Cause == causeDisk
}

// databaseFindings says what was found, for the operators.
func databaseFindings(d Defaults) func(s *incident.Scope) incident.Message {
	return func(s *incident.Scope) incident.Message {
		server, backups := saw(s, "server"), "the backups could not be read"
		if list, ok := incident.Result[Backlist](s, "backups"); ok {
			backups = list.newest()
			if len(list.Backups) > 0 && list.At.Sub(list.Backups[0].Created) > d.BackupAge {
				backups += ", which is more than " + ago(d.BackupAge)
			}
		}
		lines := []string{"The application says: " + saw(s, "database").String(), "The server: " + server.String(), "Backups: " + backups}
		for _, name := range []string{"connections_used", "connections_max", "pool_used", "blocked_queries", "longest_blocked", "disk_used"} {
			if v, ok := server.Numbers[name]; ok {
				lines = append(lines, fmt.Sprintf("%s: %g", name, v))
			}
		}
		if slow := server.Texts["slow_queries"]; slow != "" {
			lines = append(lines, "slow_queries: "+slow)
		}
		v, _ := incident.Result[Decision](s, "decide")
		return incident.Message{Title: "Database of " + s.Environment + ": " + cmp.Or(v.Action, "not decided"), Text: strings.Join(append(lines, v.Why), "\n")}
	}
}

// restartDatabase are the steps that restart the server, after a person has approved it. One
// that works is left alone: see [Environment.databaseDecisionAgain].
func (e Environment) restartDatabase(d Defaults) []incident.Step {
	when := func(s *incident.Scope) (bool, string) {
		if needed, why := databaseDecided("restart the database")(s); !needed {
			return false, why
		}
		return e.Database != nil, "this environment cannot restart the database"
	}
	again := optional(restart("restart-database", "Restart the server of the database", e.Database)) // without a Database it is never decided
	return []incident.Step{
		{
			ID: "approve-restart", Title: "Restart the server of the database?", When: when,
			Do: incident.Approve{Bound: true, Within: d.Approve, Question: func(s *incident.Scope) string {
				v, _ := databaseDecisionOf(s)
				text := "All connections of everything that uses the database are cut. " + v.Why + "."
				if s.Did("restart") {
					text += " Restarting the application did not help."
				}
				return text
			}},
		},
		withWhen(again, when),
		{ID: "settle-database", Title: "Let the server start", When: when, Do: incident.Sleep{For: d.Settle}},
	}
}

// suggestRestore is a step that leaves it to a person whether to restore.
func suggestRestore() incident.Step {
	return incident.Step{
		ID: "suggest-restore", Title: "Let a person decide about a restore", When: decided("restore"),
		About: "A restore is not made from here: it loses what was written since the backup, and perhaps less than all of the data is damaged.",
		Do: checkOf(func(s *incident.Scope) (any, error) {
			if s.Planning {
				return nil, nil
			}
			v, _ := incident.Result[Decision](s, "decide")
			list, _ := incident.Result[Backlist](s, "backups")
			var backups []string
			for _, b := range list.Backups[:min(len(list.Backups), 5)] {
				backups = append(backups, fmt.Sprintf("%s of %s", backupName(b), b.Created.UTC().Format(time.DateTime)))
			}
			return nil, fmt.Errorf("%s; find out since when, and run the playbook database-restore with a backup from before: %s; then say that this is done",
				v.Why, cmp.Or(strings.Join(backups, ", "), "the platform has none, look at the dumps"))
		}),
	}
}
