package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health/statuspage"
	"go.acu.edu.au/runbook/incident"
)

// posts are what the stakeholders were told. As a notifier it is the status page's channel,
// and takes the same texts as the chat and the mail of the stakeholders, which a person wrote
// or approved; what operators are told never comes here. They are kept with the incidents,
// so that each replica shows them.
type posts struct{ store incident.Store }

// kindPost is the kind of their documents.
const kindPost = "opsd-post"

// said is a post, with when it was said.
type said struct {
	alert.Post
	At time.Time `json:"at"`
}

var _ alert.Notifier = posts{}

// Notify implements [alert.Notifier]. The same post again is known by its key.
func (p posts) Notify(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	if n.Post == nil || n.Kind == alert.KindTest {
		return "", nil // alerts and tests are not for the public
	}
	data, err := json.Marshal(said{*n.Post, n.At})
	if err != nil {
		return "", fmt.Errorf("opsd: a post: %w", err)
	}
	id := fmt.Sprintf("%s-%d", n.Key, n.Seq)
	_, err = p.store.Commit(ctx, incident.Change{Documents: []incident.Document{{Kind: kindPost, ID: id, Changed: n.At.UTC(), Data: data}}})
	if err != nil && !errors.Is(err, incident.ErrStale) { // it is there already
		return "", fmt.Errorf("opsd: a post is not on the status page: %w", err)
	}
	return alert.Receipt(id), nil
}

// shown is for how long what is over stays on the page.
const shown = 90 * 24 * time.Hour

// events are the posts as the status page has them.
func (p posts) events(ctx context.Context) (statuspage.Events, error) {
	var events statuspage.Events
	updates := make(map[string][]said) // by what they are about
	var order []string
	for d, err := range p.store.Documents(ctx, incident.DocumentQuery{Kind: kindPost, Since: time.Now().Add(-shown)}) {
		if err != nil {
			return events, err
		}
		var s said
		if err := json.Unmarshal(d.Data, &s); err != nil {
			return events, fmt.Errorf("opsd: the post %s cannot be read: %w", d.ID, err)
		}
		if updates[s.ID] == nil {
			order = append(order, s.ID)
		}
		updates[s.ID] = append(updates[s.ID], s)
	}
	for _, id := range order {
		list := updates[id] // the newest first
		switch newest := list[0]; {
		case planned(newest.Status) && !newest.From.IsZero() && newest.To.After(newest.From):
			events.Maintenance = append(events.Maintenance, statuspage.Maintenance{ID: eventID(id), Title: newest.Title, From: newest.From, Until: newest.To, Updates: phases(list)})
		case newest.Status != "" && !planned(newest.Status):
			events.Incidents = append(events.Incidents, statuspage.Incident{ID: eventID(id), Title: newest.Title, Updates: phases(list)})
		}
	}
	return events, nil
}

func planned(status string) bool {
	return status == string(statuspage.Scheduled) || status == string(statuspage.InProgress) || status == string(statuspage.Completed)
}

// phases are updates, as the page has them.
func phases(list []said) []statuspage.Update {
	var all []statuspage.Update
	for _, s := range list {
		if s.Status != "" {
			all = append(all, statuspage.Update{Time: s.At, Phase: statuspage.Phase(s.Status), Text: s.Body})
		}
	}
	return all
}

// eventID makes of what posts are about an ID that may stand in an address.
func eventID(id string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, id)
	return clean[max(len(clean)-64, 0):]
}
