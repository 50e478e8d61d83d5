package playbooks_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

func degradation(c *canvasHouse) incident.Playbook {
	return playbooks.PerformanceDegradation(c.Environment)
}

// takes says how long the application takes to answer from now on.
func (c *canvasHouse) takes(seconds func() float64) {
	c.say("performance", func() health.Result {
		return health.Result{Status: health.Healthy, Measurements: []health.Measurement{
			{Name: "response_time", Value: 1000 * seconds(), Unit: health.Milliseconds}, {Name: "error_rate", Value: 2, Unit: health.Percent},
		}}
	})
}

// slow says that the application is slow, but not once something is so.
func (c *canvasHouse) slow(but func() bool) {
	c.takes(func() float64 {
		if but() {
			return 0.4
		}
		return 7
	})
}

// busy makes the platform measure some times as many requests as on the days before.
func (c *canvasHouse) busy(times float64) {
	var points []incident.Point
	for day := 7; day > 0; day-- {
		points = append(points, incident.Point{Time: time.Now().Add(-time.Duration(day) * 24 * time.Hour), Value: 100})
	}
	// Virtual time goes on while the playbook runs, so that there are points to come.
	for minute := range 60 {
		points = append(points, incident.Point{Time: time.Now().Add(time.Duration(minute) * time.Minute), Value: 100 * times})
	}
	c.platform.Measure(incident.Series{Metric: incident.MetricRequests, Points: points})
}

// replicas returns how many there are.
func (c *canvasHouse) replicas() int {
	s, err := c.platform.Scale(context.Background())
	if err != nil {
		return 0
	}
	return s.Replicas()
}

// slowCanvas says that Canvas takes 3 s to answer the application, but not once something is so.
func (c *canvasHouse) slowCanvas(but func() bool) {
	c.say("canvas", func() health.Result {
		if but() {
			return health.Result{Status: health.Healthy}
		}
		return health.Result{Status: health.Degraded, Duration: 3 * time.Second, Message: "it takes 3 s"}
	})
}

// hasOneReplica says that there is one replica, twice as much to do as usual, and no setting
// that would help.
func (c *canvasHouse) hasOneReplica() {
	c.runsWith(map[string]string{"ASYNC_WORKERS": "16", "CANVAS_RATE_LIMIT_PER_MINUTE": "60"})
	c.busy(2)
	if _, err := c.platform.SetScale(context.Background(), incident.Scale{Regions: []incident.RegionScale{{Replicas: 1}}}); err != nil {
		panic(err)
	}
}

var slowSettings = map[string]string{"ASYNC_WORKERS": "4", "CANVAS_RATE_LIMIT_PER_MINUTE": "600"}

const (
	setWorkers = "SetVariables ASYNC_WORKERS"
	setRate    = "SetVariables CANVAS_RATE_LIMIT_PER_MINUTE"
)

