package pagerduty

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// Config says where events go. See [New].
type Config struct {
	// RoutingKey is the integration key of a service or of an event orchestration.
	// Required.
	RoutingKey runbook.Secret
	// URL is the address of the Events API. Empty means
	// https://events.pagerduty.com; accounts in the European Union have
	// https://events.eu.pagerduty.com.
	URL string
	// Source is said to be where the problem is if an alert names no thing. Empty means
	// "runbook".
	Source string
	// Client and ClientURL are the name and the address of the monitoring, shown as a
	// link. Empty means "runbook", and no link.
	Client, ClientURL string
	// Playbooks is the address of the playbooks, to which their names are appended for
	// links. Empty means that only playbooks which are addresses are linked.
	Playbooks string

	// HTTP gives the transport, and a Timeout. Nil means one of our own.
	HTTP *http.Client
	// UserAgent is sent. Empty means that of the module.
	UserAgent string
	// Timeout limits one attempt. Zero means that of HTTP, or 15 s.
	Timeout time.Duration
}

// The limits of the Events API:
// https://developer.pagerduty.com/docs/events-api-v2-overview.
const (
	maxEvent   = 512 << 10 // bytes
	maxSummary = 1024      // characters
	maxLinks   = 10        // our own
)

// Notifier tells PagerDuty. Make one with [New]. It is safe for concurrent use.
type Notifier struct {
	cfg  Config
	url  *url.URL
	send *send.Client
}

var _ alert.Escalator = (*Notifier)(nil)

// New returns a Notifier, or all problems of cfg.
func New(cfg Config) (*Notifier, error) {
	var problems []error
	if cfg.RoutingKey.IsZero() {
		problems = append(problems, errors.New("pagerduty: RoutingKey is missing"))
	}
	if cfg.URL == "" {
		cfg.URL = "https://events.pagerduty.com"
	}
	base, ok := send.Base(cfg.URL)
	if !ok {
		problems = append(problems, errors.New("pagerduty: URL must be an address with https"))
	}
	if cfg.Timeout < 0 {
		problems = append(problems, errors.New("pagerduty: Timeout is negative"))
	}
	for name, address := range map[string]string{"ClientURL": cfg.ClientURL, "Playbooks": cfg.Playbooks} {
		if address != "" && !isAddress(address) {
			problems = append(problems, fmt.Errorf("pagerduty: %s must be an address with http or https, and no credentials", name))
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if cfg.Source == "" {
		cfg.Source = "runbook"
	}
	if cfg.Client == "" {
		cfg.Client = "runbook"
	}
	return &Notifier{
		cfg: cfg, url: base.JoinPath("v2", "enqueue"),
		send: send.New("pagerduty", send.Config{HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, Timeout: cfg.Timeout}),
	}, nil
}

// Escalates reports true: PagerDuty pages the next person until one acknowledges. See
// [alert.Escalator].
func (p *Notifier) Escalates() bool { return true }

// event is what the Events API takes: https://developer.pagerduty.com/docs/send-alert-event.
type event struct {
	RoutingKey string  `json:"routing_key"`
	Action     string  `json:"event_action"`
	DedupKey   string  `json:"dedup_key"`
	Payload    payload `json:"payload"`
	Links      []link  `json:"links,omitempty"`
	Client     string  `json:"client,omitempty"`
	ClientURL  string  `json:"client_url,omitempty"`
}

type payload struct {
	Summary   string         `json:"summary"`
	Source    string         `json:"source"`
	Severity  string         `json:"severity"`
	Timestamp string         `json:"timestamp,omitempty"`
	Component string         `json:"component,omitempty"`
	Group     string         `json:"group,omitempty"`
	Class     string         `json:"class,omitempty"`
	Details   map[string]any `json:"custom_details,omitempty"`
}

type link struct {
	Href string `json:"href"`
	Text string `json:"text,omitempty"`
}

// Notify implements [alert.Notifier]. The receipt is the deduplication key.
func (p *Notifier) Notify(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	const op = "send event"
	if n.Kind == alert.KindPost || n.Kind == alert.KindNotice {
		return "", p.send.Refuse(op, "nobody is paged for a message of kind "+string(n.Kind))
	}
	body, err := p.encode(n)
	if err != nil {
		return "", p.send.Refuse(op, "the message cannot be encoded")
	}
	resp, err := p.send.Do(ctx, send.Call{
		Op: op, URL: p.url, Body: body, Header: http.Header{"Content-Type": {"application/json"}},
	})
	if err != nil {
		var answer struct{ Status, Message string }
		if resp != nil && json.Unmarshal(resp.Body, &answer) == nil {
			err = send.Explain(err, answer.Status)
		}
		return "", err
	}
	return alert.Receipt(n.Key), nil
}

// encode makes the event. Details that do not fit are left out: PagerDuty refuses the
// whole event otherwise.
func (p *Notifier) encode(n alert.Notification) ([]byte, error) {
	e := p.event(n)
	body, err := json.Marshal(e)
	if err == nil && len(body) > maxEvent {
		e.Payload.Details = map[string]any{"message": "The details were too large for PagerDuty and were left out."}
		body, err = json.Marshal(e)
	}
	return body, err
}

func (p *Notifier) event(n alert.Notification) event {
	e := event{
		RoutingKey: p.cfg.RoutingKey.Reveal(), Action: action(n), DedupKey: n.Key, Client: p.cfg.Client, ClientURL: p.cfg.ClientURL,
		Payload: payload{
			Summary: send.Cut(send.Line(n.Title), maxSummary), Source: p.cfg.Source, Severity: severity(n), Group: n.Environment,
			Timestamp: n.At.UTC().Format("2006-01-02T15:04:05.000Z07:00"), Details: map[string]any{"message": n.Text},
		},
	}
	if e.Payload.Summary == "" {
		e.Payload.Summary = string(n.Kind)
	}
	if len(n.Alerts) > 0 {
		worst := n.Alerts[0]
		e.Payload.Class, e.Payload.Component = worst.Rule, worst.Entity
		if worst.Entity != "" {
			e.Payload.Source = worst.Entity
		}
	}
	e.Links = p.links(n)
	return e
}

// action says what is done. It is acknowledged when somebody takes care of everything
// that fires.
func action(n alert.Notification) string {
	if n.Kind == alert.KindResolved {
		return "resolve"
	}
	if _, all := n.TakenBy(); all && n.Kind != alert.KindFiring {
		return "acknowledge"
	}
	return "trigger"
}

// severity is how PagerDuty names it.
func severity(n alert.Notification) string {
	if n.Kind == alert.KindTest {
		return "info"
	}
	switch n.Severity {
	case alert.Critical:
		return "critical"
	case alert.High:
		return "error"
	case alert.Medium:
		return "warning"
	}
	return "info"
}

// links are the playbooks.
func (p *Notifier) links(n alert.Notification) (links []link) {
	var seen []string
	for _, a := range n.Alerts {
		over := a.State == alert.Resolved && n.Kind != alert.KindResolved
		if a.Playbook == "" || over || slices.Contains(seen, a.Playbook) || len(links) == maxLinks {
			continue
		}
		seen = append(seen, a.Playbook)
		href, text := a.Playbook, "Playbook"
		if !isAddress(href) {
			if p.cfg.Playbooks == "" {
				continue
			}
			href = strings.TrimSuffix(p.cfg.Playbooks, "/") + "/" + url.PathEscape(a.Playbook)
			text += " " + a.Playbook
		}
		links = append(links, link{Href: href, Text: text})
	}
	return links
}

func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http")
}
