package playbooks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// ApplicationDown is the playbook for an application that does not answer. It looks at
// everything at once while people are told; decides from what it found between rolling
// back, restarting, and waiting for whoever has the fault; and sees that it helped. It
// does not roll back because something else is down.
func ApplicationDown(e Environment) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const assess, act, verify = "Immediate assessment", "Emergency actions", "Resolution verification"
	return incident.Playbook{
		Name: "application-down", Environment: e.name(), Title: "Application down", Severity: alert.Critical, Timeout: d.outlasting(),
		About:  "Health checks fail, the application answers 500 or 502, or it cannot be reached.",
		Source: "Incident Response Playbooks, 1. Application Down",
		Phases: []incident.Phase{{Name: assess, Budget: 5 * time.Minute}, {Name: act, Budget: 10 * time.Minute}, {Name: verify}},
		Steps: []incident.Step{
			{ID: "assess", Title: "Look at everything, and tell people", Phase: assess, OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
				e.tell("tell-investigating", "investigating", func(*incident.Scope) incident.Message {
					return incident.Message{Title: "The application does not answer", Text: "We are looking into it."}
				}),
				replacing(look("health", "Look at the application", e.Probes.Application), "curl -f https://qa-automation.acu.edu.au/health"),
				replacing(e.deployments("deployments"), "railway status --environment production", "railway deployments --environment production --limit 5"),
				look("database", "Look at the database", e.Probes.Database),
				look("canvas", "Look at Canvas", e.Probes.CanvasHost),
				look("canvas-status", "Look at what is said of Canvas", e.Probes.CanvasStatus),
				look("platform", "Look at what is said of the platform", e.Probes.Platform),
				replacing(e.lines("logs", "Read the last lines of the log", incident.LogQuery{Tail: 100}), "railway logs --environment production --tail 100"),
				e.frozen("freeze"),
			}}},
			decision(d),
			withPhase(act, withWhen(e.freeze("freeze"), decided("roll back", "restart"))),
			withWhen(e.rollback("roll-back", "deployments"), decided("roll back")),
			withWhen(restart("restart", "Restart the application", e.Deployer), decided("restart")),
			e.tellFrozen("tell-frozen", "roll-back", "decide"),
			{ID: "settle", Title: "Let it start", When: decided("roll back", "restart"), Do: incident.Sleep{For: d.Settle}},
			withWhen(e.waitForOthers("wait", d), decided("wait")),
			withPhase(verify, replacing(well("well", "See that the application is well", d.Recover, d.Times, e.Probes.Application), "./scripts/health-check.sh production")),
			replacing(well("canvas-works", "See that Canvas works with it", d.Recover, 1, e.Probes.Canvas), "./scripts/validate-canvas-integration.sh production"),
			withWhen(e.unfreeze("unfreeze"), func(s *incident.Scope) (bool, string) {
				if !s.Did("freeze") {
					return false, "this run froze nothing"
				}
				return !s.Did("roll-back"), "after a rollback a push would bring back what was rolled back; a person lets it when the cause is gone"
			}),
			e.tell("tell-resolved", "resolved", func(s *incident.Scope) incident.Message {
				v, _ := incident.Result[Decision](s, "decide")
				return incident.Message{Title: "The application works again", Text: "What was done: " + v.Action + ". " + v.Why}
			}),
		},
		Escalation: "level 2, the development team, if it is not well 15 minutes after it was noticed",
	}
}

// tellFrozen tells the operators what a rollback, which another step decided, leaves behind
// for a person: that the platform deploys nothing by itself.
func (e Environment) tellFrozen(id, rollback, decide string) incident.Step {
	step := e.warn(id, func(s *incident.Scope) incident.Message {
		v, _ := incident.Result[Decision](s, decide)
		return incident.Message{
			Title: "Rolled back, and automatic deployments of " + e.name() + " are frozen",
			Text:  "A push would bring back what was rolled back: " + v.Why + ". Let the platform deploy by itself again when its cause is gone.",
		}
	})
	step.When = both(step.When, func(s *incident.Scope) (bool, string) {
		before, looked := incident.Result[incident.FreezeState](s, "freeze-before")
		return s.Did(rollback) && (s.Did("freeze") || looked && before.Frozen), "it was not rolled back, or the platform is not frozen"
	})
	return step
}

