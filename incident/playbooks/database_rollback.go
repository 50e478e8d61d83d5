package playbooks

import (
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// beganWith is how old a deployment may be when it is first looked at what does not work, so
// that this began with it and a restart need not be tried before a rollback.
const beganWith = 30 * time.Minute

// rollBackFromDatabase are the steps that look again, when a restart of the application did
// not help or a rollback was decided, and that roll the application back if its server works
// and only a new version of it does not get through. They are those of [ApplicationDown].
func (e Environment) rollBackFromDatabase(d Defaults) []incident.Step {
	back := databaseDecided("roll back")
	again := func(s *incident.Scope) (bool, string) {
		if needed, _ := decided("roll back")(s); needed {
			return true, ""
		}
		if needed, why := decided("restart")(s); !needed {
			return false, why
		}
		return !s.Did("restart-helped"), "restarting the application helped"
	}
	return []incident.Step{
		{ID: "see", Title: "See whether it stays so, before anything is rolled back", When: decided("roll back"), Do: incident.Sleep{For: d.Settle}},
		{ID: "look-again", Title: "Look again", When: again, OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
			look("database-again", "Ask the application about the database", e.Probes.Database),
			e.lookServer("server-again", "Look at the server while the application asks it"),
			look("platform-again", "Look at what is said of the platform", e.Probes.Platform),
			e.deployments("deployments-again"),
			withWhen(e.frozen("freeze"), func(*incident.Scope) (bool, string) {
				return e.Freezer != nil, "this environment cannot keep the platform from deploying by itself"
			}),
		}}},
		withWhen(e.databaseDecisionAgain(d), again),
		withWhen(optional(e.freeze("freeze")), back), // without a Freezer it is never decided
		withWhen(e.rollback("roll-back", "deployments-again"), back),
		e.tellFrozen("tell-frozen", "roll-back", "decide-again"),
		{ID: "settle-roll-back", Title: "Let it start", When: back, Do: incident.Sleep{For: d.Settle}},
	}
}

// databaseDecisionAgain decides a second time, from what was seen when the restart did not
// help, or a moment after a rollback was decided. It rolls back only if the server was seen
// to work both times, and has no server restarted that works.
func (e Environment) databaseDecisionAgain(d Defaults) incident.Step {
	return incident.Step{
		ID: "decide-again", Title: "Decide what to do now", OnFailure: incident.Pause,
		Do: checkOf(func(s *incident.Scope) (any, error) {
			database, server, platform := saw(s, "database-again"), saw(s, "server-again"), saw(s, "platform-again")
			first, _ := incident.Result[Decision](s, "decide")
			switch {
			case platform.down() || platform.Status == health.Maintenance:
				return Decision{"wait", "the platform itself has a fault: " + platform.String()}, nil
			case database.Status.OK() && (serverWorks(server) || server.Missing):
				return Decision{done(first.Action), "it works again: " + database.String()}, nil
			case server.Cause == health.CauseAssertion || noRoom(server) || server.Cause == causeStarting:
				return nil, fmt.Errorf("the server has another trouble than at first (%s): start this playbook again", server)
			case database.Status.OK() && server.Status == health.Unknown && server.Cause == "":
				return nil, fmt.Errorf("the application gets through again, and the server could not be looked at: %s", server)
			case !serverWorks(server) && first.Action == "roll back":
				return nil, fmt.Errorf("the server does not work any more (%s), so that nothing is rolled back: start this playbook again", server)
			case !serverWorks(server):
				return Decision{"restart the database", first.Why + "; the server now: " + server.String()}, nil
			case !database.down():
				return nil, fmt.Errorf("whether the application gets through to the database could not be seen: %s", database)
			}
			if why := e.noWayBack(s, "deployments-again"); why != "" {
				return nil, fmt.Errorf("%s, and a rollback is not for a program: %s; look at what the application was given to reach the database with, and what its log says", cutOff(database), why)
			}
			return Decision{"roll back", cutOff(database) + ", and " + e.blamed(s, "deployments-again", d)}, nil
		}),
	}
}

// done says what was done when it works again: what was decided to be rolled back was not yet.
func done(decided string) string {
	if decided == "roll back" {
		return "nothing"
	}
	return decided
}

