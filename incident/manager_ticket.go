package incident

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
)

// Ticketer keeps tickets in another system. It is a notifier whose state can be read
// back; those of packages alert/jira and alert/servicenow are ones.
//
// A notification of kind firing opens the ticket of its key, unless there is one: then its
// receipt is that of this one, and nothing is written. One of kind update comments on the
// ticket of its Prior, and one of kind resolved closes it and says why. See
// [alert.Notifier] for the rest. Whoever only wants a ticket for each alert makes it a
// target of the router instead.
type Ticketer interface {
	alert.Notifier
	// State returns how far the ticket of a receipt is. The error wraps alert.ErrRefused
	// if there is no such ticket. It may be called concurrently.
	State(ctx context.Context, receipt alert.Receipt) (alert.Ticket, error)
}

// OpenTicket opens a ticket for an incident, once: if there is one, it is that. Updates for
// people comment on it, and it is closed when the incident is. The error is
// [ErrUnsupported] without a ticketer, and [ErrBusy] while another call opens one, or for a
// minute after a process ended in the middle of it. After any other error it can be called
// again: if there is a ticket by then that the ticketer finds, it is that.
func (m *Manager) OpenTicket(ctx context.Context, id, by string) (alert.Ticket, error) {
	if m.cfg.Ticketer == nil {
		return alert.Ticket{}, &notRecorded{fmt.Errorf("incident: %s: open a ticket: there is no ticketer: %w", id, ErrUnsupported)}
	}
	if _, err := authorOf(by); err != nil {
		return alert.Ticket{}, &notRecorded{err}
	}
	if runbook.IsReadOnly(ctx) {
		return alert.Ticket{}, &notRecorded{fmt.Errorf("incident: %s: open a ticket: %w", id, runbook.ErrReadOnly)}
	}
	inc, err := m.Incident(ctx, id)
	if err != nil {
		return alert.Ticket{}, err
	}
	if inc.Told.Ticket != "" {
		return m.Ticket(ctx, id)
	}
	if !inc.State.Open() && inc.State != Resolved {
		return alert.Ticket{}, &notRecorded{inc.refused("given a ticket")}
	}
	mine, err := m.claim(ctx, id, func(i *Incident) *time.Time {
		if i.Told.Ticket != "" {
			return nil
		}
		return &i.Told.Ticketing
	})
	switch {
	case err != nil:
		return alert.Ticket{}, err
	case !mine:
		return alert.Ticket{}, &notRecorded{fmt.Errorf("incident: %s: open a ticket: %w: another call opens it; try again in a minute", id, ErrBusy)}
	}
	n := inc.ticketNote(alert.KindFiring, 1, inc.Summary)
	n.PossibleRepeat = true // perhaps it was opened, and that was not recorded
	receipt, err := m.cfg.Ticketer.Notify(ctx, n)
	if err == nil && receipt == "" {
		err = errors.New("the ticketer returned no receipt")
	}
	if err != nil {
		m.releaseTicket(ctx, id)
		return alert.Ticket{}, ticketError(id, err)
	}
	ticket, stateErr := m.cfg.Ticketer.State(ctx, receipt)
	if stateErr != nil || ticket.ID == "" {
		ticket = alert.Ticket{ID: string(receipt)}
	}
	_, err = m.do(ctx, id, by, func(d *draft) error {
		d.inc.Told.Ticketing = time.Time{}
		if d.inc.Told.Ticket != "" {
			return nil
		}
		d.inc.Told.Ticket, d.inc.Told.TicketID = receipt, cleanLine(ticket.ID)
		d.inc.Tickets = append(d.inc.Tickets, cleanLine(ticket.ID))
		d.add(entryTicket, "ticket "+cleanLine(ticket.ID)+" was opened for this", entryData{ID: cleanLine(ticket.ID)})
		return nil
	})
	return ticket, err
}

// releaseTicket lets another call open the ticket of an incident.
func (m *Manager) releaseTicket(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	_, err := m.write(ctx, id, ours, func(d *draft) error {
		d.inc.Told.Ticketing = time.Time{}
		return nil
	})
	if err != nil {
		m.cfg.Logger.Warn("incident: that a ticket was not opened could not be recorded; it can be tried again in a minute", "incident", id, "error", err)
	}
}

