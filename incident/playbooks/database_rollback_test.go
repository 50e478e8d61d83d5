package playbooks_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// cutOff says that the application does not get through to its database until something is
// so, and that it is well itself.
func (h *dataHouse) cutOff(until func() bool) {
	h.say("database", func() health.Result {
		if until() {
			return health.Result{Status: health.Healthy}
		}
		return health.Result{Status: health.Unhealthy, Cause: health.CauseRefused, Message: "connection refused"}
	})
}

// pushed deploys a version that does not get through to the database, and lets a time pass.
func (h *dataHouse) pushed(ago time.Duration) {
	h.platform.Deploy(incident.Deployment{Commit: "bad0bad"})
	time.Sleep(ago)
	h.cutOff(func() bool { return !h.runs("bad0bad") })
}

// rolledBack are the effects of a rollback to the deployment before.
var rolledBack = []string{"SetDeployFreeze true", "Rollback d5"}

// afterRestart are those of a rollback after a restart that did not help.
var afterRestart = append([]string{"Restart d4"}, rolledBack...)

// rollbackCase is a deployment that may be why the application does not get through.
type rollbackCase struct {
	world  func(h *dataHouse)
	answer func(q incident.Question) incident.Answer
	want   incident.RunState
	does   []string
	// first is what the first decision rests on, why what the second one does, which is made
	// when a restart did not help, or a moment after a rollback was decided.
	first, why string
	// asks means that people are asked to restart the server.
	asks bool
}

// cutOffByDeployment are those that are rolled back.
func cutOffByDeployment() map[string]rollbackCase {
	return map[string]rollbackCase{
		"a deployment of a while ago is rolled back when a restart did not help": {
			world: func(h *dataHouse) { h.pushed(time.Hour) }, does: afterRestart,
			first: "commit bad0bad was deployed less than 4h0m0s ago, and commit 2222222 worked before it: if a restart does not help, that is rolled back",
			why:   "the server works, and the application does not get through to it (connection refused), and commit bad0bad was deployed less than 4h0m0s ago, and commit 2222222 worked before it",
		},
		"one with which it began is rolled back at once": {
			world: func(h *dataHouse) { h.pushed(5 * time.Minute) }, does: rolledBack,
			first: "since commit bad0bad was deployed less than", why: "commit 2222222 worked before it",
		},
		"one that was deployed again, after a build that failed, is still new": {
			world: func(h *dataHouse) {
				h.pushed(time.Minute)
				h.platform.StartAs(incident.DeploymentFailed)
				h.platform.Deploy(incident.Deployment{Commit: "f1f1f1f"})
				h.platform.StartAs("")
				_, err := h.platform.Redeploy(context.Background())
				assert.NoError(h.t, err)
				time.Sleep(time.Hour)
			},
			does: []string{"Restart d6", "SetDeployFreeze true", "Rollback d7"}, why: "commit 2222222 worked before it",
		},
		"a restart that helped leaves the deployment alone": {
			world: func(h *dataHouse) {
				h.pushed(time.Hour)
				h.cutOff(func() bool { return h.did("Restart") })
			},
			does: []string{"Restart d4"}, first: "if a restart does not help, that is rolled back",
		},
		"what was over within a moment is not rolled back": {
			world: func(h *dataHouse) {
				h.pushed(5 * time.Minute)
				began := time.Now()
				h.cutOff(func() bool { return time.Since(began) > 10*time.Second })
			},
			first: "since commit bad0bad was deployed", why: "it works again",
		},
		"a rollback that does not help is not made again": {
			world: func(h *dataHouse) {
				h.pushed(5 * time.Minute)
				h.cutOff(func() bool { return false })
			},
			want: incident.StateFailed, does: rolledBack, why: "commit 2222222 worked before it",
		},
	}
}

