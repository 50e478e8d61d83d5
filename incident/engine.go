package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"
)

// An Engine is what a [Program] runs on, and what makes a run survive: it records
// what was done, so that a run that was interrupted goes on where it was. A run that
// goes on is the same program from its beginning, whose calls of the engine return
// what was recorded, without doing anything, up to the first that was not.
//
// A program therefore depends on nothing but its input and on what the engine
// returned: it reads no clock, uses no random numbers, and calls the engine in the
// same order each time, from one goroutine. Each id occurs once in a run.
//
// An error of the engine means that the run does not go on here: it was cancelled,
// this process is to end, another one has taken the run over, or the records cannot be
// reached. The program returns it at once.
type Engine interface {
	// Steps makes calls, at the same time if there are several, and returns their
	// outcomes in the order of the calls, all of them, after all have ended. It records
	// each outcome when its call has ended. An outcome that was recorded is returned
	// without a call.
	Steps(ctx context.Context, calls []Call) ([]Outcome, error)
	// Sleep returns when it is until, also if that has been long ago. A crash does not
	// make it longer.
	Sleep(ctx context.Context, id StepID, until time.Time) error
	// Await returns the next signal of a topic, or at deadline one that has Expired set;
	// a zero deadline means never. Signals wait until they are awaited, in the order in
	// which they were sent, and each is returned once. A signal that came after the
	// deadline does not count; it waits for the next one that awaits its topic.
	Await(ctx context.Context, id StepID, topic string, deadline time.Time) (Signal, error)
}

// A StepID names a call of an [Engine] within its run. It is made of the id of a step,
// which visit of it this is if it is not the first, which attempt likewise, and what is
// done for it: "restart", "restart@2", "restart@2#3", "restart/ask".
type StepID string

// A Call is something that an [Engine] does once, as far as that can be had.
type Call struct {
	// ID names it.
	ID StepID
	// Intent says that it changes something: before it is made the engine records,
	// durably, that it will be.
	Intent bool
	// Do makes the call. Its context ends when the run is cancelled or the process is to
	// end. Interrupted are earlier attempts at this same call, the oldest first, that
	// were begun, and of which nobody knows how they ended: the process that made them
	// died, or hangs. It is always empty for a call without Intent. A panic in Do is
	// taken for an outcome that is unknown.
	Do func(ctx context.Context, interrupted []Attempt) Outcome
}

// An Attempt is a call that was begun.
type Attempt struct {
	// Step is the call.
	Step StepID `json:"step"`
	// Process is who began it, see [Replica]. At is when.
	Process string    `json:"process,omitempty"`
	At      time.Time `json:"at"`
}

