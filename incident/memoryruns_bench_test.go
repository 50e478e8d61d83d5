package incident_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// A step of a run of 100 steps must cost less than 2 µs; each step is one operation, and
// the run is started and its record read, too.
func BenchmarkMemoryRunsStep(b *testing.B) {
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{Keep: 10})
	calls := make([]incident.Call, 100)
	for i := range calls {
		calls[i] = incident.Call{ID: incident.StepID(fmt.Sprint("step-", i)), Intent: true, Do: func(context.Context, []incident.Attempt) incident.Outcome {
			return incident.Outcome{Status: incident.Done, Output: json.RawMessage(`{"status":"ok"}`)}
		}}
	}
	done := make(chan struct{})
	require.NoError(b, runs.Launch(b.Context(), map[string]incident.Program{"p": func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		for i := range calls {
			if _, err := e.Steps(ctx, calls[i:i+1]); err != nil {
				return nil, err
			}
		}
		done <- struct{}{}
		return nil, nil
	}}))
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(calls) {
		id := fmt.Sprint(i)
		_, err := runs.Start(b.Context(), incident.RunStart{ID: id, Program: "p"})
		require.NoError(b, err)
		<-done
		r, err := runs.Record(b.Context(), id, -1)
		require.NoError(b, err)
		require.Len(b, r.Entries, len(calls))
	}
	require.NoError(b, runs.Close(b.Context()))
}
