package alerttest

import (
	"errors"
	"testing"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
)

// testReadOnly checks that nobody is told anything where nothing may be changed, as in a
// plan.
func testReadOnly(t *testing.T, c NotifierCase) {
	_, err := c.Notifier.Notify(runbook.ReadOnly(t.Context()), c.note(alert.KindFiring, key, 1, ""))
	if !errors.Is(err, runbook.ErrReadOnly) || !runbook.SafeToRetry(err) {
		t.Errorf("error %v; want one that is runbook.ErrReadOnly, and says that nothing was sent", err)
	}
	if seen := c.Messages(); len(seen) > 0 {
		t.Errorf("people see %q; want nothing", seen)
	}
}