// ticketError says what an error of the ticketer means.
func ticketError(id string, err error) error {
	err = fmt.Errorf("incident: %s: open a ticket: %w", id, err)
	if errors.Is(err, alert.ErrRefused) || runbook.SafeToRetry(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}

// Ticket reads back how far the ticket of an incident is. The error is [ErrNotFound] if
// none was opened, and [ErrUnsupported] without a ticketer.
func (m *Manager) Ticket(ctx context.Context, id string) (alert.Ticket, error) {
	inc, err := m.Incident(ctx, id)
	switch {
	case err != nil:
		return alert.Ticket{}, err
	case m.cfg.Ticketer == nil:
		return alert.Ticket{}, fmt.Errorf("incident: %s: read its ticket: there is no ticketer: %w", id, ErrUnsupported)
	case inc.Told.Ticket == "":
		return alert.Ticket{}, fmt.Errorf("incident: %s has no ticket that was opened for it: %w", id, ErrNotFound)
	}
	ticket, err := m.cfg.Ticketer.State(ctx, inc.Told.Ticket)
	if err != nil {
		return alert.Ticket{}, fmt.Errorf("incident: %s: read its ticket %s: %w", id, inc.Told.TicketID, err)
	}
	return ticket, nil
}

// ticketNote is what a ticket is told.
func (i Incident) ticketNote(kind alert.Kind, seq int, text string) alert.Notification {
	title := i.ID + ": " + i.Title
	if i.Simulated {
		title = "EXERCISE: " + title
	}
	n := alert.Notification{
		Key: i.ID, Seq: seq, Kind: kind, Severity: i.Severity, Environment: i.Environment, Title: cleanLine(title), At: i.Opened, Prior: i.Told.Ticket,
	}
	n.Text = n.Title + "\n"
	if text != "" {
		n.Text += "\n" + text + "\n"
	}
	return n
}

// commentTicket puts an update on the ticket of an incident.
func (m *Manager) commentTicket(ctx context.Context, inc Incident, post alert.Post) error {
	if m.cfg.Ticketer == nil || inc.Told.Ticket == "" {
		return nil
	}
	n := inc.ticketNote(alert.KindUpdate, int(inc.Version), post.Body)
	n.At = m.now()
	if _, err := m.cfg.Ticketer.Notify(ctx, n); err != nil {
		return fmt.Errorf("incident: comment on ticket %s: %w", inc.Told.TicketID, err)
	}
	return nil
}

// tellTicket closes the ticket of an incident that is over, and says on that of one that
// was reopened that it goes on.
func (m *Manager) tellTicket(ctx context.Context, inc Incident) (func(d *draft), error) {
	over := !inc.State.Open()
	if m.cfg.Ticketer == nil || inc.Told.Ticket == "" || over == inc.Told.TicketDone {
		return nil, nil
	}
	n := inc.ticketNote(alert.KindUpdate, int(inc.Version), inc.ID+" goes on: it was reopened.")
	if over {
		n = inc.ticketNote(alert.KindResolved, int(inc.Version), inc.ending())
	}
	n.At = m.now()
	mine, err := m.claim(ctx, inc.ID, func(i *Incident) *time.Time {
		if i.State.Open() == over || i.Told.TicketDone == over {
			return nil
		}
		n.PossibleRepeat = !i.Told.Ticketing.IsZero() // a process did not come to its end with it
		return &i.Told.Ticketing
	})
	if !mine {
		return nil, err
	}
	free := func(d *draft) { d.inc.Told.Ticketing = time.Time{} }
	if _, err := m.cfg.Ticketer.Notify(ctx, n); err != nil {
		err = fmt.Errorf("incident: %s: tell ticket %s that it is %s: %w", inc.ID, inc.Told.TicketID, inc.State, err)
		if errors.Is(err, alert.ErrRefused) || runbook.SafeToRetry(err) {
			return free, err
		}
		return nil, err // it may have been told: a minute later it is told that it may be a repetition
	}
	return func(d *draft) {
		free(d)
		d.inc.Told.TicketDone = over
	}, nil
}

// ending says how a closed incident ended.
func (i Incident) ending() string {
	text := i.ID + " was " + string(i.State) + "."
	if i.MergedInto != "" {
		text += " It goes on as " + i.MergedInto + "."
	}
	if i.Cause != "" {
		text += "\nCause: " + i.Cause
	}
	if i.Resolution != "" {
		text += "\nResolution: " + i.Resolution
	}
	return text
}
