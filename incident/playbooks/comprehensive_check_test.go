package playbooks_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Requirement: RB-SCRIPT-COMPREHENSIVE-HEALTH-CHECK
func TestComprehensiveCheck(t *testing.T) {
	whole := func(then func(h *deskHouse)) func(h *deskHouse) {
		return func(h *deskHouse) {
			quota := new(incidenttest.Quota)
			quota.Set(incident.QuotaState{Remaining: 600, Limit: 600, Measured: true})
			h.Environment.Quota, h.Environment.Backups = quota, h.platform
			h.withKey(true)
			h.doctorFinds(incident.Diagnosis{Checked: []string{"keys"}}, nil)
			if _, err := h.platform.CreateBackup(t.Context(), "daily"); err != nil {
				panic(err)
			}
			time.Sleep(2 * time.Hour)
			then(h)
		}
	}
	routines(t, "as-it-should-be", func(h *deskHouse) incident.Playbook { return playbooks.ComprehensiveCheck(h.Environment) }, map[string]routineCase{
		"all is well": {world: whole(func(*deskHouse) {}), ends: "all is well"},
		"each thing that is not is named": {
			world: whole(func(h *deskHouse) {
				h.say("redis", down("connection refused"))
				h.say("database server", down("disk is full"))
			}), want: incident.StateFailed, ends: "database server: unhealthy: disk is full; redis: unhealthy: connection refused",
		},
		"a fault of others is no failure of ours": {
			world: whole(func(h *deskHouse) {
				h.say("platform", down("builds are slow"))
				h.shows("canvas status", health.Unknown, "no such host")
			}), ends: "all is well",
		},
		"what could not be looked at is not well": {
			world: whole(func(h *deskHouse) { h.shows("lti", health.Unknown, "no such host") }), want: incident.StateFailed, ends: "lti: unknown: no such host",
		},
		"six errors are too many": {
			world: whole(func(h *deskHouse) { h.users(0, 0, 6) }), want: incident.StateFailed, ends: "high error count: 6 errors",
		},
		"an old backup": {
			world: whole(func(*deskHouse) { time.Sleep(30 * time.Hour) }), want: incident.StateFailed, ends: "which is more than 26h0m",
		},
		"no backup": {
			world: whole(func(h *deskHouse) { h.Environment.Backups = new(incidenttest.Platform) }), want: incident.StateFailed, ends: "backups: there is none",
		},
		"nothing runs": {
			world: whole(func(h *deskHouse) { h.Deployer = new(incidenttest.Platform) }), want: incident.StateFailed, ends: "deployment: none runs",
		},
		"Canvas rejects requests": {
			world: whole(func(h *deskHouse) {
				quota := new(incidenttest.Quota)
				quota.Set(incident.QuotaState{Remaining: 0, Limit: 600, Measured: true, Throttled: true})
				h.Environment.Quota = quota
			}), want: incident.StateFailed, ends: "rate limit of Canvas: Canvas rejects requests",
		},
		"deployments that cannot be read": {
			world: whole(func(h *deskHouse) {
				h.platform.Fail("Deployments", slices.Repeat([]error{errors.New("gateway")}, 6)...)
			}), want: incident.StateFailed, ends: "deployment: gateway",
		},
		"who has only an application has that checked": {
			world: func(h *deskHouse) {
				h.Environment = playbooks.Environment{Name: "production", Probes: playbooks.Probes{Application: h.Probes.Application}}
			}, ends: "all is well",
		},
	})
}

// A plan makes all looks but the one that runs a task.
func TestComprehensiveCheckPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeskHouse(t)
		ran := false
		h.say("task", func() health.Result { ran = true; return health.Result{Status: health.Healthy} })
		h.say("redis", down("connection refused"))
		run := planned(t, playbooks.ComprehensiveCheck(h.Environment))
		assert.Contains(t, run.Step("as-it-should-be").Message, "redis: unhealthy")
		assert.False(t, ran)
	})
}
