package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
)

// Notify implements [alert.Notifier]: alerts that fire open incidents by their bindings,
// or join those that are open; those that have ended are noted; and an acknowledgement of
// an alert is one of its incident. The receipt is the ID of the incident; of several that
// one conversation is about, their IDs with commas between.
//
// The same notification again changes nothing. Which alerts fire is what counts, and not
// of which kind a notification is, so that reminders, updates and digests put right what
// was missed.
//
// Alerts of an incident that a person has closed do not open it again as long as they go
// on firing: that they still do is on its timeline. When they fire anew they reopen it, or
// are another incident: see [ManagerConfig].ReopenWithin.
//
// A target of a router that is a manager should have a negative RemindAfter, and route
// groups with at most 30 alerts: a notification names no more.
func (m *Manager) Notify(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	switch n.Kind {
	case alert.KindPost:
		return "", &alert.Error{Service: "incident", Op: "notify", Kind: alert.ErrRefused, Err: errors.New("posts are for people, and not for the manager of incidents")}
	case alert.KindNotice:
		return n.Prior, nil
	case alert.KindTest:
		_, _, err := m.counter(ctx, time.Now().Year())
		return n.Prior, notifyError(err, false)
	}
	if n.At.IsZero() {
		n.At = time.Now()
	}
	list := &receipt{ids: readReceipt(n.Prior)}
	groups := m.group(n)
	for _, g := range groups {
		id, err := m.join(ctx, g, n)
		if err != nil {
			return "", notifyError(err, list.wrote)
		}
		list.add(id)
	}
	for _, id := range slices.Clone(list.ids) {
		if list.seen[id] {
			continue
		}
		id, err := m.noteEnds(ctx, id, n)
		if err != nil {
			return "", notifyError(err, list.wrote)
		}
		list.add(id)
	}
	return list.text(), nil
}

// notifyError is the error of a notification. wrote means that a part of it was recorded.
func notifyError(err error, wrote bool) error {
	if err == nil {
		return nil
	}
	return &alert.Error{Service: "incident", Op: "record", Unsent: !wrote && runbook.SafeToRetry(err), Err: err}
}

// A receipt is the incidents that one conversation is about.
type receipt struct {
	ids   []string
	seen  map[string]bool // that this notification was recorded in
	wrote bool
}

func (r *receipt) add(id string) {
	if id == "" {
		return
	}
	if r.seen == nil {
		r.seen = make(map[string]bool)
	}
	r.seen[id], r.wrote = true, true
	if !slices.Contains(r.ids, id) {
		r.ids = append(r.ids, id)
	}
}

func (r *receipt) text() alert.Receipt { return alert.Receipt(strings.Join(r.ids, ",")) }

// maxReceipt is how many incidents a conversation is about, at most: the newest.
const maxReceipt = 100

func readReceipt(text alert.Receipt) []string {
	ids := strings.FieldsFunc(string(text), func(r rune) bool { return r == ',' })
	if n := len(ids) - maxReceipt; n > 0 {
		ids = ids[n:]
	}
	return ids
}

// An alertGroup is the alerts of a notification that belong to one incident.
type alertGroup struct {
	binding *Binding
	key     string
	firing  []alert.Alert
	ended   []alert.Alert
}

// group puts the alerts of a notification together by incident, in the order in which
// they come: the worst first.
func (m *Manager) group(n alert.Notification) []*alertGroup {
	var groups []*alertGroup
	for _, a := range n.Alerts {
		if a.State != alert.Firing && a.State != alert.Resolved || a.Key == "" || !isStoreText(a.Key, maxAlertKey) {
			continue
		}
		b, ok := m.binding(a)
		if !ok {
			if a.State == alert.Firing {
				m.noteUnbound(a, firedAt(a, time.Time{}))
			}
			continue
		}
		key := b.key(a)
		i := slices.IndexFunc(groups, func(g *alertGroup) bool { return g.key == key })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &alertGroup{binding: b, key: key})
		}
		if a.State == alert.Firing {
			groups[i].firing = append(groups[i].firing, a)
		} else {
			groups[i].ended = append(groups[i].ended, a)
		}
	}
	return groups
}

// maxAlertKey is the longest key that alerts have.
const maxAlertKey = 64

// errMoved means that an incident was closed, or opened, while something was to be noted
// in it.
var errMoved = errors.New("it was closed or opened meanwhile")

// join notes the alerts of a group in the incident to which they belong, and opens or
// reopens one if that is needed. It returns its ID; empty means that there is none, and
// needs to be none.
func (m *Manager) join(ctx context.Context, g *alertGroup, n alert.Notification) (id string, err error) {
	for try := range tries {
		if err := pause(ctx, try); err != nil {
			return "", &notRecorded{fmt.Errorf("incident: %w", err)}
		}
		id, err = m.tryJoin(ctx, g, n)
		if !errors.Is(err, errMoved) && !errors.Is(err, ErrTaken) {
			return id, err
		}
	}
	return "", &notRecorded{fmt.Errorf("incident: %w: others have changed what is open %d times meanwhile: %w", ErrBusy, tries, err)}
}

// tryJoin makes one attempt.
func (m *Manager) tryJoin(ctx context.Context, g *alertGroup, n alert.Notification) (id string, err error) {
	doc, open, err := m.openDocument(ctx, g.key)
	if err != nil {
		return "", err
	}
	var last Incident
	if !open {
		if last, open, err = m.lastByKey(ctx, g.key); err != nil {
			return "", err
		}
		doc.ID = last.ID // another one goes on for the last, if it is open
	}
	now := m.now()
	switch {
	case open:
		return m.takeInto(ctx, doc, g, n)
	case len(g.firing) == 0:
		return "", nil // its incident is closed, and in the receipt if it was told
	case last.ID != "" && last.knows(g.firing, n):
		return m.noteEnds(ctx, last.ID, n)
	case last.ID != "" && m.cfg.ReopenWithin > 0 && now.Sub(last.Closed) <= m.cfg.ReopenWithin:
		return m.reopenFor(ctx, last, g, n)
	}
	return m.openFor(ctx, g, n)
}

