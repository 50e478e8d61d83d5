package host_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// A host of others tells nobody of the runbook, works by its own clock, and gives its own
// people its own time.
//
// Requirement: RB-SEV-LEVELS
func TestTheDefaultsOfAnotherHouse(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	noting := func(real func(string) (alert.Notifier, error)) func(string) (alert.Notifier, error) {
		return func(to string) (alert.Notifier, error) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, to)
			return real(to)
		}
	}
	change := func(cfg *host.Config) {
		observing(cfg)
		numbers := host.RehearsalNumbers()
		numbers.Mail = incident.MatrixMail{
			Operations: "operations@example.edu", SystemAdministrators: "admins@example.edu", Development: "dev@example.edu", LeadDeveloper: "lead@example.edu",
			CanvasAdministrators: "canvas@example.edu", CanvasSupport: "lms-support@example.com", Infrastructure: "infra@example.edu", RailwaySupport: "cloud-support@example.com",
		}
		cfg.Defaults = playbooks.Defaults{
			Security: "security@example.edu", Escalation: numbers, Acknowledge: playbooks.ResponseTimes{High: 7 * time.Minute},
			Channels: playbooks.Channels{AlertsChat: "#alerts", AlertsMail: "on-call@example.edu", StatusChat: "#status", StatusMail: "everybody@example.edu"},
			Reports:  playbooks.ReportTimes{Morning: health.At(6, 45)},
		}
		cfg.Channels.Chat, cfg.Channels.Mail = noting(cfg.Channels.Chat), noting(cfg.Channels.Mail)
	}
	onStage(t, change, func(s *stage) {
		mu.Lock()
		defer mu.Unlock()
		for _, to := range asked {
			assert.False(s, strings.HasSuffix(to, "acu.edu.au") || strings.Contains(to, "qa-automation"), "%s is of the runbook", to)
		}
		for _, to := range []string{"#alerts", "#status", "on-call@example.edu", "everybody@example.edu", "operations@example.edu", "lms-support@example.com", "canvas@example.edu", "infra@example.edu"} {
			assert.Contains(s, asked, to)
		}
		zone, err := time.LoadLocation("Australia/Sydney")
		require.NoError(s, err)
		at := make(map[string]string)
		for run := range s.host.Scheduler().Between(time.Now(), time.Now().Add(7*24*time.Hour)) {
			at[run.Schedule] = run.Due.In(zone).Format("15:04")
		}
		assert.Equal(s, "06:45", at["morning-summary"])
		assert.Equal(s, "18:00", at["end-of-day"], "what is left out is as the runbook has it")
		opened, err := s.host.Manager().Open(s.Context(), incident.Opening{By: "Ana Silva", Title: "It is slow", Environment: "production", Severity: alert.High, NoEscalation: true})
		require.NoError(s, err)
		i := slices.IndexFunc(opened.Clocks, func(c incident.Clock) bool { return c.Kind == incident.ClockAcknowledge })
		require.GreaterOrEqual(s, i, 0)
		assert.Equal(s, 7*time.Minute, opened.Clocks[i].Due.Sub(opened.Triggered))
	})
}

// What rules take for silence goes by the intervals of the runbook.
func TestRulesGoByTheIntervals(t *testing.T) {
	t.Parallel()
	assert.Equal(t, host.RunbookIntervals(), host.Every())
}
