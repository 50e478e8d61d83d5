package playbooks_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// firstly returns an answer that is given once to the question about a step, and after it
// what people usually say.
func firstly(step string, answer incident.Answer) func(*canvasHouse, incident.Question) incident.Answer {
	return func(c *canvasHouse, q incident.Question) incident.Answer {
		c.mu.Lock()
		defer c.mu.Unlock()
		if q.Step == step && !c.answered {
			c.answered = true
			return answer
		}
		return agreeing(q)
	}
}

// stubborn is a scaler that does not do what it is asked for.
type stubborn struct{ *incidenttest.Platform }

func (s stubborn) SetScale(ctx context.Context, _ incident.Scale) (incident.Scale, error) {
	return s.Scale(ctx)
}

// Requirement: RB-PLAYBOOK-3-STEP-3-WORKERS
func TestChangeIsMadeOnce(t *testing.T) {
	replica := func(c *canvasHouse) {
		c.runsWith(map[string]string{"ASYNC_WORKERS": "16", "CANVAS_RATE_LIMIT_PER_MINUTE": "60"})
		c.busy(2)
		_, err := c.platform.SetScale(context.Background(), incident.Scale{Regions: []incident.RegionScale{{Region: "sydney", Replicas: 1}}})
		if err != nil {
			panic(err)
		}
		c.slow(func() bool { return c.replicas() > 1 })
	}
	tellStories(t, degradation, map[string]story{
		"a deployment that was made after all is not made again when a person tries it again": {
			world: func(c *canvasHouse) {
				c.runsWith(slowSettings)
				c.slow(func() bool { return c.got("ASYNC_WORKERS", "8") })
				// Its answer is lost, and reading it afterwards fails too.
				c.platform.Fail("Redeploy", incident.ErrOutcomeUnknown)
				c.platform.Fail("Deployments", nil, nil, nil, nil, errors.New("gateway")) // the fourth look is at what is being deployed
			},
			with:   map[string]string{"restore": "no"},
			answer: firstly("workers.set-deploy", incident.Answer{Kind: incident.AnswerRetry, Actor: "kim"}),
			does:   []string{setWorkers, "Redeploy"},
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Equal(t, "it was done already", run.Step("workers.set-deploy").Message)
			},
		},
		"a deployment that failed is made again when a person says so": {
			world: func(c *canvasHouse) {
				c.runsWith(slowSettings)
				c.slow(func() bool { return c.got("ASYNC_WORKERS", "8") })
				c.platform.StartAs(incident.DeploymentFailed)
			},
			with: map[string]string{"restore": "no"},
			answer: func(c *canvasHouse, q incident.Question) incident.Answer {
				if q.Step != "workers.set-deploy" {
					return agreeing(q)
				}
				c.platform.StartAs(incident.DeploymentSucceeded)
				time.Sleep(time.Minute)
				return incident.Answer{Kind: incident.AnswerRetry, Actor: "kim"}
			},
			does: []string{setWorkers, "Redeploy", "Redeploy"},
		},
		"who goes back does not take what was tried for what was there before": {
			world: func(c *canvasHouse) {
				c.runsWith(map[string]string{"ASYNC_WORKERS": "4", "CANVAS_RATE_LIMIT_PER_MINUTE": "60"})
				c.slow(never)
				c.platform.Fail("Redeploy", incident.ErrBusy)
			},
			want:   incident.StateFailed,
			answer: firstly("workers.set-deploy", incident.Answer{Kind: incident.AnswerBack, To: "workers.set-before", Actor: "kim"}),
			does:   []string{setWorkers, setWorkers, "Redeploy", setWorkers, "Redeploy"},
			check:  func(t testing.TB, c *canvasHouse, _ incident.Run) { assert.True(t, c.got("ASYNC_WORKERS", "4")) },
		},
		"who goes back does not add a second replica": {
			world: func(c *canvasHouse) {
				replica(c)
				c.platform.Fail("SetScale", incident.ErrOutcomeUnknown, incident.ErrOutcomeUnknown, incident.ErrOutcomeUnknown)
			},
			with:   map[string]string{"restore": "no"},
			answer: firstly("replicas.set", incident.Answer{Kind: incident.AnswerBack, To: "replicas.set-before", Actor: "kim"}),
			does:   []string{"SetScale 2", "SetScale 2", "SetScale 2", "SetScale 2"},
		},
		"a scale that the platform does not take is for people": {
			world: func(c *canvasHouse) { replica(c); c.Scaler = stubborn{c.platform} },
			want:  incident.StateFailed,
			check: func(t testing.TB, _ *canvasHouse, run incident.Run) {
				assert.Contains(t, run.Step("replicas.set").Message, "in all regions there are 1 replicas")
			},
		},
	})
}

// TestNoSecretInRecord shows that the value of a variable that is a secret by its name is
// neither read into the record of a run nor changed.
func TestNoSecretInRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSecurityHouse(t)
		h.platform.Configure(map[string]string{"CANVAS_PROD_PRIVATE_KEY": "MIIEvQ-do-not-tell"})
		runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
		canvas := playbooks.CanvasCredentials{ClientID: "CANVAS_PROD_PRIVATE_KEY", Rotations: []string{"CANVAS_PROD_PRIVATE_KEY"}}
		p := playbooks.CanvasAccountCompromise(h.Environment, h.desk(), canvas)
		r, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{p}, Runs: runs, Store: new(incident.MemoryStore)})
		require.NoError(t, err)
		defer func() { require.NoError(t, runs.Close(context.WithoutCancel(t.Context()))) }()
		plan, err := r.Plan(t.Context(), incident.Request{Environment: "production", Playbook: p.Name, By: "jane"})
		require.NoError(t, err)
		assert.Contains(t, plan.Run.Step("client-id-before").Message, "variable CANVAS_PROD_PRIVATE_KEY may be a secret")
		assert.NotContains(t, stepsOf(plan.Run), "do-not-tell")
	})
}