// cutOffOtherwise are those in which nothing may be rolled back, and no server that works be
// restarted.
func cutOffOtherwise() map[string]rollbackCase {
	never := func() bool { return false }
	restarted := []string{"Restart d4"}
	say := func(h *dataHouse, name string, so func() bool, is func() health.Result) {
		h.say(name, func() health.Result {
			if so() {
				return is()
			}
			return health.Result{Status: health.Healthy}
		})
	}
	return map[string]rollbackCase{
		"an old deployment is not rolled back, and the server not restarted": {
			world: func(h *dataHouse) { h.cutOff(never) }, want: incident.StateFailed, does: []string{"Restart d2"},
			why: "a rollback is not for a program: nothing was deployed lately",
		},
		"what was rolled back already is not rolled back again": {
			world: func(h *dataHouse) {
				h.pushed(time.Minute)
				to, _ := incident.RollbackTarget(h.list())
				_, err := h.platform.Rollback(context.Background(), to)
				assert.NoError(h.t, err)
				h.cutOff(never)
			},
			want: incident.StateFailed, does: []string{"Restart d5"}, why: "it was rolled back already, to commit 2222222",
		},
		"what was only deployed again is not rolled back": {
			world: func(h *dataHouse) {
				_, err := h.platform.Redeploy(context.Background())
				assert.NoError(h.t, err)
				h.cutOff(never)
			},
			want: incident.StateFailed, does: restarted, why: "commit 2222222 was only deployed again",
		},
		"what the platform does not name is not rolled back": {
			world: func(h *dataHouse) {
				h.platform.Deploy(incident.Deployment{}) // from a laptop
				h.cutOff(never)
			},
			want: incident.StateFailed, does: restarted, why: "deployment d4 was only deployed again, or is no version that is known",
		},
		"without a deployment before it nothing can be rolled back": {
			world: func(h *dataHouse) {
				h.Deployer = onlyNewest{h.platform}
				h.pushed(time.Hour)
			},
			want: incident.StateFailed, does: restarted, why: "there is no deployment before it to go back to",
		},
		"without a freeze nothing is rolled back": {
			world: func(h *dataHouse) { h.Freezer = nil; h.pushed(time.Hour) },
			want:  incident.StateFailed, does: restarted, why: "cannot keep the platform from deploying it again",
		},
		"while somebody deploys nothing is rolled back": {
			world: func(h *dataHouse) {
				h.pushed(time.Hour)
				h.Deployer = &hotfix{Platform: h.platform}
			},
			want: incident.StateFailed, does: restarted, why: "somebody deploys just now",
		},
		"a server that is unwell is asked for, and nothing rolled back": {
			world: func(h *dataHouse) {
				h.pushed(time.Hour)
				so := func() bool { return h.serverDid("Restart d1") }
				h.cutOff(so)
				h.say("database server", until(so, reads(health.Unhealthy, "too_many_connections", "no more connections", nil)))
			},
			does: []string{"Restart d4", "server: Restart d1"}, first: "the server accepts no more connections", why: "restart the database", asks: true,
		},
		"a server that was unwell only at first is no reason for a rollback": {
			world: func(h *dataHouse) {
				h.pushed(5 * time.Minute)
				say(h, "database server", func() bool { return !h.did("Restart") }, reads(health.Degraded, health.CauseThreshold, "slowest_query_mean 4200 ms", nil))
			},
			want: incident.StateFailed, does: restarted, why: "the server was not as it should be at first",
		},
		"a server that is unwell since is no reason for a rollback": {
			world: func(h *dataHouse) {
				h.pushed(5 * time.Minute)
				began := time.Now()
				say(h, "database server", func() bool { return time.Since(began) > 10*time.Second }, reads(health.Degraded, health.CauseThreshold, "slowest_query_mean 4200 ms", nil))
			},
			want: incident.StateFailed, why: "so that nothing is rolled back",
		},
		"a server that nobody can see is no reason for a rollback": {
			world: func(h *dataHouse) {
				h.pushed(5 * time.Minute)
				h.Probes.DatabaseServer = nil
			},
			answer: func(incident.Question) incident.Answer {
				return incident.Answer{Kind: incident.AnswerDeny, Actor: "kim", Comment: "it is well"}
			},
			want: incident.StateFailed, does: restarted, why: "restart the database", asks: true,
		},
		"a fault of the platform that came since is waited for": {
			world: func(h *dataHouse) {
				h.pushed(5 * time.Minute)
				began := time.Now()
				over := func() bool { return time.Since(began) > time.Hour }
				h.cutOff(over)
				say(h, "platform", func() bool { return time.Since(began) > 10*time.Second && !over() }, down("major outage"))
			},
			why: "the platform itself has a fault",
		},
	}
}

