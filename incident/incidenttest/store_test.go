package incidenttest_test

import (
	"testing"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	incidenttest.TestStore(t, incidenttest.StoreHarness{New: func(testing.TB) incidenttest.StoreCase {
		return incidenttest.StoreCase{Store: new(incident.MemoryStore)}
	}})
}
