package playbooks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// breached is a house with an incident.
type breached struct {
	*securityHouse
	manager *incident.Manager
	store   *incident.MemoryStore
	inc     incident.Incident
}

func newBreached(t testing.TB) *breached {
	t.Helper()
	b := &breached{securityHouse: newSecurityHouse(t), store: new(incident.MemoryStore)}
	b.Defaults.Times, b.Defaults.Recover = 1, time.Minute
	var err error
	b.manager, err = incident.NewManager(incident.ManagerConfig{Store: b.store})
	require.NoError(t, err)
	b.inc, err = b.manager.Open(t.Context(), incident.Opening{By: "jane", Title: "somebody is in", Environment: "production", Severity: alert.Critical})
	require.NoError(t, err)
	return b
}

// set are the times at which a deadline was put on the timeline.
func (b *breached) set() (texts []string) {
	for e, err := range b.store.Entries(context.Background(), "incident/"+b.inc.ID, 0) {
		if err == nil && e.Kind == "deadline" {
			texts = append(texts, strings.TrimPrefix(e.Text, "there is a deadline: ")[:len("notify by Thu 3 Feb 2000")])
		}
	}
	return texts
}

// deadlined are the three playbooks about security, in a world with an incident.
func deadlined(b *breached, desk playbooks.SecurityDesk) map[string]incident.Playbook {
	canvas := playbooks.CanvasCredentials{ClientID: "CANVAS_PROD_CLIENT_ID", Rotations: []string{"CANVAS_PROD_PRIVATE_KEY"}}
	return map[string]incident.Playbook{
		"suspected-breach":          playbooks.SuspectedBreach(b.Environment, desk),
		"credential-compromise":     playbooks.CredentialCompromise(b.Environment, desk),
		"canvas-account-compromise": playbooks.CanvasAccountCompromise(b.Environment, desk, canvas),
	}
}

// Each of the playbooks about security puts the day on the clock, once, wherever its process
// dies, and counts from when somebody became aware.
//
// Requirement: INC-DEADLINE-BREACH
func TestSecurityPlaybooksSetTheDeadline(t *testing.T) {
	for what, c := range map[string]struct {
		playbook   string
		parameters map[string]string
		set        []string
		letter     string
	}{
		"a breach": {
			playbook: "suspected-breach", set: []string{"notify by Thu 3 Feb 2000"},
			letter: "by Thu 3 Feb 2000 00:00 UTC. Once it is known that it must, notify at once. This is on the clock of INC-2000-0001: the deadline notify stays open",
		},
		"a credential, of which somebody knew for two days": {
			playbook: "credential-compromise", parameters: map[string]string{"aware": "48h", "credential": "SECRET_KEY"},
			set: []string{"notify by Tue 1 Feb 2000"}, letter: "by Tue 1 Feb 2000 00:00 UTC",
		},
		"a key of Canvas": {playbook: "canvas-account-compromise", set: []string{"notify by Thu 3 Feb 2000"}, letter: "This is on the clock of INC-2000-0001"},
		"no personal data": {
			playbook: "credential-compromise", parameters: map[string]string{"personal-data": "no", "credential": "SECRET_KEY"}, letter: "No days are counted for a notifiable breach",
		},
	} {
		t.Run(what, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				New: func(t testing.TB) incidenttest.PlaybookCase {
					b := newBreached(t)
					desk := b.desk()
					desk.Deadline = b.manager.SetDeadline
					if c.playbook == "suspected-breach" {
						b.say("application", until(func() bool { return !b.did("Stop") }, down("connection refused")))
					}
					return incidenttest.PlaybookCase{
						Playbook: deadlined(b, desk)[c.playbook], Parameters: c.parameters, Incident: b.inc.ID, Refused: b.platform.Refused,
						Effects: func() []string { return append(b.set(), b.effects()...) },
						Answer: func(q incident.Question) incident.Answer {
							if q.Step == "new-key" {
								return incident.Answer{Kind: incident.AnswerDone, Actor: "kim", Output: []byte(`{"client_id":"43"}`)}
							}
							return agreeing(q)
						},
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, c.set, b.set(), stepsOf(run))
							assert.Contains(t, b.letter(), c.letter)
							inc, err := b.manager.Incident(t.Context(), b.inc.ID)
							require.NoError(t, err)
							assert.Len(t, inc.OpenDeadlines(), len(c.set))
							for _, l := range inc.Deadlines {
								assert.Equal(t, "run-1", l.Run)
								assert.Equal(t, "jane", l.SetBy)
							}
						},
					}
				},
				Repeatable: repeatable("evidence", "EndSessions 0", "begin SECRET_KEY", "end SECRET_KEY", "begin CANVAS_PROD_PRIVATE_KEY", "end CANVAS_PROD_PRIVATE_KEY", "key 42 off", "SetVariables CANVAS_PROD_CLIENT_ID"),
			})
		})
	}
}

