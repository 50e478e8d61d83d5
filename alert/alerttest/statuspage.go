package alerttest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Statuspage is the part of Atlassian Statuspage's API that is about incidents, as
// https://developer.statuspage.io describes it: one request a second over 60 seconds, after
// which it answers 420. The zero value has a page of any ID and any key. It must not be
// copied after first use.
type Statuspage struct {
	// Page is the ID of the page, APIKey the key that is taken. Empty means any.
	Page, APIKey string
	// Components are the states of the components, by ID.
	Components map[string]string

	faults
	data      sync.Mutex
	incidents []*StatuspageIncident
	sent      []time.Time
	requests  []string
}

// A StatuspageIncident is an incident, or a maintenance, on a [Statuspage].
type StatuspageIncident struct {
	ID             string             `json:"id"`
	PageID         string             `json:"page_id"`
	Name           string             `json:"name"`
	Status         string             `json:"status"`
	Metadata       map[string]any     `json:"metadata"`
	ScheduledFor   *time.Time         `json:"scheduled_for"`
	ScheduledUntil *time.Time         `json:"scheduled_until"`
	CreatedAt      time.Time          `json:"created_at"`
	Updates        []StatuspageUpdate `json:"incident_updates"` // the newest first
	Concerned      []string           `json:"-"`                // the IDs of its components
	Quiet          bool               `json:"-"`                // subscribers were not notified
}

// A StatuspageUpdate is an update of a [StatuspageIncident].
type StatuspageUpdate struct {
	Status    string    `json:"status"`
	Body      string    `json:"body"`
	CreatedAt time.Time `json:"created_at"`
}

// statuspageChange has the fields that are documented for creating and updating.
type statuspageChange struct {
	Incident *struct {
		Name            *string           `json:"name"`
		Status          *string           `json:"status"`
		ImpactOverride  *string           `json:"impact_override"`
		ScheduledFor    *time.Time        `json:"scheduled_for"`
		ScheduledUntil  *time.Time        `json:"scheduled_until"`
		RemindPrior     *bool             `json:"scheduled_remind_prior"`
		ToMaintenance   *bool             `json:"auto_transition_to_maintenance_state"`
		ToOperational   *bool             `json:"auto_transition_to_operational_state"`
		AutoInProgress  *bool             `json:"scheduled_auto_in_progress"`
		AutoCompleted   *bool             `json:"scheduled_auto_completed"`
		DeliverAtStart  *bool             `json:"auto_transition_deliver_notifications_at_start"`
		DeliverAtEnd    *bool             `json:"auto_transition_deliver_notifications_at_end"`
		Metadata        map[string]any    `json:"metadata"`
		Deliver         *bool             `json:"deliver_notifications"`
		BackfillDate    *string           `json:"backfill_date"`
		Backfilled      *bool             `json:"backfilled"`
		Body            *string           `json:"body"`
		Components      map[string]string `json:"components"`
		ComponentIDs    []string          `json:"component_ids"`
		AutoTransition  *bool             `json:"scheduled_auto_transition"`
		TweetAtStart    *bool             `json:"auto_tweet_at_beginning"`
		TweetAtEnd      *bool             `json:"auto_tweet_on_completion"`
		TweetOnCreation *bool             `json:"auto_tweet_on_creation"`
		TweetBefore     *bool             `json:"auto_tweet_one_hour_before"`
	} `json:"incident"`
}

// Client returns a client that reaches it, whatever the address.
func (s *Statuspage) Client() *http.Client { return s.client(s) }

// Incidents returns the incidents, in the order in which they were made.
func (s *Statuspage) Incidents() []StatuspageIncident {
	s.data.Lock()
	defer s.data.Unlock()
	var list []StatuspageIncident
	for _, i := range s.incidents {
		shown := *i
		shown.Updates = slices.Clone(i.Updates)
		list = append(list, shown)
	}
	return list
}

// Component returns the state of a component.
func (s *Statuspage) Component(id string) string {
	s.data.Lock()
	defer s.data.Unlock()
	return s.Components[id]
}

// Requests returns the method and the path of each request that was looked at.
func (s *Statuspage) Requests() []string {
	s.data.Lock()
	defer s.data.Unlock()
	return slices.Clone(s.requests)
}

// ServeHTTP implements [http.Handler].
func (s *Statuspage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, s.handle, func(w http.ResponseWriter, _ *http.Request) {
		s.fail(w, http.StatusUnprocessableEntity, "Name can't be blank")
	})
}

func (s *Statuspage) fail(w http.ResponseWriter, status int, problems ...string) {
	if status == http.StatusUnprocessableEntity {
		respond(w, status, map[string]any{"error": problems})
		return
	}
	respond(w, status, map[string]any{"error": strings.Join(problems, ", ")})
}

