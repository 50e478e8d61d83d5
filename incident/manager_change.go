package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
)

// A draft is an incident that is being changed: the incident, and what goes on its
// timeline with it.
type draft struct {
	m       *Manager
	inc     Incident
	now     time.Time
	by      string     // who does it
	person  bool       // a person does
	was     []byte     // the document as it was read
	entries []Entry    // for the timeline
	audits  []Entry    // for the audit record
	clocks  []Clock    // whose marks were passed
	marks   []Deadline // that were passed
}

// An author is who changes an incident.
type author struct {
	name   string
	person bool
}

// ours is the author of what no person does, also of commands that a part of the program
// gives in this name.
var ours = author{name: "runbook"}

// authorOf returns the author of a command, or an error if it is not said who that is.
func authorOf(name string) (author, error) {
	name = cleanLine(name)
	if name == "" {
		return author{}, errors.New("incident: who does it is missing")
	}
	return author{name: name, person: name != ours.name}, nil
}

func (m *Manager) draft(inc Incident, was []byte, by author) *draft {
	return &draft{m: m, inc: inc, was: was, now: m.now(), by: by.name, person: by.person}
}

// add puts something on the timeline that the author does now.
func (d *draft) add(kind, text string, data entryData) {
	d.addEntry(Entry{At: d.now, Kind: kind, Actor: d.by, Text: text}, data)
	if d.person {
		data.Incident = d.inc.ID
		d.audits = append(d.audits, Entry{
			Chain: auditChain, At: d.now, Kind: kind, Actor: d.by, Text: d.inc.ID + ": " + text, Data: fit(data),
		})
	}
}

// addEntry puts something on the timeline that happened by itself, or earlier.
func (d *draft) addEntry(e Entry, data entryData) {
	e.Chain, e.Data = timelineOf(d.inc.ID), fit(data)
	if e.Actor == "" {
		e.Actor = ours.name
	}
	d.entries = append(d.entries, e)
}

// fit returns the data of an entry as JSON. There is room for all of it but for texts of
// people, which are in the entry's own text too.
func fit(data entryData) json.RawMessage {
	text := marshalData(data)
	if len(text) > maxEntryData {
		data.Comment, data.Told = "", nil
		text = marshalData(data)
	}
	if string(text) == "{}" {
		return nil
	}
	return text
}

// marshalData returns JSON of a value of ours, which can always be marshalled.
func marshalData(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}

// changed reports whether there is something to write.
func (d *draft) changed() bool {
	return len(d.entries) > 0 || string(marshalData(d.inc)) != string(d.was)
}

// document returns the incident as it is stored.
func (d *draft) document() Document {
	version := d.inc.Version
	d.inc.Version = version + 1
	return Document{
		Kind: incidentKind, ID: d.inc.ID, Version: version, Key: d.inc.Key, Open: d.inc.State.Open(), Changed: d.now, Data: marshalData(d.inc),
	}
}

// Incident returns an incident. The error is [ErrNotFound] if there is none.
func (m *Manager) Incident(ctx context.Context, id string) (Incident, error) {
	inc, _, err := m.read(ctx, id, Document{})
	return inc, err
}

// read returns an incident, and its document as it was read: that which is given if it
// has a version.
func (m *Manager) read(ctx context.Context, id string, doc Document) (Incident, []byte, error) {
	if doc.Version > 0 {
		return decodeIncident(doc)
	}
	if !isStoreName(id, maxDocumentID) {
		return Incident{}, nil, fmt.Errorf("incident: %.40q: %w", id, ErrNotFound)
	}
	doc, err := m.cfg.Store.Document(ctx, incidentKind, id)
	if err != nil {
		return Incident{}, nil, &notRecorded{fmt.Errorf("incident: read %s: %w", id, err)}
	}
	return decodeIncident(doc)
}

// decodeIncident reads the document of an incident, and returns it as it is written, which
// another version of the program may have done in another way.
func decodeIncident(doc Document) (inc Incident, was []byte, err error) {
	if err := json.Unmarshal(doc.Data, &inc); err != nil {
		return Incident{}, nil, &notRecorded{fmt.Errorf("incident: %s cannot be read: %w", doc.ID, err)}
	}
	inc.Version = doc.Version
	return inc, marshalData(inc), nil
}

// notRecorded marks an error after which it is certain that nothing was changed.
type notRecorded struct{ error }

func (e *notRecorded) Unwrap() error     { return e.error }
func (e *notRecorded) SafeToRetry() bool { return true }

// tries is how often a change is made anew since somebody else was faster. Of those who
// change the same thing at a time one gets through each time.
const tries = 40

