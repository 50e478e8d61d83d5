package world_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/health"
)

// A maintenance is announced hours ahead, and Canvas is away when the page says so; or not, if
// it is called off, at another time if it is moved, and for longer if it is late.
func TestAMaintenanceThatIsAnnounced(t *testing.T) {
	for variant, c := range map[string]struct {
		away, back  time.Duration // after it was announced
		said, still bool          // half way there; at the end that was announced first
		acts        []string
	}{
		"as-announced": {6 * time.Hour, 7 * time.Hour, true, false, []string{"canvas-announces", "canvas-away", "canvas-back"}},
		"over":         {6 * time.Hour, 7*time.Hour + 50*time.Minute, true, true, []string{"canvas-announces", "canvas-away", "canvas-overdue", "canvas-back"}},
		"longer":       {6 * time.Hour, 7*time.Hour + 50*time.Minute, true, true, []string{"canvas-announces", "canvas-away", "canvas-moves", "canvas-back"}},
		"moved":        {7 * time.Hour, 8 * time.Hour, true, true, []string{"canvas-announces", "canvas-moves", "canvas-away", "canvas-back"}},
		"called-off":   {0, 0, false, false, []string{"canvas-announces", "canvas-calls-off"}},
	} {
		t.Run(variant, func(t *testing.T) {
			rehearse(t, 3, func(s *site) {
				require.NoError(s, s.w.Inject(world.Fault{Kind: world.CanvasAnnounced, For: time.Hour, Param: map[string]string{"variant": variant}}))
				began, away := time.Now(), 0*time.Second
				var back time.Duration
				for time.Since(began) < 10*time.Hour {
					is := s.at.StatusPage.Probe(s.Context()).Status == health.Maintenance
					assert.Equal(s, is, s.status("/health/canvas?instance=prod") == "maintenance")
					switch gone := time.Since(began).Round(time.Minute); {
					case is && away == 0:
						away = gone
					case !is && away > 0 && back == 0:
						back = gone
					}
					if time.Since(began) == 4*time.Hour {
						_, planned := s.at.StatusPage.Probe(s.Context()).Measurement("next_maintenance")
						assert.Equal(s, c.said, planned)
					}
					if time.Since(began) == 7*time.Hour+15*time.Minute {
						assert.Equal(s, c.still, is)
					}
					time.Sleep(5 * time.Minute)
				}
				assert.InDelta(s, c.away.Minutes(), away.Minutes(), 5)
				assert.InDelta(s, c.back.Minutes(), back.Minutes(), 5)
				var acts []string
				for _, a := range s.w.Acts() {
					acts = append(acts, a.Kind)
				}
				assert.Equal(s, c.acts, acts)
				assert.Empty(s, s.w.Truth().Causes)
				assert.Equal(s, health.Healthy, s.at.StatusPage.Probe(s.Context()).Status)
			})
		})
	}
}
