package alert

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Limit is how much people are told at one address, through however many targets. It is
// for a chat or a mailbox that nobody reads any more when it is full.
//
// What is urgent is always sent, and counts: that a critical alert is new, that one became
// critical, that somebody takes care of everything where something is critical, that
// nothing is any more where something was; posts that are [Post.Urgent], and notices. All
// else has a half of what there may be: half of that is sent as it comes, the rest with
// longer and longer pauses, and then nothing until the hour is over. Nothing is lost that
// way. A conversation says in one message what changed while it waited, and what began and
// ended meanwhile is no news; further conversations that wait to begin become the digest of
// their target; and posts on which nothing follows become one message. So no more than Most
// are sent within the time, unless more than the other half of it is urgent.
//
// What was sent before a restart is known as far as the [Store] has it: the last message of
// each conversation counts.
type Limit struct {
	// Targets are the names of those that lead to the address. At least one; none of them
	// pages or needs approval, and none is of two limits.
	Targets []string
	// Most is how many messages there may be Within a time. At least 4. Zero Within means an
	// hour.
	Most   int
	Within time.Duration
}

// limitProblems are those of the limits.
func (c RouterConfig) limitProblems(targets map[string]Target) (problems []error) {
	bad := func(i int, format string, args ...any) {
		problems = append(problems, fmt.Errorf("alert: router: limit %d: %w", i+1, fmt.Errorf(format, args...)))
	}
	limited := make(map[string]bool)
	for i, l := range c.Limits {
		if l.Most < 4 || l.Within < 0 {
			bad(i, "Most is less than 4, or Within is negative")
		}
		if len(l.Targets) == 0 {
			bad(i, "names no target")
		}
		for _, name := range l.Targets {
			switch t, ok := targets[name]; {
			case !ok:
				bad(i, "there is no target %q", name)
			case t.Pages || t.NeedsApproval:
				bad(i, "target %q pages or needs approval: what it is told does not wait", name)
			case limited[name]:
				bad(i, "target %q is of two limits", name)
			}
			limited[name] = true
		}
	}
	return problems
}

// A limiter is a Limit with what was sent lately. It belongs to the lock of the router.
type limiter struct {
	most   int
	within time.Duration
	sent   []time.Time // within the time, the oldest first
	held   map[*thread]struct{}
}

// limiters gives the targets of the limits what they share.
func (r *Router) limiters() {
	for _, l := range r.cfg.Limits {
		shared := &limiter{most: l.Most, within: cmp.Or(l.Within, time.Hour), held: make(map[*thread]struct{})}
		for _, name := range l.Targets {
			r.targets[name].limit = shared
		}
	}
}

// count takes note of a message.
func (l *limiter) count(at time.Time) {
	i, _ := slices.BinarySearchFunc(l.sent, at, time.Time.Compare)
	l.sent = slices.Insert(l.sent, i, at)
}

