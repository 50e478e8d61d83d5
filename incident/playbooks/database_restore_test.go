package playbooks_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// damaged makes the data wrong after the backup and the dump, and a newer backup of it.
func (h *dataHouse) damaged() {
	h.platform.Write("accounts\n")
	if _, err := h.platform.CreateBackup(h.t.Context(), "hourly"); err != nil {
		h.t.Fatal(err)
	}
	time.Sleep(time.Hour)
}

// restoreCase is a restore: how it ends, what it does, what the data is afterwards.
type restoreCase struct {
	parameters map[string]string
	world      func(h *dataHouse, dumps *playbooks.Dumps)
	answer     func(h *dataHouse) func(q incident.Question) incident.Answer
	want       incident.RunState
	does       []string
	data       string
	// asked are texts of the question to those who approve.
	asked []string
}

const asideDump = "Keep runbook-run-1-put-aside"

func restoreCases() map[string]restoreCase {
	old := map[string]string{"from": "backup", "id": "b3"}
	dump := map[string]string{"from": "dump"}
	whole := []string{"SetDeployFreeze true", "Stop d2", asideDump, "RestoreBackup b3", "Start d2", "SetDeployFreeze false"}
	saying := func(kind string) func(*dataHouse) func(incident.Question) incident.Answer {
		return func(*dataHouse) func(incident.Question) incident.Answer {
			return func(incident.Question) incident.Answer {
				return incident.Answer{Kind: kind, Actor: "kim", Comment: "not during exams"}
			}
		}
	}
	return map[string]restoreCase{
		"a backup that a person has chosen": {
			parameters: old, does: whole, data: "accounts\ntasks\n",
			asked: []string{"backup b3 (daily)", "There are 1 newer ones", "Destroyed: backup b", "A dump of what is there now is put aside first"},
		},
		"the newest of all, which the platform would restore twice": {
			does: []string{"SetDeployFreeze true", "Stop d2", asideDump, "RestoreBackup b4", "Start d2", "SetDeployFreeze false"}, data: "accounts\n",
		},
		"the newest from before the damage": {
			parameters: map[string]string{"before": "2000-01-04T01:00:00Z"}, does: whole, data: "accounts\ntasks\n",
		},
		"a dump from off the platform, rehearsed first": {
			parameters: dump,
			world: func(h *dataHouse, _ *playbooks.Dumps) {
				h.platform.SetTarget("rehearsal", "")
				h.platform.SetTarget("live", "accounts\n")
			},
			does: []string{"Load rehearsal", "SetDeployFreeze true", "Stop d2", asideDump, "Load live", "Start d2", "SetDeployFreeze false"},
			data: "accounts\n", asked: []string{"Destroyed: 1 tables, 9 bytes", "It was rehearsed"},
		},
		"a rehearsal that loses something is approved too": {
			parameters: dump,
			world: func(h *dataHouse, _ *playbooks.Dumps) {
				h.platform.SetTarget("rehearsal", "old\n")
				h.platform.SetTarget("live", "accounts\n")
			},
			does: []string{"Load rehearsal", "SetDeployFreeze true", "Stop d2", asideDump, "Load live", "Start d2", "SetDeployFreeze false"},
			data: "accounts\n", asked: []string{"It was rehearsed"},
		},
		"without dumps nothing is put aside, and that is said": {
			parameters: old, world: func(h *dataHouse, dumps *playbooks.Dumps) { *dumps = playbooks.Dumps{} },
			does: []string{"SetDeployFreeze true", "Stop d2", "RestoreBackup b3", "Start d2", "SetDeployFreeze false"},
			data: "accounts\ntasks\n", asked: []string{"Nothing of what is there now is put aside"},
		},
		"a platform that cannot stop the application": {
			parameters: old, world: func(h *dataHouse, _ *playbooks.Dumps) { h.Stopper = nil },
			does: []string{asideDump, "RestoreBackup b3"}, data: "accounts\ntasks\n",
		},
		"what was stopped and frozen for another reason stays so": {
			parameters: old, world: func(h *dataHouse, _ *playbooks.Dumps) {
				_, err := h.platform.Stop(h.t.Context())
				require.NoError(h.t, err)
				_, err = h.platform.SetDeployFreeze(h.t.Context(), true)
				require.NoError(h.t, err)
				h.say("application", down("it is stopped"))
			},
			does: []string{asideDump, "RestoreBackup b3"}, data: "accounts\ntasks\n",
		},
		"a platform that cannot be kept from deploying": {
			parameters: old, world: func(h *dataHouse, _ *playbooks.Dumps) { h.Freezer = nil },
			does: []string{asideDump, "RestoreBackup b3"}, data: "accounts\ntasks\n",
		},
		"nobody approves": {
			parameters: old, answer: saying(""), want: incident.StateFailed, data: "accounts\n",
		},
		"somebody says no": {
			parameters: old, answer: saying(incident.AnswerDeny), want: incident.StateFailed, data: "accounts\n",
		},
		"a backup that there is none of": {
			parameters: map[string]string{"id": "b99"}, want: incident.StateFailed, data: "accounts\n",
		},
		"a restore whose answer is lost is not sent again": {
			parameters: old,
			world:      func(h *dataHouse, _ *playbooks.Dumps) { h.platform.Fail("RestoreBackup", incident.ErrOutcomeUnknown) },
			want:       incident.StateFailed, does: whole[:4], data: "accounts\ntasks\n",
		},
		"a dump that cannot be put aside stops it before anything is lost": {
			parameters: old,
			world:      func(h *dataHouse, _ *playbooks.Dumps) { h.vault.broken = errors.New("the bucket is not there") },
			want:       incident.StateFailed, does: whole[:2], data: "accounts\n",
		},
		"what is stopped half way is taken back by a person": {
			parameters: old,
			world:      func(h *dataHouse, _ *playbooks.Dumps) { h.platform.Fail("RestoreBackup", incident.ErrBusy) },
			answer: func(*dataHouse) func(incident.Question) incident.Answer {
				return func(q incident.Question) incident.Answer {
					if q.Kind == "approve" {
						return incident.Answer{Kind: incident.AnswerApprove, Actor: "kim"}
					}
					return incident.Answer{Kind: incident.AnswerUndo, Actor: "kim", Comment: "later"}
				}
			},
			want: incident.StateUndone, does: []string{"SetDeployFreeze true", "Stop d2", asideDump, "Start d2", "SetDeployFreeze false"}, data: "accounts\n",
		},
	}
}

