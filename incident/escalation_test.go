package incident_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// errUnsent proves that nothing was sent.
func errUnsent() error { return &alert.Error{Service: "phone", Op: "call", Unsent: true} }

// errRefused means that the service will never take it.
func errRefused() error {
	return &alert.Error{Service: "phone", Op: "call", Status: 400, Kind: alert.ErrRefused}
}

// errLost leaves open whether it arrived.
func errLost() error { return &alert.Error{Service: "phone", Op: "call", Status: 502} }

// Requirement: AL-GATUS-ESCALATION
func TestNobodyAcknowledges(t *testing.T) {
	t.Parallel()
	escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
		run := w.begin(criticalOutage())
		w.wait(24 * time.Hour)
		assert.Equal(t, []string{"0s ana firing", "15m0s bo firing", "30m0s infra firing"}, w.told())
		assert.Equal(t, []string{"0s called 1", "15m0s called 2", "30m0s called 3", "45m0s exhausted 3"}, w.happened())
		assert.True(t, w.event(incident.EscalationExhausted).Failed())
		w.do(w.x.Ended(w.ctx, run))
		assert.Equal(t, []string{"24h0m0s ana resolved", "24h0m0s bo resolved", "24h0m0s infra resolved"}, w.told()[3:])
		w.ended(run)
	})
}

// Requirement: INC-ESC-ACK-STOPS
func TestAcknowledgementStops(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]time.Duration{"before anybody was called": 0, "between two levels": 14 * time.Minute, "at the last moment": 15*time.Minute - 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := threeLevels()
			policy.Levels[0].After = time.Minute
			policy.Levels[1].After = 14 * time.Minute
			escalate(t, policy, func(t *testing.T, w *escalationWorld) {
				run := w.begin(criticalOutage())
				w.wait(wait)
				w.do(w.x.Acknowledged(w.ctx, run, "Ana"))
				w.do(w.x.Acknowledged(w.ctx, run, "Ana")) // again does nothing
				w.wait(48 * time.Hour)
				e := w.event(incident.EscalationAcknowledged)
				assert.Equal(t, "Ana", e.Actor)
				assert.Equal(t, wait, e.At.Sub(w.start))
				assert.True(t, e.Next.IsZero())
				if wait > 0 {
					assert.Equal(t, []string{"1m0s ana firing"}, w.told(), "who acknowledged is not told so")
				} else {
					assert.Empty(t, w.told())
				}
				w.do(w.x.Ended(w.ctx, run))
				w.ended(run)
				w.do(w.x.Acknowledged(w.ctx, run, "Ana")) // too late is no error
				w.do(w.x.Ended(w.ctx, run))
			})
		})
	}
}

// Those who were called are told that somebody takes care, in the same conversation.
func TestThoseWhoWereCalledAreToldWhoTakesIt(t *testing.T) {
	t.Parallel()
	escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
		run := w.begin(criticalOutage())
		w.wait(20 * time.Minute)
		w.do(w.x.Acknowledged(w.ctx, run, "Bo"))
		w.wait(time.Hour)
		w.do(w.x.Ended(w.ctx, run))
		assert.Equal(t, []string{"0s ana firing", "15m0s bo firing", "20m0s ana update", "1h20m0s ana resolved", "1h20m0s bo resolved"}, w.told())
		list := w.channels["ana"].Notifications()
		for i, n := range list {
			assert.Equal(t, list[0].Key, n.Key)
			assert.Equal(t, i+1, n.Seq)
		}
		assert.Equal(t, "TAKEN by Bo, CRITICAL production: Canvas does not answer (INC-2026-0042)", list[1].Title)
		assert.Equal(t, "Bo", list[1].Alerts[0].Acknowledged.By)
		assert.Equal(t, alert.Receipt("message-1"), list[2].Prior)
		assert.Equal(t, "OVER: CRITICAL production: Canvas does not answer (INC-2026-0042)", list[2].Title)
		assert.NotEqual(t, list[0].Key, w.last("bo").Key, "another person is another conversation")
	})
}

