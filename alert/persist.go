package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// touch takes note that a record has changed, or is gone.
func (r *Router) touch(kind, id string) {
	if r.cfg.Store != nil {
		r.dirty[recordName{kind, id}] = struct{}{}
	}
}

func (r *Router) touchThread(th *thread) {
	if r.cfg.Store != nil {
		r.touch("thread", threadID(th.Target, th.Group))
	}
}

// unlockAndStore unlocks, and waits until everything that has changed is written.
// Several callers at once share one write.
func (r *Router) unlockAndStore(ctx context.Context) error {
	if !r.storing {
		if r.lookMuted {
			r.nudge()
		}
		r.mu.Unlock()
		return nil
	}
	done := make(chan error, 1)
	r.waiting = append(r.waiting, done)
	r.mu.Unlock()
	r.nudge()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("alert: accepted, and not known to be stored: %w", ctx.Err())
	}
}

// takeDirty returns what is to be written, and who waits for it.
func (r *Router) takeDirty() (records []Record, waiting []chan error) {
	waiting, r.waiting = r.waiting, nil
	r.batch++
	for name := range r.dirty {
		data, err := r.encode(name)
		if err != nil { // what is stored of it is left alone
			r.cfg.Logger.Warn("alert: a record cannot be encoded", "kind", name.kind, "id", name.id, "error", err)
			continue
		}
		records = append(records, Record{Kind: name.kind, ID: name.id, Data: data})
	}
	clear(r.dirty)
	return records, waiting
}

// encode returns a record as it is now; nil if it is gone.
func (r *Router) encode(name recordName) ([]byte, error) {
	var v any
	switch name.kind {
	case "alert":
		if t := r.alerts[name.id]; t != nil {
			v = t.alert
		}
	case "thread":
		if th := r.threads[name.id]; th != nil && !th.isEmpty() {
			v = th.threadState
		}
	case "silence":
		if s, ok := r.silences[name.id]; ok {
			v = s
		}
	case "draft":
		if d, ok := r.drafts[name.id]; ok {
			v = d
		}
	case "dead":
		for _, d := range r.dead {
			if deadID(d) == name.id {
				v = d
			}
		}
	}
	if v == nil {
		return nil, nil
	}
	return json.Marshal(v)
}

// isEmpty reports that nothing of a thread has to survive.
func (th *thread) isEmpty() bool {
	s := th.threadState
	return s.Key == "" && len(s.Told) == 0 && s.Message == nil && len(s.Queue) == 0 && len(s.Covered) == 0 && s.Waiting.IsZero() && s.Instead == ""
}

// write writes what has changed. After an error everything is written again.
func (r *Router) write(ctx context.Context, records []Record, waiting []chan error) error {
	var err error
	if len(records) > 0 {
		// A write that is stopped half way would leave open whether it was made.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.outage.limit())
		began := time.Now()
		err = r.cfg.Store.Write(limited, records)
		cancel()
		r.outage.wrote(err, began, time.Now())
	}
	if len(records)+len(waiting) == 0 {
		return nil
	}
	r.mu.Lock()
	if err == nil {
		r.written = r.batch - 1
	} else {
		for _, record := range records {
			r.dirty[recordName{record.Kind, record.ID}] = struct{}{}
		}
	}
	r.mu.Unlock()
	switch {
	case err == nil:
	case errors.Is(err, ErrNotOwner):
		err = fmt.Errorf("alert: write to the store: %w", err)
	default:
		err = fmt.Errorf("alert: write to the store: %w", err)
		r.cfg.Logger.Warn("alert: the store does not take a write; it is tried again", "error", err)
	}
	for _, w := range waiting {
		w <- err
	}
	return err
}

