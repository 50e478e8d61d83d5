package world_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/canvas/usage"
	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/incident"
)

// What a stranger does with the token shows in Canvas alone, and is over when the developer
// key is off. Users can launch again when the application has got the new one.
func TestCanvasAccount(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.CanvasAccount, "")
		client, err := canvas.New(s.at.Canvas)
		require.NoError(s, err)
		log, err := usage.NewAuditLog(usage.AuditLogConfig{Client: client})
		require.NoError(s, err)
		from := func(q incident.AuditQuery) map[string]int {
			n := make(map[string]int)
			q.From = time.Now().Add(-72 * time.Hour)
			for e, err := range log.AuditEvents(s.Context(), q) {
				require.NoError(s, err)
				n[e.Address]++
			}
			return n
		}
		assert.Equal(s, map[string]int{"192.0.2.77": 1, "203.0.113.66": 2}, from(incident.AuditQuery{}))
		views := from(incident.AuditQuery{Kinds: []incident.AuditKind{incident.AuditRequest}, Actor: "self"})
		assert.Greater(s, views["203.0.113.66"], 20)
		assert.True(s, s.w.Truth().Served)

		keys, err := canvasprobe.NewKeys(canvasprobe.KeysConfig{Client: client, Production: true})
		require.NoError(s, err)
		_, err = keys.SetPlatformKey(s.Context(), s.at.Key, false)
		require.NoError(s, err)
		s.pass(2 * time.Minute)
		assert.False(s, s.there(world.CanvasAccount))
		assert.False(s, s.w.Truth().Served, "nobody can launch the tool")
		s.set("CANVAS_PROD_CLIENT_ID", s.w.NewKey())
		s.pass(3 * time.Minute)
		assert.True(s, s.w.Truth().Served)
		assert.Equal(s, "healthy", s.at.Login.Probe(s.Context()).Status.String())
	})
}