// Requirement: INC-ESC-ACK-TIMEOUT, INC-ASK-ACK-EXPIRES
func TestAcknowledgementExpires(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.AckTimeout = time.Hour
	escalate(t, policy, func(t *testing.T, w *escalationWorld) {
		run := w.begin(criticalOutage())
		w.wait(20 * time.Minute)
		w.do(w.x.Acknowledged(w.ctx, run, "Bo"))
		w.wait(50 * time.Minute)
		w.do(w.x.Progress(w.ctx, run, "Bo")) // at 1h10: counts until 2h10
		w.wait(50 * time.Minute)
		w.do(w.x.Acknowledged(w.ctx, run, "Cy")) // at 2h: counts until 3h
		w.wait(59 * time.Minute)
		assert.Equal(t, []string{"0s ana firing", "15m0s bo firing", "20m0s ana update"}, w.told())
		w.change("INC-2026-0042", func(inc *incident.Incident) { // a Manager that was not told that it expired
			inc.State, inc.AcknowledgedBy = incident.Acknowledged, "Bo"
		})
		w.wait(time.Hour)
		assert.Equal(t, []string{"3h0m0s bo reminder", "3h15m0s infra firing"}, w.told()[3:], "from the level that was reached")
		assert.Equal(t, []string{"3h0m0s expired 2", "3h0m0s called 2", "3h15m0s called 3", "3h30m0s exhausted 3"}, w.happened()[3:])
		assert.Contains(t, w.last("bo").Title, "STILL CRITICAL production")
		assert.Contains(t, w.last("bo").Text, "Cy acknowledged, and nothing was heard since.")
		w.do(w.x.Acknowledged(w.ctx, run, "Bo"))
		w.do(w.x.Ended(w.ctx, run))
	})
}

func TestAcknowledgementIsTakenBack(t *testing.T) {
	t.Parallel()
	escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
		run := w.begin(criticalOutage())
		w.do(w.x.Unacknowledged(w.ctx, run)) // nobody has: nothing happens
		w.do(w.x.Acknowledged(w.ctx, run, "Ana"))
		w.wait(30 * time.Minute)
		w.do(w.x.Unacknowledged(w.ctx, run))
		w.wait(16 * time.Minute)
		w.do(w.x.Ended(w.ctx, run))
		assert.Equal(t, []string{"0s ana firing", "30m0s ana reminder", "45m0s bo firing"}, w.told()[:3])
		assert.ErrorIs(t, w.x.Unacknowledged(w.ctx, run), incident.ErrStale)
	})
}

// Requirement: INC-ESC-ON-CALL
func TestWhoIsOnCallIsAskedWhenTheLevelIsReached(t *testing.T) {
	t.Parallel()
	escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
		w.begin(criticalOutage())
		asked := w.onCall.Asked()
		require.Len(t, asked, 1)
		assert.Equal(t, "operations", asked[0].Team)
		w.wait(10 * time.Minute)
		w.onCall.Set("development", peopleOf("Cy")...) // handed over in time
		w.wait(10 * time.Minute)
		asked = w.onCall.Asked()
		require.Len(t, asked, 2)
		assert.Equal(t, 15*time.Minute, asked[1].At.Sub(w.start))
		assert.Equal(t, []string{"0s ana firing", "15m0s cy firing"}, w.told())
	})
}

// Requirement: INC-ESC-NOBODY
func TestNobodyIsReached(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(w *escalationWorld){
		"nobody is on call":             func(w *escalationWorld) { w.onCall.Set("operations") },
		"no contact":                    func(w *escalationWorld) { w.onCall.Set("operations", incident.Person{Name: "Ana"}) },
		"no such channel":               func(w *escalationWorld) { w.onCall.Set("operations", peopleOf("Zed")...) },
		"no such team":                  func(w *escalationWorld) { w.onCall.Fail(incident.ErrNotFound) },
		"the rota does not answer":      func(w *escalationWorld) { w.onCall.Fail(errors.New("down"), errors.New("down")) },
		"the service refuses":           func(w *escalationWorld) { w.channels["ana"].Fail(errRefused()) },
		"the service is gone":           func(w *escalationWorld) { w.channels["ana"].Fail(errUnsent(), errUnsent(), errUnsent()) },
		"it is not known, three times":  func(w *escalationWorld) { w.channels["ana"].Fail(errLost(), errLost(), errLost()) },
		"refused, after it was unknown": func(w *escalationWorld) { w.channels["ana"].Fail(errLost(), errRefused()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
				prepare(w)
				w.begin(criticalOutage())
				w.wait(time.Minute) // for attempts that are repeated
				e := w.event(incident.EscalationNobody)
				assert.Equal(t, 1, e.Level)
				assert.True(t, e.Failed())
				assert.Contains(t, e.Text, "nobody was reached: the next level is called at once")
				assert.Equal(t, "called 2", w.happened()[1][len(w.happened()[1])-8:])
				bo := w.channels["bo"].Notifications()
				require.Len(t, bo, 1)
				assert.Less(t, bo[0].At.Sub(w.start), 15*time.Second, "and not a quarter of an hour later")
			})
		})
	}
}

