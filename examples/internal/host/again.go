package host

import (
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// onReopened does what is due when what was over comes back: what was done did not last.
func (h *Host) onReopened(ctx context.Context, i incident.Incident, b incident.Binding) {
	h.tellBack(ctx, i)
	if i.Environment == h.users.Name {
		if procedureOf(i.Playbook).again == beginAgain {
			h.consider(ctx, i, b.Automatic)
		}
	}
}

// tellBack tells the operators that an incident comes back: the second time, the fourth, the
// eighth. That it is there, they are told by its alert each time.
func (h *Host) tellBack(ctx context.Context, i incident.Incident) {
	if i.Reopens < 2 || i.Reopens&(i.Reopens-1) != 0 {
		return
	}
	text := fmt.Sprintf("It was opened %v ago, and has been over %d times since: what is done about it does not last.", time.Since(i.Opened).Round(time.Minute), i.Reopens)
	if by := h.tookLately(ctx, i); by != "" && i.Severity != alert.Critical {
		text += fmt.Sprintf(" %s, who took it last, knows of it: nobody is called anew.", by)
	}
	h.tryUrge(ctx, i.ID, incident.Message{Title: fmt.Sprintf("%s comes back, for the %s time: %s", i.ID, ordinal(i.Reopens), i.Title), Text: text})
}

// ordinal says a power of two as a place in a row.
func ordinal(n int) string {
	if n%10 == 2 && n%100 != 12 {
		return fmt.Sprintf("%dnd", n)
	}
	return fmt.Sprintf("%dth", n)
}

// knows is for how long somebody who took an incident knows of it, also when it was over and
// comes back.
const knows = 6 * time.Hour

// tookLately returns who took an incident last, if that is not long ago. Empty means nobody,
// or that it could not be read: then people are called.
func (h *Host) tookLately(ctx context.Context, i incident.Incident) (by string) {
	for e, err := range h.manager.Timeline(ctx, i.ID, 0) {
		if err != nil {
			return ""
		}
		if e.Kind == "acknowledged" && time.Since(e.At) < knows {
			by = e.Actor
		}
	}
	return by
}

// caller calls people about incidents, and spares them what they know: of an incident that
// comes back again and again, is not critical and was taken by somebody within hours, the
// alert is told once more, and nobody is called. Only one whose severity no alert can raise
// is spared: nobody is called later about one that had no escalation when it was reopened.
type caller struct {
	*incident.Escalations
	host *Host
}

// Begin implements [incident.IncidentEscalator].
func (c caller) Begin(ctx context.Context, i incident.Incident) (string, error) {
	spared := i.Reopens > 1 && i.Severity != alert.Critical && procedureOf(i.Playbook).severity != 0
	if spared && c.host.tookLately(ctx, i) != "" {
		return "", nil
	}
	return c.Escalations.Begin(ctx, i)
}

// settled is how long a run is given to stand still after it has asked something, or to have
// got its turn.
const settled = 5 * time.Second

// makeWay lets the most severe of the runs that wait for an environment begin before those
// that only wait for a person, and tells the operators whom they have to answer if that
// cannot be.
func (h *Host) makeWay(ctx context.Context, environment string) {
	h.background(ctx, "make way for who waits for "+environment, func(ctx context.Context) error {
		select {
		case <-time.After(settled):
		case <-ctx.Done():
			return nil
		}
		way, err := h.runner.MakeWay(ctx, environment)
		if err != nil {
			return err
		}
		for i, run := range way.Aside {
			h.tryInform(ctx, run.ID, incident.Message{
				Title: fmt.Sprintf("%s of %s is put aside for %s", run.Title, environment, way.Urgent.Title),
				Text:  fmt.Sprintf("It had changed nothing yet. It begins again after that, as run %s, and asks again if there still is something to ask.", way.Again[i].ID),
			})
		}
		if held, q := way.Holder, way.Holder.Question; q != nil && held.Severity > way.Urgent.Severity {
			if _, told := h.ways.LoadOrStore(held.ID+" "+q.ID+" "+way.Urgent.ID, true); told {
				return nil
			}
			h.tryUrge(ctx, held.ID, incident.Message{
				Title: fmt.Sprintf("%s of %s cannot begin: %s has to be answered first", way.Urgent.Title, environment, held.Title),
				Text:  fmt.Sprintf("Run %s holds %s and waits for a person; it is not put aside, since %s. It asks: %s\nAnswer it, or end it: run %s begins then.", held.ID, environment, way.Why, q.Title, way.Urgent.ID),
			})
		}
		return nil
	})
}

// tend finishes, at once and then every minute, what a crash or an error has cut off, and lets
// the most severe run begin, whoever started it.
func (h *Host) tend(ctx context.Context) error {
	for {
		for _, r := range h.environments {
			h.makeWay(ctx, r.Name)
		}
		select {
		case <-time.After(time.Minute):
		case <-ctx.Done():
			return nil
		}
		if err := h.runner.Reconcile(ctx); err != nil && ctx.Err() == nil {
			h.cfg.Logger.WarnContext(ctx, "what was cut off is not finished; it is tried again", "error", err)
		}
	}
}
