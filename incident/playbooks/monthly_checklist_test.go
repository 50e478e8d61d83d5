package playbooks_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Requirement: RB-MONTHLY-SECURITY, RB-MONTHLY-DEPENDENCIES, RB-MONTHLY-SECRETS, RB-MONTHLY-BACKUP
// Requirement: RB-MONTHLY-PERFORMANCE, RB-MONTHLY-CANVAS-USAGE, RB-MONTHLY-FEEDBACK
func TestMonthlyChecklist(t *testing.T) {
	const begin, end = "begin SECRET_KEY", "end SECRET_KEY"
	rotate := map[string]string{"rotate": "yes"}
	for name, c := range map[string]struct {
		parameters map[string]string
		world      func(h *dataHouse)
		answer     func(q incident.Question) incident.Answer
		does       []string
		says       []string
	}{
		"what is old is told, and the backup rehearsed": {
			does: []string{"Load rehearsal"},
			says: []string{"Backups, rehearsed: done", "Credential SECRET_KEY: 100 days old, which is too old", "Feedback: done", "Credential YOUNG: 3 days old"},
		},
		"what is old is renewed": {
			parameters: rotate, does: []string{begin, "Redeploy d4", end, "Load rehearsal"}, says: []string{"which is too old; renewed"},
		},
		"somebody says no to that": {
			parameters: rotate, answer: saying("approve-rotation", incident.AnswerDeny, nil), does: []string{"Load rehearsal"}, says: []string{"which is too old\n"},
		},
		"what nobody did is open": {
			answer: saying("feedback", incident.AnswerSkip, nil), does: []string{"Load rehearsal"}, says: []string{"Feedback: open"},
		},
		"a backup that is too old is said": {
			world: func(h *dataHouse) { time.Sleep(48 * time.Hour) }, does: []string{"Load rehearsal"}, says: []string{"Backups, rehearsed: failed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var said string
			var shown []string
			incidenttest.TestPlaybook(t, incidenttest.PlaybookHarness{
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newDataHouse(t)
					h.platform.SetTarget("rehearsal", "")
					h.Rotations = []playbooks.Rotation{h.ageing("SECRET_KEY", 100), h.ageing("YOUNG", 3)}
					h.Inform = func(_ context.Context, m incident.Message) error {
						said = m.Text
						return nil
					}
					if c.world != nil {
						c.world(h)
					}
					return incidenttest.PlaybookCase{
						Playbook: playbooks.MonthlyChecklist(h.Environment, h.vault.keeping(), playbooks.Toolchain{}), Effects: h.effects, Refused: h.platform.Refused, Parameters: c.parameters,
						Answer: func(q incident.Question) incident.Answer {
							if q.Step == "approve-rotation" {
								shown = nil
								for _, e := range q.Effects {
									shown = append(shown, e.Destroys...)
								}
							}
							if c.answer != nil {
								return c.answer(q)
							}
							return agreeing(q)
						},
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, c.does, h.effects(), stepsOf(run))
							for _, text := range c.says {
								assert.Contains(t, said, text)
							}
							if c.parameters != nil {
								assert.Equal(t, []string{"the old SECRET_KEY: who still uses it is shut out"}, shown)
							}
						},
					}
				},
				Repeatable: repeatable(begin, end),
			})
		})
	}
}

// ageing is a rotation of a credential that is so many days old.
func (h *dataHouse) ageing(name string, days int) playbooks.Rotation {
	return playbooks.Rotation{
		Name: name, Redeploys: true,
		Begin: func(context.Context) error { h.vault.add("begin " + name); return nil },
		Prove: func(context.Context) error { return nil },
		End:   func(context.Context) error { h.vault.add("end " + name); return nil },
		Age:   func(context.Context) (time.Duration, error) { return time.Duration(days) * 24 * time.Hour, nil },
	}
}