func (s *Statuspage) handle(w http.ResponseWriter, r *http.Request) {
	s.data.Lock()
	defer s.data.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	if tooMany(&s.sent, 60, time.Minute) > 0 {
		s.fail(w, 420, "You are being rate limited")
		return
	}
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "OAuth ")
	if !ok || key == "" || s.APIKey != "" && key != s.APIKey {
		s.fail(w, http.StatusUnauthorized, "Could not authenticate")
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if len(parts) < 3 || parts[0] != "v1" || parts[1] != "pages" || s.Page != "" && parts[2] != s.Page {
		s.fail(w, http.StatusNotFound, "Page not found")
		return
	}
	rest := strings.Join(parts[3:], "/")
	id, single := strings.CutPrefix(rest, "incidents/")
	switch {
	case r.Method == http.MethodGet && rest == "":
		respond(w, http.StatusOK, map[string]any{"id": parts[2], "name": "Status"})
	case r.Method == http.MethodGet && (rest == "incidents" || slices.Contains([]string{"unresolved", "scheduled", "active_maintenance", "upcoming"}, id)):
		s.list(w, r, id)
	case r.Method == http.MethodPost && rest == "incidents":
		s.write(w, r, nil)
	case single && (r.Method == http.MethodGet || r.Method == http.MethodPatch || r.Method == http.MethodPut):
		at := slices.IndexFunc(s.incidents, func(i *StatuspageIncident) bool { return i.ID == id })
		if at < 0 {
			s.fail(w, http.StatusNotFound, "Incident not found")
			return
		}
		if r.Method == http.MethodGet {
			respond(w, http.StatusOK, s.incidents[at])
			return
		}
		s.write(w, r, s.incidents[at])
	default:
		s.fail(w, http.StatusNotFound, "Not found")
	}
}

func (s *Statuspage) list(w http.ResponseWriter, r *http.Request, which string) {
	for name := range r.URL.Query() {
		if !slices.Contains([]string{"limit", "page", "q"}, name) && !strings.HasPrefix(name, "per_page") {
			s.fail(w, http.StatusBadRequest, "unknown parameter "+name)
			return
		}
	}
	list := []*StatuspageIncident{}
	for _, i := range slices.Backward(s.incidents) {
		in := which == "incidents" || i.Status == which
		switch which {
		case "unresolved":
			in = slices.Contains([]string{"investigating", "identified", "monitoring"}, i.Status)
		case "active_maintenance":
			in = i.Status == "in_progress" || i.Status == "verifying"
		case "upcoming":
			in = i.Status == "scheduled" && i.ScheduledFor.After(time.Now())
		}
		if in && len(list) < 100 {
			list = append(list, i)
		}
	}
	respond(w, http.StatusOK, list)
}

// write makes an incident, or changes one.
func (s *Statuspage) write(w http.ResponseWriter, r *http.Request, i *StatuspageIncident) {
	data, ok := body(r, 1<<20)
	var change statuspageChange
	if err := strict(data, &change); !ok || err != nil || change.Incident == nil {
		s.fail(w, http.StatusBadRequest, fmt.Sprint("incident is missing or has an unknown field: ", err))
		return
	}
	if problems := s.problems(change, i); len(problems) > 0 {
		s.fail(w, http.StatusUnprocessableEntity, problems...)
		return
	}
	c, status := change.Incident, http.StatusOK
	if i == nil {
		i, status = &StatuspageIncident{ID: fmt.Sprintf("inc%09d", len(s.incidents)+1), PageID: s.Page, Status: "investigating", CreatedAt: time.Now()}, http.StatusCreated
		s.incidents = append(s.incidents, i)
	}
	setText(&i.Name, c.Name)
	setText(&i.Status, c.Status)
	if c.Metadata != nil {
		i.Metadata = c.Metadata
	}
	if c.ScheduledFor != nil {
		i.ScheduledFor, i.ScheduledUntil = c.ScheduledFor, c.ScheduledUntil
	}
	if c.Body != nil && *c.Body != "" || c.Status != nil {
		text := ""
		setText(&text, c.Body)
		i.Updates = slices.Insert(i.Updates, 0, StatuspageUpdate{Status: i.Status, Body: text, CreatedAt: time.Now()})
	}
	i.Concerned = append(i.Concerned, c.ComponentIDs...)
	slices.Sort(i.Concerned)
	i.Concerned = slices.Compact(i.Concerned)
	i.Quiet = c.Deliver != nil && !*c.Deliver
	maps.Copy(s.Components, c.Components)
	respond(w, status, i)
}

func setText(to, from *string) {
	if from != nil {
		*to = *from
	}
}

func (s *Statuspage) problems(change statuspageChange, i *StatuspageIncident) (problems []string) {
	c := change.Incident
	bad := func(when bool, text string) {
		if when {
			problems = append(problems, text)
		}
	}
	bad(i == nil && (c.Name == nil || *c.Name == ""), "Name can't be blank")
	bad(c.Name != nil && utf8.RuneCountInString(*c.Name) > 255, "Name is too long (maximum is 255 characters)")
	bad(c.Body != nil && utf8.RuneCountInString(*c.Body) > 25000, "Body is too long (maximum is 25000 characters)")
	live := []string{"investigating", "identified", "monitoring", "resolved"}
	planned := []string{"scheduled", "in_progress", "verifying", "completed"}
	if c.Status != nil {
		bad(!slices.Contains(live, *c.Status) && !slices.Contains(planned, *c.Status), "Status is not included in the list")
		isPlanned := slices.Contains(planned, *c.Status)
		bad(i != nil && isPlanned != (i.ScheduledFor != nil), "Status does not fit the kind of incident")
		bad(i == nil && isPlanned && (c.ScheduledFor == nil || c.ScheduledUntil == nil), "Scheduled for can't be blank")
	}
	bad(c.ScheduledFor != nil && (c.ScheduledUntil == nil || !c.ScheduledUntil.After(*c.ScheduledFor)), "Scheduled until must be after scheduled for")
	for _, v := range c.Metadata {
		_, isObject := v.(map[string]any)
		bad(!isObject, "Metadata must have objects at its top level")
	}
	states := []string{"operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance", ""}
	for id, state := range c.Components {
		_, known := s.Components[id]
		bad(!known || !slices.Contains(states, state), "Component "+id+" or its state is not known")
	}
	for _, id := range c.ComponentIDs {
		_, known := s.Components[id]
		bad(!known, "Component "+id+" is not known")
	}
	return problems
}
