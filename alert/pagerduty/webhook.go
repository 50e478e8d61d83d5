package pagerduty

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/inbound"
)

// EventType is what happened at PagerDuty.
type EventType string

// The types of events that are handed over.
const (
	// Acknowledged means that somebody takes care of it.
	Acknowledged EventType = "incident.acknowledged"
	// Resolved means that it was closed.
	Resolved EventType = "incident.resolved"
)

// An Event is what happened to an incident at PagerDuty.
type Event struct {
	// ID names the event. The same event may come more than once.
	ID string
	// Type is what happened.
	Type EventType
	// Key is the deduplication key: [alert.Notification].Key of what triggered it.
	Key string
	// By is who did it, by name; "PagerDuty" if it says nobody. Person is true if it was
	// a person, and false for an integration: our own events come back so.
	By     string
	Person bool
	// At is when.
	At time.Time
	// Title is the title of the incident, and URL where people read it.
	Title, URL string
}

// WebhookConfig says who may send webhooks, and what is done with them. See [NewWebhook].
type WebhookConfig struct {
	// Secrets are those of the webhook subscriptions, as PagerDuty gave them out when
	// they were made. A signature by one of them suffices, so that they can be changed
	// without a gap. At least one.
	Secrets []runbook.Secret
	// OnEvent is called for each event, possibly more than once. PagerDuty waits for 5 s.
	// If it returns an error, PagerDuty sends the event again, for up to 48 hours, and the
	// events of the same incident wait behind it; an error that wraps alert.ErrNoAlert
	// counts as none, since it would not change. Required.
	OnEvent func(ctx context.Context, e Event) error
}

// Webhook receives the webhooks of PagerDuty, version 3. Make one with [NewWebhook]. It is
// safe for concurrent use.
type Webhook struct{ cfg WebhookConfig }

var _ http.Handler = (*Webhook)(nil)

// NewWebhook returns a Webhook, or all problems of cfg.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	var problems []error
	if len(cfg.Secrets) == 0 {
		problems = append(problems, errors.New("pagerduty: webhook: Secrets are missing"))
	}
	for i, s := range cfg.Secrets {
		if s.IsZero() {
			problems = append(problems, fmt.Errorf("pagerduty: webhook: secret %d is empty", i+1))
		}
	}
	if cfg.OnEvent == nil {
		problems = append(problems, errors.New("pagerduty: webhook: OnEvent is missing"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return &Webhook{cfg}, nil
}

const (
	// maxWebhook is the size above which PagerDuty drops a webhook itself:
	// https://developer.pagerduty.com/docs/webhooks-behavior.
	maxWebhook = 256 << 10
	// maxAge is how old an event may be: PagerDuty goes on to send it for 48 hours. An
	// older one is a repetition by somebody else.
	maxAge = 49 * time.Hour
)

// ServeHTTP answers 202 to what is signed, 401 to what is not, and 500 if the host could
// not take the event, so that PagerDuty sends it again.
func (h *Webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ok := inbound.Body(w, r, maxWebhook)
	if !ok {
		return
	}
	if !h.signed(r.Header.Values("X-PagerDuty-Signature"), body) {
		http.Error(w, "not signed", http.StatusUnauthorized)
		return
	}
	e, err := parse(body)
	switch {
	case err != nil:
		http.Error(w, "not an event", http.StatusBadRequest)
		return
	case e.Type != Acknowledged && e.Type != Resolved, e.Key == "":
		w.WriteHeader(http.StatusAccepted)
		return
	case time.Since(e.At) > maxAge, time.Until(e.At) > time.Hour:
		http.Error(w, "too old", http.StatusBadRequest)
		return
	}
	if err := h.cfg.OnEvent(r.Context(), e); err != nil && !errors.Is(err, alert.ErrNoAlert) {
		http.Error(w, "the event was not taken", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// signed reports whether one of the signatures is by one of the secrets:
// https://developer.pagerduty.com/docs/verifying-webhook-signatures.
func (h *Webhook) signed(fields []string, body []byte) bool {
	var given [][]byte
	for _, field := range fields {
		for s := range strings.SplitSeq(field, ",") {
			version, sum, _ := strings.Cut(strings.TrimSpace(s), "=")
			if mac, err := hex.DecodeString(sum); err == nil && version == "v1" && len(given) < 16 {
				given = append(given, mac)
			}
		}
	}
	ok := false
	for _, secret := range h.cfg.Secrets {
		mac := hmac.New(sha256.New, []byte(secret.Reveal()))
		mac.Write(body)
		want := mac.Sum(nil)
		for _, g := range given {
			ok = hmac.Equal(g, want) || ok
		}
	}
	return ok
}

// parse reads the body of a webhook: https://developer.pagerduty.com/docs/webhooks-overview.
func parse(body []byte) (Event, error) {
	var hook struct {
		Event *struct {
			ID    string    `json:"id"`
			Type  EventType `json:"event_type"`
			At    time.Time `json:"occurred_at"`
			Agent *struct {
				Type    string `json:"type"`
				Summary string `json:"summary"`
			} `json:"agent"`
			Data struct {
				Key   string `json:"incident_key"`
				Title string `json:"title"`
				URL   string `json:"html_url"`
			} `json:"data"`
		} `json:"event"`
	}
	if err := json.Unmarshal(body, &hook); err != nil || hook.Event == nil {
		return Event{}, errors.New("not an event")
	}
	e := hook.Event
	event := Event{ID: e.ID, Type: e.Type, Key: e.Data.Key, By: "PagerDuty", At: e.At, Title: e.Data.Title, URL: e.Data.URL}
	if e.Agent != nil {
		event.Person = e.Agent.Type == "user_reference"
		if e.Agent.Summary != "" {
			event.By = e.Agent.Summary
		}
	}
	return event, nil
}
