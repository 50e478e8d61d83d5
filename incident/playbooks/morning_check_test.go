package playbooks_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Requirement: RB-MORNING-HEALTH, RB-MORNING-ALERT, RB-CANVAS-API-HEALTH, RB-USER-ACTIVITY, RB-USER-ACTIVITY-ERRORS, RB-USER-ACTIVITY-ALERT
// Requirement: RB-SCRIPT-ALERT, RB-SCRIPT-PERFORMANCE-CHECK, RB-FIELD-CANVAS-DETAILS
func TestMorningCheck(t *testing.T) {
	const summary = "Morning health summary"
	routines(t, "as-they-should-be", func(h *deskHouse) incident.Playbook {
		return playbooks.MorningCheck(h.Environment, h.named("test"), h.named("beta"))
	}, map[string]routineCase{
		"all is well": {
			world: func(h *deskHouse) { h.users(12, 3, 0) }, letter: summary, ends: "all is well",
			says: []string{": all is well", "test, health: healthy", "beta, performance: it takes", "production, Canvas: healthy", "production, users: active_sessions 12, active_qa_tasks 3, recent_errors 0"},
		},
		"one environment is down, and the others are looked at all the same": {
			world: func(h *deskHouse) { h.say("test application", down("status 502")) }, want: incident.StateFailed,
			letter: summary, says: []string{": 1 problems", "test, health: unhealthy: status 502", "beta, health: healthy", "production, health: healthy"}, ends: "test, health: unhealthy: status 502",
		},
		"the alert names the environment": {
			world: func(h *deskHouse) { h.say("beta application", down("status 502")) }, want: incident.StateFailed,
			letter: "beta environment health check failed", says: []string{"unhealthy: status 502"},
		},
		"the alert of the environment of the users is one too": {
			world: func(h *deskHouse) { h.say("application", down("status 502")) }, want: incident.StateFailed,
			letter: "production environment health check failed", says: []string{"unhealthy: status 502"}, ends: "production, health: unhealthy: status 502",
		},
		"what cannot be looked at is not well": {
			world: func(h *deskHouse) { h.shows("beta application", health.Unknown, "no such host") }, want: incident.StateFailed,
			letter: summary, says: []string{": 1 not known", "beta, health: unknown: no such host"}, ends: "no such host",
		},
		"a slow environment has issues": {
			world: func(h *deskHouse) {
				h.shows("beta performance", health.Healthy, "", health.Measurement{Name: "response_time_p95", Value: 6200, Unit: health.Milliseconds})
			},
			want: incident.StateFailed, letter: summary, says: []string{"beta, performance: it takes 6.2s (limit 5s)"},
		},
		"an environment that fails requests has issues": {
			world: func(h *deskHouse) {
				h.shows("beta performance", health.Healthy, "", health.Measurement{Name: "error_rate", Value: 6, Unit: health.Percent})
			},
			want: incident.StateFailed, letter: summary, says: []string{"6.0 % of requests fail (limit 5 %)"},
		},
		"memory beyond the limit of the probe has issues": {
			world: func(h *deskHouse) {
				h.shows("test performance", health.Unhealthy, "memory", health.Measurement{Name: "response_time", Value: 1}, health.Measurement{Name: "memory_usage", Value: 95, Unit: health.Percent})
			},
			want: incident.StateFailed, letter: summary, says: []string{"test, performance: unhealthy: memory", "memory_usage 95"},
		},
		"the details of Canvas are shown when it is not healthy": {
			world: func(h *deskHouse) {
				h.shows("beta canvas", health.Unhealthy, "status is down", health.Measurement{Name: "canvas_details.token", Text: "expired"})
			},
			want: incident.StateFailed, letter: summary, says: []string{"beta, Canvas: unhealthy: status is down (canvas_details.token expired)"},
		},
		"maintenance is down on purpose": {
			world: func(h *deskHouse) { h.shows("canvas", health.Maintenance, "until 06:00") }, letter: summary, ends: "all is well",
			says: []string{"To be watched:\n- production, Canvas: maintenance: until 06:00"},
		},
		"five errors are not too many": {
			world: func(h *deskHouse) { h.users(1, 1, 5) }, letter: summary, says: []string{"recent_errors 5"}, omits: []string{"high error count"}, ends: "all is well",
		},
		"six errors are, and are told with their number": {
			world: func(h *deskHouse) { h.users(1, 1, 6) }, want: incident.StateFailed,
			letter: "High error count detected: 6 errors", says: []string{"In production."}, ends: "high error count: 6 errors, and 5 may be",
		},
		"errors that are not counted are not zero": {
			world: func(h *deskHouse) {
				h.shows("activity", health.Healthy, "", health.Measurement{Name: "active_sessions", Value: 1})
			},
			want: incident.StateFailed, letter: summary, says: []string{"how many errors there were was not said"},
		},
		"an environment without a probe of Canvas says so": {
			world: func(h *deskHouse) { h.Probes.Canvas = nil }, letter: summary, says: []string{"Not looked at:\n- production, Canvas"},
		},
		"a summary that reaches nobody is a failure": {
			world: func(h *deskHouse) { h.deaf = errDeaf }, want: incident.StateFailed, ends: "nobody could be told (tell-summary): the mail server does not answer",
		},
		"who informs nobody looks at the run": {world: func(h *deskHouse) { h.Inform = nil }, ends: "all is well"},
	})
}

// It goes on while another playbook mends something: it changes nothing.
func TestMorningCheckHoldsNothingUp(t *testing.T) {
	t.Parallel()
	p := playbooks.MorningCheck(playbooks.Environment{Name: "prod"})
	assert.Equal(t, "production", p.Environment)
	assert.NotEqual(t, p.Environment, p.Lock)
}
