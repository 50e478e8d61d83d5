package incident

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"
)

// EscalationHooksOf returns the hooks by which [Escalations] ask a manager how far an
// incident is, and put on its timeline what they do. When the policy's time of an
// acknowledgement is over, the incident is triggered again. The manager is asked for when it
// is needed, since it needs the escalations in turn:
//
//	var manager *incident.Manager
//	escalations, err := incident.NewEscalations(incident.EscalationsConfig{
//		Hooks: incident.EscalationHooksOf(func() *incident.Manager { return manager }),
//		…
//	})
//	…
//	manager, err = incident.NewManager(incident.ManagerConfig{Escalator: escalations, …})
func EscalationHooksOf(manager func() *Manager) EscalationHooks {
	return EscalationHooks{
		Incident: func(ctx context.Context, id string) (Incident, error) { return manager().Incident(ctx, id) },
		Open: func(ctx context.Context) iter.Seq2[Incident, error] {
			return manager().Incidents(ctx, IncidentQuery{Open: true})
		},
		OnLevel: func(ctx context.Context, e EscalationEvent) error { return manager().escalationEvent(ctx, e) },
	}
}

// escalationEvent puts on the timeline what an escalation did, once for each key.
func (m *Manager) escalationEvent(ctx context.Context, e EscalationEvent) error {
	told := make([]string, 0, len(e.Told))
	for _, t := range e.Told {
		told = append(told, cleanLine(t.String()))
	}
	kind := entryEscalation
	if e.Kind == EscalationCalled || e.Kind == EscalationNobody || e.Kind == EscalationHanded {
		kind = entryEscalated
	}
	entry := Entry{Key: "escalation/" + e.Key, At: e.At, Kind: kind, Actor: cleanLine(e.Actor), Text: cleanWords(e.Text, maxWords)}
	if !isStoreText(entry.Key, maxStoreKey) {
		entry.Key = ""
	}
	if entry.At.IsZero() {
		entry.At = m.now()
	}
	_, err := m.write(ctx, e.Incident, ours, func(d *draft) error {
		own := d.inc.Escalation == "" || d.inc.Escalation == e.Run
		if kind == entryEscalated && e.Level > 0 && d.inc.State.Open() && own {
			d.inc.Level = e.Level
		}
		d.addEntry(entry, entryData{Level: e.Level, Told: told, ID: e.Run})
		if e.Kind == EscalationExpired && own {
			d.lapse(entry.At)
		}
		return nil
	})
	return err
}

// lapse makes the incident triggered again since the escalation says that nothing was heard
// of who takes care of it, unless somebody has acknowledged since.
func (d *draft) lapse(at time.Time) {
	if d.inc.State != Acknowledged || d.inc.AckAt.After(at) {
		return
	}
	d.expire(Entry{At: at, Text: "nothing was heard of " + d.inc.AcknowledgedBy + " for too long; nobody takes care of it"})
	d.inc.Told.Escalation = Triggered // that is what it said
}

// Escalated puts on the timeline that a level of the escalation was called: who was told,
// and what went wrong. The level becomes that of the incident. It is for an escalation of
// the host's own; [Escalations] have [EscalationHooksOf]. Level 0 is for what is not about
// a level.
func (m *Manager) Escalated(ctx context.Context, id string, level int, told []string, problem string) error {
	problem = cleanWords(problem, maxWords/2)
	_, err := m.write(ctx, id, ours, func(d *draft) error {
		if level > 0 && d.inc.State.Open() {
			d.inc.Level = level
		}
		kind := entryEscalated
		if level == 0 {
			kind = entryEscalation
		}
		d.add(kind, escalatedText(level, told, problem), entryData{Level: level, Told: told, Comment: problem})
		return nil
	})
	return err
}

// escalatedText says in a sentence what an escalation did.
func escalatedText(level int, told []string, problem string) string {
	text := "the escalation"
	if level > 0 {
		text = fmt.Sprintf("level %d of the escalation", level)
	}
	switch {
	case len(told) > 0:
		text += " called " + strings.Join(told, ", ")
	case level > 0:
		text += " has reached nobody"
	}
	return withComment(text, problem)
}
