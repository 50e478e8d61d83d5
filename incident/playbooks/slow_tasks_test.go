package playbooks_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

func slowTasks(c *canvasHouse) incident.Playbook { return playbooks.SlowTasks(c.Environment) }

// works says that the task for tests takes 7 minutes, but 1 once something is so.
func (c *canvasHouse) works(fast func() bool) {
	c.say("task", func() health.Result {
		r := health.Result{Status: health.Healthy, Duration: 7 * time.Minute}
		if fast() {
			r.Duration = time.Minute
		}
		return r
	})
}

var taskSettings = map[string]string{"BATCH_SIZE": "100", "PARALLEL_PROCESSING_LIMIT": "10", "PROGRESS_UPDATE_INTERVAL": "1"}

const (
	setBatch    = "SetVariables BATCH_SIZE"
	setParallel = "SetVariables PARALLEL_PROCESSING_LIMIT"
	setProgress = "SetVariables PROGRESS_UPDATE_INTERVAL"
)

// Requirement: RB-SLOW-TASKS, RB-SLOW-TASKS-BATCH, RB-SLOW-TASKS-PARALLEL, RB-SLOW-TASKS-PROGRESS
func TestSlowTasks(t *testing.T) {
	tellStories(t, slowTasks, map[string]story{
		"smaller batches help": {
			world: func(c *canvasHouse) {
				c.runsWith(taskSettings)
				c.works(func() bool { return c.got("BATCH_SIZE", "25") })
				c.say("canvas", func() health.Result { return health.Result{Status: health.Degraded, Duration: 3 * time.Second} })
				c.say("database server", func() health.Result {
					return health.Result{Status: health.Degraded, Message: "slow queries: SELECT of pages, 900 ms"}
				})
				c.say("websocket", func() health.Result {
					return health.Result{Status: health.Degraded, Message: "40 updates a second"}
				})
				c.say("activity", func() health.Result {
					return health.Result{Status: health.Healthy, Measurements: []health.Measurement{{Name: "active_qa_tasks", Value: 9}, {Name: "task_items", Value: 4200}}}
				})
			},
			does: []string{setBatch, "Redeploy"},
			why: "the task for tests takes 7m0s (limit 5m0s); Canvas answers within 3s; of the rate limit of Canvas 600 of 600 units are left (100 %); " +
				"the database: degraded: slow queries: SELECT of pages, 900 ms; the updates of progress: degraded: 40 updates a second; active_qa_tasks 9; task_items 4200",
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) {
				assert.Equal(t, []string{"operators: QA tasks are fast enough"}, c.mails)
			},
		},
		"what makes no difference is taken back": {
			world: func(c *canvasHouse) {
				c.runsWith(taskSettings)
				c.works(func() bool { return c.got("PROGRESS_UPDATE_INTERVAL", "5") })
			},
			does: []string{setBatch, "Redeploy", setBatch, "Redeploy", setParallel, "Redeploy", setParallel, "Redeploy", setProgress, "Redeploy"},
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) {
				assert.True(t, c.got("BATCH_SIZE", "100"))
				assert.True(t, c.got("PARALLEL_PROCESSING_LIMIT", "10"))
			},
		},
		"nothing helps, and everything is as it was": {
			world: func(c *canvasHouse) {
				c.runsWith(taskSettings)
				c.works(never)
			},
			want: incident.StateFailed,
			does: []string{setBatch, "Redeploy", setBatch, "Redeploy", setParallel, "Redeploy", setParallel, "Redeploy", setProgress, "Redeploy", setProgress, "Redeploy"},
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				for name, value := range taskSettings {
					assert.True(t, c.got(name, value), name)
				}
				assert.Equal(t, incident.StepFailed, run.Step("well").State)
				assert.Empty(t, c.mails, "nobody is told that tasks are fast enough")
			},
		},
		"what has its value already is not set": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"BATCH_SIZE": "25", "PARALLEL_PROCESSING_LIMIT": "2", "PROGRESS_UPDATE_INTERVAL": "30"})
				c.works(never)
			},
			want: incident.StateFailed,
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Contains(t, run.Step("batch").Message, "BATCH_SIZE is 25 already")
				assert.Contains(t, run.Step("parallel").Message, "which is no more than 3")
				assert.Contains(t, run.Step("progress").Message, "which is no less than 5")
			},
		},
		"what the application measures counts": {
			world: func(c *canvasHouse) {
				c.say("activity", func() health.Result {
					return health.Result{Status: health.Healthy, Measurements: []health.Measurement{{Name: "task_duration", Value: 90, Unit: health.Seconds}}}
				})
			},
			plan: true,
			why:  "tasks are fast enough: a task takes 1m30s",
		},
		"a Canvas that is away is waited for": {
			world: func(c *canvasHouse) {
				began := time.Now()
				over := func() bool { return time.Since(began) > 3*time.Minute }
				c.works(over)
				c.say("canvas status", func() health.Result {
					if over() {
						return health.Result{Status: health.Healthy}
					}
					return health.Result{Status: health.Maintenance, Message: "until 04:00"}
				})
			},
			why: "tasks wait for it, and no setting changes that",
		},
		"a fault of the platform is waited for": {
			world: func(c *canvasHouse) {
				began := time.Now()
				over := func() bool { return time.Since(began) > 3*time.Minute }
				c.works(over)
				c.isDown("platform", func() bool { return !over() }, "major outage")
			},
			why: "the platform itself has a fault",
		},
		"a database that is down is for another playbook": {
			world: func(c *canvasHouse) {
				c.works(never)
				c.isDown("database", always, "connection refused")
			},
			want: incident.StateFailed,
			why:  "see the playbook database-issues",
		},
		"a sealed setting is not changed": {
			world: func(c *canvasHouse) {
				c.runsWith(nil)
				c.platform.Configure(map[string]string{"BATCH_SIZE": "100", "PARALLEL_PROCESSING_LIMIT": "10", "PROGRESS_UPDATE_INTERVAL": "1"}, "BATCH_SIZE", "PARALLEL_PROCESSING_LIMIT", "PROGRESS_UPDATE_INTERVAL")
				c.isDown("task", always, "no end after 10 minutes")
			},
			want: incident.StateFailed,
			why:  "the task for tests does not come to its end: no end after 10 minutes",
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Contains(t, run.Step("batch").Message, "BATCH_SIZE is sealed")
			},
		},
		"what cannot be measured is not changed": {
			world: func(c *canvasHouse) { c.say("task", func() health.Result { return health.Result{} }) },
			want:  incident.StateFailed,
			why:   "how long a task takes could not be measured",
		},
	})
}

func TestSlowTasksForm(t *testing.T) {
	t.Parallel()
	p := playbooks.SlowTasks(playbooks.Environment{Name: "production"})
	isInvalid(t, p, "Variables", "Deployer", "probe of a task")
	assert.Subset(t, commands(p.Steps), []string{
		"railway variables set BATCH_SIZE=25 --environment production", "railway variables set PARALLEL_PROCESSING_LIMIT=3 --environment production",
		"railway variables set PROGRESS_UPDATE_INTERVAL=5 --environment production",
	})
}