// Requirement: RB-PLAYBOOK-3, RB-PLAYBOOK-3-SYMPTOMS, RB-PLAYBOOK-3-STEP-1, RB-PLAYBOOK-3-STEP-2-DATABASE
// Requirement: RB-PLAYBOOK-3-STEP-2-CANVAS, RB-PLAYBOOK-3-STEP-2-TASKS, RB-PLAYBOOK-3-STEP-2-LOAD, RB-PLAYBOOK-3-STEP-3-WORKERS
// Requirement: RB-PLAYBOOK-3-STEP-3-RATE
func TestPerformanceDegradation(t *testing.T) {
	tellStories(t, degradation, map[string]story{
		"more workers help, and are put back when it is calm": {
			world: func(c *canvasHouse) {
				c.runsWith(slowSettings)
				c.slow(once(func() bool { return c.got("ASYNC_WORKERS", "8") }))
				c.say("activity", func() health.Result {
					return health.Result{Status: health.Healthy, Measurements: []health.Measurement{{Name: "active_sessions", Value: 240}, {Name: "active_qa_tasks", Value: 31}}}
				})
				c.say("database server", func() health.Result {
					return health.Result{Status: health.Degraded, Cause: health.CauseThreshold, Message: "slowest_query_mean 4200 ms", Measurements: []health.Measurement{{Name: "slowest_query_mean", Value: 4200, Unit: health.Milliseconds}}}
				})
			},
			does: []string{setWorkers, "Redeploy", setWorkers, "Redeploy"},
			why: "it takes 7s (limit 5s), and 2.0 % of requests fail (limit 5 %); active_sessions 240; active_qa_tasks 31; " +
				"the database is not as it should be either: slowest_query_mean 4200 ms; Canvas answers within 0s",
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				assert.True(t, c.got("ASYNC_WORKERS", "4"))
				assert.Contains(t, string(run.Step("workers.verdict").Output), "it is well now")
				assert.Contains(t, c.posts[len(c.posts)-1].Body, "workers: kept until it was calm")
			},
		},
		"what helps is kept where it is still needed": {
			world: func(c *canvasHouse) {
				c.runsWith(slowSettings)
				c.slow(func() bool { return c.got("ASYNC_WORKERS", "8") })
			},
			does:  []string{setWorkers, "Redeploy", setWorkers, "Redeploy", setWorkers, "Redeploy"},
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) { assert.True(t, c.got("ASYNC_WORKERS", "8")) },
		},
		"what makes no difference is taken back, one at a time": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"ASYNC_WORKERS": "4"}) // the rate has never been set
				c.busy(3)
				_, err := c.platform.SetScale(context.Background(), incident.Scale{Regions: []incident.RegionScale{{Region: "sydney", Replicas: 2}}})
				if err != nil {
					panic(err)
				}
				c.slow(never)
			},
			want: incident.StateFailed,
			does: []string{setWorkers, "Redeploy", setWorkers, "Redeploy", "SetScale 3", "SetScale 2", setRate, "Redeploy", setRate, "Redeploy"},
			why:  "requests is 3.0 times what it usually is at this hour (7 days)",
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				_, set := c.platform.Got("CANVAS_RATE_LIMIT_PER_MINUTE")
				assert.False(t, set, "it was not set before")
				assert.True(t, c.got("ASYNC_WORKERS", "4"))
				assert.Contains(t, string(run.Step("rate.verdict").Output), "it made no difference that matters")
			},
		},
		"requests that fail in time are no lack of workers": {
			world: func(c *canvasHouse) {
				c.runsWith(slowSettings)
				c.say("performance", func() health.Result {
					return health.Result{Status: health.Healthy, Measurements: []health.Measurement{
						{Name: "response_time", Value: 160, Unit: health.Milliseconds}, {Name: "error_rate", Value: 13.6, Unit: health.Percent},
					}}
				})
			},
			want: incident.StateFailed,
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Contains(t, run.Step("decide").Message, "requests fail though answers come in time")
			},
		},
		"requests that fail under more load than usual may be": {
			world: func(c *canvasHouse) {
				c.runsWith(slowSettings)
				c.busy(3)
				c.say("performance", func() health.Result {
					failed := 13.6
					if c.got("ASYNC_WORKERS", "8") {
						failed = 1
					}
					return health.Result{Status: health.Healthy, Measurements: []health.Measurement{
						{Name: "response_time", Value: 160, Unit: health.Milliseconds}, {Name: "error_rate", Value: failed, Unit: health.Percent},
					}}
				})
			},
			with: map[string]string{"restore": "no"},
			does: []string{setWorkers, "Redeploy"},
		},
		"a replica helps against load": {
			world: func(c *canvasHouse) {
				c.hasOneReplica()
				c.slow(func() bool { return c.replicas() > 1 })
			},
			with: map[string]string{"restore": "no"},
			does: []string{"SetScale 2"},
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Contains(t, run.Step("workers").Message, "ASYNC_WORKERS is 16 already")
			},
		},
		"a slow Canvas is spared": {
			world: func(c *canvasHouse) {
				c.runsWith(slowSettings)
				c.slow(func() bool { return c.got("CANVAS_RATE_LIMIT_PER_MINUTE", "100") })
				c.say("canvas", func() health.Result {
					return health.Result{Status: health.Degraded, Duration: 3 * time.Second, Message: "it takes 3 s"}
				})
			},
			with: map[string]string{"restore": "no"},
			does: []string{setRate, "Redeploy"},
			why:  "Canvas answers within 3s; Canvas is the bottleneck, and more workers would press it harder; it takes 3 s",
		},
		"a Canvas that is fast again gets as many requests as before": {
			world: func(c *canvasHouse) {
				c.runsWith(slowSettings)
				spared := once(func() bool { return c.got("CANVAS_RATE_LIMIT_PER_MINUTE", "100") })
				c.slow(spared)
				c.slowCanvas(spared)
			},
			does: []string{setRate, "Redeploy", setRate, "Redeploy"},
			why:  "Canvas is the bottleneck",
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				assert.True(t, c.got("CANVAS_RATE_LIMIT_PER_MINUTE", "600"), "calm: the rate is as it was")
				assert.Equal(t, incident.StepSkipped, run.Step("rate-restored.again").State, run.Step("rate-restored.again").Message)
				assert.Contains(t, c.posts[len(c.posts)-1].Body, "rate: kept until it was calm")
			},
		},
		"a Canvas that is slow again with as many requests is spared again": {
			world: func(c *canvasHouse) {
				c.runsWith(slowSettings)
				spared := func() bool { return c.got("CANVAS_RATE_LIMIT_PER_MINUTE", "100") }
				c.slow(spared)
				c.slowCanvas(spared)
			},
			does: []string{setRate, "Redeploy", setRate, "Redeploy", setRate, "Redeploy"},
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) {
				assert.True(t, c.got("CANVAS_RATE_LIMIT_PER_MINUTE", "100"))
				assert.Contains(t, c.posts[len(c.posts)-1].Body, "rate: kept: it is well now")
			},
		},
		"fewer requests that change nothing are as many again at once": {
			world: func(c *canvasHouse) {
				c.runsWith(slowSettings)
				c.slow(never)
				c.slowCanvas(never)
			},
			want: incident.StateFailed,
			does: []string{setRate, "Redeploy", setRate, "Redeploy"},
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				assert.True(t, c.got("CANVAS_RATE_LIMIT_PER_MINUTE", "600"))
				assert.Contains(t, string(run.Step("rate.verdict").Output), "it made no difference that matters")
			},
		},
		"a replica that helped is given back when it is calm": {
			world: func(c *canvasHouse) {
				c.hasOneReplica()
				c.slow(once(func() bool { return c.replicas() > 1 }))
			},
			does: []string{"SetScale 2", "SetScale 1"},
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) {
				assert.Equal(t, 1, c.replicas())
				assert.Contains(t, c.posts[len(c.posts)-1].Body, "replicas: kept until it was calm")
			},
		},
		"a replica that is still needed is added again": {
			world: func(c *canvasHouse) {
				c.hasOneReplica()
				c.slow(func() bool { return c.replicas() > 1 })
			},
			does:  []string{"SetScale 2", "SetScale 1", "SetScale 2"},
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) { assert.Equal(t, 2, c.replicas()) },
		},
		"an answer that is lost does not lose what was there before": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"ASYNC_WORKERS": "4", "CANVAS_RATE_LIMIT_PER_MINUTE": "60"})
				c.platform.Fail("SetVariables", incident.ErrOutcomeUnknown)
				c.slow(never)
			},
			want:  incident.StateFailed,
			does:  []string{setWorkers, setWorkers, "Redeploy", setWorkers, "Redeploy"},
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) { assert.True(t, c.got("ASYNC_WORKERS", "4")) },
		},
		"what is fast again is left alone": {
			world: func(c *canvasHouse) { c.takes(func() float64 { return 0.4 }) },
			why:   "the application answers as it should: it takes 400ms",
		},
		"a Canvas that is away is waited for": {
			world: func(c *canvasHouse) {
				began := time.Now()
				over := func() bool { return time.Since(began) > 3*time.Minute }
				c.slow(over)
				c.isDown("canvas host", func() bool { return !over() }, "status 503")
			},
			why: "Canvas itself does not answer",
		},
		"a fault of the platform is waited for": {
			world: func(c *canvasHouse) {
				began := time.Now()
				over := func() bool { return time.Since(began) > 3*time.Minute }
				c.slow(over)
				c.isDown("platform", func() bool { return !over() }, "network trouble")
			},
			why: "the platform itself has a fault",
		},
		"a database with blocked queries is for another playbook": {
			world: func(c *canvasHouse) {
				c.slow(never)
				c.isDown("database server", always, "12 queries are blocked")
			},
			want: incident.StateFailed,
			why:  "12 queries are blocked): see the playbook database-issues",
		},
		"memory that is short is for another playbook": {
			world: func(c *canvasHouse) {
				c.slow(never)
				c.say("activity", func() health.Result {
					return health.Result{Status: health.Healthy, Measurements: []health.Measurement{{Name: "memory_usage", Value: 97, Unit: health.Percent}}}
				})
			},
			want: incident.StateFailed,
			why:  "the bottleneck is the memory (97 % of the memory is in use, as the application says (limit 90 %)): see the playbook high-memory",
		},
		"what cannot be measured is not changed": {
			world: func(c *canvasHouse) { c.say("performance", func() health.Result { return health.Result{} }) },
			want:  incident.StateFailed,
			why:   "how the application answers could not be measured",
		},
	})
}

