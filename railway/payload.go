package railway

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"
)

// payload is what is used of the body of a webhook.
type payload struct {
	kind, severity                   string
	stamp                            string
	time                             time.Time
	environment, service, deployment string // IDs, as the sender claims
}

// parsePayload reads the body of a webhook, in both forms. Errors do not quote it.
func parsePayload(body []byte) (payload, error) {
	type named struct {
		ID string `json:"id"`
	}
	type resource struct {
		Environment named `json:"environment"`
		Service     named `json:"service"`
		Deployment  named `json:"deployment"`
	}
	var raw struct {
		Type      string    `json:"type"`
		Severity  string    `json:"severity"`
		Timestamp string    `json:"timestamp"`
		Resource  *resource `json:"resource"`
		resource            // of the old form
		Status    string    `json:"status"`
	}
	if json.Unmarshal(body, &raw) != nil || raw.Type == "" {
		return payload{}, errors.New("it is no event")
	}
	p := payload{kind: eventType(raw.Type), severity: printable(raw.Severity, 40), stamp: raw.Timestamp}
	from := raw.resource
	if raw.Resource != nil {
		from = *raw.Resource
	} else if p.kind == "deploy" {
		p.kind = "deployment." + legacyType(raw.Status)
	}
	p.environment, p.service, p.deployment = from.Environment.ID, from.Service.ID, from.Deployment.ID
	for _, id := range []string{p.environment, p.service, p.deployment} {
		if id != "" && !isID(id) {
			return payload{}, errors.New("an ID has another form")
		}
	}
	p.time, _ = time.Parse(time.RFC3339, raw.Timestamp)
	return p, nil
}

// eventType is the type of an event as it is compared: "Deployment.oom_killed" and
// "Deployment.oomKilled" are the same.
func eventType(text string) string {
	return printable(strings.ToLower(strings.ReplaceAll(text, "_", "")), 100)
}

// legacyType says in a word of today what the status of an event of the old form is.
func legacyType(status string) string {
	switch s := eventType(status); s {
	case "":
		return "changed"
	case "success":
		return "deployed"
	case "sleeping":
		return "slept"
	default:
		return s // "failed", "crashed", "building", "removed" and so on are the same
	}
}

// key tells events apart: two of the same type about the same deployment at the same
// moment are one. Those without a deployment are told apart by their whole body.
func (p payload) key(body []byte) [sha256.Size]byte {
	if p.deployment == "" || p.stamp == "" {
		return sha256.Sum256(body)
	}
	return sha256.Sum256([]byte(p.kind + "\n" + p.deployment + "\n" + p.stamp))
}

func equal(a, b [sha256.Size]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// remembered is how many events are remembered, to recognise repeats.
const remembered = 4096

// recent remembers the last keys.
type recent struct {
	mu   sync.Mutex
	at   map[[sha256.Size]byte]int // the place in ring
	ring [][sha256.Size]byte
	next int
}

// add remembers a key, and reports whether it was new.
func (r *recent) add(key [sha256.Size]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, old := r.at[key]; old {
		return false
	}
	if r.at == nil {
		r.at = make(map[[sha256.Size]byte]int)
	}
	if len(r.ring) < remembered {
		r.ring = append(r.ring, key)
		r.at[key] = len(r.ring) - 1
		return true
	}
	if oldest := r.ring[r.next]; r.at[oldest] == r.next {
		delete(r.at, oldest) // else it was forgotten, and came again since
	}
	r.ring[r.next], r.at[key] = key, r.next
	r.next = (r.next + 1) % remembered
	return true
}

// drop forgets a key.
func (r *recent) drop(key [sha256.Size]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.at, key)
}
