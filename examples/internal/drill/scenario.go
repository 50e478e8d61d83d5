package drill

import (
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// A scenario is one exercise, as data: what goes wrong, what people do, and what has to come
// of it. The oracle was written from the runbook before any playbook was run against it.
type scenario struct {
	// Name names it on the command line. Title is what happens, in one line.
	Name, Title string
	// Faults are what goes wrong, each a while after the first, which begins some minutes
	// after the host did.
	Faults []fault
	// At is the hour of the day in the zone of the estate at which it begins; Weekend that it
	// is a Sunday, not a Tuesday.
	At      time.Duration
	Weekend bool
	// Watch is how long it is watched at most, from the first fault. It ends before if all
	// is over: no fault, no open incident, no run, and Least has passed.
	Watch, Least time.Duration
	// People say who does what.
	People people
	// Replaced is the kind of the act right after which the host is dropped, with nothing
	// settled; another one goes on five minutes later. Empty means that it lives.
	Replaced string
	// Pair means that it was drawn at random: only what is forbidden in any case is looked for.
	Pair bool
	// Playbooks are more playbooks than those of the runbook.
	Playbooks func(playbooks.Environment) []incident.Playbook
	// Oracle is what has to come of it.
	Oracle oracle
}

// A fault is something that goes wrong: a kind of package world.
type fault struct {
	Kind string
	// After is how long after the first fault it begins. Apart is by how much the seed may
	// delay it beyond that.
	After, Apart time.Duration
	// For is how long it lasts if nobody removes the cause. Zero leaves that to the world.
	For time.Duration
	// Variant is which of the causes that such a fault can have it is. Empty leaves that to
	// the seed.
	Variant string
	// Swap means that the seed may let it begin before the first one.
	Swap bool
}

// people are the script of those who are called. Nobody else does anything.
type people struct {
	// Ack is how long the first person who is called takes to acknowledge. Zero means five
	// minutes; negative that nobody does.
	Ack time.Duration
	// Answer is how long people take to answer a question of a playbook. Zero means six
	// minutes; negative that nobody answers.
	Answer time.Duration
	// Deny are the steps and playbooks whose questions are answered with a no: what is to
	// be approved is denied, all else ended. "all" means every one.
	Deny []string
	// Mends are kinds of faults whose cause people remove when they are asked to do
	// something by hand: a provider is called, a machine is replaced.
	Mends []string
	// Declare is an incident that a person opens when the first fault begins.
	Declare *declared
}

// declared is an incident that a person reports, since no check can know of it.
type declared struct {
	After           time.Duration
	Title, Playbook string
	Severity        alert.Severity
	Parameters      map[string]string
}

// An oracle says what has to come of a scenario. Times are bounds; zero means that there is
// none.
type oracle struct {
	// Severity is how bad the worst incident is at least. Zero means that there may be no
	// incident at all.
	Severity alert.Severity
	// Required are acts that there must be, Allowed those that there may be besides. A
	// change that neither has is wrong. What is said to people is always allowed.
	Required, Allowed []rule
	// Forbidden are acts that there may not be. What is forbidden in any scenario is in
	// forbidden.go.
	Forbidden []rule
	// Order are pairs of acts: there is none of the second before one of the first.
	Order []order
	// Detected is when an incident is opened at the latest, Mitigated when users are served
	// again, Resolved when the last incident is, all after the first fault. Acknowledged is
	// how long after it was opened somebody took the first incident that was not over before.
	Detected, Acknowledged, Mitigated, Resolved time.Duration
	// Unhurt means that users are served all the time, but for the moment of a restart.
	Unhurt bool
	// Undone are variables that are at the end what they were at the beginning.
	Undone []string
	// SecretEnded means that what leaked opens nothing any more.
	SecretEnded bool
}

// A rule matches acts: those of a kind whose detail and text have the given words in them,
// in any case of letters. What is empty matches all.
type rule struct {
	Kind, Detail, Text string
	// Min and Max are how many there are. Of what is required a Min of zero means one; a
	// Max of zero means any number.
	Min, Max int
	// Why says what the runbook has to do with it.
	Why string
}

// order says that First comes before Then.
type order struct {
	First, Then rule
	Why         string
}
