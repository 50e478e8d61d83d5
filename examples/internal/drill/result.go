package drill

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A result is an exercise with what its oracle says of it.
type result struct {
	Name, Title string
	Seed        uint64
	History     *history
	Findings    []finding
	// Took is how long it took on this machine.
	Took time.Duration
}

// kept reports whether the oracle is kept.
func (r result) kept() bool { return len(r.Findings) == 0 }

// wrong counts what was done that must not be done.
func (r result) wrong() (n int) {
	for _, f := range r.Findings {
		if f.Wrong {
			n++
		}
	}
	return n
}

// steps counts the steps of playbooks that were made, messages what people were sent.
func (r result) steps() (n int) {
	for _, run := range r.History.Runs {
		n += run.Steps
	}
	return n
}

func (r result) messages() (n int) {
	for _, a := range r.History.Acts {
		if slices.Contains(says(), a.Kind) {
			n++
		}
	}
	return n
}

// broken are the results whose oracle is not kept.
func broken(results []result) (list []result) {
	for _, r := range results {
		if !r.kept() {
			list = append(list, r)
		}
	}
	return list
}

// writeTable writes the results for people: a line each, and below what is not as it should be.
func writeTable(w io.Writer, results []result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SCENARIO\tDETECTED\tACKNOWLEDGED\tMITIGATED\tRESOLVED\tSTEPS\tWRONG ACTS\tMESSAGES\tORACLE")
	for _, r := range results {
		at := timesOf(r.History)
		verdict := "kept"
		if !r.kept() {
			verdict = fmt.Sprintf("BROKEN (%d)", len(r.Findings))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", r.Name, took(at.Detected), took(at.Acknowledged), took(at.Mitigated), took(at.Resolved),
			r.steps(), r.wrong(), r.messages(), verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	bad := broken(results)
	for _, r := range bad {
		fmt.Fprintf(w, "\n%s: %s\n", r.Name, r.Title)
		for _, line := range r.lines() {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", verdict(results))
	return err
}

// lines are the findings for people: of those that say the same the first, and how many more
// there are.
func (r result) lines() (list []string) {
	more, at := make(map[string]int), make(map[string]int)
	for _, f := range r.Findings {
		kind, _, _ := strings.Cut(f.Text, ": ")
		if !strings.HasPrefix(kind, "forbidden") {
			kind = f.Text
		} else if kind == "forbidden" {
			kind = strings.Join(strings.Fields(f.Text)[:2], " ")
		}
		if _, known := at[kind]; known {
			more[kind]++
			continue
		}
		at[kind] = len(list)
		list = append(list, f.line(r.History))
	}
	for kind, n := range more {
		list[at[kind]] += fmt.Sprintf(", and %d more like this", n)
	}
	return list
}

// verdict says how it went in one line.
func verdict(results []result) string {
	bad, wrong := broken(results), 0
	for _, r := range results {
		wrong += r.wrong()
	}
	if len(bad) == 0 {
		return fmt.Sprintf("%s, each as its oracle says. Nothing forbidden was done.", count(len(results), "scenario"))
	}
	return fmt.Sprintf("%s, %d not as the oracle says, with %s.", count(len(results), "scenario"), len(bad), count(wrong, "wrong act"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// line is a finding with its time after the first fault.
func (f finding) line(h *history) string {
	if f.At.IsZero() {
		return f.Text
	}
	return after(f.At.Sub(h.Began)) + " " + f.Text
}

func took(d *time.Duration) string {
	if d == nil {
		return "-"
	}
	return short(*d)
}

// jsonResult is a result as JSON. Times are RFC 3339, durations seconds; null is what did not
// happen.
type jsonResult struct {
	Scenario     string     `json:"scenario"`
	Title        string     `json:"title"`
	Seed         uint64     `json:"seed"`
	Kept         bool       `json:"oracle_kept"`
	Detected     *float64   `json:"detected_seconds"`
	Acknowledged *float64   `json:"acknowledged_seconds"`
	Mitigated    *float64   `json:"mitigated_seconds"`
	Resolved     *float64   `json:"resolved_seconds"`
	Steps        int        `json:"steps"`
	WrongActs    int        `json:"wrong_acts"`
	Messages     int        `json:"messages"`
	Findings     []finding  `json:"findings"`
	Faults       []jsonSpan `json:"faults"`
	Unserved     []jsonSpan `json:"unserved"`
	Runs         []jsonRun  `json:"runs"`
	Acts         []jsonAct  `json:"acts"`
	Began        time.Time  `json:"began"`
	Ended        time.Time  `json:"ended"`
}

type jsonSpan struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"`
	What string    `json:"what"`
	// Variant is which of the causes that such a fault can have it is.
	Variant string `json:"variant,omitempty"`
}

type jsonRun struct {
	ID       string    `json:"id"`
	Playbook string    `json:"playbook"`
	State    string    `json:"state"`
	Reason   string    `json:"reason,omitempty"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
	Steps    int       `json:"steps"`
}

type jsonAct struct {
	At          time.Time `json:"at"`
	Kind        string    `json:"kind"`
	Environment string    `json:"environment,omitempty"`
	Detail      string    `json:"detail,omitempty"`
	Text        string    `json:"text,omitempty"`
}

// writeJSON writes the results for programs.
func writeJSON(w io.Writer, results []result) error {
	list := make([]jsonResult, 0, len(results))
	for _, r := range results {
		h, at := r.History, timesOf(r.History)
		j := jsonResult{
			Scenario: r.Name, Title: r.Title, Seed: r.Seed, Kept: r.kept(), Detected: seconds(at.Detected), Acknowledged: seconds(at.Acknowledged),
			Mitigated: seconds(at.Mitigated), Resolved: seconds(at.Resolved), Steps: r.steps(), WrongActs: r.wrong(), Messages: r.messages(),
			Findings: append([]finding{}, r.Findings...), Faults: jsonSpans(h.Faults), Unserved: jsonSpans(h.Unserved),
			Runs: []jsonRun{}, Acts: []jsonAct{}, Began: h.Began, Ended: h.Ended,
		}
		for _, x := range h.Runs {
			j.Runs = append(j.Runs, jsonRun{ID: x.ID, Playbook: x.Playbook, State: x.State, Reason: x.Reason, Started: x.Started, Ended: x.Ended, Steps: x.Steps})
		}
		for _, a := range h.Acts {
			j.Acts = append(j.Acts, jsonAct{At: a.At, Kind: a.Kind, Environment: a.Environment, Detail: a.Detail, Text: a.Text})
		}
		list = append(list, j)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{"kept": len(broken(results)) == 0, "scenarios": list})
}

func seconds(d *time.Duration) *float64 {
	if d == nil {
		return nil
	}
	s := d.Seconds()
	return &s
}

func jsonSpans(spans []span) []jsonSpan {
	list := make([]jsonSpan, 0, len(spans))
	for _, s := range spans {
		list = append(list, jsonSpan(s))
	}
	return list
}

// writeList writes the names of all scenarios.
func writeList(w io.Writer, all []scenario) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range all {
		var kinds []string
		for _, f := range s.Faults {
			kinds = append(kinds, f.Kind)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, s.Title, strings.Join(kinds, ", "))
	}
	return t.Flush()
}
