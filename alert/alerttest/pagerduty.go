package alerttest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// PagerDuty is the Events API v2 of PagerDuty, as
// https://developer.pagerduty.com/docs/events-api-v2-overview describes it: alerts by
// deduplication key, 512 KB an event, 120 events a minute. The zero value takes any routing
// key. It must not be copied after first use.
type PagerDuty struct {
	// RoutingKey is the only one that is taken. Empty means any.
	RoutingKey string
	// Secret signs the webhooks that [PagerDuty.Webhook] makes.
	Secret string

	faults
	data   sync.Mutex
	alerts []*PagerDutyAlert
	sent   []time.Time
	events int
}

// A PagerDutyAlert is an alert at [PagerDuty].
type PagerDutyAlert struct {
	// Key is its deduplication key, Status "triggered", "acknowledged" or "resolved".
	Key, Status string
	// Severity is that of the last event that has one.
	Severity string
	// Log has the events, in order.
	Log []PagerDutyEvent
}

// A PagerDutyEvent is an event that [PagerDuty] took.
type PagerDutyEvent struct {
	Action    string         `json:"event_action"`
	Key       string         `json:"dedup_key"`
	Payload   *PagerDutyData `json:"payload"`
	Links     []Link         `json:"links"`
	Images    []any          `json:"images"`
	Client    string         `json:"client"`
	ClientURL string         `json:"client_url"`
	Routing   string         `json:"routing_key"`
}

// PagerDutyData is the payload of a [PagerDutyEvent].
type PagerDutyData struct {
	Summary   string         `json:"summary"`
	Source    string         `json:"source"`
	Severity  string         `json:"severity"`
	Timestamp string         `json:"timestamp"`
	Component string         `json:"component"`
	Group     string         `json:"group"`
	Class     string         `json:"class"`
	Details   map[string]any `json:"custom_details"`
}

// A Link is a link of a [PagerDutyEvent].
type Link struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// Client returns a client that reaches it, whatever the address.
func (p *PagerDuty) Client() *http.Client { return p.client(p) }

// Alerts returns the alerts, in the order in which they were opened.
func (p *PagerDuty) Alerts() []PagerDutyAlert {
	p.data.Lock()
	defer p.data.Unlock()
	var list []PagerDutyAlert
	for _, a := range p.alerts {
		shown := *a
		shown.Log = slices.Clone(a.Log)
		list = append(list, shown)
	}
	return list
}

// ServeHTTP implements [http.Handler].
func (p *PagerDuty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.serve(w, r, p.handle, func(w http.ResponseWriter, _ *http.Request) {
		p.invalid(w, "Event orchestration is disabled")
	})
}

func (p *PagerDuty) invalid(w http.ResponseWriter, problems ...string) {
	respond(w, http.StatusBadRequest, map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": problems})
}

func (p *PagerDuty) handle(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v2/enqueue" || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	p.data.Lock()
	defer p.data.Unlock()
	if wait := tooMany(&p.sent, 120, time.Minute); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(wait))
		respond(w, http.StatusTooManyRequests, map[string]any{"status": "throttle exceeded", "message": "Request Limit Exceeded"})
		return
	}
	data, ok := body(r, 512<<10)
	if !ok {
		p.invalid(w, "the event exceeds 512 KB")
		return
	}
	var e PagerDutyEvent
	if err := strict(data, &e); err != nil {
		p.invalid(w, err.Error())
		return
	}
	if problems := p.problems(e); len(problems) > 0 {
		p.invalid(w, problems...)
		return
	}
	p.apply(&e)
	respond(w, http.StatusAccepted, map[string]any{"status": "success", "message": "Event processed", "dedup_key": e.Key})
}

func (p *PagerDuty) problems(e PagerDutyEvent) (problems []string) {
	bad := func(when bool, text string) {
		if when {
			problems = append(problems, text)
		}
	}
	bad(e.Routing == "" || p.RoutingKey != "" && e.Routing != p.RoutingKey, "Invalid routing key")
	bad(!slices.Contains([]string{"trigger", "acknowledge", "resolve"}, e.Action), "'event_action' is invalid")
	bad(len(e.Key) > 255, "'dedup_key' is too long (maximum is 255 characters)")
	bad(e.Key == "" && e.Action != "trigger", "'dedup_key' is missing or blank")
	bad(e.Payload == nil && e.Action == "trigger", "'payload' is missing or blank")
	if e.Payload != nil {
		bad(e.Payload.Summary == "", "'payload.summary' is missing or blank")
		bad(utf8.RuneCountInString(e.Payload.Summary) > 1024, "'payload.summary' is too long (maximum is 1024 characters)")
		bad(e.Payload.Source == "", "'payload.source' is missing or blank")
		bad(!slices.Contains([]string{"critical", "error", "warning", "info"}, e.Payload.Severity), "'payload.severity' is invalid")
		if e.Payload.Timestamp != "" {
			_, err := time.Parse(time.RFC3339, e.Payload.Timestamp)
			bad(err != nil, "'payload.timestamp' is not an ISO 8601 timestamp")
		}
	}
	for _, l := range e.Links {
		u, err := url.Parse(l.Href)
		bad(err != nil || u.Host == "", "'links' has an entry whose href is no URL")
	}
	return problems
}

// apply does what an event asks for.
func (p *PagerDuty) apply(e *PagerDutyEvent) {
	p.events++
	e.Routing = ""
	if e.Key == "" {
		e.Key = fmt.Sprintf("generated-%d", p.events)
	}
	at := slices.IndexFunc(p.alerts, func(a *PagerDutyAlert) bool { return a.Key == e.Key && a.Status != "resolved" })
	switch {
	case at < 0 && e.Action != "trigger":
		return // it is dropped
	case at < 0:
		p.alerts = append(p.alerts, &PagerDutyAlert{Key: e.Key, Status: "triggered"})
		at = len(p.alerts) - 1
	}
	a := p.alerts[at]
	a.Log = append(a.Log, *e)
	if e.Payload != nil {
		a.Severity = e.Payload.Severity
	}
	switch e.Action {
	case "acknowledge":
		a.Status = "acknowledged"
	case "resolve":
		a.Status = "resolved"
	}
}

// Webhook returns the request that PagerDuty sends, version 3 and signed with Secret, when
// somebody did something: eventType is "incident.acknowledged", key that of the alert, and
// by a name; empty for an integration. The form is that of the published example:
// https://developer.pagerduty.com/docs/webhooks-overview.
func (p *PagerDuty) Webhook(address, eventType, key, by string) (*http.Request, error) {
	p.data.Lock()
	p.events++
	id := fmt.Sprintf("01E%023d", p.events)
	p.data.Unlock()
	agent := map[string]any{"id": "PLH1HKV", "type": "user_reference", "summary": by, "html_url": "https://acme.pagerduty.com/users/PLH1HKV", "self": "https://api.pagerduty.com/users/PLH1HKV"}
	if by == "" {
		agent = map[string]any{"id": "PI0I9X2", "type": "inbound_integration_reference", "summary": "runbook"}
	}
	data, err := json.Marshal(map[string]any{"event": map[string]any{
		"id": id, "event_type": eventType, "resource_type": "incident", "occurred_at": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		"agent": agent, "client": nil,
		"data": map[string]any{"id": "PGR0VU2", "type": "incident", "incident_key": key, "title": "A little bump in the road", "number": 2, "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2", "self": "https://api.pagerduty.com/incidents/PGR0VU2"},
	}})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, []byte(p.Secret))
	mac.Write(data)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-PagerDuty-Signature", "v1="+hex.EncodeToString(mac.Sum(nil)))
	return req, nil
}