// load reads the store.
func (r *Router) load(ctx context.Context) error {
	now := time.Now()
	var states []threadState
	for record, err := range r.cfg.Store.Open(ctx) {
		if err != nil {
			return err
		}
		if err := r.loadRecord(record, &states); err != nil {
			r.cfg.Logger.Warn("alert: a record cannot be read and is left alone", "kind", record.Kind, "id", record.ID, "error", err)
		}
	}
	for _, s := range states {
		r.loadThread(s, now)
	}
	for _, t := range r.alerts {
		r.countParents(&t.alert, 1)
		if t.alert.State == Firing {
			r.route(t, now)
			r.explained(t)
		}
	}
	for _, th := range r.threads { // those of fallbacks are in no route
		if g := r.groups[th.Group]; g != nil && th.Instead != "" && !th.target.isOrphan() {
			r.thread(th.target, g)
		}
	}
	r.loadCovered(now)
	for _, t := range r.alerts {
		r.forget(t) // all who had to be told were told
	}
	if slices.SortFunc(r.dead, byAge); len(r.dead) > maxDead {
		r.dead = r.dead[len(r.dead)-maxDead:]
	}
	for _, th := range r.threads {
		r.schedule(th, now)
	}
	r.countSent(now)
	return nil
}

func (r *Router) loadRecord(record Record, states *[]threadState) error {
	switch record.Kind {
	case "alert":
		var a Alert
		if err := json.Unmarshal(record.Data, &a); err != nil {
			return err
		}
		r.alerts[a.Key] = &tracked{alert: a}
	case "thread":
		var s threadState
		if err := json.Unmarshal(record.Data, &s); err != nil {
			return err
		}
		*states = append(*states, s)
	case "silence":
		var s Silence
		if err := json.Unmarshal(record.Data, &s); err != nil {
			return err
		}
		r.silences[s.ID] = s
	case "draft":
		var d Draft
		if err := json.Unmarshal(record.Data, &d); err != nil {
			return err
		}
		r.drafts[d.ID] = d
	case "dead":
		var d Delivery
		if err := json.Unmarshal(record.Data, &d); err != nil {
			return err
		}
		r.dead = append(r.dead, d)
	}
	return nil
}

// threadLife is for how long a thread of posts is kept without a new one.
const threadLife = 90 * 24 * time.Hour

// loadThread takes up a conversation. What was on its way may have arrived.
func (r *Router) loadThread(s threadState, now time.Time) {
	if s.Message == nil && len(s.Told) == 0 && len(s.Queue) == 0 && now.Sub(s.Sent) > threadLife && !s.Sent.IsZero() {
		r.touch("thread", threadID(s.Target, s.Group))
		return
	}
	t := r.targets[s.Target]
	if t == nil {
		t = r.orphan(s.Target)
	}
	if m := s.Message; m != nil {
		if m.Sending {
			m.Sending, m.Notification.PossibleRepeat = false, true
		}
		m.After = earlier(m.After, now.Add(time.Hour))
	}
	// The clock may have been wrong when these were written.
	s.Waiting = earlier(s.Waiting, now)
	s.RemindAt = earlier(s.RemindAt, now.Add(max(t.RemindAfter, t.RemindMost)))
	th := &thread{threadState: s, target: t, index: -1}
	r.threads[threadID(s.Target, s.Group)] = th
	for key := range s.Told {
		r.tell(th, key)
	}
	if s.Message != nil {
		for key := range s.Message.Tells {
			r.tell(th, key)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// orphan stands for a target that is no longer configured. It refuses everything, so that
// what was to be told there is listed; if it comes back before an alert is over, it is told
// that it is.
func (r *Router) orphan(name string) *target {
	r.cfg.Logger.Warn("alert: a target is no longer configured; it is told nothing any more", "target", name)
	gone := Target{Name: name, RemindAfter: -1, Notifier: NotifierFunc(func(context.Context, Notification) (Receipt, error) {
		return "", &Error{Service: "router", Op: "find target " + name, Kind: ErrRefused, Err: errors.New("it is no longer configured")}
	})}
	gone.setDefaults()
	gone.Audience = orphaned
	r.targets[name] = newTarget(gone)
	return r.targets[name]
}

// orphaned is the audience of a target that is no longer configured.
const orphaned Audience = "orphaned"

func (t *target) isOrphan() bool { return t.Audience == orphaned }

// loadCovered gives alerts back to the digests that told them.
func (r *Router) loadCovered(now time.Time) {
	for _, th := range slices.Collect(maps.Values(r.threads)) {
		for key := range th.Covered {
			if t := r.alerts[key]; t != nil && t.alert.State == Firing && !th.target.isOrphan() {
				r.cover(th.target, t, now)
				continue
			}
			delete(th.Covered, key)
			r.touchThread(th)
		}
	}
}
