package incident

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.acu.edu.au/runbook/alert"
)

// A StatusUpdate is what people are told about an incident.
type StatusUpdate struct {
	// By is who wrote or approved it. Required.
	By string
	// Text is what people are told. Required.
	Text string
	// Title is one line. Empty means that of the incident.
	Title string
	// Status is how far it is in the words of status pages: "investigating", "identified",
	// "monitoring" or "resolved". Empty means what fits the state of the incident.
	Status string
	// Components are what is affected, by name, with the state of each: see [alert.Post].
	Components map[string]string
	// Targets are who is told, by the names of the poster. None means everyone.
	Targets []string
}

// postStatuses are the words of status pages.
var postStatuses = []string{"investigating", "identified", "monitoring", "resolved"}

// Validate returns everything that is wrong with the update, or nil.
func (u StatusUpdate) Validate() error {
	var problems []error
	if cleanLine(u.By) == "" {
		problems = append(problems, errors.New("incident: update: who wrote it is missing"))
	}
	if cleanWords(u.Text, maxWords) == "" {
		problems = append(problems, errors.New("incident: update: the text is missing"))
	}
	if u.Status != "" && !slices.Contains(postStatuses, u.Status) {
		problems = append(problems, fmt.Errorf("incident: update: status %.40q is none of investigating, identified, monitoring and resolved", u.Status))
	}
	return errors.Join(problems...)
}

// Update tells people how far an incident is, through the poster and on its ticket, and
// starts the clock of updates anew. If that fails, the error says so; the update is on the
// timeline, and so is that people were not told: the clock runs on. Telling them again, or
// in another way, is up to who wrote it. Updates of an exercise are recorded and posted
// nowhere.
func (m *Manager) Update(ctx context.Context, id string, u StatusUpdate) (Incident, error) {
	if err := u.Validate(); err != nil {
		return Incident{}, &notRecorded{err}
	}
	text := cleanWords(u.Text, maxWords)
	var post alert.Post
	inc, err := m.do(ctx, id, u.By, func(d *draft) error {
		if d.inc.State == Merged {
			return d.inc.refused("told to people")
		}
		post = d.inc.post(u, text)
		d.add(entryUpdate, "people are told: "+text, entryData{Status: post.Status, Comment: post.Title})
		if !m.posts(d.inc) {
			d.toldPeople()
		}
		return nil
	})
	if err != nil || !m.posts(inc) {
		return inc, err
	}
	failed := m.tellPeople(ctx, inc, post, u.Targets)
	inc, err = m.write(ctx, id, ours, func(d *draft) error {
		if failed != nil {
			d.add(entryNotPosted, "the update was not told, or not everywhere: "+cleanWords(failed.Error(), 500), entryData{Status: post.Status})
			return nil
		}
		d.toldPeople()
		d.add(entryPosted, "the update was handed over to be told", entryData{Status: post.Status})
		return nil
	})
	if failed != nil {
		return inc, fmt.Errorf("incident: %s: the update is recorded, and was not told, or not everywhere: %w", id, failed)
	}
	return inc, err
}

// posts reports whether updates of an incident are posted anywhere.
func (m *Manager) posts(i Incident) bool {
	return !i.Simulated && (m.cfg.Poster != nil || m.cfg.Ticketer != nil && i.Told.Ticket != "")
}

// toldPeople notes that people were told.
func (d *draft) toldPeople() {
	d.inc.Updated = d.now
	d.restartUpdates()
}

// tellPeople posts an update.
func (m *Manager) tellPeople(ctx context.Context, inc Incident, post alert.Post, targets []string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.Join(err, fmt.Errorf("incident: the poster panicked: %v", p))
		}
	}()
	if m.cfg.Poster != nil {
		err = m.cfg.Poster.Post(ctx, post, targets...)
	}
	return errors.Join(err, m.commentTicket(ctx, inc, post))
}

// post is an update as it is posted.
func (i Incident) post(u StatusUpdate, text string) alert.Post {
	p := alert.Post{
		ID: i.ID, Title: cleanLine(u.Title), Body: text, Status: u.Status, Components: maps.Clone(u.Components), By: cleanLine(u.By),
		Last: !i.State.Open(),
	}
	if p.Title == "" {
		p.Title = i.Title
	}
	if p.Status == "" {
		p.Status = i.status()
	}
	return p
}

// status is how far the incident is in the words of status pages.
func (i Incident) status() string {
	switch {
	case i.State == Mitigated:
		return "monitoring"
	case !i.State.Open():
		return "resolved"
	case i.Cause != "":
		return "identified"
	}
	return "investigating"
}
