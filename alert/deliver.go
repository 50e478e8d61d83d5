package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A Delivery is a message that has not arrived.
type Delivery struct {
	// Target is who is to be told, Notification what.
	Target       string       `json:"target"`
	Notification Notification `json:"notification"`
	// Attempts is how often it was tried, Next when it is tried again.
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next,omitzero"`
	// Sending means that it is on its way.
	Sending bool `json:"sending,omitempty"`
	// Refused means that the target does not take it; it is not tried again. Error
	// says why.
	Refused bool   `json:"refused,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Deliveries returns the messages that have not arrived: those that wait or are on
// their way, and the last thousand that were refused; the oldest first.
func (r *Router) Deliveries() []Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.Clone(r.dead)
	for _, th := range r.threads {
		if m := th.Message; m != nil {
			list = append(list, Delivery{Target: th.Target, Notification: m.Notification, Attempts: m.Attempts, Next: m.After, Sending: m.Sending})
		}
	}
	slices.SortStableFunc(list, byAge)
	return list
}

func byAge(a, b Delivery) int { return a.Notification.At.Compare(b.Notification.At) }

// target is a Target with what goes on at it.
type target struct {
	Target
	line     []*thread // with a message that waits for its turn, the worst first
	sending  int
	failures int       // in a row
	paused   time.Time // since it fails: until then nothing is sent
	limited  time.Time // as it asked for: until then nothing is sent
	tokens   float64
	refilled time.Time
	begins   []time.Time // of the conversations of the last minute
	limit    *limiter    // nil if there is none
}

func newTarget(t Target) *target { return &target{Target: t, tokens: float64(t.Burst)} }

// storms takes note that a conversation begins, or reports that too many do.
func (t *target) storms(now time.Time) bool {
	for len(t.begins) > 0 && now.Sub(t.begins[0]) >= time.Minute {
		t.begins = t.begins[1:]
	}
	if len(t.begins) >= t.Storm {
		return true
	}
	t.begins = append(t.begins, now)
	return false
}

// turn takes a token, or says when there will be one.
func (t *target) turn(now time.Time) (at time.Time, ok bool) {
	for _, until := range [...]time.Time{t.paused, t.limited} {
		if until.After(now) {
			return until, false
		}
	}
	if !t.refilled.IsZero() {
		t.tokens = min(float64(t.Burst), t.tokens+now.Sub(t.refilled).Seconds()*t.PerSecond)
	}
	t.refilled = now
	if t.tokens >= 1 {
		t.tokens--
		return now, true
	}
	return now.Add(time.Duration((1-t.tokens)/t.PerSecond*float64(time.Second)) + time.Millisecond), false
}

// allowed is how many messages may be on their way: one, to try, while the target
// fails.
func (t *target) allowed() int {
	if t.failures > 2 {
		return 1
	}
	return t.Parallel
}

// fails takes note of a failure. After a few the target rests, for longer and longer.
func (t *target) fails(now time.Time) {
	if t.failures++; t.failures > 2 {
		t.paused = now.Add(backOff(t.failures - 2))
	}
}

// backOff is how long to wait after so many failures: about a second, and twice as long
// each time, up to a minute.
func backOff(failures int) time.Duration {
	wait := min(time.Second<<min(failures, 12), time.Minute)
	return wait/2 + rand.N(wait/2)
}

// ready puts a message in the line of its target, behind all that are as bad.
func (r *Router) ready(th *thread, now time.Time) {
	if th.Message.After.After(now) {
		r.schedule(th, th.Message.After)
		return
	}
	if th.inLine {
		return
	}
	th.inLine = true
	rank := func(th *thread) Severity { return cmp.Or(th.Message.Notification.Severity, Low) }
	t := th.target
	i, _ := slices.BinarySearchFunc(t.line, rank(th), func(other *thread, mine Severity) int {
		if rank(other) <= mine {
			return -1
		}
		return 1
	})
	t.line = slices.Insert(t.line, i, th)
}

// launch is a message that is sent now.
type launch struct {
	th      *thread
	m       *outgoing
	what    Notification
	attempt int
}

// launches takes what may be sent now off the lines, and says when there is more.
func (r *Router) launches(now time.Time) (list []launch, next time.Time) {
	for _, t := range r.targets {
		for len(t.line) > 0 && t.sending < t.allowed() {
			at, ok := t.turn(now)
			if !ok {
				if next.IsZero() || at.Before(next) {
					next = at
				}
				break
			}
			th := t.line[0]
			t.line[0], t.line = nil, t.line[1:]
			th.inLine = false
			m := th.Message
			m.Sending, m.hangs = true, false
			m.Attempts++
			t.sending++
			r.touchThread(th)
			list = append(list, launch{th, m, view{now, r.cfg.Zone}.late(m), m.Attempts})
		}
	}
	return list, next
}

// unlaunch puts messages back that were not sent.
func (r *Router) unlaunch(list []launch, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range list {
		l.m.Sending = false
		l.m.Attempts--
		l.th.target.sending--
		r.touchThread(l.th)
		r.schedule(l.th, now.Add(time.Second))
	}
}

// hangGrace is how long after its deadline a notifier may take to return.
const hangGrace = 5 * time.Second

// send makes one attempt. It goes on while the router stops, for a moment: its answer is
// worth knowing.
func (r *Router) send(sending context.Context, l launch) {
	t := l.th.target
	ctx, cancel := context.WithTimeout(sending, t.Timeout)
	defer cancel()
	hangs := time.AfterFunc(t.Timeout+hangGrace, func() { r.hangs(l) })
	receipt, err := notify(ctx, t.Notifier, l.what)
	hangs.Stop()
	if h := r.cfg.Hooks.OnDelivery; h != nil {
		h(Attempt{Target: t.Name, Notification: l.what, Number: l.attempt, Err: err})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if !l.m.hangs {
		t.sending--
	}
	l.m.Sending = false
	switch what := outcomeOf(err); what {
	case delivered:
		t.failures, t.paused = 0, time.Time{}
		r.arrived(l.th, l.m, receipt, now)
	case refused:
		t.failures, t.paused = 0, time.Time{} // it answers
		r.refused(l.th, l.m, err, now)
	default:
		r.failed(l.th, l.m, what, err, now)
	}
}

// notify calls a notifier. A panic is an outcome that is not known.
func notify(ctx context.Context, n Notifier, what Notification) (receipt Receipt, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("alert: the notifier panicked: %v", p)
		}
	}()
	return n.Notify(ctx, what)
}

// hangs takes note that a notifier does not return although its context has ended. Its
// conversation waits for it; others do not.
func (r *Router) hangs(l launch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.th.Message != l.m || !l.m.Sending {
		return
	}
	now := time.Now()
	t := l.th.target
	r.cfg.Logger.Warn("alert: a notifier does not return although its context has ended", "target", t.Name)
	l.m.hangs = true
	t.sending--
	t.fails(now)
	r.schedule(l.th, now)
}

// failed takes note that a message has not arrived, or may not have.
func (r *Router) failed(th *thread, m *outgoing, what outcome, err error, now time.Time) {
	t := th.target
	r.touchThread(th)
	r.cfg.Logger.Warn("alert: not delivered", "target", t.Name, "attempt", m.Attempts, "possibly_arrived", what == unknown, "error", err)
	if what == unknown {
		m.Notification.PossibleRepeat = true
	}
	t.fails(now)
	m.After = now.Add(backOff(m.Attempts - 1))
	if e, ok := errors.AsType[*Error](err); ok && e.RetryAfter > 0 {
		m.After = now.Add(min(e.RetryAfter, time.Hour))
	}
	if what == limited {
		t.limited = m.After
	}
	r.schedule(th, now)
}

// overdue gives what a message is about to the fallback, if the target fails and has not
// taken it for long. A target that is only slow, since it is paced, keeps it.
func (r *Router) overdue(th *thread, m *outgoing, now time.Time) {
	t := th.target
	if m.FellBack || t.Fallback == "" {
		return
	}
	switch at := m.Made.Add(t.FallbackAfter); {
	case at.After(now):
		r.schedule(th, at)
	case t.failures == 0:
		r.schedule(th, now.Add(15*time.Second))
	default:
		m.FellBack = true
		r.touchThread(th)
		r.fallBack(th, m, now)
	}
}

// refused gives up a message, and tells the fallback instead. What else there is to tell
// later is tried: the end of what was told before above all.
func (r *Router) refused(th *thread, m *outgoing, err error, now time.Time) {
	r.cfg.Logger.Warn("alert: refused", "target", th.Target, "kind", string(m.Notification.Kind), "error", err)
	r.bury(Delivery{Target: th.Target, Notification: m.Notification, Attempts: m.Attempts, Refused: true, Error: cut(err.Error(), 500)})
	if !m.FellBack {
		r.fallBack(th, m, now)
	}
	th.Refused = true
	if m.Notification.PossibleRepeat {
		th.believes(m.Tells) // an earlier attempt may have arrived
	}
	for key, as := range m.Tells {
		if _, known := th.Told[key]; known {
			th.Told[key] = as
			continue
		}
		if th.GivenUp == nil {
			th.GivenUp = make(map[string]Severity)
		}
		th.GivenUp[key] = as.Severity
		r.untell(th, key)
	}
	r.settle(th, m, now)
}

// fallBack gives what a message is about to the fallback of its target.
func (r *Router) fallBack(th *thread, m *outgoing, now time.Time) {
	f := r.targets[th.target.Fallback]
	if f == nil {
		return
	}
	if q := m.Queued; q != nil {
		again := *q
		if again.Tried = append(slices.Clone(q.Tried), th.Target); !slices.Contains(again.Tried, f.Name) && !f.Pages {
			r.queue(f, th.Group, again, now)
		}
		return
	}
	if th.group != nil {
		told := r.thread(f, th.group)
		if g := th.group; g.route == nil || !slices.Contains(g.route.Targets, f.Name) {
			told.Instead = th.Target
		}
		r.touchThread(told)
		r.schedule(told, now)
		return
	}
	if r.threads[threadID(f.Name, th.Group)] == nil && !f.Pages { // or it tells the end itself
		n := m.Notification
		title := "Not taken by " + th.Target + ": " + n.Title
		q := queued{Kind: KindNotice, Title: cut(title, 200), Text: title + "\n\n" + n.Text, Last: true, Tried: []string{th.Target}}
		r.queue(f, "lost:"+n.Key, q, now)
	}
}

// maxDead is how many refused messages are kept.
const maxDead = 1000

func (r *Router) bury(d Delivery) {
	r.dead = append(r.dead, d)
	r.touch("dead", deadID(d))
	if len(r.dead) > maxDead {
		r.touch("dead", deadID(r.dead[0]))
		r.dead = slices.Delete(r.dead, 0, 1)
	}
}

func deadID(d Delivery) string {
	return fmt.Sprintf("%s-%d-%s", d.Notification.Key, d.Notification.Seq, d.Target)
}
