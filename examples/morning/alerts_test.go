package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/examples/internal/estate"
	"go.acu.edu.au/runbook/health"
)

// alertsFor returns the alerts that a run reports.
func alertsFor(t *testing.T, args ...string) (list []alertReport) {
	t.Helper()
	_, out, errs := execute(t.Context(), nil, append([]string{"-json"}, args...)...)
	require.Empty(t, errs)
	var r struct {
		Alerts []alertReport `json:"alerts"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	return r.Alerts
}

// The sample tells whom the runbook names: a channel, a team by mail, and a phone.
func TestSampleTellsWhomTheRunbookNames(t *testing.T) {
	world, err := estate.Start(estate.Config{})
	require.NoError(t, err)
	defer world.Close()
	s, file := load(config.Source{Name: sampleName, Text: sample, Getenv: world.Getenv})
	require.NoError(t, file.Err())
	assert.Equal(t, "#qa-automation-alerts", s.Alerts.Slack.Channel)
	assert.Equal(t, []string{"on-call-team@acu.edu.au"}, s.Alerts.Email.To)
	assert.Equal(t, "smtp.acu.edu.au", s.Alerts.Email.Host)
	require.NotNil(t, s.Alerts.SMS)

	targets, zone := s.Alerts.targets(file, false)
	require.NoError(t, file.Err(), "each notifier takes what the sample says of it")
	assert.Equal(t, "Australia/Sydney", zone.String())
	pages := make(map[string]bool)
	for _, target := range targets {
		pages[target.Name] = target.Pages
	}
	assert.Equal(t, map[string]bool{"slack": false, "email": false, "sms": true}, pages, "a phone is for critical alerts only")
}

// The alert of the runbook's morning script: what fails and is not explained by something
// else is told once, and only if it is asked for; by SMS only what is critical.
//
// Requirement: AL-RULE-DEPENDENCY
func TestAlerts(t *testing.T) {
	assert.Empty(t, alertsFor(t))
	dry := alertsFor(t, "-scenario", "application-down")
	require.NotEmpty(t, dry)
	for _, a := range dry {
		assert.Equal(t, "production", a.Environment)
		assert.Equal(t, []tellReport{{Target: "slack"}, {Target: "email"}, {Target: "sms"}}, a.Told)
	}
	assert.Equal(t, "application", dry[0].Check)
	assert.Equal(t, "critical", dry[0].Severity.String())
	told := alertsFor(t, "-scenario", "application-down", "-notify")
	require.Len(t, told, len(dry))
	for _, a := range told {
		assert.Equal(t, []tellReport{{Target: "slack", Delivered: true}, {Target: "email", Delivered: true}, {Target: "sms", Delivered: true}}, a.Told)
	}
	for _, scenario := range []string{"memory-high", "canvas-throttled", "recent-errors"} {
		list := alertsFor(t, "-scenario", scenario, "-notify")
		require.NotEmpty(t, list, scenario)
		for _, a := range list {
			assert.Equal(t, "high", a.Severity.String(), scenario)
			assert.Equal(t, []tellReport{{Target: "slack", Delivered: true}, {Target: "email", Delivered: true}}, a.Told, "%s is not for a phone", scenario)
		}
	}
}

// If no host answers, the fault is here, and nobody is woken.
func TestNoAlertsWithoutANetwork(t *testing.T) {
	r := &report{Environments: []environmentReport{{Name: "production", Checks: []checkReport{
		{Name: "a", Target: "https://a.example/", Cause: "dns", Status: health.Unhealthy}, {Name: "b", Target: "https://b.example/", Cause: "dns", Status: health.Unhealthy},
	}}}}
	assert.True(t, r.nothingReached())
	assert.Empty(t, alertsOf(r))
}
