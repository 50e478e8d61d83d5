package alerttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
)

// NotifierCase is a notifier and the service that it talks to, for one test.
type NotifierCase struct {
	// Notifier is the implementation.
	Notifier alert.Notifier
	// Messages returns what people see at the service now: the text of each message, or
	// of each entry of a ticket, in order.
	Messages func() []string
	// Conversations returns how many conversations people see: threads, tickets,
	// incidents. Nil means that the service has none, and each message stands alone.
	Conversations func() int
	// Fail makes the next requests fail. Faults that the service cannot have are declined
	// by a false answer.
	Fail func(next ...Fault) bool
	// Recognises says that the service recognises a message that comes twice by its key.
	Recognises bool
	// Post says that it is for everyone: it is told posts and no alerts.
	Post bool
	// Secrets are texts that no error and no receipt may have in it.
	Secrets []string
	// Hostile is a text that would mention people or break the form of messages at this
	// service if it was not escaped, and Escaped what people must see of it. Empty
	// declines.
	Hostile, Escaped string
}

// NotifierHarness is what [TestNotifier] needs of an implementation.
type NotifierHarness struct {
	// New returns a fresh notifier with a service to which nothing was sent.
	New func(t testing.TB) NotifierCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil means
	// directly.
	Run func(t *testing.T, test func(t *testing.T))
}

// TestNotifier checks what [alert.Notifier] asks of an implementation.
func TestNotifier(t *testing.T, h NotifierHarness) {
	run := func(name string, test func(t *testing.T, c NotifierCase)) {
		t.Run(name, func(t *testing.T) {
			if h.Run == nil {
				test(t, h.New(t))
				return
			}
			h.Run(t, func(t *testing.T) { test(t, h.New(t)) })
		})
	}
	run("from the first message to the last", testLife)
	run("two conversations", testTwo)
	run("limited", func(t *testing.T, c NotifierCase) { testFault(t, c, Limit) })
	run("refused", func(t *testing.T, c NotifierCase) { testFault(t, c, Refuse) })
	run("server error", func(t *testing.T, c NotifierCase) { testFault(t, c, ServerError) })
	run("reset", func(t *testing.T, c NotifierCase) { testFault(t, c, Reset) })
	run("unreachable", func(t *testing.T, c NotifierCase) { testFault(t, c, Unreachable) })
	run("lost answer", func(t *testing.T, c NotifierCase) { testLost(t, c, Lost) })
	run("bad gateway after the effect", func(t *testing.T, c NotifierCase) { testLost(t, c, LateError) })
	run("hang", testHang)
	run("ended context", testEnded)
	run("read-only context", testReadOnly)
	run("long", testLong)
	run("hostile", testHostile)
	run("concurrently", testConcurrently)
}

// note returns a notification of a conversation.
func (c NotifierCase) note(kind alert.Kind, key string, seq int, prior alert.Receipt) alert.Notification {
	at := time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC).Add(time.Duration(seq) * time.Minute)
	n := alert.Notification{
		Key: key, Seq: seq, Kind: kind, Severity: alert.Critical, Environment: "production", At: at, Prior: prior,
		Title: fmt.Sprintf("CRITICAL production: app %s %d", kind, seq), Text: fmt.Sprintf("CRITICAL production: app %s %d\n\nWhat is wrong:\n- app is down\n", kind, seq),
	}
	state := alert.Firing
	if kind == alert.KindResolved {
		state = alert.Resolved
	}
	n.Alerts = []alert.Alert{{
		Key: alert.Key("health_check", "production", "app", alert.Failing), Rule: "health_check", Environment: "production", Entity: "app",
		Severity: alert.Critical, Summary: fmt.Sprintf("app has failed %d checks in a row", 3), Detail: "status 503", Playbook: "application-down",
		State: state, Value: 3, Limit: 3, Peak: 3, Began: at.Add(-time.Minute), Fired: at,
	}}
	if c.Post {
		status := map[alert.Kind]string{alert.KindFiring: "investigating", alert.KindUpdate: "identified", alert.KindResolved: "resolved"}[kind]
		n.Kind, n.Severity, n.Alerts = alert.KindPost, 0, nil
		n.Post = &alert.Post{ID: "incident-" + key, Title: n.Title, Body: n.Text, Status: status, By: "ana", Last: kind == alert.KindResolved}
	}
	return n
}

const key = "9f86d081884c7d659a2feaa0c55ad015"

// shows checks that people see a text n times.
func (c NotifierCase) shows(t testing.TB, text string, n int) {
	t.Helper()
	all := c.Messages()
	seen := 0
	for _, m := range all {
		if strings.Contains(m, text) {
			seen++
		}
	}
	if seen != n {
		t.Errorf("people see %q in %d messages of %q; want %d", text, seen, all, n)
	}
}

func (c NotifierCase) send(t testing.TB, n alert.Notification) alert.Receipt {
	t.Helper()
	r, err := c.Notifier.Notify(t.Context(), n)
	if err != nil {
		t.Fatalf("%s: %v", n.Kind, err)
	}
	c.silent(t, string(r))
	return r
}

func (c NotifierCase) silent(t testing.TB, text string) {
	t.Helper()
	for _, s := range c.Secrets {
		if s != "" && strings.Contains(text, s) {
			t.Errorf("a secret is in %q", strings.ReplaceAll(text, s, "<SECRET>"))
		}
	}
}

