package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Acknowledge says that somebody takes care of an alert: reminders end, and those who
// were told are told that. The error wraps [ErrNoAlert] if no such alert fires.
func (r *Router) Acknowledge(ctx context.Context, key string, ack Acknowledgement) error {
	now := time.Now()
	if err := ack.complete(now); err != nil {
		return err
	}
	if err := r.begin(ctx, "acknowledge"); err != nil {
		return err
	}
	t := r.alerts[key]
	if t == nil || t.alert.State != Firing {
		r.mu.Unlock()
		return fmt.Errorf("alert: acknowledge %.64q: %w", key, ErrNoAlert)
	}
	r.acknowledge(t, ack, now)
	return r.unlockAndStore(ctx)
}

// complete fills in when it was, or says what is wrong.
func (a *Acknowledgement) complete(now time.Time) error {
	if a.At.IsZero() {
		a.At = now
	}
	switch {
	case a.By == "":
		return errors.New("alert: acknowledge: who acknowledges is missing")
	case !storableTime(a.At):
		return errors.New("alert: acknowledge: the time is not in the years 0 to 9999")
	}
	return nil
}

// ErrNoAlert means that no alert of that key fires.
var ErrNoAlert = errors.New("no such alert")

// A Status is an alert, and who was told of it.
type Status struct {
	Alert
	// Told are the names of the targets that were told that it fires, in order.
	Told []string
	// Muted says for each target that is not told of it why not.
	Muted map[string]string
	// Unrouted means that no route matches it.
	Unrouted bool
}

// Alerts returns all alerts that are pending, that fire, or whose end is still to be
// told: the worst first, and of the same severity the oldest.
func (r *Router) Alerts() []Status {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Status, 0, len(r.alerts))
	for _, t := range r.alerts {
		list = append(list, r.status(t, now))
	}
	slices.SortFunc(list, func(a, b Status) int { return worstFirst(&a.Alert, &b.Alert) })
	return list
}

func (r *Router) status(t *tracked, now time.Time) Status {
	s := Status{Alert: t.alert.clone(), Unrouted: t.unrouted && t.alert.State == Firing}
	for _, th := range t.tellers {
		if _, ok := th.Told[t.alert.Key]; ok {
			s.Told = append(s.Told, th.Target)
		}
	}
	slices.Sort(s.Told)
	for _, g := range t.groups {
		for _, th := range g.threads {
			if slices.Contains(s.Told, th.Target) {
				continue
			}
			why := r.whyMuted(t, th, now)
			if _, ok := th.GivenUp[t.alert.Key]; ok && why == "" {
				why = "the target refused the message"
			}
			if why == "" && th.held() {
				why = "it waits: there was so much to tell that what can wait does"
			}
			if why == "" {
				continue
			}
			if s.Muted == nil {
				s.Muted = make(map[string]string)
			}
			s.Muted[th.Target] = why
		}
	}
	return s
}
