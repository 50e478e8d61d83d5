package playbooks_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Requirement: RB-SCRIPT-UAT-VALIDATION
func TestUserAcceptance(t *testing.T) {
	takes := time.Minute
	playbook := func(h *deskHouse) incident.Playbook {
		task := h.Probes.Task
		h.Probes.Task = health.ProberFunc(func(ctx context.Context) health.Result {
			h.tasks++
			return task.Probe(ctx)
		})
		return playbooks.UserAcceptance(h.Environment, playbooks.AcceptanceCheck{Name: "the report can be printed", Prober: h.probe("print")})
	}
	routines(t, "accepted", playbook, map[string]routineCase{
		"a task runs from its beginning to its end": {
			world: func(h *deskHouse) {
				h.say("task", func() health.Result {
					time.Sleep(takes)
					return health.Result{Status: health.Healthy}
				})
			}, tasks: 1, ends: "all is well",
		},
		"a task that does not come to its end": {
			world: func(h *deskHouse) { h.say("task", down("no result after 5m")) }, tasks: 1, want: incident.StateFailed,
			ends: "a QA task: the task did not come to its end: unhealthy: no result after 5m",
		},
		"a task that takes too long": {
			world: func(h *deskHouse) {
				h.shows("task", health.Healthy, "", health.Measurement{Name: "task_duration", Value: 301})
			}, tasks: 1, want: incident.StateFailed, ends: "a QA task: it took 5m1s, and 5m0s may it take",
		},
		"a task that takes as long as it may": {
			world: func(h *deskHouse) {
				h.shows("task", health.Healthy, "", health.Measurement{Name: "task_duration", Value: 300})
			}, tasks: 1, ends: "all is well",
		},
		"a launch that fails": {
			world: func(h *deskHouse) { h.say("login", down("invalid nonce")) }, tasks: 1, want: incident.StateFailed, ends: "a launch: unhealthy: invalid nonce",
		},
		"a check of the host that does not pass": {
			world: func(h *deskHouse) { h.say("print", down("an empty page")) }, tasks: 1, want: incident.StateFailed, ends: "the report can be printed: unhealthy: an empty page",
		},
		"progress that does not arrive": {
			world: func(h *deskHouse) { h.say("websocket", down("closed")) }, tasks: 1, want: incident.StateFailed, ends: "progress over WebSocket: unhealthy: closed",
		},
	})
}

// While there is nothing to learn from it, nothing is tried.
func TestUserAcceptanceTriesNothing(t *testing.T) {
	playbook := func(h *deskHouse) incident.Playbook { return playbooks.UserAcceptance(h.Environment) }
	routines(t, "decide", playbook, map[string]routineCase{
		"while the application is down": {
			world: func(h *deskHouse) { h.say("application", down("status 502")) }, want: incident.StateFailed, ends: "the application is not well",
		},
		"while Canvas is away": {
			world: func(h *deskHouse) { h.say("canvas host", down("status 503")) }, want: incident.StateFailed, ends: "nothing can be tried while Canvas is away",
		},
	})
}

// A plan runs no task.
func TestUserAcceptancePlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeskHouse(t)
		h.say("task", func() health.Result {
			h.tasks++
			return health.Result{Status: health.Healthy}
		})
		run := planned(t, playbooks.UserAcceptance(h.Environment))
		assert.Equal(t, "run a QA task in production, on the course for tests", run.Step("task").Effect.Call)
		assert.Zero(t, h.tasks)
	})
}

func TestUserAcceptanceNeeds(t *testing.T) {
	t.Parallel()
	isInvalid(t, playbooks.UserAcceptance(playbooks.Environment{Name: "production"}, playbooks.AcceptanceCheck{}), "probe of Task", "name and prober of check 1")
}
