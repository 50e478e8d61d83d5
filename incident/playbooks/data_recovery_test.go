package playbooks_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Requirement: RB-DATA-RECOVERY-BACKUPS, RB-DATA-RECOVERY-AUDIT, RB-DATA-RECOVERY-RESTORE, RB-DATA-RECOVERY-NOTIFY
func TestDataRecovery(t *testing.T) {
	const aside = "Keep runbook-run-1-restore.put-aside"
	for name, c := range map[string]struct {
		parameters map[string]string
		world      func(h *dataHouse)
		answer     func(q incident.Question) incident.Answer
		want       incident.RunState
		does       []string
		// data is what is in the database afterwards, loaded what is where dumps are loaded.
		data, loaded string
		step, says   string
	}{
		"the newest backup from before the damage": {
			parameters: map[string]string{"damaged": "2000-01-04T01:00:00Z"},
			does:       []string{"SetDeployFreeze true", "Stop d2", aside, "RestoreBackup b3", "Start d2", "SetDeployFreeze false"}, data: "accounts\ntasks\n",
			step: "clean", says: "b3 (daily) of 2000-01-04T00:00:00Z",
		},
		"a dump from before the damage, rehearsed first": {
			parameters: map[string]string{"damaged": "2000-01-04T01:00:00Z", "from": "dump"},
			world: func(h *dataHouse) {
				h.platform.SetTarget("rehearsal", "what an earlier one left\n")
				h.platform.SetTarget("live", "accounts\n")
			},
			does: []string{"Load rehearsal", "SetDeployFreeze true", "Stop d2", aside, "Load live", "Start d2", "SetDeployFreeze false"}, data: "accounts\n", loaded: "accounts\ntasks\n",
			step: "clean", says: "nightly of 2000-01-04T00:00:00Z",
		},
		"nobody lets the database for rehearsals be overwritten": {
			parameters: map[string]string{"damaged": "2000-01-04T01:00:00Z", "from": "dump"},
			world: func(h *dataHouse) {
				h.platform.SetTarget("rehearsal", "somebody's\n")
				h.platform.SetTarget("live", "accounts\n")
			},
			answer: saying("restore.approve-rehearsal", incident.AnswerDeny, nil),
			want:   incident.StateFailed, data: "accounts\n", loaded: "accounts\n", step: "restore.approve-rehearsal", says: "denied by kim",
		},
		"a rehearsal that does not show the data ends it before anything is lost": {
			parameters: map[string]string{"damaged": "2000-01-04T01:00:00Z", "from": "dump"},
			world: func(h *dataHouse) {
				h.platform.SetTarget("rehearsal", "")
				h.platform.SetTarget("live", "accounts\n")
				h.vault.dumps[0].Receipt.Tables = 7
			},
			does: []string{"Load rehearsal"}, want: incident.StateFailed, data: "accounts\n", loaded: "accounts\n",
			step: "restore.rehearsed", says: "rehearsal has 2 tables after it was loaded, and the dump has 7",
		},
		"no dump is from before the damage": {
			parameters: map[string]string{"damaged": "1999-12-31T01:00:00Z", "from": "dump"}, want: incident.StateFailed, data: "accounts\n",
			step: "clean", says: "no dump is from before the damage",
		},
		"no copy is clean": {
			parameters: map[string]string{"damaged": "1999-12-31T01:00:00Z"}, want: incident.StateFailed, data: "accounts\n",
			step: "clean", says: "no backup is from before the damage",
		},
		"a time that is none": {
			parameters: map[string]string{"damaged": "yesterday"}, want: incident.StateFailed, data: "accounts\n", step: "clean", says: "is not a time",
		},
		"somebody says no": {
			parameters: map[string]string{"damaged": "2000-01-04T01:00:00Z"}, answer: saying("restore.approve", incident.AnswerDeny, nil),
			want: incident.StateFailed, data: "accounts\n", step: "restore.approve", says: "denied by kim",
		},
	} {
		t.Run(name, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newDataHouse(t)
					h.Defaults.Times = 1
					audit := new(incidenttest.AuditLog)
					audit.Add(incident.AuditEvent{ID: "1", Time: time.Now().Add(-time.Hour), Kind: incident.AuditChange, Action: "updated", Object: "course 42"})
					h.AuditLog = audit
					h.damaged()
					if c.world != nil {
						c.world(h)
					}
					h.begin()
					return incidenttest.PlaybookCase{
						Playbook: playbooks.DataRecovery(h.Environment, h.vault.keeping()), Effects: h.effects, Refused: h.platform.Refused, Parameters: c.parameters, Answer: c.answer,
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, append([]string{}, c.does...), append([]string{}, h.effects()...), stepsOf(run))
							assert.Equal(t, c.data, h.platform.Data())
							assert.Equal(t, c.loaded, h.platform.Target("live"))
							s := run.Step(c.step)
							assert.Contains(t, string(s.Output)+s.Message, c.says)
							assert.Contains(t, string(run.Step("traces").Output), "change updated")
							if c.want == "" {
								assert.Contains(t, h.posts[len(h.posts)-1].Body, "Everything from before Tue 4 Jan 2000 00:00 UTC is there again")
							}
						},
					}
				},
				Repeatable: repeatable(aside),
			})
		})
	}
}

// Where a database is made for each rehearsal, the lost data is shown to be in the dump
// before anything is destroyed.
func TestDataRecoveryIsRehearsedInANewDatabase(t *testing.T) {
	damaged := map[string]string{"damaged": "2000-01-04T01:00:00Z", "from": "dump"}
	testPlaybook(t, incidenttest.PlaybookHarness{
		Repeatable: repeatable("Keep runbook-run-1-restore.put-aside"),
		New: func(t testing.TB) incidenttest.PlaybookCase {
			h := newRehearsalHouse(t)
			h.Defaults.Times = 1
			h.damaged()
			h.abandoned()
			dumps := h.dumps()
			dumps.Rehearsals.Environment, dumps.Rehearsals.Named = "", "rehearsals"
			return incidenttest.PlaybookCase{
				Playbook: playbooks.DataRecovery(h.Environment, dumps), Parameters: damaged, Refused: h.platform.Refused,
				Effects: func() []string { return withoutRun(h.effects()) },
				Check: func(t testing.TB, run incident.Run) {
					want := append([]string{"Dispose rehearsal"}, rehearsed...)
					want = append(want, "SetDeployFreeze true", "Stop d2", "Keep runbook-run-1-restore.put-aside", "Load live", "Start d2", "SetDeployFreeze false")
					assert.Equal(t, want, withoutRun(h.effects()), stepsOf(run))
					assert.Equal(t, "accounts\ntasks\n", h.platform.Target("live"))
				},
			}
		},
	})
}
