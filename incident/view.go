package incident

import (
	"encoding/json"
	"maps"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// A Run is a run of a playbook as it is at one moment, for people: made of what was
// recorded, so that it says the same before and after a crash.
type Run struct {
	// ID names it. Playbook, Title, Environment, Severity and Parameters are those it was
	// started with.
	ID          string            `json:"id"`
	Playbook    string            `json:"playbook"`
	Title       string            `json:"title"`
	Environment string            `json:"environment"`
	Severity    alert.Severity    `json:"severity"`
	Parameters  map[string]string `json:"parameters,omitempty"`
	// Incident is the incident to which it belongs, if it does.
	Incident string `json:"incident,omitempty"`
	// By is who started it, Automatic that no person did.
	By        string `json:"by"`
	Automatic bool   `json:"automatic,omitempty"`
	// Simulated marks a plan: nothing was changed.
	Simulated bool `json:"simulated,omitempty"`
	// State is how far it is, Text the same in a sentence, Reason why it ended.
	State  RunState `json:"state"`
	Text   string   `json:"text"`
	Reason string   `json:"reason,omitempty"`
	// Started, Began and Ended are when it was asked for, when a process first took it,
	// and when it ended.
	Started time.Time `json:"started"`
	Began   time.Time `json:"began,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Phase is the phase in which it is, since PhaseBegan.
	Phase      string    `json:"phase,omitempty"`
	PhaseBegan time.Time `json:"phase_began,omitzero"`
	// Steps are its steps in the order of the playbook, those within others after them.
	Steps []StepRun `json:"steps"`
	// Question is what it needs from a person now; nil if it needs nothing.
	Question *Question `json:"question,omitempty"`
	// Attention says what somebody should look at beyond that: its process is dead, it
	// is of another version. Process is who has it.
	Attention string `json:"attention,omitempty"`
	Process   string `json:"process,omitempty"`
	// Held and Cancelled say who did so.
	Held      *Control `json:"held,omitempty"`
	Cancelled *Control `json:"cancelled,omitempty"`
	// Escalation says whom to call when it does not help.
	Escalation string `json:"escalation,omitempty"`
	// Fork is the run from which it was forked, and ForkStep where.
	Fork     string `json:"fork,omitempty"`
	ForkStep StepID `json:"fork_step,omitempty"`
	// Revision grows with each change.
	Revision int64 `json:"revision"`
}

// RunState is how far a run of a playbook is.
type RunState string

// The states of runs.
const (
	StateQueued    RunState = "queued"    // behind another run with its lock
	StateRunning   RunState = "running"   // it does something
	StateWaiting   RunState = "waiting"   // it needs a person
	StateHeld      RunState = "held"      // somebody paused it
	StateSucceeded RunState = "succeeded" // all that was needed was done
	StateFailed    RunState = "failed"    // it ended before that; Reason says why
	StateUndone    RunState = "undone"    // it ended, and what it did was taken back
	StateCancelled RunState = "cancelled" // somebody ended it
	StateStranded  RunState = "stranded"  // no process goes on with it; see Attention
)

// A StepRun is a step of a run.
type StepRun struct {
	StepSpec
	// State is how far it is.
	State StepState `json:"state"`
	// Visits is how often it was come to, Tries how often it was tried.
	Visits int `json:"visits,omitempty"`
	Tries  int `json:"tries,omitempty"`
	// Began and Ended are when, of the last visit.
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Output is what it returned, Code and Message what went wrong, or why it was left
	// out.
	Output  json.RawMessage `json:"output,omitempty"`
	Code    string          `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
	// By is who decided about it, and Decided what they said.
	By      string `json:"by,omitempty"`
	Decided string `json:"decided,omitempty"`
	// Effect is what it would do, in a plan.
	Effect *Effect `json:"effect,omitempty"`
	// Process is who does it, or did it last.
	Process string `json:"process,omitempty"`
	// Progress is what it does just now, if this process does it.
	Progress string `json:"progress,omitempty"`
	// Undone says how taking it back ended.
	Undone string `json:"undone,omitempty"`
}

// StepState is how far a step is.
type StepState string

// The states of steps.
const (
	StepPending StepState = "pending" // not come to yet
	StepRunning StepState = "running" // under way, or between two attempts
	StepWaiting StepState = "waiting" // for a person
	StepDone    StepState = "done"
	StepFailed  StepState = "failed"
	StepUnknown StepState = "unknown" // nobody knows whether it was done
	StepSkipped StepState = "skipped"
	StepUndone  StepState = "undone"
	StepPlanned StepState = "planned" // in a plan: it would be made
)

// A Question is what a run needs from a person.
type Question struct {
	// ID names it, for the answer. Run and Step say where it comes from.
	ID   string `json:"id"`
	Run  string `json:"run"`
	Step string `json:"step"`
	// Kind is "approve", "manual", or "decide" after something failed.
	Kind string `json:"kind"`
	// Title is one line, Text says what to do or to decide.
	Title string `json:"title"`
	Text  string `json:"text"`
	// Answers are those that are possible, see [Answer].
	Answers []string `json:"answers"`
	// Asked is when it was asked, Deadline when it is too late; zero if never.
	Asked    time.Time `json:"asked"`
	Deadline time.Time `json:"deadline,omitzero"`
	// Min is how many must approve, Roles are who may. Starter cannot.
	Min     int      `json:"min,omitempty"`
	Roles   []string `json:"roles,omitempty"`
	Starter string   `json:"starter,omitempty"`
	// Plan is the hash of what is approved, Effects are what it would do.
	Plan    string   `json:"plan,omitempty"`
	Effects []Effect `json:"effects,omitempty"`
	// Votes are what was answered so far.
	Votes []Signal `json:"votes,omitempty"`
}

// The answers to questions.
const (
	AnswerApprove = "approve" // go on
	AnswerDeny    = "deny"    // do not
	AnswerBack    = "back"    // go back to an earlier step, that of Answer.To
	AnswerRetry   = "retry"   // try again
	AnswerSkip    = "skip"    // leave it out and go on
	AnswerDone    = "done"    // it is done: somebody did it, or looked
	AnswerUndo    = "undo"    // take back everything that was done, and end
	AnswerAbort   = "abort"   // end, and leave things as they are
)

// newView returns the view of a run that has not begun.
func newView(start RunStart, in runInput) *Run {
	v := &Run{
		ID: start.ID, Playbook: in.Playbook, Title: in.Title, Environment: in.Environment, Severity: in.Severity,
		Parameters: maps.Clone(in.Parameters), Incident: in.Incident, By: start.By, Automatic: in.Automatic,
		State: StateRunning, Started: start.At, Escalation: in.Escalation, Fork: start.Fork, ForkStep: start.ForkStep,
	}
	v.Steps = make([]StepRun, 0, count(in.Steps))
	var add func(list []StepSpec)
	add = func(list []StepSpec) {
		for _, spec := range list {
			within := spec.Steps
			spec.Steps = nil
			v.Steps = append(v.Steps, StepRun{StepSpec: spec, State: StepPending})
			add(within)
		}
	}
	add(in.Steps)
	return v
}

// count returns how many steps there are, with those within others.
func count(list []StepSpec) int {
	n := len(list)
	for i := range list {
		n += count(list[i].Steps)
	}
	return n
}

// Step returns a step by its id, nil if there is none.
func (r Run) Step(id string) *StepRun {
	for i := range r.Steps {
		if r.Steps[i].ID == id {
			return &r.Steps[i]
		}
	}
	return nil
}
