package playbooks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// Routine is what a routine look at an environment found, as a step keeps it: a line for
// each thing, in one of five lists.
type Routine struct {
	// Problems are what does not work, or is beyond its limit. Unknown are what could not
	// be looked at, which is no reason to call it well.
	Problems []string `json:"problems,omitempty"`
	Unknown  []string `json:"unknown,omitempty"`
	// Watch are what works, but not as it should, and what is down on purpose.
	Watch []string `json:"watch,omitempty"`
	// Well are what is as it should be.
	Well []string `json:"well,omitempty"`
	// Missing are what this environment has no means to look at.
	Missing []string `json:"missing,omitempty"`
}

// String returns all lines, those first that somebody must do something about.
func (r Routine) String() string {
	var b strings.Builder
	for _, part := range []struct {
		title string
		lines []string
	}{{"Problems", r.Problems}, {"Not known", r.Unknown}, {"To be watched", r.Watch}, {"Well", r.Well}, {"Not looked at", r.Missing}} {
		if len(part.lines) > 0 {
			fmt.Fprintf(&b, "%s:\n- %s\n", part.title, strings.Join(part.lines, "\n- "))
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// bad returns an error with what is wrong or not known, or nil.
func (r Routine) bad() error {
	if wrong := slices.Concat(r.Problems, r.Unknown); len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// short says in a few words how it stands.
func (r Routine) short() string {
	switch {
	case len(r.Problems) > 0 && len(r.Unknown) > 0:
		return fmt.Sprintf("%d problems, %d not known", len(r.Problems), len(r.Unknown))
	case len(r.Problems) > 0:
		return fmt.Sprintf("%d problems", len(r.Problems))
	case len(r.Unknown) > 0:
		return fmt.Sprintf("%d not known", len(r.Unknown))
	}
	return "all is well"
}

// looked returns what a look found, as not known if it could not be made at all.
func looked(s *incident.Scope, step string) Found {
	f, ok := incident.Result[Found](s, step)
	if !ok {
		o, _ := s.Outcome(step)
		return Found{Message: strings.TrimSuffix("it could not be looked at: "+o.Message, ": ")}
	}
	return f
}

// add puts what a probe found into its list.
func (r *Routine) add(name string, f Found) {
	line := name + ": " + cut(f.String(), 300)
	if f.Status != health.Healthy {
		line += f.details()
	}
	switch {
	case f.Missing:
		r.Missing = append(r.Missing, name)
	case f.Status == health.Healthy:
		r.Well = append(r.Well, line)
	case f.Status == health.Unhealthy:
		r.Problems = append(r.Problems, line)
	case f.Status.OK():
		r.Watch = append(r.Watch, line)
	default:
		r.Unknown = append(r.Unknown, line)
	}
}

// details lists the measurements of what is not well: canvas_details among them.
func (f Found) details() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(f.Texts)) {
		all = append(all, name+" "+cut(f.Texts[name], 120))
	}
	for _, name := range slices.Sorted(maps.Keys(f.Numbers)) {
		all = append(all, fmt.Sprintf("%s %.4g", name, f.Numbers[name]))
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + cut(strings.Join(all, ", "), 600) + ")"
}

// addActivity puts what the users do into the lists, with the number of errors against its
// limit.
func (r *Routine) addActivity(name string, f Found, d Defaults) {
	if f.Missing || f.Status == health.Unknown || len(f.Numbers) == 0 {
		r.add(name, f)
		return
	}
	var all []string
	for _, n := range []string{"active_sessions", "active_qa_tasks", "recent_errors", "memory_usage_mb"} {
		if v, ok := f.Numbers[n]; ok {
			all = append(all, fmt.Sprintf("%s %.4g", n, v))
		}
	}
	line := name + ": " + strings.Join(all, ", ")
	switch n, counted := f.Numbers["recent_errors"]; {
	case counted && n > float64(d.RecentErrors):
		r.Problems = append(r.Problems, fmt.Sprintf("%s: high error count: %.0f errors, and %d may be; %s", name, n, d.RecentErrors, line))
	case !counted:
		r.Unknown = append(r.Unknown, line+": how many errors there were was not said")
	case f.Status == health.Healthy || f.Status == health.Degraded:
		// Too many errors by the limit of the probe, and not by this one, is well.
		r.Well = append(r.Well, line)
	default:
		r.add(name, f)
	}
}

// PerformanceFound is what a look at the performance found.
type PerformanceFound struct {
	// Found is what the probe says itself: memory, by its own limits.
	Found Found `json:"found"`
	// Measured is how the application answered, the middle one of three samples.
	Measured Measured `json:"measured"`
}

// performance is a step that measures how the application answers, three times.
func (e Environment) performance(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Measure how " + e.name() + " answers", Timeout: 2 * time.Minute, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) {
			return e.Probes.Performance != nil, "this environment has no probe of the performance"
		},
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			m, err := e.responsiveness().measure(ctx)
			if err != nil {
				return nil, err
			}
			return PerformanceFound{Found: probe(ctx, e.Probes.Performance), Measured: m}, nil
		}},
	}
}

// addPerformance puts what was measured into its list.
func (r *Routine) addPerformance(name string, s *incident.Scope, step string) {
	p, ok := incident.Result[PerformanceFound](s, step)
	switch {
	case r.without(s, name, step, ok):
	case !p.Measured.well():
		r.Problems = append(r.Problems, name+": "+p.Measured.Text)
	case p.Found.Status == health.Healthy:
		r.Well = append(r.Well, name+": "+p.Measured.Text)
	default:
		r.add(name, p.Found)
	}
}

// without puts a step that found nothing into its list, and reports whether it did.
func (r *Routine) without(s *incident.Scope, name, step string, found bool) bool {
	o, _ := s.Outcome(step)
	switch {
	case found:
		return false
	case o.Status == incident.Skipped:
		r.Missing = append(r.Missing, name+": "+o.Message)
	default:
		r.Unknown = append(r.Unknown, name+": "+o.Message)
	}
	return true
}

// routineOf returns what a step found, as not known if that is lost.
func routineOf(s *incident.Scope, step string) Routine {
	r, ok := incident.Result[Routine](s, step)
	if !ok {
		o, _ := s.Outcome(step)
		r.Unknown = []string{strings.TrimSuffix("what was found could not be told: "+o.Message, ": ")}
	}
	return r
}

// concluding is the last step of a routine: it ends as failed if something is wrong, or
// not known, or if the summary did not reach anybody.
func concluding(id, found string, notices ...string) incident.Step {
	return incident.Step{ID: id, Title: "Say how it stands", OnFailure: incident.Abort, Do: checkOf(func(s *incident.Scope) (any, error) {
		for _, notice := range notices {
			if o, ok := s.Outcome(notice); ok && o.Status != incident.Done && o.Status != incident.Skipped {
				return nil, fmt.Errorf("nobody could be told (%s): %s", notice, o.Message)
			}
		}
		r := routineOf(s, found)
		return r.short(), r.bad()
	})}
}
