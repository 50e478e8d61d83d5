package railway_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// What a service had is read of a snapshot without the platform, raw, and what was sealed is
// named.
func TestSnapshotVariables(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newSnap(t)
		snap, _ := take(t, h.env)
		values, sealed, err := snap.Variables("api")
		require.NoError(t, err)
		assert.Equal(t, []string{"S"}, sealed)
		assert.Equal(t, "a", values["A"].Reveal())
		assert.Contains(t, values["LONG"].Reveal(), "${{shared.REGION}}")
		assert.NotContains(t, values, "S")
		for name := range values {
			assert.NotContains(t, name, "RAILWAY_")
		}
		shared, sealed, err := snap.Variables("")
		require.NoError(t, err)
		assert.Equal(t, "sydney", shared["REGION"].Reveal())
		assert.Equal(t, []string{"KEY"}, sealed)
		_, _, err = snap.Variables("nothing")
		assert.ErrorIs(t, err, incident.ErrNotFound)
	})
}

// What a deployment gets has its references replaced, and nothing that is sealed.
func TestRenderedVariables(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newSnap(t)
		values, err := h.svc.RenderedVariables(t.Context())
		require.NoError(t, err)
		assert.Contains(t, values["LONG"].Reveal(), "\"quoted\" sydney ")
		assert.NotContains(t, values, "S")
		effects := len(h.Effects())
		_, err = h.svc.RenderedVariables(t.Context())
		require.NoError(t, err)
		assert.Len(t, h.Effects(), effects, "nothing is changed")
	})
}
