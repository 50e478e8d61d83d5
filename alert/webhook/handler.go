package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert/internal/inbound"
)

// HandlerConfig says who sends messages and who takes them. See [NewHandler].
type HandlerConfig struct {
	// Secrets are those of which one has signed: two while one is replaced by the other. At
	// least one is required.
	Secrets []runbook.Secret
	// OnMessage takes a message, before the answer. If it fails, the message comes again.
	// Required.
	OnMessage func(ctx context.Context, m Message) error
}

// maxMessage is the largest request: 30 alerts, and all their texts.
const maxMessage = 4 << 20

// NewHandler returns a receiver of messages.
//
// A message is taken if its signature is right and its time stamp at most 5 minutes away. It
// answers 204; 204 as well, without calling OnMessage, for an ID that was taken before, whether
// the answer was lost or somebody plays it again; 401 for a wrong signature or an old time
// stamp; 400 for what it does not understand, another version for example; 413 for more than
// 4 MiB; 429 for more than 10,000 messages in 10 minutes; and 503 if OnMessage failed, or is
// taking the same ID just then. It remembers the last 10,000 IDs, in memory: a host that must
// not do something twice after a restart, or behind several replicas, keeps [Message].ID itself.
//
// The handler is safe for concurrent use.
func NewHandler(cfg HandlerConfig) (http.Handler, error) {
	var problems []error
	h := &handler{take: cfg.OnMessage}
	var keys [][]byte
	for i, s := range cfg.Secrets {
		k, err := key(s)
		if err != nil {
			problems = append(problems, fmt.Errorf("webhook: handler: secret %d: %w", i+1, err))
			continue
		}
		keys = append(keys, k)
	}
	if len(cfg.Secrets) == 0 {
		problems = append(problems, errors.New("webhook: handler: there is no secret"))
	}
	if cfg.OnMessage == nil {
		problems = append(problems, errors.New("webhook: handler: OnMessage is missing"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	h.keys = func() [][]byte { return keys }
	return h, nil
}

type handler struct {
	take func(ctx context.Context, m Message) error
	keys func() [][]byte
	seen inbound.Memory
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ok := inbound.Body(w, r, maxMessage)
	if !ok {
		return
	}
	now := time.Now()
	id, ok := h.verify(r.Header, body, now)
	if !ok {
		http.Error(w, "the signature or the time stamp is not right", http.StatusUnauthorized)
		return
	}
	var m Message
	if json.Unmarshal(body, &m) != nil || m.Version != Version || m.ID != id {
		http.Error(w, "the message is not understood: it must be JSON, of version 1, with the ID of its header", http.StatusBadRequest)
		return
	}
	switch h.seen.Begin(id, now) {
	case inbound.New:
	case inbound.Done:
		w.WriteHeader(http.StatusNoContent)
		return
	case inbound.Busy:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the message is being taken", http.StatusServiceUnavailable)
		return
	default:
		w.Header().Set("Retry-After", "60")
		http.Error(w, "too many messages", http.StatusTooManyRequests)
		return
	}
	done := false
	defer func() { h.seen.End(id, done) }()
	if err := h.take(r.Context(), m); err != nil {
		http.Error(w, "the message could not be taken", http.StatusServiceUnavailable)
		return
	}
	done = true
	w.WriteHeader(http.StatusNoContent)
}

func (h *handler) verify(header http.Header, body []byte, now time.Time) (id string, ok bool) {
	id, ok1 := inbound.One(header, headerID)
	timestamp, ok2 := inbound.One(header, headerTimestamp)
	signed, ok3 := inbound.One(header, headerSignature)
	_, fresh := inbound.Fresh(timestamp, now)
	return id, ok1 && ok2 && ok3 && fresh && len(id) <= 200 && verified(h.keys(), id, timestamp, signed, body)
}
