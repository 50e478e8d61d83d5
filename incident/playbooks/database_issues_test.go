package playbooks_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// serverDid reports whether something was done to the service of the database.
func (h *dataHouse) serverDid(effect string) bool {
	return slices.Contains(h.server.Effects(), effect)
}

// databaseCase is a state of the database, and what is done about it.
type databaseCase struct {
	world      func(h *dataHouse)
	parameters map[string]string
	answer     func(q incident.Question) incident.Answer
	// byHand is what a person does whom the playbook asks to do something.
	byHand func(h *dataHouse)
	want   incident.RunState
	// does are the effects, why is what the decision rests on.
	does []string
	why  string
	// asked is a question that people must have been asked.
	asked string
}

// databaseCases are the branches of the decision, and the faults that do not go away.
func databaseCases() map[string]databaseCase {
	refused := func() health.Result {
		return health.Result{Status: health.Unhealthy, Cause: health.CauseRefused, Message: "connection refused"}
	}
	full := reads(health.Degraded, health.CauseThreshold, "connections_used 97 %", map[string]float64{"connections_used": 97})
	held := reads(health.Healthy, "", "", map[string]float64{"blocked_queries": 3, "longest_blocked": 4}) // by others, and not for long yet
	slow := reads(health.Degraded, health.CauseThreshold, "slowest_query_mean 4200 ms", nil)
	more := map[string]string{"memory-gb": "4"}
	return map[string]databaseCase{
		"a storm of connections ends with a restart of the application": {
			world: func(h *dataHouse) {
				so := func() bool { return h.did("Restart") }
				h.say("database", until(so, down("too many clients")))
				h.say("database server", until(so, full))
			},
			does: []string{"Restart d2"}, why: "97 % of the connections of the server are in use",
		},
		"a server that takes no more connections is not the thing to restart": {
			world: func(h *dataHouse) {
				so := func() bool { return h.did("Restart") }
				h.say("database server", until(so, reads(health.Unhealthy, "too_many_connections", "no more connections", nil)))
			},
			does: []string{"Restart d2"}, why: "the server accepts no more connections",
		},
		"a pool of the application that is full is let go, although the server has room": {
			world: func(h *dataHouse) {
				so := func() bool { return h.did("Restart") }
				h.say("application", until(so, down("status 503")))
				h.say("activity", until(so, reads(health.Degraded, health.CauseThreshold, "pool_used 100 %", map[string]float64{"pool_used": 100})))
			},
			does: []string{"Restart d2"}, why: "100 % of the pool of connections are in use",
		},
		"queries that wait for others are let go": {
			world: func(h *dataHouse) {
				so := func() bool { return h.did("Restart") }
				h.say("database server", until(so, reads(health.Degraded, health.CauseThreshold, "blocked", map[string]float64{"blocked_queries": 7, "longest_blocked": 400})))
			},
			does: []string{"Restart d2"}, why: "7 queries wait for others, one of them for 400 s",
		},
		"the application comes first, a server that holds it up only when that did not help": {
			world: func(h *dataHouse) {
				so := func() bool { return h.serverDid("Restart d1") }
				h.say("database", until(so, refused))
				h.say("database server", until(so, held))
			},
			does: []string{"Restart d2", "server: Restart d1"}, why: "the server works, and the application does not get through to it", asked: "approve-restart",
		},
		"a person may say no to a restart of the server": {
			world: func(h *dataHouse) { h.say("database", refused); h.say("database server", full) },
			answer: func(incident.Question) incident.Answer {
				return incident.Answer{Kind: incident.AnswerDeny, Actor: "kim", Comment: "exams are on"}
			},
			want: incident.StateFailed, does: []string{"Restart d2"}, why: "97 % of the connections", asked: "approve-restart",
		},
		"nobody answers": {
			world:  func(h *dataHouse) { h.say("database", refused); h.say("database server", full) },
			answer: func(incident.Question) incident.Answer { return incident.Answer{} },
			want:   incident.StateFailed, does: []string{"Restart d2"}, why: "97 % of the connections", asked: "approve-restart",
		},
		"a service of the database that has crashed is restarted": {
			world: func(h *dataHouse) {
				h.server.SetStatus("d1", incident.DeploymentCrashed, "out of memory")
				so := func() bool { return h.serverDid("Restart d1") }
				h.say("database", until(so, refused))
				h.say("database server", until(so, refused))
			},
			does: []string{"server: Restart d1"}, why: "the service of the database does not run: the last one, d1 (image postgres:15), is crashed: out of memory", asked: "approve-restart",
		},
		"inconsistent data is not restored without a person": {
			world: func(h *dataHouse) {
				h.say("database server", reads(health.Unhealthy, health.CauseAssertion, "the invariant is violated: tasks_without_course 12", nil))
			},
			want: incident.StateFailed, why: "tasks_without_course 12",
		},
		"a full disk is for a person": {
			world: func(h *dataHouse) {
				h.say("database server", until(func() bool { return h.larger }, reads(health.Degraded, health.CauseThreshold, "disk_used 96 %", map[string]float64{"disk_used": 96})))
			},
			byHand: func(h *dataHouse) { h.larger = true },
			why:    "the disk is full or nearly so", asked: "scale-by-hand",
		},
		"a person who says that the disk is larger is not believed": {
			world: func(h *dataHouse) {
				h.say("database server", reads(health.Unhealthy, "disk_full", "no space left", nil))
			},
			want: incident.StateFailed, why: "no space left", asked: "scale-by-hand",
		},
		"slow queries get more memory": {
			world: func(h *dataHouse) {
				h.say("database server", until(func() bool { return len(h.server.Effects()) > 1 }, slow))
			},
			parameters: more, does: []string{"server: SetScale 1"}, why: "slowest_query_mean 4200 ms", asked: "approve-scale",
		},
		"more memory that does not help is taken back": {
			world:      func(h *dataHouse) { h.say("database server", slow) },
			parameters: more, want: incident.StateFailed, does: []string{"server: SetScale 1", "server: SetScale 1"}, why: "slowest_query_mean 4200 ms", asked: "approve-scale",
		},
		"a fault of the platform is waited for": {
			world: func(h *dataHouse) {
				began := time.Now()
				over := func() bool { return time.Since(began) > 30*time.Minute }
				h.say("database", until(over, refused))
				h.say("platform", until(over, down("major outage")))
			},
			why: "the platform itself has a fault",
		},
		"what is well is left alone": {world: func(*dataHouse) {}, why: "the database works"},
		"what nobody can see is not guessed": {
			world: func(h *dataHouse) {
				blind := func() health.Result { return health.Result{Status: health.Unknown, Message: "no answer in time"} }
				h.say("database", blind)
				h.say("database server", blind)
			},
			want: incident.StateFailed, why: "whether the database works could not be seen",
		},
	}
}

