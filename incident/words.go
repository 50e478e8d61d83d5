package incident

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// decode reads what was recorded.
func decode(data json.RawMessage, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("incident: what is recorded cannot be read: %w", err)
	}
	return nil
}

// inWords says how a run ended.
func inWords(e ended) string {
	switch e.State {
	case StateSucceeded:
		return "succeeded"
	case StateUndone:
		return "was taken back: " + e.Reason
	}
	return "failed: " + e.Reason
}

// say fills in what the run says of itself in a sentence.
func (r *Run) say(now time.Time) {
	var parts []string
	switch r.State {
	case StateQueued:
		parts = append(parts, "waits for its turn: another run works on "+r.Environment)
	case StateRunning:
		parts = append(parts, r.doing(now))
	case StateWaiting:
		parts = append(parts, "needs a person: "+r.Question.Title+r.Question.until(now))
	case StateHeld:
		parts = append(parts, fmt.Sprintf("was paused by %s%s; nothing new is begun", r.Held.By, because(r.Held.Reason)))
	case StateCancelled:
		parts = append(parts, fmt.Sprintf("was cancelled by %s%s; what was done stays", r.Cancelled.By, because(r.Cancelled.Reason)))
	case StateStranded:
		parts = append(parts, "nothing goes on with it")
	default:
		parts = append(parts, inWords(ended{r.State, r.Reason}))
	}
	if r.Attention != "" {
		parts = append(parts, r.Attention)
	}
	r.Text = strings.Join(parts, "; ")
}

// doing says what a running run does.
func (r *Run) doing(now time.Time) string {
	var names []string
	since := time.Time{}
	for _, s := range r.Steps {
		if s.State == StepRunning && s.Title != "" && s.Kind != KindParallel && s.Kind != KindSub {
			names = append(names, s.Title)
			since = s.Began
		}
	}
	switch {
	case len(names) == 0:
		return "is under way"
	case len(names) == 1 && since.Before(now) && !since.IsZero():
		return fmt.Sprintf("%s, for %v", names[0], now.Sub(since).Round(time.Second))
	}
	return strings.Join(names, ", and ")
}

// until says how long there is for an answer.
func (q *Question) until(now time.Time) string {
	if q.Deadline.IsZero() {
		return ""
	}
	if left := q.Deadline.Sub(now).Round(time.Second); left > 0 {
		return fmt.Sprintf(" (within %v)", left)
	}
	return " (the time is over)"
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}
