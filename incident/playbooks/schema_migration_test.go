package playbooks_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Requirement: RB-MIGRATION
func TestSchemaMigration(t *testing.T) {
	const backup, dump = "CreateBackup b4", "Keep runbook-run-1-dump"
	ill := func(h *dataHouse) { h.say("application", down("status 500")) }
	for name, c := range map[string]struct {
		world  func(h *dataHouse)
		dumps  *playbooks.Dumps
		answer func(q incident.Question) incident.Answer
		want   incident.RunState
		does   []string
		step   string
		says   string
	}{
		"a backup and a dump come before": {does: []string{backup, dump, "Migrate 1"}, step: "migrate", says: `"to":"1"`},
		"without dumps the backup must do": {
			dumps: new(playbooks.Dumps), does: []string{backup, "Migrate 1"}, step: "dump", says: "makes no dumps",
		},
		"a backup that fails stops it": {
			world: func(h *dataHouse) {
				h.platform.Fail("CreateBackup", incident.ErrNotPermitted, incident.ErrNotPermitted)
			},
			want: incident.StateFailed, step: "backup", says: "not permitted",
		},
		"what is ill already is not migrated": {
			world: func(h *dataHouse) { h.say("database", down("no connection")) },
			want:  incident.StateFailed, step: "before", says: "not well before the migration",
		},
		"somebody says no": {
			answer: func(incident.Question) incident.Answer {
				return incident.Answer{Kind: incident.AnswerDeny, Actor: "kim", Comment: "not on a Friday"}
			},
			want: incident.StateFailed, does: []string{backup, dump}, step: "approve", says: "not on a Friday",
		},
		"nobody answers": {
			answer: func(incident.Question) incident.Answer { return incident.Answer{} },
			want:   incident.StateFailed, does: []string{backup, dump}, step: "approve", says: "not approved in time",
		},
		"a migration that fails names the way back": {
			world: func(h *dataHouse) { h.platform.BreakMigrations("column tasks.owner has nulls") },
			want:  incident.StateFailed, does: []string{backup, dump, "Migrate 0"}, step: "migrate",
			says: "column tasks.owner has nulls; the way back: the playbook database-restore with id=b4, or the same with from=dump id=runbook-run-1-dump",
		},
		"one whose answer is lost is not run again": {
			world: func(h *dataHouse) { h.platform.Fail("Migrate", incident.ErrOutcomeUnknown) },
			want:  incident.StateFailed, does: []string{backup, dump, "Migrate 1"}, step: "migrate", says: "outcome unknown",
		},
		"an application that is not well with it is told with the way back": {
			world: ill, want: incident.StateFailed, does: []string{backup, dump, "Migrate 1"}, step: "outcome", says: "database-restore with id=b4",
		},
		"a server whose data does not fit together afterwards": {
			world: func(h *dataHouse) {
				h.say("database server", reads(health.Unhealthy, health.CauseAssertion, "the invariant is violated", nil))
			},
			want: incident.StateFailed, does: []string{backup, dump, "Migrate 1"}, step: "outcome", says: "database-restore with id=b4",
		},
	} {
		t.Run(name, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newDataHouse(t)
					h.Defaults.Times, h.Defaults.Recover = 1, time.Minute
					dumps := h.vault.keeping()
					if c.dumps != nil {
						dumps = *c.dumps
					}
					if c.world != nil {
						c.world(h)
					}
					return incidenttest.PlaybookCase{
						Playbook: playbooks.SchemaMigration(h.Environment, dumps), Effects: h.effects, Refused: h.platform.Refused, Answer: c.answer,
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, append([]string{}, c.does...), append([]string{}, h.effects()...), stepsOf(run))
							s := run.Step(c.step)
							assert.Contains(t, string(s.Output)+s.Message+s.Decided, c.says)
						},
					}
				},
				Repeatable: func(effect string) bool { return effect == dump }, // it replaces itself
			})
		})
	}
}

func TestMigratedInWords(t *testing.T) {
	t.Parallel()
	for said, m := range map[string]playbooks.Migrated{
		"From version 1a to 2b.":                          {From: "1a", To: "2b"},
		"There was nothing to migrate: the schema is 2b.": {From: "2b", To: "2b"},
		"From version unknown to 2b.":                     {To: "2b"},
		"From which version to which is not known.":       {},
	} {
		assert.Equal(t, said, m.String())
	}
}
