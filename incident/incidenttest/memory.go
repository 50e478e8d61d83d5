package incidenttest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

var (
	_ incident.Quota        = (*Quota)(nil)
	_ incident.PlatformKeys = (*PlatformKeys)(nil)
	_ incident.AuditLog     = (*AuditLog)(nil)
	_ incident.Announcer    = (*Announcer)(nil)
)

// A script is a list of errors: the next calls fail with them, one each.
type script struct{ errors []error }

func (s *script) next(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(s.errors) == 0 {
		return nil
	}
	err := s.errors[0]
	s.errors = s.errors[1:]
	return err
}

// change is next of a call that changes something.
func (s *script) change(ctx context.Context, method string) error {
	if runbook.IsReadOnly(ctx) {
		return refusal(method)
	}
	return s.next(ctx)
}

// Quota is an [incident.Quota] that says what it was told.
type Quota struct {
	mu     sync.Mutex
	state  incident.QuotaState
	script script
}

// Set changes what is said.
func (q *Quota) Set(s incident.QuotaState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Users = slices.Clone(s.Users)
	q.state = s
}

// Fail makes the next calls fail, one with each error; nil lets one pass.
func (q *Quota) Fail(errs ...error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.script.errors = append(q.script.errors, errs...)
}

// Quota implements [incident.Quota].
func (q *Quota) Quota(ctx context.Context) (incident.QuotaState, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.script.next(ctx); err != nil {
		return incident.QuotaState{}, err
	}
	s := q.state
	s.Users = slices.Clone(s.Users)
	if s.Time.IsZero() {
		s.Time = time.Now()
	}
	return s, nil
}

// PlatformKeys is an [incident.PlatformKeys] that has the keys it was given.
type PlatformKeys struct {
	mu     sync.Mutex
	keys   map[string]incident.PlatformKey
	script script
}

// Add adds a key, or replaces the one with that ID.
func (p *PlatformKeys) Add(k incident.PlatformKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = make(map[string]incident.PlatformKey)
	}
	p.keys[k.ID] = k
}

// Fail makes the next calls fail, one with each error; nil lets one pass. An
// incident.ErrOutcomeUnknown comes after the change was made.
func (p *PlatformKeys) Fail(errs ...error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script.errors = append(p.script.errors, errs...)
}

// PlatformKey implements [incident.PlatformKeys].
func (p *PlatformKeys) PlatformKey(ctx context.Context, id string) (incident.PlatformKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.script.next(ctx); err != nil {
		return incident.PlatformKey{}, err
	}
	return p.find(id)
}

func (p *PlatformKeys) find(id string) (incident.PlatformKey, error) {
	k, ok := p.keys[id]
	if !ok {
		return incident.PlatformKey{}, fmt.Errorf("incidenttest: platform key %q: %w", id, incident.ErrNotFound)
	}
	return k, nil
}

// SetPlatformKey implements [incident.PlatformKeys].
func (p *PlatformKeys) SetPlatformKey(ctx context.Context, id string, on bool) (incident.PlatformKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	scripted := p.script.change(ctx, "SetPlatformKey")
	if scripted != nil && !isUnknown(scripted) {
		return incident.PlatformKey{}, scripted
	}
	k, err := p.find(id)
	if err != nil {
		return incident.PlatformKey{}, err
	}
	k.On = on && k.Reason == ""
	p.keys[id] = k
	if scripted != nil {
		return incident.PlatformKey{}, scripted
	}
	return k, nil
}

// AuditLog is an [incident.AuditLog] that has the events it was given.
type AuditLog struct {
	mu     sync.Mutex
	events []incident.AuditEvent
	script script
}

// Add adds events, in any order.
func (l *AuditLog) Add(events ...incident.AuditEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, events...)
}

// Fail makes the next sequences fail, one with each error; nil lets one pass.
func (l *AuditLog) Fail(errs ...error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.script.errors = append(l.script.errors, errs...)
}

// AuditEvents implements [incident.AuditLog].
func (l *AuditLog) AuditEvents(ctx context.Context, q incident.AuditQuery) iter.Seq2[incident.AuditEvent, error] {
	return func(yield func(incident.AuditEvent, error) bool) {
		events, err := l.choose(ctx, q)
		for _, e := range events {
			if err := ctx.Err(); err != nil {
				yield(incident.AuditEvent{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(incident.AuditEvent{}, err)
		}
	}
}

func (l *AuditLog) choose(ctx context.Context, q incident.AuditQuery) ([]incident.AuditEvent, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.script.next(ctx); err != nil {
		return nil, err
	}
	to := q.To
	if to.IsZero() {
		to = time.Now()
	}
	var out []incident.AuditEvent
	for _, e := range l.events {
		if !e.Time.Before(q.From) && e.Time.Before(to) && q.Wants(e.Kind) && (q.Actor == "" || q.Actor == e.Actor) {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b incident.AuditEvent) int { return b.Time.Compare(a.Time) })
	return out, nil
}

// Announcer is an [incident.Announcer] that remembers what it announced.
type Announcer struct {
	mu     sync.Mutex
	shown  map[string]incident.Announcement
	ids    map[string]int
	last   int
	script script
}

// Fail makes the next calls fail, one with each error; nil lets one pass. An
// incident.ErrOutcomeUnknown comes after the change was made.
func (n *Announcer) Fail(errs ...error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.script.errors = append(n.script.errors, errs...)
}

// Announcements returns what is announced, ordered by key.
func (n *Announcer) Announcements() []incident.Announcement {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]incident.Announcement, 0, len(n.shown))
	for _, a := range n.shown {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b incident.Announcement) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// Announce implements [incident.Announcer].
func (n *Announcer) Announce(ctx context.Context, a incident.Announcement) (incident.Announced, error) {
	if err := a.Validate(); err != nil {
		return incident.Announced{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	scripted := n.script.change(ctx, "Announce")
	if scripted != nil && !isUnknown(scripted) {
		return incident.Announced{}, scripted
	}
	if n.shown == nil {
		n.shown, n.ids = make(map[string]incident.Announcement), make(map[string]int)
	}
	_, had := n.shown[a.Key]
	if !had {
		n.last++
		n.ids[a.Key] = n.last
	}
	n.shown[a.Key] = a
	if scripted != nil {
		return incident.Announced{}, scripted
	}
	return incident.Announced{ID: fmt.Sprint(n.ids[a.Key]), Created: !had, Start: a.Start, End: a.End}, nil
}

// Withdraw implements [incident.Announcer].
func (n *Announcer) Withdraw(ctx context.Context, key string) error {
	if err := incident.ValidateKey(key); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	scripted := n.script.change(ctx, "Withdraw")
	if scripted == nil || isUnknown(scripted) {
		delete(n.shown, key)
	}
	return scripted
}
