package canvasprobe_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
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

// What is announced is told once, when it changes, and a maintenance becomes a window of
// the check that it is about: while it lasts nobody is woken.
//
// Requirement: RB-CANVAS-MAINTENANCE-SUBSCRIBE, RB-CANVAS-MAINTENANCE-SCHEDULE
func TestAnnouncementsAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{}
		var told []canvasprobe.Summary
		m, err := health.New(health.Config{Checks: []health.Check{{Name: "canvas", FailureThreshold: 1, Prober: health.ProberFunc(func(context.Context) health.Result {
			return health.Result{Status: health.Unhealthy, Cause: health.CauseStatus, Message: "status 503"}
		})}}})
		require.NoError(t, err)
		p, err := canvasprobe.NewStatusPage(canvasprobe.StatusPageConfig{HTTP: fake.Client(), Components: []string{"Canvas"}, OnChange: func(_ context.Context, s canvasprobe.Summary) {
			told = append(told, s)
			assert.NoError(t, m.SetMaintenance("canvas", s.Windows()...))
		}})
		require.NoError(t, err)
		probe := func(changes int, what string) {
			t.Helper()
			time.Sleep(time.Minute)
			p.Probe(t.Context())
			assert.Len(t, told, changes, what)
		}
		probe(1, "what it says first")
		probe(1, "it says the same")
		from := time.Now().Add(time.Hour)
		id := fake.StatusPage.Add(canvastest.Incident{Name: "Release", Components: []string{"Canvas"}, ScheduledFor: from, ScheduledUntil: from.Add(2 * time.Hour)})
		probe(2, "a maintenance is planned")
		probe(2, "it is still planned")
		assert.Equal(t, []health.Window{{Name: "Release", Start: from.UTC(), End: from.Add(2 * time.Hour).UTC()}}, told[1].Windows())

		status := func() health.Status {
			_, err := m.Check(t.Context(), "canvas")
			require.NoError(t, err)
			return m.Snapshot().Checks[0].Status
		}
		assert.Equal(t, health.Unhealthy, status(), "before it begins it is an outage")
		time.Sleep(time.Until(from.Add(time.Minute)))
		assert.Equal(t, health.Maintenance, status(), "in it, it is not")
		fake.StatusPage.Update(id, "completed", "done")
		probe(3, "it is over early")
		assert.Empty(t, told[2].Windows())
		assert.Equal(t, health.Unhealthy, status(), "and so is what it excuses")
		fake.StatusPage.SetDown(true)
		probe(3, "a page that cannot be read says nothing")

		endless := canvasprobe.Summary{Maintenances: []canvasprobe.Maintenance{{Name: "no end", From: from}, {Name: "no begin", Until: from}, {Name: "turned", From: from, Until: from.Add(-1)}}}
		assert.Empty(t, endless.Windows())
	})
}
