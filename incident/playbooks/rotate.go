package playbooks

import (
	"context"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// rotate is a step that renews one credential: the new one works beside the old one, the
// application gets it, it is proven to be in use, and only then the old one is made
// worthless. It is a playbook within. Steps before that end are made only for what is proven.
func (e Environment) rotate(r Rotation, when incident.Condition, before ...incident.Step) incident.Step {
	title := "Renew " + r.Name
	proven := func(s *incident.Scope) (bool, string) {
		return s.Did("prove"), "the new one is not proven to be in use, and without the old one nothing might work"
	}
	begin := incident.Step{
		ID: "begin", Title: "Make the new " + r.Name + " valid beside the old one", Attempts: 3, Replaces: replacedBy(r.Name, e.name()),
		Do: incident.Action{
			Repeat: incident.Idempotent, Run: silent(r.Begin),
			Preview: effect(incident.Effect{Call: "make a new " + r.Name + " for " + e.name(), Changes: []string{"the new one is valid, and so is the old one"}}),
		},
	}
	steps := []incident.Step{begin}
	if r.Redeploys {
		steps = append(steps, replacing(e.redeploy("deploy", "Deploy, so that the application gets it"), "railway restart --environment "+e.name()))
	}
	steps = append(steps, incident.Step{ID: "prove", Title: "See that the new one is in use", Do: incident.Verify{
		Within: e.Defaults.WithDefaults().Recover, Run: silent(r.Prove),
	}})
	for _, s := range before {
		steps = append(steps, withWhen(s, proven))
	}
	steps = append(steps,
		incident.Step{
			ID: "end", Title: "Make the old one worthless", When: proven, Attempts: 3, Timeout: 15 * time.Minute,
			Do: incident.Action{
				Repeat: incident.Idempotent, Run: silent(r.End),
				Preview: effect(incident.Effect{
					Call: "end the old " + r.Name + " of " + e.name(), Changes: []string{"only the new one is valid"}, Destroys: []string{"the old " + r.Name + ": who still uses it is shut out"},
				}),
			},
		})
	return incident.Step{
		ID: "rotate-" + r.Name, Title: title, About: strings.TrimSpace(r.About + " " + owned(r.Owner)), When: when, OnFailure: incident.Abort,
		Do: incident.Sub{Playbook: incident.Playbook{Name: "rotate", Environment: e.name(), Title: title, Severity: alert.Critical, Steps: steps}},
	}
}

// renewed reports how far a credential was renewed in this run: whether the old one is
// worthless, and whether there is a new one at all.
func renewed(s *incident.Scope, name string) (worthless, renewed bool) {
	return s.Did("rotate-" + name + ".end"), s.Did("rotate-" + name + ".begin")
}

func owned(owner string) string {
	if owner == "" {
		return ""
	}
	return "Owner: " + owner + "."
}

// silent makes a func of a rotation one of a step. It has no output: what it handles is
// secret.
func silent(run func(ctx context.Context) error) incident.Func {
	return func(ctx context.Context, _ *incident.Scope) (any, error) { return nil, run(ctx) }
}

// effect is a preview that is always the same.
func effect(e incident.Effect) func(context.Context, *incident.Scope) (incident.Effect, error) {
	return func(context.Context, *incident.Scope) (incident.Effect, error) { return e, nil }
}

// replacedBy are the commands of the written procedure that renewing a credential
// replaces.
func replacedBy(name, environment string) []string {
	switch {
	case name == "SECRET_KEY":
		return []string{`railway variables set SECRET_KEY="$(openssl rand -base64 32)" --environment ` + environment}
	case strings.HasPrefix(name, "CANVAS_") && strings.HasSuffix(name, "_PRIVATE_KEY"):
		return []string{"railway variables set " + name + `="new_base64_encoded_key" --environment ` + environment}
	}
	return nil
}

// ages is a step that reads how old the credentials are.
func (e Environment) ages(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "See how old the credentials are", Timeout: time.Minute, OnFailure: incident.GoOn,
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			all := make([]CredentialAge, 0, len(e.Rotations))
			for _, r := range e.Rotations {
				found := CredentialAge{Name: r.Name, Owner: r.Owner, Unknown: "this environment cannot tell"}
				if r.Age != nil {
					age, err := r.Age(ctx)
					found.Age, found.Unknown = age, ""
					if err != nil {
						found.Unknown = err.Error()
					}
				}
				found.Old = found.Unknown == "" && found.Age > e.Defaults.WithDefaults().CredentialAge
				all = append(all, found)
			}
			return all, nil
		}},
	}
}

// CredentialAge is how old a credential is.
type CredentialAge struct {
	// Name is that of the credential, Owner who answers for it, if that is known. Age is how
	// old it is; Unknown says why that is not known.
	Name    string        `json:"name"`
	Owner   string        `json:"owner,omitempty"`
	Age     time.Duration `json:"age,omitempty"`
	Unknown string        `json:"unknown,omitempty"`
	// Old means that it is older than it may be.
	Old bool `json:"old,omitempty"`
}
