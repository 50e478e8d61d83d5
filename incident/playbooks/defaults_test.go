package playbooks_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/calendar"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// What a host says stays, what it leaves out is as the runbook has it, and its own value is
// not changed.
func TestWithDefaults(t *testing.T) {
	t.Parallel()
	assert.Empty(t, cmp.Diff(playbooks.RunbookDefaults(), playbooks.Defaults{}.WithDefaults()))
	own := playbooks.Defaults{Memory: 75, Settle: time.Minute, Security: "security@example.com"}
	want := playbooks.RunbookDefaults()
	want.Memory, want.Settle, want.Security = 75, time.Minute, "security@example.com"
	assert.Empty(t, cmp.Diff(want, own.WithDefaults()))
	assert.Zero(t, own.ErrorRate)
}

// The values are those that the runbook has, and the choices that stand beside it.
//
// Requirement: RB-SEV1, RB-SEV2, RB-SEV3, RB-SEV4
func TestRunbookDefaults(t *testing.T) {
	t.Parallel()
	want := playbooks.Defaults{
		AsyncWorkers: 8, CanvasRateSlow: 100, CanvasRateLimited: 120, MemoryLimitMB: 1024, MaxConcurrentTasks: 5,
		BatchSize: 25, ParallelProcessing: 3, ProgressInterval: 5,
		ResponseTime: 5 * time.Second, ErrorRate: 0.05, MemoryWarning: 80, Memory: 90, RecentErrors: 5, SlowTask: 5 * time.Minute,
		Times: 3, CanvasPoll: time.Minute,
		RecentDeployment: 4 * time.Hour, Settle: 30 * time.Second, Recover: 10 * time.Minute, CanvasAway: 24 * time.Hour,
		BackupAge: 26 * time.Hour, DumpAge: 26 * time.Hour, CredentialAge: 2160 * time.Hour, Calm: 15 * time.Minute,
		Approve: 30 * time.Minute, Approvers: 1, BreachNotice: 720 * time.Hour,
		Acknowledge: playbooks.ResponseTimes{Critical: 15 * time.Minute, High: 30 * time.Minute, Medium: 2 * time.Hour, Low: incident.NextBusinessDay},
		Intervals:   playbooks.Intervals{Application: 30 * time.Second, Canvas: 60 * time.Second, Database: 60 * time.Second, Performance: 5 * time.Minute},
		Reports:     playbooks.ReportTimes{Backups: health.At(7, 0), Morning: health.At(8, 0), EndOfDay: health.At(18, 0), Weekly: health.At(8, 30), Monthly: health.At(9, 0)},
		Channels: playbooks.Channels{
			AlertsChat: "#qa-automation-alerts", AlertsMail: "on-call-team@acu.edu.au",
			StatusChat: "#qa-automation-status", StatusMail: "qa-automation-alerts@acu.edu.au", StatusPage: "https://status.acu.edu.au/qa-automation",
		},
		Escalation: incident.MatrixNumbers{Mail: incident.MatrixMail{
			Operations: "operations@acu.edu.au", SystemAdministrators: "sys-admin@acu.edu.au", Development: "dev-team@acu.edu.au", LeadDeveloper: "lead-dev@acu.edu.au",
			CanvasAdministrators: "canvas-admin@acu.edu.au", CanvasSupport: "support@instructure.com", Infrastructure: "infra@acu.edu.au", RailwaySupport: "support@railway.app",
		}},
		Test:       playbooks.Place{Application: "https://qa-automation-test.railway.app", Canvas: "https://aculeo.test.instructure.com"},
		Beta:       playbooks.Place{Application: "https://qa-automation-beta.railway.app", Canvas: "https://aculeo.beta.instructure.com"},
		Production: playbooks.Place{Application: "https://qa-automation.acu.edu.au", Canvas: "https://aculeo.instructure.com"},
	}
	assert.Empty(t, cmp.Diff(want, playbooks.RunbookDefaults()))
	business, err := calendar.New(calendar.Config{Region: calendar.NSW})
	assert.NoError(t, err)
	slas := playbooks.RunbookDefaults().Acknowledge.SLAs(business)
	for severity, sla := range incident.DefaultSLAs(business) {
		assert.Equal(t, sla, slas[severity], severity)
	}
	assert.Len(t, slas, 4)
	assert.Nil(t, slas[alert.High].Calendar, "at any hour")
}

// What is within a value is completed and judged as what is beside it.
func TestDefaultsWithinDefaults(t *testing.T) {
	t.Parallel()
	own := playbooks.Defaults{
		Channels: playbooks.Channels{AlertsMail: "on-call@example.edu"}, Acknowledge: playbooks.ResponseTimes{High: time.Hour, Low: 48 * time.Hour},
		Escalation: incident.MatrixNumbers{Mail: incident.MatrixMail{Operations: "operations@example.edu"}},
	}
	all := own.WithDefaults()
	assert.Equal(t, "on-call@example.edu", all.Channels.AlertsMail)
	assert.Equal(t, "#qa-automation-alerts", all.Channels.AlertsChat)
	assert.Equal(t, time.Hour, all.Acknowledge.High)
	assert.Equal(t, 48*time.Hour, all.Acknowledge.Low)
	assert.Equal(t, 15*time.Minute, all.Acknowledge.Critical)
	assert.Equal(t, "operations@example.edu", all.Escalation.Mail.Operations)
	assert.Equal(t, "infra@acu.edu.au", all.Escalation.Mail.Infrastructure)
	assert.NoError(t, all.Validate())
	all.Acknowledge.Low, all.Intervals.Canvas, all.BatchSize = -2, -1, -1
	err := all.Validate()
	for _, want := range []string{"defaults: Acknowledge.Low is negative", "defaults: Intervals.Canvas is negative", "defaults: BatchSize is negative"} {
		assert.ErrorContains(t, err, want)
	}
}
