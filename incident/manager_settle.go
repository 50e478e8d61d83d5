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

// A happening is what this process has done to an incident just now, by which what follows is
// its own to do.
type happening uint8

const (
	byOthers    happening = iota // or something else
	byOpening                    // it has opened it
	byReopening                  // it has reopened it since an alert fires again
)

// settled does what follows from a change. What fails is logged, and done later.
func (m *Manager) settled(ctx context.Context, inc Incident) Incident {
	return m.done(ctx, inc, byOthers)
}

// done is settled for an incident that this process has opened or reopened just now.
func (m *Manager) done(ctx context.Context, inc Incident, what happening) Incident {
	after, err := m.settle(ctx, inc, what)
	if err != nil {
		m.cfg.Logger.Warn("incident: what follows from a change could not all be done; it is tried again", "incident", inc.ID, "error", err)
	}
	return after
}

// settle does what follows from a change, and returns the incident as it is then.
func (m *Manager) settle(ctx context.Context, inc Incident, what happening) (Incident, error) {
	if runbook.IsReadOnly(ctx) {
		return inc, nil
	}
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	var problems error
	var records []func(d *draft)
	effects := []effect{m.endEscalations, m.beginEscalation, m.tellEscalation, m.tellWorse, m.sendAcks, m.tellTicket, m.tellOpened(what == byOpening), m.tellReopened(what == byReopening)}
	if inc.owesReminder() {
		effects = append(effects, m.remind)
	}
	for _, do := range effects {
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

// claim makes this process the one that does something outside, for a minute: of several
// that come to it at a time one does. mark returns where it stands since when one does; nil
// if nothing is to be done any more.
func (m *Manager) claim(ctx context.Context, id string, mark func(i *Incident) *time.Time) (mine bool, err error) {
	_, err = m.write(ctx, id, ours, func(d *draft) error {
		since := mark(&d.inc)
		if mine = since != nil && d.now.Sub(*since) >= settleAfter; mine {
			*since = d.now
		}
		return nil
	})
	return mine && err == nil, err
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
		if !opened {
			mine, err := m.claim(ctx, inc.ID, func(i *Incident) *time.Time {
				if i.Told.Opened {
					return nil
				}
				return &i.Told.Opening
			})
			if !mine {
				return nil, err
			}
		}
		m.callBound(ctx, inc, "OnOpened", m.cfg.Hooks.OnOpened)
		return func(d *draft) { d.inc.Told.Opened, d.inc.Told.Opening = true, time.Time{} }, nil
	}
}

// tellReopened tells the host that an alert has reopened an incident, as tellOpened does.
func (m *Manager) tellReopened(reopened bool) effect {
	return func(ctx context.Context, inc Incident) (func(d *draft), error) {
		if m.cfg.Hooks.OnReopened == nil || !inc.Told.Reopened || !reopened && m.now().Sub(inc.Reopened) < settleAfter {
			return nil, nil
		}
		if !reopened {
			mine, err := m.claim(ctx, inc.ID, func(i *Incident) *time.Time {
				if !i.Told.Reopened || i.Reopens != inc.Reopens {
					return nil
				}
				return &i.Told.Reopening
			})
			if !mine {
				return nil, err
			}
		}
		m.callBound(ctx, inc, "OnReopened", m.cfg.Hooks.OnReopened)
		return func(d *draft) {
			if d.inc.Reopens == inc.Reopens {
				d.inc.Told.Reopened, d.inc.Told.Reopening = false, time.Time{}
			}
		}, nil
	}
}

// callBound calls a hook about an incident that is open, with its binding.
func (m *Manager) callBound(ctx context.Context, inc Incident, what string, hook func(context.Context, Incident, Binding)) {
	for _, b := range cloneBindings(m.cfg.Bindings) {
		if b.Name == inc.Binding && inc.State.Open() {
			m.guard(what, func() { hook(ctx, inc, b) })
		}
	}
}
