package playbooks

import (
	"fmt"
	"strings"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// MorningCheck is the playbook of the three routines of each morning: health and
// performance of all environments, Canvas through each of them, and what the users do in
// the first. It goes on when an environment does not answer, tells the operators of each
// that has issues and then how everything stands, and ends as failed if not all is well.
//
// e is the environment whose users are counted, and through which people are told:
// production. The others are only looked at. A host starts it at 08:00, with package
// alert/schedule.
func MorningCheck(e Environment, others ...Environment) incident.Playbook {
	all := append(append([]Environment{}, others...), e)
	var looks, alerts []incident.Step
	for _, one := range all {
		name := one.name()
		looks = append(looks,
			replacing(look("health-"+name, "Look at "+name, one.Probes.Application), "./scripts/health-check.sh $env"),
			replacing(one.performance("performance-"+name), "./scripts/performance-check.sh $env"),
			replacing(look("canvas-"+name, "Look at Canvas through "+name, one.Probes.Canvas),
				`curl -s "https://qa-automation-$instance.railway.app/health/canvas?instance=$instance"`, `jq -r '.status'`, `jq '.canvas_details'`),
		)
		alerts = append(alerts, replacing(withWhen(e.inform("alert-"+name, func(s *incident.Scope) incident.Message {
			return incident.Message{Title: name + " environment health check failed", Text: looked(s, "health-"+name).String()}
		}), func(s *incident.Scope) (bool, string) {
			f := looked(s, "health-"+name)
			return f.Missing || !f.Status.OK(), name + " is well"
		}), `./scripts/alert.sh "$env environment health check failed"`))
	}
	looks = append(looks, replacing(look("activity", "Look at what the users of "+e.name()+" do", e.Probes.Activity),
		`curl -s "https://qa-automation.acu.edu.au/health/metrics" | jq -r '.active_sessions'`,
		`curl -s "https://qa-automation.acu.edu.au/health/metrics" | jq -r '.active_qa_tasks'`,
		`curl -s "https://qa-automation.acu.edu.au/health/metrics" | jq -r '.recent_errors'`))
	d := e.Defaults.WithDefaults()
	steps := []incident.Step{
		{ID: "look", Title: "Look at all environments", OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: looks}},
		{ID: "summary", Title: "See what is well and what is not", OnFailure: incident.GoOn, Do: checkOf(func(s *incident.Scope) (any, error) { return morning(s, all, e), nil })},
	}
	steps = append(steps, alerts...)
	steps = append(steps,
		replacing(withWhen(e.inform("alert-errors", func(s *incident.Scope) incident.Message {
			return incident.Message{Title: fmt.Sprintf("High error count detected: %.0f errors", looked(s, "activity").Numbers["recent_errors"]), Text: "In " + e.name() + "."}
		}), func(s *incident.Scope) (bool, string) {
			return looked(s, "activity").Numbers["recent_errors"] > float64(d.RecentErrors), "there are no more errors than may be"
		}), `./scripts/alert.sh "High error count detected: $ERROR_COUNT errors"`),
		replacing(e.inform("tell-summary", func(s *incident.Scope) incident.Message {
			r := routineOf(s, "summary")
			return incident.Message{Title: "Morning health summary: " + r.short(), Text: r.String()}
		}), "Morning health summary (8:00 AM)"),
		concluding("as-they-should-be", "summary", "tell-summary"),
	)
	return incident.Playbook{
		Name: "morning-check", Environment: e.name(), Title: "Morning check", Severity: alert.Medium, Lock: e.name() + "-routines",
		About: "Each morning, for " + namesOfAll(all) + ".", Source: "Daily Operations",
		Steps: steps, Escalation: "the playbook of what is not well: application-down, performance-degradation, canvas-authentication",
	}
}

// morning puts together what was found in all environments.
func morning(s *incident.Scope, all []Environment, counted Environment) (r Routine) {
	for _, one := range all {
		name := one.name()
		r.add(name+", health", looked(s, "health-"+name))
		r.addPerformance(name+", performance", s, "performance-"+name)
		r.add(name+", Canvas", looked(s, "canvas-"+name))
	}
	r.addActivity(counted.name()+", users", looked(s, "activity"), counted.Defaults.WithDefaults())
	return r
}

func namesOfAll(all []Environment) string {
	var names []string
	for _, one := range all {
		names = append(names, one.name())
	}
	return strings.Join(names, ", ")
}