// An Outcome is how a call ended. It is data and not an error, because that is what
// survives a crash.
type Outcome struct {
	// Status is how it ended.
	Status OutcomeStatus `json:"status"`
	// Output is what it returned, JSON of at most 64 KiB, without secrets.
	Output json.RawMessage `json:"output,omitempty"`
	// Code names what went wrong, for decisions: see [CodeOf]. Message says it to people.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	// Unsent means that it failed, and that it is proven that nothing was done.
	Unsent bool `json:"unsent,omitempty"`
	// Process is who made it. Began and Ended are when.
	Process string    `json:"process,omitempty"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
}

// OutcomeStatus is how a call ended.
type OutcomeStatus string

// The ways in which a call ends.
const (
	// Done means that it did what it was to do.
	Done OutcomeStatus = "done"
	// Failed means that it did not, and changed nothing, or that what it looked at is
	// not as it should be.
	Failed OutcomeStatus = "failed"
	// Unknown means that nobody knows whether it did.
	Unknown OutcomeStatus = "unknown"
	// Skipped means that it was left out; Message says why.
	Skipped OutcomeStatus = "skipped"
)

// A Signal is what a run waits for: the answer of a person, mostly.
type Signal struct {
	// ID makes it one: the same signal sent twice arrives once. Required.
	ID string `json:"id"`
	// Kind says what it is: "approve", "deny", "retry".
	Kind string `json:"kind,omitempty"`
	// Actor is who sent it, by name. Comment is what they said about it.
	Actor   string `json:"actor,omitempty"`
	Comment string `json:"comment,omitempty"`
	// Data is more, as its kind asks for; at most 64 KiB, without secrets.
	Data json.RawMessage `json:"data,omitempty"`
	// At is when it was sent; of one that has expired, the deadline.
	At time.Time `json:"at"`
	// Expired means that there was none: the deadline has passed.
	Expired bool `json:"expired,omitempty"`
}

// A Program is what a run does. It returns its result, JSON, or an error: that of the
// engine, or one of its own, which ends the run as failed.
type Program func(ctx context.Context, e Engine, run RunStart) (json.RawMessage, error)

// Runs keeps the runs of programs, and makes them go on. [MemoryRuns] keeps them as
// long as the process lives; package durable keeps them in a database.
//
// Methods may be called concurrently, and for runs of other processes too. A run that
// does not exist is [ErrNotFound]. With a read-only context those that change something
// refuse with runbook.ErrReadOnly before anything else.
type Runs interface {
	// Start begins a run, or queues it behind the one that holds its lock, and returns
	// when it is recorded. Starting again with an ID that there is already does nothing
	// if everything but At is the same, and is [ErrStale] otherwise. With Refuse, and another
	// run that has the lock or waits for it, the error is [ErrBusy]. An error that is
	// none of these and not safe to retry leaves open whether it began; the same ID can
	// be started again to find out.
	Start(ctx context.Context, run RunStart) (RunRecord, error)
	// List returns runs, the newest first, without their Entries.
	List(ctx context.Context, query RunQuery) iter.Seq2[RunRecord, error]
	// Record returns a run with everything that was recorded. If revision is not
	// negative it waits until there is something newer than that, or ctx ends.
	Record(ctx context.Context, id string, revision int64) (RunRecord, error)
	// Signal sends a signal to a run, which need not await it yet. The same ID again
	// does nothing. The error is [ErrStale] if the run has ended.
	Signal(ctx context.Context, id, topic string, s Signal) error
	RunControl
}

// RunControl is how people interfere with a run.
type RunControl interface {
	// Hold keeps a run from beginning anything new: what it does now ends. It may be held
	// already; the first one counts. The error is ErrStale if the run has ended.
	Hold(ctx context.Context, id string, c Control) error
	// Release lets it go on. It may not be held at all.
	Release(ctx context.Context, id string, c Control) error
	// Cancel ends a run for good. The context of what it does now ends, wherever that
	// is, and its outcome is not waited for. A run that was cancelled already stays so;
	// of one that has ended otherwise the error is ErrStale.
	Cancel(ctx context.Context, id string, c Control) error
	// Fork starts a new run, with a new ID, from the record of another: what was
	// recorded before the call from is taken over, and it and all after are made anew.
	// The other one must have ended; else the error is ErrBusy. The error is ErrNotFound
	// if the run has no such call. It has the lock, and the labels, of the other one.
	Fork(ctx context.Context, id string, from StepID, run RunFork) (RunRecord, error)
	// Replace cancels runs and starts others in their place, all of it or nothing, whenever
	// this process dies, and however long it stood still after it looked. The new ones wait
	// for their turn behind those that do already, in whatever order among themselves, and are
	// returned as they are then, in that of the list. Whoever carries the old ones out, and
	// whether they are held, does not matter.
	//
	// The error is ErrStale if one of the runs is not as it was looked at any more: its
	// revision is another, it has ended, a signal was sent that it has not taken; or if there
	// is a run with the ID of a new one. What a run begins that has no Intent, after it was
	// looked at, does not count: it ends with the run. After an error of another kind that is
	// not safe to retry, the records of the runs say whether it was done.
	Replace(ctx context.Context, runs []Replacement) ([]RunRecord, error)
}

// A Replacement is one run in the place of another, see [RunControl.Replace].
type Replacement struct {
	// ID is the run that is cancelled. Revision is that of its record when it was looked at.
	ID       string
	Revision int64
	// Control is who wants it, and why.
	Control Control
	// Start is the run that is started. It cannot refuse to wait for its lock, nor be a fork.
	Start RunStart
}

// A RunFork is the new run of [RunControl.Fork].
type RunFork struct {
	// ID is that of the new run. Required.
	ID string
	// Input is its input; nil means that of the other one.
	Input json.RawMessage
	// By is who wants it, Reason why.
	By, Reason string
}

// A Control is what somebody did to a run.
type Control struct {
	// By is who, by name. Reason is why.
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// RunStart is what a run is started with. It does not change.
type RunStart struct {
	// ID names the run. Required; letters, digits, - and _, at most 100.
	ID string `json:"id"`
	// Program is the name of its program, as the host registered it.
	Program string `json:"program"`
	// Input is its input, JSON of at most 1 MiB, without secrets.
	Input json.RawMessage `json:"input,omitempty"`
	// Lock names what no two runs may work on at the same time, in whatever process: an
	// environment. Empty means that there is none. A run has its lock until it has
	// ended, also while it waits for a person.
	Lock string `json:"lock,omitempty"`
	// Refuse refuses the run if the lock is taken. Else it waits for its turn.
	Refuse bool `json:"refuse,omitempty"`
	// Labels are for finding it: "playbook", "environment", "incident".
	Labels map[string]string `json:"labels,omitempty"`
	// By is who started it, by name. At is when.
	By string    `json:"by,omitempty"`
	At time.Time `json:"at"`
	// Fork is the run from which it was forked, if it was, and ForkStep where.
	Fork     string `json:"fork,omitempty"`
	ForkStep StepID `json:"fork_step,omitempty"`
	// Reason is why it was forked, see [RunFork].
	Reason string `json:"reason,omitempty"`
}

// Validate returns everything that is wrong with a run that is to be started, or nil.
// Implementations of [Runs] call it before they do anything.
func (r RunStart) Validate() error {
	var problems []error
	if !validRunID(r.ID) {
		problems = append(problems, fmt.Errorf("its ID is not made of 1 to %d letters, digits, - and _", maxRunID))
	}
	if r.Program == "" {
		problems = append(problems, errors.New("it names no program"))
	}
	if len(r.Input) > maxInput {
		problems = append(problems, fmt.Errorf("its input has %d bytes, and may have %d; put what is large elsewhere, and refer to it", len(r.Input), maxInput))
	} else if len(r.Input) > 0 && !json.Valid(r.Input) {
		problems = append(problems, errors.New("its input is not JSON"))
	}
	return errors.Join(problems...)
}

// Validate returns everything that is wrong with a replacement, or nil. Implementations of
// [Runs] call it before they do anything.
func (r Replacement) Validate() error {
	err := r.Start.Validate()
	if r.Start.Refuse || r.Start.Fork != "" || r.Start.ForkStep != "" || r.Start.Reason != "" {
		err = errors.Join(err, errors.New("it refuses to wait, or is a fork, which what is started in the place of another run cannot be"))
	}
	if err != nil {
		return fmt.Errorf("run %q, in the place of run %q: %w", r.Start.ID, r.ID, err)
	}
	return nil
}

// RunStatus is how far a run is.
type RunStatus string

// The statuses of runs.
const (
	RunQueued    RunStatus = "queued"    // for its lock, or for a process that takes it
	RunRunning   RunStatus = "running"   // a process has it; it may wait for something
	RunFinished  RunStatus = "finished"  // its program returned a result
	RunFailed    RunStatus = "failed"    // its program returned an error
	RunCancelled RunStatus = "cancelled" // somebody ended it
	RunStranded  RunStatus = "stranded"  // no process will take it; Attention says why
)

// Ended reports whether nothing more happens by itself.
func (s RunStatus) Ended() bool {
	return s == RunFinished || s == RunFailed || s == RunCancelled
}

// A RunRecord is a run as it is recorded.
type RunRecord struct {
	RunStart
	// Status is how far it is.
	Status RunStatus `json:"status"`
	// Process is who has it, or had it last.
	Process string `json:"process,omitempty"`
	// Attention says in words what somebody should look at: its process is dead, or
	// hangs; it is of another version. Empty if there is nothing.
	Attention string `json:"attention,omitempty"`
	// Entries are what was recorded, in the order of the program.
	Entries []RunEntry `json:"entries,omitempty"`
	// Open are calls with an Intent that were begun and have no outcome: they are under
	// way, or were interrupted.
	Open []Attempt `json:"open,omitempty"`
	// Waits are what it waits for now: one entry without a signal.
	Waits []RunWait `json:"waits,omitempty"`
	// Held is set while it is held, and Cancelled if it was cancelled.
	Held      *Control `json:"held,omitempty"`
	Cancelled *Control `json:"cancelled,omitempty"`
	// Result is what its program returned, Error the text of its error.
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
	// Began is when a process first took it; Ended is when it ended.
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Revision grows with each change of any of this.
	Revision int64 `json:"revision"`
}

// A RunEntry is one call of the engine that was recorded: of exactly one kind.
type RunEntry struct {
	// ID is the call.
	ID StepID `json:"id"`
	// Outcome is that of a step.
	Outcome *Outcome `json:"outcome,omitempty"`
	// Signal is what was awaited.
	Signal *Signal `json:"signal,omitempty"`
	// Slept is until when it slept.
	Slept time.Time `json:"slept,omitzero"`
}

// A RunWait is a call of the engine that waits.
type RunWait struct {
	// ID is the call.
	ID StepID `json:"id"`
	// Topic is what it awaits; empty if it sleeps.
	Topic string `json:"topic,omitempty"`
	// Until is its deadline, or until when it sleeps; zero if it has none.
	Until time.Time `json:"until,omitzero"`
	// Since is when it began to wait.
	Since time.Time `json:"since,omitzero"`
}

// A RunQuery chooses runs. The zero value chooses all.
type RunQuery struct {
	// Program is the name of their program.
	Program string
	// Labels must all be there.
	Labels map[string]string
	// Lock is that of the runs.
	Lock string
	// Statuses are those to choose. None means all.
	Statuses []RunStatus
	// Since is when they were started at the earliest.
	Since time.Time
	// Limit is how many, at most. Zero means 100.
	Limit int
}

// RunForgetter is a [Runs] that can forget runs, for retention.
type RunForgetter interface {
	// Forget removes a run that has ended, with everything that was recorded of it. It is
	// no error if there is none. The error is ErrBusy if it has not ended. Its ID can be
	// started anew afterwards. A read-only context is refused with runbook.ErrReadOnly.
	Forget(ctx context.Context, id string) error
}

// Replicas is a [Runs] that several processes share, or may.
type Replicas interface {
	// Replicas returns the processes that have runs, or had them lately.
	Replicas(ctx context.Context) ([]Replica, error)
	// TakeOver gives the runs of a process that hangs to others. That is a decision of a
	// person: what the process does now may be done twice. Whatever it reports later is
	// refused. The error is ErrStale if it lives and does not hang. A process that is
	// dead needs no one: its runs go on by themselves.
	TakeOver(ctx context.Context, process string, c Control) ([]RunRecord, error)
}

// A Replica is one process that carries out runs.
type Replica struct {
	// Process names it, differently each time that it is started.
	Process string `json:"process"`
	// Host is the machine.
	Host string `json:"host,omitempty"`
	// Version is that of the interpreter: runs of other versions are not taken.
	Version string `json:"version"`
	// Started is when it began, Seen when it last said that it lives.
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen"`
	// State is "alive", "hung" (it is there, and has not said so for 30 s) or "dead".
	State string `json:"state"`
	// Runs are the runs that it has.
	Runs []string `json:"runs,omitempty"`
}
