package incidenttest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// A store that is not told to fail is a store.
func TestFailingStoreConforms(t *testing.T) {
	incidenttest.TestStore(t, incidenttest.StoreHarness{New: func(testing.TB) incidenttest.StoreCase {
		s := new(incidenttest.FailingStore)
		return incidenttest.StoreCase{Store: s, LoseAnswer: s.LoseAnswer}
	}})
}

func TestFailingStoreFails(t *testing.T) {
	ctx, down := t.Context(), errors.New("the disk is full")
	s := new(incidenttest.FailingStore)
	note := func(text string) incident.Change {
		return incident.Change{Entries: []incident.Entry{{Chain: "audit", Key: text, At: time.Now(), Kind: "note", Text: text}}}
	}
	count := func() (n int) {
		for _, err := range s.Entries(ctx, "audit", 0) {
			require.NoError(t, err)
			n++
		}
		return n
	}
	s.Fail("Commit", down, down)
	for range 2 {
		_, err := s.Commit(ctx, note("a"))
		require.ErrorIs(t, err, down)
	}
	assert.Zero(t, count(), "it did nothing")
	s.LoseAnswer()
	_, err := s.Commit(ctx, note("a"))
	require.Error(t, err)
	assert.Equal(t, 1, count(), "it took effect")
	_, err = s.Commit(ctx, note("a"))
	require.NoError(t, err)
	assert.Equal(t, 1, count(), "the same entry is there already")
	s.Fail("Document", down)
	_, err = s.Document(ctx, "incident", "x")
	require.ErrorIs(t, err, down)
	s.Fail("Documents", down)
	for _, err := range s.Documents(ctx, incident.DocumentQuery{Kind: "incident"}) {
		require.ErrorIs(t, err, down)
	}
	s.Fail("Entries", down)
	for _, err := range s.Entries(ctx, "audit", 0) {
		require.ErrorIs(t, err, down)
	}
	s.Fail("Delete", down)
	require.ErrorIs(t, s.Delete(ctx, "", "", "audit"), down)
	s.Fail("Commit", nil, down)
	_, err = s.Commit(ctx, note("b"))
	require.NoError(t, err)
	_, err = s.Commit(ctx, note("b"))
	require.ErrorIs(t, err, down)
}