// list are the deployments of the application.
func (h *dataHouse) list() []incident.Deployment {
	list, err := h.platform.Deployments(context.Background(), 20)
	assert.NoError(h.t, err)
	return list
}

// onlyNewest is a platform that keeps nothing to roll back to.
type onlyNewest struct{ *incidenttest.Platform }

func (p onlyNewest) Deployments(ctx context.Context, limit int) ([]incident.Deployment, error) {
	list, err := p.Platform.Deployments(ctx, limit)
	for i := range list {
		list[i].CanRollback = false
	}
	return list, err
}

// hotfix is a platform on which somebody begins to deploy after the first restart.
type hotfix struct{ *incidenttest.Platform }

func (p *hotfix) Deployments(ctx context.Context, limit int) ([]incident.Deployment, error) {
	list, err := p.Platform.Deployments(ctx, limit)
	if err == nil && strings.Contains(strings.Join(p.Effects(), " "), "Restart") {
		list = append([]incident.Deployment{{ID: "d9", Commit: "f1f1f1f", Status: incident.DeploymentBuilding, Created: time.Now()}}, list...)
	}
	return list, err
}

// A version that does not get through to a database that works is rolled back, once, as when
// it does not answer; nothing else is, and no server that works is restarted.
//
// Requirement: RB-PLAYBOOK-4, RB-SCRIPT-EMERGENCY-ROLLBACK
func TestDatabaseIssuesRollsBack(t *testing.T) {
	for _, cases := range []map[string]rollbackCase{cutOffByDeployment(), cutOffOtherwise()} {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				testPlaybook(t, incidenttest.PlaybookHarness{Want: c.want, New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newDataHouse(t)
					h.Defaults.Times, h.Defaults.Recover = 2, time.Minute
					c.world(h)
					h.begin()
					return incidenttest.PlaybookCase{
						Playbook: playbooks.DatabaseIssues(h.Environment), Effects: h.effects, Refused: h.platform.Refused, Answer: c.answer,
						Again: func() incident.Playbook { return playbooks.DatabaseIssues(h.Environment) },
						Check: func(t testing.TB, run incident.Run) { c.check(t, h, run) },
					}
				}})
			})
		}
	}
}

func (c rollbackCase) check(t testing.TB, h *dataHouse, run incident.Run) {
	assert.Equal(t, append([]string{}, c.does...), append([]string{}, h.effects()...), stepsOf(run))
	first, again := run.Step("decide"), run.Step("decide-again")
	assert.Contains(t, string(first.Output), c.first)
	assert.Contains(t, string(again.Output)+again.Message, c.why)
	told := slices.Contains(h.mails, "operators: Rolled back, and automatic deployments of production are frozen")
	assert.Equal(t, run.Step("roll-back").State == incident.StepDone, told, "operators are told what a rollback leaves behind")
	asked := run.Step("approve-restart").State
	assert.Equal(t, c.asks, asked != incident.StepSkipped && asked != incident.StepPending, "nobody is asked to restart a server that works")
	if c.want == "" {
		assert.Equal(t, "resolved", h.posts[len(h.posts)-1].Status)
	}
}
