package playbooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// CanvasAuthentication is the playbook for launches that fail and for a Canvas that
// answers 401. It finds out first whose fault it is: Canvas is away, the developer key is
// off or gone, the configuration is wrong, or the tokens that the application holds are
// worthless. Only the last is mended by a restart. It ends with a launch, made as a user
// makes it.
func CanvasAuthentication(e Environment) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const diagnose, act, verify = "Diagnosis", "Resolution", "Verification"
	return incident.Playbook{
		Name: "canvas-authentication", Environment: e.name(), Title: "Canvas authentication failure", Severity: alert.Critical, Timeout: d.outlasting(),
		About:  "LTI launches fail, or Canvas answers 401 to the application.",
		Source: "Incident Response Playbooks, 2. Canvas Authentication Failure",
		Needs:  []incident.Need{incident.Needs("probe of a login", e.Probes.Login)},
		Phases: []incident.Phase{{Name: diagnose, Budget: 10 * time.Minute}, {Name: act}, {Name: verify}},
		Steps: []incident.Step{
			{ID: "assess", Title: "Look at everything, and tell people", Phase: diagnose, OnFailure: incident.GoOn, Do: incident.Parallel{Collect: true, Steps: []incident.Step{
				e.tell("tell-investigating", "investigating", func(*incident.Scope) incident.Message {
					return incident.Message{Title: "Signing in from Canvas does not work", Text: "We are looking into it."}
				}),
				look("login", "Launch the tool as a user does", e.Probes.Login),
				look("health", "Look at the application", e.Probes.Application),
				replacing(look("canvas", "Look at Canvas through the application", e.Probes.Canvas), `curl -s "https://qa-automation.acu.edu.au/health/canvas?instance=prod"`),
				replacing(look("lti", "Look at the key set of the tool", e.Probes.LTI), `curl -f "https://qa-automation.acu.edu.au/.well-known/jwks.json"`),
				look("canvas-host", "Look at Canvas", e.Probes.CanvasHost),
				look("canvas-status", "Look at what is said of Canvas", e.Probes.CanvasStatus),
				look("platform", "Look at what is said of the platform", e.Probes.Platform),
				e.developerKey("key"),
				e.diagnosis("diagnosis"),
			}}},
			authenticationDecision(),
			withPhase(act, withWhen(e.waitForOthers("wait-platform", d), decided("wait for the platform"))),
			withWhen(e.waitForCanvas("wait-canvas"), decided("wait for Canvas")),
			e.approveKey("approve-key", d),
			withWhen(e.switchOn("switch-on"), decided("switch the key on")),
			putRight("put-right", "diagnosis"),
			withWhen(restart("restart", "Restart the application, so that it fetches its tokens anew", e.Deployer, "railway restart --environment production"), decided("restart")),
			{ID: "settle", Title: "Let it start", When: decided("restart"), Do: incident.Sleep{For: d.Settle}},
			withPhase(verify, well("login-works", "See that a launch works", d.Recover, d.Times, e.Probes.Login)),
			replacing(well("canvas-works", "See that Canvas works with the application", d.Recover, 1, e.Probes.Canvas), "./scripts/validate-canvas-integration.sh production"),
			well("keys-served", "See that the tool serves its keys", d.Recover, 1, e.Probes.LTI),
			e.tell("tell-resolved", "resolved", func(s *incident.Scope) incident.Message {
				v, _ := incident.Result[Decision](s, "decide")
				return incident.Message{Title: "Signing in from Canvas works again", Text: "What was done: " + v.Action + ". " + v.Why}
			}),
		},
		Escalation: "level 3, the Canvas administrator and Canvas support, if a launch does not work 15 minutes after it was noticed; level 2 for the configuration of the tool",
	}
}

// authenticationDecision decides whose fault it is.
func authenticationDecision() incident.Step {
	return incident.Step{
		ID: "decide", Title: "Decide what to do", OnFailure: incident.Pause,
		Do: checkOf(func(s *incident.Scope) (any, error) {
			login, canvas, app, platform := saw(s, "login"), saw(s, "canvas"), saw(s, "health"), saw(s, "platform")
			away := canvasAway(s, "canvas-host", "canvas-status")
			switch {
			case login.fine() && (canvas.fine() || canvas.Missing):
				return Decision{"nothing", "a launch works, and the application works with Canvas"}, nil
			case platform.down() || platform.Status == health.Maintenance:
				return Decision{"wait for the platform", "the platform itself has a fault, which nothing here mends: " + platform.String()}, nil
			case app.down():
				return nil, fmt.Errorf("the application does not answer at all (%s): see the playbook application-down", app)
			case away != "":
				return Decision{"wait for Canvas", away + "; keys and tokens are not to be touched for that"}, nil
			case app.Status == health.Maintenance || canvas.Status == health.Maintenance:
				return nil, errors.New("the application leaves Canvas alone, and Canvas works: its maintenance mode was left on; see the playbook canvas-maintenance")
			case login.Status == health.Unknown:
				return nil, fmt.Errorf("whether a launch works could not be seen: %s", login)
			}
			return configurationDecision(s)
		}),
	}
}

