package playbooks_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Requirement: RB-WINDOW-STEP-1, RB-WINDOW-STEP-2, RB-WINDOW-STEP-3, RB-WINDOW-STEP-4, RB-WINDOW-STEP-5
// Requirement: RB-SCRIPT-NOTIFY-MAINTENANCE, RB-SCRIPT-DEPLOY-PRODUCTION, RB-SCRIPT-NOTIFY-MAINTENANCE-COMPLETE
func TestMaintenanceWindow(t *testing.T) {
	const backup, dump, deploy = "CreateBackup b4", "Keep runbook-run-1-dump", "DeploySource d5"
	// The world of these tests is at Tue 4 Jan 2000 02:00 UTC, which is 13:00 in Sydney.
	tonight := map[string]string{"start": "2000-01-04 15:00", "zone": "Australia/Sydney", "length": "2h", "commit": "3333333"}
	with := func(name, value string) map[string]string {
		all := map[string]string{name: value}
		for n, v := range tonight {
			if n != name {
				all[n] = v
			}
		}
		return all
	}
	illWith := func(h *dataHouse) { h.say("task", until(func() bool { return !h.runs("3333333") }, down("no result"))) }
	for name, c := range map[string]struct {
		parameters map[string]string
		world      func(h *dataHouse)
		answer     func(q incident.Question) incident.Answer
		want       incident.RunState
		does       []string
		told       []string
		why        string
	}{
		"announced, backed up, deployed in the window, checked, announced": {
			parameters: tonight, does: []string{backup, dump, deploy}, told: []string{"scheduled", "in_progress", "completed"},
		},
		"an update that is not well is rolled back": {
			parameters: tonight, world: illWith, does: []string{backup, dump, deploy, "Rollback d6"}, told: []string{"scheduled", "in_progress", "completed"},
		},
		"nobody approves the way back": {
			parameters: tonight, world: illWith, answer: func(incident.Question) incident.Answer { return incident.Answer{} },
			want: incident.StateFailed, does: []string{backup, dump, deploy}, told: []string{"scheduled", "in_progress"},
		},
		"a window that is over": {
			parameters: with("start", "2000-01-04 11:05"), want: incident.StateFailed, why: "the window is over: it was until 2000-01-04T13:05:00+11:00",
			world: func(*dataHouse) { time.Sleep(10 * time.Minute) },
		},
		"an abbreviation is no zone":          {parameters: with("zone", "EST"), want: incident.StateFailed, why: "EST"},
		"a time that the clocks skip is none": {parameters: with("start", "2000-08-27 02:30"), want: incident.StateFailed, why: "the clocks skip it"},
		"what is too far ahead":               {parameters: with("start", "2000-03-04 02:30"), want: incident.StateFailed, why: "more than 14 days ahead"},
		"a backup that takes too long leaves no time for the work": {
			parameters: tonight, world: func(h *dataHouse) { h.Environment.Backups = slowBackups{h.platform} },
			want: incident.StateFailed, does: []string{backup, dump}, told: []string{"scheduled", "in_progress"},
		},
		"no backup, no work": {
			parameters: tonight, world: func(h *dataHouse) { h.platform.Fail("CreateBackup", incident.ErrUnsupported, incident.ErrUnsupported) },
			want: incident.StateFailed, told: []string{"scheduled", "in_progress"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newDataHouse(t)
					h.Defaults.Times, h.Defaults.Recover = 1, time.Minute
					if c.world != nil {
						c.world(h)
					}
					return incidenttest.PlaybookCase{
						Playbook: playbooks.MaintenanceWindow(h.Environment, h.vault.keeping()), Effects: h.effects, Refused: h.platform.Refused, Parameters: c.parameters, Answer: c.answer,
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, append([]string{}, c.does...), append([]string{}, h.effects()...), stepsOf(run))
							var told []string
							for _, p := range h.posts {
								told = append(told, p.Status)
							}
							assert.Equal(t, c.told, told)
							assert.Contains(t, run.Step("window").Message, c.why)
							if len(h.posts) > 0 {
								assert.Contains(t, h.posts[0].Body, "From Tue 4 Jan 2000 15:00 AEDT to Tue 4 Jan 17:00 AEDT (Australia/Sydney), 2h0m")
								assert.Equal(t, 2*time.Hour, h.posts[0].To.Sub(h.posts[0].From))
								require.False(t, run.Step("begin").Ended.Before(h.posts[0].From))
							}
						},
					}
				},
				Repeatable: repeatable(dump),
			})
		})
	}
}

// slowBackups take three hours.
type slowBackups struct{ *incidenttest.Platform }

func (b slowBackups) CreateBackup(ctx context.Context, name string) (incident.Backup, error) {
	time.Sleep(3 * time.Hour)
	return b.Platform.CreateBackup(context.WithoutCancel(ctx), name)
}

// People see what they approve: the rollback that would be made.
func TestMaintenanceWindowShowsTheWayBack(t *testing.T) {
	testPlaybook(t, incidenttest.PlaybookHarness{
		New: func(t testing.TB) incidenttest.PlaybookCase {
			h := newDataHouse(t)
			h.Defaults.Times, h.Defaults.Recover = 1, time.Minute
			h.say("task", until(func() bool { return !h.runs("3333333") }, down("no result")))
			var effects []incident.Effect
			return incidenttest.PlaybookCase{
				Playbook: playbooks.MaintenanceWindow(h.Environment, h.vault.keeping()), Effects: h.effects, Refused: h.platform.Refused,
				Parameters: map[string]string{"start": "2000-01-04 02:30", "zone": "UTC", "commit": "3333333"},
				Answer: func(q incident.Question) incident.Answer {
					if q.Step == "approve-rollback" {
						effects = q.Effects
					}
					return agreeing(q)
				},
				Check: func(t testing.TB, _ incident.Run) {
					if assert.Len(t, effects, 1) {
						assert.Contains(t, effects[0].Call, "roll back production to deployment d2")
					}
				},
			}
		},
		Repeatable: repeatable("Keep runbook-run-1-dump"),
	})
}

// Which deployment is the newest version that was asked for is not known: nothing that
// another run deployed meanwhile is taken for it.
func TestMaintenanceWindowDoesNotGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDataHouse(t)
		for _, s := range playbooks.MaintenanceWindow(h.Environment, h.vault.keeping()).Steps {
			if s.ID != "deploy" {
				continue
			}
			scope := &incident.Scope{Now: time.Now()}
			time.Sleep(time.Minute)
			h.platform.Deploy(incident.Deployment{Commit: "9999999"})
			_, done, err := s.Do.(incident.Action).Done(t.Context(), scope)
			require.ErrorContains(t, err, "which one that was is not known")
			assert.False(t, done)
		}
	})
}