// Requirement: RB-RESTORE, RB-PLAYBOOK-4-STEP-3-RESTORE
// Requirement: INC-DUMP-ELSEWHERE
func TestDatabaseRestore(t *testing.T) {
	for name, c := range restoreCases() {
		t.Run(name, func(t *testing.T) {
			var question string
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newDataHouse(t)
					h.Defaults.Times = 1
					dumps := h.vault.keeping()
					h.damaged()
					if c.world != nil {
						c.world(h, &dumps)
					}
					h.begin()
					answer := agreeing
					if c.answer != nil {
						answer = c.answer(h)
					}
					return incidenttest.PlaybookCase{
						Playbook: playbooks.DatabaseRestore(h.Environment, dumps), Effects: h.effects, Refused: h.platform.Refused, Parameters: c.parameters,
						Answer: func(q incident.Question) incident.Answer {
							if q.Step == "approve" {
								question = q.Text
							}
							return answer(q)
						},
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, append([]string{}, c.does...), append([]string{}, h.effects()...), stepsOf(run))
							assert.Equal(t, c.data, h.platform.Data())
							for _, text := range c.asked {
								assert.Contains(t, question, text)
							}
						},
					}
				},
				Repeatable: func(effect string) bool { return effect == asideDump }, // it replaces itself
			})
		})
	}
}

// agreeing approves, and ends what has failed.
func agreeing(q incident.Question) incident.Answer {
	switch q.Kind {
	case "approve":
		return incident.Answer{Kind: incident.AnswerApprove, Actor: "kim"}
	case "manual":
		return incident.Answer{Kind: incident.AnswerDone, Actor: "kim"}
	}
	return incident.Answer{Kind: incident.AnswerAbort, Actor: "kim", Comment: "it has failed"}
}

// An approval of a restore is void if there is a newer backup by then, since that would be
// deleted too.
//
// Requirement: RB-RESTORE
func TestDatabaseRestoreAgreedToSomethingElse(t *testing.T) {
	asked := 0
	testPlaybook(t, incidenttest.PlaybookHarness{
		Want: incident.StateFailed,
		New: func(t testing.TB) incidenttest.PlaybookCase {
			h := newDataHouse(t)
			h.damaged()
			h.begin()
			asked = 0
			return incidenttest.PlaybookCase{
				Playbook: playbooks.DatabaseRestore(h.Environment, h.vault.keeping()), Effects: func() []string { return nil },
				Parameters: map[string]string{"id": "b3"},
				Answer: func(q incident.Question) incident.Answer {
					if q.Step != "approve" {
						return agreeing(q)
					}
					if asked++; asked == 1 {
						_, err := h.platform.CreateBackup(t.Context(), "made meanwhile")
						require.NoError(t, err)
					}
					return incident.Answer{Kind: incident.AnswerApprove, Actor: "kim"}
				},
				Check: func(t testing.TB, run incident.Run) {
					assert.Equal(t, 2, asked)
					assert.Contains(t, run.Step("restore").Message, "go back to the step restore-plan")
					assert.Equal(t, "accounts\n", h.platform.Data())
				},
			}
		},
	})
}

