package playbooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// LTIConfiguration is the playbook for launches that are refused: signatures that do not
// verify, nonces that are not taken, deep linking that leads nowhere. It diagnoses; if nonces
// are in the way it removes those whose time is over, and no other ones; it has people put
// right what is theirs, and diagnoses again.
func LTIConfiguration(e Environment) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const diagnose, act, verify = "Diagnosis", "Resolution", "Verification"
	return incident.Playbook{
		Name: "lti-configuration", Environment: e.name(), Title: "LTI configuration issues", Severity: alert.High, Timeout: d.outlasting(),
		About:  "Launches are refused: the signature of the token is not valid, the nonce is not taken, or deep linking does not work.",
		Source: "Canvas-Specific Issues, LTI Configuration Issues",
		Phases: []incident.Phase{{Name: diagnose, Budget: 10 * time.Minute}, {Name: act}, {Name: verify}},
		Steps: []incident.Step{
			{ID: "assess", Title: "Look at everything", Phase: diagnose, OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
				e.diagnosis("diagnosis"),
				e.developerKey("key"),
				look("login", "Launch the tool as a user does", e.Probes.Login),
				look("lti", "Look at the key set of the tool", e.Probes.LTI),
				look("health", "Look at the application", e.Probes.Application),
				look("canvas-host", "Look at Canvas", e.Probes.CanvasHost),
				look("canvas-status", "Look at what is said of Canvas", e.Probes.CanvasStatus),
				look("platform", "Look at what is said of the platform", e.Probes.Platform),
			}}},
			configurationFindings(),
			withPhase(act, withWhen(e.purge("purge-nonces"), noncesInTheWay)),
			withWhen(e.waitForOthers("wait-platform", d), decided("wait for the platform")),
			withWhen(e.waitForCanvas("wait-canvas"), decided("wait for Canvas")),
			putRight("put-right", "diagnosis"),
			withPhase(verify, e.configured("configured", d)),
			well("login-works", "See that a launch works", d.Recover, d.Times, e.Probes.Login),
			e.inform("inform", func(s *incident.Scope) incident.Message {
				v, _ := incident.Result[Decision](s, "decide")
				return incident.Message{Title: "Launches work", Text: "What was done: " + v.Action + ". " + v.Why}
			}),
		},
		Escalation: "level 2, the development team, for the tool; level 3, the Canvas administrator, for what Canvas has",
	}
}

// troubles are the sections of the procedure, and by what the ids of their findings begin.
var troubles = [...]struct {
	title string
	ids   []string
}{
	{"Invalid JWT signature", []string{"private_key", "previous_key", "key_", "kid_", "jwk", "client_id", "login_client_id", "algorithm", "token_"}},
	{"Nonce validation", []string{"nonce", "login_nonce", "clock", "state_"}},
	{"Deep linking", []string{"deep_link", "placement"}},
}

// trouble returns the section to which a finding belongs.
func trouble(id string) string {
	for _, t := range troubles {
		for _, begin := range t.ids {
			if strings.HasPrefix(id, begin) {
				return t.title
			}
		}
	}
	return "Registration and addresses"
}

// configurationFindings decides from the diagnosis.
func configurationFindings() incident.Step {
	return incident.Step{
		ID: "decide", Title: "Decide what to do", OnFailure: incident.Pause,
		Do: checkOf(func(s *incident.Scope) (any, error) {
			found, looked := incident.Result[Diagnosed](s, "diagnosis")
			key, keyRead := incident.Result[KeyFound](s, "key")
			login, app, platform := saw(s, "login"), saw(s, "health"), saw(s, "platform")
			away := canvasAway(s, "canvas-host", "canvas-status")
			switch {
			case platform.down() || platform.Status == health.Maintenance:
				return Decision{"wait for the platform", "the platform itself has a fault: " + platform.String()}, nil
			case app.down():
				return nil, fmt.Errorf("the application does not answer at all (%s): see the playbook application-down", app)
			case away != "":
				return Decision{"wait for Canvas", away + "; what cannot be asked says nothing about the configuration"}, nil
			case keyRead && (key.Missing || !key.On):
				return nil, errors.New("the developer key is off in Canvas, or gone: see the playbook canvas-authentication")
			case !looked:
				return nil, errors.New("the configuration could not be diagnosed")
			case len(found.Findings) > 0:
				return Decision{"put right", listed(found)}, nil
			case login.down() && aboutNonces(login.Message):
				return Decision{"remove old nonces", fmt.Sprintf("a launch is refused for its nonce (%s)%s", login, notSeen(found))}, nil
			case login.down():
				return nil, fmt.Errorf("a launch does not work (%s), and in the configuration nothing was found%s", login, notSeen(found))
			}
			return Decision{"nothing", fmt.Sprintf("%d things were looked at and are right%s", found.Right, notSeen(found))}, nil
		}),
	}
}

// listed says what was found, by the sections of the procedure.
func listed(d Diagnosed) string {
	var parts []string
	for _, f := range d.Findings {
		parts = append(parts, fmt.Sprintf("%s: %s (%s)", trouble(f.ID), f.Title, f.Likelihood))
	}
	return strings.Join(parts, "; ")
}

func notSeen(d Diagnosed) string {
	if len(d.NotChecked) == 0 {
		return ""
	}
	return "; not looked at: " + strings.Join(d.NotChecked, ", ")
}

// noncesInTheWay is the condition that a finding is about nonces, or a launch was refused for
// its own: what is right, and what is wrong elsewhere, is no reason to touch their store.
func noncesInTheWay(s *incident.Scope) (bool, string) {
	if needed, why := decided("put right", "remove old nonces")(s); !needed {
		return false, why
	}
	found, _ := incident.Result[Diagnosed](s, "diagnosis")
	about := slices.ContainsFunc(found.Findings, func(f incident.Finding) bool { return aboutNonces(f.ID) })
	return about || aboutNonces(saw(s, "login").Message), "nothing that was found is about nonces"
}

// aboutNonces reports whether the id of a finding, or what a launch was refused with, speaks
// of nonces.
func aboutNonces(text string) bool { return strings.Contains(strings.ToLower(text), "nonce") }

// purge is an action that removes nonces whose time is over. Live ones are never removed:
// the tokens that go with them could then be used again.
func (e Environment) purge(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Remove nonces whose time is over", OnFailure: incident.GoOn, Attempts: 3,
		When: func(*incident.Scope) (bool, string) { return e.Nonces != nil, "this environment keeps no nonces" },
		Do: incident.Action{
			Repeat: incident.Idempotent,
			Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
				removed, err := e.Nonces.PurgeExpired(ctx)
				return map[string]int{"removed": removed}, err
			},
			Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
				return incident.Effect{
					Call:    "remove the nonces of " + e.name() + " whose time is over",
					Changes: []string{"their store is smaller; live nonces stay, so that no token can be used again"},
				}, nil
			},
		},
	}
}

// configured is a step that diagnoses again, until nothing is found any more of which it
// is certain that it breaks launches.
func (e Environment) configured(id string, d Defaults) incident.Step {
	return incident.Step{
		ID: id, Title: "See that the configuration is right", Needs: []incident.Need{incident.Needs("Doctor", e.Doctor)}, Timeout: 2 * time.Minute,
		Do: incident.Verify{Within: d.Recover, Every: 30 * time.Second, Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			found, err := e.Doctor.Diagnose(ctx)
			if err != nil {
				return nil, err
			}
			kept := diagnosed(found)
			if certain := kept.certain(); len(certain) > 0 {
				return nil, errors.New("it is still so: " + listed(Diagnosed{Findings: certain}))
			}
			return kept, nil
		}},
	}
}
