package playbooks_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// ruin is a house of which nothing is left but the dumps, and a new platform.
type ruin struct {
	*dataHouse
	fresh *incidenttest.Platform
	store *runbook.MemoryCredentials
	// rejected is what users do not accept.
	rejected []string
}

func newRuin(t testing.TB) *ruin {
	r := &ruin{dataHouse: newDataHouse(t), fresh: new(incidenttest.Platform), store: new(runbook.MemoryCredentials)}
	r.Provisioner, r.Credentials = r.fresh, r.store
	r.Defaults.Times, r.Defaults.Recover = 1, time.Minute
	r.fresh.SetTarget("live", "")
	r.vault.done = func() int { return len(r.fresh.Effects()) }
	return r
}

func (r *ruin) rebuild() playbooks.Rebuild {
	return playbooks.Rebuild{
		Project: incident.ProjectSpec{Name: "qa-automation"}, Database: incident.ServiceSpec{Name: "database", Template: "postgres"},
		Application: incident.ServiceSpec{Name: "web", Repository: "acu/qa"},
		Configuration: func(context.Context, playbooks.Rebuilt) (map[string]runbook.Secret, []string, error) {
			return map[string]runbook.Secret{"DATABASE_URL": runbook.NewSecret("postgres://new")}, []string{"SECRET_KEY"}, nil
		},
		Connect: func(context.Context, playbooks.Rebuilt) (playbooks.Environment, error) {
			made := r.Environment
			made.Deployer, made.Variables, made.Dumper = r.fresh, r.fresh, r.fresh
			return made, nil
		},
		Acceptance: func(context.Context) ([]string, error) { return r.rejected, nil },
	}
}

// supplied answers as a person who puts what was sealed into the store.
func (r *ruin) supplied(q incident.Question) incident.Answer {
	if q.Step == "ask-sealed" {
		if _, err := r.store.Put(r.t.Context(), "SECRET_KEY", runbook.NewSecret("s3aled"), ""); err != nil {
			r.t.Error(err)
		}
	}
	return agreeing(q)
}

