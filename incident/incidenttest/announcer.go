package incidenttest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

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
	t.Run("read-only context", func(t *testing.T) {
		c := h.New(t)
		_, err := c.Announcer.Announce(runbook.ReadOnly(t.Context()), a)
		isReadOnly(t, err)
		shown(t, c, 0)
		if _, err := c.Announcer.Announce(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		isReadOnly(t, c.Announcer.Withdraw(runbook.ReadOnly(t.Context()), a.Key))
		shown(t, c, 1)
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
