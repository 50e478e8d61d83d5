package playbooks_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// One credential is renewed, and no other one. The old one ends when the new one is proven,
// the application is seen to be well, and somebody else has approved it.
func TestRotateCredential(t *testing.T) {
	const begin, deploy, end = "begin SECRET_KEY", "Redeploy d4", "end SECRET_KEY"
	for name, c := range map[string]struct {
		world      func(h *dataHouse)
		credential string
		answer     func(q incident.Question) incident.Answer
		want       incident.RunState
		does       []string
		step, says string
	}{
		"it is renewed": {does: []string{begin, deploy, end}, step: "approve", says: "approved by kim"},
		"the other one is left alone": {
			credential: "YOUNG", does: []string{"begin YOUNG", deploy, "end YOUNG"}, step: "begin", says: "it is YOUNG that is renewed",
		},
		"somebody says no, and both are valid": {
			answer: saying("rotate-SECRET_KEY.approve", incident.AnswerDeny, nil), want: incident.StateFailed, does: []string{begin, deploy}, step: "approve", says: "denied by kim",
		},
		"one that is not proven to be in use takes nothing away": {
			world: func(h *dataHouse) {
				h.Rotations[0].Prove = func(context.Context) error { return errors.New("the old one signs") }
			},
			want: incident.StateFailed, does: []string{begin, deploy}, step: "prove", says: "the old one signs",
		},
		"an application that is not well with it keeps the old one": {
			world: func(h *dataHouse) { h.say("application", down("status 500")) },
			want:  incident.StateFailed, does: []string{begin, deploy}, step: "well", says: "status 500",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want, Repeatable: repeatable(begin, end, "begin YOUNG", "end YOUNG"),
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newDataHouse(t)
					h.Defaults.Times = 1
					h.Rotations = []playbooks.Rotation{h.ageing("SECRET_KEY", 100), h.ageing("YOUNG", 3)}
					if c.world != nil {
						c.world(h)
					}
					credential := "SECRET_KEY"
					if c.credential != "" {
						credential = c.credential
					}
					return incidenttest.PlaybookCase{
						Playbook: playbooks.RotateCredential(h.Environment), Parameters: map[string]string{"credential": credential}, Answer: c.answer,
						Effects: h.effects, Refused: h.platform.Refused,
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, c.does, h.effects(), stepsOf(run))
							assert.Contains(t, run.Step("rotate-SECRET_KEY."+c.step).Message, c.says)
						},
					}
				},
			})
		})
	}
}
