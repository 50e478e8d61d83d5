package host_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/incident"
)

// A host that was away for two weeks, by its clock, removes nothing that night, and tells the
// operators what to do. Once somebody has confirmed the clock, it goes on.
//
// Requirement: INC-RETENTION-CLOCK
func TestRetentionAsksAboutAClockThatJumped(t *testing.T) {
	for name, confirmed := range map[string]bool{"nobody has looked": false, "it is confirmed": true} {
		t.Run(name, func(t *testing.T) {
			change := func(cfg *host.Config) {
				observing(cfg)
				cfg.Connections = cfg.Connections[2:]
				rule := incident.Retention{Store: cfg.Store, MaxGap: time.Hour}
				_, err := rule.Apply(t.Context())
				require.NoError(t, err)
				time.Sleep(14 * 24 * time.Hour)
				if confirmed {
					cfg.Retention.Confirmed = time.Now().Add(-time.Hour)
				}
			}
			onStage(t, change, func(s *stage) {
				time.Sleep(23 * time.Hour)
				var told []string
				for _, title := range s.told("slack", "#qa-automation-alerts", time.Time{}) {
					if strings.Contains(title, "retention") {
						told = append(told, title)
					}
				}
				if confirmed {
					assert.Empty(s, told)
					return
				}
				assert.Contains(s, told, "Not done on schedule: retention of 2000-01-19")
			})
		})
	}
}
