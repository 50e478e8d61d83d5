package host_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/incident"
)

// It is looked as often as the runbook says, or more often, and never more seldom.
func TestIntervals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		given       host.Intervals
		application time.Duration
		wrong       string
	}{
		"those of the runbook": {host.Intervals{}, 30 * time.Second, ""},
		"more often":           {host.Intervals{Application: 5 * time.Second}, 5 * time.Second, ""},
		"more seldom":          {host.Intervals{Application: time.Minute}, 0, "Intervals: application must be from 1s to 30s"},
		"too often":            {host.Intervals{Performance: time.Millisecond}, 0, "Intervals: performance must be from 1s to 5m0s"},
		"negative":             {host.Intervals{Canvas: -time.Second}, 0, "Intervals: canvas must be from 1s to 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := world.New(world.Config{Seed: 1})
			require.NoError(t, err)
			defer func() { assert.NoError(t, w.Close()) }()
			s := &stage{T: t, world: w, store: new(incident.MemoryStore)}
			cfg := s.config()
			cfg.Intervals = tt.given
			h, err := host.New(t.Context(), cfg)
			if tt.wrong != "" {
				require.ErrorContains(t, err, tt.wrong)
				return
			}
			require.NoError(t, err)
			defer func() { assert.NoError(t, h.Stop(t.Context())) }()
			for _, c := range h.Monitor().Snapshot().Checks {
				if c.Name == "production/application" {
					assert.Equal(t, tt.application, c.Interval)
				}
			}
		})
	}
}
