package httpapi_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// slow returns a runner whose check waits.
func slow(t testing.TB, w *world, hold chan struct{}) *incident.Runner {
	t.Helper()
	p := w.restart()
	p.Steps[0].Do = incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return nil, ctx.Err()
	}}
	r, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{p}, Runs: w.runs, Store: w.store})
	require.NoError(t, err)
	return r
}
