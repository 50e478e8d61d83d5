package alert

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A thread is one conversation with one target: about a group, or about what somebody
// posted.
type thread struct {
	threadState
	target *target
	group  *group // nil if no alert of the group fires any more

	// GivenUp are the alerts that the target refused to be told of, as severe as they
	// were. Refused means that it refused the last message. They end with the program: the
	// next one may have another token, and tries once more.
	GivenUp map[string]Severity
	Refused bool

	muted   bool      // it has alerts that it does not tell
	waits   bool      // it has something to tell, and is looked at when the time has come
	hurries bool      // and that is as soon as it may be
	inLine  bool      // its message waits for its turn
	next    time.Time // when to look at it; zero if it is not in the heap
	index   int
}

// threadState is what is stored of a thread.
type threadState struct {
	// Target and Group name it.
	Target string `json:"target"`
	Group  string `json:"group"`
	// Key names the conversation to the target; empty if none is under way. Seq is
	// the number of the last message, Receipt that of the last that arrived.
	Key     string  `json:"key,omitempty"`
	Seq     int     `json:"seq,omitempty"`
	Receipt Receipt `json:"receipt,omitempty"`
	// Told is what the target believes to fire.
	Told map[string]told `json:"told,omitempty"`
	// Waiting is since when there is something to tell that waits for more.
	Waiting time.Time `json:"waiting,omitzero"`
	// Sent is when the last message arrived.
	Sent time.Time `json:"sent,omitzero"`
	// RemindAt is when the next reminder is due, Reminders how many there were.
	RemindAt  time.Time `json:"remind_at,omitzero"`
	Reminders int       `json:"reminders,omitempty"`
	// Message is what is to be sent next, or is on its way.
	Message *outgoing `json:"message,omitempty"`
	// Queue are posts and notices that follow.
	Queue []queued `json:"queue,omitempty"`
	// Covered are the alerts that the digest of the target tells instead.
	Covered map[string]bool `json:"covered,omitempty"`
	// Instead is the target whose fallback this is.
	Instead string `json:"instead,omitempty"`
}

// told is how an alert was told.
type told struct {
	Severity Severity `json:"severity"`
	Flapping bool     `json:"flapping,omitempty"`
	By       string   `json:"by,omitempty"` // who acknowledged it
}

// queued is a message that is not about alerts.
type queued struct {
	Kind  Kind   `json:"kind"`
	Title string `json:"title,omitempty"`
	Text  string `json:"text,omitempty"`
	Post  *Post  `json:"post,omitempty"`
	Last  bool   `json:"last,omitempty"` // nothing follows
	// Tried are the targets that did not take it.
	Tried []string `json:"tried,omitempty"`
	// At is when it was written.
	At time.Time `json:"at,omitzero"`
}

// outgoing is a message until it has arrived.
type outgoing struct {
	Notification Notification    `json:"notification"`
	Tells        map[string]told `json:"tells,omitempty"` // what is told when it has arrived
	Ends         []string        `json:"ends,omitempty"`  // and what is over
	Queued       *queued         `json:"queued,omitempty"`

	Made     time.Time `json:"made"`
	Attempts int       `json:"attempts,omitempty"`
	After    time.Time `json:"after,omitzero"` // not before
	Sending  bool      `json:"sending,omitempty"`
	FellBack bool      `json:"fell_back,omitempty"`

	hangs bool // its attempt does not end
}

// digestPrefix is what the names of groups begin with that are digests. No other has a
// colon before its first bar.
const digestPrefix = "digest:"

func (th *thread) isDigest() bool { return strings.HasPrefix(th.Group, digestPrefix) }

// appendGroupID names the group of a route to which an alert belongs.
func appendGroupID(id []byte, route *Route, a *Alert) []byte {
	id = append(id, route.Name...)
	plain := true
	for _, label := range route.GroupBy {
		id = append(id, '|')
		value := a.label(label)
		if !isPlain(value) {
			plain = false
		}
		if strings.ContainsAny(value, "%|") { // or two groups could have one name
			value = strings.ReplaceAll(strings.ReplaceAll(value, "%", "%25"), "|", "%7C")
		}
		id = append(id, value...)
	}
	if len(id) <= maxGroupID && (plain || isID(string(id), maxGroupID)) {
		return id
	}
	sum := sha256.Sum256(id)
	return fmt.Appendf(nil, "%s|#%x", route.Name, sum[:16])
}

const maxGroupID = 120

func threadID(target, group string) string { return target + "|" + group }

// conversationKey names a conversation to its target.
func conversationKey(target, group string, began time.Time) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%d", target, group, began.UnixNano()))
	return hex.EncodeToString(sum[:16])
}

// thread returns the thread of a target and a group.
func (r *Router) thread(t *target, g *group) *thread {
	th := r.threadOf(t, g.id)
	th.group = g
	if !slices.Contains(g.threads, th) {
		g.threads = append(g.threads, th)
	}
	return th
}

