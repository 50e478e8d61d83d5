package canvastest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

func TestTheStatusPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fake canvastest.Server
		page := &fake.StatusPage
		ask := func(name string) map[string]any {
			return get(t, &fake, "https://status.instructure.com/api/v2/"+name, "Authorization", "").json(t)
		}
		indicator := func() any { return ask("status.json")["status"].(map[string]any)["indicator"] }
		assert.Equal(t, "none", indicator())
		assert.Equal(t, "Canvas", ask("components.json")["components"].([]any)[0].(map[string]any)["name"])

		id := page.Add(canvastest.Incident{Name: "Slow pages", Impact: "major", Body: "We are looking.", Components: []string{"Canvas"}})
		page.SetComponent(canvastest.Component{Name: "Canvas", Status: "degraded_performance"})
		assert.Equal(t, "major", indicator())
		time.Sleep(time.Hour)
		page.Update(id, "resolved", "It was a cable.")
		page.SetComponent(canvastest.Component{Name: "Canvas"})
		assert.Equal(t, "none", indicator())
		assert.Empty(t, ask("incidents/unresolved.json")["incidents"])
		incident := ask("incidents.json")["incidents"].([]any)[0].(map[string]any)
		assert.Equal(t, "2000-01-01T01:00:00.000Z", incident["resolved_at"])
		updates := incident["incident_updates"].([]any)
		require.Len(t, updates, 2)
		assert.Equal(t, "It was a cable.", updates[0].(map[string]any)["body"])

		window := page.Add(canvastest.Incident{Name: "Planned", ScheduledFor: time.Now().Add(time.Hour), ScheduledUntil: time.Now().Add(3 * time.Hour)})
		assert.Len(t, ask("scheduled-maintenances/upcoming.json")["scheduled_maintenances"], 1)
		assert.Equal(t, "none", indicator(), "planned is not begun")
		page.Update(window, "in_progress", "")
		assert.Equal(t, "maintenance", indicator())
		assert.Len(t, ask("scheduled-maintenances/active.json")["scheduled_maintenances"], 1)
		assert.Len(t, ask("summary.json")["scheduled_maintenances"], 1)
		page.Update(window, "completed", "")
		assert.Empty(t, ask("scheduled-maintenances/active.json")["scheduled_maintenances"])

		assert.Equal(t, http.StatusNotFound, get(t, &fake, "https://status.instructure.com/api/v2/nonsense.json").StatusCode)
		assert.Panics(t, func() { page.Add(canvastest.Incident{Components: []string{"Nothing"}}) })
		page.SetDown(true)
		assert.Equal(t, http.StatusServiceUnavailable, get(t, &fake, "https://status.instructure.com/api/v2/status.json").StatusCode)
	})
}

func TestTheStatusPageAlone(t *testing.T) {
	server := httptest.NewServer(new(canvastest.StatusPage))
	defer server.Close()
	resp, err := server.Client().Get(server.URL + "/api/v2/status.json")
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
}
