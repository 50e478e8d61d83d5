package otelrunbook_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
	"go.acu.edu.au/runbook/incident/otelrunbook"
)

// process is a program that carries out the runs in a file, and tells a collector of its own.
func process(t *testing.T, file string, store incident.Store, p incident.Playbook) (*world, *house, *durable.Runs) {
	t.Helper()
	db, err := sqlitefile.Open(t.Context(), file)
	require.NoError(t, err)
	runs, err := durable.Open(t.Context(), durable.Config{DB: db})
	require.NoError(t, err)
	w, h := newWorld(t, otelrunbook.Config{}), &house{}
	h.runner, err = incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{p}, Runs: runs, Store: store})
	require.NoError(t, err)
	require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: w.Program(h.runner.Program())}))
	return w, h, runs
}

func TestARunThatGoesOnInAnotherProcessIsOneTrace(t *testing.T) {
	t.Parallel()
	file, store := filepath.Join(t.TempDir(), "runs.db"), new(incident.MemoryStore)
	p := steps("roll-back", look("look", fine), approve("ask"), act("act", fine))
	first, h, runs := process(t, file, store, p)
	run := h.start(t, "roll-back")
	require.NotNil(t, run.Question)
	require.NoError(t, runs.Close(t.Context()))

	second, h, runs := process(t, file, store, p)
	require.NoError(t, h.runner.Answer(t.Context(), run.ID, run.Question.ID, incident.Answer{Kind: incident.AnswerApprove, Actor: "Ben"}))
	for r, err := range h.runner.Follow(t.Context(), run.ID) {
		require.NoError(t, err)
		run = r
	}
	require.Equal(t, incident.StateSucceeded, run.State, run.Reason)
	require.NoError(t, runs.Close(t.Context()))

	assert.Equal(t, []string{"step look"}, first.names())
	assert.Equal(t, []string{"ask ask", "step act", "run roll-back"}, second.names(), "what the first process did is not told again")
	root := second.span(t, "run roll-back")
	for _, s := range append(tracetest.SpanStubs{first.span(t, "step look")}, second.spans.GetSpans()[:2]...) {
		assert.Equal(t, root.SpanContext.TraceID(), s.SpanContext.TraceID(), s.Name)
		assert.Equal(t, root.SpanContext.SpanID(), s.Parent.SpanID(), s.Name)
	}
	assert.Equal(t, 1, len(root.Events), "when it began is known from the record")
	assertNoSecret(t, second)
}

func TestADurableRunThatIsCancelledEndsAsOne(t *testing.T) {
	t.Parallel()
	w, h, runs := process(t, filepath.Join(t.TempDir(), "runs.db"), new(incident.MemoryStore), steps("waits", approve("ask")))
	run := h.start(t, "waits")
	require.NotNil(t, run.Question)
	require.NoError(t, h.runner.Cancel(t.Context(), run.ID, "Ben", "not needed"))
	require.Eventually(t, func() bool { return len(w.names()) == 1 }, 30*time.Second, 10*time.Millisecond)
	assert.Equal(t, "cancelled", attributes(w.span(t, "run waits"))["runbook.state"])
	require.NoError(t, runs.Close(t.Context()))
	assert.Len(t, w.names(), 1)
}
