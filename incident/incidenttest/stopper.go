package incidenttest

import (
	"context"
	"fmt"
	"testing"

	"go.acu.edu.au/runbook/incident"
)

// StopperCase is a service that runs, for one test.
type StopperCase struct {
	Faults
	// Stopper is the implementation.
	Stopper incident.Stopper
	// Running returns how many processes of the service run, as the platform knows.
	Running func() int
}

// StopperHarness is what [TestStopper] needs of an implementation.
type StopperHarness struct {
	// New returns a fresh service.
	New func(t testing.TB) StopperCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestStopper checks what [incident.Stopper] asks of an implementation.
func TestStopper(t *testing.T, h StopperHarness) {
	h.Run.sub(t, "stop and start", func(t *testing.T) {
		c := h.New(t)
		c.state(t, false)
		for i, stop := range []bool{true, true, false, false} { // again is no error
			do := c.Stopper.Start
			if stop {
				do = c.Stopper.Stop
			}
			s, err := do(t.Context())
			if err != nil || s.Stopped && c.Running() > 0 {
				t.Fatalf("call %d: state %+v, error %v, %d processes; want what is true", i, s, err, c.Running())
			}
			c.state(t, stop)
			effects(t, c.Faults, 1+i/2)
		}
	})
	t.Run("stop", func(t *testing.T) {
		testChange(t, h.Run, h.New, func(t testing.TB, ctx context.Context, c StopperCase) error {
			s, err := c.Stopper.Stop(ctx)
			if err == nil && (s.Stopped && c.Running() > 0 || s.Deployment == "") {
				t.Errorf("state %+v with %d processes; want what is true", s, c.Running())
			}
			return err
		})
	})
}

// state waits until the service is stopped, or is not, and the port says so.
func (c StopperCase) state(t testing.TB, stopped bool) {
	t.Helper()
	await(t, fmt.Sprintf("stopped = %v", stopped), func() bool {
		s, err := c.Stopper.Stopped(t.Context())
		if err != nil || s.Stopped && c.Running() > 0 {
			t.Fatalf("state %+v, error %v, %d processes; want what is true", s, err, c.Running())
		}
		return s.Stopped == stopped && (c.Running() == 0) == stopped
	})
}
