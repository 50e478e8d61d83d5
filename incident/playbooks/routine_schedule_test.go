package playbooks_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert/schedule"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// A week of the three reports, started by the schedules of the runbook, in Sydney.
//
// Requirement: RB-REPORT-MORNING, RB-REPORT-EVENING, RB-REPORT-WEEKLY
func TestReportsAreSentWhenTheyAreDue(t *testing.T) {
	sydney, err := health.LoadZone("Australia/Sydney")
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		h := newDeskHouse(t)
		h.Zone = sydney
		var sent []string
		h.Inform = func(_ context.Context, m incident.Message) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			title, _, _ := strings.Cut(m.Title, " 00:00")
			sent = append(sent, time.Now().In(sydney).Format("Mon 15:04 ")+title)
			return nil
		}
		all := playbooks.All(h.Environment, playbooks.Surroundings{Figures: []playbooks.FigureSource{playbooks.HistoryFigures(weekHistory(t), "app")}})
		usable, _ := playbooks.Usable(all) // what this house lacks does not matter here
		runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
		runner, err := incident.NewRunner(incident.RunnerConfig{Playbooks: usable, Runs: runs, Store: new(incident.MemoryStore)})
		require.NoError(t, err)
		require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: runner.Program()}))
		starts := func(playbook string) func(ctx context.Context, run schedule.Run) error {
			return func(ctx context.Context, run schedule.Run) error {
				_, err := runner.Start(ctx, incident.Request{ID: run.Schedule + "-" + run.Date, Environment: "production", Playbook: playbook, By: "the schedule"})
				return err
			}
		}
		scheduler, err := schedule.New(schedule.Config{Zone: sydney, Schedules: schedule.Runbook(schedule.Jobs{
			MorningSummary: starts("morning-check"), EndOfDay: starts("end-of-day-report"), WeeklySummary: starts("weekly-report"),
		})})
		require.NoError(t, err)
		// Five hours after the summary of Saturday morning was due, which is too late for it.
		time.Sleep(time.Until(time.Date(2000, 1, 8, 13, 0, 0, 0, sydney)))
		require.NoError(t, scheduler.Start(t.Context()))
		time.Sleep(time.Until(time.Date(2000, 1, 11, 7, 0, 0, 0, sydney)))
		require.NoError(t, scheduler.Stop(t.Context()))
		require.NoError(t, runs.Close(context.WithoutCancel(t.Context())))
		const morning, evening = "Morning health summary: all is well", "End-of-day status of production: all is well"
		assert.Equal(t, []string{
			"Sat 18:00 " + evening,
			"Sun 08:00 " + morning, "Sun 18:00 " + evening,
			"Mon 08:00 " + morning, "Mon 08:30 Performance of production in the week from Mon 3 Jan 2000", "Mon 18:00 " + evening,
		}, sent)
	})
}