// configurationDecision decides what to do when application, platform and Canvas are up
// and launches fail.
func configurationDecision(s *incident.Scope) (any, error) {
	key, keyRead := incident.Result[KeyFound](s, "key")
	found, looked := incident.Result[Diagnosed](s, "diagnosis")
	if keyRead && key.Missing {
		return nil, errors.New("there is no developer key of this id in Canvas: it was deleted, or this instance was overwritten by a copy of production; have it made again in Canvas, and set its client id")
	}
	if keyRead && !key.On {
		if key.Reason != "" {
			return Decision{"put right", "the developer key does not work, and its switch does not change that: " + key.Reason}, nil
		}
		return Decision{"switch the key on", fmt.Sprintf("the developer key %s is switched off in Canvas%s", key.Name, lastUsed(key))}, nil
	}
	if certain := found.certain(); len(certain) > 0 {
		var titles []string
		for _, f := range certain {
			titles = append(titles, f.Title)
		}
		return Decision{"put right", "a restart mends no configuration: " + strings.Join(titles, "; ")}, nil
	}
	if !looked {
		return nil, fmt.Errorf("launches fail (%s), and the LTI configuration could not be diagnosed", saw(s, "login"))
	}
	why := "Canvas is up, and nothing certain is wrong with keys, client id and addresses: what is left are the tokens that the application holds"
	if o, asked := s.Outcome("key"); asked && o.Status == incident.Failed {
		why += "; the developer key could not be read: " + cut(o.Message, 200)
	}
	if len(found.Findings) > 0 {
		why += "; if it does not help, see: " + found.Findings[0].Title
	}
	return Decision{"restart", why}, nil
}

func lastUsed(k KeyFound) string {
	if k.LastUsed.IsZero() {
		return ""
	}
	return ", last used " + k.LastUsed.UTC().Format(time.DateTime) + " UTC"
}

// approveKey asks whether to switch a key on: whoever switched it off may have had a
// reason.
func (e Environment) approveKey(id string, d Defaults) incident.Step {
	return incident.Step{
		ID: id, Title: "Approve that the developer key is switched on", When: decided("switch the key on"),
		Do: incident.Approve{Bound: true, Within: d.Approve, Question: func(s *incident.Scope) string {
			v, _ := incident.Result[Decision](s, "decide")
			return v.Why + ". Find out who switched it off, and why: a key that was compromised stays off. Switch it on?"
		}},
	}
}

// switchOn is an action that switches the developer key on. Twice is the same as once.
func (e Environment) switchOn(id string) incident.Step {
	set := func(on bool) incident.Func {
		return func(ctx context.Context, _ *incident.Scope) (any, error) {
			k, err := e.PlatformKeys.SetPlatformKey(ctx, e.Key, on)
			switch {
			case err != nil || k.On == on:
			case on:
				err = incident.Final(errors.New("it was switched on, and does not work: " + cmp.Or(k.Reason, "Canvas does not say why")))
			default:
				err = errors.New("it was to be switched off, and still works")
			}
			return KeyFound{On: k.On, Reason: k.Reason, Name: k.Name, LastUsed: k.LastUsed}, err
		}
	}
	return incident.Step{
		ID: id, Title: "Switch the developer key on", Attempts: 3,
		Do: incident.Action{
			Repeat: incident.Idempotent, Run: set(true), Undo: set(false), Undoes: "Switch it off again",
			Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
				return incident.Effect{
					Call: "switch developer key " + e.Key + " on in Canvas", Undo: "switch it off",
					Changes: []string{"Canvas launches the tool, and issues tokens to it"},
				}, nil
			},
		},
	}
}

// putRight is what people do about a configuration that is wrong: the keys and the
// settings of Canvas are theirs.
func putRight(id, diagnosis string) incident.Step {
	return incident.Step{
		ID: id, Title: "Put the configuration right", When: decided("put right"),
		Do: incident.Manual{
			Why: "what Canvas has of the tool is changed by those who administer it",
			Instruction: func(s *incident.Scope) string {
				v, _ := incident.Result[Decision](s, "decide")
				found, _ := incident.Result[Diagnosed](s, diagnosis)
				lines := []string{v.Why}
				for _, f := range found.Findings {
					lines = append(lines, fmt.Sprintf("- %s (%s). %s", f.Title, f.Likelihood, f.Remedy))
				}
				for _, n := range found.NotChecked {
					lines = append(lines, "- not looked at: "+n)
				}
				return strings.Join(append(lines, "What a variable changes reaches the application only by a deployment; a restart applies nothing."), "\n")
			},
		},
	}
}
