package playbooks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

const setMode = "SetVariables CANVAS_MAINTENANCE_MODE"

func maintenance(c *canvasHouse) incident.Playbook {
	return playbooks.CanvasMaintenance(c.Environment)
}

// awayFor says that Canvas is away for a while from now on.
func (c *canvasHouse) awayFor(from, d time.Duration) {
	began := time.Now()
	c.isDown("canvas host", func() bool { gone := time.Since(began); return gone >= from && gone < from+d }, "status 503")
	c.isDown("canvas", func() bool {
		gone := time.Since(began)
		return gone >= from && gone < from+d || c.got("CANVAS_MAINTENANCE_MODE", "true")
	}, "maintenance mode")
}

// modeOn reports whether the application runs in the mode without Canvas.
func (c *canvasHouse) modeOn() bool { return c.got("CANVAS_MAINTENANCE_MODE", "true") }

// Requirement: RB-CANVAS-MAINTENANCE-NOTIFY, RB-CANVAS-MAINTENANCE-DEGRADED, RB-CANVAS-MAINTENANCE-DURING
func TestCanvasMaintenance(t *testing.T) {
	tellStories(t, maintenance, map[string]story{
		"a Canvas that is away is left alone until it is back": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"CANVAS_MAINTENANCE_MODE": "false"})
				c.awayFor(0, 3*time.Minute)
			},
			does: []string{setMode, "Redeploy", setMode, "Redeploy"},
			why:  "Canvas itself does not answer: unhealthy: status 503",
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				assert.True(t, c.got("CANVAS_MAINTENANCE_MODE", "false"))
				assert.Contains(t, run.Step("announce").Message, "Canvas is away, and shows nothing to anybody")
				assert.GreaterOrEqual(t, run.Step("wait-canvas").Ended.Sub(run.Began), 3*time.Minute)
			},
		},
		"a planned one is announced, and lasts as long as was said": {
			world: func(c *canvasHouse) {
				c.runsWith(nil)
				c.awayFor(12*time.Minute, 2*time.Minute)
			},
			with: map[string]string{"in": "10m", "lasts": "6m"},
			does: []string{setMode, "Redeploy", setMode, "Redeploy", "Announce canvas-maintenance-2000-01-05", "Withdraw canvas-maintenance-2000-01-05"},
			why:  "the maintenance is planned",
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				var said []string
				for _, p := range c.posts {
					said = append(said, p.Status)
				}
				assert.Equal(t, []string{"scheduled", "in_progress", "completed"}, said)
				assert.Equal(t, "From Wed 5 Jan 00:10 UTC to Wed 5 Jan 00:16 UTC. What needs Canvas does not work meanwhile; everything else does.", c.posts[0].Body)
				assert.GreaterOrEqual(t, run.Step("degrade").Began.Sub(run.Began), 10*time.Minute)
				assert.GreaterOrEqual(t, run.Step("restore").Began.Sub(run.Began), 16*time.Minute, "Canvas was there before, and then away")
			},
		},
		"an announcement of which nothing is known stops nothing": {
			world: func(c *canvasHouse) {
				c.runsWith(nil)
				c.awayFor(2*time.Minute, 2*time.Minute)
				c.announcer.Fail(incident.ErrOutcomeUnknown, incident.ErrOutcomeUnknown)
			},
			with:  map[string]string{"planned": "yes", "lasts": "5m"},
			does:  []string{setMode, "Redeploy", setMode, "Redeploy", "Withdraw canvas-maintenance-2000-01-05"},
			why:   "the maintenance is planned",
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) { assert.Empty(t, c.announcer.Announcements()) },
		},
		"nothing is deployed while the platform has a fault": {
			world: func(c *canvasHouse) {
				c.runsWith(nil)
				c.awayFor(0, 3*time.Minute)
				began := time.Now()
				c.isDown("platform", func() bool { gone := time.Since(began); return gone >= 2*time.Minute && gone < 7*time.Minute }, "an incident")
			},
			does: []string{setMode, "Redeploy", setMode, "Redeploy"},
			why:  "Canvas itself does not answer: unhealthy: status 503",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Less(t, run.Step("wait-canvas").Ended.Sub(run.Began), 5*time.Minute)
				assert.GreaterOrEqual(t, run.Step("restore").Began.Sub(run.Began), 7*time.Minute)
			},
		},
		"a mode that was left on is switched off": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"CANVAS_MAINTENANCE_MODE": "true"})
				c.isDown("canvas", c.modeOn, "maintenance mode")
			},
			does: []string{setMode, "Redeploy"},
			why:  "CANVAS_MAINTENANCE_MODE is set, and Canvas works: it was left on",
		},
		"a mode that is on already is not set again": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"CANVAS_MAINTENANCE_MODE": "true"})
				c.awayFor(0, 3*time.Minute)
				c.Announcer = nil
			},
			does: []string{setMode, "Redeploy"},
			why:  "CANVAS_MAINTENANCE_MODE is set already; Canvas itself does not answer",
		},
		"a maintenance that Canvas says is waited for": {
			world: func(c *canvasHouse) {
				began := time.Now()
				c.runsWith(nil)
				c.Announcer = nil
				c.say("canvas status", func() health.Result {
					if time.Since(began) > 24*time.Hour+3*time.Minute {
						return health.Result{Status: health.Healthy}
					}
					return health.Result{Status: health.Maintenance, Message: "scheduled maintenance"}
				})
			},
			does: []string{setMode, "Redeploy", setMode, "Redeploy"},
			why:  "Canvas is in maintenance: scheduled maintenance",
		},
		"a Canvas that works is left as it is": {
			world: func(*canvasHouse) {},
			why:   "Canvas works",
		},
		"nothing is deployed on a platform that is down": {
			world: func(c *canvasHouse) {
				c.awayFor(0, time.Hour)
				c.isDown("platform", always, "major outage")
			},
			want: incident.StateFailed,
			why:  "nothing can be deployed, since the platform has a fault",
		},
		"what nobody can see is for people": {
			world: func(c *canvasHouse) { c.say("canvas host", func() health.Result { return health.Result{} }) },
			want:  incident.StateFailed,
			why:   "whether Canvas is away could not be seen",
		},
	})
}

func TestCanvasMaintenanceForm(t *testing.T) {
	t.Parallel()
	p := playbooks.CanvasMaintenance(playbooks.Environment{Name: "prod"})
	isInvalid(t, p, "Variables", "Deployer", "probe of Canvas")
	assert.NotEqual(t, p.Environment, p.Lock, "a Canvas that is away for hours keeps no other playbook from its work")
	assert.Subset(t, commands(p.Steps), []string{
		"railway variables set CANVAS_MAINTENANCE_MODE=true --environment production", `curl -f "https://aculeo.instructure.com"`,
		"railway variables set CANVAS_MAINTENANCE_MODE=false --environment production",
	})
	for _, command := range commands(p.Steps) {
		assert.False(t, strings.Contains(command, "restart"), "a restart applies no variable")
	}
}
