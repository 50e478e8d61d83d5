package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
)

// schema names the form of the JSON report. Keys may be added under the same
// name; a key that changes its meaning or goes away changes the name.
const schema = "runbook.morning/1"

// report is what the routine found. Its JSON form is described in README.md.
type report struct {
	Schema       string              `json:"schema"`
	Source       string              `json:"source"`             // "embedded estate" or the name of the configuration
	Scenario     string              `json:"scenario,omitempty"` // of the estate
	Time         time.Time           `json:"time"`               // when it began
	DurationMS   float64             `json:"duration_ms"`        // of the whole routine
	Interrupted  bool                `json:"interrupted"`        // ended before every check had
	Status       health.Status       `json:"status"`             // of everything: the worst of the environments
	Verdict      string              `json:"verdict"`            // "healthy", "degraded", "down" or "could not check"
	ExitCode     int                 `json:"exit_code"`          // of the program
	Summary      string              `json:"summary"`            // the verdict in one line
	Environments []environmentReport `json:"environments"`
	Alerts       []alertReport       `json:"alerts"` // one for each failure that no other explains
}

type environmentReport struct {
	Name    string        `json:"name"`
	Status  health.Status `json:"status"`
	Verdict string        `json:"verdict"`
	Checks  []checkReport `json:"checks"`
}

type checkReport struct {
	Name         string        `json:"name"`
	Title        string        `json:"title"`
	Target       string        `json:"target"` // without query
	Status       health.Status `json:"status"`
	Optional     bool          `json:"optional"`
	Cause        health.Cause  `json:"cause"`      // "" when healthy
	Message      string        `json:"message"`    // "" when healthy
	BlockedBy    string        `json:"blocked_by"` // the check of this environment that explains the failure, or ""
	Next         string        `json:"next"`       // what to do, or ""
	Time         *time.Time    `json:"time"`       // when it was asked; null if no answer was waited for
	DurationMS   float64       `json:"duration_ms"`
	Measurements []measurement `json:"measurements"`

	shown string // the key numbers, for the table
}

type measurement struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Text  string  `json:"text,omitempty"` // instead of value and unit
}

// verdict says in one word what a status means for the exit code. Maintenance
// is degraded: on purpose or not, something cannot be used.
func verdict(s health.Status) (word string, exit int) {
	switch s {
	case health.Healthy:
		return "healthy", exitHealthy
	case health.Degraded, health.Maintenance:
		return "degraded", exitDegraded
	case health.Unhealthy:
		return "down", exitDown
	}
	return "could not check", exitUnchecked
}

// makeReport puts together what the Monitor found for a plan.
func makeReport(p *plan, found *health.Report) *report {
	r := &report{Schema: schema, Alerts: []alertReport{}}
	var all []health.Status
	for _, name := range p.environments {
		env := environmentReport{Name: name, Checks: []checkReport{}}
		var states []health.Status
		for i, state := range found.Checks {
			if p.lines[i].environment != name {
				continue
			}
			env.Checks = append(env.Checks, checkOf(p.lines[i], state, found))
			states = append(states, counted(state))
		}
		env.Status = health.Worst(states...)
		env.Verdict, _ = verdict(env.Status)
		all = append(all, env.Status)
		r.Environments = append(r.Environments, env)
	}
	r.Status = health.Worst(all...)
	if r.nothingReached() {
		r.Status = health.Unknown
	}
	r.Verdict, r.ExitCode = verdict(r.Status)
	return r
}

// nothingReached reports whether no packet came back from any of several hosts.
// That says something about this machine and its network, and nothing about
// them: an alarm would be false.
func (r *report) nothingReached() bool {
	hosts := make(map[string]bool)
	for _, env := range r.Environments {
		for _, c := range env.Checks {
			if c.Cause != health.CauseDNS && c.Cause != health.CauseUnreachable {
				return false
			}
			hosts[hostOf(c.Target)] = true
		}
	}
	return len(hosts) > 1
}

// hostOf returns the host name in a URL.
func hostOf(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return target
	}
	return u.Hostname()
}

