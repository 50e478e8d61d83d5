package statuspage

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"
)

// The types of this file have the names of the status API of Atlassian Statuspage,
// version 2 (/api/v2/summary.json and so on). State is ours.

type apiPage struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	URL       string  `json:"url"`
	TimeZone  string  `json:"time_zone"`
	UpdatedAt apiTime `json:"updated_at"`
}

type apiStatus struct {
	Indicator   Impact `json:"indicator"`
	Description string `json:"description"`
}

type apiComponent struct {
	ID                 string    `json:"id"`
	Name               string    `json:"name"`
	Status             Condition `json:"status"`
	State              Condition `json:"state"`
	CreatedAt          apiTime   `json:"created_at"`
	UpdatedAt          apiTime   `json:"updated_at"`
	Position           int       `json:"position"`
	Description        *string   `json:"description"`
	Showcase           bool      `json:"showcase"`
	StartDate          *string   `json:"start_date"`
	GroupID            *string   `json:"group_id"`
	PageID             string    `json:"page_id"`
	Group              bool      `json:"group"`
	OnlyShowIfDegraded bool      `json:"only_show_if_degraded"`
	Components         []string  `json:"components,omitempty"`
}

type apiEvent struct {
	ID             string         `json:"id"`
	Name           string         `json:"name"`
	Status         Phase          `json:"status"`
	CreatedAt      apiTime        `json:"created_at"`
	UpdatedAt      apiTime        `json:"updated_at"`
	MonitoringAt   *apiTime       `json:"monitoring_at"`
	ResolvedAt     *apiTime       `json:"resolved_at"`
	Impact         Impact         `json:"impact"`
	Shortlink      string         `json:"shortlink"`
	StartedAt      apiTime        `json:"started_at"`
	PageID         string         `json:"page_id"`
	Updates        []apiUpdate    `json:"incident_updates"`
	Components     []apiComponent `json:"components"`
	ScheduledFor   *apiTime       `json:"scheduled_for,omitempty"`
	ScheduledUntil *apiTime       `json:"scheduled_until,omitempty"`
}

type apiUpdate struct {
	ID                 string        `json:"id"`
	Status             Phase         `json:"status"`
	Body               string        `json:"body"`
	IncidentID         string        `json:"incident_id"`
	CreatedAt          apiTime       `json:"created_at"`
	UpdatedAt          apiTime       `json:"updated_at"`
	DisplayAt          apiTime       `json:"display_at"`
	AffectedComponents []apiAffected `json:"affected_components"`
}

type apiAffected struct {
	Code      string    `json:"code"`
	Name      string    `json:"name"`
	OldStatus Condition `json:"old_status"`
	NewStatus Condition `json:"new_status"`
}

// apiTime is a time as Statuspage writes it, in milliseconds.
type apiTime time.Time

// MarshalJSON implements json.Marshaler.
func (t apiTime) MarshalJSON() ([]byte, error) {
	return time.Time(t).AppendFormat(nil, `"2006-01-02T15:04:05.000Z07:00"`), nil
}

