package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"go.acu.edu.au/runbook"
)

// maxDeadlines is how many deadlines an incident has, at most, settled ones too.
const maxDeadlines = 20

// deadlineKind is the kind of the documents by which incidents are found that have an open
// deadline, although they may be closed for long: one for each incident that ever had one,
// open while it has. They are written together with the incident.
const deadlineKind = "deadline"

// SetDeadline sets a [Deadline] of an incident, in whatever state that is, once: while one of
// that name is open it is not set again. What was set is never moved later; a time that is
// earlier brings it forward, since that is the safe side of two opinions. One that was
// settled stays so, for the run that has set it, and for one that began to count before it
// was settled; for others, and for a person, it is a second one, with a number after its name.
// If the incident was merged it is set in the one that goes on in its place.
//
// It returns the deadline as it stands then, and the incident that has it.
func (m *Manager) SetDeadline(ctx context.Context, id string, o Obligation) (Incident, Deadline, error) {
	if err := o.Validate(); err != nil {
		return Incident{}, Deadline{}, &notRecorded{err}
	}
	o.What, o.Tell, o.Run = cleanLine(o.What), cleanLine(o.Tell), cleanShort(o.Run)
	o.From, o.Due = o.From.UTC().Truncate(time.Microsecond), o.Due.UTC().Truncate(time.Microsecond)
	for range 8 {
		var set Deadline
		inc, err := m.do(ctx, id, o.By, func(d *draft) (err error) {
			if d.inc.State != Merged {
				set, err = d.setDeadline(o)
			}
			return err
		})
		switch {
		case err != nil:
			return Incident{}, Deadline{}, err
		case inc.State != Merged:
			if now, ok := inc.Deadline(set.Name); ok {
				set = now
			}
			return inc, set, nil
		}
		id = inc.MergedInto
	}
	return Incident{}, Deadline{}, &notRecorded{fmt.Errorf("incident: %s: set a deadline: the incidents were merged in a circle: %w", id, ErrState)}
}

// setDeadline sets a deadline, or returns the one that there is.
func (d *draft) setDeadline(o Obligation) (Deadline, error) {
	if o.From.IsZero() || o.From.After(d.now) {
		o.From = d.now
	}
	if !o.Due.After(o.From) {
		return Deadline{}, fmt.Errorf("incident: %s: the deadline %s is over before it begins: it counts from %s, and is due at %s", d.inc.ID, o.Name, d.m.at(o.From), d.m.at(o.Due))
	}
	places := d.inc.namesakes(o.Name)
	for _, at := range places {
		if l := &d.inc.Deadlines[at]; l.Open() {
			d.bringForward(l, o.From, o.Due, "")
			return *l, nil
		}
	}
	for _, at := range slices.Backward(places) {
		l := d.inc.Deadlines[at]
		if o.Run != "" && (l.Run == o.Run || !o.From.After(l.Settled)) {
			return l, nil
		}
	}
	if len(d.inc.Deadlines) >= maxDeadlines {
		return Deadline{}, fmt.Errorf("incident: %s has %d deadlines; open another incident for it: %w", d.inc.ID, maxDeadlines, ErrState)
	}
	l := Deadline{Name: d.inc.freeName(o.Name), What: o.What, Tell: o.Tell, From: o.From, Due: o.Due, SetBy: d.by, Set: d.now, Run: o.Run}
	d.add(entryDeadline, fmt.Sprintf("there is a deadline: %s: %s; it counts from %s", l.Line(d.now, d.m.cfg.Zone), l.What, d.m.at(l.From)), entryData{Deadline: &l})
	d.inc.Deadlines = append(d.inc.Deadlines, l)
	d.catchUp(&d.inc.Deadlines[len(d.inc.Deadlines)-1])
	return d.inc.Deadlines[len(d.inc.Deadlines)-1], nil
}

// bringForward makes a deadline due earlier, if that is earlier. It is never moved later.
func (d *draft) bringForward(l *Deadline, from, due time.Time, why string) {
	if !due.Before(l.Due) {
		return
	}
	was := l.Due
	l.From, l.Due, l.Told, l.Owed, l.Telling = minTime(from, l.From), due, "", false, time.Time{}
	now := *l
	d.add(entryDeadline, withComment(fmt.Sprintf("the deadline is brought forward: %s; it was %s", l.Line(d.now, d.m.cfg.Zone), d.m.at(was)), why), entryData{Deadline: &now})
	d.catchUp(l)
}

// catchUp notes which marks of a deadline had passed already when it was set: people are told
// of the last.
func (d *draft) catchUp(l *Deadline) {
	if marks := l.due(d.now); len(marks) > 0 {
		d.tellDeadline(l, marks[len(marks)-1], d.now)
	}
}

// advanceDeadlines puts the marks that deadlines have passed on the timeline, with the times
// at which that was.
func (d *draft) advanceDeadlines() {
	for i := range d.inc.Deadlines {
		l := &d.inc.Deadlines[i]
		if !l.Open() {
			continue
		}
		for _, mark := range l.due(d.now) {
			d.tellDeadline(l, mark, l.reaches(mark))
		}
	}
}

