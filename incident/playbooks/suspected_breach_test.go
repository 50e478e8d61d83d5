package playbooks_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Requirement: RB-BREACH-ISOLATE, RB-BREACH-ASSESS, RB-BREACH-CONTAIN, RB-BREACH-NOTIFY, RB-BREACH-INVESTIGATE
func TestSuspectedBreach(t *testing.T) {
	const freeze, logout, stop = "SetDeployFreeze true", "EndSessions 12", "Stop d2"
	assessed := saying("assess", incident.AnswerDone, nil)
	for name, c := range map[string]struct {
		world  func(h *securityHouse)
		answer func(q incident.Question) incident.Answer
		want   incident.RunState
		does   []string
		// letter is in what those who answer for security were told last.
		letter []string
		// posted says whether everybody was told that it is not available.
		posted bool
	}{
		"evidence first, then contained, then isolated": {
			answer: assessed, does: []string{"evidence", freeze, logout, stop}, posted: true,
			letter: []string{
				"Assessment: said so", "failed, unauthorized or suspicious: 2", "failed_sign_ins: 31", "other programs with our identity use 9.0 units a second",
				"Unusual use of Canvas: 1: user 1: 12 logins from network 1",
				"addresses that were not there before: 203.0.113.9", "sha256", "Off the network: true", "within 30 days: by Thu 3 Feb 2000 00:00 UTC",
			},
		},
		"a person decides not to isolate": {
			answer: func(q incident.Question) incident.Answer {
				if q.Step == "approve-isolation" {
					return incident.Answer{Kind: incident.AnswerDeny, Actor: "kim", Comment: "it is a scanner of ours"}
				}
				return assessed(q)
			},
			does: []string{"evidence", freeze, logout}, letter: []string{"Off the network: false", "Sessions ended: true"},
		},
		"nobody answers": {
			answer: func(q incident.Question) incident.Answer { return incident.Answer{} },
			does:   []string{"evidence", freeze, logout}, letter: []string{"Off the network: false", "nobody said in time"},
		},
		"without evidence nothing is changed": {
			world: func(h *securityHouse) { h.noEvidence = errors.New("the bucket is not there") },
			want:  incident.StateFailed, letter: []string{"nothing was changed yet"},
		},
		"an application that answers on is not offline": {
			world: func(h *securityHouse) {
				h.say("application", func() health.Result { return health.Result{Status: health.Healthy} })
			},
			answer: assessed, want: incident.StateFailed, does: []string{"evidence", freeze, logout, stop},
		},
		"sessions that cannot be ended do not keep it from being isolated": {
			world: func(h *securityHouse) {
				h.platform.Fail("EndSessions", incident.ErrNotPermitted, incident.ErrNotPermitted)
			},
			answer: assessed, does: []string{"evidence", freeze, stop}, letter: []string{"Sessions ended: false"}, posted: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newSecurityHouse(t)
					h.say("application", until(func() bool { return !h.did("Stop") }, down("connection refused")))
					h.say("security", func() health.Result {
						return health.Result{Status: health.Degraded, Measurements: []health.Measurement{{Name: "failed_sign_ins", Value: 31}}}
					})
					h.quota.Set(incident.QuotaState{Remaining: 300, Limit: 700, Others: 9})
					if c.world != nil {
						c.world(h)
					}
					desk := h.desk()
					desk.Unusual = func(_ context.Context, since time.Time) ([]string, error) {
						if time.Since(since) < 72*time.Hour {
							return nil, errors.New("it looks at another time than was asked for")
						}
						return []string{"user 1: 12 logins from network 1, where the user was never seen"}, nil
					}
					return incidenttest.PlaybookCase{
						Playbook: playbooks.SuspectedBreach(h.Environment, desk), Effects: h.effects, Refused: h.platform.Refused, Answer: c.answer,
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, append([]string{}, c.does...), h.effects(), stepsOf(run))
							for _, text := range c.letter {
								assert.Contains(t, h.letter(), text)
							}
							assert.Equal(t, c.posted, len(h.posts) > 0)
						},
					}
				},
				Repeatable: repeatable("evidence", "EndSessions 0"),
			})
		})
	}
}

// What is taken as evidence is what the environment has, over the time that was asked for.
func TestSuspectedBreachTakesWhatThereIs(t *testing.T) {
	testPlaybook(t, incidenttest.PlaybookHarness{
		New: func(t testing.TB) incidenttest.PlaybookCase {
			h := newSecurityHouse(t)
			h.say("application", until(func() bool { return !h.did("Stop") }, down("connection refused")))
			return incidenttest.PlaybookCase{
				Playbook: playbooks.SuspectedBreach(h.Environment, h.desk()), Effects: h.effects, Refused: h.platform.Refused, Parameters: map[string]string{"since": "24h"},
				Check: func(t testing.TB, _ incident.Run) {
					require.Len(t, h.taken, 1)
					e := h.taken[0]
					var names []string
					for _, s := range e.Sources {
						names = append(names, s.Name)
					}
					assert.Equal(t, []string{"application-log", "requests", "canvas-audit", "deployments", "measurements"}, names)
					assert.Equal(t, 24*time.Hour, e.To.Sub(e.From))
					assert.Equal(t, "jane", e.By)
				},
			}
		},
		Repeatable: repeatable("evidence", "EndSessions 0"),
	})
}

// People see what they approve, and what they have approved stays that, however long they
// take, also where no evidence says since when it is suspected.
func TestSuspectedBreachShowsWhatIsApproved(t *testing.T) {
	testPlaybook(t, incidenttest.PlaybookHarness{
		New: func(t testing.TB) incidenttest.PlaybookCase {
			h := newSecurityHouse(t)
			h.noEvidence = errors.New("the bucket is not there")
			h.say("application", until(func() bool { return !h.did("Stop") }, down("connection refused")))
			asked, calls := 0, []string(nil)
			return incidenttest.PlaybookCase{
				Playbook: playbooks.SuspectedBreach(h.Environment, h.desk()), Effects: h.effects, Refused: h.platform.Refused,
				Answer: func(q incident.Question) incident.Answer {
					switch q.Step {
					case "preserve":
						return incident.Answer{Kind: incident.AnswerSkip, Actor: "kim", Comment: "the machine was copied"}
					case "approve-isolation":
						asked++
						for _, e := range q.Effects {
							calls = append(calls, e.Call)
						}
						time.Sleep(2 * time.Minute)
					}
					return agreeing(q)
				},
				Check: func(t testing.TB, run incident.Run) {
					assert.Equal(t, 1, asked)
					assert.Equal(t, []string{"stop the application of production"}, calls)
					assert.Contains(t, h.letter(), "Off the network: true")
					assert.Contains(t, h.letter(), "Unusual use of Canvas was not looked for: this host has nothing that looks for")
				},
			}
		},
		Repeatable: repeatable("EndSessions 0"),
	})
}

func TestSuspectedBreachNeedsSomebodyToTell(t *testing.T) {
	err := playbooks.SuspectedBreach(playbooks.Environment{Name: "production"}, playbooks.SecurityDesk{}).Validate()
	for _, need := range []string{"Defaults.Security", "SecurityDesk.Notify", "SecurityDesk.Preserve", "Stopper", "DeployFreezer", "Logs", "Sessions"} {
		assert.ErrorContains(t, err, "needs a "+need)
	}
}