// A Decision is what a playbook found best, and why.
type Decision struct {
	// Action is what to do, in words: "roll back", "restart", "wait", "nothing".
	Action string `json:"action"`
	// Why says what it rests on.
	Why string `json:"why"`
}

// decision decides what to do from what was found. It guesses nothing: what it does not
// know it leaves to a person.
func decision(d Defaults) incident.Step {
	return incident.Step{
		ID: "decide", Title: "Decide what to do", OnFailure: incident.Pause,
		Do: checkOf(func(s *incident.Scope) (any, error) {
			app, platform, database := saw(s, "health"), saw(s, "platform"), saw(s, "database")
			deployed, looked := incident.Result[Deployments](s, "deployments")
			switch {
			case !app.Missing && app.Status.OK():
				return Decision{"nothing", "the application answers again: " + app.String()}, nil
			case platform.down() || platform.Status == health.Maintenance:
				return Decision{"wait", "the platform itself has a fault, which neither a rollback nor a restart mends: " + platform.String()}, nil
			case app.Status == health.Unknown:
				return nil, fmt.Errorf("whether the application is down could not be seen: %s", app)
			case !looked:
				return nil, fmt.Errorf("the application is down (%s), and its deployments could not be read", app)
			case deployed.Recent && deployed.Target != nil && !deployed.RolledBack && !deployed.again():
				return Decision{"roll back", fmt.Sprintf("%s was deployed less than %v ago, and %s worked before it", version(*deployed.Current), d.RecentDeployment, version(*deployed.Target))}, nil
			case database.down():
				return nil, fmt.Errorf("the database is down too (%s), and there is no deployment to roll back: see the playbook database-issues", database)
			case deployed.Current == nil:
				return nil, fmt.Errorf("nothing is deployed: %s", lastDeployment(deployed))
			}
			if deployed.Recent && deployed.RolledBack {
				return Decision{"restart", "it was rolled back already, to " + version(*deployed.Current) + ", and what is still older mends no more; platform and database work"}, nil
			}
			if deployed.Recent && deployed.again() {
				return Decision{"restart", fmt.Sprintf("%s was deployed again less than %v ago, and ran before that, so that older code mends nothing; if that does not help, look at which variables were changed; platform and database work", version(*deployed.Current), d.RecentDeployment)}, nil
			}
			return Decision{"restart", "nothing was deployed lately, and platform and database work"}, nil
		}),
	}
}

func lastDeployment(d Deployments) string {
	if len(d.Newest) == 0 {
		return "there has never been a deployment"
	}
	last := d.Newest[0]
	return strings.TrimSuffix(fmt.Sprintf("the last one, %s, is %s: %s", described(last), last.Status, last.Reason), ": ")
}

// decided is the condition that one of these actions was decided.
func decided(actions ...string) incident.Condition {
	return func(s *incident.Scope) (bool, string) {
		v, ok := incident.Result[Decision](s, "decide")
		return v.among(ok, actions)
	}
}

// among reports whether it was decided to do one of these actions, and else what was.
func (v Decision) among(made bool, actions []string) (bool, string) {
	if !made {
		return false, "it was not decided"
	}
	return slices.Contains(actions, v.Action), "it was decided to " + v.Action + ": " + v.Why
}

// waitForOthers waits until the platform says that it works again.
func (e Environment) waitForOthers(id string, d Defaults) incident.Step {
	s := well(id, "Wait until the platform works again", d.CanvasAway, 2, e.Probes.Platform)
	do, _ := s.Do.(incident.Verify)
	do.Every = d.CanvasPoll
	s.Do = do
	return s
}
