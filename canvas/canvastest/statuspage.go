package canvastest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// StatusPage is a status page of Atlassian Statuspage, as status.instructure.com
// is one: the endpoints of its public API, version 2. The zero value has the
// components that Canvas has, all operational. It is safe for concurrent use.
//
// On its own it is an [http.Handler]; the client of a [Server] reaches the
// server's under [Server.StatusHost].
type StatusPage struct {
	mu         sync.Mutex
	now        func() time.Time
	components []Object
	incidents  []Object // maintenances too: they have scheduled_for
	last       int
	down       bool
}

// Component is a part of the service on the status page.
type Component struct {
	// Name is shown, as "Canvas".
	Name string
	// Status is operational, degraded_performance, partial_outage, major_outage
	// or under_maintenance. Empty means operational.
	Status string
}

// Incident is an incident, or with ScheduledFor a maintenance, on the status
// page.
type Incident struct {
	// Name is its title.
	Name string
	// Status is investigating, identified, monitoring, resolved or postmortem for
	// an incident, and scheduled, in_progress, verifying or completed for a
	// maintenance. Empty means investigating or scheduled.
	Status string
	// Impact is none, minor, major, critical or maintenance. Empty means minor, or
	// maintenance.
	Impact string
	// Body is the text of the first update.
	Body string
	// Components are the names of those that are affected.
	Components []string
	// ScheduledFor and ScheduledUntil are the times of a maintenance.
	ScheduledFor, ScheduledUntil time.Time
}

// follow makes the page use the clock of a server.
func (p *StatusPage) follow(clock func() time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = clock
}

func (p *StatusPage) start() {
	if p.now == nil {
		p.now = time.Now
	}
	if p.components == nil {
		for _, name := range []string{"Canvas", "Support: Phones, Chat and Ticketing", "Mobile Apps", "Studio"} {
			p.component(Component{Name: name})
		}
	}
}

func (p *StatusPage) id() string {
	p.last++
	return "s" + strconv.Itoa(100_000_000 + p.last)[1:] + "q7x"
}

func (p *StatusPage) component(c Component) {
	now := millis(p.now())
	for _, o := range p.components {
		if o["name"] == c.Name {
			o["status"], o["updated_at"] = orText(c.Status, "operational"), now
			return
		}
	}
	p.components = append(p.components, Object{
		"id": p.id(), "name": c.Name, "status": orText(c.Status, "operational"), "created_at": now, "updated_at": now, "position": len(p.components) + 1, "description": nil,
		"showcase": true, "start_date": nil, "group_id": nil, "page_id": "statuspage", "group": false, "only_show_if_degraded": false,
	})
}

// SetComponent adds a component, or changes the state of the one of that name.
func (p *StatusPage) SetComponent(c Component) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start()
	p.component(c)
}

// SetDown makes the status page itself answer with 503.
func (p *StatusPage) SetDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// Add publishes an incident or a maintenance and returns its id. It panics if it
// names a component that does not exist.
func (p *StatusPage) Add(i Incident) (id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start()
	planned := !i.ScheduledFor.IsZero()
	status, impact := "investigating", "minor"
	if planned {
		status, impact = "scheduled", "maintenance"
	}
	now := millis(p.now())
	o := Object{
		"id": p.id(), "name": i.Name, "status": "", "created_at": now, "updated_at": now, "monitoring_at": nil, "resolved_at": nil, "impact": orText(i.Impact, impact),
		"started_at": now, "page_id": "statuspage", "incident_updates": []Object{}, "components": p.affected(i.Components),
	}
	o["shortlink"] = "https://stspg.io/" + textOf(o["id"])
	if planned {
		o["scheduled_for"], o["scheduled_until"] = millis(i.ScheduledFor), millis(i.ScheduledUntil)
	}
	p.incidents = append(p.incidents, o)
	p.update(o, orText(i.Status, status), i.Body)
	return textOf(o["id"])
}

func (p *StatusPage) affected(names []string) []Object {
	out := []Object{}
	for _, name := range names {
		at := slices.IndexFunc(p.components, func(o Object) bool { return o["name"] == name })
		if at < 0 {
			panic("canvastest: the status page has no component " + strconv.Quote(name))
		}
		out = append(out, p.components[at])
	}
	return out
}

// Update adds an update to an incident or a maintenance. It panics if there is
// none of that id.
func (p *StatusPage) Update(id, status, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.IndexFunc(p.incidents, func(o Object) bool { return o["id"] == id })
	if at < 0 {
		panic("canvastest: the status page has no incident " + strconv.Quote(id))
	}
	p.update(p.incidents[at], status, body)
}

