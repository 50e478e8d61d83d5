package playbooks_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Requirement: RB-BACKUP-VERIFY, RB-PLAYBOOK-4-STEP-2-BACKUP
func TestBackupVerification(t *testing.T) {
	rehearse := map[string]string{"rehearse": "yes"}
	for name, c := range map[string]struct {
		world      func(h *dataHouse)
		dumps      func(d *playbooks.Dumps)
		parameters map[string]string
		answer     func(q incident.Question) incident.Answer
		want       incident.RunState
		does       []string
		// says is in the output, or in the message, of the last step.
		says string
	}{
		"fresh copies are reported with their age": {says: "the newest backup, b3 (daily), is 2h0m old; 1 in all"},
		"exactly as old as may be is not too old": {
			world: func(*dataHouse) { time.Sleep(24 * time.Hour) }, says: "26h0m old",
		},
		"a backup that is too old is a failure": {
			world: func(*dataHouse) { time.Sleep(25 * time.Hour) }, want: incident.StateFailed,
			says: "the newest backup is 27h0m old, which is more than 26h0m; the newest dump off the platform is 27h0m old, which is more than 26h0m",
		},
		"no backup at all is a failure": {
			world: func(h *dataHouse) { h.Environment.Backups = new(incidenttest.Platform) }, want: incident.StateFailed, says: "there is no backup",
		},
		"backups that cannot be read are a failure": {
			world: func(h *dataHouse) {
				h.platform.Fail("Backups", slices.Repeat([]error{errors.New("gateway")}, 6)...)
			},
			want: incident.StateFailed, says: "the backups could not be read: gateway",
		},
		"without dumps off the platform everything is on one card": {
			dumps: func(d *playbooks.Dumps) { *d = playbooks.Dumps{} }, want: incident.StateFailed, says: "if the platform is lost, so is the data",
		},
		"a dump without tables is suspicious": {
			world: func(h *dataHouse) { h.dumpOf(0, 900) }, want: incident.StateFailed, says: "has no table in it",
		},
		"a dump that has become small is suspicious": {
			world: func(h *dataHouse) { h.dumpOf(9, 1) }, want: incident.StateFailed, says: "is less than half as large as the one before it",
		},
		"a rehearsal into an empty database": {
			world: func(h *dataHouse) { h.platform.SetTarget("rehearsal", "") }, parameters: rehearse,
			does: []string{"Load rehearsal"}, says: "2h0m old",
		},
		"a rehearsal that loses something is approved": {
			world: func(h *dataHouse) { h.platform.SetTarget("rehearsal", "old\n") }, parameters: rehearse,
			does: []string{"Load rehearsal"}, says: "2h0m old",
		},
		"a rehearsal that nobody wants": {
			world: func(h *dataHouse) { h.platform.SetTarget("rehearsal", "old\n") }, parameters: rehearse, want: incident.StateFailed,
			answer: func(incident.Question) incident.Answer {
				return incident.Answer{Kind: incident.AnswerDeny, Actor: "kim", Comment: "we still need it"}
			},
		},
		"a rehearsal that loses rows is no success": {
			world: func(h *dataHouse) { h.platform.SetTarget("rehearsal", "") }, parameters: rehearse, want: incident.StateFailed,
			dumps: func(d *playbooks.Dumps) {
				d.Check = func(context.Context, string) error { return errors.New("accounts has no rows") }
			},
			does: []string{"Load rehearsal"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newDataHouse(t)
					dumps := h.vault.keeping()
					if c.world != nil {
						c.world(h)
					}
					if c.dumps != nil {
						c.dumps(&dumps)
					}
					h.begin()
					return incidenttest.PlaybookCase{
						Playbook: playbooks.BackupVerification(h.Environment, dumps), Effects: h.effects, Refused: h.platform.Refused, Parameters: c.parameters, Answer: c.answer,
						Check: func(t testing.TB, run incident.Run) {
							assert.ElementsMatch(t, c.does, h.effects(), stepsOf(run))
							last := run.Step("as-they-should-be")
							assert.Contains(t, string(last.Output)+last.Message, c.says, stepsOf(run))
							assert.Equal(t, c.want == incident.StateFailed && last.State == incident.StepFailed, len(h.mails) > 0)
						},
					}
				},
			})
		})
	}
}

// dumpOf keeps one more dump, with so many tables and bytes.
func (h *dataHouse) dumpOf(tables int, size int64) {
	receipt := h.vault.dumps[0].Receipt
	receipt.Tables, receipt.Size, receipt.Time = tables, size, time.Now()
	h.vault.dumps = append(h.vault.dumps, playbooks.Dump{Name: "newer", Receipt: receipt})
}

func TestBackupVerificationNeedsBackups(t *testing.T) {
	err := playbooks.BackupVerification(playbooks.Environment{Name: "production"}, playbooks.Dumps{}).Validate()
	require.ErrorContains(t, err, "it needs a Backups, which this environment does not have")
}
