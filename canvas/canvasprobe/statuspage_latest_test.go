package canvasprobe_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

// What the page said a while ago is not asked for again, and it has its own word for each
// maintenance, which stays when it is moved.
func TestLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{}
		p, err := canvasprobe.NewStatusPage(canvasprobe.StatusPageConfig{HTTP: fake.Client()})
		require.NoError(t, err)
		from := time.Now().Add(time.Hour)
		id := fake.StatusPage.Add(canvastest.Incident{Name: "Release", ScheduledFor: from, ScheduledUntil: from.Add(time.Hour)})
		first, err := p.Latest(t.Context(), 5*time.Minute)
		require.NoError(t, err)
		require.Len(t, first.Maintenances, 1)
		assert.Equal(t, id, first.Maintenances[0].ID)
		fake.StatusPage.Reschedule(id, from.Add(time.Hour), from.Add(2*time.Hour))
		time.Sleep(5 * time.Minute)
		again, err := p.Latest(t.Context(), 5*time.Minute)
		require.NoError(t, err)
		assert.Equal(t, first, again, "that is not old")
		time.Sleep(time.Second)
		moved, err := p.Latest(t.Context(), 5*time.Minute)
		require.NoError(t, err)
		assert.Equal(t, id, moved.Maintenances[0].ID)
		assert.True(t, moved.Maintenances[0].From.Equal(from.Add(time.Hour)))
		fake.StatusPage.Remove(id)
		time.Sleep(6 * time.Minute)
		none, err := p.Latest(t.Context(), 5*time.Minute)
		require.NoError(t, err)
		assert.Empty(t, none.Maintenances)
		fake.StatusPage.SetDown(true)
		time.Sleep(6 * time.Minute)
		_, err = p.Latest(t.Context(), 5*time.Minute)
		require.Error(t, err)
		assert.Equal(t, "status.instructure.com", p.String())
	})
}