// Reschedule changes the times of a maintenance. It panics if there is none of that id.
func (p *StatusPage) Reschedule(id string, from, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.IndexFunc(p.incidents, func(o Object) bool { return o["id"] == id && o["scheduled_for"] != nil })
	if at < 0 {
		panic("canvastest: the status page has no maintenance " + strconv.Quote(id))
	}
	o := p.incidents[at]
	o["scheduled_for"], o["scheduled_until"], o["updated_at"] = millis(from), millis(until), millis(p.now())
}

// Remove deletes an incident or a maintenance, as its makers do with one that will not be.
// Nothing happens if there is none of that id.
func (p *StatusPage) Remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.incidents = slices.DeleteFunc(p.incidents, func(o Object) bool { return o["id"] == id })
}

func (p *StatusPage) update(o Object, status, body string) {
	now := millis(p.now())
	affected := []Object{}
	for _, c := range o["components"].([]Object) {
		affected = append(affected, Object{"code": c["id"], "name": c["name"], "old_status": c["status"], "new_status": c["status"]})
	}
	u := Object{"id": p.id(), "status": status, "body": body, "incident_id": o["id"], "created_at": now, "updated_at": now, "display_at": now, "affected_components": affected, "deliver_notifications": true, "custom_tweet": nil, "tweet_id": nil}
	o["incident_updates"] = append([]Object{u}, o["incident_updates"].([]Object)...)
	o["status"], o["updated_at"] = status, now
	switch status {
	case "monitoring":
		o["monitoring_at"] = now
	case "resolved", "completed":
		o["resolved_at"] = now
	}
}

// millis writes a time as Statuspage does.
func millis(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// open says that an incident or a maintenance is not over.
func (o Object) open() bool {
	return !slices.Contains([]any{"resolved", "postmortem", "completed"}, o["status"])
}

// list returns incidents or maintenances, newest first.
func (p *StatusPage) list(planned bool, keep func(Object) bool) []Object {
	out := []Object{}
	for _, o := range slices.Backward(p.incidents) {
		if _, is := o["scheduled_for"]; is == planned && keep(o) && len(out) < 50 {
			out = append(out, o)
		}
	}
	return out
}

// status is the state of the whole page: the worst of what is open.
func (p *StatusPage) status() Object {
	order := []string{"none", "maintenance", "minor", "major", "critical"}
	worst := 0
	for _, o := range p.incidents {
		active := o.open() && o["status"] != "scheduled"
		if n := slices.Index(order, textOf(o["impact"])); active && n > worst {
			worst = n
		}
	}
	for _, c := range p.components {
		n := slices.Index([]string{"operational", "under_maintenance", "degraded_performance", "partial_outage", "major_outage"}, textOf(c["status"]))
		worst = max(worst, n)
	}
	texts := []string{"All Systems Operational", "Service Under Maintenance", "Minor Service Outage", "Partial System Outage", "Major Service Outage"}
	return Object{"indicator": order[worst], "description": texts[worst]}
}

// ServeHTTP implements [http.Handler].
func (p *StatusPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start()
	if p.down {
		http.Error(w, "<html><body>503 Service Unavailable</body></html>", http.StatusServiceUnavailable)
		return
	}
	body := p.answer(strings.TrimPrefix(r.URL.Path, "/api/v2/"))
	if body == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error":"Not found"}`)) // the client has gone: nobody to tell
		return
	}
	body["page"] = Object{"id": "statuspage", "name": "Instructure", "url": "https://status.instructure.com", "time_zone": "America/Denver", "updated_at": millis(p.now())}
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err) // texts and numbers
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(raw) // as above
}

func (p *StatusPage) answer(name string) Object {
	all := func(Object) bool { return true }
	active := func(o Object) bool { return o["status"] == "in_progress" || o["status"] == "verifying" }
	upcoming := func(o Object) bool { return o["status"] == "scheduled" }
	components := slices.Clone(p.components)
	slices.SortFunc(components, func(a, b Object) int { return cmp.Compare(a["position"].(int), b["position"].(int)) })
	switch name {
	case "status.json":
		return Object{"status": p.status()}
	case "summary.json":
		return Object{"status": p.status(), "components": components, "incidents": p.list(false, Object.open), "scheduled_maintenances": p.list(true, Object.open)}
	case "components.json":
		return Object{"components": components}
	case "incidents.json":
		return Object{"incidents": p.list(false, all)}
	case "incidents/unresolved.json":
		return Object{"incidents": p.list(false, Object.open)}
	case "scheduled-maintenances.json":
		return Object{"scheduled_maintenances": p.list(true, all)}
	case "scheduled-maintenances/upcoming.json":
		return Object{"scheduled_maintenances": p.list(true, upcoming)}
	case "scheduled-maintenances/active.json":
		return Object{"scheduled_maintenances": p.list(true, active)}
	}
	return nil
}
