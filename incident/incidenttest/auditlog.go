package incidenttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.acu.edu.au/runbook/incident"
)

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
			if n >= len(want) {
				t.Fatalf("event %d is %+v; want %d events", n, e, len(want))
			}
			if e != want[n] {
				t.Fatalf("event %d is %+v; want %+v", n, e, want[n])
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
