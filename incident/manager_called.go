package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.acu.edu.au/runbook/alert"
)

// beginEscalation begins to call people.
func (m *Manager) beginEscalation(ctx context.Context, inc Incident) (func(d *draft), error) {
	if m.cfg.Escalator == nil || inc.NoEscalation || inc.State != Triggered || inc.Escalation != "" || inc.Told.Escalation != "" {
		return nil, nil
	}
	run, err := m.cfg.Escalator.Begin(ctx, inc)
	if err != nil {
		return nil, fmt.Errorf("incident: %s: begin the escalation: %w", inc.ID, err)
	}
	return func(d *draft) {
		switch {
		case d.inc.Reopens != inc.Reopens: // it has another one by now, or none
			d.owesEnd(run)
			return
		case d.inc.Escalation != "":
			return
		}
		d.begun(run, inc.Severity)
	}, nil
}

// begun notes that the run has begun that calls people; empty is none. severity is the one
// that it knows.
func (d *draft) begun(run string, severity alert.Severity) {
	d.inc.Escalation, d.inc.Told.Escalation, d.inc.Told.Severity = run, Triggered, severity
	text := "people are called until somebody takes care"
	if run == "" {
		text = "nobody is called: no escalation is for it"
	}
	d.addEntry(Entry{Key: fmt.Sprintf("escalation/%d", d.inc.Reopens), At: d.now, Kind: entryEscalation, Text: text}, entryData{ID: run})
}

// escalationRun returns the run that calls people about an incident: also one that may have
// begun without that having been recorded. Empty means that there is none.
func (m *Manager) escalationRun(inc Incident) string {
	if inc.Escalation != "" || inc.Told.Escalation != "" || inc.NoEscalation || m.cfg.Escalator == nil {
		return inc.Escalation
	}
	return m.cfg.Escalator.RunOf(inc)
}

// escalationOf is the state of an incident as its escalation knows it.
func escalationOf(s State) State {
	switch {
	case s == Triggered:
		return Triggered
	case s.Open():
		return Acknowledged
	}
	return Resolved
}

// tellEscalation tells the escalation that somebody takes care, everybody who says so, or
// that nobody does, or that it is over.
func (m *Manager) tellEscalation(ctx context.Context, inc Incident) (func(d *draft), error) {
	run, now, acks := m.escalationRun(inc), escalationOf(inc.State), inc.Told.AcksOwed
	known := now == inc.Told.Escalation && (now != Acknowledged || len(acks) == 0)
	begins := now == Triggered && inc.Told.Escalation == ""
	if m.cfg.Escalator == nil || run == "" || known || begins {
		return nil, nil
	}
	var err error
	switch now {
	case Triggered:
		err = m.cfg.Escalator.Unacknowledged(ctx, run)
	case Acknowledged:
		if len(acks) == 0 { // it was mitigated
			acks = []string{inc.AcknowledgedBy}
		}
		for i := 0; i < len(acks) && err == nil; i++ {
			err = m.cfg.Escalator.Acknowledged(ctx, run, acks[i])
		}
	default:
		err = m.cfg.Escalator.Ended(ctx, run)
	}
	gone, never := errors.Is(err, ErrStale), inc.Escalation == "" && errors.Is(err, ErrNotFound)
	switch {
	case never && (now != Resolved || m.now().Sub(inc.Closed) < settleAfter):
		return nil, nil // if it begins just now, it is told the next time
	case err != nil && !gone && !never:
		return nil, fmt.Errorf("incident: %s: tell the escalation that it is %s: %w", inc.ID, now, err)
	}
	return func(d *draft) {
		if d.inc.Reopens != inc.Reopens { // it has another one by now
			return
		}
		if d.inc.Escalation == "" && !never {
			d.begun(run, alert.Low) // which severity it knows was not recorded: it is told
		}
		d.inc.Told.Escalation = now
		if now == Acknowledged {
			d.inc.Told.AcksOwed = slices.DeleteFunc(d.inc.Told.AcksOwed, func(by string) bool { return slices.Contains(acks, by) })
		}
		if gone && now == Triggered {
			d.add(entryEscalation, "nobody is called any more: the escalation has ended before", entryData{ID: run})
		}
	}, nil
}

// endEscalations tells escalations that they are over which the incident had before it was
// reopened.
func (m *Manager) endEscalations(ctx context.Context, inc Incident) (func(d *draft), error) {
	if m.cfg.Escalator == nil {
		return nil, nil
	}
	var problems error
	var done []string
	for _, run := range inc.Told.EndsOwed {
		if err := m.cfg.Escalator.Ended(ctx, run); err != nil && !errors.Is(err, ErrStale) && !errors.Is(err, ErrNotFound) {
			problems = errors.Join(problems, fmt.Errorf("incident: %s: tell escalation %s that it is over: %w", inc.ID, run, err))
			continue
		}
		done = append(done, run)
	}
	if len(done) == 0 {
		return nil, problems
	}
	return func(d *draft) {
		d.inc.Told.EndsOwed = slices.DeleteFunc(d.inc.Told.EndsOwed, func(run string) bool { return slices.Contains(done, run) })
	}, problems
}

// tellWorse tells the escalation that the incident is more severe than it knows.
func (m *Manager) tellWorse(ctx context.Context, inc Incident) (func(d *draft), error) {
	if m.cfg.Escalator == nil || inc.Escalation == "" || !inc.State.Open() || inc.Severity >= inc.Told.Severity {
		return nil, nil
	}
	by := inc.SeverityBy
	if by == "" {
		by = ours.name
	}
	if err := m.cfg.Escalator.Worse(ctx, inc.Escalation, inc.Severity, by); err != nil && !errors.Is(err, ErrStale) {
		return nil, fmt.Errorf("incident: %s: tell the escalation that it is %s: %w", inc.ID, inc.Severity, err)
	}
	return func(d *draft) {
		if d.inc.Escalation == inc.Escalation {
			d.inc.Told.Severity = inc.Severity
		}
	}, nil
}

// maxOwed is how many acknowledgements, and ends, wait to be told to escalations: the
// newest.
const maxOwed = 50

// owe adds what is still to be told.
func owe(list []string, what string) []string {
	if what == "" || slices.Contains(list, what) {
		return list
	}
	list = append(list, what)
	return list[max(0, len(list)-maxOwed):]
}

// owesAck notes that the escalation is to be told of an acknowledgement.
func (d *draft) owesAck(by string) {
	if d.m.cfg.Escalator != nil && !d.inc.NoEscalation {
		d.inc.Told.AcksOwed = owe(d.inc.Told.AcksOwed, by)
	}
}

// owesEnd notes that an escalation is to be told that it is over.
func (d *draft) owesEnd(run string) { d.inc.Told.EndsOwed = owe(d.inc.Told.EndsOwed, run) }

// owesNoAck forgets whom acknowledgements were still to be told.
func (d *draft) owesNoAck() {
	d.inc.Told.AcksOwed = nil
	for i := range d.inc.Alerts {
		d.inc.Alerts[i].AckOwed = false
	}
}