func TestDatabaseRestoreIsNotGoodUntilTheDatabaseIs(t *testing.T) {
	testPlaybook(t, incidenttest.PlaybookHarness{
		Want: incident.StateFailed,
		New: func(t testing.TB) incidenttest.PlaybookCase {
			h := newDataHouse(t)
			h.Defaults.Recover = time.Minute
			h.say("database server", reads(health.Unhealthy, health.CauseAssertion, "the invariant is violated", nil))
			return incidenttest.PlaybookCase{
				Playbook: playbooks.DatabaseRestore(h.Environment, h.vault.keeping()), Effects: h.effects, Refused: h.platform.Refused,
				Check: func(t testing.TB, run incident.Run) {
					assert.Equal(t, incident.StepFailed, run.Step("database-well").State)
					assert.Equal(t, incident.StepPending, run.Step("tell-resolved").State)
				},
			}
		},
		Repeatable: func(effect string) bool { return effect == asideDump },
	})
}

// What is in a database may change after people have agreed to losing it: then nothing is
// loaded, and it is said where to go back to.
func TestDatabaseRestoreLoadsWhatWasAgreedTo(t *testing.T) {
	testPlaybook(t, incidenttest.PlaybookHarness{
		Want: incident.StateFailed,
		New: func(t testing.TB) incidenttest.PlaybookCase {
			h := newDataHouse(t)
			h.platform.SetTarget("rehearsal", "")
			h.platform.SetTarget("live", "accounts\n")
			tell := h.Tell
			h.Tell = func(ctx context.Context, p alert.Post) error { // after they have agreed
				h.platform.SetTarget("live", "accounts\nusers\n")
				return tell(ctx, p)
			}
			return incidenttest.PlaybookCase{
				Playbook: playbooks.DatabaseRestore(h.Environment, h.vault.keeping()), Effects: h.effects, Refused: h.platform.Refused, Parameters: map[string]string{"from": "dump"},
				Check: func(t testing.TB, run incident.Run) {
					assert.Contains(t, run.Step("load").Message, "nothing was loaded: go back to the step load-plan")
					assert.Equal(t, "accounts\nusers\n", h.platform.Target("live"))
				},
			}
		},
		Repeatable: func(effect string) bool { return effect == asideDump },
	})
}

// abandoned makes an environment for rehearsals, and in it what an earlier one left, longer
// ago than one may take.
func (h *rehearsalHouse) abandoned() {
	place, err := h.platform.EnsureEnvironment(h.t.Context(), incident.EnvironmentSpec{Project: h.project.ID, Name: "rehearsals"})
	require.NoError(h.t, err)
	_, err = h.platform.EnsureService(h.t.Context(), incident.ServiceSpec{
		Project: h.project.ID, Environment: place.ID, Name: "rehearsal-2026-11-01-aaaa", Template: "postgres", Mark: "rehearsal/production/run-0/rehearsal-plan",
	})
	require.NoError(h.t, err)
	time.Sleep(13 * time.Hour)
	h.begin()
}

// The rehearsal of a restore removes what an earlier one left, in the environment for
// rehearsals, before it makes its own database.
//
// Requirement: RB-RESTORE-REHEARSED
func TestDatabaseRestoreRehearsesWhereRehearsalsAre(t *testing.T) {
	testPlaybook(t, incidenttest.PlaybookHarness{
		New: func(t testing.TB) incidenttest.PlaybookCase {
			h := newRehearsalHouse(t)
			h.abandoned()
			dumps := h.dumps()
			dumps.Rehearsals.Environment, dumps.Rehearsals.Named = "", "rehearsals"
			return incidenttest.PlaybookCase{
				Playbook: playbooks.DatabaseRestore(h.Environment, dumps), Parameters: map[string]string{"from": "dump"}, Refused: h.platform.Refused,
				Effects: func() []string { return withoutRun(h.effects()) },
				Check: func(t testing.TB, run incident.Run) {
					want := append([]string{"Dispose rehearsal"}, rehearsed...)
					want = append(want, "SetDeployFreeze true", "Stop d2", asideDump, "Load live", "Start d2", "SetDeployFreeze false")
					assert.Equal(t, want, withoutRun(h.effects()), stepsOf(run))
				},
			}
		},
		Repeatable: func(effect string) bool { return effect == asideDump },
	})
}
