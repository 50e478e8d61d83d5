package playbooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// MaintenanceWindow is the playbook for work that is announced: users are told when it is,
// in a zone that has a name; a backup is made when it begins; the update is deployed inside
// the window and not outside of it; everything is checked; and users are told that it is
// over. An update that is not well is rolled back, if a person approves.
//
// It has a lock of its own, so that it keeps no other playbook from its work while it waits
// for the window.
func MaintenanceWindow(e Environment, dumps Dumps) incident.Playbook {
	const announce, work, after = "Announce", "In the window", "Afterwards"
	bad := func(s *incident.Scope) (bool, string) {
		return s.Did("deploy") && !s.Did("validated"), "the update is well, or was not made"
	}
	steps := []incident.Step{
		withPhase(announce, e.agreedWindow("window")),
		e.tellWindow("tell-scheduled", "scheduled", "Maintenance", `./scripts/notify-maintenance.sh "2024-01-15 02:00 EST" "4 hours"`),
		{ID: "begin", Title: "Wait until it begins", Do: incident.Wait{
			Within: 14 * 24 * time.Hour, Every: 15 * time.Minute, Until: func(_ context.Context, s *incident.Scope) (any, bool, error) {
				w, _ := incident.Result[Window](s, "window")
				return nil, !time.Now().Before(w.From), nil
			},
		}},
		withPhase(work, e.tellWindow("tell-begun", "in_progress", "Maintenance has begun")),
		e.deployments("deployments"),
		e.backUp("backup", "Make a backup before the work"),
	}
	if e.Dumper != nil && dumps.kept() {
		steps = append(steps, e.dump("dump", "Put a dump off the platform too", dumps))
	}
	steps = append(steps,
		e.insideWindow("inside"),
		e.deploy("deploy", "Deploy the update", parameter("commit"), "./scripts/deploy-production.sh"),
		goingOn(e.everything("validated")),
		e.deploymentsAfter("after", bad),
		incident.Step{ID: "approve-rollback", Title: "Roll the update back?", When: bad, OnFailure: incident.GoOn, Do: incident.Approve{
			Bound: true, Within: e.Defaults.WithDefaults().Approve, Question: func(s *incident.Scope) string {
				o, _ := s.Outcome("validated")
				return "The update was deployed, and not everything is well: " + o.Message + "."
			},
		}},
		withWhen(e.rollback("roll-back", "after"), both(bad, approved("approve-rollback"))),
		withPhase(after, withWhen(e.everything("well"), func(s *incident.Scope) (bool, string) {
			return s.Planning || !s.Did("validated"), "everything was checked after the work"
		})),
		e.tellWindow("tell-completed", "completed", "Maintenance is over", "./scripts/notify-maintenance-complete.sh"),
	)
	zone := ""
	if e.Zone != nil {
		zone = e.Zone.String()
	}
	return incident.Playbook{
		Name: "maintenance-window", Environment: e.name(), Title: "Maintenance window", Severity: alert.Low, Lock: e.name() + "-maintenance", Timeout: 15 * 24 * time.Hour,
		About:  "Work on the application of which users are told before.",
		Source: "Maintenance Procedures, Maintenance Window Procedure",
		Parameters: []incident.Parameter{
			{Name: "start", About: "When it begins, by the clock of the zone: 2026-01-15 02:00"},
			{Name: "zone", About: "The zone by its name: Australia/Sydney. Abbreviations such as EST are refused: they are several", Default: zone},
			{Name: "length", About: "How long it is", Type: incident.Duration, Default: "4h", Min: "5m", Max: "24h"},
			{Name: "commit", About: "The version to deploy; none means the newest", Optional: true},
		},
		Needs:  []incident.Need{incident.Needs("Backups", e.Backups)},
		Phases: []incident.Phase{{Name: announce}, {Name: work}, {Name: after}},
		Steps:  steps, Escalation: "level 2, the development team",
	}
}

// agreedWindow is a step that reads when the window is.
func (e Environment) agreedWindow(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Note when it is", OnFailure: incident.Abort, Attempts: 1,
		Do: incident.Check{Run: func(_ context.Context, s *incident.Scope) (any, error) {
			zone, err := health.LoadZone(s.Text("zone"))
			if err != nil {
				return nil, incident.Final(err)
			}
			from, err := time.ParseInLocation("2006-01-02 15:04", s.Text("start"), zone)
			if err != nil {
				return nil, incident.Final(fmt.Errorf("%.40q is not a time as in 2026-01-15 02:00", s.Text("start")))
			}
			if from.Format("2006-01-02 15:04") != s.Text("start") {
				return nil, incident.Final(fmt.Errorf("there is no %s in %s: the clocks skip it", s.Text("start"), zone))
			}
			w := Window{From: from, To: from.Add(s.Duration("length"))}
			if !time.Now().Before(w.To) {
				return nil, incident.Final(fmt.Errorf("the window is over: it was until %s", w.To.Format(time.RFC3339)))
			}
			if time.Until(w.From) > 14*24*time.Hour {
				return nil, incident.Final(errors.New("the window is more than 14 days ahead; start this later"))
			}
			return w, nil
		}},
	}
}

// tellWindow is a notice for everyone about the window, with its times for status pages.
func (e Environment) tellWindow(id, status, title string, replaces ...string) incident.Step {
	s := replacing(e.tell(id, status, func(s *incident.Scope) incident.Message {
		w, _ := incident.Result[Window](s, "window")
		zone, err := health.LoadZone(s.Text("zone"))
		if err != nil {
			zone = time.UTC
		}
		return incident.Message{Title: title + " of " + e.name(), Text: fmt.Sprintf("From %s to %s (%s), %s. The application may not be available meanwhile.",
			w.From.In(zone).Format("Mon 2 Jan 2006 15:04 MST"), w.To.In(zone).Format("Mon 2 Jan 15:04 MST"), zone, ago(w.To.Sub(w.From)))}
	}), replaces...)
	do, _ := s.Do.(incident.Notice)
	do.Send = func(ctx context.Context, s *incident.Scope, m incident.Message) error {
		w, _ := incident.Result[Window](s, "window")
		return e.Tell(ctx, alert.Post{ID: cmp.Or(s.Incident, s.Run), Title: m.Title, Body: m.Text, Status: status, By: by(s), From: w.From, To: w.To, Last: status == "completed"})
	}
	s.Do = do
	return s
}

// insideWindow is a step that sees that there is still time: what was announced for a time
// is not done at another.
func (e Environment) insideWindow(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "See that the window is open", OnFailure: incident.Abort, Attempts: 1,
		Do: incident.Check{Run: func(_ context.Context, s *incident.Scope) (any, error) {
			w, ok := incident.Result[Window](s, "window")
			now := time.Now()
			switch {
			case s.Planning:
				return nil, nil
			case !ok || now.Before(w.From) || !now.Before(w.To):
				return nil, incident.Final(fmt.Errorf("the window is not open: it is from %s to %s", w.From.Format(time.RFC3339), w.To.Format(time.RFC3339)))
			}
			return nil, nil
		}},
	}
}

// deploymentsAfter is a look at the deployments after the update, for going back.
func (e Environment) deploymentsAfter(id string, when incident.Condition) incident.Step {
	return withWhen(e.deployments(id), when)
}
