package playbooks

import (
	"cmp"
	"fmt"
	"strings"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// CredentialCompromise is the playbook for a credential that somebody else may have: it is
// renewed, in the order in which the environment has them, so that nothing stops working;
// the old one is worthless at the end of it. Then all sessions are ended, since some may
// have been made with it. Whoever had it may have read personal data: unless a person says
// that there is none behind it, the time until which a notifiable breach has to be settled is
// put on the clock of the incident.
func CredentialCompromise(e Environment, desk SecurityDesk) incident.Playbook {
	d := e.Defaults.WithDefaults()
	const act, verify = "Renew", "Verify"
	names := []string{"all"}
	steps := []incident.Step{
		withPhase(act, desk.deadline("deadline", e)),
		desk.notify("tell-security", e, func(s *incident.Scope) incident.Message {
			return incident.Message{Title: "A credential of " + e.name() + " is compromised", Text: "It is being renewed: " + s.Text("credential") + ". All sessions are ended afterwards.\n" + e.notifyUntil(s)}
		}),
	}
	if desk.Preserve != nil {
		steps = append(steps, desk.preserve("preserve", e))
	}
	for _, r := range e.Rotations {
		names = append(names, r.Name)
		steps = append(steps, e.rotate(r, func(s *incident.Scope) (bool, string) {
			asked := s.Text("credential")
			return asked == "all" || asked == r.Name, "only " + asked + " is compromised"
		}))
	}
	steps = append(steps,
		withPhase(verify, e.endSessions("end-sessions")),
		well("well", "See that the application is well", d.Recover, d.Times, e.Probes.Application),
		well("canvas-works", "See that Canvas works with it", d.Recover, 1, e.Probes.Canvas),
		well("login-works", "See that users can sign in", d.Recover, 1, e.Probes.Login),
		replacing(look("security", "Look at failed sign-ins", e.Probes.Security), `curl -s "https://qa-automation.acu.edu.au/health/security-metrics"`),
		e.tell("tell-users", "resolved", func(*incident.Scope) incident.Message {
			return incident.Message{Title: "Please sign in again", Text: "For reasons of security all sessions were ended. Nothing that was saved is lost."}
		}),
		desk.notify("tell-renewed", e, func(s *incident.Scope) incident.Message { return renewedText(e, s) }),
		e.warn("tell-operators", func(s *incident.Scope) incident.Message { return renewedText(e, s) }),
	)
	return incident.Playbook{
		Name: "credential-compromise", Environment: e.name(), Title: "A credential is compromised", Severity: alert.Critical,
		About:  "A key, a token or a password of the application may be known to somebody else: it was in a log, in a repository, on a machine that was lost.",
		Source: "Security Incidents, Credential Compromise",
		Parameters: append([]incident.Parameter{
			{Name: "credential", About: "The name of the credential, or all", Default: "all", Choices: names}, sinceWhen(),
		}, aware()...),
		Needs:  append(desk.needs(e), incident.Need{Name: "Rotations", Met: len(e.Rotations) > 0}, incident.Needs("Deployer", e.Deployer)),
		Phases: []incident.Phase{{Name: act}, {Name: verify}},
		Steps:  steps, Escalation: "those who answer for security, and the IT director",
	}
}

// renewedText says which credentials were renewed, by name.
func renewedText(e Environment, s *incident.Scope) incident.Message {
	var done, half, left []string
	for _, r := range e.Rotations {
		switch worthless, begun := renewed(s, r.Name); {
		case worthless:
			done = append(done, r.Name)
		case begun:
			half = append(half, r.Name)
		default:
			left = append(left, r.Name)
		}
	}
	lines := []string{"Renewed: " + cmp.Or(strings.Join(done, ", "), "none"), "Left as they are: " + cmp.Or(strings.Join(left, ", "), "none")}
	if len(half) > 0 {
		lines = append(lines, "The old ones are NOT worthless yet, and whoever has them can use them: "+strings.Join(half, ", "))
	}
	if !s.Did("end-sessions") {
		lines = append(lines, "The sessions were NOT ended.")
	}
	if security := saw(s, "security"); !security.Missing {
		lines = append(lines, "Failed sign-ins: "+security.String())
	}
	if kept, ok := incident.Result[Preserved](s, "preserve"); ok {
		lines = append(lines, "Evidence: "+kept.String())
	}
	lines = append(lines, e.notifyUntil(s))
	return incident.Message{Title: fmt.Sprintf("Credentials of %s were renewed", e.name()), Text: strings.Join(lines, "\n")}
}
