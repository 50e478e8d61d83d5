package alert

import (
	"maps"
	"slices"
	"time"
)

// say makes the next message of a thread.
func (r *Router) say(th *thread, kind Kind, c *changes, now time.Time) {
	if th.Key == "" {
		th.Key = conversationKey(th.Target, th.Group, now)
	}
	if th.isDigest() && kind != KindResolved && kind != KindReminder {
		kind = KindDigest
	}
	for _, list := range [][]*Alert{c.news, c.worse, c.over, c.firing} {
		slices.SortFunc(list, worstFirst)
	}
	m := &outgoing{Made: now, Tells: make(map[string]told, len(c.news)+len(c.firing))}
	for _, list := range [][]*Alert{c.news, c.firing} {
		for _, a := range list {
			m.Tells[a.Key] = told{Severity: a.Severity, Flapping: a.Flapping, By: ackedBy(a)}
			r.tell(th, a.Key)
		}
	}
	for _, a := range c.over {
		m.Ends = append(m.Ends, a.Key)
	}
	m.Notification = view{now, r.cfg.Zone}.render(kind, c, th)
	r.put(th, m, now)
}

// sayQueued makes the next post or notice a message.
func (r *Router) sayQueued(th *thread, now time.Time) {
	r.gather(th, now)
	q := th.Queue[0]
	q.Post = view{now, r.cfg.Zone}.waited(&q)
	th.Queue = slices.Clone(th.Queue[1:]) // or the posts of a year stay in memory
	if th.Key == "" {
		th.Key = conversationKey(th.Target, th.Group, now)
	}
	n := Notification{Kind: q.Kind, Title: q.Title, Text: q.Text, Post: q.Post, At: now}
	if q.Post != nil {
		n.Title, n.Text = cut(line(q.Post.Title), 200), view{now, r.cfg.Zone}.post(q.Post)
	}
	r.put(th, &outgoing{Notification: n, Queued: &q, Made: now}, now)
}

// put makes a message that which is sent next.
func (r *Router) put(th *thread, m *outgoing, now time.Time) {
	m.Notification.Key, m.Notification.Seq, m.Notification.Prior = th.Key, th.Seq+1, th.Receipt
	th.Message, th.Waiting = m, time.Time{}
	if th.target.limit != nil {
		th.target.limit.count(now)
	}
	r.touchThread(th)
	r.overdue(th, m, now)
	r.ready(th, now)
}

// digest gives alerts to the digest of the target, which has too many conversations.
func (r *Router) digest(th *thread, news []*Alert, now time.Time) {
	if th.Covered == nil {
		th.Covered = make(map[string]bool, len(news))
	}
	for _, a := range news {
		th.Covered[a.Key] = true
		r.cover(th.target, r.alerts[a.Key], now)
	}
	r.touchThread(th)
}

// cover puts an alert into the digest of a target.
func (r *Router) cover(tg *target, t *tracked, now time.Time) {
	id := digestPrefix + tg.Name
	g := r.groups[id]
	if g == nil {
		g = &group{id: id, members: make(map[string]*tracked)}
		r.groups[id] = g
		r.thread(tg, g)
	}
	if !slices.Contains(t.groups, g) {
		t.groups = append(t.groups, g)
	}
	r.join(t, g, now)
}

// arrived takes note that a message has arrived.
func (r *Router) arrived(th *thread, m *outgoing, receipt Receipt, now time.Time) {
	th.Receipt, th.Refused = receipt, false
	th.believes(m.Tells)
	r.settle(th, m, now)
}

// believes takes note of what the target believes by now.
func (th *thread) believes(tells map[string]told) {
	if th.Told == nil {
		th.Told = tells // which the message needs no more, but to be read
		return
	}
	maps.Copy(th.Told, tells)
}

// settle ends a message that has arrived, or will never.
func (r *Router) settle(th *thread, m *outgoing, now time.Time) {
	for _, key := range m.Ends {
		r.untell(th, key)
	}
	th.Message, th.Seq, th.Sent = nil, m.Notification.Seq, now
	r.remind(th, m.Notification.Kind, now)
	if q := m.Queued; q != nil && q.Last || q == nil && len(th.Told) == 0 {
		// The conversation is over; what comes next begins another one.
		th.Key, th.Seq, th.Receipt, th.Reminders, th.RemindAt = "", 0, "", 0, time.Time{}
	}
	r.touchThread(th)
	r.schedule(th, now)
}

// remind sets when the next reminder is due.
func (r *Router) remind(th *thread, kind Kind, now time.Time) {
	if th.target.RemindAfter < 0 || len(th.Told) == 0 {
		th.RemindAt = time.Time{}
		return
	}
	if kind == KindReminder {
		th.Reminders++
	}
	if kind == KindReminder || th.RemindAt.IsZero() {
		most := max(th.target.RemindMost, th.target.RemindAfter)
		wait := th.target.RemindAfter
		for range th.Reminders {
			if wait *= 2; wait >= most {
				break
			}
		}
		th.RemindAt = now.Add(min(wait, most))
	}
}