// counted is the status that a check contributes to its environment.
func counted(s health.State) health.Status {
	if s.Optional && !s.Status.OK() {
		return health.Degraded
	}
	return s.Status
}

// checkOf makes the report of one check.
func checkOf(l line, s health.State, all *health.Report) checkReport {
	c := checkReport{
		Name: l.check.Name, Title: l.check.Title, Target: l.target,
		Status: s.Status, Optional: s.Optional, Cause: s.Last.Cause, Message: s.Last.Message,
		DurationMS: milliseconds(s.Last.Duration), Measurements: []measurement{},
	}
	if s.Since.IsZero() {
		c.Cause, c.Message = health.CausePending, "not finished"
	} else {
		c.Time = &s.Last.Time
	}
	for _, m := range s.Last.Measurements {
		c.Measurements = append(c.Measurements, measurement{Name: m.Name, Value: m.Value, Unit: string(m.Unit), Text: m.Text})
	}
	_, c.BlockedBy, _ = strings.Cut(explainedBy(s, all), "/")
	if s.Status != health.Healthy && c.BlockedBy == "" {
		c.Next = advice(l, s.Last)
	}
	c.shown = show(l.check, s.Last)
	return c
}

// explainedBy returns the check that explains why another is not healthy, or "".
func explainedBy(s health.State, all *health.Report) string {
	if parent, ok := all.Check(s.BlockedBy); ok && !(saidItself(s.Last.Cause) && saidItself(parent.Last.Cause)) {
		return s.BlockedBy
	}
	if s.Status == health.Maintenance || s.Last.Cause == health.CauseThrottled { // no failures, and not news twice either
		for _, name := range s.DependsOn {
			if parent, ok := all.Check(name); ok && parent.Status == s.Status && parent.Last.Cause == s.Last.Cause {
				return name
			}
		}
	}
	return ""
}

// saidItself reports whether a cause is something that an answer said, so that
// the check that got it needs no other to explain its failure.
func saidItself(c health.Cause) bool {
	return slices.Contains([]health.Cause{health.CauseAssertion, health.CauseThreshold, health.CauseMissing}, c)
}

// summarize writes the verdict into one line.
func (r *report) summarize() {
	if r.nothingReached() {
		r.Summary = "none of the hosts could be reached from here, so the fault is probably this machine's network: check that first"
		return
	}
	var parts, well []string
	for _, env := range r.Environments {
		if env.Status == health.Healthy {
			well = append(well, env.Name)
			continue
		}
		parts = append(parts, env.Name+" is "+statusWord(env.Status)+" ("+strings.Join(env.reasons(), ", ")+")")
	}
	if len(well) > 0 && len(parts) > 0 {
		parts = append(parts, "healthy: "+strings.Join(well, ", "))
	}
	r.Summary = strings.Join(parts, "; ")
	if len(parts) == 0 {
		r.Summary = strings.Join(well, ", ") + " are healthy"
		if len(well) == 1 {
			r.Summary = well[0] + " is healthy"
		}
	}
	if r.Interrupted {
		r.Summary += "; interrupted before all checks had ended"
	}
}

// reasons returns title and cause of the checks that are not healthy and not
// explained by another, the worst first.
func (e environmentReport) reasons() []string {
	var reasons []string
	pending := 0
	for _, s := range []health.Status{health.Unhealthy, health.Unknown, health.Degraded, health.Maintenance} {
		for _, c := range e.Checks {
			switch {
			case c.Status != s || c.BlockedBy != "":
			case c.Cause == health.CausePending:
				pending++
			default:
				reasons = append(reasons, c.Title+": "+string(c.Cause))
			}
		}
	}
	if pending > 0 {
		reasons = append(reasons, fmt.Sprintf("%d not finished", pending))
	}
	return reasons
}

// statusWord is the word for the status of an environment.
func statusWord(s health.Status) string {
	if s == health.Maintenance {
		return "in maintenance"
	}
	word, _ := verdict(s)
	if s == health.Unknown {
		return "not known"
	}
	return word
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// milliseconds rounds to the microsecond.
func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