// A rota that could not be asked is asked again; one that panics is an error.
func TestTheRotaIsAskedTwice(t *testing.T) {
	t.Parallel()
	escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
		w.onCall.Fail(errors.New("down"))
		w.begin(criticalOutage())
		assert.Equal(t, []string{"0s ana firing"}, w.told())
	})
}

// Requirement: INC-ESC-REPEAT
func TestThePolicyIsRepeated(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.Repeat, policy.RepeatAfter = 2, 20*time.Minute
	escalate(t, policy, func(t *testing.T, w *escalationWorld) {
		run := w.begin(criticalOutage())
		w.wait(48 * time.Hour)
		assert.Equal(t, []string{
			"0s called 1", "15m0s called 2", "30m0s called 3",
			"50m0s called 1", "1h5m0s called 2", "1h20m0s called 3",
			"1h40m0s called 1", "1h55m0s called 2", "2h10m0s called 3",
			"2h30m0s exhausted 3",
		}, w.happened())
		assert.Equal(t, 3, w.event(incident.EscalationCalled).Round)
		assert.Contains(t, w.event(incident.EscalationExhausted).Text, "3 times over")
		ana := w.channels["ana"].Notifications()
		require.Len(t, ana, 3)
		assert.Equal(t, []alert.Kind{alert.KindFiring, alert.KindReminder, alert.KindReminder}, []alert.Kind{ana[0].Kind, ana[1].Kind, ana[2].Kind})
		assert.Equal(t, 3, ana[2].Seq)
		w.do(w.x.Force(w.ctx, run, "Dee")) // and people can begin again
		w.wait(time.Hour)
		assert.Equal(t, []string{"48h0m0s forced 1", "48h0m0s called 1", "48h15m0s called 2", "48h30m0s called 3", "48h50m0s exhausted 3"}, w.happened()[10:])
	})
}

// Requirement: INC-ESC-FORCE
func TestAPersonEscalatesByHand(t *testing.T) {
	t.Parallel()
	escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
		w.begin(criticalOutage())
		w.wait(time.Minute)
		w.do(w.x.Force(w.ctx, "INC-2026-0042", "Dee")) // the ID of the incident does as well
		w.wait(16 * time.Minute)
		assert.Equal(t, []string{"0s called 1", "1m0s forced 2", "1m0s called 2", "16m0s called 3"}, w.happened())
		e := w.event(incident.EscalationForced)
		assert.Equal(t, "Dee", e.Actor)
		assert.Equal(t, "Dee calls level 2, Development, by hand.", e.Text)
		assert.Contains(t, w.last("bo").Text, "Dee has called this level by hand.")
	})
	t.Run("twice is once", func(t *testing.T) {
		t.Parallel()
		policy := threeLevels()
		policy.Levels[0].After = time.Hour
		escalate(t, policy, func(t *testing.T, w *escalationWorld) {
			run := w.begin(criticalOutage())
			require.NoError(t, w.x.Force(w.ctx, run, "Dee"))
			w.do(w.x.Force(w.ctx, run, "Dee"))
			assert.Equal(t, []string{"0s ana firing"}, w.told())
		})
	})
	t.Run("while somebody takes care", func(t *testing.T) {
		t.Parallel()
		policy := threeLevels()
		policy.AckTimeout = time.Hour
		escalate(t, policy, func(t *testing.T, w *escalationWorld) {
			run := w.begin(criticalOutage())
			w.do(w.x.Acknowledged(w.ctx, run, "Ana"))
			w.wait(time.Minute)
			w.do(w.x.Force(w.ctx, run, "Ana"))
			assert.Equal(t, []string{"0s ana firing", "1m0s bo firing"}, w.told())
			w.wait(58 * time.Minute)
			assert.Len(t, w.told(), 2, "the acknowledgement still counts")
			w.wait(2 * time.Minute)
			assert.Equal(t, "1h0m0s bo reminder", w.told()[2], "and expires when it would have")
		})
	})
}

