package playbooks_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Requirement: RB-CANVAS-COMPROMISE-DISABLE, RB-CANVAS-COMPROMISE-GENERATE, RB-CANVAS-COMPROMISE-UPDATE
// Requirement: RB-CANVAS-COMPROMISE-NOTIFY, RB-CANVAS-COMPROMISE-AUDIT
func TestCanvasAccountCompromise(t *testing.T) {
	const off, begin, end = "key 42 off", "begin CANVAS_PROD_PRIVATE_KEY", "end CANVAS_PROD_PRIVATE_KEY"
	made := saying("new-key", incident.AnswerDone, map[string]string{"client_id": "43"})
	rest := []string{"SetVariables CANVAS_PROD_CLIENT_ID", "Redeploy d3", begin, "Redeploy d4", end, "EndSessions 12"}
	all := append([]string{"evidence", off}, rest...)
	for name, c := range map[string]struct {
		world  func(h *securityHouse)
		answer func(q incident.Question) incident.Answer
		want   incident.RunState
		does   []string
		letter []string
	}{
		"evidence is there before anything is changed, and the old key is off before anything is renewed": {
			answer: made, does: all,
			letter: []string{
				"developer key 42 is off. The new client id is 43", "63 events", "203.0.113.9", "is to be settled within 30 days",
				"Page views: 3 requests of 2 users; addresses that were not there before: 203.0.113.66, which asked for /api/v1/accounts/1/users (2)",
			},
		},
		"evidence that cannot be had keeps nobody from it": {
			world:  func(h *securityHouse) { h.noEvidence = errors.New("the vault is away") },
			answer: made, does: append([]string{off}, rest...), letter: []string{"Evidence could NOT be preserved before the change: the vault is away"},
		},
		"a key that is off already needs nobody's approval": {
			world: func(h *securityHouse) { h.keys.Add(incident.PlatformKey{ID: "42", Name: "QA tool"}) }, answer: made, does: append([]string{"evidence"}, rest...),
		},
		"somebody says no": {
			answer: saying("approve", incident.AnswerDeny, nil), want: incident.StateFailed, does: []string{"evidence"},
		},
		"nobody answers": {
			answer: func(incident.Question) incident.Answer { return incident.Answer{} }, want: incident.StateFailed, does: []string{"evidence"},
		},
		"a new key that nobody names is no new key": {
			want: incident.StateFailed, does: []string{"evidence", off},
		},
		"the old id is no new key either": {
			answer: saying("new-key", incident.AnswerDone, map[string]string{"client_id": "42"}), want: incident.StateFailed, does: []string{"evidence", off},
		},
		"an old key that is on again is not good": {
			world: func(h *securityHouse) {
				ends := h.Rotations[1].End
				h.Rotations[1].End = func(ctx context.Context) error {
					h.keys.Add(incident.PlatformKey{ID: "42", Name: "QA tool", On: true})
					return ends(ctx)
				}
			},
			answer: made, want: incident.StateFailed, does: all,
		},
		"nor is it called off when a person goes on with that": {
			world: func(h *securityHouse) {
				ends := h.Rotations[1].End
				h.Rotations[1].End = func(ctx context.Context) error {
					h.keys.Add(incident.PlatformKey{ID: "42", Name: "QA tool", On: true})
					return ends(ctx)
				}
			},
			answer: func(q incident.Question) incident.Answer {
				if q.Step == "still-off" {
					return incident.Answer{Kind: incident.AnswerSkip, Actor: "kim", Comment: "it is being looked into"}
				}
				return made(q)
			},
			does: all, letter: []string{"The old developer key 42 was NOT seen to be off."},
		},
		"a switch that Canvas refuses is for a person": {
			world: func(h *securityHouse) { h.refused = true }, want: incident.StateFailed, does: []string{"evidence"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newSecurityHouse(t)
					h.Defaults.Times, h.Defaults.Recover = 1, time.Minute
					h.platform.Configure(map[string]string{"CANVAS_PROD_CLIENT_ID": "42"})
					h.from = len(h.platform.Effects())
					now := time.Now()
					for i, address := range []string{"10.0.0.1", "203.0.113.66", "203.0.113.66"} {
						h.audit.Add(incident.AuditEvent{
							ID: fmt.Sprint("view ", i), Time: now.Add(-time.Hour - time.Duration(1-min(i, 1))*40*time.Hour), Kind: incident.AuditRequest, Action: "GET", Actor: "self",
							Object: []string{"/api/v1/courses", "/api/v1/accounts/1/users"}[min(i, 1)], Source: "QA tool", Address: address,
						})
					}
					if c.world != nil {
						c.world(h)
					}
					canvas := playbooks.CanvasCredentials{ClientID: "CANVAS_PROD_CLIENT_ID", Rotations: []string{"CANVAS_PROD_PRIVATE_KEY"}}
					return incidenttest.PlaybookCase{
						Playbook: playbooks.CanvasAccountCompromise(h.Environment, h.desk(), canvas), Effects: h.effects, Refused: h.platform.Refused, Answer: c.answer,
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, c.does, h.effects(), stepsOf(run))
							for _, text := range c.letter {
								assert.Contains(t, h.letter(), text)
							}
							if c.want == "" {
								assert.Contains(t, h.mails, "draft to the administrators of Canvas: A developer key of ours is compromised")
							}
						},
					}
				},
				Repeatable: repeatable("evidence", begin, end, off, "SetVariables CANVAS_PROD_CLIENT_ID", "EndSessions 0"),
			})
		})
	}
}
