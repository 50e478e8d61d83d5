package playbooks_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

func websockets(c *canvasHouse) incident.Playbook { return playbooks.WebSocketFailures(c.Environment) }

func TestWebSocketFailures(t *testing.T) {
	tellStories(t, websockets, map[string]story{
		"a restart mends it, once the tasks are done": {
			world: func(c *canvasHouse) {
				c.runsWith(nil)
				began := time.Now()
				c.platform.Print(incident.LogLine{Message: "WebSocket closed: 1006"})
				c.isDown("websocket", func() bool { return !c.did("Restart") }, "closed with 1006")
				c.uses(func() float64 { return 40 }, func() float64 {
					if time.Since(began) > 5*time.Minute {
						return 0
					}
					return 1
				})
			},
			does: []string{"Restart"},
			why:  "it does not work: closed with 1006; 1 lines of the log are about it",
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				assert.Greater(t, run.Step("restart.restart").Began.Sub(run.Began), 5*time.Minute)
				assert.Equal(t, []string{"operators: Users see progress again"}, c.mails)
			},
		},
		"too many updates are fewer": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"PROGRESS_UPDATE_INTERVAL": "1"})
				c.say("websocket", func() health.Result {
					if c.got("PROGRESS_UPDATE_INTERVAL", "5") {
						return health.Result{Status: health.Healthy}
					}
					return health.Result{Status: health.Degraded, Message: "updates come 20 s late"}
				})
			},
			does: []string{setProgress, "Redeploy"},
			why:  "it works badly: updates come 20 s late",
		},
		"what does not help is taken back": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"PROGRESS_UPDATE_INTERVAL": "1"})
				c.isDown("websocket", always, "closed with 1006")
				c.Probes.Activity = nil
			},
			want: incident.StateFailed,
			does: []string{"Restart", setProgress, "Redeploy", setProgress, "Redeploy"},
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) {
				assert.True(t, c.got("PROGRESS_UPDATE_INTERVAL", "1"))
			},
		},
		"a version that was deployed just now is for people": {
			world: func(c *canvasHouse) {
				c.platform.Deploy(incident.Deployment{Commit: "bad0bad", Status: incident.DeploymentSucceeded})
				c.isDown("websocket", always, "status 404")
			},
			want: incident.StateFailed,
			why:  "commit bad0bad was deployed less than 4h0m0s ago",
		},
		"a fault of the platform is waited for": {
			world: func(c *canvasHouse) {
				began := time.Now()
				over := func() bool { return time.Since(began) > 3*time.Minute }
				c.isDown("websocket", func() bool { return !over() }, "no answer")
				c.isDown("platform", func() bool { return !over() }, "network trouble")
			},
			why: "the platform itself has a fault",
		},
		"an application that is down is for another playbook": {
			world: func(c *canvasHouse) {
				c.isDown("websocket", always, "no answer")
				c.isDown("application", always, "status 502")
			},
			want: incident.StateFailed,
			why:  "see the playbook application-down",
		},
		"what works is left alone": {
			world: func(*canvasHouse) {},
			why:   "it works",
		},
		"what cannot be seen is for people": {
			world: func(c *canvasHouse) { c.say("websocket", func() health.Result { return health.Result{} }) },
			want:  incident.StateFailed,
			why:   "whether the connection works could not be seen",
		},
	})
}

func TestWebSocketFailuresForm(t *testing.T) {
	t.Parallel()
	p := playbooks.WebSocketFailures(playbooks.Environment{Name: "production"})
	isInvalid(t, p, "Variables", "Deployer", "probe of the WebSocket")
	assert.Equal(t, alert.Medium, p.Severity)
}
