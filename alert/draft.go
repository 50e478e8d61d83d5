package alert

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Draft is a post to a target with [Target.NeedsApproval], such as a mail to a vendor,
// that waits for a person.
type Draft struct {
	// ID names it; given by the router.
	ID string `json:"id"`
	// Target is who is to be told, Post what.
	Target string `json:"target"`
	Post   Post   `json:"post"`
	// At is when it was drafted.
	At time.Time `json:"at"`
}

// ErrNoDraft means that there is no draft of that ID: it was approved or discarded.
var ErrNoDraft = errors.New("no such draft")

// Drafts returns the posts that wait for approval, the oldest first.
func (r *Router) Drafts() []Draft {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Draft
	for _, d := range r.drafts {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b Draft) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	return list
}

// Approve sends a draft. by is the person who approves it, and stands in the post as who
// is responsible. It is sent once, however many approve it.
func (r *Router) Approve(ctx context.Context, id, by string) error {
	d, err := r.takeDraft(ctx, "approve", id, by, func(d Draft) error {
		if t := r.targets[d.Target]; t == nil || t.Audience != Everyone {
			return fmt.Errorf("%q is no target for everyone any more: discard the draft", d.Target)
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.Post.By = by
	r.queue(r.targets[d.Target], "post:"+d.Post.ID, queued{Kind: KindPost, Post: &d.Post, Last: d.Post.Last}, time.Now())
	return r.unlockAndStore(ctx)
}

// Discard drops a draft: it is not sent.
func (r *Router) Discard(ctx context.Context, id, by string) error {
	if _, err := r.takeDraft(ctx, "discard", id, by, func(Draft) error { return nil }); err != nil {
		return err
	}
	return r.unlockAndStore(ctx)
}

// takeDraft takes a draft that may be taken out of those that wait, and returns with the lock
// held unless there is an error.
func (r *Router) takeDraft(ctx context.Context, what, id, by string, may func(Draft) error) (Draft, error) {
	if by == "" {
		return Draft{}, fmt.Errorf("alert: %s a draft: who does it is missing", what)
	}
	if err := r.begin(ctx, what+" a draft"); err != nil {
		return Draft{}, err
	}
	d, ok := r.drafts[id]
	err := ErrNoDraft
	if ok {
		err = may(d)
	}
	if err != nil {
		r.mu.Unlock()
		return Draft{}, fmt.Errorf("alert: %s draft %.64q: %w", what, id, err)
	}
	delete(r.drafts, id)
	r.touch("draft", id)
	return d, nil
}

// draft keeps a post until it is approved.
func (r *Router) draft(t *target, p Post, now time.Time) {
	d := Draft{ID: rand.Text(), Target: t.Name, Post: p, At: now}
	r.drafts[d.ID] = d
	r.touch("draft", d.ID)
}
