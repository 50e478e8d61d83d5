package host_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// However much there is to tell, the operators' chat gets no more than people read, and loses
// nothing of it. What asks them is there at once.
//
// Requirement: AL-RULE-LIMIT
func TestOperatorsAreNotFlooded(t *testing.T) {
	onStage(t, observing, func(s *stage) {
		defer s.story()
		inform := s.host.Environments()[0].Inform
		chat := func() (texts []string) {
			for _, a := range s.world.Acts() {
				if a.Kind == "slack" && a.Detail == "#qa-automation-alerts" {
					texts = append(texts, a.Text)
				}
			}
			return texts
		}
		before := len(chat())
		for i := range 40 {
			require.NoError(t, inform(s.Context(), incident.Message{Title: fmt.Sprintf("Finding %02d", i), Text: "It is so."}))
			time.Sleep(time.Minute)
		}
		require.NoError(t, inform(s.Context(), incident.Message{Title: "Somebody has to decide", Urgent: true}))
		time.Sleep(5 * time.Second)
		told := chat()[before:]
		assert.LessOrEqual(t, len(told), 11)
		assert.Contains(t, told[len(told)-1], "Somebody has to decide")
		time.Sleep(3 * time.Hour)
		told = chat()[before:]
		assert.LessOrEqual(t, len(told), 20)
		for i := range 40 {
			assert.Contains(t, strings.Join(told, "\n"), fmt.Sprintf("Finding %02d", i))
		}
	})
}
