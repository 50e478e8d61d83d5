package playbooks_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

func rateLimiting(c *canvasHouse) incident.Playbook {
	return playbooks.CanvasRateLimiting(c.Environment)
}

// quotaOf is a quota that a func tells.
type quotaOf func() incident.QuotaState

// Quota implements incident.Quota.
func (q quotaOf) Quota(context.Context) (incident.QuotaState, error) { return q(), nil }

// throttled says that Canvas rejects requests, but not once something is so, while this
// program and others use so many units a second.
func (c *canvasHouse) throttled(but func() bool, own, others float64) {
	began := time.Now()
	c.Quota = quotaOf(func() incident.QuotaState {
		gone := time.Since(began).Seconds()
		s := incident.QuotaState{Time: time.Now(), Remaining: 500, Limit: 600, Measured: true, Others: others, Users: []incident.QuotaUse{
			{Name: "GET /api/v1/courses/:id/pages", Requests: int64(gone), Used: gone * own},
			{Name: "GET /api/v1/accounts/self", Requests: 3, Used: 1},
		}}
		if !but() {
			s.Remaining, s.Throttled, s.Users[0].Rejected = -20, true, int64(gone/2)
		}
		return s
	})
}

// Requirement: RB-CANVAS-RATE-LIMITING
func TestCanvasRateLimiting(t *testing.T) {
	tellStories(t, rateLimiting, map[string]story{
		"fewer requests help, and are more again when it is calm": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"CANVAS_RATE_LIMIT_PER_MINUTE": "600"})
				c.throttled(once(func() bool { return c.got("CANVAS_RATE_LIMIT_PER_MINUTE", "120") }), 12, 0)
			},
			does: []string{setRate, "Redeploy", setRate, "Redeploy"},
			why:  "Canvas rejects requests: -20 of 600 units are left (-3 %); within 20s this program used 12.0 units a second, others with its identity 0.0, and 10 requests were rejected; dearest: GET /api/v1/courses/:id/pages (240 units in 20 requests)",
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) {
				assert.True(t, c.got("CANVAS_RATE_LIMIT_PER_MINUTE", "600"))
			},
		},
		"what is rejected again with as many requests is lowered again": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"CANVAS_RATE_LIMIT_PER_MINUTE": "600"})
				c.throttled(func() bool { return c.got("CANVAS_RATE_LIMIT_PER_MINUTE", "120") }, 12, 0)
			},
			does: []string{setRate, "Redeploy", setRate, "Redeploy", setRate, "Redeploy"},
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) {
				assert.True(t, c.got("CANVAS_RATE_LIMIT_PER_MINUTE", "120"))
				assert.Contains(t, c.posts[len(c.posts)-1].Body, "rate: kept: it is well now")
			},
		},
		"what does not help is taken back": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"CANVAS_RATE_LIMIT_PER_MINUTE": "600"})
				c.throttled(never, 12, 0)
			},
			want: incident.StateFailed,
			does: []string{setRate, "Redeploy", setRate, "Redeploy"},
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) {
				assert.True(t, c.got("CANVAS_RATE_LIMIT_PER_MINUTE", "600"))
			},
		},
		"a rate that is low already is not raised": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"CANVAS_RATE_LIMIT_PER_MINUTE": "60"})
				c.throttled(never, 12, 0)
			},
			want: incident.StateFailed,
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Contains(t, run.Step("rate").Message, "CANVAS_RATE_LIMIT_PER_MINUTE is 60 already")
			},
		},
		"another program that uses the limit up is for people": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"CANVAS_RATE_LIMIT_PER_MINUTE": "600"})
				c.throttled(never, 1, 9)
			},
			want: incident.StateFailed,
			why:  "it is another program with the same identity",
		},
		"a limit that is not reached is left alone": {
			world: func(*canvasHouse) {},
			why:   "enough of the limit is left: 600 of 600 units are left (100 %)",
		},
		"a Canvas that is away is waited for": {
			world: func(c *canvasHouse) {
				began := time.Now()
				c.isDown("canvas host", func() bool { return time.Since(began) < 3*time.Minute }, "status 503")
			},
			why: "Canvas itself does not answer",
		},
		"nothing is deployed on a platform that is down": {
			world: func(c *canvasHouse) {
				began := time.Now()
				over := func() bool { return time.Since(began) > 3*time.Minute }
				c.throttled(over, 12, 0)
				c.isDown("platform", func() bool { return !over() }, "major outage")
			},
			why: "nothing can be deployed while the platform has a fault",
		},
		"a limit that cannot be read is for people": {
			world: func(c *canvasHouse) {
				c.quota.Fail(slices.Repeat([]error{errNobody}, 6)...)
				c.say("rate limits", func() health.Result { return health.Result{Status: health.Unknown, Message: "no answer"} })
			},
			want: incident.StateFailed,
			why:  "what is left of the rate limit could not be read: unknown: no answer",
		},
	})
}

func TestCanvasRateLimitingForm(t *testing.T) {
	t.Parallel()
	p := playbooks.CanvasRateLimiting(playbooks.Environment{Name: "production"})
	isInvalid(t, p, "Variables", "Deployer", "Quota")
	assert.Subset(t, commands(p.Steps), []string{
		`curl -s "https://qa-automation.acu.edu.au/health/canvas/rate-limits"`, "railway variables set CANVAS_RATE_LIMIT_PER_MINUTE=120 --environment production",
		"railway restart --environment production", "./scripts/monitor-canvas-api.sh",
	})
}
