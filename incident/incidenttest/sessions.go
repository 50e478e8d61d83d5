package incidenttest

import (
	"context"
	"testing"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// SessionsCase is an application whose users are signed in, for one test.
type SessionsCase struct {
	Faults
	// Sessions is the implementation.
	Sessions incident.Sessions
	// Live returns how many sessions there are, as the application knows it: at
	// least one at the beginning.
	Live func() int
}

// SessionsHarness is what [TestSessions] needs of an implementation.
type SessionsHarness struct {
	// New returns a fresh application.
	New func(t testing.TB) SessionsCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestSessions checks what [incident.Sessions] asks of an implementation.
func TestSessions(t *testing.T, h SessionsHarness) {
	t.Run("end", func(t *testing.T) {
		testChange(t, h.Run, h.New, func(t testing.TB, ctx context.Context, c SessionsCase) error {
			live := c.Live()
			ended, err := c.Sessions.EndSessions(ctx)
			if err == nil && (c.Live() != 0 || ended != live && ended != -1) {
				t.Errorf("%d of %d ended, %d are left", ended, live, c.Live())
			}
			return err
		})
	})
	h.Run.sub(t, "again", func(t *testing.T) {
		c := h.New(t)
		if c.LoseAnswer != nil {
			c.LoseAnswer()
		}
		if _, err := c.Sessions.EndSessions(t.Context()); runbook.SafeToRetry(err) {
			t.Errorf("error %v claims that nothing happened", err)
		}
		each(4, func(int) {
			if n, err := c.Sessions.EndSessions(t.Context()); err != nil || n > 0 {
				t.Errorf("%d ended, error %v; want none left", n, err)
			}
		})
		if c.Live() != 0 {
			t.Errorf("%d are left", c.Live())
		}
	})
}
