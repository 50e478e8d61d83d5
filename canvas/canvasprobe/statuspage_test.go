package canvasprobe_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/health"
)

// Requirement: CV-HOST-STATUS-PAGE
func TestStatusPage(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name   string
		set    func(*canvastest.StatusPage)
		status health.Status
		want   string
	}{
		{"all well", func(*canvastest.StatusPage) {}, health.Healthy, ""},
		{"degraded", func(p *canvastest.StatusPage) {
			p.SetComponent(canvastest.Component{Name: "Canvas", Status: "degraded_performance"})
		}, health.Degraded, "Canvas has degraded performance"},
		{"outage", func(p *canvastest.StatusPage) {
			p.SetComponent(canvastest.Component{Name: "Canvas", Status: "partial_outage"})
		}, health.Unhealthy, "Canvas has partial outage"},
		{"maintained", func(p *canvastest.StatusPage) {
			p.SetComponent(canvastest.Component{Name: "Canvas", Status: "under_maintenance"})
		}, health.Maintenance, "Canvas is under maintenance"},
		{"of another", func(p *canvastest.StatusPage) {
			p.SetComponent(canvastest.Component{Name: "Studio", Status: "major_outage"})
			p.Add(canvastest.Incident{Name: "Videos", Impact: "critical", Components: []string{"Studio"}})
		}, health.Healthy, ""},
		{"incident", func(p *canvastest.StatusPage) {
			p.Add(canvastest.Incident{Name: "Slow launches", Components: []string{"Canvas"}})
		}, health.Degraded, `incident "Slow launches" is investigating, impact minor`},
		{"critical incident", func(p *canvastest.StatusPage) { p.Add(canvastest.Incident{Name: "Security", Impact: "critical"}) }, health.Unhealthy, `incident "Security"`},
		{"resolved", func(p *canvastest.StatusPage) {
			p.Update(p.Add(canvastest.Incident{Name: "Security", Impact: "critical"}), "resolved", "")
		}, health.Healthy, ""},
		{"planned", func(p *canvastest.StatusPage) {
			p.Add(canvastest.Incident{Name: "Release", ScheduledFor: now.Add(time.Hour), ScheduledUntil: now.Add(2 * time.Hour)})
		}, health.Healthy, ""},
		{"under way", func(p *canvastest.StatusPage) {
			p.Add(canvastest.Incident{Name: "Release", Status: "in_progress", ScheduledFor: now, ScheduledUntil: now.Add(time.Hour)})
		}, health.Maintenance, `maintenance "Release" is under way until`},
		{"page down", func(p *canvastest.StatusPage) { p.SetDown(true) }, health.Unknown, "answered 503"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := &canvastest.Server{}
			c.set(&fake.StatusPage)
			r := page(t, fake, "Canvas").Probe(t.Context())
			assert.Equal(t, c.status, r.Status, r.Message)
			assert.Contains(t, r.Message, c.want)
			_, planned := r.Measurement("next_maintenance")
			assert.Equal(t, c.name == "planned", planned)
		})
	}
	r := page(t, &canvastest.Server{}, "Canvass").Probe(t.Context())
	assert.Equal(t, health.Unknown, r.Status)
	assert.Contains(t, r.Message, `there is no component "Canvass"`)
}

func TestStatusPageThatIsNone(t *testing.T) {
	for _, body := range []string{"", "<html>", "[]", "{}", `{"status":null}`, `{"status":{},"incidents":[{"created_at":"yesterday"}]}`} {
		p, err := canvasprobe.NewStatusPage(canvasprobe.StatusPageConfig{HTTP: &http.Client{Transport: answering(200, body)}})
		require.NoError(t, err)
		_, err = p.Read(t.Context())
		require.Error(t, err, body)
		r := p.Probe(t.Context())
		assert.Equal(t, health.Unknown, r.Status)
		assert.Equal(t, health.CauseNotJSON, r.Cause)
	}
}

func FuzzStatusPage(f *testing.F) {
	f.Add([]byte(`{"status":{"description":"x"},"components":[{"name":"Canvas","status":"major_outage"}],"incidents":[{"name":"a","impact":"none"}],"scheduled_maintenances":[{"scheduled_for":"2026-11-23T00:00:00.000Z","status":"scheduled"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := canvasprobe.NewStatusPage(canvasprobe.StatusPageConfig{HTTP: &http.Client{Transport: answering(200, string(body))}})
		require.NoError(t, err)
		r := p.Probe(t.Context())
		assert.True(t, r.Status == health.Healthy || r.Cause != "" && r.Message != "", "%+v", r)
		for _, c := range r.Message {
			assert.GreaterOrEqual(t, c, ' ')
		}
	})
}
