package playbooks_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// pushed begins to build a version that somebody pushed. It is deployed after a while; never,
// if that is zero.
func (c *canvasHouse) pushed(after time.Duration) {
	c.platform.StartAs(incident.DeploymentBuilding)
	d := c.platform.Deploy(incident.Deployment{Commit: "3333333", Message: "pushed"})
	c.platform.StartAs("")
	if after > 0 {
		time.AfterFunc(after, func() { c.platform.SetStatus(d.ID, incident.DeploymentSucceeded, "") })
	}
}

// A deployment of ours does not take the place of one that somebody pushed and that is still
// being built: it is waited for, and then deployed again. What does not end is said, and
// nothing is deployed.
func TestWhatSomebodyPushedIsWaitedFor(t *testing.T) {
	throttled := func(c *canvasHouse) {
		c.runsWith(map[string]string{"CANVAS_RATE_LIMIT_PER_MINUTE": "600"})
		c.throttled(once(func() bool { return c.got("CANVAS_RATE_LIMIT_PER_MINUTE", "120") }), 12, 0)
	}
	tellStories(t, rateLimiting, map[string]story{
		"it is deployed": {
			world: func(c *canvasHouse) { throttled(c); c.pushed(4 * time.Minute) },
			does:  []string{setRate, "Redeploy", setRate, "Redeploy"},
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				require.NotNil(t, run.Step("rate.set-deploy"))
				assert.Contains(t, string(run.Step("rate.set-deploy").Output), `"Commit":"3333333"`)
			},
		},
		"it is built for ever": {
			world: func(c *canvasHouse) { throttled(c); c.pushed(0) },
			want:  incident.StateFailed,
			does:  []string{setRate},
			answer: func(*canvasHouse, incident.Question) incident.Answer {
				return incident.Answer{Kind: incident.AnswerAbort}
			},
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Contains(t, run.Reason, "nothing was deployed: deployment d4 (commit 3333333, pushed) is building, and this would take its place")
			},
		},
	})
}
