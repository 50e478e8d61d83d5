package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// AttachRun says that a run of a playbook is about an incident. by is who started it: a
// person, or a part of the program. Attaching it again changes nothing.
func (m *Manager) AttachRun(ctx context.Context, id, run, by string) (Incident, error) {
	return m.attach(ctx, id, run, by, attachment{entryRun, "run", func(i *Incident) *[]string { return &i.Runs }})
}

// AttachDeployment says that a deployment is about an incident: what caused it, or put it
// right. Attaching it again changes nothing.
func (m *Manager) AttachDeployment(ctx context.Context, id, deployment, by string) (Incident, error) {
	return m.attach(ctx, id, deployment, by, attachment{entryDeployment, "deployment", func(i *Incident) *[]string { return &i.Deployments }})
}

// AttachTicket says that there is a ticket about an incident in another system. Attaching
// it again changes nothing.
func (m *Manager) AttachTicket(ctx context.Context, id, ticket, by string) (Incident, error) {
	return m.attach(ctx, id, ticket, by, attachment{entryTicket, "ticket", func(i *Incident) *[]string { return &i.Tickets }})
}

// attachment is something that can be attached to an incident.
type attachment struct {
	entry, what string
	list        func(i *Incident) *[]string
}

// maxAttached is how many of a sort are attached to an incident.
const maxAttached = 100

func (m *Manager) attach(ctx context.Context, id, what, by string, a attachment) (Incident, error) {
	what = cleanShort(what)
	if what == "" {
		return Incident{}, &notRecorded{fmt.Errorf("incident: %s: which %s is missing", id, a.what)}
	}
	return m.do(ctx, id, by, func(d *draft) error {
		list := a.list(&d.inc)
		if slices.Contains(*list, what) {
			return nil
		}
		if len(*list) >= maxAttached {
			return fmt.Errorf("incident: %s has %d of them: no %s can be attached: %w", id, maxAttached, a.what, ErrState)
		}
		*list = append(*list, what)
		d.add(a.entry, a.what+" "+what+" is about this", entryData{ID: what})
		return nil
	})
}

// LinkAlert says that an alert is about an incident. If the incident has no key it gets
// that of the alert's binding: what else belongs to it then comes to this incident, and
// the error is [ErrTaken] if that comes to another one already. If it has a key, further
// alerts of that binding become an incident of their own: merge it. Linking an alert again
// changes nothing.
func (m *Manager) LinkAlert(ctx context.Context, id string, a alert.Alert, by string) (Incident, error) {
	if a.Key == "" || !isStoreText(a.Key, maxAlertKey) {
		return Incident{}, &notRecorded{fmt.Errorf("incident: %s: link: the alert has no valid key", id)}
	}
	inc, err := m.do(ctx, id, by, func(d *draft) error {
		if !d.inc.State.Open() {
			return d.inc.refused("linked to an alert")
		}
		if d.inc.link(a.Key) >= 0 {
			return nil
		}
		if len(d.inc.Alerts) >= maxAlerts {
			return fmt.Errorf("incident: %s has %d alerts: %w", id, maxAlerts, ErrState)
		}
		if b, ok := m.binding(a); ok && d.inc.Key == "" {
			d.inc.Key = b.key(a)
		}
		d.inc.Alerts = append(d.inc.Alerts, linkTo(a, firedAt(a, d.now)))
		if d.inc.fires() {
			d.inc.AlertsEnded = time.Time{}
		}
		d.add(entryLinked, "an alert is about this: "+aboutAlert(a), entryData{Alert: a.Key})
		return nil
	})
	if errors.Is(err, ErrTaken) {
		return Incident{}, fmt.Errorf("%w: merge the incidents instead", err)
	}
	return inc, err
}

// Merge ends an incident since another one, which must be open, goes on in its place: it
// takes over the alerts, the open deadlines, the key if it has none, and the severity if it
// is the worse one. Its clocks go on as they are. Alerts that belong to the one that is merged come to the
// other from now on.
func (m *Manager) Merge(ctx context.Context, id, into, by, reason string) (Incident, error) {
	who, err := authorOf(by)
	switch {
	case err != nil:
		return Incident{}, &notRecorded{err}
	case id == into:
		return Incident{}, &notRecorded{fmt.Errorf("incident: %s cannot be merged into itself: %w", id, ErrState)}
	}
	reason = cleanWords(reason, maxWords)
	for try := range tries {
		if err := pause(ctx, try); err != nil {
			return Incident{}, &notRecorded{fmt.Errorf("incident: merge %s: %w", id, err)}
		}
		gone, stays, err := m.merged(ctx, id, into, who, reason)
		if errors.Is(err, ErrStale) {
			continue
		}
		if err != nil {
			return Incident{}, err
		}
		m.settled(ctx, gone)
		return m.settled(ctx, stays), nil
	}
	return Incident{}, &notRecorded{fmt.Errorf("incident: merge %s: %w: others have changed it %d times meanwhile; try again", id, ErrBusy, tries)}
}

// merged makes one attempt to merge.
func (m *Manager) merged(ctx context.Context, id, into string, by author, reason string) (gone, stays Incident, err error) {
	var drafts [2]*draft
	for i, name := range []string{id, into} {
		inc, was, err := m.read(ctx, name, Document{})
		if err != nil {
			return Incident{}, Incident{}, err
		}
		drafts[i] = m.draft(inc, was, by)
		drafts[i].advance()
	}
	a, b := drafts[0], drafts[1]
	if !b.inc.State.Open() {
		return Incident{}, Incident{}, &notRecorded{b.inc.refused("merged into")}
	}
	if a.inc.Simulated != b.inc.Simulated {
		return Incident{}, Incident{}, &notRecorded{fmt.Errorf("incident: %s is an exercise and %s is not, or the other way round: %w", id, into, ErrState)}
	}
	was, err := a.to(Merged, "merged")
	if err != nil {
		return Incident{}, Incident{}, &notRecorded{err}
	}
	a.inc.MergedInto = into
	a.close()
	a.add(entryMerged, withComment("it goes on as "+into, reason), entryData{State: Merged, Was: was, Other: into, Comment: reason})
	b.takeOver(a.inc, reason)
	if err := b.takeDeadlines(a); err != nil {
		return Incident{}, Incident{}, &notRecorded{err}
	}
	gone, err = m.commit(ctx, Document{}, a, b)
	return gone, b.inc, err
}

// takeOver makes an incident go on for another one.
func (d *draft) takeOver(other Incident, reason string) {
	i := &d.inc
	i.Merged = append(i.Merged, other.ID)
	if i.Key == "" {
		i.Key = other.Key
	}
	for _, l := range other.Alerts {
		if i.link(l.Key) < 0 && len(i.Alerts) < maxAlerts {
			i.Alerts = append(i.Alerts, l)
		}
	}
	if i.fires() {
		i.AlertsEnded = time.Time{}
	}
	d.add(entryTookOver, withComment("it goes on for "+other.ID+" ("+other.Title+")", reason), entryData{Other: other.ID, Comment: reason})
	if other.Severity < i.Severity {
		d.setSeverity(other.Severity, "that of "+other.ID+" is worse")
	}
}

// link returns the place of an alert in the incident, -1 if it is not there.
func (i Incident) link(key string) int {
	return slices.IndexFunc(i.Alerts, func(l LinkedAlert) bool { return l.Key == key })
}

// fires reports whether an alert of the incident fires.
func (i Incident) fires() bool {
	return slices.ContainsFunc(i.Alerts, func(l LinkedAlert) bool { return l.Ended.IsZero() })
}
