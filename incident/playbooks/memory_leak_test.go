package playbooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// earlierRun is a run of the playbook that began a while ago and did these steps.
func earlierRun(id string, ago time.Duration, decided string, did ...string) incident.Run {
	at := time.Now().Add(-ago)
	run := incident.Run{ID: id, Playbook: "high-memory", Environment: "production", Started: at}
	output, _ := json.Marshal(playbooks.Decision{Action: decided})
	run.Steps = []incident.StepRun{{StepSpec: incident.StepSpec{ID: "decide"}, State: incident.StepDone, Ended: at, Output: output}}
	for _, id := range did {
		run.Steps = append(run.Steps, incident.StepRun{StepSpec: incident.StepSpec{ID: id}, State: incident.StepDone, Ended: at})
	}
	return run
}

// ran says which runs there were before.
func (c *canvasHouse) ran(runs ...incident.Run) {
	c.Defect = func(_ context.Context, m incident.Message) error {
		return c.mail("development: " + m.Title + "\n" + m.Text)
	}
	c.Inform = func(_ context.Context, m incident.Message) error {
		return c.mail("operators: " + m.Title + "\n" + m.Text)
	}
	c.Runs = func(_ context.Context, q incident.RunQuery) iter.Seq2[incident.Run, error] {
		return func(yield func(incident.Run, error) bool) {
			for _, r := range runs {
				if q.Labels["playbook"] == r.Playbook && q.Labels["environment"] == r.Environment && r.Started.After(q.Since) && !yield(r, nil) {
					return
				}
			}
		}
	}
}

// What is short again soon after a restart of the playbook's own is a leak, which another
// restart does not mend.
//
// Requirement: RB-HIGH-MEMORY-LIMIT, RB-HIGH-MEMORY-TASKS
func TestHighMemoryThatComesBack(t *testing.T) {
	const leaks = "The application of production leaks memory: it comes back"
	told := func(t testing.TB, c *canvasHouse, want ...string) {
		t.Helper()
		if assert.Len(t, c.mails, len(want)) {
			for i, text := range want {
				assert.Contains(t, c.mails[i], text)
			}
		}
	}
	small := map[string]string{"MEMORY_LIMIT_MB": "512", "MAX_CONCURRENT_TASKS": "20"}
	tellStories(t, highMemory, map[string]story{
		"it gets a higher limit, and people are told that it is a leak": {
			world: func(c *canvasHouse) {
				c.runsWith(small)
				c.ran(earlierRun("before-1", 40*time.Minute, "free memory", "restart.restart"))
				c.full(85, func() bool { return c.got("MEMORY_LIMIT_MB", "1024") })
			},
			does: []string{setLimit, "Redeploy"},
			why:  "it was restarted 40m0s ago (run before-1), and its memory is short again; it comes back every 40 minutes: this is a leak",
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				told(t, c, "operators: "+leaks, "development: "+leaks, "operators: Enough memory is free again")
				assert.Contains(t, strings.Join(c.mails, "\n"), "development: "+leaks+"\nit was restarted 40m0s ago (run before-1), and its memory is short again; it comes back every 40 minutes: this is a leak")
			},
		},
		"and then fewer tasks, which is told no second time": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"MEMORY_LIMIT_MB": "1024", "MAX_CONCURRENT_TASKS": "20"})
				c.ran(earlierRun("before-2", 90*time.Minute, "hold the leak", "tell-leak", "tell-development"), earlierRun("before-1", 130*time.Minute, "free memory", "restart.restart"))
				c.full(85, func() bool { return c.got("MAX_CONCURRENT_TASKS", "5") })
			},
			does: []string{setTasks, "Redeploy"},
			why:  "it comes back every 65 minutes: this is a leak",
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) {
				told(t, c, "operators: Enough memory is free again")
			},
		},
		"what does not help is taken back, and the rest is for people": {
			world: func(c *canvasHouse) {
				c.runsWith(small)
				c.ran(earlierRun("before-1", time.Hour, "free memory", "restart.restart"))
				c.full(85, never)
			},
			does: []string{setLimit, "Redeploy", setLimit, "Redeploy", setTasks, "Redeploy", setTasks, "Redeploy"},
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) {
				told(t, c, "operators: "+leaks, "development: "+leaks, "operators: The memory of production is short again, and nothing more is changed by itself")
				assert.True(t, c.got("MEMORY_LIMIT_MB", "512"))
				assert.True(t, c.got("MAX_CONCURRENT_TASKS", "20"))
			},
		},
		"if nothing is left to try it keeps nobody waiting": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"MEMORY_LIMIT_MB": "1024", "MAX_CONCURRENT_TASKS": "5"})
				c.ran(earlierRun("before-1", 5*time.Hour, "free memory", "restart.restart", "tell-leak", "tell-development"))
				c.full(95, never)
			},
			check: func(t testing.TB, c *canvasHouse, run incident.Run) {
				told(t, c, "MEMORY_LIMIT_MB is 1024 already")
				assert.Nil(t, run.Question)
			},
		},
		"nor is that told twice a day": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"MEMORY_LIMIT_MB": "1024", "MAX_CONCURRENT_TASKS": "5"})
				c.ran(earlierRun("before-1", 5*time.Hour, "free memory", "restart.restart", "tell-leak", "tell-development", "tell-nothing-left"))
				c.full(95, never)
			},
			check: func(t testing.TB, c *canvasHouse, _ incident.Run) { told(t, c) },
		},
		"a restart that has lasted is made again": {
			world: func(c *canvasHouse) {
				c.runsWith(small)
				c.ran(earlierRun("before-1", 7*time.Hour, "free memory", "restart.restart"))
				c.full(95, func() bool { return c.did("Restart") })
			},
			does: []string{"Restart"},
		},
		"nor is it restarted if what was done before cannot be read": {
			world: func(c *canvasHouse) {
				c.runsWith(small)
				c.ran()
				c.Runs = func(context.Context, incident.RunQuery) iter.Seq2[incident.Run, error] {
					return func(yield func(incident.Run, error) bool) { yield(incident.Run{}, errors.New("the store is away")) }
				}
				c.full(95, func() bool { return c.got("MEMORY_LIMIT_MB", "1024") })
			},
			does: []string{setLimit, "Redeploy"},
			why:  "whether it was restarted before is not known",
		},
		"a restart of which nobody knows counts": {
			world: func(c *canvasHouse) {
				c.runsWith(small)
				unknown := earlierRun("before-1", time.Hour, "free memory", "restart.restart")
				unknown.Steps[1].State = incident.StepUnknown
				c.ran(unknown)
				c.say("activity", func() health.Result {
					return health.Result{Status: health.Healthy, Measurements: []health.Measurement{{Name: "memory_usage", Value: 95, Unit: health.Percent}}}
				})
			},
			plan: true,
			why:  "it was restarted 1h0m0s ago",
		},
	})
}
