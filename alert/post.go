package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.acu.edu.au/runbook"
)

// Post tells everyone what somebody wrote: to all targets of the audience Everyone, or
// to those that are named. Posts of one ID arrive in the order in which they were
// posted, in one thread. Nothing mutes them, but a [Limit] may let those wait that are not
// [Post.Urgent]. Of a target with NeedsApproval, which must be
// named, it becomes a [Draft].
//
// What is no alert and is for operators, such as a question to them, is posted too: to a
// target of its own for their chat, by its name. A host that has such a target names those
// of everyone else as well.
func (r *Router) Post(ctx context.Context, p Post, targets ...string) error {
	now := time.Now()
	p.Components = maps.Clone(p.Components)
	if !isID(p.ID, 100) || line(p.Title) == "" {
		return errors.New("alert: post: the ID, of at most 100 printable characters, or the title is missing")
	}
	if _, err := json.Marshal(p); err != nil {
		return fmt.Errorf("alert: post: it cannot be stored: %w", err)
	}
	if err := r.begin(ctx, "post"); err != nil {
		return err
	}
	chosen, err := r.everyone(targets)
	if err != nil {
		r.mu.Unlock()
		return err
	}
	for _, t := range chosen {
		if t.NeedsApproval {
			r.draft(t, p, now)
			continue
		}
		r.queue(t, "post:"+p.ID, queued{Kind: KindPost, Post: &p, Last: p.Last}, now)
	}
	return r.unlockAndStore(ctx)
}

func (r *Router) everyone(names []string) (chosen []*target, err error) {
	if len(names) == 0 {
		for _, t := range r.cfg.Targets {
			if t.Audience == Everyone && !t.NeedsApproval {
				names = append(names, t.Name)
			}
		}
	}
	if len(names) == 0 {
		return nil, errors.New("alert: post: there is no target for everyone")
	}
	for _, name := range names {
		t := r.targets[name]
		if t == nil || t.Audience != Everyone {
			return nil, fmt.Errorf("alert: post: %q is no target for everyone", name)
		}
		if !slices.Contains(chosen, t) {
			chosen = append(chosen, t)
		}
	}
	return chosen, nil
}

// Test sends a test message to a target, at once and past the store, and returns
// whether it arrived. The message says that it is one, and who sent it.
func (r *Router) Test(ctx context.Context, name, by string) error {
	if runbook.IsReadOnly(ctx) {
		return fmt.Errorf("alert: test: %w", runbook.ErrReadOnly)
	}
	r.mu.Lock()
	t := r.targets[name]
	r.mu.Unlock()
	if t == nil {
		return fmt.Errorf("alert: test: there is no target %q", name)
	}
	if by == "" {
		return errors.New("alert: test: who sends it is missing")
	}
	now := time.Now()
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	n := Notification{
		Key: conversationKey(name, "test", now), Seq: 1, Kind: KindTest, At: now, Severity: Low,
		Title: "TEST, nothing is wrong: a message to " + name, Text: testText(name, by, view{now, r.cfg.Zone}),
	}
	if t.Audience == Everyone {
		n.Severity, n.Post = 0, &Post{ID: "test", Title: n.Title, Body: n.Text, By: by, Last: true}
	}
	_, err := notify(ctx, t.Notifier, n)
	return err
}
