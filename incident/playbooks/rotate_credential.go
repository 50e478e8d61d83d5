package playbooks

import (
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// RotateCredential renews one of Environment.Rotations, that which the parameter credential
// names: the procedure for every day, in the steps by which [CredentialCompromise] and
// [MonthlyChecklist] renew. Before the old one is made worthless the application is seen to be
// well, and somebody else approves it; until then the old one works, also if that is denied.
//
// It is not part of [All], since the runbook has no such heading; a host adds it.
func RotateCredential(e Environment) incident.Playbook {
	d := e.Defaults.WithDefaults()
	p := incident.Playbook{
		Name: "rotate", Environment: e.name(), Title: "Renew a credential", Severity: alert.Medium, Timeout: 3 * time.Hour,
		About: "The old one works until the new one is proven, and ends when somebody else has approved that.",
		Needs: []incident.Need{
			incident.Needs("Deployer", e.Deployer), incident.Needs("Probes.Application", e.Probes.Application), {Name: "Rotations", Met: len(e.Rotations) > 0},
		},
		Parameters: []incident.Parameter{{Name: "credential", About: "Which one."}},
	}
	for _, r := range e.Rotations {
		p.Parameters[0].Choices = append(p.Parameters[0].Choices, r.Name)
		p.Steps = append(p.Steps, e.rotate(r, func(s *incident.Scope) (bool, string) {
			return s.Text("credential") == r.Name, "it is " + s.Text("credential") + " that is renewed"
		}, well("well", "See that the application is well", d.Recover, d.Times, e.Probes.Application), approveEnd(r)))
	}
	return p
}

// approveEnd asks somebody else before an old credential is made worthless.
func approveEnd(r Rotation) incident.Step {
	return incident.Step{ID: "approve", Title: "Make the old " + r.Name + " worthless?", Do: incident.Approve{Within: time.Hour, Question: func(s *incident.Scope) string {
		is := "the application is well"
		if !s.Did("well") {
			is = "it was not seen that the application is well"
		}
		return "The new " + r.Name + " is in use, and " + is + ". Whatever still uses the old one stops working."
	}}}
}
