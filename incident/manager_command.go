package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// An Opening is an incident that a person opens.
type Opening struct {
	// By is who opens it. Required.
	By string
	// Title is one line, Summary says more. A title is required.
	Title, Summary string
	// Environment is where: "production".
	Environment string
	// Severity is how bad it is. Required; who is unsure takes the worse, see
	// [WorseSeverity].
	Severity alert.Severity
	// Key is that of what is wrong, if it has one: there is one open incident with it. At
	// most 200 characters. Alerts have keys of their own, see [Binding].
	Key string
	// Triggered is when it began. Zero means now.
	Triggered time.Time
	// Playbook is the name of the playbook that is for it. Optional.
	Playbook string
	// Simulated marks an exercise.
	Simulated bool
	// NoEscalation means that nobody is called: whoever opens it has seen to that.
	NoEscalation bool
}

// Validate returns everything that is wrong with the opening, or nil.
func (o Opening) Validate() error {
	var problems []error
	bad := func(when bool, text string) {
		if when {
			problems = append(problems, errors.New("incident: open: "+text))
		}
	}
	bad(cleanLine(o.By) == "", "who opens it is missing")
	bad(cleanLine(o.Title) == "", "the title is missing")
	bad(!isSeverity(o.Severity), "the severity is missing: one from 1, critical, to 4, low; if unsure, the worse")
	bad(!isStoreText(o.Key, maxIncidentKey), "the key must be at most 200 characters of text")
	bad(time.Until(o.Triggered) > time.Minute, "it was triggered in the future")
	return errors.Join(problems...)
}

// Open opens an incident: one without an alert, and perhaps without a playbook. The error
// is [ErrTaken] if there is an open one with its key, and names it.
func (m *Manager) Open(ctx context.Context, o Opening) (Incident, error) {
	if err := o.Validate(); err != nil {
		return Incident{}, &notRecorded{err}
	}
	inc := Incident{
		Key: o.Key, Title: cleanLine(o.Title), Summary: cleanWords(o.Summary, maxWords), Environment: cleanLine(o.Environment),
		Severity: o.Severity, SeverityBy: cleanLine(o.By), Playbook: cleanLine(o.Playbook), Simulated: o.Simulated, NoEscalation: o.NoEscalation,
		Triggered: o.Triggered.UTC().Truncate(time.Microsecond),
	}
	if o.Triggered.IsZero() {
		inc.Triggered = time.Time{}
	}
	opened, err := m.open(ctx, inc, author{cleanLine(o.By), true}, func(*draft) {})
	if errors.Is(err, ErrTaken) {
		err = m.sayWhich(ctx, o.Key, err)
	}
	if err != nil {
		return Incident{}, err
	}
	return m.settled(ctx, opened), nil
}

// sayWhich says in an error which incident is open with a key.
func (m *Manager) sayWhich(ctx context.Context, key string, err error) error {
	if other, found, readErr := m.openDocument(ctx, key); readErr == nil && found {
		return &notRecorded{fmt.Errorf("incident: %s is open about the same: %w", other.ID, err)}
	}
	return err
}

// do makes a command of a person, and what follows from it.
func (m *Manager) do(ctx context.Context, id, by string, edit func(d *draft) error) (Incident, error) {
	who, err := authorOf(by)
	if err != nil {
		return Incident{}, &notRecorded{err}
	}
	inc, err := m.write(ctx, id, who, edit)
	if err != nil {
		return Incident{}, err
	}
	return m.settled(ctx, inc), nil
}

// An Ack is that a person takes care of an incident.
type Ack struct {
	// By is who. Required.
	By string
	// Comment is what they say about it. Optional.
	Comment string
	// For is how long it counts: after that the incident is triggered again. Zero means
	// [ManagerConfig].AckFor; a negative value that it does not expire.
	For time.Duration
}