func (r *Router) threadOf(t *target, about string) *thread {
	id := threadID(t.Name, about)
	th := r.threads[id]
	if th == nil {
		th = &thread{threadState: threadState{Target: t.Name, Group: about}, target: t, index: -1}
		r.threads[id] = th
	}
	return th
}

// queue adds a message that is not about alerts to a thread of its own.
func (r *Router) queue(t *target, about string, q queued, now time.Time) {
	th := r.threadOf(t, about)
	if q.At.IsZero() {
		q.At = now
	}
	th.Queue = append(th.Queue, q)
	r.touchThread(th)
	r.schedule(th, now)
}

// look decides what a thread says next, if anything, and when to look again. It is
// called when the thread is due.
func (r *Router) look(th *thread, now time.Time) {
	th.muted, th.waits, th.hurries = false, false, false
	th.release()
	switch {
	case th.Message != nil:
		r.overdue(th, th.Message, now)
		if !th.Message.Sending {
			r.ready(th, now)
		}
		return
	case len(th.Queue) > 0:
		if !r.hold(th, slices.ContainsFunc(th.Queue, func(q queued) bool { return q.isUrgent() }), now) {
			r.sayQueued(th, now)
		}
		return
	case th.group == nil && len(th.Told) == 0 && th.Key == "":
		delete(r.threads, threadID(th.Target, th.Group)) // nothing is left of it
		r.touchThread(th)
		return
	}
	c := r.changes(th, now)
	at, kind := r.when(th, &c, now)
	if th.muted {
		r.schedule(th, now.Add(time.Minute)) // windows begin and end
	}
	switch {
	case kind == "":
		if !at.IsZero() {
			th.waits, th.hurries = len(c.news)+len(c.over) > 0, c.critical
			r.schedule(th, at)
		}
	case r.hold(th, c.isUrgent(kind), now):
		if th.waits = true; kind == KindFiring && !th.isDigest() && th.crowds() {
			th.release()
			r.digest(th, c.news, now)
		}
	case kind == KindFiring && !th.isDigest() && th.target.storms(now):
		r.digest(th, c.news, now)
	default:
		r.say(th, kind, &c, now)
	}
}

// tell takes note that a thread tells of an alert; untell, that it does no longer.
func (r *Router) tell(th *thread, key string) {
	if t := r.alerts[key]; t != nil && !slices.Contains(t.tellers, th) {
		t.tellers = append(t.tellers, th)
	}
}

func (r *Router) untell(th *thread, key string) {
	delete(th.Told, key)
	if t := r.alerts[key]; t != nil {
		t.tellers = slices.DeleteFunc(t.tellers, func(other *thread) bool { return other == th })
		r.forget(t)
	}
}

// toldElsewhere reports whether another conversation with the same target tells of an
// alert: because routes lead there twice, or did before the configuration was changed.
func (t *tracked) toldElsewhere(th *thread) bool {
	return slices.ContainsFunc(t.tellers, func(other *thread) bool { return other != th && other.target == th.target })
}

// changes is what a thread has not told yet. Its alerts belong to the lock of the router.
type changes struct {
	news   []*Alert        // fire, and were not told
	worse  []*Alert        // were told, and are worse now, or flap, or are acknowledged
	over   []*Alert        // were told, and are over
	firing []*Alert        // were told, and still fire
	was    map[string]told // as those were told that are worse

	urgent   bool // must not wait
	critical bool // a critical alert is new
	taken    bool // somebody takes care of something
	acked    bool // everything that was told is acknowledged
}

func (r *Router) changes(th *thread, now time.Time) (c changes) {
	if th.group != nil {
		for key, t := range th.group.members {
			if _, known := th.Told[key]; known || th.Covered[key] || t.toldElsewhere(th) {
				continue
			}
			if severity, ok := th.GivenUp[key]; ok && t.alert.Severity >= severity {
				continue
			}
			if r.whyMuted(t, th, now) != "" {
				th.muted = true
				continue
			}
			c.news = append(c.news, &t.alert)
			c.critical = c.critical || t.alert.Severity == Critical
		}
	}
	c.acked = len(th.Told) > 0
	for key, was := range th.Told {
		t := r.alerts[key]
		if t == nil || t.alert.State != Firing {
			c.over = append(c.over, ended(t, key, was))
			continue
		}
		c.firing = append(c.firing, &t.alert)
		c.acked = c.acked && ackedBy(&t.alert) != ""
		r.worse(th, t, was, &c, now)
	}
	return c
}

// worse adds an alert to the changes if it is worse than it was told, flaps, or somebody
// takes care of it. Whatever is muted, that is told: others wait for them.
func (r *Router) worse(th *thread, t *tracked, was told, c *changes, now time.Time) {
	a := &t.alert
	by := ackedBy(a)
	acked := by != "" && by != was.By
	worse := a.Severity < was.Severity || a.Flapping && !was.Flapping
	if !acked && !worse {
		return
	}
	if !acked && r.whyMuted(t, th, now) != "" {
		th.muted = true
		return
	}
	if c.was == nil {
		c.was = make(map[string]told)
	}
	c.was[a.Key] = was
	c.worse, c.taken, c.urgent = append(c.worse, a), c.taken || acked, c.urgent || worse && !th.isDigest()
}

