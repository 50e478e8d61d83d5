package incidenttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

func isUnknown(err error) bool { return errors.Is(err, incident.ErrOutcomeUnknown) }

// ended returns a context that has ended.
func ended(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// QuotaHarness is what [TestQuota] needs of an implementation.
type QuotaHarness struct {
	// New returns a Quota of a platform that works and has budget left.
	New func(t testing.TB) incident.Quota
	// Throttled returns one of a platform that rejects everything. Nil declines.
	Throttled func(t testing.TB) incident.Quota
}

// TestQuota checks what [incident.Quota] asks of an implementation.
func TestQuota(t *testing.T, h QuotaHarness) {
	t.Run("some is left", func(t *testing.T) {
		s, err := h.New(t).Quota(t.Context())
		if err != nil || s.Throttled || s.Time.IsZero() || s.Remaining <= 0 || s.Remaining > s.Limit {
			t.Errorf("state %+v, error %v; want a time, and between nothing and all of the limit left", s, err)
		}
		for i, u := range s.Users {
			if u.Name == "" || u.Requests < u.Rejected || i > 0 && u.Used > s.Users[i-1].Used {
				t.Errorf("user %d is %+v; want names, the largest first", i, u)
			}
		}
	})
	t.Run("throttling is no error", func(t *testing.T) {
		if h.Throttled == nil {
			t.Skip("declined")
		}
		if s, err := h.Throttled(t).Quota(t.Context()); err != nil || !s.Throttled {
			t.Errorf("state %+v, error %v; want throttled and no error", s, err)
		}
	})
	t.Run("concurrently", func(t *testing.T) {
		q := h.New(t)
		each(8, func(int) {
			if _, err := q.Quota(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
}

func each(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// PlatformKeysCase is a platform with keys, for one test.
type PlatformKeysCase struct {
	// Keys is the implementation.
	Keys incident.PlatformKeys
	// ID is a key that is on, and Missing one that there is none of.
	ID, Missing string
	// LoseAnswer makes the platform carry out the next change and lose the
	// answer. Nil declines the case.
	LoseAnswer func()
	// Forbid makes the platform refuse everything from now on. Nil declines.
	Forbid func()
}

// PlatformKeysHarness is what [TestPlatformKeys] needs of an implementation.
type PlatformKeysHarness struct {
	// New returns a fresh platform.
	New func(t testing.TB) PlatformKeysCase
}

// TestPlatformKeys checks what [incident.PlatformKeys] asks of an
// implementation.
func TestPlatformKeys(t *testing.T, h PlatformKeysHarness) {
	want := func(t *testing.T, c PlatformKeysCase, on bool) {
		t.Helper()
		if k, err := c.Keys.PlatformKey(t.Context(), c.ID); err != nil || k.On != on || k.ID != c.ID {
			t.Errorf("key %+v, error %v; want %q and on = %v", k, err, c.ID, on)
		}
	}
	t.Run("switch", func(t *testing.T) {
		c := h.New(t)
		want(t, c, true)
		for _, on := range []bool{false, false, true, true} { // again is no error
			if k, err := c.Keys.SetPlatformKey(t.Context(), c.ID, on); err != nil || k.On != on {
				t.Fatalf("key %+v, error %v; want on = %v", k, err, on)
			}
			want(t, c, on)
		}
	})
	t.Run("missing", func(t *testing.T) {
		c := h.New(t)
		if _, err := c.Keys.PlatformKey(t.Context(), c.Missing); !errors.Is(err, incident.ErrNotFound) {
			t.Errorf("error %v; want ErrNotFound", err)
		}
		if _, err := c.Keys.SetPlatformKey(t.Context(), c.Missing, true); !errors.Is(err, incident.ErrNotFound) {
			t.Errorf("error %v; want ErrNotFound", err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		c := h.New(t)
		if c.Forbid == nil {
			t.Skip("declined")
		}
		c.Forbid()
		if _, err := c.Keys.PlatformKey(t.Context(), c.ID); !errors.Is(err, incident.ErrNotPermitted) {
			t.Errorf("error %v; want ErrNotPermitted", err)
		}
		if _, err := c.Keys.SetPlatformKey(t.Context(), c.ID, false); !errors.Is(err, incident.ErrNotPermitted) {
			t.Errorf("error %v; want ErrNotPermitted", err)
		}
	})
	t.Run("lost answer", func(t *testing.T) {
		c := h.New(t)
		if c.LoseAnswer == nil {
			t.Skip("declined")
		}
		c.LoseAnswer()
		k, err := c.Keys.SetPlatformKey(t.Context(), c.ID, false)
		switch {
		case err == nil && k.On:
			t.Errorf("key %+v; want the state that was observed", k)
		case err != nil && !isUnknown(err):
			t.Errorf("error %v; want none, or ErrOutcomeUnknown", err)
		case err != nil && runbook.SafeToRetry(err):
			t.Errorf("error %v claims that nothing happened", err)
		}
		want(t, c, false)
	})
	t.Run("ended context", func(t *testing.T) {
		c := h.New(t)
		if _, err := c.Keys.SetPlatformKey(ended(t), c.ID, false); err == nil {
			t.Error("no error")
		}
		want(t, c, true)
	})
}

// AnnouncerCase is a platform that announces, for one test.
type AnnouncerCase struct {
	// Announcer is the implementation.
	Announcer incident.Announcer
	// Shown returns the subjects of what the users of the platform see now, in
	// any order, also of what we did not announce.
	Shown func() []string
	// LoseAnswer makes the platform carry out the next change and lose the
	// answer. Nil declines the case.
	LoseAnswer func()
	// Forbid makes the platform refuse everything from now on. Nil declines.
	Forbid func()
}

// AnnouncerHarness is what [TestAnnouncer] needs of an implementation.
type AnnouncerHarness struct {
	// New returns a fresh platform.
	New func(t testing.TB) AnnouncerCase
}

// TestAnnouncer checks what [incident.Announcer] asks of an implementation.
func TestAnnouncer(t *testing.T, h AnnouncerHarness) {
	now := time.Now()
	a := incident.Announcement{
		Key: "maintenance-1", Subject: "Maintenance <soon> & later", Message: "Not available\nfrom 22:00 to 23:00 <b>.",
		Start: now.Add(-time.Hour), End: now.Add(time.Hour), Urgent: true,
	}
	shown := func(t *testing.T, c AnnouncerCase, want int) {
		t.Helper()
		if got := c.Shown(); len(got) != want {
			t.Errorf("users see %q; want %d", got, want)
		}
	}
	t.Run("once", func(t *testing.T) {
		c := h.New(t)
		first, err := c.Announcer.Announce(t.Context(), a)
		if err != nil || !first.Created || first.ID == "" || first.End.Sub(a.End).Abs() > time.Second {
			t.Fatalf("announced %+v, error %v", first, err)
		}
		again, err := c.Announcer.Announce(t.Context(), a)
		if err != nil || again.Created || again.ID != first.ID {
			t.Fatalf("announced %+v, error %v; want the first one, %+v", again, err, first)
		}
		shown(t, c, 1)
	})
	t.Run("change", func(t *testing.T) {
		c := h.New(t)
		if _, err := c.Announcer.Announce(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		b := a
		b.Subject, b.End = "Maintenance is longer", a.End.Add(time.Hour)
		if got, err := c.Announcer.Announce(t.Context(), b); err != nil || got.Created || got.End.Sub(b.End).Abs() > time.Second {
			t.Fatalf("announced %+v, error %v", got, err)
		}
		if got := c.Shown(); len(got) != 1 || got[0] != b.Subject {
			t.Errorf("users see %q", got)
		}
	})
	t.Run("keys are apart", func(t *testing.T) {
		c := h.New(t)
		for _, key := range []string{"maintenance-1", "maintenance-10", "maintenance"} {
			b := a
			b.Key = key
			if got, err := c.Announcer.Announce(t.Context(), b); err != nil || !got.Created {
				t.Fatalf("%s: announced %+v, error %v", key, got, err)
			}
		}
		shown(t, c, 3)
		if err := c.Announcer.Withdraw(t.Context(), "maintenance"); err != nil {
			t.Fatal(err)
		}
		shown(t, c, 2)
	})
	t.Run("withdraw", func(t *testing.T) {
		c := h.New(t)
		if _, err := c.Announcer.Announce(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		for range 2 { // nothing to withdraw is no error
			if err := c.Announcer.Withdraw(t.Context(), a.Key); err != nil {
				t.Fatal(err)
			}
			shown(t, c, 0)
		}
	})
	t.Run("lost answer", func(t *testing.T) {
		c := h.New(t)
		if c.LoseAnswer == nil {
			t.Skip("declined")
		}
		c.LoseAnswer()
		if got, err := c.Announcer.Announce(t.Context(), a); err != nil && !isUnknown(err) {
			t.Errorf("announced %+v, error %v; want none, or ErrOutcomeUnknown", got, err)
		}
		if _, err := c.Announcer.Announce(t.Context(), a); err != nil {
			t.Error(err)
		}
		shown(t, c, 1)
		c.LoseAnswer()
		if err := c.Announcer.Withdraw(t.Context(), a.Key); err != nil && !isUnknown(err) {
			t.Errorf("error %v; want none, or ErrOutcomeUnknown", err)
		}
		shown(t, c, 0)
	})
	t.Run("refused", func(t *testing.T) {
		c := h.New(t)
		if c.Forbid == nil {
			t.Skip("declined")
		}
		c.Forbid()
		if _, err := c.Announcer.Announce(t.Context(), a); !errors.Is(err, incident.ErrNotPermitted) {
			t.Errorf("error %v; want ErrNotPermitted", err)
		}
		if err := c.Announcer.Withdraw(t.Context(), a.Key); !errors.Is(err, incident.ErrNotPermitted) {
			t.Errorf("error %v; want ErrNotPermitted", err)
		}
	})
	t.Run("invalid", func(t *testing.T) {
		c := h.New(t)
		for _, change := range []func(*incident.Announcement){
			func(a *incident.Announcement) { a.Key = "two words" }, func(a *incident.Announcement) { a.Subject = "two\nlines" },
			func(a *incident.Announcement) { a.Message = "" }, func(a *incident.Announcement) { a.End = a.Start },
		} {
			b := a
			change(&b)
			if _, err := c.Announcer.Announce(t.Context(), b); err == nil {
				t.Errorf("%+v was announced", b)
			}
		}
		if err := c.Announcer.Withdraw(t.Context(), ""); err == nil {
			t.Error("the empty key was withdrawn")
		}
		shown(t, c, 0)
	})
	t.Run("concurrently", func(t *testing.T) {
		c := h.New(t)
		each(4, func(i int) {
			b := a
			b.Message = fmt.Sprintf("Version %d.", i)
			if _, err := c.Announcer.Announce(t.Context(), b); err != nil {
				t.Error(err)
			}
		})
		shown(t, c, 1)
	})
}

// AuditLogCase is a platform with a log, for one test.
type AuditLogCase struct {
	// Log is the implementation.
	Log incident.AuditLog
	// Events are what the log has between From and To, newest first: at least
	// three, of both kinds, of several actors, at different times.
	Events   []incident.AuditEvent
	From, To time.Time
	// Missing makes the platform keep no log. Nil declines.
	Missing func()
	// Forbid makes the platform refuse everything from now on. Nil declines.
	Forbid func()
}

// AuditLogHarness is what [TestAuditLog] needs of an implementation.
type AuditLogHarness struct {
	// New returns a fresh platform.
	New func(t testing.TB) AuditLogCase
}

// TestAuditLog checks what [incident.AuditLog] asks of an implementation.
func TestAuditLog(t *testing.T, h AuditLogHarness) {
	expect := func(t *testing.T, c AuditLogCase, q incident.AuditQuery, keep func(incident.AuditEvent) bool) {
		t.Helper()
		var want []incident.AuditEvent
		for _, e := range c.Events {
			if keep(e) {
				want = append(want, e)
			}
		}
		n := 0
		for e, err := range c.Log.AuditEvents(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			if n >= len(want) || e != want[n] {
				t.Fatalf("event %d is %+v; want one of %+v", n, e, want)
			}
			n++
		}
		if n != len(want) {
			t.Errorf("%d events; want %d", n, len(want))
		}
	}
	t.Run("all", func(t *testing.T) {
		c := h.New(t)
		all := func(incident.AuditEvent) bool { return true }
		expect(t, c, incident.AuditQuery{From: c.From, To: c.To}, all)
		expect(t, c, incident.AuditQuery{From: c.From}, all)
	})
	t.Run("chosen", func(t *testing.T) {
		c := h.New(t)
		for _, kind := range []incident.AuditKind{incident.AuditAuthentication, incident.AuditChange} {
			expect(t, c, incident.AuditQuery{From: c.From, To: c.To, Kinds: []incident.AuditKind{kind}}, func(e incident.AuditEvent) bool { return e.Kind == kind })
		}
		actor := c.Events[0].Actor
		expect(t, c, incident.AuditQuery{From: c.From, To: c.To, Actor: actor}, func(e incident.AuditEvent) bool { return e.Actor == actor })
		newest := c.Events[0].Time
		expect(t, c, incident.AuditQuery{From: c.From, To: newest}, func(e incident.AuditEvent) bool { return e.Time.Before(newest) })
	})
	t.Run("leaving and again", func(t *testing.T) {
		c := h.New(t)
		seq := c.Log.AuditEvents(t.Context(), incident.AuditQuery{From: c.From, To: c.To})
		for range 2 {
			for e, err := range seq {
				if err != nil || e != c.Events[0] {
					t.Errorf("event %+v, error %v; want the newest", e, err)
				}
				break
			}
		}
	})
	fails := func(t *testing.T, c AuditLogCase, ctx context.Context, want error) {
		t.Helper()
		n := 0
		for e, err := range c.Log.AuditEvents(ctx, incident.AuditQuery{From: c.From, To: c.To}) {
			if n++; !errors.Is(err, want) || e != (incident.AuditEvent{}) || n > 1 {
				t.Errorf("event %+v, error %v; want only %v", e, err, want)
			}
		}
		if n == 0 {
			t.Errorf("no error; want %v", want)
		}
	}
	t.Run("missing", func(t *testing.T) {
		c := h.New(t)
		if c.Missing == nil {
			t.Skip("declined")
		}
		c.Missing()
		fails(t, c, t.Context(), incident.ErrNotFound)
	})
	t.Run("refused", func(t *testing.T) {
		c := h.New(t)
		if c.Forbid == nil {
			t.Skip("declined")
		}
		c.Forbid()
		fails(t, c, t.Context(), incident.ErrNotPermitted)
	})
	t.Run("ended context", func(t *testing.T) { fails(t, h.New(t), ended(t), context.Canceled) })
	t.Run("invalid", func(t *testing.T) {
		c := h.New(t)
		for _, q := range []incident.AuditQuery{{}, {From: c.To, To: c.From}, {From: c.From, Kinds: []incident.AuditKind{"rumour"}}} {
			for _, err := range c.Log.AuditEvents(t.Context(), q) {
				if err == nil {
					t.Errorf("%+v has events", q)
				}
				break
			}
		}
	})
}
