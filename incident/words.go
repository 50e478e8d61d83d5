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
		parts = append(parts, "waits for its turn: another run works on "+r.Environment+", or no process has taken it yet")
	case StateRunning:
		parts = append(parts, r.doing(now))
	case StateWaiting:
		parts = append(parts, "needs a person: "+r.Question.Title+r.Question.until(now))
	case StateHeld:
		parts = append(parts, fmt.Sprintf("was paused by %s%s; nothing new is begun", r.Held.By, because(r.Held.Reason)))
	case StateCancelled:
		parts = append(parts, fmt.Sprintf("was cancelled by %s%s; what was done stays", r.Cancelled.By, because(r.Cancelled.Reason)))
		parts = append(parts, r.doubts()...)
	case StateStranded:
		parts = append(parts, "nothing goes on with it")
	default:
		parts = append(parts, inWords(ended{r.State, r.Reason}))
		parts = append(parts, r.doubts()...)
	}
	if r.Attention != "" {
		parts = append(parts, r.Attention)
	}
	r.Text = strings.Join(parts, "; ")
}

// doubts says which actions of a run that has ended may have been done.
func (r *Run) doubts() (parts []string) {
	for _, s := range r.Steps {
		if s.State == StepUnknown && s.Kind == KindAction {
			parts = append(parts, "look at "+s.Title+": it is not known whether it was done")
		}
	}
	return parts
}

// doing says what a running run does.
func (r *Run) doing(now time.Time) string {
	var names []string
	var last StepRun
	for _, s := range r.Steps {
		if s.State == StepRunning && s.Title != "" && s.Kind != KindParallel && s.Kind != KindSub {
			names, last = append(names, s.Title), s
		}
	}
	if len(names) != 1 {
		return or(strings.Join(names, ", and "), "is under way")
	}
	text := last.Title
	if last.Began.Before(now) && !last.Began.IsZero() {
		text += fmt.Sprintf(", for %v", now.Sub(last.Began).Round(time.Second))
	}
	if last.Message != "" {
		text += " (the last time: " + last.Message + ")"
	}
	return text
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

// choices says what the answers to the question mean what to do about a step. undo are
// the titles of what would be taken back.
func choices(out Outcome, answers, undo []string) string {
	var b strings.Builder
	switch {
	case out.Status == Unknown:
		b.WriteString("\n\nLook whether it was done before you answer: if it was, retry may do it twice.")
	case out.Code == codeHeld:
		b.WriteString("\n\nNothing was done. A person may do it: retry does it in your name.")
	case out.Code == codeUnknownStep:
		b.WriteString("\n\nNothing was done. With a program that has the step again, retry makes it.")
	}
	b.WriteString("\n")
	for _, answer := range answers {
		what := map[string]string{
			AnswerRetry: "make it again", AnswerSkip: "leave it out, and go on", AnswerDone: "it is done, by hand or as it was meant; go on",
			AnswerBack: "go on from an earlier step", AnswerAbort: "end the run, and leave things as they are",
			AnswerUndo: "end the run; there is nothing to take back",
		}[answer]
		if answer == AnswerUndo && len(undo) > 0 {
			what = "end the run, and take back, in this order: " + strings.Join(undo, ", ")
		}
		b.WriteString("\n" + answer + ": " + what)
	}
	return b.String()
}

// undoChoices says what the answers to the question mean what to do about an undo.
const undoChoices = "\n\nretry: take it back once more\ndone: it is taken back, by hand or as it was meant\nskip: leave it as it is, and go on taking back what was done before"