// pause waits before a change is made anew, longer each time.
func pause(ctx context.Context, try int) error {
	if try == 0 {
		return ctx.Err()
	}
	wait := time.Millisecond << min(try, 6)
	select {
	case <-time.After(wait/2 + rand.N(wait)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write changes an incident: edit is called with what it is now, until nobody else has
// changed it meanwhile. An incident that edit leaves as it is is not written.
func (m *Manager) write(ctx context.Context, id string, by author, edit func(d *draft) error) (Incident, error) {
	return m.writeFrom(ctx, Document{ID: id}, by, edit)
}

// writeFrom is write with an incident as it was read just now, if its document has a
// version.
func (m *Manager) writeFrom(ctx context.Context, first Document, by author, edit func(d *draft) error) (Incident, error) {
	id := first.ID
	for try := range tries {
		if err := pause(ctx, try); err != nil {
			return Incident{}, &notRecorded{fmt.Errorf("incident: %s: %w", id, err)}
		}
		inc, was, err := m.read(ctx, id, first)
		first = Document{}
		if err != nil {
			return Incident{}, err
		}
		d := m.draft(inc, was, by)
		d.advance()
		if err := edit(d); err != nil {
			return Incident{}, &notRecorded{err}
		}
		if !d.changed() {
			return d.inc, nil
		}
		inc, err = m.commit(ctx, Document{}, d)
		if !errors.Is(err, ErrStale) {
			return inc, err
		}
	}
	return Incident{}, &notRecorded{fmt.Errorf("incident: %s: %w: others have changed it %d times meanwhile; try again", id, ErrBusy, tries)}
}

// commit writes drafts, with another document if it has a kind, and tells the hooks. It
// returns the incident of the first.
func (m *Manager) commit(ctx context.Context, other Document, drafts ...*draft) (Incident, error) {
	if runbook.IsReadOnly(ctx) {
		return Incident{}, &notRecorded{fmt.Errorf("incident: change an incident: %w", runbook.ErrReadOnly)}
	}
	var change Change
	for _, d := range drafts {
		watch, err := m.watch(ctx, d)
		if err != nil {
			return Incident{}, err
		}
		change.Documents = append(append(change.Documents, d.document()), watch...)
		change.Entries = slices.Concat(change.Entries, d.entries, d.audits)
	}
	if other.Kind != "" {
		change.Documents = append(change.Documents, other)
	}
	done, err := m.cfg.Store.Commit(ctx, change)
	if err != nil {
		return Incident{}, recordError(drafts[0].inc.ID, err)
	}
	for _, d := range drafts {
		own := slices.DeleteFunc(slices.Clone(done.Entries), func(e Entry) bool { return e.Chain != timelineOf(d.inc.ID) })
		m.told(ctx, d, own)
	}
	return drafts[0].inc, nil
}

// recordError says what an error of the store means for a change.
func recordError(id string, err error) error {
	err = fmt.Errorf("incident: %s: record it: %w", id, err)
	if errors.Is(err, ErrStale) || errors.Is(err, ErrTaken) || runbook.SafeToRetry(err) {
		return &notRecorded{err}
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}

// told tells the hooks of a change.
func (m *Manager) told(ctx context.Context, d *draft, entries []Entry) {
	h := m.cfg.Hooks
	if h.OnChanged != nil && len(entries) > 0 {
		m.guard("OnChanged", func() { h.OnChanged(ctx, d.inc, entries) })
	}
	for _, l := range d.marks {
		if l.Told == DeadlineOver {
			m.cfg.Logger.Warn("incident: a deadline was missed", "incident", d.inc.ID, "deadline", l.Name, "due", l.Due)
		}
	}
	for _, c := range d.clocks {
		if c.Told >= 100 {
			m.cfg.Logger.Warn("incident: a time is over", "incident", d.inc.ID, "clock", string(c.Kind), "due", c.Due)
		}
		if h.OnClock != nil {
			m.guard("OnClock", func() { h.OnClock(ctx, d.inc, c) })
		}
	}
}

// guard calls a func of the host, and survives a panic, which it reports.
func (m *Manager) guard(what string, call func()) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			m.cfg.Logger.Error("incident: a func of the host panicked", "func", what, "panic", fmt.Sprint(p))
		}
	}()
	call()
	return true
}

// open records a new incident. The error is [ErrTaken] if there is an open one with its
// key.
func (m *Manager) open(ctx context.Context, inc Incident, by author, fill func(d *draft)) (Incident, error) {
	for try := range tries {
		if err := pause(ctx, try); err != nil {
			return Incident{}, &notRecorded{fmt.Errorf("incident: open: %w", err)}
		}
		year := time.Now().In(m.cfg.Zone).Year()
		counter, number, err := m.counter(ctx, year)
		if err != nil {
			return Incident{}, err
		}
		fresh := inc
		fresh.ID = fmt.Sprintf("%s-%d-%04d", m.cfg.IDs, year, number)
		d := m.draft(fresh, nil, by)
		d.inc.Opened, d.inc.OpenedBy, d.inc.First = d.now, d.by, d.inc.Severity
		if d.inc.Triggered.IsZero() || d.inc.Triggered.After(d.now) {
			d.inc.Triggered = d.now
		}
		d.inc.State = Triggered
		d.startClocks(d.inc.Triggered)
		d.add(entryOpened, "opened as "+d.inc.Severity.String()+": "+d.inc.Title, entryData{
			State: Triggered, Severity: d.inc.Severity, Triggered: d.inc.Triggered, Clocks: d.inc.Clocks, Comment: d.inc.Summary,
		})
		d.tellPassed()
		fill(d)
		counter.Changed = d.now
		opened, err := m.commit(ctx, counter, d)
		if !errors.Is(err, ErrStale) {
			return opened, err
		}
	}
	return Incident{}, &notRecorded{fmt.Errorf("incident: open: %w: others have opened incidents %d times meanwhile; try again", ErrBusy, tries)}
}

// counter returns the document that counts the incidents of a year, with the next number
// in it.
func (m *Manager) counter(ctx context.Context, year int) (doc Document, number int, err error) {
	id := fmt.Sprintf("%s-%d", strings.ToLower(m.cfg.IDs), year)
	var count struct {
		Last int `json:"last"`
	}
	doc, err = m.cfg.Store.Document(ctx, "counter", id)
	switch {
	case errors.Is(err, ErrNotFound):
		doc = Document{Kind: "counter", ID: id}
	case err != nil:
		return Document{}, 0, &notRecorded{fmt.Errorf("incident: read the number of incidents: %w", err)}
	default:
		if err := json.Unmarshal(doc.Data, &count); err != nil {
			return Document{}, 0, &notRecorded{fmt.Errorf("incident: the number of incidents cannot be read: %w", err)}
		}
	}
	count.Last++
	doc.Data = marshalData(count)
	return doc, count.Last, nil
}