// ended is an alert that was told and is over.
func ended(t *tracked, key string, was told) *Alert {
	if t == nil { // its record is gone, which only a hand in the store can do
		return &Alert{Key: key, Rule: "unknown", State: Resolved, Severity: was.Severity, Summary: "an alert of which no more is known"}
	}
	a := t.alert
	a.State = Resolved
	return &a
}

func ackedBy(a *Alert) string {
	if a.Acknowledged == nil {
		return ""
	}
	return a.Acknowledged.By
}

func worstFirst(a, b *Alert) int {
	if a.Severity != b.Severity {
		return int(a.Severity) - int(b.Severity)
	}
	if c := a.Began.Compare(b.Began); c != 0 {
		return c
	}
	return cmp.Or(strings.Compare(a.Entity, b.Entity), strings.Compare(a.Key, b.Key))
}

// when says what kind of message is due now, or when one will be.
func (r *Router) when(th *thread, c *changes, now time.Time) (at time.Time, kind Kind) {
	route := th.route()
	switch {
	case len(th.Told) == 0 && len(c.news) == 0:
		r.waitSince(th, time.Time{})
		return time.Time{}, ""
	case len(th.Told) == 0:
		r.waitSince(th, now)
		at = th.Waiting.Add(max(0, route.Wait))
		if c.critical && !th.isDigest() || !at.After(now) {
			return now, KindFiring
		}
		return at, ""
	case len(c.over) == len(th.Told) && len(c.news) == 0:
		return now, KindResolved
	case c.urgent, c.taken && c.acked:
		return now, updateKind(c)
	case len(c.news)+len(c.over)+len(c.worse) > 0:
		r.waitSince(th, now)
		if at = th.updateAt(c); !at.After(now) {
			return now, updateKind(c)
		}
	default:
		r.waitSince(th, time.Time{})
	}
	// What waits does not keep a reminder from coming.
	remind, kind := r.reminder(th, c, now)
	if at.IsZero() || !remind.IsZero() && remind.Before(at) {
		at = remind
	}
	return at, kind
}

// updateAt is when changes are told that can wait.
func (th *thread) updateAt(c *changes) time.Time {
	route := th.route()
	soon := min(route.Update, max(0, route.Wait))
	switch {
	case c.taken:
		return th.Waiting.Add(min(soon, takenWait))
	case th.isDigest():
		return th.Sent.Add(route.Update)
	case c.critical:
		return th.Sent.Add(soon)
	case len(c.over) > 0:
		return th.Waiting.Add(soon) // more may end with it, or all
	}
	return th.Sent.Add(route.Update)
}

// takenWait is how long that somebody takes care of an alert waits for more that they take,
// where there is more: who acknowledges an incident takes one after the other.
const takenWait = 5 * time.Second

// waitSince takes note since when there is something to tell; zero means that there is
// nothing.
func (r *Router) waitSince(th *thread, t time.Time) {
	if th.Waiting.IsZero() != t.IsZero() {
		th.Waiting = t
		r.touchThread(th)
	}
}

func updateKind(c *changes) Kind {
	if len(c.news) == 0 && len(c.over) == 0 && slices.ContainsFunc(c.worse, func(a *Alert) bool { return a.Flapping && !c.was[a.Key].Flapping }) {
		return KindFlapping
	}
	return KindUpdate
}

// reminder says when somebody is reminded of what goes on firing: not of what somebody
// takes care of, not of what is muted by now, and not where no route leads any more.
func (r *Router) reminder(th *thread, c *changes, now time.Time) (time.Time, Kind) {
	if th.RemindAt.IsZero() || c.acked || th.target.RemindAfter < 0 {
		return time.Time{}, ""
	}
	if th.RemindAt.After(now) {
		return th.RemindAt, ""
	}
	for _, a := range c.firing {
		if t := r.alerts[a.Key]; ackedBy(a) == "" && t.leadsTo(th.target) && r.whyMuted(t, th, now) == "" {
			return now, KindReminder
		}
	}
	return now.Add(time.Minute), ""
}

// leadsTo reports whether a group of the alert leads to a target.
func (t *tracked) leadsTo(tg *target) bool {
	for _, g := range t.groups {
		if slices.ContainsFunc(g.threads, func(th *thread) bool { return th.target == tg }) {
			return true
		}
	}
	return false
}

var (
	// lostRoute is that of a thread whose route is no longer configured.
	lostRoute = Route{Wait: 30 * time.Second, Update: 5 * time.Minute}
	// digestRoute is that of digests, in which nothing but the end of all is urgent.
	digestRoute = Route{Wait: 5 * time.Second, Update: time.Minute}
)

func (th *thread) route() *Route {
	switch {
	case th.isDigest():
		return &digestRoute
	case th.group == nil:
		return &lostRoute
	}
	return th.group.route
}
