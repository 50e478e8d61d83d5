package alert

import (
	"context"
	"fmt"
	"time"
)

// AcknowledgeConversation says that somebody takes care of everything that one
// conversation told of and that still fires: key is [Notification].Key, as a service
// hands it back whose people acknowledge there. The error wraps [ErrNoAlert] if nothing
// of it fires.
func (r *Router) AcknowledgeConversation(ctx context.Context, key string, ack Acknowledgement) error {
	now := time.Now()
	if err := ack.complete(now); err != nil {
		return err
	}
	if err := r.begin(ctx, "acknowledge"); err != nil {
		return err
	}
	found := false
	for _, th := range r.threads {
		if key == "" || th.Key != key {
			continue
		}
		for of := range th.Told {
			if t := r.alerts[of]; t != nil && t.alert.State == Firing {
				found = true
				r.acknowledge(t, ack, now)
			}
		}
	}
	if !found {
		r.mu.Unlock()
		return fmt.Errorf("alert: acknowledge conversation %.64q: %w", key, ErrNoAlert)
	}
	return r.unlockAndStore(ctx)
}

// acknowledge takes note that somebody takes care of an alert.
func (r *Router) acknowledge(t *tracked, ack Acknowledgement, now time.Time) {
	t.alert.Acknowledged = &ack
	r.touch("alert", t.alert.Key)
	for _, teller := range t.tellers {
		r.schedule(teller, now)
	}
}

// An Escalator is a [Notifier] of a service that sees to it by itself that somebody
// takes care: it pages the next person until one acknowledges. While it is told of an
// alert, no other target that pages is told of it, unless it is the fallback and the
// service does not take the message.
type Escalator interface {
	Notifier
	// Escalates reports whether the service does so. It does not change.
	Escalates() bool
}

func escalates(n Notifier) bool {
	e, ok := n.(Escalator)
	return ok && e.Escalates()
}

// pagedBy returns the name of the target through which a service pages people of an
// alert by itself; empty if there is none, or if it does not take the message.
func (r *Router) pagedBy(t *tracked, now time.Time) string {
	for _, g := range t.groups {
		for _, th := range g.threads {
			failing := th.Refused || th.Message != nil && th.Message.FellBack
			if escalates(th.target.Notifier) && !failing && r.whyMuted(t, th, now) == "" {
				return th.Target
			}
		}
	}
	return ""
}