// room is when what can wait may be sent.
func (l *limiter) room(now time.Time) time.Time {
	l.sent = slices.DeleteFunc(l.sent, func(at time.Time) bool { return now.Sub(at) >= l.within })
	free, most, n := l.most/4, l.most/2, len(l.sent)
	if n < free {
		return now
	}
	at := l.sent[n-1].Add(l.within / time.Duration(max(l.most-n, l.most-most)))
	if n >= most { // until so many are forgotten that there is room for one
		at = later(at, l.sent[n-most].Add(l.within))
	}
	return later(at, now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// hold reports whether what a thread has to say has to wait for its limit, and lets it be
// looked at again when there is room.
func (r *Router) hold(th *thread, urgent bool, now time.Time) bool {
	l := th.target.limit
	if l == nil || urgent {
		return false
	}
	at := l.room(now)
	if !at.After(now) {
		return false
	}
	l.held[th] = struct{}{}
	r.schedule(th, at)
	return true
}

// release takes note that a thread does not wait for its limit, or is looked at again.
func (th *thread) release() {
	if th.target.limit != nil {
		delete(th.target.limit.held, th)
	}
}

// held reports whether a thread waits for its limit.
func (th *thread) held() bool {
	if th.target.limit == nil {
		return false
	}
	_, held := th.target.limit.held[th]
	return held
}

// crowds reports whether another conversation of the target waits to begin.
func (th *thread) crowds() bool {
	for other := range th.target.limit.held {
		if other != th && other.target == th.target && other.group != nil && other.Key == "" && !other.isDigest() {
			return true
		}
	}
	return false
}

// isUrgent reports whether a message about alerts is one that no limit keeps waiting.
func (c *changes) isUrgent(kind Kind) bool {
	critical := func(a *Alert) bool { return a.Severity == Critical }
	switch {
	case c.critical:
		return true
	case slices.ContainsFunc(c.over, critical) && !slices.ContainsFunc(c.firing, critical):
		return true
	case c.takenBy() != "":
		return slices.ContainsFunc(c.firing, critical)
	}
	return slices.ContainsFunc(c.worse, func(a *Alert) bool { return critical(a) && c.was[a.Key].Severity != Critical })
}

// isUrgent reports whether something is one of those messages that no limit keeps waiting.
func (q *queued) isUrgent() bool { return q.Post == nil || q.Post.Urgent }

// stands reports whether all that a thread has to say is one post that needs no other.
func (th *thread) stands() bool {
	if th.Key != "" || th.Message != nil || len(th.Queue) != 1 {
		return false
	}
	p := th.Queue[0].Post
	return p != nil && p.Last && p.Status == "" && len(p.Components) == 0 && p.From.IsZero()
}

// gather makes one post of that of a thread and of those that wait with it at its target.
func (r *Router) gather(th *thread, now time.Time) {
	l := th.target.limit
	if l == nil || !th.stands() || th.Queue[0].isUrgent() {
		return
	}
	all := []*thread{th}
	for other := range l.held {
		if other != th && other.target == th.target && other.stands() {
			all = append(all, other)
		}
	}
	if len(all) == 1 {
		return
	}
	slices.SortFunc(all, func(a, b *thread) int {
		return cmp.Or(a.Queue[0].At.Compare(b.Queue[0].At), strings.Compare(a.Group, b.Group))
	})
	all = all[:min(len(all), maxShown)]
	if !slices.Contains(all, th) {
		all[len(all)-1] = th
	}
	digest := view{now, r.cfg.Zone}.posts(all)
	for _, other := range all {
		if other != th {
			other.Queue = nil
			other.release()
			r.touchThread(other)
			r.schedule(other, now)
		}
	}
	digest.ID = th.Queue[0].Post.ID
	th.Queue[0].Post, th.Queue[0].At = &digest, time.Time{} // it says of each when it was
}

// posts is one post that has what several say, the oldest first.
func (v view) posts(all []*thread) Post {
	first := all[0].Queue[0]
	digest := Post{By: first.Post.By, Last: true}
	var titles []string
	var body strings.Builder
	for _, th := range all {
		p := th.Queue[0].Post
		titles = append(titles, line(p.Title))
		fmt.Fprintf(&body, "%s: %s\n", v.clock(th.Queue[0].At), line(p.Title))
		if text := strings.TrimSpace(p.Body); text != "" {
			fmt.Fprintf(&body, "%s\n", cut(text, maxGathered))
		}
		body.WriteString("\n")
		if p.By != digest.By {
			digest.By = ""
		}
	}
	digest.Title = cut(fmt.Sprintf("%d messages since %s: %s", len(all), v.clock(first.At), strings.Join(titles, "; ")), 200)
	digest.Body = body.String()
	return digest
}

// maxGathered is how much of a post there is in a digest, in characters.
const maxGathered = 1500

// waited is a post as it is sent after it waited for its limit: it says since when.
func (v view) waited(q *queued) *Post {
	if q.Post == nil || q.At.IsZero() || v.now.Sub(q.At) < 5*time.Minute {
		return q.Post
	}
	p := *q.Post
	p.Components = maps.Clone(p.Components)
	p.Body = strings.TrimSpace(p.Body + fmt.Sprintf("\n\nIt waited, since there was much to tell: it says what was known at %s.", v.clock(q.At)))
	return &p
}

// countSent counts what is known of before a restart.
func (r *Router) countSent(now time.Time) {
	for _, th := range r.threads {
		if l := th.target.limit; l != nil && !th.Sent.IsZero() && !th.Sent.After(now) && now.Sub(th.Sent) < l.within {
			l.count(th.Sent)
		}
	}
}
