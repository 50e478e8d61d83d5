package playbooks_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

func highMemory(c *canvasHouse) incident.Playbook { return playbooks.HighMemory(c.Environment) }

// uses says how much memory is in use from now on, in percent, and how many tasks run.
func (c *canvasHouse) uses(percent func() float64, tasks func() float64) {
	c.say("activity", func() health.Result {
		return health.Result{Status: health.Healthy, Measurements: []health.Measurement{
			{Name: "memory_usage", Value: percent(), Unit: health.Percent}, {Name: "active_qa_tasks", Value: tasks()},
		}}
	})
}

// full says that so much memory is in use, but not once something is so.
func (c *canvasHouse) full(percent float64, but func() bool) {
	c.uses(func() float64 {
		if but() {
			return 40
		}
		return percent
	}, func() float64 { return 2 })
}

const (
	setLimit = "SetVariables MEMORY_LIMIT_MB"
	setTasks = "SetVariables MAX_CONCURRENT_TASKS"
)

// Requirement: RB-HIGH-MEMORY, RB-HIGH-MEMORY-RESTART, RB-HIGH-MEMORY-LIMIT, RB-HIGH-MEMORY-TASKS
func TestHighMemory(t *testing.T) {
	tellStories(t, highMemory, map[string]story{
		"a restart clears it, once the tasks are done": {
			world: func(c *canvasHouse) {
				c.runsWith(nil)
				c.platform.Print(incident.LogLine{Message: "Memory is short"}, incident.LogLine{Message: "all is well"})
				began := time.Now()
				c.uses(func() float64 {
					if c.did("Restart") {
						return 40
					}
					return 85
				}, func() float64 {
					if time.Since(began) > 2*time.Minute {
						return 0
					}
					return 2
				})
			},
			does: []string{"Restart"},
			why:  "85 % of the memory is in use, as the application says (limit 80 %); 1 lines of the log are about memory",
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				assert.Greater(t, run.Step("restart.restart").Began.Sub(run.Began), 2*time.Minute)
				assert.Equal(t, []string{"operators: Enough memory is free again"}, c.mails)
				assert.Empty(t, c.posts, "users see nothing of it")
			},
		},
		"what fills up again gets a higher limit": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"MEMORY_LIMIT_MB": "512"})
				c.full(95, func() bool { return c.got("MEMORY_LIMIT_MB", "1024") })
			},
			does: []string{"Restart", setLimit, "Redeploy"},
			why:  "95 % of the memory",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Contains(t, run.Step("tasks-done").Message, "there is no time for that")
			},
		},
		"where the platform gives no more, fewer tasks are tried": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"MEMORY_LIMIT_MB": "512", "MAX_CONCURRENT_TASKS": "20"})
				if _, err := c.platform.SetScale(context.Background(), incident.Scale{Regions: []incident.RegionScale{{Replicas: 1}}, Memory: 512 << 20}); err != nil {
					panic(err)
				}
				c.full(95, func() bool { return c.got("MAX_CONCURRENT_TASKS", "5") })
			},
			with: map[string]string{"restore": "yes"},
			does: []string{"Restart", setTasks, "Redeploy", setTasks, "Redeploy", setTasks, "Redeploy"},
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				assert.Contains(t, run.Step("limit").Message, "the platform gives a replica only 512 MB")
				assert.True(t, c.got("MAX_CONCURRENT_TASKS", "5"), "with more it was short again")
			},
		},
		"what does not help is taken back": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"MEMORY_LIMIT_MB": "512", "MAX_CONCURRENT_TASKS": "20"})
				c.full(95, never)
			},
			want: incident.StateFailed,
			does: []string{"Restart", setLimit, "Redeploy", setLimit, "Redeploy", setTasks, "Redeploy", setTasks, "Redeploy"},
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) {
				assert.True(t, c.got("MEMORY_LIMIT_MB", "512"))
				assert.True(t, c.got("MAX_CONCURRENT_TASKS", "20"))
			},
		},
		"memory that is free is left alone": {
			world: func(c *canvasHouse) { c.full(40, always) },
			why:   "enough memory is free",
		},
		"a fault of the platform is waited for": {
			world: func(c *canvasHouse) {
				began := time.Now()
				over := func() bool { return time.Since(began) > 3*time.Minute }
				c.full(95, over)
				c.isDown("platform", func() bool { return !over() }, "major outage")
			},
			why: "the platform itself has a fault",
		},
		"what the platform measures counts where the application says nothing": {
			world: func(c *canvasHouse) {
				c.platform.Measure(
					incident.Series{Metric: incident.MetricMemory, Points: []incident.Point{{Time: time.Now(), Value: 300e6}}},
					incident.Series{Metric: incident.MetricMemoryLimit, Points: []incident.Point{{Time: time.Now(), Value: 1000e6}}},
				)
			},
			plan: true,
			why:  "30 % of the memory is in use, as the platform says",
		},
		"megabytes are compared with the limit that is set": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"MEMORY_LIMIT_MB": "512"})
				c.say("activity", func() health.Result {
					return health.Result{Status: health.Healthy, Measurements: []health.Measurement{{Name: "memory_usage_mb", Value: 128, Unit: health.Megabytes}}}
				})
			},
			plan: true,
			why:  "25 % of the memory is in use, as the application says",
		},
		"what cannot be measured is not changed": {
			world: func(*canvasHouse) {},
			want:  incident.StateFailed,
			why:   "the memory in use could not be measured",
		},
	})
}

func TestHighMemoryForm(t *testing.T) {
	t.Parallel()
	p := playbooks.HighMemory(playbooks.Environment{Name: "production"})
	isInvalid(t, p, "Variables", "Deployer")
	assert.Subset(t, commands(p.Steps), []string{
		`curl -s "https://qa-automation.acu.edu.au/health/metrics" | jq '.memory_usage_mb'`, `railway logs --environment production | grep "memory"`,
		"railway restart --environment production", "railway variables set MEMORY_LIMIT_MB=1024 --environment production",
		"railway variables set MAX_CONCURRENT_TASKS=5 --environment production",
	})
}
