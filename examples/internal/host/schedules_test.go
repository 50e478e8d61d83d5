package host_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/incident"
)

// What the runbook asks to be done by the clock begins when it is due, in the zone of the
// people, and reaches its readers.
//
// Requirement: RB-REPORT-MORNING, RB-REPORT-EVENING
func TestADayByTheClock(t *testing.T) {
	change := func(cfg *host.Config) {
		observing(cfg)
		cfg.Connections = cfg.Connections[2:]
	}
	onStage(t, change, func(s *stage) {
		defer s.story()
		zone, err := time.LoadLocation("Australia/Sydney")
		require.NoError(s, err)
		var due []string
		for run := range s.host.Scheduler().Between(time.Now(), time.Now().Add(7*24*time.Hour)) {
			if !slices.Contains(due, run.Schedule) {
				due = append(due, run.Schedule)
			}
		}
		for _, want := range []string{"morning-summary", "end-of-day", "weekly-summary", "backup-check", "dump-production", "retention"} {
			assert.Contains(s, due, want)
		}
		time.Sleep(23 * time.Hour) // from 11:00 to 10:00
		began := make(map[string]string)
		for run, err := range s.host.Runner().Runs(s.Context(), incident.RunQuery{}) {
			require.NoError(s, err)
			if run.Environment == "production" {
				began[run.Playbook] = run.Started.In(zone).Format("15:04") + " " + string(run.State)
			}
		}
		assert.Equal(s, "18:00 succeeded", began["end-of-day-report"])
		assert.Equal(s, "07:00 succeeded", began["backup-verification"])
		assert.Equal(s, "08:00 succeeded", began["morning-check"])
		assert.Equal(s, []string{"End-of-day status of production: all is well", "Morning health summary: all is well"}, s.told("slack", "#qa-automation-alerts", time.Time{}))
		assert.Empty(s, s.incidents(), "a day on which all is well")
	})
}
