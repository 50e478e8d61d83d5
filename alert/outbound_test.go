package alert_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
)

// alone counts how often it was handed an alert while it still had one.
type alone struct{ in, together, all atomic.Int64 }

func (a *alone) Handle(context.Context, alert.Alert) error {
	if a.in.Add(1) > 1 {
		a.together.Add(1)
	}
	a.all.Add(1)
	a.in.Add(-1)
	return nil
}

// An alert that changes as fast as it can is handed over by one at a time.
func TestOneAlertIsHandedOverAlone(t *testing.T) {
	out := &alone{}
	e, err := alert.NewEngine(alert.EngineConfig{
		Out: out, Inputs: []alert.Input{{Name: "g", Kind: alert.Gauge}},
		Rules: []alert.Rule{{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, Flap: alert.Flap{Changes: -1}}},
	})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	f, err := e.Feed(alert.Source{Input: "g", Entity: "a"}, nil)
	require.NoError(t, err)
	for n := range 200_000 {
		f.Observe(float64(n % 2 * 9))
	}
	require.NoError(t, e.Stop(t.Context()))
	assert.Positive(t, out.all.Load())
	assert.Zero(t, out.together.Load())
}
