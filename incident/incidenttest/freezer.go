package incidenttest

import (
	"context"
	"testing"

	"go.acu.edu.au/runbook/incident"
)

// DeployFreezerCase is a platform that deploys by itself, for one test.
type DeployFreezerCase struct {
	Faults
	// Freezer is the implementation.
	Freezer incident.DeployFreezer
}

// DeployFreezerHarness is what [TestDeployFreezer] needs of an implementation.
type DeployFreezerHarness struct {
	// New returns a fresh platform that is not frozen.
	New func(t testing.TB) DeployFreezerCase
	// Never returns one that is frozen for another reason: it has nothing that it
	// could deploy by itself. Nil declines.
	Never func(t testing.TB) incident.DeployFreezer
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestDeployFreezer checks what [incident.DeployFreezer] asks of an implementation.
func TestDeployFreezer(t *testing.T, h DeployFreezerHarness) {
	h.Run.sub(t, "freeze and unfreeze", func(t *testing.T) {
		c := h.New(t)
		for _, frozen := range []bool{false, true, true, false} { // again is no error
			if s, err := c.Freezer.SetDeployFreeze(t.Context(), frozen); err != nil || s.Frozen != frozen {
				t.Fatalf("state %+v, error %v; want frozen = %v", s, err, frozen)
			}
			if s, err := c.Freezer.DeployFreeze(t.Context()); err != nil || s.Frozen != frozen || s.Reason != "" {
				t.Fatalf("state %+v, error %v; want frozen = %v", s, err, frozen)
			}
		}
	})
	t.Run("change", func(t *testing.T) {
		testChange(t, h.Run, h.New, func(t testing.TB, ctx context.Context, c DeployFreezerCase) error {
			s, err := c.Freezer.SetDeployFreeze(ctx, true)
			if err == nil && s.Frozen != (c.Effects() == 1) {
				t.Errorf("state %+v; want what is true", s)
			}
			return err
		})
	})
	h.Run.sub(t, "frozen for another reason", func(t *testing.T) {
		if h.Never == nil {
			t.Skip("declined")
		}
		if s, err := h.Never(t).SetDeployFreeze(t.Context(), false); err != nil || !s.Frozen || s.Reason == "" {
			t.Errorf("state %+v, error %v; want it frozen still, and why", s, err)
		}
	})
}
