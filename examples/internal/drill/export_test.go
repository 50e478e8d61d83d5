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

// Report writes the report of results.
func Report(w io.Writer, results []Result) error { return writeHTML(w, results, 7, time.Second) }

// Run returns what runs the scenarios of a drill, for Drill.
type Run = func(Scenario, uint64, func(string)) *History

// Reported is an incident that a person reports, with the playbook that they start.
func Reported(title, playbook string) *declared {
	return &declared{After: 2 * time.Minute, Title: title, Playbook: playbook, Severity: alert.Critical}
}
