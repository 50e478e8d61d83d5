package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/alert/schedule"
	"go.acu.edu.au/runbook/incident"
)

// onOpened begins what is automatic about an incident, and logs it in the system of tickets.
func (h *Host) onOpened(ctx context.Context, i incident.Incident, b incident.Binding) {
	if h.cfg.Channels.Tickets != nil {
		h.background(ctx, "open the ticket of "+i.ID, func(ctx context.Context) error {
			_, err := h.manager.OpenTicket(ctx, i.ID, "runbook")
			return err
		})
	}
	h.consider(ctx, i, b.Automatic)
}

// consider begins a playbook, or asks whether to.
func (h *Host) consider(ctx context.Context, i incident.Incident, automatic bool) {
	if _, err := h.automation.Consider(ctx, h.runner, i, automatic); err != nil {
		h.cfg.Logger.WarnContext(ctx, "whether a playbook begins by itself could not be decided", "incident", i.ID, "error", err)
		h.tryUrge(ctx, i.ID, incident.Message{Title: "A person has to begin " + i.Playbook + " for " + i.ID, Text: "It was to begin by itself, and did not: " + err.Error()})
	}
	h.makeWay(ctx, i.Environment)
}

// onClock tells the operators when the time of an incident is over.
func (h *Host) onClock(ctx context.Context, i incident.Incident, c incident.Clock) {
	if c.Told < 100 {
		return
	}
	h.tryUrge(ctx, i.ID, incident.Message{Title: fmt.Sprintf("%s: the time to %s it is over", i.ID, c.Kind), Text: i.Title})
}

// onEvent follows runs: it notes them at their incident, tells the operators what people are
// asked, and that somebody does something about an incident.
func (h *Host) onEvent(ctx context.Context, e incident.Event) {
	if h.cfg.Hooks.OnEvent != nil {
		h.cfg.Hooks.OnEvent(ctx, e)
	}
	switch e.Kind {
	case incident.EventBegan:
		if e.Incident != "" {
			if _, err := h.manager.AttachRun(ctx, e.Incident, e.Run, e.Actor); err != nil {
				h.cfg.Logger.WarnContext(ctx, "a run is not noted at its incident", "incident", e.Incident, "run", e.Run, "error", err)
			}
		}
	case incident.EventAsked:
		h.makeWay(ctx, e.Environment) // a more severe one may wait behind it
		h.tryUrge(ctx, e.Run, incident.Message{Title: fmt.Sprintf("%s %s waits for a person: %s", e.Environment, e.Playbook, e.Question.Title), Text: e.Question.Text + "\n\nRun " + e.Run + ", question " + e.Question.ID})
	case incident.EventDecided:
		if givesUp(e) {
			h.given.Store(e.Run, true)
		}
		if e.Incident != "" && e.Actor != "" && e.Actor != "runbook" {
			if err := h.escalations.Progress(ctx, e.Incident, e.Actor); err != nil && !errors.Is(err, incident.ErrNotFound) && !errors.Is(err, incident.ErrStale) {
				h.cfg.Logger.WarnContext(ctx, "that somebody works on an incident is not noted", "incident", e.Incident, "error", err)
			}
		}
	case incident.EventEnded:
		_, given := h.given.LoadAndDelete(e.Run)
		switch m := (incident.Message{Title: e.Text, Text: "Run " + e.Run}); {
		case !failed(e):
		case given, e.Incident == "": // who gave it up, or began it, knows; a routine tells what it found
			h.tryInform(ctx, e.Run, m)
		default:
			h.tryUrge(ctx, e.Run, m)
		}
	case incident.EventTwice:
		h.tryUrge(ctx, e.Run, incident.Message{Title: e.Text, Text: "Run " + e.Run})
	}
}

// failed reports whether a run ended otherwise than it should.
func failed(e incident.Event) bool {
	var end struct {
		State incident.RunState `json:"state"`
	}
	return json.Unmarshal(e.Data, &end) == nil && end.State != incident.StateSucceeded
}

// givesUp reports whether a person decided that a run ends.
func givesUp(e incident.Event) bool {
	var decided struct {
		Answer string `json:"answer"`
	}
	if e.Actor == "" || e.Actor == "runbook" || json.Unmarshal(e.Data, &decided) != nil {
		return false
	}
	return slices.Contains([]string{incident.AnswerAbort, incident.AnswerDeny, incident.AnswerUndo}, decided.Answer)
}

// tryUrge tells the operators what one of them has to do, and logs if that fails.
func (h *Host) tryUrge(ctx context.Context, about string, m incident.Message) {
	m.Urgent = true
	h.tryInform(ctx, about, m)
}

// tryInform informs the operators, and logs if that fails.
func (h *Host) tryInform(ctx context.Context, about string, m incident.Message) {
	if err := h.inform(ctx, about, m); err != nil {
		h.cfg.Logger.WarnContext(ctx, "the operators were not told", "title", m.Title, "error", err)
	}
}

// scheduled tells the operators of what was to be done on schedule and was not.
func (h *Host) scheduled(ctx context.Context, run schedule.Run, err error) {
	if err != nil {
		h.tryInform(ctx, run.Key(), incident.Message{Title: "Not done on schedule: " + run.Schedule + " of " + run.Date, Text: err.Error()})
	}
}

// runOf makes a name for the run of a playbook that a schedule begins: the same each time
// that it is begun again.
func runOf(run schedule.Run, environment string) string {
	return strings.NewReplacer("/", "-", ":", "").Replace(run.Key()) + "-" + environment
}
