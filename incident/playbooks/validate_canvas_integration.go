package playbooks

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// ValidateCanvasIntegration is the playbook that proves that the application works with
// Canvas: that Canvas can be reached and answers the application, that the credentials are
// those that Canvas has and are in use, and that the endpoints of the tool are served. It
// changes nothing. It ends as failed if something does not work or could not be proven, and
// says when that is because of Canvas and not of us.
func ValidateCanvasIntegration(e Environment) incident.Playbook {
	return incident.Playbook{
		Name: "validate-canvas-integration", Environment: e.name(), Title: "Validate the Canvas integration", Severity: alert.Medium, Lock: e.name() + "-validation",
		About:  "After a rollback, a restart, a rotation of credentials or a recovery, and whenever it is in doubt.",
		Source: "Incident Response Playbooks, Resolution Verification",
		Needs: []incident.Need{
			incident.Needs("probe of Canvas", e.Probes.Canvas), incident.Needs("probe of the LTI endpoints", e.Probes.LTI),
			{Name: "Doctor, PlatformKeys with a Key, or probe of Login, to prove the credentials", Met: e.Doctor != nil || e.PlatformKeys != nil && e.Key != "" || e.Probes.Login != nil},
		},
		Steps: []incident.Step{
			{ID: "look", Title: "Look at all parts of the integration", OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: e.canvasLooks()}},
			{
				ID: "judge", Title: "See what is proven", OnFailure: incident.GoOn, Replaces: []string{"./scripts/validate-canvas-integration.sh " + e.name()},
				Do: checkOf(func(s *incident.Scope) (any, error) { return canvasIntegration(s), nil }),
			},
			concluding("proven", "judge"),
		},
		Escalation: "the playbook canvas-authentication, or level 3, Canvas support, if it is Canvas",
	}
}

// canvasLooks are the looks at all parts of the integration.
func (e Environment) canvasLooks() []incident.Step {
	login := look("login", "Launch the tool as a user does", e.Probes.Login)
	login.Timeout = time.Minute
	return []incident.Step{
		look("canvas-host", "Look at Canvas", e.Probes.CanvasHost),
		look("canvas-status", "Look at what is said of Canvas", e.Probes.CanvasStatus),
		look("canvas", "Look at Canvas through the application", e.Probes.Canvas),
		look("lti", "Look at the endpoints of the tool, and its key set", e.Probes.LTI),
		e.developerKey("key"), e.diagnosisIfAny("diagnosis"), login,
	}
}

// diagnosisIfAny is the diagnosis, left out where there is no doctor.
func (e Environment) diagnosisIfAny(id string) incident.Step {
	return optional(withWhen(e.diagnosis(id), func(*incident.Scope) (bool, string) { return e.Doctor != nil, "this environment has no doctor" }))
}

// canvasIntegration puts together what is proven.
func canvasIntegration(s *incident.Scope) (r Routine) {
	if why := canvasAway(s, "canvas-host", "canvas-status"); why != "" {
		r.Problems = append(r.Problems, "it is Canvas, and not us; validate again when it is back: "+why)
	}
	r.add("connectivity", looked(s, "canvas"))
	r.add("Canvas itself", looked(s, "canvas-host"))
	r.add("LTI endpoints", looked(s, "lti"))
	r.add("a launch", looked(s, "login"))
	r.addKey(s)
	r.addDiagnosis(s)
	return r
}

// addKey puts the developer key into its list.
func (r *Routine) addKey(s *incident.Scope) {
	k, ok := incident.Result[KeyFound](s, "key")
	switch {
	case r.without(s, "developer key", "key", ok):
	case k.Missing:
		r.Problems = append(r.Problems, "developer key: Canvas has no such key")
	case !k.On || k.Reason != "":
		r.Problems = append(r.Problems, "developer key: "+cmp.Or(k.Reason, "it is switched off in Canvas"))
	default:
		r.Well = append(r.Well, "developer key: it is on")
	}
}

// addDiagnosis puts what the doctor found into the lists: what is certain is a problem,
// what is possible is to be watched.
func (r *Routine) addDiagnosis(s *incident.Scope) {
	d, ok := incident.Result[Diagnosed](s, "diagnosis")
	if r.without(s, "diagnosis", "diagnosis", ok) {
		return
	}
	certain := d.certain()
	for _, f := range certain {
		r.Problems = append(r.Problems, strings.TrimSuffix("diagnosis: "+f.Title+". "+f.Remedy, ". "))
	}
	if n := len(d.Findings) + d.More - len(certain); n > 0 {
		r.Watch = append(r.Watch, fmt.Sprintf("diagnosis: %d findings of which it is not certain that they matter", n))
	}
	if len(d.Findings) == 0 && d.Right > 0 {
		r.Well = append(r.Well, fmt.Sprintf("diagnosis: %d things are right", d.Right))
	}
	for _, n := range d.NotChecked {
		r.Missing = append(r.Missing, "diagnosis: "+n)
	}
}
