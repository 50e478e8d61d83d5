package drill

import (
	"io"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// What the tests of this program look at.
type (
	Scenario = scenario
	Oracle   = oracle
	Rule     = rule
	Order    = order
	History  = history
	Act      = act
	Span     = span
	Opened   = opened
	Ran      = ran
	Finding  = finding
	Result   = result
	Fault    = fault
)

// Funcs of this program that tests call.
var (
	Scenarios = scenarios
	Judge     = judge
	Pairs     = pairs
	DrawFrom  = drawFrom
	Parse     = parse
	Drill     = drill
	ChartOf   = chartOf
	Kinds     = kinds
	InBubble  = inBubble
	Changes   = changes
	Tells     = tells
	Says      = says
)

// Chosen are the names of the scenarios that a command line chooses.
func Chosen(o options) (names []string) {
	for _, s := range o.scenarios {
		names = append(names, s.Name)
	}
	return names
}

// Report writes the report of results.
func Report(w io.Writer, results []Result) error { return writeHTML(w, results, 7, time.Second) }

// Run returns what runs the scenarios of a drill, for Drill.
type Run = func(Scenario, uint64, func(string)) *History

// Reported is an incident that a person reports, with the playbook that they start.
func Reported(title, playbook string) *declared {
	return &declared{After: 2 * time.Minute, Title: title, Playbook: playbook, Severity: alert.Critical}
}

// Bans are the names of what is forbidden in any case.
func Bans() (names []string) {
	for _, b := range bans() {
		names = append(names, b.Name)
	}
	return names
}