// Acknowledge says that somebody takes care of an incident: nobody else is called. The
// alerts of it that fire are acknowledged too. Of one that is acknowledged already it is
// taken over, or goes on for longer.
func (m *Manager) Acknowledge(ctx context.Context, id string, a Ack) (Incident, error) {
	return m.do(ctx, id, a.By, func(d *draft) error {
		ack := acknowledgement{by: d.by, comment: cleanWords(a.Comment, maxWords), at: d.now, expires: m.expiry(d.now, a.For)}
		if err := d.acknowledge(ack); err != nil {
			return err
		}
		for i := range d.inc.Alerts {
			if l := &d.inc.Alerts[i]; l.Ended.IsZero() && m.cfg.Acknowledger != nil {
				l.Acknowledged, l.AckOwed = d.now, true
			}
		}
		return nil
	})
}

// expiry is when an acknowledgement expires.
func (m *Manager) expiry(at time.Time, lasts time.Duration) time.Time {
	if lasts == 0 {
		lasts = m.cfg.AckFor
	}
	if lasts <= 0 {
		return time.Time{}
	}
	return at.Add(lasts).Truncate(time.Microsecond)
}

// Mitigate says that users are no longer hurt, though the cause may be there.
func (m *Manager) Mitigate(ctx context.Context, id, by, comment string) (Incident, error) {
	return m.do(ctx, id, by, func(d *draft) error { return d.mitigate(cleanWords(comment, maxWords)) })
}

// A Resolution is how an incident ended.
type Resolution struct {
	// By is who says so. Required.
	By string
	// Cause is what was found to be the cause, Resolution what put it right. Both are kept
	// as they are if they are empty here.
	Cause, Resolution string
}

// Resolve says that an incident is over.
func (m *Manager) Resolve(ctx context.Context, id string, r Resolution) (Incident, error) {
	cause, resolution := cleanWords(r.Cause, maxWords/2), cleanWords(r.Resolution, maxWords/2)
	text := withComment("resolved", resolution)
	if cause != "" {
		text += "; the cause: " + cause
	}
	return m.do(ctx, id, r.By, func(d *draft) error { return d.resolve(cause, resolution, text) })
}

// Review says that a resolved incident was looked back at: its report is final.
func (m *Manager) Review(ctx context.Context, id, by, comment string) (Incident, error) {
	comment = cleanWords(comment, maxWords)
	return m.do(ctx, id, by, func(d *draft) error {
		was, err := d.to(Reviewed, "reviewed")
		if err != nil {
			return err
		}
		d.inc.Reviewed = d.now
		d.add(entryReviewed, withComment("reviewed", comment), entryData{State: Reviewed, Was: was, Comment: comment})
		return nil
	})
}

// Reopen makes an incident that was closed go on, and one that was mitigated be hurting
// again. A reason is required. The clocks of one that was closed begin anew. The error is
// [ErrTaken] if another incident is open about the same: merge them.
func (m *Manager) Reopen(ctx context.Context, id, by, reason string) (Incident, error) {
	reason = cleanWords(reason, maxWords)
	if reason == "" {
		return Incident{}, &notRecorded{fmt.Errorf("incident: reopen %s: the reason is missing", id)}
	}
	inc, err := m.do(ctx, id, by, func(d *draft) error { return d.reopen(reason) })
	if errors.Is(err, ErrTaken) {
		if closed, readErr := m.Incident(ctx, id); readErr == nil {
			err = m.sayWhich(ctx, closed.Key, err)
		}
	}
	return inc, err
}

// Cancel says that an incident was none. A reason is required.
func (m *Manager) Cancel(ctx context.Context, id, by, reason string) (Incident, error) {
	reason = cleanWords(reason, maxWords)
	if reason == "" {
		return Incident{}, &notRecorded{fmt.Errorf("incident: cancel %s: the reason is missing", id)}
	}
	return m.do(ctx, id, by, func(d *draft) error {
		was, err := d.to(Cancelled, "cancelled")
		if err != nil {
			return err
		}
		d.close()
		d.add(entryCancelled, "it was no incident: "+reason, entryData{State: Cancelled, Was: was, Comment: reason})
		return nil
	})
}