// Requirement: INC-ESC-SNAPSHOT
func TestARunningEscalationKeepsItsPolicy(t *testing.T) {
	t.Parallel()
	escalate(t, threeLevels(), func(t *testing.T, w *escalationWorld) {
		inc := criticalOutage()
		run := w.begin(inc)
		// The host is changed: development is called after a minute, and by nobody.
		other := threeLevels()
		other.Levels[1].After = time.Minute
		w.cfg.Policies = []incident.EscalationPolicy{other}
		changed, err := incident.NewEscalations(w.cfg)
		require.NoError(t, err)
		inc.Title = "Canvas and everything else does not answer"
		again, err := changed.Begin(w.ctx, inc)
		require.NoError(t, err)
		assert.Equal(t, run, again, "it has begun already")
		w.wait(14 * time.Minute)
		assert.Equal(t, []string{"0s ana firing"}, w.told())
		w.wait(time.Minute)
		assert.Equal(t, []string{"0s ana firing", "15m0s bo firing"}, w.told())
	})
}

// Requirement: INC-ASK-MINUTES
func TestAnyNumberOfMinutes(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{time.Second, 7 * time.Minute, 97*time.Minute + 3*time.Second, 9001 * time.Minute} {
		t.Run(wait.String(), func(t *testing.T) {
			t.Parallel()
			policy := threeLevels()
			policy.Levels[1].After = wait
			escalate(t, policy, func(t *testing.T, w *escalationWorld) {
				w.begin(criticalOutage())
				w.wait(wait - 1)
				assert.Len(t, w.told(), 1)
				w.wait(1)
				assert.Equal(t, fmt.Sprintf("%v bo firing", wait), w.told()[1])
			})
		})
	}
}

func TestSeverities(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.Levels[0].AfterFor = map[alert.Severity]time.Duration{alert.Medium: 10 * time.Minute}
	policy.Levels[1].AfterFor = map[alert.Severity]time.Duration{alert.High: 30 * time.Minute, alert.Medium: 2 * time.Hour}
	policy.Levels[1].Severities = []alert.Severity{alert.Critical, alert.High, alert.Medium}
	policy.Levels[2].Severities = []alert.Severity{alert.Critical}
	for severity, want := range map[alert.Severity][]string{
		alert.Critical: {"0s called 1", "15m0s called 2", "30m0s called 3", "45m0s exhausted 3"},
		alert.High:     {"0s called 1", "30m0s called 2", "45m0s exhausted 2"},
		alert.Medium:   {"10m0s called 1", "2h10m0s called 2", "2h25m0s exhausted 2"},
		alert.Low:      {"0s called 1", "15m0s exhausted 1"},
	} {
		t.Run(severity.String(), func(t *testing.T) {
			t.Parallel()
			escalate(t, policy, func(t *testing.T, w *escalationWorld) {
				inc := criticalOutage()
				inc.Severity = severity
				w.begin(inc)
				w.wait(24 * time.Hour)
				assert.Equal(t, want, w.happened())
			})
		})
	}
}

