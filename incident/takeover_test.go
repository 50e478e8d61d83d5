package incident_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// hung is a process that hangs, with a run.
type hung struct {
	record incident.RunRecord
	err    error
	by     string
}

func (h *hung) Replicas(context.Context) ([]incident.Replica, error) { return nil, nil }

func (h *hung) TakeOver(_ context.Context, _ string, c incident.Control) ([]incident.RunRecord, error) {
	h.by = c.By
	return []incident.RunRecord{h.record}, h.err
}

// Requirement: INC-CRASH-ZOMBIE
func TestWhatMayHappenTwiceIsOnTheTimeline(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{Incident: "INC-2026-0001"})
		record, err := b.runs.Record(b.t.Context(), id, -1)
		require.NoError(t, err)
		record.Open = []incident.Attempt{{Step: "act", Process: "a-1", At: time.Now()}}
		replicas := &hung{record: record}
		_, err = b.TakeOver(b.t.Context(), replicas, "a-1", "", "x")
		require.ErrorContains(t, err, "who wants it")
		_, err = b.TakeOver(b.t.Context(), replicas, "a-1", "kim", "it does not answer")
		require.NoError(t, err)
		assert.Equal(t, "kim", replicas.by)
		var texts []string
		for e, err := range b.store.Entries(b.t.Context(), "incident/INC-2026-0001", 0) {
			require.NoError(t, err)
			texts = append(texts, e.Text)
		}
		assert.Contains(t, texts, "kim took the run over from process a-1, which hangs: it does not answer")
		assert.Contains(t, texts, "a-1 had begun act, and may still do it; it may happen twice")
		replicas.err = errors.New("it lives")
		_, err = b.TakeOver(b.t.Context(), replicas, "a-1", "kim", "again")
		require.ErrorContains(t, err, "it lives")
	}, playbook(gate(), w.action("act")))
}
