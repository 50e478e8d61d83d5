package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

// The alert of the runbook's morning script: what fails and is not explained by something
// else is told once, and only if it is asked for.
//
// Requirement: AL-RULE-DEPENDENCY
func TestAlerts(t *testing.T) {
	assert.Empty(t, alertsFor(t))
	dry := alertsFor(t, "-scenario", "application-down")
	require.NotEmpty(t, dry)
	for _, a := range dry {
		assert.Equal(t, "production", a.Environment)
		assert.Equal(t, []tellReport{{Target: "slack"}, {Target: "email"}}, a.Told)
	}
	assert.Equal(t, "application", dry[0].Check)
	assert.Equal(t, "critical", dry[0].Severity.String())
	told := alertsFor(t, "-scenario", "application-down", "-notify")
	require.Len(t, told, len(dry))
	for _, a := range told {
		assert.Equal(t, []tellReport{{Target: "slack", Delivered: true}, {Target: "email", Delivered: true}}, a.Told)
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
