package playbooks_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// downUntil says that the application is down until something is so.
func (h *house) downUntil(so func() bool) {
	h.say("application", func() health.Result {
		if so() {
			return health.Result{Status: health.Healthy}
		}
		return down("status 502")()
	})
}

// did reports whether an effect is among the last ones of the platform.
func (h *house) did(effect string) bool {
	for _, e := range h.platform.Effects() {
		if len(e) >= len(effect) && e[:len(effect)] == effect {
			return true
		}
	}
	return false
}

// Requirement: RB-PLAYBOOK-1, RB-PLAYBOOK-1-STEP-1, RB-PLAYBOOK-1-STEP-2, RB-PLAYBOOK-1-STEP-4, RB-SCRIPT-EMERGENCY-ROLLBACK
func TestApplicationDown(t *testing.T) {
	for name, c := range map[string]struct {
		world func(h *house)
		want  incident.RunState
		// does are the effects, without what they name; why is what the decision rests on.
		does []string
		why  string
	}{
		"a bad deployment is rolled back": {
			world: func(h *house) {
				h.platform.Deploy(incident.Deployment{Commit: "bad0bad", Status: incident.DeploymentSucceeded, CanRollback: true})
				time.Sleep(5 * time.Minute)
				h.downUntil(func() bool { return !h.runs("bad0bad") })
			},
			does: []string{"SetDeployFreeze true", "Rollback d4"},
			why:  "bad0bad was deployed less than 4h0m0s ago, and commit 2222222 worked before it",
		},
		"a rollback that is not well is not made again, nor after a crash": {
			world: func(h *house) {
				h.platform.Deploy(incident.Deployment{Commit: "bad0bad", Status: incident.DeploymentSucceeded, CanRollback: true})
				time.Sleep(5 * time.Minute)
				h.platform.StartAs(incident.DeploymentCrashed)
				h.downUntil(func() bool { return false })
			},
			want: incident.StateFailed,
			does: []string{"SetDeployFreeze true", "Rollback d4"},
			why:  "bad0bad was deployed less than 4h0m0s ago",
		},
		"what was rolled back already is restarted, and not rolled back further": {
			world: func(h *house) {
				h.platform.Deploy(incident.Deployment{Commit: "bad0bad", Status: incident.DeploymentSucceeded, CanRollback: true})
				time.Sleep(5 * time.Minute)
				list, err := h.platform.Deployments(context.Background(), 20)
				to, there := incident.RollbackTarget(list)
				if err != nil || !there {
					panic("there is nothing to roll back to")
				}
				if _, err := h.platform.Rollback(context.Background(), to); err != nil {
					panic(err)
				}
				h.downUntil(func() bool { return h.did("Restart") })
			},
			does: []string{"SetDeployFreeze true", "Restart d4", "SetDeployFreeze false"},
			why:  "it was rolled back already, to commit 2222222",
		},
		"what was only deployed again is restarted: older code mends nothing": {
			world: func(h *house) {
				list, err := h.platform.Deployments(context.Background(), 1)
				if err != nil {
					panic(err)
				}
				time.Sleep(5 * time.Hour)
				h.platform.Deploy(incident.Deployment{Commit: list[0].Commit, Status: incident.DeploymentSucceeded, CanRollback: true})
				h.downUntil(func() bool { return h.did("Restart") })
			},
			does: []string{"SetDeployFreeze true", "Restart d3", "SetDeployFreeze false"},
			why:  "commit 2222222 was deployed again less than 4h0m0s ago, and ran before that",
		},
		"a rollback of which the platform does not say what it is, is not made again": {
			world: func(h *house) {
				h.platform.Deploy(incident.Deployment{Status: incident.DeploymentSucceeded, CanRollback: true}) // from a laptop
				time.Sleep(time.Minute)
				h.platform.Deploy(incident.Deployment{Commit: "bad0bad", Status: incident.DeploymentSucceeded, CanRollback: true})
				time.Sleep(5 * time.Minute)
				h.downUntil(func() bool { return !h.runs("bad0bad") })
			},
			does: []string{"SetDeployFreeze true", "Rollback d5"},
			why:  "bad0bad was deployed less than 4h0m0s ago, and deployment d3 worked before it",
		},
		"what somebody else froze stays frozen": {
			world: func(h *house) {
				_, err := h.platform.SetDeployFreeze(context.Background(), true)
				if err != nil {
					panic(err)
				}
				h.downUntil(func() bool { return h.did("Restart") })
			},
			does: []string{"Restart d2"},
			why:  "nothing was deployed lately",
		},
		"what hangs is restarted": {
			world: func(h *house) { h.downUntil(func() bool { return h.did("Restart") }) },
			does:  []string{"SetDeployFreeze true", "Restart d2", "SetDeployFreeze false"},
			why:   "nothing was deployed lately, and platform and database work",
		},
		"a fault of the platform is waited for": {
			world: func(h *house) {
				began := time.Now()
				over := func() bool { return time.Since(began) > time.Hour }
				h.downUntil(over)
				h.say("platform", func() health.Result {
					if over() {
						return health.Result{Status: health.Healthy}
					}
					return down("major outage")()
				})
				h.platform.Deploy(incident.Deployment{Commit: "bad0bad", Status: incident.DeploymentSucceeded, CanRollback: true})
			},
			why: "the platform itself has a fault, which neither a rollback nor a restart mends: unhealthy: major outage",
		},
		"what is well again is left alone": {
			world: func(*house) {},
			why:   "the application answers again",
		},
		"a database that is down is for people": {
			world: func(h *house) {
				h.downUntil(func() bool { return false })
				h.say("database", down("connection refused"))
			},
			want: incident.StateFailed,
			why:  "the database is down too",
		},
		"a restart that does not help is not repeated": {
			world: func(h *house) { h.downUntil(func() bool { return false }) },
			want:  incident.StateFailed,
			does:  []string{"SetDeployFreeze true", "Restart d2"},
			why:   "nothing was deployed lately",
		},
	} {
		t.Run(name, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newHouse(t)
					c.world(h)
					before := len(h.platform.Effects())
					effects := func() []string { return h.platform.Effects()[before:] }
					return incidenttest.PlaybookCase{
						Playbook: playbooks.ApplicationDown(h.Environment), Effects: effects, Refused: h.platform.Refused,
						Again: func() incident.Playbook { return playbooks.ApplicationDown(h.Environment) },
						Check: func(t testing.TB, run incident.Run) {
							assert.ElementsMatch(t, c.does, effects())
							if run.Step("roll-back").State == incident.StepDone && c.want == "" {
								assert.Contains(t, h.mails, "operators: Rolled back, and automatic deployments of production are frozen")
							}
							s := run.Step("decide")
							assert.Contains(t, string(s.Output)+s.Message, c.why)
							if c.want == "" {
								assert.Equal(t, "resolved", h.posts[len(h.posts)-1].Status)
							}
						},
					}
				},
			})
		})
	}
}
