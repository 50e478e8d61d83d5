package playbooks

import (
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// ComprehensiveCheck is the playbook that makes every check of an environment once, now:
// all probes, the diagnosis of the LTI configuration, the developer key, the rate limit of
// Canvas, the deployments and the backups. It changes nothing. It ends as failed if
// something of ours does not work or could not be looked at; what others have wrong with
// them is named, and is no failure of ours.
func ComprehensiveCheck(e Environment) incident.Playbook {
	return incident.Playbook{
		Name: "comprehensive-check", Environment: e.name(), Title: "Comprehensive health check", Severity: alert.Medium, Lock: e.name() + "-comprehensive",
		About:  "After maintenance, before something large, and whenever somebody wants to know.",
		Source: "Maintenance Procedures, Maintenance Window Procedure",
		Steps: []incident.Step{
			{
				ID: "look", Title: "Make every check", OnFailure: incident.GoOn, Replaces: []string{"./scripts/comprehensive-health-check.sh " + e.name()},
				Do: incident.Parallel{Collect: true, Steps: e.allLooks()},
			},
			{ID: "judge", Title: "See what is well and what is not", OnFailure: incident.GoOn, Do: checkOf(func(s *incident.Scope) (any, error) { return e.comprehensive(s), nil })},
			concluding("as-it-should-be", "judge"),
		},
		Escalation: "the playbook of what is not well",
	}
}

// stepName makes of the name of a probe the id of its step.
func stepName(probe string) string { return strings.ReplaceAll(probe, " ", "-") }

// others returns the probes of what others run, with their names.
func (p Probes) others() []named {
	return []named{{"canvas host", p.CanvasHost}, {"canvas status", p.CanvasStatus}, {"rate limits", p.RateLimits}, {"platform", p.Platform}}
}

// allLooks are all looks at an environment.
func (e Environment) allLooks() []incident.Step {
	steps := []incident.Step{}
	for _, p := range append(e.Probes.all(), e.Probes.others()...) {
		step := look(stepName(p.name), "Look at: "+p.name, p.prober)
		if p.name == "task" {
			step.Timeout = 2*e.Defaults.WithDefaults().SlowTask + time.Minute
			step.When = func(s *incident.Scope) (bool, string) { return !s.Planning, "a plan runs no task" }
		}
		steps = append(steps, step)
	}
	deployments := optional(withWhen(e.deployments("deployments"), func(*incident.Scope) (bool, string) { return e.Deployer != nil, "this environment deploys nothing" }))
	return append(steps, e.diagnosisIfAny("diagnosis"), e.developerKey("key"), e.quotaLook("quota"), deployments, e.lookBackups("backups"))
}

// comprehensive puts together what all looks found.
func (e Environment) comprehensive(s *incident.Scope) (r Routine) {
	d := e.Defaults.WithDefaults()
	for _, p := range e.Probes.all() {
		switch {
		case p.name == "activity":
			r.addActivity(p.name, looked(s, p.name), d)
		case p.name == "task" && s.Planning:
		default:
			r.add(p.name, looked(s, stepName(p.name)))
		}
	}
	for _, p := range e.Probes.others() {
		var theirs Routine
		theirs.add(p.name, looked(s, stepName(p.name)))
		r.Watch = append(append(append(r.Watch, theirs.Problems...), theirs.Unknown...), theirs.Watch...)
		r.Well, r.Missing = append(r.Well, theirs.Well...), append(r.Missing, theirs.Missing...)
	}
	r.addKey(s)
	r.addDiagnosis(s)
	r.addQuota(s)
	r.addDeployment(s)
	r.addBackups(s, d)
	return r
}

func (r *Routine) addQuota(s *incident.Scope) {
	q, ok := incident.Result[QuotaFound](s, "quota")
	switch {
	case r.without(s, "rate limit of Canvas", "quota", ok):
	case q.Throttled:
		r.Problems = append(r.Problems, "rate limit of Canvas: "+q.String())
	default:
		r.Well = append(r.Well, "rate limit of Canvas: "+q.short())
	}
}

func (r *Routine) addDeployment(s *incident.Scope) {
	d, ok := incident.Result[Deployments](s, "deployments")
	switch {
	case r.without(s, "deployment", "deployments", ok):
	case d.Current == nil:
		r.Problems = append(r.Problems, "deployment: none runs; "+lastDeployment(d))
	case len(d.Newest) > 0 && d.Newest[0].ID != d.Current.ID && !d.Newest[0].Status.Deployed():
		r.Watch = append(r.Watch, fmt.Sprintf("deployment: %s runs, and %s", described(*d.Current), lastDeployment(d)))
	default:
		r.Well = append(r.Well, "deployment: "+described(*d.Current)+" runs")
	}
}

func (r *Routine) addBackups(s *incident.Scope, d Defaults) {
	b, ok := incident.Result[Backlist](s, "backups")
	switch {
	case r.without(s, "backups", "backups", ok):
	case len(b.Backups) == 0:
		r.Problems = append(r.Problems, "backups: there is none")
	case b.At.Sub(b.Backups[0].Created) > d.BackupAge:
		r.Problems = append(r.Problems, fmt.Sprintf("backups: %s, which is more than %s", b.newest(), ago(d.BackupAge)))
	default:
		r.Well = append(r.Well, "backups: "+b.newest())
	}
}