// tellDeadline puts a mark of a deadline on the timeline. People are still to be told.
func (d *draft) tellDeadline(l *Deadline, mark DeadlineMark, at time.Time) {
	l.Told, l.Owed, l.Telling = mark, d.m.cfg.Remind != nil, time.Time{}
	now := *l
	key := fmt.Sprintf("deadline/%s/%d/%s", l.Name, l.Due.UnixMicro(), mark)
	d.addEntry(Entry{Key: key, At: at, Kind: entryDeadlineMark, Text: l.says(at, d.m.cfg.Zone)}, entryData{Deadline: &now})
	d.marks = append(d.marks, now)
}

// says is what is told of the mark that was reached last.
func (d Deadline) says(at time.Time, zone *time.Location) string {
	due := d.Due.In(zone).Format(deadlineTime)
	if d.Told == DeadlineOver {
		return fmt.Sprintf("the deadline to %s was MISSED: it was due by %s, and nobody has settled it: %s", d.Name, due, d.What)
	}
	how := map[DeadlineMark]string{DeadlineHalf: "half of its time has passed", DeadlineMost: "four fifths of its time have passed", DeadlineLastDay: "its last day has begun"}[d.Told]
	return fmt.Sprintf("the deadline to %s is open, and %s: it is due by %s, in %s: %s", d.Name, how, due, deadlineSpan(d.Due.Sub(at)), d.What)
}

// A Settlement is how a [Deadline] ended.
type Settlement struct {
	// By is the person who says so. Required: no part of the program settles a deadline.
	By string
	// Reason is what was done, or found, in their words. Required.
	Reason string
	// Void means that it was found not to apply.
	Void bool
}

// SettleDeadline says that that was done which was due, or that it does not apply: it is put
// on the timeline and on the audit record with the reason, and nobody is reminded any more.
// That is possible in every state of the incident, and also when it is too late, which stays
// visible. The same again, by the same person with the same reason, changes nothing; anything
// else about a settled deadline is [ErrState], since what was said is not rewritten: write a
// note. The error is [ErrNotFound] if there is no such deadline.
func (m *Manager) SettleDeadline(ctx context.Context, id, name string, s Settlement) (Incident, error) {
	who, err := authorOf(s.By)
	if err != nil {
		return Incident{}, &notRecorded{err}
	}
	reason := cleanWords(s.Reason, maxWords/2)
	switch {
	case !who.person:
		return Incident{}, &notRecorded{fmt.Errorf("incident: %s: a person settles the deadline %.40s, and no part of the program: %w", id, name, ErrState)}
	case reason == "":
		return Incident{}, &notRecorded{fmt.Errorf("incident: %s: settle the deadline %.40s: the reason is missing", id, name)}
	}
	return m.do(ctx, id, who.name, func(d *draft) error { return d.settleDeadline(name, reason, s.Void) })
}

// settleDeadline settles a deadline.
func (d *draft) settleDeadline(name, reason string, void bool) error {
	at := d.inc.deadline(name)
	if at < 0 {
		return fmt.Errorf("incident: %s: deadline %.40q: %w", d.inc.ID, name, ErrNotFound)
	}
	l := &d.inc.Deadlines[at]
	switch {
	case l.MovedTo != "":
		return fmt.Errorf("incident: the deadline %s of %s goes on in %s: settle it there: %w", name, d.inc.ID, l.MovedTo, ErrState)
	case !l.Open() && l.SettledBy == d.by && l.Reason == reason && l.Void == void:
		return nil
	case !l.Open():
		return fmt.Errorf("incident: the deadline %s of %s was settled at %s by %s, which stays; put what is to be added in a note: %w", name, d.inc.ID, d.m.at(l.Settled), l.SettledBy, ErrState)
	}
	l.Settled, l.SettledBy, l.Reason, l.Void, l.Owed, l.Telling = d.now, d.by, reason, void, false, time.Time{}
	text := "the deadline to " + l.Name + " is settled"
	switch {
	case void:
		text = "the deadline to " + l.Name + " does not apply"
	case l.Missed(d.now):
		text += ", " + deadlineSpan(l.Settled.Sub(l.Due)) + " TOO LATE: it was due by " + d.m.at(l.Due)
	default:
		text += " in time: it was due by " + d.m.at(l.Due)
	}
	settled := *l
	settled.Reason = "" // it is in the text
	d.add(entryDeadlineSettled, withComment(text, reason), entryData{Deadline: &settled, Comment: reason})
	return nil
}