// A clock that cannot be set keeps nobody from being told and nothing from being contained,
// and what people are told says that none runs.
func TestBreachWithoutAClock(t *testing.T) {
	for name, c := range map[string]struct {
		incident string
		deadline func(context.Context, string, incident.Obligation) (incident.Incident, incident.Deadline, error)
		why      string
	}{
		"no incident": {why: "this run belongs to no incident"},
		"the store is down": {
			incident: "INC-2000-0001", why: "the store is down",
			deadline: func(context.Context, string, incident.Obligation) (incident.Incident, incident.Deadline, error) {
				return incident.Incident{}, incident.Deadline{}, errors.New("the store is down")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				New: func(t testing.TB) incidenttest.PlaybookCase {
					b := newBreached(t)
					b.say("application", until(func() bool { return !b.did("Stop") }, down("connection refused")))
					desk := b.desk()
					desk.Deadline = c.deadline
					return incidenttest.PlaybookCase{
						Playbook: playbooks.SuspectedBreach(b.Environment, desk), Incident: c.incident, Effects: b.effects, Refused: b.platform.Refused, Answer: agreeing,
						Check: func(t testing.TB, run incident.Run) {
							assert.True(t, b.did("Stop"), stepsOf(run))
							assert.Contains(t, b.letter(), "NO clock runs for it (")
							assert.Contains(t, b.letter(), c.why)
						},
					}
				},
				Repeatable: repeatable("evidence", "EndSessions 0"),
			})
		})
	}
}

// Days are those of the calendar: where clocks are put forward in between, 30 days are an hour
// less, and the day is the same.
func TestBreachDeadlineOverDaylightSaving(t *testing.T) {
	melbourne, err := time.LoadLocation("Australia/Melbourne")
	require.NoError(t, err)
	testPlaybook(t, incidenttest.PlaybookHarness{
		New: func(t testing.TB) incidenttest.PlaybookCase {
			time.Sleep(time.Until(time.Date(2026, 9, 7, 23, 30, 0, 0, melbourne))) // the house is three days old
			b := newBreached(t)
			b.Zone = melbourne
			b.say("application", until(func() bool { return !b.did("Stop") }, down("connection refused")))
			desk := b.desk()
			desk.Deadline = b.manager.SetDeadline
			return incidenttest.PlaybookCase{
				Playbook: playbooks.SuspectedBreach(b.Environment, desk), Incident: b.inc.ID, Effects: b.effects, Refused: b.platform.Refused, Answer: agreeing,
				Check: func(t testing.TB, _ incident.Run) {
					inc, err := b.manager.Incident(t.Context(), b.inc.ID)
					require.NoError(t, err)
					require.Len(t, inc.Deadlines, 1)
					assert.Equal(t, time.Date(2026, 10, 10, 23, 30, 0, 0, melbourne).UTC(), inc.Deadlines[0].Due)
					assert.Equal(t, 30*24*time.Hour-time.Hour, inc.Deadlines[0].Due.Sub(inc.Deadlines[0].From))
				},
			}
		},
		Repeatable: repeatable("evidence", "EndSessions 0"),
	})
}
