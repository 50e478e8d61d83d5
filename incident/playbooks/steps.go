package playbooks

import (
	"context"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// replacing says which commands of the written procedure a step carries out.
func replacing(s incident.Step, commands ...string) incident.Step {
	s.Replaces = append(s.Replaces, commands...)
	return s
}

// withPhase puts a step into a phase.
func withPhase(phase string, s incident.Step) incident.Step {
	s.Phase = phase
	return s
}

// withWhen gives a step a condition, beside the one that it has.
func withWhen(s incident.Step, when incident.Condition) incident.Step {
	own := s.When
	s.When = func(scope *incident.Scope) (bool, string) {
		if needed, why := when(scope); !needed {
			return false, why
		}
		if own != nil {
			return own(scope)
		}
		return true, ""
	}
	return s
}

// checkOf is a check that depends on nothing but what was found before.
func checkOf(run func(s *incident.Scope) (any, error)) incident.Check {
	return incident.Check{Run: func(_ context.Context, s *incident.Scope) (any, error) {
		output, err := run(s)
		if err != nil {
			return nil, incident.Final(err) // the same facts lead to the same
		}
		return output, nil
	}}
}

// Lines are lines of a log, the oldest first, cut to what a record can keep.
type Lines struct {
	Lines []string `json:"lines"`
	// More is how many there were beyond those.
	More int `json:"more,omitempty"`
}

// lines is a step that reads the log. Lines may have personal data in them, and are kept
// in the record of the run: at most 50, each cut to 200 characters.
func (e Environment) lines(id, title string, query incident.LogQuery) incident.Step {
	return incident.Step{
		ID: id, Title: title, Timeout: 30 * time.Second, Attempts: 1, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) { return e.Logs != nil, "this environment has no logs" },
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			var found Lines
			for line, err := range e.Logs.Logs(ctx, query) {
				if err != nil {
					return nil, err
				}
				found.Lines = append(found.Lines, cut(line.Message, 200))
			}
			if n := len(found.Lines) - 50; n > 0 {
				found.Lines, found.More = found.Lines[n:], n
			}
			return found, nil
		}},
	}
}