// databaseDecisionOf returns what was decided last.
func databaseDecisionOf(s *incident.Scope) (Decision, bool) {
	if v, again := incident.Result[Decision](s, "decide-again"); again {
		return v, true
	}
	return incident.Result[Decision](s, "decide")
}

// databaseDecided is the condition that one of these actions was decided last.
func databaseDecided(actions ...string) incident.Condition {
	return func(s *incident.Scope) (bool, string) {
		v, ok := databaseDecisionOf(s)
		return v.among(ok, actions)
	}
}

// lookServer is a look at the server that takes a moment: what the application asks of it
// meanwhile may be held up there, which one glance does not see. It keeps the first look at
// which something was wrong.
func (e Environment) lookServer(id, title string) incident.Step {
	const moment, apart = 1200 * time.Millisecond, 300 * time.Millisecond
	s := look(id, title, e.Probes.DatabaseServer)
	s.Do = incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
		began, found := time.Now(), probe(ctx, e.Probes.DatabaseServer)
		for serverWorks(found) && time.Since(began) < moment {
			select {
			case <-time.After(apart):
			case <-ctx.Done():
				return found, nil
			}
			found = probe(ctx, e.Probes.DatabaseServer)
		}
		return found, nil
	}}
	return s
}

// serverWorks reports whether a server was seen to be as it should be: it takes connections,
// and nothing is held up on it. That it could not be looked at says nothing of the kind.
func serverWorks(server Found) bool {
	n := server.Numbers
	return !server.Missing && server.Status == health.Healthy && n["blocked_queries"] == 0 && n["connections_used"] < connectionsFull && n["disk_used"] < diskFull
}

func cutOff(database Found) string {
	return "the server works, and the application does not get through to it (" + database.Message + ")"
}

// blamed says what is rolled back, and to what.
func (e Environment) blamed(s *incident.Scope, looked string, d Defaults) string {
	seen, _ := incident.Result[Deployments](s, looked)
	if seen.Current == nil || seen.Target == nil {
		return "nothing was deployed"
	}
	return fmt.Sprintf("%s was deployed less than %v ago, and %s worked before it", version(*seen.Current), d.RecentDeployment, version(*seen.Target))
}

// recently adds that a new version was deployed lately, and what becomes of it.
func (e Environment) recently(s *incident.Scope, d Defaults) string {
	if e.noWayBack(s, "deployments") == "" {
		return "; " + e.blamed(s, "deployments", d) + ": if a restart does not help, that is rolled back"
	}
	if seen, _ := incident.Result[Deployments](s, "deployments"); seen.Recent {
		return fmt.Sprintf("; %s was deployed less than %v ago: look at it if it comes back", version(*seen.Current), d.RecentDeployment)
	}
	return ""
}

// justDeployed reports whether the application may be rolled back, and was deployed so
// shortly before that what does not work began with it.
func (e Environment) justDeployed(s *incident.Scope) bool {
	if e.noWayBack(s, "deployments") != "" {
		return false
	}
	seen, _ := incident.Result[Deployments](s, "deployments")
	return s.Now.Sub(seen.Current.Created) < beganWith
}

// noWayBack says why the application may not be rolled back because it does not get through
// to a server that works, by what a look at the deployments found; empty if it may be.
func (e Environment) noWayBack(s *incident.Scope, looked string) string {
	seen, read := incident.Result[Deployments](s, looked)
	before, readBefore := incident.Result[Deployments](s, "deployments")
	switch {
	case !serverWorks(saw(s, "server")):
		return "the server was not as it should be at first"
	case !read || !readBefore:
		return "the deployments could not be read"
	case seen.Current == nil || before.Current == nil:
		return "nothing is deployed: " + lastDeployment(seen)
	case seen.Current.ID != before.Current.ID || !seen.Newest[0].Status.Settled():
		return "somebody deploys just now: " + lastDeployment(seen)
	case seen.RolledBack:
		return "it was rolled back already, to " + version(*seen.Current)
	case !seen.Recent:
		return "nothing was deployed lately"
	case !seen.New:
		return version(*seen.Current) + " was only deployed again, or is no version that is known"
	case seen.Target == nil:
		return "there is no deployment before it to go back to"
	case e.Freezer == nil:
		return "this environment cannot keep the platform from deploying it again"
	}
	return ""
}
