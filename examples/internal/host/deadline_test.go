package host_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// A suspected breach puts its day on the clock; those who answer for security are reminded of
// it, and when it is about to be missed the operators too, without what it is about.
func TestABreachIsOnTheClock(t *testing.T) {
	onStage(t, nil, func(s *stage) {
		inc, err := s.host.Manager().Open(s.Context(), incident.Opening{By: "Ana Silva", Title: "somebody is in", Environment: "production", Severity: alert.High, NoEscalation: true})
		require.NoError(s, err)
		_, err = s.host.Runner().Start(s.Context(), incident.Request{
			Environment: "production", Playbook: "credential-compromise", Incident: inc.ID, By: "Ana Silva", Parameters: map[string]string{"credential": "SECRET_KEY", "aware": "719h"},
		})
		require.NoError(s, err)
		began := time.Now()
		time.Sleep(10 * time.Minute)
		inc, err = s.host.Manager().Incident(s.Context(), inc.ID)
		require.NoError(s, err)
		require.Len(s, inc.OpenDeadlines(), 1)
		assert.WithinDuration(s, began.Add(time.Hour), inc.OpenDeadlines()[0].Due, 2*time.Hour, "30 days since somebody knew, over a change of the clocks or not")
		_, err = s.host.Manager().Resolve(s.Context(), inc.ID, incident.Resolution{By: "Ana Silva"})
		require.NoError(s, err)
		time.Sleep(3 * time.Hour)
		count := func(lines []string, text string) (n int) {
			for _, l := range lines {
				if strings.Contains(l, text) {
					n++
				}
			}
			return n
		}
		security := s.told("mail", "security@example.edu", began)
		assert.Equal(s, 1, count(security, "MISSED"), security)
		assert.GreaterOrEqual(s, count(security, inc.ID+": notify by"), 2, security)
		operators := s.told("slack", "#qa-automation-alerts", began)
		assert.Equal(s, 1, count(operators, "MISSED"), operators)
		assert.Zero(s, count(operators, "Privacy Act"), "it is not for all")
	})
}