// SetSeverity changes how severe an incident is: the times are computed anew from the
// first trigger, and both go on the timeline, the old ones and the new ones. Alerts do not
// change it any more. Who is unsure between two takes the worse, see [WorseSeverity], and
// changes it when more is known.
func (m *Manager) SetSeverity(ctx context.Context, id string, s alert.Severity, by, reason string) (Incident, error) {
	if !isSeverity(s) {
		return Incident{}, &notRecorded{fmt.Errorf("incident: %s: severity %d is not one from 1, critical, to 4, low", id, uint8(s))}
	}
	return m.do(ctx, id, by, func(d *draft) error {
		if !d.inc.State.Open() && d.inc.State != Resolved {
			return d.inc.refused("given another severity")
		}
		d.setSeverity(s, cleanWords(reason, maxWords))
		d.inc.SeverityBy = d.by
		return nil
	})
}

// SetRole says who has a role in an incident: "commander", "communications",
// "operations", "scribe", or another one. An empty who means that nobody has it any more.
func (m *Manager) SetRole(ctx context.Context, id, role, who, by string) (Incident, error) {
	role, who = cleanShort(role), cleanShort(who)
	if role == "" {
		return Incident{}, &notRecorded{fmt.Errorf("incident: %s: the role is missing", id)}
	}
	return m.do(ctx, id, by, func(d *draft) error {
		if !d.inc.State.Open() && d.inc.State != Resolved {
			return d.inc.refused("given roles")
		}
		if d.inc.Roles[role] == who {
			return nil
		}
		if who == "" {
			delete(d.inc.Roles, role)
			d.add(entryRole, "nobody is "+role+" any more", entryData{ID: role})
			return nil
		}
		if len(d.inc.Roles) >= maxRoles {
			return fmt.Errorf("incident: %s has %d roles: %w", id, maxRoles, ErrState)
		}
		if d.inc.Roles == nil {
			d.inc.Roles = make(map[string]string)
		}
		d.inc.Roles[role] = who
		d.add(entryRole, who+" is "+role, entryData{ID: role, Comment: who})
		return nil
	})
}

// Note puts what somebody has to say on the timeline. That is possible in every state.
func (m *Manager) Note(ctx context.Context, id, by, text string) (Incident, error) {
	text = cleanWords(text, maxWords)
	if text == "" {
		return Incident{}, &notRecorded{fmt.Errorf("incident: %s: the note is empty", id)}
	}
	return m.do(ctx, id, by, func(d *draft) error {
		d.add(entryNote, text, entryData{})
		return nil
	})
}

// What an incident has at most.
const (
	maxFollowUps = 50
	maxRoles     = 50
)

// AddFollowUp notes what is still to be done when an incident is over.
func (m *Manager) AddFollowUp(ctx context.Context, id, by string, f FollowUp) (Incident, error) {
	f = FollowUp{Text: cleanWords(f.Text, 500), Owner: cleanShort(f.Owner), Ticket: cleanShort(f.Ticket), Due: f.Due}
	if f.Text == "" {
		return Incident{}, &notRecorded{fmt.Errorf("incident: %s: what is to be done is missing", id)}
	}
	return m.do(ctx, id, by, func(d *draft) error {
		same := func(o FollowUp) bool { return o.Text == f.Text && o.Owner == f.Owner && o.Done.IsZero() }
		if slices.ContainsFunc(d.inc.FollowUps, same) {
			return nil
		}
		if len(d.inc.FollowUps) >= maxFollowUps {
			return fmt.Errorf("incident: %s has %d follow-ups; keep the others as tickets: %w", id, maxFollowUps, ErrState)
		}
		d.inc.FollowUps = append(d.inc.FollowUps, f)
		d.add(entryFollowUp, withComment("to be done", f.Text), entryData{ID: f.Ticket, Comment: f.Owner})
		return nil
	})
}

// FinishFollowUp notes that one was done; number counts them from 1, in the order of
// [Incident].FollowUps. The error is [ErrNotFound] if there is no such one.
func (m *Manager) FinishFollowUp(ctx context.Context, id, by string, number int) (Incident, error) {
	return m.do(ctx, id, by, func(d *draft) error {
		if number < 1 || number > len(d.inc.FollowUps) {
			return fmt.Errorf("incident: %s: follow-up %d: %w", id, number, ErrNotFound)
		}
		f := &d.inc.FollowUps[number-1]
		if f.Done.IsZero() {
			f.Done, f.DoneBy = d.now, d.by
			d.add(entryFollowedUp, withComment("done", f.Text), entryData{ID: f.Ticket})
		}
		return nil
	})
}
