package playbooks

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

const (
	// restartLasts is how long a restart has to last: memory that is short again before is
	// not given back, and another restart would last no longer. It is a choice.
	restartLasts = 6 * time.Hour
	// remembered is for how long a playbook looks back at what it did, and does not say
	// again what it has said.
	remembered = 24 * time.Hour
)

// Earlier is what earlier runs of the playbook did here, within a day.
type Earlier struct {
	// Restart is the last restart that one of them made, zero if none did, and Run which
	// one.
	Restart time.Time `json:"restart,omitzero"`
	Run     string    `json:"run,omitempty"`
	// Short are the times at which they found memory to be short, the oldest first.
	Short []time.Time `json:"short,omitempty"`
	// Told are the steps by which people were told something.
	Told []string `json:"told,omitempty"`
}

// earlier is a step that looks at what the playbook did before.
func (e Environment) earlier(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Look at what was done about it before", Timeout: time.Minute, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) {
			return e.Runs != nil, "this environment does not keep what was done before"
		},
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			var found Earlier
			query := incident.RunQuery{Labels: map[string]string{"playbook": s.Playbook, "environment": s.Environment}, Since: time.Now().Add(-remembered)}
			for run, err := range e.Runs(ctx, query) {
				if err != nil {
					return nil, fmt.Errorf("what was done before could not be read: %w", err)
				}
				if run.ID != s.Run {
					found.add(run)
				}
			}
			slices.SortFunc(found.Short, time.Time.Compare)
			return found, nil
		}},
	}
}

// add notes what one run did.
func (f *Earlier) add(run incident.Run) {
	did := func(id string) *incident.StepRun {
		if s := run.Step(id); s != nil && s.State == incident.StepDone {
			return s
		}
		return nil
	}
	for _, id := range []string{tellLeak, tellDevelopment, tellNothingLeft} {
		if did(id) != nil && !slices.Contains(f.Told, id) {
			f.Told = append(f.Told, id)
		}
	}
	// A restart of which nobody knows whether it happened may have.
	if s := run.Step("restart.restart"); s != nil && (s.State == incident.StepDone || s.State == incident.StepUnknown) {
		at := s.Ended
		if at.IsZero() { // the run was cancelled in the middle of it
			at = s.Began
		}
		if at.After(f.Restart) {
			f.Restart, f.Run = at, run.ID
		}
	}
	var d Decision
	if s := did("decide"); s != nil && json.Unmarshal(s.Output, &d) == nil && (d.Action == freeMemory || d.Action == holdLeak) {
		f.Short = append(f.Short, s.Ended)
	}
}

// What [HighMemory] decides to do, and the steps by which it says what comes back.
const (
	freeMemory = "free memory"
	holdLeak   = "hold the leak"

	tellLeak, tellDevelopment, tellNothingLeft = "tell-leak", "tell-development", "tell-nothing-left"
)

// leak says whether memory is short again soon after this playbook has restarted the
// application, and in which words: then it does not restart it again.
func leak(s *incident.Scope) (why string, is bool) {
	before, known := incident.Result[Earlier](s, "earlier")
	if o, looked := s.Outcome("earlier"); !known && looked && o.Status == incident.Failed {
		return "whether it was restarted before is not known (" + o.Message + "), so that it is not restarted", true
	}
	ago := s.Now.Sub(before.Restart)
	if !known || before.Restart.IsZero() || ago >= restartLasts {
		return "", false
	}
	why = fmt.Sprintf("it was restarted %v ago (run %s), and its memory is short again", ago.Round(time.Minute), before.Run)
	if every := before.every(s.Now); every > 0 {
		why += fmt.Sprintf("; it comes back every %d minutes: this is a leak", int(every.Minutes()))
	} else {
		why += "; it comes back: this is a leak"
	}
	return why, true
}

// every returns the mean time between the moments at which memory was short, with this one;
// zero if there was none before.
func (f Earlier) every(now time.Time) time.Duration {
	if len(f.Short) == 0 {
		return 0
	}
	return now.Sub(f.Short[0]) / time.Duration(len(f.Short))
}

// untold is the condition that people were not told this within a day.
func untold(step string) incident.Condition {
	return func(s *incident.Scope) (bool, string) {
		before, _ := incident.Result[Earlier](s, "earlier")
		return !slices.Contains(before.Told, step), fmt.Sprintf("it was told within the last %v", remembered)
	}
}

// leakText tells people of a leak.
func (e Environment) leakText(s *incident.Scope) incident.Message {
	v, _ := incident.Result[Decision](s, "decide")
	lines := []string{v.Why + "."}
	if before, ok := incident.Result[Earlier](s, "earlier"); ok && len(before.Short) > 0 {
		var at []string
		for _, t := range before.Short {
			at = append(at, e.stamp(t))
		}
		lines = append(lines, "Memory was short at "+strings.Join(at, ", ")+", and is now.")
	}
	if r, ok := incident.Result[Deployments](s, "deployments"); ok && r.Current != nil {
		lines = append(lines, "What runs is "+version(*r.Current)+".")
	}
	return incident.Message{Title: "The application of " + e.name() + " leaks memory: it comes back", Text: strings.Join(lines, "\n")}
}

// tellOfLeak are the steps that tell of a leak, once a day: who operates it, and who can
// remove it.
func (e Environment) tellOfLeak() []incident.Step {
	return []incident.Step{
		withWhen(e.inform(tellLeak, func(s *incident.Scope) incident.Message {
			m := e.leakText(s)
			m.Text += "\nIt is not restarted again. A higher limit is tried, and then fewer tasks at once, which make it last longer; only development can remove it, or a rollback to a version without it."
			return m
		}), both(decided(holdLeak), untold(tellLeak))),
		withWhen(e.defect(tellDevelopment, func(s *incident.Scope) incident.Message {
			m := e.leakText(s)
			m.Text += "\nMemory that is not given back has to be found in the application: please look for what changed since it lasted longer. Until then operations keeps it going."
			return m
		}), both(decided(holdLeak), untold(tellDevelopment))),
	}
}

// held is the condition that something was done about memory that may have helped: of a
// leak a change that was kept, else anything.
func held(s *incident.Scope) (bool, string) {
	if leaks, _ := decided(holdLeak)(s); leaks && !s.Planning && !kept(s, "limit") && !kept(s, "tasks") {
		return false, "nothing was changed that could help"
	}
	return true, ""
}

// tellNothing is a step that says that a leak is left to people, once a day.
func (e Environment) tellNothing() incident.Step {
	return withWhen(e.warn(tellNothingLeft, func(s *incident.Scope) incident.Message {
		v, _ := incident.Result[Decision](s, "decide")
		lines := []string{v.Why + "."}
		for _, id := range []string{"limit", "tasks"} {
			if o, ok := s.Outcome(id); ok && o.Message != "" {
				lines = append(lines, id+": "+o.Message+".")
			}
		}
		lines = append(lines, "When it is full the platform ends it and starts it again, which ends the tasks that run. A person decides: roll back to a version without the leak, or restart it at a time at which few tasks run.")
		return incident.Message{Title: "The memory of " + e.name() + " is short again, and nothing more is changed by itself", Text: strings.Join(lines, "\n")}
	}), both(func(s *incident.Scope) (bool, string) {
		leaks, why := decided(holdLeak)(s)
		if done, _ := held(s); leaks && done {
			return false, "something was changed that may help"
		}
		return leaks, why
	}, untold(tellNothingLeft)))
}