// takeDeadlines takes over the open deadlines of an incident that was merged into this one.
func (d *draft) takeDeadlines(gone *draft) error {
	for i := range gone.inc.Deadlines {
		theirs := &gone.inc.Deadlines[i]
		if !theirs.Open() {
			continue
		}
		own := -1
		for _, at := range d.inc.namesakes(theirs.baseName()) {
			if d.inc.Deadlines[at].Open() {
				own = at
			}
		}
		moved := *theirs
		switch {
		case own >= 0: // one for both, the earlier
			d.bringForward(&d.inc.Deadlines[own], theirs.From, theirs.Due, "that of "+gone.inc.ID+" was earlier")
			moved = d.inc.Deadlines[own]
		case len(d.inc.Deadlines) >= maxDeadlines:
			return fmt.Errorf("incident: %s has %d deadlines, and cannot take over those of %s: settle them first: %w", d.inc.ID, maxDeadlines, gone.inc.ID, ErrState)
		default:
			moved.Name = d.inc.freeName(theirs.baseName())
			d.inc.Deadlines = append(d.inc.Deadlines, moved)
			d.add(entryDeadline, fmt.Sprintf("a deadline of %s goes on here: %s: %s", gone.inc.ID, moved.Line(d.now, d.m.cfg.Zone), moved.What), entryData{Deadline: &moved, Other: gone.inc.ID})
		}
		theirs.MovedTo, theirs.Owed, theirs.Telling = d.inc.ID, false, time.Time{}
		left := *theirs
		gone.add(entryDeadline, fmt.Sprintf("the deadline to %s goes on in %s, as %s", theirs.Name, d.inc.ID, moved.Name), entryData{Deadline: &left, Other: d.inc.ID})
	}
	return nil
}

// watch returns the document by which an incident is found as long as a deadline of it is
// open; none if that has not changed.
func (m *Manager) watch(ctx context.Context, d *draft) (docs []Document, err error) {
	if len(d.inc.Deadlines) == 0 {
		return nil, nil
	}
	var before Incident
	if len(d.was) > 0 {
		if err := json.Unmarshal(d.was, &before); err != nil {
			return nil, &notRecorded{fmt.Errorf("incident: %s: read whether it had deadlines: %w", d.inc.ID, err)}
		}
	}
	open := d.inc.owesDeadline()
	if open == before.owesDeadline() {
		return nil, nil
	}
	doc, err := m.cfg.Store.Document(ctx, deadlineKind, d.inc.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, &notRecorded{fmt.Errorf("incident: %s: read whether it has deadlines: %w", d.inc.ID, err)}
	}
	data := marshalData(map[string]string{"incident": d.inc.ID})
	return []Document{{Kind: deadlineKind, ID: d.inc.ID, Version: doc.Version, Open: open, Changed: d.now, Data: data}}, nil
}

// owing returns the documents of the incidents that have an open deadline, whatever their
// state.
func (m *Manager) owing(ctx context.Context) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		for owed, err := range m.cfg.Store.Documents(ctx, DocumentQuery{Kind: deadlineKind, Open: true}) {
			var doc Document
			if err == nil {
				doc, err = m.cfg.Store.Document(ctx, incidentKind, owed.ID)
			}
			if errors.Is(err, ErrNotFound) {
				continue // it was deleted by hand
			}
			if !yield(doc, err) {
				return
			}
		}
	}
}

// remind tells people of the marks that deadlines have passed. Of several processes one does.
// If it failed, or its process ended, it is tried again a minute later.
func (m *Manager) remind(ctx context.Context, inc Incident) (func(d *draft), error) {
	if m.cfg.Remind == nil {
		return nil, nil
	}
	var problems error
	told := make(map[string]DeadlineMark)
	for _, l := range inc.Deadlines {
		if !l.Open() || !l.Owed {
			continue
		}
		mine, err := m.claim(ctx, inc.ID, func(i *Incident) *time.Time {
			if at := i.deadline(l.Name); at >= 0 && i.Deadlines[at].Open() && i.Deadlines[at].Owed && i.Deadlines[at].Told == l.Told {
				return &i.Deadlines[at].Telling
			}
			return nil
		})
		if mine {
			err = m.callRemind(ctx, inc, l)
		}
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("incident: %s: remind people of the deadline to %s: %w", inc.ID, l.Name, err))
		} else if mine {
			told[l.Name] = l.Told
		}
	}
	if len(told) == 0 {
		return nil, problems
	}
	return func(d *draft) {
		for i := range d.inc.Deadlines {
			if l := &d.inc.Deadlines[i]; l.Owed && told[l.Name] == l.Told {
				l.Owed, l.Telling = false, time.Time{}
			}
		}
	}, problems
}

// callRemind calls the host.
func (m *Manager) callRemind(ctx context.Context, inc Incident, l Deadline) error {
	text := l.says(m.now(), m.cfg.Zone)
	if inc.Simulated {
		text = "an exercise: " + text
	}
	err := errors.New("the host's Remind panicked")
	m.guard("Remind", func() { err = m.cfg.Remind(ctx, Reminder{Incident: inc, Deadline: l, Text: text}) })
	if err != nil && runbook.SafeToRetry(err) {
		return fmt.Errorf("nobody was told: %w", err)
	}
	return err
}

// A Reminder is what people are told of a [Deadline].
type Reminder struct {
	// Incident is the incident, and Deadline which of its deadlines: Deadline.Told is what is
	// told, Deadline.Tell who is to be told, in words.
	Incident Incident
	Deadline Deadline
	// Text says it in a sentence.
	Text string
}
