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
		answer     func(q incident.Question) incident.Answer
		want       incident.RunState
		does       []string
		data, step string
		says       string
	}{
		"the newest backup from before the damage": {
			parameters: map[string]string{"damaged": "2000-01-04T01:00:00Z"},
			does:       []string{"SetDeployFreeze true", "Stop d2", aside, "RestoreBackup b3", "Start d2", "SetDeployFreeze false"}, data: "accounts\ntasks\n",
			step: "clean", says: "b3 (daily) of 2000-01-04T00:00:00Z",
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
			incidenttest.TestPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newDataHouse(t)
					h.Defaults.Times = 1
					audit := new(incidenttest.AuditLog)
					audit.Add(incident.AuditEvent{ID: "1", Time: time.Now().Add(-time.Hour), Kind: incident.AuditChange, Action: "updated", Object: "course 42"})
					h.AuditLog = audit
					h.damaged()
					h.begin()
					return incidenttest.PlaybookCase{
						Playbook: playbooks.DataRecovery(h.Environment, h.vault.keeping()), Effects: h.effects, Refused: h.platform.Refused, Parameters: c.parameters, Answer: c.answer,
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, append([]string{}, c.does...), append([]string{}, h.effects()...), stepsOf(run))
							assert.Equal(t, c.data, h.platform.Data())
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
