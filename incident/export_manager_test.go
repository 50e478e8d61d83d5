package incident

import "time"

// AcknowledgeBy returns when an incident that was triggered at a moment has to be
// acknowledged.
func (s SLA) AcknowledgeBy(triggered time.Time) (time.Time, error) {
	return s.due(triggered, s.Acknowledge)
}

// EscapeMarkdown is what texts from outside become in a report.
func EscapeMarkdown(text string) string { return mdText(text) }