// Requirement: RB-PLAYBOOK-4, RB-PLAYBOOK-4-SYMPTOMS, RB-PLAYBOOK-4-STEP-1
// Requirement: RB-PLAYBOOK-4-STEP-2-CONNECTIONS, RB-PLAYBOOK-4-STEP-2-SLOW, RB-PLAYBOOK-4-STEP-2-DISK
// Requirement: RB-PLAYBOOK-4-STEP-3-RESTART, RB-PLAYBOOK-4-STEP-3-SCALE
func TestDatabaseIssues(t *testing.T) {
	for name, c := range databaseCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newDataHouse(t)
					h.Defaults.Times, h.Defaults.Recover = 2, time.Minute
					c.world(h)
					h.begin()
					answer := c.answer
					if c.byHand != nil {
						answer = func(incident.Question) incident.Answer {
							c.byHand(h)
							return incident.Answer{Kind: incident.AnswerDone, Actor: "kim"}
						}
					}
					return incidenttest.PlaybookCase{
						Playbook: playbooks.DatabaseIssues(h.Environment), Effects: h.effects, Refused: h.platform.Refused, Parameters: c.parameters, Answer: answer,
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, append([]string{}, c.does...), append([]string{}, h.effects()...), stepsOf(run))
							s := run.Step("decide")
							assert.Contains(t, string(s.Output)+s.Message, c.why)
							if c.asked != "" {
								assert.NotEqual(t, incident.StepSkipped, run.Step(c.asked).State)
								assert.NotEqual(t, incident.StepPending, run.Step(c.asked).State)
							}
							if c.want == "" {
								assert.Equal(t, "resolved", h.posts[len(h.posts)-1].Status)
							}
						},
					}
				},
				// Setting the same memory again is the same as setting it once.
				Repeatable: func(effect string) bool { return effect == "server: SetScale 1" },
			})
		})
	}
}
