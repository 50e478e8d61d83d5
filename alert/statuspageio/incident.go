package statuspageio

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// The limits of Statuspage: https://developer.statuspage.io/#operation/postPagesPageIdIncidents.
const (
	maxName = 255
	maxBody = 25_000
)

// incident is what the API takes: https://developer.statuspage.io/#tag/incidents.
type incident struct {
	Name           string            `json:"name,omitempty"`
	Status         string            `json:"status"`
	Body           string            `json:"body,omitempty"`
	Components     map[string]string `json:"components,omitempty"`
	ComponentIDs   []string          `json:"component_ids,omitempty"`
	ScheduledFor   *time.Time        `json:"scheduled_for,omitempty"`
	ScheduledUntil *time.Time        `json:"scheduled_until,omitempty"`
	Notify         bool              `json:"deliver_notifications"`
	Metadata       metadata          `json:"metadata"`
}

// metadata is ours; the public page does not show it.
type metadata struct {
	Runbook struct {
		Key string `json:"key"`
	} `json:"runbook"`
}

// known is what the API says of an incident.
type known struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Status   string   `json:"status"`
	Metadata metadata `json:"metadata"`
	Updates  []struct {
		Status string `json:"status"`
		Body   string `json:"body"`
	} `json:"incident_updates"`
}

// says reports whether an update of the same text is there.
func (k known) says(i incident) bool {
	for _, u := range k.Updates {
		if u.Status == i.Status && strings.TrimSpace(u.Body) == strings.TrimSpace(i.Body) {
			return true
		}
	}
	return false
}

var (
	live        = []string{"investigating", "identified", "monitoring", "resolved"}
	maintenance = []string{"scheduled", "in_progress", "verifying", "completed"}
	states      = []string{"operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"}
)

func (i incident) isMaintenance() bool { return slices.Contains(maintenance, i.Status) }
func (i incident) isOver() bool        { return i.Status == "resolved" || i.Status == "completed" }

// change is what a post says, as the API takes it.
func (p *Notifier) change(n alert.Notification) (incident, error) {
	post := n.Post
	i := incident{Name: send.Cut(send.Line(post.Title), maxName), Status: post.Status, Notify: !p.cfg.Silent}
	i.Metadata.Runbook.Key = n.Key
	if !slices.Contains(live, i.Status) && !i.isMaintenance() {
		return incident{}, fmt.Errorf("a post with status %q is not for a status page", send.Cut(post.Status, 40))
	}
	if i.isMaintenance() && !post.From.IsZero() && !post.To.IsZero() {
		from, to := post.From.UTC(), post.To.UTC()
		i.ScheduledFor, i.ScheduledUntil = &from, &to
	}
	body := strings.TrimSpace(post.Body)
	for _, name := range slices.Sorted(maps.Keys(post.Components)) {
		state := post.Components[name]
		if !slices.Contains(states, state) {
			return incident{}, fmt.Errorf("component %q: state %q is not known", send.Cut(name, 80), send.Cut(state, 40))
		}
		id, known := p.cfg.Components[name]
		switch {
		case !known:
			body += fmt.Sprintf("\n\nAlso concerned: %s (%s).", name, strings.ReplaceAll(state, "_", " "))
		case i.Status == "scheduled":
			i.ComponentIDs = append(i.ComponentIDs, id) // it works until the maintenance begins
		default:
			if i.Components == nil {
				i.Components = make(map[string]string)
			}
			i.Components[id] = state
			i.ComponentIDs = append(i.ComponentIDs, id)
		}
	}
	slices.Sort(i.ComponentIDs)
	i.Body = send.Cut(strings.TrimSpace(body), maxBody)
	return i, nil
}

// restore makes components operational that earlier posts changed, when it is over.
func (i *incident) restore(changed []string) {
	if !i.isOver() {
		return
	}
	for _, id := range changed {
		if _, said := i.Components[id]; said {
			continue
		}
		if i.Components == nil {
			i.Components = make(map[string]string)
		}
		i.Components[id] = "operational"
		i.ComponentIDs = append(i.ComponentIDs, id)
	}
}

// keep is the receipt of an incident after a change.
func keep(id string, changed []string, i incident) alert.Receipt {
	r := receipt{ID: id, Components: append(slices.Clone(changed), slices.Collect(maps.Keys(i.Components))...)}
	slices.Sort(r.Components)
	r.Components = slices.Compact(r.Components)
	data, err := json.Marshal(r)
	if err != nil {
		return "" // strings are always encoded
	}
	return alert.Receipt(data)
}
