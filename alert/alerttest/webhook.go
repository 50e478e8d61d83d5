package alerttest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// Webhook is a program that takes the messages of package webhook, of version 1, as Standard
// Webhooks 1.0 lay down
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md):
// it checks signatures and time stamps, refuses fields that are not documented, and takes each
// ID once. Set its fields before it is used.
type Webhook struct {
	// Secret is the key of the signatures, "whsec_" and base64, or the bytes themselves.
	Secret string

	faults
	state    sync.Mutex
	messages []WebhookMessage
	repeats  int
}

// WebhookMessage is a message that was taken.
type WebhookMessage struct {
	// Version, ID, Conversation and the rest are as package webhook documents them.
	Version        int            `json:"version"`
	ID             string         `json:"id"`
	Conversation   string         `json:"conversation"`
	Seq            int            `json:"seq"`
	Kind           alert.Kind     `json:"kind"`
	Severity       alert.Severity `json:"severity"`
	Environment    string         `json:"environment"`
	Title          string         `json:"title"`
	Text           string         `json:"text"`
	Alerts         []alert.Alert  `json:"alerts"`
	Post           *alert.Post    `json:"post"`
	At             time.Time      `json:"at"`
	PossibleRepeat bool           `json:"possible_repeat"`
}

// Client returns a client that reaches h in memory, whatever the address.
func (h *Webhook) Client() *http.Client { return h.client(h) }

// Messages returns what was taken, in order.
func (h *Webhook) Messages() []WebhookMessage {
	h.state.Lock()
	defer h.state.Unlock()
	return slices.Clone(h.messages)
}

// Repeats returns how many messages came again after they were taken.
func (h *Webhook) Repeats() int {
	h.state.Lock()
	defer h.state.Unlock()
	return h.repeats
}

// ServeHTTP implements [http.Handler].
func (h *Webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve(w, r, h.take, nil) }

func (h *Webhook) take(w http.ResponseWriter, r *http.Request) {
	data, ok := body(r, 4<<20)
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || !ok {
		http.Error(w, "not a POST of JSON", http.StatusBadRequest)
		return
	}
	id := r.Header.Get("webhook-id")
	if !h.signed(id, r.Header.Get("webhook-timestamp"), r.Header.Get("webhook-signature"), data) {
		http.Error(w, "not signed", http.StatusUnauthorized)
		return
	}
	var m WebhookMessage
	if err := strict(data, &m); err != nil || m.Version != 1 || m.ID != id {
		http.Error(w, "not a message of version 1", http.StatusBadRequest)
		return
	}
	h.state.Lock()
	defer h.state.Unlock()
	if slices.ContainsFunc(h.messages, func(known WebhookMessage) bool { return known.ID == id }) {
		h.repeats++
	} else {
		h.messages = append(h.messages, m)
	}
	w.WriteHeader(http.StatusNoContent)
}

// key returns the key of the secret.
func (h *Webhook) key() []byte {
	if encoded, ok := strings.CutPrefix(h.Secret, "whsec_"); ok {
		if key, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			return key
		}
	}
	return []byte(h.Secret)
}

func (h *Webhook) sign(id, timestamp string, data []byte) string {
	mac := hmac.New(sha256.New, h.key())
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(data)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (h *Webhook) signed(id, timestamp, signatures string, data []byte) bool {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	return id != "" && slices.Contains(strings.Fields(signatures), h.sign(id, timestamp, data))
}

// SignedRequest returns a request with a body as a sender with the same secret signs it, for a
// receiver.
func (h *Webhook) SignedRequest(id string, data []byte, at time.Time) *http.Request {
	stamp := strconv.FormatInt(at.Unix(), 10)
	r := postRequest("/hooks/runbook", data, http.Header{"Content-Type": {"application/json"}})
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", stamp)
	r.Header.Set("webhook-signature", h.sign(id, stamp, data))
	return r
}