func testLife(t *testing.T, c NotifierCase) {
	var prior alert.Receipt
	for i, kind := range []alert.Kind{alert.KindFiring, alert.KindUpdate, alert.KindReminder, alert.KindResolved} {
		if c.Post && kind == alert.KindReminder {
			continue
		}
		prior = c.send(t, c.note(kind, key, i+1, prior))
		c.shows(t, fmt.Sprintf("app %s %d", kind, i+1), 1)
		if c.Conversations != nil && c.Conversations() != 1 {
			t.Errorf("after %s people see %d conversations; want one", kind, c.Conversations())
		}
	}
}

func testTwo(t *testing.T, c NotifierCase) {
	other := strings.Repeat("ab", 16)
	first := c.send(t, c.note(alert.KindFiring, key, 1, ""))
	second := c.send(t, c.note(alert.KindFiring, other, 1, ""))
	c.send(t, c.note(alert.KindResolved, key, 2, first))
	c.send(t, c.note(alert.KindResolved, other, 2, second))
	if c.Conversations != nil && c.Conversations() != 2 {
		t.Errorf("people see %d conversations; want two", c.Conversations())
	}
}

// fails checks what an error says, and that it says no secret.
func (c NotifierCase) fails(t testing.TB, err error, kind error, safe bool) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	c.silent(t, fmt.Sprintf("%v %+v %#v", err, err, err))
	if (kind == nil) == (errors.Is(err, alert.ErrRefused) || errors.Is(err, alert.ErrLimited)) || kind != nil && !errors.Is(err, kind) {
		t.Errorf("error %v; want one that is %v", err, kind)
	}
	if runbook.SafeToRetry(err) != safe {
		t.Errorf("error %v: proven that nothing was sent is %v; want %v", err, !safe, safe)
	}
}

func testFault(t *testing.T, c NotifierCase, fault Fault) {
	if !c.Fail(fault) {
		t.Skip("declined")
	}
	n := c.note(alert.KindFiring, key, 1, "")
	_, err := c.Notifier.Notify(t.Context(), n)
	switch fault {
	case Limit:
		c.fails(t, err, alert.ErrLimited, true)
		if e, ok := errors.AsType[*alert.Error](err); !ok || e.RetryAfter != RetryAfter {
			t.Errorf("error %v does not say how long to wait", err)
		}
	case Refuse:
		c.fails(t, err, alert.ErrRefused, true)
	case Unreachable:
		c.fails(t, err, nil, true)
	default:
		c.fails(t, err, nil, false)
	}
	c.shows(t, "app firing", 0)
	n.PossibleRepeat = fault == ServerError || fault == Reset
	c.send(t, n)
	c.shows(t, "app firing", 1)
}

// testLost sends again what may have arrived: people see it once, or are told that it may
// be a repetition.
func testLost(t *testing.T, c NotifierCase, fault Fault) {
	if !c.Fail(fault) {
		t.Skip("declined")
	}
	n := c.note(alert.KindFiring, key, 1, "")
	_, err := c.Notifier.Notify(t.Context(), n)
	c.fails(t, err, nil, false)
	n.PossibleRepeat = true
	receipt := c.send(t, n)
	seen := 0
	for _, m := range c.Messages() {
		if strings.Contains(m, "app firing 1") {
			seen++
		}
	}
	last := c.Messages()[len(c.Messages())-1]
	switch {
	case c.Recognises && seen != 1:
		t.Errorf("people see it %d times; want once: %q", seen, c.Messages())
	case !c.Recognises && seen > 1 && !strings.Contains(strings.ToLower(last), "repe"):
		t.Errorf("people see it twice, and %q does not say that it may be a repetition", last)
	}
	c.send(t, c.note(alert.KindResolved, key, 2, receipt))
}

func testHang(t *testing.T, c NotifierCase) {
	if !c.Fail(Hang) {
		t.Skip("declined")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Notifier.Notify(ctx, c.note(alert.KindFiring, key, 1, ""))
	c.fails(t, err, nil, false)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v; want that of the context", err)
	}
}

func testEnded(t *testing.T, c NotifierCase) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Notifier.Notify(ctx, c.note(alert.KindFiring, key, 1, ""))
	c.fails(t, err, nil, true)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v; want that of the context", err)
	}
	c.shows(t, "app firing", 0)
}

// testLong sends a message that is longer than any service takes: it is shortened, and not
// refused.
func testLong(t *testing.T, c NotifierCase) {
	n := c.note(alert.KindFiring, key, 1, "")
	n.Title += strings.Repeat(" é", 80)
	n.Text += strings.Repeat("A line of text that goes on: ünïcode.\n", 3000)
	for range 40 {
		n.Alerts = append(n.Alerts, n.Alerts[:min(1, len(n.Alerts))]...)
	}
	if n.Post != nil {
		n.Post.Title, n.Post.Body = n.Title, n.Text
	}
	c.send(t, n)
	c.shows(t, "app firing 1", 1)
}

func testHostile(t *testing.T, c NotifierCase) {
	if c.Hostile == "" {
		t.Skip("declined")
	}
	n := c.note(alert.KindFiring, key, 1, "")
	n.Title, n.Text = "app firing 1 "+c.Hostile, "app firing 1 "+c.Hostile+"\n"
	for i := range n.Alerts {
		n.Alerts[i].Summary, n.Alerts[i].Detail, n.Alerts[i].Entity = c.Hostile, c.Hostile, c.Hostile
	}
	if n.Post != nil {
		n.Post.Title, n.Post.Body = n.Title, n.Text
	}
	c.send(t, n)
	c.shows(t, c.Escaped, 1)
}

func testConcurrently(t *testing.T, c NotifierCase) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if _, err := c.Notifier.Notify(t.Context(), c.note(alert.KindFiring, fmt.Sprintf("%032d", i), 1, "")); err != nil && !errors.Is(err, alert.ErrLimited) {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