func TestTheIncidentBecomesWorse(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.Levels[1].AfterFor = map[alert.Severity]time.Duration{alert.Medium: 2 * time.Hour}
	policy.Paging = incident.EscalationPaging{Channels: []string{"phone"}}
	policy.Levels[0].Targets = append(policy.Levels[0].Targets, incident.EscalationTarget{Channel: "phone", Who: "Operations manager"})
	medium := func() incident.Incident {
		inc := criticalOutage()
		inc.Severity = alert.Medium
		return inc
	}
	t.Run("who was called is told so", func(t *testing.T) {
		t.Parallel()
		escalate(t, policy, func(t *testing.T, w *escalationWorld) {
			run := w.begin(medium())
			w.wait(time.Hour)
			w.do(w.x.Worse(w.ctx, run, alert.Critical, "Dee"))
			w.do(w.x.Worse(w.ctx, run, alert.High, "Dee")) // not worse: nothing
			w.wait(16 * time.Minute)
			assert.Equal(t, []string{"0s ana firing", "1h0m0s ana update", "1h0m0s phone firing", "1h15m0s bo firing"}, w.told(), "phones ring from now on")
			assert.Equal(t, "WORSE: CRITICAL production: Canvas does not answer (INC-2026-0042, level 1)", w.last("ana").Title)
			assert.Contains(t, w.event(incident.EscalationWorse).Text, "It is critical now, and was medium")
		})
	})
	t.Run("before anybody was called", func(t *testing.T) {
		t.Parallel()
		slow := policy
		slow.Levels = append([]incident.EscalationLevel{}, policy.Levels...)
		slow.Levels[0].AfterFor = map[alert.Severity]time.Duration{alert.Medium: time.Hour}
		escalate(t, slow, func(t *testing.T, w *escalationWorld) {
			run := w.begin(medium())
			w.wait(time.Minute)
			w.do(w.x.Worse(w.ctx, run, alert.Critical, "Dee"))
			assert.Equal(t, []string{"1m0s ana firing", "1m0s phone firing"}, w.told())
		})
	})
	t.Run("for which nobody was to be called", func(t *testing.T) {
		t.Parallel()
		critical := threeLevels()
		for i := range critical.Levels {
			critical.Levels[i].Severities = []alert.Severity{alert.Critical}
		}
		escalate(t, critical, func(t *testing.T, w *escalationWorld) {
			run := w.begin(medium())
			w.wait(time.Hour)
			assert.Contains(t, w.event(incident.EscalationNobody).Text, "No level of the policy is for severity medium")
			w.do(w.x.Worse(w.ctx, run, alert.Critical, "Dee"))
			assert.Equal(t, []string{"1h0m0s ana firing"}, w.told())
		})
	})
	t.Run("while somebody takes care", func(t *testing.T) {
		t.Parallel()
		escalate(t, policy, func(t *testing.T, w *escalationWorld) {
			run := w.begin(medium())
			w.do(w.x.Acknowledged(w.ctx, run, "Ana"))
			w.do(w.x.Worse(w.ctx, run, alert.Critical, "Dee"))
			w.wait(time.Hour)
			assert.Equal(t, []string{"0s ana firing"}, w.told())
		})
	})
	t.Run("as the incident says", func(t *testing.T) {
		t.Parallel()
		escalate(t, policy, func(t *testing.T, w *escalationWorld) {
			w.begin(medium())
			w.change("INC-2026-0042", func(inc *incident.Incident) { inc.Severity = alert.Critical })
			w.wait(2 * time.Hour) // the next level is reached
			assert.Contains(t, w.last("bo").Title, "CRITICAL production")
			w.wait(15 * time.Minute)
			assert.Equal(t, "2h15m0s infra firing", w.told()[2])
		})
	})
}

func TestMultiAck(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.Levels[0].MultiAck = true
	escalate(t, policy, func(t *testing.T, w *escalationWorld) {
		w.onCall.Set("operations", peopleOf("Ana", "Cy")...)
		run := w.begin(criticalOutage())
		w.do(w.x.Acknowledged(w.ctx, run, "Ana"))
		w.do(w.x.Acknowledged(w.ctx, run, "Ana")) // the same person counts once
		assert.Equal(t, "Ana has acknowledged; 1 more of level 1, Operations, have to.", w.event(incident.EscalationPart).Text)
		assert.Contains(t, w.last("ana").Text, "Everybody who is called at this level has to acknowledge.")
		w.change("INC-2026-0042", func(inc *incident.Incident) { inc.State = incident.Acknowledged }) // as its Manager has it
		w.wait(16 * time.Minute)
		assert.Equal(t, "15m0s bo firing", w.told()[2], "one of two is not enough")
		w.do(w.x.Acknowledged(w.ctx, run, "Bo"))
		w.wait(time.Hour)
		assert.Equal(t, incident.EscalationAcknowledged, w.event(incident.EscalationAcknowledged).Kind)
		assert.Len(t, w.happened(), 5, "%q", w.happened())
	})
	t.Run("all of them", func(t *testing.T) {
		t.Parallel()
		escalate(t, policy, func(t *testing.T, w *escalationWorld) {
			w.onCall.Set("operations", peopleOf("Ana", "Cy")...)
			run := w.begin(criticalOutage())
			w.do(w.x.Acknowledged(w.ctx, run, "Ana"))
			w.do(w.x.Acknowledged(w.ctx, run, "Cy"))
			w.wait(time.Hour)
			assert.Equal(t, "Ana and Cy", w.event(incident.EscalationAcknowledged).Actor)
			assert.NotContains(t, w.told(), "15m0s bo firing")
		})
	})
}