// Requirement: RB-DR, RB-DR-STEP-1, RB-DR-STEP-2, RB-DR-STEP-3, RB-DR-STEP-4
// Requirement: RB-SCRIPT-RESTORE-ENVIRONMENT-CONFIG, RB-SCRIPT-UAT-VALIDATION
func TestCompleteRecovery(t *testing.T) {
	made := []string{"EnsureProject qa-automation", "EnsureEnvironment production", "EnsureService database", "EnsureService web"}
	configured := append(made[:4:4], "SetVariables DATABASE_URL,SECRET_KEY")
	whole := append(configured[:5:5], "Load live", "DeploySource d5")
	for name, c := range map[string]struct {
		world  func(r *ruin)
		answer func(r *ruin) func(q incident.Question) incident.Answer
		want   incident.RunState
		does   []string
		data   string
		step   string
		says   string
	}{
		"everything from nothing": {does: whole, data: "accounts\ntasks\n", step: "ask-sealed"},
		"what the disaster left is not overwritten without a person": {
			world: func(r *ruin) { r.fresh.SetTarget("live", "half\n") },
			answer: func(r *ruin) func(incident.Question) incident.Answer {
				return func(q incident.Question) incident.Answer {
					if q.Step == "approve-load" {
						return incident.Answer{Kind: incident.AnswerDeny, Actor: "kim", Comment: "look first"}
					}
					return r.supplied(q)
				}
			},
			want: incident.StateFailed, does: configured, data: "half\n", step: "approve-load", says: "denied by kim",
		},
		"what the disaster left is overwritten when people approve": {
			world: func(r *ruin) { r.fresh.SetTarget("live", "half\n") }, does: whole, data: "accounts\ntasks\n", step: "approve-load", says: "approved by kim",
		},
		"what the disaster left is kept when nobody answers": {
			world: func(r *ruin) { r.fresh.SetTarget("live", "half\n") },
			answer: func(r *ruin) func(incident.Question) incident.Answer {
				return func(q incident.Question) incident.Answer {
					if q.Step == "approve-load" {
						return incident.Answer{}
					}
					return r.supplied(q)
				}
			},
			want: incident.StateFailed, does: configured, data: "half\n", step: "approve-load", says: "not approved in time",
		},
		"who keeps the names cannot change the address": {
			answer: func(r *ruin) func(incident.Question) incident.Answer {
				return func(q incident.Question) incident.Answer {
					if q.Step == "address" {
						return incident.Answer{Kind: incident.AnswerDeny, Actor: "kim", Comment: "the names are frozen"}
					}
					return r.supplied(q)
				}
			},
			want: incident.StateFailed, does: whole, data: "accounts\ntasks\n", step: "address", says: "kim says that it cannot be done: the names are frozen",
		},
		"what was sealed and nobody supplies": {
			answer: func(*ruin) func(incident.Question) incident.Answer { return agreeing },
			want:   incident.StateFailed, does: made, step: "configure", says: "SECRET_KEY was sealed, and nobody has supplied it",
		},
		"without a dump there is nothing to rebuild from": {
			world: func(r *ruin) { r.vault.dumps = nil }, want: incident.StateFailed, step: "choose", says: "there is no such dump",
		},
		"nobody approves": {
			answer: func(*ruin) func(incident.Question) incident.Answer {
				return func(incident.Question) incident.Answer { return incident.Answer{} }
			},
			want: incident.StateFailed, step: "approve", says: "not approved in time",
		},
		"a dump of which not everything arrives": {
			world: func(r *ruin) { r.vault.dumps[0].Receipt.Tables = 7 }, want: incident.StateFailed, does: whole[:6], data: "accounts\ntasks\n",
			step: "looks-right", says: "live has 2 tables after it was loaded, and the dump has 7",
		},
		"users do not accept it": {
			world: func(r *ruin) { r.rejected = []string{"no report is made"} }, want: incident.StateFailed, does: whole, data: "accounts\ntasks\n",
			step: "accepted", says: "no report is made",
		},
		"Canvas does not work with it": {
			world: func(r *ruin) { r.say("login", func() health.Result { return down("status 401")() }) }, want: incident.StateFailed, does: whole, data: "accounts\ntasks\n",
			step: "canvas-works", says: "login: unhealthy: status 401",
		},
	} {
		t.Run(name, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					r := newRuin(t)
					if c.world != nil {
						c.world(r)
					}
					answer := r.supplied
					if c.answer != nil {
						answer = c.answer(r)
					}
					return incidenttest.PlaybookCase{
						Playbook: playbooks.CompleteRecovery(r.Environment, r.vault.keeping(), r.rebuild()), Effects: r.fresh.Effects, Refused: r.fresh.Refused,
						Parameters: map[string]string{"commit": "2222222"}, Answer: answer,
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, append([]string{}, c.does...), append([]string{}, r.fresh.Effects()...), stepsOf(run))
							assert.Equal(t, c.data, r.fresh.Target("live"))
							assert.Contains(t, run.Step(c.step).Message, c.says)
							all, err := json.Marshal(run)
							assert.NoError(t, err)
							assert.NotContains(t, string(all), "s3aled")
							assert.NotContains(t, string(all), "postgres://new")
						},
					}
				},
				Repeatable: repeatable("SetVariables DATABASE_URL,SECRET_KEY"),
			})
		})
	}
}

func TestCompleteRecoveryNeeds(t *testing.T) {
	err := playbooks.CompleteRecovery(playbooks.Environment{Name: "production"}, playbooks.Dumps{}, playbooks.Rebuild{}).Validate()
	for _, need := range []string{"Provisioner", "Credentials", "Dumps that are kept off the platform", "Rebuild.Configuration", "Rebuild.Connect", "Rebuild.Acceptance"} {
		assert.ErrorContains(t, err, "needs a "+need)
	}
}