// takeInto notes the alerts of a group in an incident that is open.
func (m *Manager) takeInto(ctx context.Context, doc Document, g *alertGroup, n alert.Notification) (string, error) {
	inc, err := m.writeFrom(ctx, doc, ours, func(d *draft) error {
		if !d.inc.State.Open() {
			return errMoved
		}
		d.take(g, n)
		return nil
	})
	if err != nil {
		return "", err
	}
	return m.settled(ctx, inc).ID, nil
}

// knows reports whether all these alerts fired before the incident was closed, and still
// do: whoever closed it knew.
func (i Incident) knows(firing []alert.Alert, n alert.Notification) bool {
	for _, a := range firing {
		l := i.link(a.Key)
		if l < 0 || firedAt(a, n.At).After(i.Alerts[l].Fired) {
			return false
		}
	}
	return true
}

// reopenFor reopens an incident since what it was about fires again.
func (m *Manager) reopenFor(ctx context.Context, last Incident, g *alertGroup, n alert.Notification) (string, error) {
	inc, err := m.write(ctx, last.ID, ours, func(d *draft) error {
		if d.inc.State.Open() || d.inc.State == Merged {
			return errMoved
		}
		ago := max(0, d.now.Sub(d.inc.Closed)).Round(time.Second)
		if err := d.reopen(fmt.Sprintf("it fires again, %v after it was %s", ago, last.State)); err != nil {
			return err
		}
		d.inc.Told.Reopened, d.inc.Told.Reopening = m.cfg.Hooks.OnReopened != nil && d.inc.Binding != "", time.Time{}
		d.take(g, n)
		return nil
	})
	if err != nil {
		return "", err
	}
	return m.done(ctx, inc, byReopening).ID, nil
}

// openFor opens an incident for alerts.
func (m *Manager) openFor(ctx context.Context, g *alertGroup, n alert.Notification) (string, error) {
	first := g.firing[0]
	inc := Incident{
		Key: g.key, Binding: g.binding.Name, Playbook: g.binding.Playbook, Simulated: g.binding.Simulated, NoEscalation: g.binding.PagedElsewhere,
		Title: cleanLine(g.binding.Title), Summary: cleanWords(first.Detail, maxWords), Environment: cleanLine(first.Environment),
		Triggered: firedAt(first, n.At),
	}
	if inc.Title == "" {
		inc.Title = cleanLine(first.Summary)
	}
	if inc.Title == "" {
		inc.Title = cleanLine(first.Rule + " " + first.Entity)
	}
	severities := make([]alert.Severity, 0, len(g.firing))
	for _, a := range g.firing {
		severities = append(severities, g.binding.severity(a))
		if at := firedAt(a, n.At); at.Before(inc.Triggered) {
			inc.Triggered = at
		}
	}
	inc.Severity = WorseSeverity(severities...)
	inc.Told.Opened = m.cfg.Hooks.OnOpened == nil // there is nobody to tell
	opened, err := m.open(ctx, inc, ours, func(d *draft) { d.take(g, n) })
	if err != nil {
		return "", err
	}
	return m.done(ctx, opened, byOpening).ID, nil
}

// noteEnds notes in an incident, open or not, which of its alerts have ended. It returns
// the ID of the incident in which that is: another one may go on in its place.
func (m *Manager) noteEnds(ctx context.Context, id string, n alert.Notification) (string, error) {
	for range 8 {
		inc, err := m.write(ctx, id, ours, func(d *draft) error {
			if d.inc.State != Merged {
				d.take(&alertGroup{}, n)
			}
			return nil
		})
		switch {
		case errors.Is(err, ErrNotFound):
			return "", nil // it was deleted, or the receipt is not ours
		case err != nil:
			return "", err
		case inc.State != Merged:
			return m.settled(ctx, inc).ID, nil
		}
		id = inc.MergedInto
	}
	return "", nil
}

// openDocument returns the open incident with a key.
func (m *Manager) openDocument(ctx context.Context, key string) (doc Document, found bool, err error) {
	if key == "" {
		return Document{}, false, nil
	}
	for doc, err := range m.cfg.Store.Documents(ctx, DocumentQuery{Kind: incidentKind, Key: key, Open: true, Limit: 1}) {
		if err != nil {
			return Document{}, false, &notRecorded{fmt.Errorf("incident: look for open incidents: %w", err)}
		}
		return doc, true, nil
	}
	return Document{}, false, nil
}

// lastByKey returns the incident with a key that was opened last, or, if it was merged,
// the one that goes on in its place, and whether that is open.
func (m *Manager) lastByKey(ctx context.Context, key string) (last Incident, open bool, err error) {
	for doc, err := range m.cfg.Store.Documents(ctx, DocumentQuery{Kind: incidentKind, Key: key, Limit: 10}) {
		if err != nil {
			return Incident{}, false, &notRecorded{fmt.Errorf("incident: look for incidents: %w", err)}
		}
		inc, _, err := decodeIncident(doc)
		if err != nil {
			return Incident{}, false, err
		}
		if last.ID == "" || inc.Opened.After(last.Opened) {
			last = inc
		}
	}
	for range 8 {
		if last.State != Merged {
			break
		}
		next, err := m.Incident(ctx, last.MergedInto)
		if errors.Is(err, ErrNotFound) {
			return Incident{}, false, nil
		}
		if err != nil {
			return Incident{}, false, err
		}
		last = next
	}
	return last, last.State.Open(), nil
}