// shortID makes an identifier that is always the same for a text.
func shortID(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

func (p *Page) pageID() string { return shortID(p.cfg.URL) }

// api returns the documents of the status API, by name.
func (p *Page) api(m *model) map[string]func() ([]byte, error) {
	type object = map[string]any
	document := func(fill func(object)) func() ([]byte, error) {
		return func() ([]byte, error) {
			o := object{"page": p.apiPage(m)}
			fill(o)
			return json.Marshal(o)
		}
	}
	status := apiStatus{m.Overall.Indicator, m.Overall.Words}
	incidents := func(keep func(event) bool) any { return p.apiEvents(m, false, keep) }
	planned := func(keep func(event) bool) any { return p.apiEvents(m, true, keep) }
	all := func(event) bool { return true }
	upcoming := func(e event) bool { return e.Phase == Scheduled }
	return map[string]func() ([]byte, error){
		"status.json":               document(func(o object) { o["status"] = status }),
		"components.json":           document(func(o object) { o["components"] = p.apiComponents(m) }),
		"incidents.json":            document(func(o object) { o["incidents"] = incidents(all) }),
		"incidents/unresolved.json": document(func(o object) { o["incidents"] = incidents(event.open) }),
		"scheduled-maintenances.json": document(func(o object) {
			o["scheduled_maintenances"] = planned(all)
		}),
		"scheduled-maintenances/upcoming.json": document(func(o object) {
			o["scheduled_maintenances"] = planned(upcoming)
		}),
		"scheduled-maintenances/active.json": document(func(o object) {
			o["scheduled_maintenances"] = planned(event.active)
		}),
		"summary.json": document(func(o object) {
			o["status"], o["components"] = status, p.apiComponents(m)
			o["incidents"], o["scheduled_maintenances"] = incidents(event.open), planned(event.open)
		}),
	}
}

func (p *Page) apiPage(m *model) apiPage {
	at := m.AsOf
	if at.IsZero() {
		at = p.born.In(p.cfg.Location)
	}
	return apiPage{ID: p.pageID(), Name: p.cfg.Title, URL: p.cfg.URL, TimeZone: p.cfg.Location.String(), UpdatedAt: apiTime(at)}
}

// apiComponents returns the components, each group before its own.
func (p *Page) apiComponents(m *model) []apiComponent {
	all := make([]apiComponent, 0, len(m.Components)+len(m.Groups))
	for i, g := range m.Groups {
		if g.Name == "" {
			for _, n := range g.Components {
				all = append(all, p.apiComponent(m.Components[n], len(all)+1))
			}
			continue
		}
		head := component{ID: shortID("group " + g.Name), Name: g.Name, Condition: g.Condition}
		out := p.apiComponent(head, i+1)
		out.Group = true
		first := len(all)
		all = append(all, out)
		for position, n := range g.Components {
			c := p.apiComponent(m.Components[n], position+1)
			all[first].Components = append(all[first].Components, c.ID)
			all = append(all, c)
		}
	}
	return all
}

func (p *Page) apiComponent(c component, position int) apiComponent {
	out := apiComponent{
		ID: c.ID, Name: c.Name, Status: c.Condition.wire(), State: c.Condition, Position: position, Showcase: true, PageID: p.pageID(),
		CreatedAt: apiTime(p.born.In(p.cfg.Location)), UpdatedAt: apiTime(p.born.In(p.cfg.Location)),
	}
	if !c.Since.IsZero() {
		out.UpdatedAt = apiTime(c.Since)
	}
	if c.Description != "" {
		out.Description = &c.Description
	}
	if c.Group != "" {
		id := shortID("group " + c.Group)
		out.GroupID = &id
	}
	return out
}

// apiEvents returns incidents, or maintenance.
func (p *Page) apiEvents(m *model, planned bool, keep func(event) bool) []apiEvent {
	all := []apiEvent{}
	for _, e := range m.Events {
		if e.Planned == planned && keep(e) {
			all = append(all, p.apiEvent(m, e))
		}
	}
	return all
}

func (p *Page) apiEvent(m *model, e event) apiEvent {
	out := apiEvent{
		ID: e.ID, Name: e.Title, Status: e.Phase, Impact: e.Impact, Shortlink: p.cfg.URL + "incidents/" + e.ID, PageID: p.pageID(),
		CreatedAt: apiTime(e.Began), StartedAt: apiTime(e.Began), UpdatedAt: apiTime(e.Changed),
		Updates: []apiUpdate{}, Components: []apiComponent{},
	}
	if e.Planned {
		from, until := apiTime(e.From), apiTime(e.Until)
		out.ScheduledFor, out.ScheduledUntil = &from, &until
	}
	if !e.Ended.IsZero() {
		ended := apiTime(e.Ended)
		out.ResolvedAt = &ended
	}
	touched := []apiAffected{}
	for _, a := range e.Components {
		if c, ok := m.find(a.ID); ok {
			out.Components = append(out.Components, p.apiComponent(c, len(out.Components)+1))
		}
		touched = append(touched, apiAffected{Code: a.ID, Name: a.Name, OldStatus: Operational, NewStatus: a.Condition.wire()})
	}
	for _, u := range e.Updates {
		at := apiTime(u.Time)
		if u.Phase == Monitoring {
			out.MonitoringAt = &at
		}
		out.Updates = append(out.Updates, apiUpdate{
			ID: u.ID, Status: u.Phase, Body: u.Text, IncidentID: e.ID, CreatedAt: at, UpdatedAt: at, DisplayAt: at, AffectedComponents: touched,
		})
	}
	return out
}

// healthJSON returns the state of the whole and of its components in the terms of
// draft-inadarei-api-health-check-06: names and states, and nothing else.
func (p *Page) healthJSON(m *model) *answer {
	type check struct {
		ComponentID   string    `json:"componentId"`
		ComponentType string    `json:"componentType"`
		Status        string    `json:"status"`
		State         Condition `json:"state"`
	}
	checks := make(map[string][]check, len(m.Components))
	for _, c := range m.Components {
		checks[c.ID] = []check{{c.ID, "component", c.Condition.verdict(), c.Condition}}
	}
	o := m.Overall
	document := struct {
		Status      string             `json:"status"`
		State       Condition          `json:"state"`
		Output      string             `json:"output"`
		Description string             `json:"description"`
		Links       map[string]string  `json:"links"`
		Checks      map[string][]check `json:"checks"`
	}{o.Condition.verdict(), o.Condition, o.Words, p.cfg.Title, map[string]string{"about": p.cfg.URL}, checks}
	text, err := json.Marshal(document)
	code := http.StatusOK
	if o.Condition.verdict() == "fail" {
		code = http.StatusServiceUnavailable
	}
	if err != nil { // cannot be: everything in it can be encoded
		code, text = http.StatusInternalServerError, []byte(`{"status":"fail"}`)
	}
	return p.answer(code, typeHealth, text)
}
