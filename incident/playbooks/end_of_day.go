package playbooks

import (
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// EndOfDay is the playbook of the status report at the end of the day: how everything
// stands now, what was deployed and backed up, and the figures of the day, each with the
// stored samples that it was made of, beside those of the day before until the same time.
// That something is not well is in the report and no failure of it; a report that reaches
// nobody is one.
//
// The figures come from the metrics of the platform and from sources, which may be none. A
// host starts it at 18:00, with package alert/schedule.
func EndOfDay(e Environment, sources ...FigureSource) incident.Playbook {
	return incident.Playbook{
		Name: "end-of-day-report", Environment: e.name(), Title: "End-of-day report", Severity: alert.Low, Lock: e.name() + "-routines",
		About:  "Each day when the people go home.",
		Source: "Monitoring and Alerting, Daily Reports",
		Needs:  []incident.Need{incident.Needs("Inform", e.Inform)},
		Steps: []incident.Step{
			{ID: "day", Title: "See which day it is", Do: checkOf(func(s *incident.Scope) (any, error) {
				now, today := s.Now, e.midnight(s.Now, 0)
				yesterday := e.midnight(s.Now, -1)
				return Period{From: today, To: now, BeforeFrom: yesterday, BeforeTo: sameHour(now.In(today.Location()), 1)}, nil
			})},
			{ID: "look", Title: "Look at everything", OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
				look("health", "Look at the application", e.Probes.Application),
				e.performance("performance"),
				look("activity", "Look at what the users do", e.Probes.Activity),
				look("database", "Look at the database", e.Probes.Database),
				look("redis", "Look at the cache", e.Probes.Redis),
				look("canvas", "Look at Canvas through the application", e.Probes.Canvas),
				look("platform", "Look at what is said of the platform", e.Probes.Platform),
				optional(withWhen(e.deployments("deployments"), func(*incident.Scope) (bool, string) { return e.Deployer != nil, "this environment deploys nothing" })),
				e.lookBackups("backups"),
				e.reckon("figures", "day", sources),
			}}},
			{ID: "status", Title: "Put the report together", OnFailure: incident.GoOn, Do: checkOf(func(s *incident.Scope) (any, error) { return e.dayStatus(s), nil })},
			reporting(replacing(e.inform("report", func(s *incident.Scope) incident.Message {
				p, _ := incident.Result[Period](s, "day")
				status := routineOf(s, "status")
				text := status.String() + "\nToday:\n- " + strings.Join(append(e.dayEvents(s, p), figuresOf(s, "figures").lines(e)...), "\n- ")
				return incident.Message{Title: "End-of-day status of " + e.name() + ": " + status.short(), Text: text}
			}), "End-of-day status report (6:00 PM)")),
		},
		Escalation: "the playbook of what is not well",
	}
}

// reporting makes a run fail of which the report reached nobody.
func reporting(s incident.Step) incident.Step {
	s.Title, s.Attempts, s.Backoff, s.OnFailure, s.When = "Send the report", 5, 10*time.Second, incident.Abort, nil
	return s
}

// dayStatus puts together how everything stands.
func (e Environment) dayStatus(s *incident.Scope) (r Routine) {
	r.add("application", looked(s, "health"))
	r.addPerformance("performance", s, "performance")
	r.addActivity("users", looked(s, "activity"), e.Defaults.WithDefaults())
	for _, step := range []string{"database", "redis", "canvas", "platform"} {
		r.add(step, looked(s, step))
	}
	return r
}

// dayEvents says what was deployed today, and how old the newest backup is.
func (e Environment) dayEvents(s *incident.Scope, p Period) (lines []string) {
	if d, ok := incident.Result[Deployments](s, "deployments"); ok {
		lines = append(lines, e.deployedIn(d, p)...)
	} else {
		o, _ := s.Outcome("deployments")
		lines = append(lines, "what was deployed is not known: "+o.Message)
	}
	if b, ok := incident.Result[Backlist](s, "backups"); !ok {
		o, _ := s.Outcome("backups")
		lines = append(lines, "how old the newest backup is is not known: "+o.Message)
	} else if len(b.Backups) == 0 {
		lines = append(lines, "there is no backup")
	} else {
		lines = append(lines, b.newest())
	}
	return lines
}

// deployedIn lists the newest deployments that began in a period.
func (e Environment) deployedIn(d Deployments, p Period) (lines []string) {
	for _, one := range d.Newest {
		if !one.Created.Before(p.From) && one.Created.Before(p.To) {
			lines = append(lines, "deployed at "+e.stamp(one.Created)+": "+described(one)+", "+string(one.Status))
		}
	}
	if len(lines) == 0 {
		return []string{"nothing was deployed"}
	}
	return lines
}
