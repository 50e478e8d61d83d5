package playbooks_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// deskHouse is a house whose operators keep what they are told.
type deskHouse struct {
	*house
	letters []incident.Message
	// deaf is why nobody can be told.
	deaf error
	// tasks is how many QA tasks were run.
	tasks int
}

func newDeskHouse(t testing.TB) *deskHouse {
	h := &deskHouse{house: newHouse(t)}
	h.Inform = func(_ context.Context, m incident.Message) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.deaf == nil {
			h.letters = append(h.letters, m)
		}
		return h.deaf
	}
	return h
}

// letter returns the letter whose title begins so; empty if there is none.
func (h *deskHouse) letter(title string) string {
	for _, m := range h.letters {
		if strings.HasPrefix(m.Title, title) {
			return m.Title + "\n" + m.Text
		}
	}
	return ""
}

// named returns an environment beside this one, with two probes.
func (h *deskHouse) named(name string) playbooks.Environment {
	e := h.Environment
	e.Name = name
	e.Probes = playbooks.Probes{Application: h.probe(name + " application"), Performance: h.probe(name + " performance"), Canvas: h.probe(name + " canvas")}
	return e
}

// is says that something is in a state, with numbers.
func (h *deskHouse) shows(name string, status health.Status, message string, measurements ...health.Measurement) {
	h.say(name, func() health.Result {
		r := health.Result{Status: status, Message: message, Measurements: measurements}
		if status != health.Healthy {
			r.Cause = health.CauseStatus
		}
		return r
	})
}

// users says what the users do.
func (h *deskHouse) users(sessions, tasks, failed float64) {
	h.shows("activity", health.Healthy, "", health.Measurement{Name: "active_sessions", Value: sessions},
		health.Measurement{Name: "active_qa_tasks", Value: tasks}, health.Measurement{Name: "recent_errors", Value: failed})
}

// routineCase is a case of a playbook that looks, and says what it found.
type routineCase struct {
	world func(h *deskHouse)
	with  map[string]string
	want  incident.RunState
	// letter is the beginning of the title of a letter, which says and omits these.
	letter string
	says   []string
	omits  []string
	// ends is in the output, or the message, of the last step.
	ends string
	// tasks is how many QA tasks it runs.
	tasks int
}

// routines runs cases through the suite of playbooks.
func routines(t *testing.T, last string, playbook func(h *deskHouse) incident.Playbook, cases map[string]routineCase) {
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want, Repeatable: func(effect string) bool { return effect == "QA task" },
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newDeskHouse(t)
					if c.world != nil {
						c.world(h)
					}
					before := len(h.platform.Effects())
					effects := func() (all []string) {
						all = append(all, h.platform.Effects()[before:]...)
						for range h.tasks {
							all = append(all, "QA task")
						}
						return all
					}
					return incidenttest.PlaybookCase{
						Playbook: playbook(h), Parameters: c.with, Effects: effects, Refused: h.platform.Refused,
						Check: func(t testing.TB, run incident.Run) {
							text := h.letter(c.letter)
							for _, say := range c.says {
								assert.Contains(t, text, say)
							}
							for _, omit := range c.omits {
								assert.NotContains(t, text, omit)
							}
							end := run.Step(last)
							assert.Contains(t, string(end.Output)+end.Message, c.ends, stepsOf(run))
							assert.Len(t, effects(), c.tasks, "it looks, and changes nothing")
						},
					}
				},
			})
		})
	}
}

var errDeaf = errors.New("the mail server does not answer")
