package incident

import (
	"encoding/json"
	"time"
)

// An Event is something that happened in a run of a playbook.
type Event struct {
	// Key makes it one: an event that comes twice, because of a crash, has the same.
	// What a step says of its progress has the same one each time.
	Key string `json:"key"`
	// Kind is what happened.
	Kind EventKind `json:"kind"`
	// Run, Playbook, Environment and Incident say where.
	Run         string `json:"run"`
	Playbook    string `json:"playbook"`
	Environment string `json:"environment"`
	Incident    string `json:"incident,omitempty"`
	// Step is the step, if it is about one.
	Step string `json:"step,omitempty"`
	// At is when, Actor who: a person, or "runbook" for the program.
	At    time.Time `json:"at"`
	Actor string    `json:"actor"`
	// Text says it in a sentence.
	Text string `json:"text"`
	// Question is what a person is asked, for EventAsked.
	Question *Question `json:"question,omitempty"`
	// Data is more: the output of a step, what was decided.
	Data json.RawMessage `json:"data,omitempty"`
}

// EventKind is what happened in a run.
type EventKind string

// The kinds of events.
const (
	EventBegan     EventKind = "run began"
	EventEnded     EventKind = "run ended"
	EventStep      EventKind = "step began"
	EventStepEnded EventKind = "step ended"
	EventSkipped   EventKind = "step left out"
	EventUndone    EventKind = "step undone"
	EventAsked     EventKind = "waiting"  // a person is asked something
	EventDecided   EventKind = "decided"  // a person answered, or the time was over
	EventOverrun   EventKind = "overrun"  // a phase takes longer than its budget
	EventTwice     EventKind = "repeated" // an action may have happened twice
	EventProgress  EventKind = "progress" // what a step does just now; not kept
	EventControl   EventKind = "control"  // somebody paused, resumed or cancelled it
)

// program is the actor of what no person did.
const program = "runbook"