// TestPerformanceDegradationPlan shows that a plan says what would be changed.
func TestPerformanceDegradationPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCanvasHouse(t)
		c.runsWith(slowSettings)
		c.slow(never)
		c.say("activity", func() health.Result {
			return health.Result{Status: health.Healthy, Measurements: []health.Measurement{{Name: "memory_usage", Value: 40, Unit: health.Percent}}}
		})
		plan := c.planOf(t, degradation(c), map[string]string{"workers": "12"})
		set := plan.Run.Step("workers.set")
		require.NotNil(t, set.Effect)
		assert.Equal(t, "set ASYNC_WORKERS=12 of production, without deploying", set.Effect.Call)
		assert.Equal(t, []string{"ASYNC_WORKERS: 4 becomes 12"}, set.Effect.Changes)
		assert.Empty(t, plan.Problems)
	})
}

// TestBaseline shows that the same hour is that of the clocks, also over a change of them.
func TestBaseline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sydney, err := time.LoadLocation("Australia/Sydney")
		require.NoError(t, err)
		// The clocks go forward on 2026-10-04 at 02:00.
		time.Sleep(time.Until(time.Date(2026, 10, 5, 9, 0, 0, 0, sydney)))
		c := newCanvasHouse(t)
		now := time.Now().In(sydney)
		y, m, d := now.Date()
		c.platform.Measure(incident.Series{Metric: incident.MetricLatencyP95, Points: []incident.Point{
			{Time: time.Date(y, m, d-6, now.Hour(), now.Minute(), 0, 0, sydney), Value: 0.5},
			{Time: now.Add(-2 * time.Hour), Value: 40},
			{Time: now.Add(-time.Minute), Value: 2},
		}})
		c.Zone = sydney
		c.slow(never)
		plan := c.planOf(t, degradation(c), nil)
		assert.JSONEq(t, `{
			"metrics": [{"metric": "latency_p95", "unit": "seconds", "now": 2, "usual": 0.5, "days": 1}],
			"not_measured": [
				"requests: incidenttest: metric \"requests\": not supported", "errors: incidenttest: metric \"errors\": not supported",
				"cpu: incidenttest: metric \"cpu\": not supported", "memory: incidenttest: metric \"memory\": not supported"
			]
		}`, string(plan.Run.Step("baseline").Output))
	})
}

func TestPerformanceDegradationNeeds(t *testing.T) {
	t.Parallel()
	isInvalid(t, playbooks.PerformanceDegradation(playbooks.Environment{Name: "production"}), "probe of the performance", "Variables", "Deployer")
}

func TestPerformanceDegradationReplaces(t *testing.T) {
	t.Parallel()
	c := &incidenttest.Platform{}
	assert.Subset(t, commands(playbooks.PerformanceDegradation(playbooks.Environment{Name: "production", Scaler: c}).Steps), []string{
		"./scripts/performance-check.sh production", `curl -s "https://qa-automation.acu.edu.au/health/metrics"`,
		"railway variables set ASYNC_WORKERS=8 --environment production", "railway restart --environment production",
		"railway variables set CANVAS_RATE_LIMIT_PER_MINUTE=100 --environment production",
	})
}
