package incident

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
)

// What follows from a change outside of the store (people are called, or no longer; alerts
// are acknowledged; the ticket is closed) is done after the change was recorded. What was
// done is recorded then: see [ManagerTold]. What was not, since the process ended or
// somebody did not answer, is done by [Manager.Tick].

const (
	// settleTime limits what is done outside for one incident.
	settleTime = 20 * time.Second
	// settleAfter is how long a change is left to the process that made it.
	settleAfter = time.Minute
	// settleFor is for how long after its last change a closed incident is looked at.
	settleFor = 24 * time.Hour
)

// An effect is something to be done outside. It returns what is to be recorded when it was
// done; nil if there is nothing to do.
type effect func(ctx context.Context, i Incident) (record func(d *draft), err error)

// settled does what follows from a change. What fails is logged, and done later.
func (m *Manager) settled(ctx context.Context, inc Incident) Incident { return m.done(ctx, inc, false) }

// done is settled for an incident that was opened by this process just now, or not.
func (m *Manager) done(ctx context.Context, inc Incident, opened bool) Incident {
	after, err := m.settle(ctx, inc, opened)
	if err != nil {
		m.cfg.Logger.Warn("incident: what follows from a change could not all be done; it is tried again", "incident", inc.ID, "error", err)
	}
	return after
}

// settle does what follows from a change, and returns the incident as it is then. opened
// means that this process has opened it just now.
func (m *Manager) settle(ctx context.Context, inc Incident, opened bool) (Incident, error) {
	if runbook.IsReadOnly(ctx) {
		return inc, nil
	}
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	var problems error
	var records []func(d *draft)
	for _, do := range []effect{m.beginEscalation, m.tellEscalation, m.tellWorse, m.sendAcks, m.tellTicket, m.tellOpened(opened)} {
		var record func(d *draft)
		err := errors.New("a func of the host panicked")
		m.guard("settle", func() { record, err = do(limited, inc) })
		problems = errors.Join(problems, err)
		if record != nil {
			records = append(records, record)
		}
	}
	if len(records) == 0 {
		return inc, problems
	}
	after, err := m.write(ctx, inc.ID, ours, func(d *draft) error {
		for _, record := range records {
			record(d)
		}
		return nil
	})
	if err != nil {
		return inc, errors.Join(problems, err)
	}
	return after, problems
}

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
		if d.inc.Reopens != inc.Reopens || d.inc.Escalation != "" {
			return
		}
		d.inc.Escalation, d.inc.Told.Escalation, d.inc.Told.Severity = run, Triggered, inc.Severity
		text := "people are called until somebody takes care"
		if run == "" {
			text = "nobody is called: no escalation is for it"
		}
		d.addEntry(Entry{Key: fmt.Sprintf("escalation/%d", d.inc.Reopens), At: d.now, Kind: entryEscalation, Text: text}, entryData{ID: run})
	}, nil
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

// tellEscalation tells the escalation that somebody takes care, or nobody, or that it is
// over.
func (m *Manager) tellEscalation(ctx context.Context, inc Incident) (func(d *draft), error) {
	now := escalationOf(inc.State)
	if m.cfg.Escalator == nil || inc.Escalation == "" || now == inc.Told.Escalation {
		return nil, nil
	}
	var err error
	switch now {
	case Triggered:
		err = m.cfg.Escalator.Unacknowledged(ctx, inc.Escalation)
	case Acknowledged:
		err = m.cfg.Escalator.Acknowledged(ctx, inc.Escalation, inc.AcknowledgedBy)
	default:
		err = m.cfg.Escalator.Ended(ctx, inc.Escalation)
	}
	gone := errors.Is(err, ErrStale)
	if err != nil && !gone {
		return nil, fmt.Errorf("incident: %s: tell the escalation that it is %s: %w", inc.ID, now, err)
	}
	return func(d *draft) {
		if d.inc.Escalation != inc.Escalation {
			return
		}
		d.inc.Told.Escalation = now
		if gone && now == Triggered {
			d.add(entryEscalation, "nobody is called any more: the escalation has ended before", entryData{ID: inc.Escalation})
		}
	}, nil
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

// sendAcks acknowledges the alerts of an incident that was acknowledged.
func (m *Manager) sendAcks(ctx context.Context, inc Incident) (func(d *draft), error) {
	if m.cfg.Acknowledger == nil || !inc.State.Open() || inc.AcknowledgedBy == "" {
		return nil, nil
	}
	var problems error
	done := make(map[string]bool)
	for _, l := range inc.Alerts {
		if !l.AckOwed {
			continue
		}
		err := m.cfg.Acknowledger.Acknowledge(ctx, l.Key, alert.Acknowledgement{By: inc.AcknowledgedBy, At: inc.AckAt, Comment: inc.AckComment})
		if err != nil && !errors.Is(err, alert.ErrNoAlert) {
			problems = errors.Join(problems, fmt.Errorf("incident: %s: acknowledge its alert %s: %w", inc.ID, l.Key, err))
			continue
		}
		done[l.Key] = true
	}
	if len(done) == 0 {
		return nil, problems
	}
	return func(d *draft) {
		for i := range d.inc.Alerts {
			if l := &d.inc.Alerts[i]; done[l.Key] && !l.Acknowledged.After(inc.AckAt) {
				l.AckOwed = false
			}
		}
	}, problems
}

// tellOpened tells the host that an alert has opened an incident. That is left to the
// process that opened it, for a minute. What was closed before is not told any more.
func (m *Manager) tellOpened(opened bool) effect {
	return func(ctx context.Context, inc Incident) (func(d *draft), error) {
		if m.cfg.Hooks.OnOpened == nil || inc.Binding == "" || inc.Told.Opened || !opened && m.now().Sub(inc.Opened) < settleAfter {
			return nil, nil
		}
		for _, b := range cloneBindings(m.cfg.Bindings) {
			if b.Name == inc.Binding && inc.State.Open() {
				m.guard("OnOpened", func() { m.cfg.Hooks.OnOpened(ctx, inc, b) })
			}
		}
		return func(d *draft) { d.inc.Told.Opened = true }, nil
	}
}
