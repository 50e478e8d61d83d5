package playbooks_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Requirement: RB-CREDENTIAL-CANVAS-KEY, RB-CREDENTIAL-APPLY, RB-CREDENTIAL-LOGOUT
func TestCredentialCompromise(t *testing.T) {
	const begin, end, beginKey, endKey, logout = "begin SECRET_KEY", "end SECRET_KEY", "begin CANVAS_PROD_PRIVATE_KEY", "end CANVAS_PROD_PRIVATE_KEY", "EndSessions 12"
	for name, c := range map[string]struct {
		world      func(h *securityHouse)
		parameters map[string]string
		answer     func(q incident.Question) incident.Answer
		want       incident.RunState
		does       []string
		letter     string
	}{
		"all of them, one after the other, and then the sessions": {
			does:   []string{"evidence", begin, "Redeploy d3", end, beginKey, "Redeploy d4", endKey, logout},
			letter: "Renewed: SECRET_KEY, CANVAS_PROD_PRIVATE_KEY\nLeft as they are: none",
		},
		"only the one that is compromised": {
			parameters: map[string]string{"credential": "SECRET_KEY"}, does: []string{"evidence", begin, "Redeploy d3", end, logout},
			letter: "Left as they are: CANVAS_PROD_PRIVATE_KEY",
		},
		"the old one works until the new one is proven": {
			world: func(h *securityHouse) { h.unproven["SECRET_KEY"] = true }, want: incident.StateFailed,
			does: []string{"evidence", begin, "Redeploy d3"},
		},
		"leaving out the proof keeps the old one": {
			world:  func(h *securityHouse) { h.unproven["SECRET_KEY"] = true },
			answer: saying("rotate-SECRET_KEY.prove", incident.AnswerSkip, nil), parameters: map[string]string{"credential": "SECRET_KEY"},
			does:   []string{"evidence", begin, "Redeploy d3", logout},
			letter: "Renewed: none\nLeft as they are: CANVAS_PROD_PRIVATE_KEY\nThe old ones are NOT worthless yet, and whoever has them can use them: SECRET_KEY",
		},
		"a deployment that fails ends it with both valid": {
			world: func(h *securityHouse) { h.platform.StartAs(incident.DeploymentFailed) }, want: incident.StateFailed,
			does: []string{"evidence", begin, "Redeploy d3"},
		},
		"sign-ins that do not work are not called good": {
			world: func(h *securityHouse) { h.say("login", down("status 401")) }, want: incident.StateFailed,
			parameters: map[string]string{"credential": "SECRET_KEY"}, does: []string{"evidence", begin, "Redeploy d3", end, logout},
		},
	} {
		t.Run(name, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newSecurityHouse(t)
					h.Defaults.Times, h.Defaults.Recover = 1, time.Minute
					if c.world != nil {
						c.world(h)
					}
					return incidenttest.PlaybookCase{
						Playbook: playbooks.CredentialCompromise(h.Environment, h.desk()), Effects: h.effects, Refused: h.platform.Refused, Parameters: c.parameters, Answer: c.answer,
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, c.does, h.effects(), stepsOf(run))
							assert.Contains(t, h.letter(), c.letter)
						},
					}
				},
				Repeatable: repeatable("evidence", begin, end, beginKey, endKey, "EndSessions 0"),
			})
		})
	}
}

func TestCredentialCompromiseNeedsRotations(t *testing.T) {
	err := playbooks.CredentialCompromise(playbooks.Environment{Name: "production"}, playbooks.SecurityDesk{}).Validate()
	assert.ErrorContains(t, err, "needs a Rotations")
	assert.ErrorContains(t, err, "needs a Sessions")
}
