package statuspageio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"golang.org/x/time/rate"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// Config says which page is written, and with which key. See [New].
type Config struct {
	// Page is the ID of the page. Required.
	Page string
	// APIKey is a key of a user who may change incidents. Required.
	APIKey runbook.Secret
	// Components are the IDs of the components of the page by the names that posts have.
	Components map[string]string
	// Silent means that subscribers of the page are not notified.
	Silent bool
	// URL is the address of the API. Empty means https://api.statuspage.io.
	URL string
	// PerSecond is how many requests are made in a second. Zero means 1, which is what
	// Statuspage allows unless something else was agreed.
	PerSecond float64

	// HTTP gives the transport, and a Timeout. Nil means one of our own.
	HTTP *http.Client
	// UserAgent is sent. Empty means that of the module.
	UserAgent string
	// Timeout limits one request. Zero means that of HTTP, or 15 s.
	Timeout time.Duration
}

// Notifier writes on a status page. Make one with [New]. It is safe for concurrent use.
type Notifier struct {
	cfg    Config
	url    *url.URL           // of the page
	header func() http.Header // in a closure, for whoever prints the Notifier
	send   *send.Client
	pace   *rate.Limiter
}

var _ alert.Notifier = (*Notifier)(nil)

// isID matches the IDs of pages and incidents.
var isID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// New returns a Notifier, or all problems of cfg.
func New(cfg Config) (*Notifier, error) {
	var problems []error
	bad := func(when bool, text string) {
		if when {
			problems = append(problems, errors.New("statuspageio: "+text))
		}
	}
	if cfg.URL == "" {
		cfg.URL = "https://api.statuspage.io"
	}
	base, ok := send.Base(cfg.URL)
	bad(!ok, "URL must be an address with https")
	bad(!isID.MatchString(cfg.Page), "Page must be the ID of a page")
	bad(cfg.APIKey.IsZero(), "APIKey is missing")
	bad(!(cfg.PerSecond >= 0), "PerSecond is negative, or no number")
	bad(cfg.Timeout < 0, "Timeout is negative")
	for name, id := range cfg.Components {
		bad(name == "" || id == "", fmt.Sprintf("component %q: its name or ID is missing", name))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if cfg.PerSecond == 0 {
		cfg.PerSecond = 1
	}
	cfg.Components = maps.Clone(cfg.Components)
	return &Notifier{
		cfg: cfg, url: base.JoinPath("v1", "pages", cfg.Page),
		header: func() http.Header { return http.Header{"Authorization": {"OAuth " + cfg.APIKey.Reveal()}} },
		send:   send.New("statuspage", send.Config{HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, Timeout: cfg.Timeout}),
		pace:   rate.NewLimiter(rate.Limit(cfg.PerSecond), 1),
	}, nil
}

// receipt is what is kept of an incident.
type receipt struct {
	ID         string   `json:"id"`
	Components []string `json:"components,omitempty"` // the IDs of those that posts changed
}

// Notify implements [alert.Notifier], for posts.
func (p *Notifier) Notify(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	if n.Kind == alert.KindTest {
		var page struct{}
		return "", p.look(ctx, "read the page", p.url, &page)
	}
	if n.Post == nil {
		return "", p.send.Refuse("update page", "alerts are not for a public page")
	}
	change, err := p.change(n)
	if err != nil {
		return "", p.send.Refuse("update page", err.Error())
	}
	var prior receipt
	if n.Prior != "" {
		if err := json.Unmarshal([]byte(n.Prior), &prior); err != nil || !isID.MatchString(prior.ID) {
			return "", p.send.Refuse("update incident", "the receipt is not one of this notifier")
		}
	}
	if prior.ID == "" && n.PossibleRepeat {
		found, err := p.find(ctx, n)
		if err != nil {
			return "", err
		}
		prior = found
	}
	return p.write(ctx, n, change, prior)
}

// write makes the incident, or updates it, unless it says already what is to be said.
func (p *Notifier) write(ctx context.Context, n alert.Notification, change incident, prior receipt) (alert.Receipt, error) {
	method, at, op := http.MethodPost, p.url.JoinPath("incidents"), "create incident"
	if prior.ID != "" {
		method, at, op = http.MethodPatch, at.JoinPath(prior.ID), "update incident"
		change.restore(prior.Components)
		if n.PossibleRepeat {
			var now known
			if err := p.look(ctx, "read incident", at, &now); err != nil {
				return "", err
			}
			if now.says(change) {
				return keep(prior.ID, prior.Components, change), nil
			}
		}
	}
	if change.isMaintenance() && prior.ID == "" && (change.ScheduledFor == nil || change.ScheduledUntil == nil) {
		return "", p.send.Refuse(op, "a maintenance needs the times from and to")
	}
	if err := p.wait(ctx, op); err != nil {
		return "", err
	}
	resp, err := p.send.Do(ctx, send.Call{Op: op, Method: method, URL: at, Header: p.header(), JSON: map[string]any{"incident": change}})
	if err != nil {
		if resp != nil {
			err = send.Explain(err, reason(resp.Body))
		}
		return "", err
	}
	var made known
	if err := p.send.Decode(op, resp, &made); err != nil {
		return "", err
	}
	if !isID.MatchString(made.ID) {
		return "", &alert.Error{Service: "statuspage", Op: op, Status: resp.Status, Err: errors.New("the answer names no incident")}
	}
	return keep(made.ID, prior.Components, change), nil
}

// find looks for the incident of a conversation among those that could be it.
func (p *Notifier) find(ctx context.Context, n alert.Notification) (receipt, error) {
	at := p.url.JoinPath("incidents")
	switch n.Post.Status {
	case "investigating", "identified", "monitoring":
		at = at.JoinPath("unresolved")
	case "scheduled":
		at = at.JoinPath("scheduled")
	case "in_progress", "verifying":
		at = at.JoinPath("active_maintenance")
	}
	at.RawQuery = "limit=100" // the newest
	var list []known
	if err := p.look(ctx, "list incidents", at, &list); err != nil {
		return receipt{}, err
	}
	for _, i := range list {
		if i.Metadata.Runbook.Key == n.Key && isID.MatchString(i.ID) {
			return receipt{ID: i.ID}, nil
		}
	}
	return receipt{}, nil
}

// look makes a request that reads.
func (p *Notifier) look(ctx context.Context, op string, at *url.URL, v any) error {
	if err := p.wait(ctx, op); err != nil {
		return err
	}
	resp, err := p.send.Look(ctx, send.Call{Op: op, URL: at, Header: p.header()}, v)
	if err != nil && resp != nil {
		err = send.Explain(err, reason(resp.Body))
	}
	return err
}

// wait waits until a request may be made. If that would take too long nothing is sent.
func (p *Notifier) wait(ctx context.Context, op string) error {
	err := p.pace.Wait(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &alert.Error{Service: "statuspage", Op: op, Unsent: true, Err: ctx.Err()}
	}
	return &alert.Error{Service: "statuspage", Op: op, Kind: alert.ErrLimited, Unsent: true, Err: errors.New("one request a second is allowed")}
}

// reason is what an answer says of an error: a text, or a list of them.
func reason(body []byte) string {
	var one struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &one) != nil {
		return ""
	}
	var text string
	var list []string
	if json.Unmarshal(one.Error, &text) != nil && json.Unmarshal(one.Error, &list) == nil && len(list) > 0 {
		text = list[0]
	}
	return text
}
