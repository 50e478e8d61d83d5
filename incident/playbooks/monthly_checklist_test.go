package playbooks_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
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
		tools      playbooks.Toolchain
		answer     func(q incident.Question) incident.Answer
		does       []string
		says       []string
		// asked is in the questions of steps, shows in their outputs.
		asked, shows map[string]string
	}{
		"what is old is told, and the backup rehearsed": {
			does: []string{"Load rehearsal"},
			says: []string{"Backups, rehearsed: done", "Credential SECRET_KEY: 100 days old, which is too old; owner: operations\n", "Feedback: done: nobody said what came of it", "Credential YOUNG: 3 days old; owner: operations"},
		},
		"what is old is renewed": {
			parameters: rotate, does: []string{begin, "Redeploy d4", end, "Load rehearsal"}, says: []string{"which is too old; owner: operations; renewed"},
		},
		"somebody says no to that": {
			parameters: rotate, answer: saying("approve-rotation", incident.AnswerDeny, nil), does: []string{"Load rehearsal"}, says: []string{"which is too old; owner: operations\n"},
		},
		"what nobody did is open": {
			answer: saying("feedback", incident.AnswerSkip, nil), does: []string{"Load rehearsal"}, says: []string{"Feedback: open"},
		},
		"what nobody answers keeps nothing else from being done, and is said": {
			answer: func(q incident.Question) incident.Answer {
				if q.Kind == "manual" {
					return incident.Answer{}
				}
				return agreeing(q)
			},
			does: []string{"Load rehearsal"},
			says: []string{"Security updates: failed: nobody said in time that it was done", "Feedback: failed: nobody said in time that it was done", "Credential SECRET_KEY: 100 days old"},
		},
		"what people said of an item is its evidence": {
			answer: func(q incident.Question) incident.Answer {
				a := agreeing(q)
				if q.Step == "feedback" {
					a.Comment = "two complaints of slow feedback, QA-12 and QA-13"
				}
				return a
			},
			does: []string{"Load rehearsal"}, says: []string{"Feedback: done: two complaints of slow feedback, QA-12 and QA-13\n"},
		},
		"what programs see is shown to those who judge it, and is in the record": {
			world: func(h *dataHouse) {
				q := new(incidenttest.Quota)
				q.Set(incident.QuotaState{Remaining: 90, Limit: 600, Measured: true})
				h.Quota = q
				h.say("performance", func() health.Result {
					return health.Result{Status: health.Healthy, Measurements: []health.Measurement{{Name: "response_time", Value: 420, Unit: health.Milliseconds}}}
				})
			},
			tools: playbooks.Toolchain{Audit: func(context.Context) ([]string, error) {
				return []string{"flask 2.0.1: PYSEC-2023-62", "requests 2.25.0: PYSEC-2023-74"}, nil
			}},
			does: []string{"Load rehearsal"},
			says: []string{"Security updates: done: nobody said what came of it", "Canvas API: done", "Performance: done"},
			asked: map[string]string{
				"security-updates": "Known weaknesses: 2: flask 2.0.1: PYSEC-2023-62; requests 2.25.0: PYSEC-2023-74", "canvas-usage-review": "Now: 90 of 600 units are left (15 %)",
				"performance-review": "Measured now: healthy (response_time 420)",
			},
			shows: map[string]string{"weaknesses": "PYSEC-2023-74", "canvas-usage": `"remaining":90`, "performance": "response_time"},
		},
		"what no program can see is said to be so": {
			does:  []string{"Load rehearsal"},
			asked: map[string]string{"canvas-usage-review": "The rate limit cannot be read from here: look at the report of the month.", "security-updates": "Known weaknesses: not looked for: this host has no tool that looks for them"},
		},
		"a tool that fails is said, and does not keep the rest from being done": {
			tools: playbooks.Toolchain{Audit: func(context.Context) ([]string, error) { return nil, errors.New("pip-audit: no network") }},
			does:  []string{"Load rehearsal"}, says: []string{"Feedback: done"},
			asked: map[string]string{"security-updates": "Known weaknesses: not looked for: pip-audit: no network"},
		},
		"a rehearsal that loses something is asked about": {
			world: func(h *dataHouse) { h.platform.SetTarget("rehearsal", "what the last one left\n") }, does: []string{"Load rehearsal"},
			says: []string{"Backups, rehearsed: done"}, asked: map[string]string{"backups.approve-rehearsal": "The database rehearsal is for rehearsals, and not empty: 1 tables, 23 bytes are lost."},
		},
		"a rehearsal that nobody wants is open, and the rest is done": {
			world:  func(h *dataHouse) { h.platform.SetTarget("rehearsal", "what the last one left\n") },
			answer: saying("backups.approve-rehearsal", incident.AnswerDeny, nil), says: []string{"Backups, rehearsed: failed: ", "denied by kim: said so", "Feedback: done"},
		},
		"a backup that is too old is said": {
			world: func(h *dataHouse) { time.Sleep(48 * time.Hour) }, does: []string{"Load rehearsal"}, says: []string{"Backups, rehearsed: failed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var said string
			var shown []string
			questions := make(map[string]string)
			testPlaybook(t, incidenttest.PlaybookHarness{
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
						Playbook: playbooks.MonthlyChecklist(h.Environment, h.vault.keeping(), c.tools), Effects: h.effects, Refused: h.platform.Refused, Parameters: c.parameters,
						Answer: func(q incident.Question) incident.Answer {
							questions[q.Step] = q.Text
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
							assert.Equal(t, append([]string{}, c.does...), append([]string{}, h.effects()...), stepsOf(run))
							for _, text := range c.says {
								assert.Contains(t, said, text)
							}
							for step, text := range c.asked {
								assert.Contains(t, questions[step], text)
							}
							for step, text := range c.shows {
								assert.Contains(t, string(run.Step(step).Output), text)
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
		Name: name, Redeploys: true, Owner: "operations",
		Begin: func(context.Context) error { h.vault.add("begin " + name); return nil },
		Prove: func(context.Context) error { return nil },
		End:   func(context.Context) error { h.vault.add("end " + name); return nil },
		Age:   func(context.Context) (time.Duration, error) { return time.Duration(days) * 24 * time.Hour, nil },
	}
}

// Where a database is made for each rehearsal, the backups of the checklist are rehearsed
// in one, and it is removed.
func TestMonthlyChecklistRehearsesInANewDatabase(t *testing.T) {
	testPlaybook(t, incidenttest.PlaybookHarness{
		New: func(t testing.TB) incidenttest.PlaybookCase {
			h := newRehearsalHouse(t)
			h.abandoned()
			dumps := h.dumps()
			dumps.Rehearsals.Environment, dumps.Rehearsals.Named = "", "rehearsals"
			return incidenttest.PlaybookCase{
				Playbook: playbooks.MonthlyChecklist(h.Environment, dumps, playbooks.Toolchain{}), Refused: h.platform.Refused,
				Effects: func() []string { return withoutRun(h.effects()) },
				Check: func(t testing.TB, run incident.Run) {
					assert.Equal(t, append([]string{"Dispose rehearsal"}, rehearsed...), withoutRun(h.effects()), stepsOf(run))
					assert.Equal(t, incident.StepDone, run.Step("backups.rehearsed").State)
				},
			}
		},
	})
}
