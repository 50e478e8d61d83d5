package incident

import (
	"context"
	"time"
)

// A Step is one step of a [Playbook].
type Step struct {
	// ID names it within the playbook: "roll-back". Letters, digits, - and _. It must not
	// be changed while runs are under way. Required.
	ID string
	// Title is one line that says what it does: "Roll back to the last good deployment".
	// Required.
	Title string
	// About says more to a reader: why, what to look at, what is expected.
	About string
	// Replaces are the commands of the written procedure that it carries out, for the
	// document.
	Replaces []string
	// Phase is the name of the phase to which it belongs; empty means that of the step
	// before.
	Phase string
	// Do is what it does: a [Check], an [Action], a [Verify], an [Approve], a [Wait], a
	// [Sleep], a [Notice], a [Manual], a [Parallel] or a [Sub]. Required.
	Do Work
	// When says whether it is needed; nil means always. See [Condition].
	When Condition
	// Needs are the ports that it calls.
	Needs []Need
	// Timeout limits each attempt. Zero means 1 minute, and for an action 5 minutes. It
	// does not matter to what waits for people.
	Timeout time.Duration
	// Attempts is how often it is tried. Zero means 3 for checks and notices, and 1 for
	// actions. An action is tried again only if it is proven that nothing was done, or
	// if it is Idempotent. What cannot succeed, see [Final], is not tried again.
	Attempts int
	// Backoff is how long to wait before the second attempt; before each further one
	// it is twice as long, at most 5 minutes. Zero means 2 s.
	Backoff time.Duration
	// OnFailure says what happens when it has failed for good. Empty means [Pause]; for
	// a notice [GoOn], for an approval [Abort]. After an approval with GoOn, what it is
	// about has to be made on the condition that it was given, see [Scope].Did.
	OnFailure Failure
}

// Failure says what happens after a step has failed.
type Failure string

// What can happen after a step has failed. See also [GoTo].
const (
	// Pause asks a person, who looks and decides: try again, leave it out, say that it
	// is done, undo everything, or end. It is what happens to an action whose outcome
	// is unknown, whatever its step says.
	Pause Failure = "pause"
	// Abort ends the run, and leaves as it is what was done.
	Abort Failure = "abort"
	// UndoAll undoes what was done, the last first, and ends the run.
	UndoAll Failure = "undo"
	// GoOn goes on with the next step.
	GoOn Failure = "continue"
)

// GoTo goes on with another step of the same playbook, before or after. A step is not
// come to more than ten times.
func GoTo(step string) Failure { return Failure("goto " + step) }

// A Condition says whether a step is needed, and if not, why. It depends on nothing but
// the scope, and what it said is recorded.
type Condition func(s *Scope) (needed bool, why string)

// A Func does something for a step and returns its output, which must marshal to JSON of
// at most 64 KiB without secrets; nil is none. What its error wraps decides what happens,
// see [CodeOf].
type Func func(ctx context.Context, s *Scope) (output any, err error)

// Work is what a step does.
type Work interface{ kind() Kind }

// Kind is the sort of a step.
type Kind string

// The kinds of steps.
const (
	KindCheck    Kind = "check"
	KindAction   Kind = "action"
	KindVerify   Kind = "verify"
	KindApprove  Kind = "approve"
	KindWait     Kind = "wait"
	KindSleep    Kind = "sleep"
	KindNotice   Kind = "notice"
	KindManual   Kind = "manual"
	KindParallel Kind = "parallel"
	KindSub      Kind = "playbook"
)

// A Check looks at something and changes nothing. That what it finds is bad is a matter
// of its output; it fails if it cannot look, or if the playbook makes no sense with what
// it found. A plan makes it too.
type Check struct {
	// Run looks. Required.
	Run Func
}

// An Action changes something.
type Action struct {
	// Run does it, once. It gets a key, [Scope].Key, that is the same for each attempt at
	// it. Required.
	Run Func
	// Preview says what Run would do now, and changes nothing. Required.
	Preview func(ctx context.Context, s *Scope) (Effect, error)
	// Repeat says what may be done if it is not known whether it was done.
	Repeat Repeat
	// Done looks whether it was done already; output is what Run would have returned.
	// Required for CheckFirst, and asked before the first attempt too. An error means
	// that it cannot tell.
	Done func(ctx context.Context, s *Scope) (output any, done bool, err error)
	// Undo takes back what Run did. It is called once, for an action that was done, or of
	// which that is not known; it must be right for both. Nil means that it cannot be
	// undone.
	Undo Func
	// Undoes says in a line what Undo does, for the document.
	Undoes string
}

// Repeat says what may be done about an action of which it is not known whether it was
// done: its answer was lost, or the process died.
type Repeat string

// How actions may be repeated.
const (
	// AtMostOnce never does it again: a person looks.
	AtMostOnce Repeat = ""
	// CheckFirst asks Done, and does it again only if it was not done.
	CheckFirst Repeat = "check first"
	// Idempotent does it again: twice is the same as once.
	Idempotent Repeat = "idempotent"
)

// Effect is what an action would do.
type Effect struct {
	// Call is the call that would be made, as exactly as can be said: "roll back service
	// web in production to deployment 7f3a (commit 1c9e)".
	Call string `json:"call"`
	// Changes are what would be different then, Destroys what would be lost.
	Changes  []string `json:"changes,omitempty"`
	Destroys []string `json:"destroys,omitempty"`
	// Undo says how to go back.
	Undo string `json:"undo,omitempty"`
}

// A Verify looks whether what was done helped: until it has, or the time is over, which
// is its failure. A plan does not make it.
type Verify struct {
	// Run returns an error while it is not as it should be. One that is [Final] ends it.
	// Required.
	Run Func
	// Within is how long it may take. Zero means 5 minutes. Every is how often it looks.
	// Zero means 15 s.
	Within, Every time.Duration
	// Times is how often in a row it must be right. Zero means 1.
	Times int
}

// A Wait waits until something is so.
type Wait struct {
	// Until reports whether it is so. An error means that it could not look, and that it
	// looks again, unless that makes no difference, see [Final]. Required.
	Until func(ctx context.Context, s *Scope) (output any, so bool, err error)
	// Within is how long to wait. Required. Every is how often it looks. Zero means 15 s.
	Within, Every time.Duration
}

// A Sleep waits.
type Sleep struct {
	// For is how long. Required.
	For time.Duration
}

// An Approve asks people whether to go on. Time that runs out is a denial.
type Approve struct {
	// Question says what is asked, with what was found so far. Required.
	Question func(s *Scope) string
	// Min is how many must approve. Zero means 1. Who started the run is not one of them,
	// and nobody counts twice. One who denies is enough.
	Min int
	// Roles are who may: what the roles mean is a matter of [Approvals].
	Roles []string
	// Within is how long there is. Zero means 30 minutes.
	Within time.Duration
	// Bound binds the approval to what the steps up to the next approval would do, as it
	// was when people were asked. If that is different when enough have approved, the
	// approval is void, and they are asked again.
	Bound bool
}

// A Notice tells people something. It may be sent twice if it is not known whether it
// arrived.
type Notice struct {
	// Message is what they are told. Required.
	Message func(s *Scope) Message
	// Send sends it. Required.
	Send func(ctx context.Context, s *Scope, m Message) error
}

// A Message is what a [Notice] says.
type Message struct {
	// Title is one line, Text the rest, without secrets.
	Title string `json:"title"`
	Text  string `json:"text"`
	// Urgent means that a person has to do something because of it, so that it does not wait
	// with others; see [alert.Limit].
	Urgent bool `json:"urgent,omitempty"`
}

// A Manual is done by a person, who then says so.
type Manual struct {
	// Instruction says what to do, step by step. Required.
	Instruction func(s *Scope) string
	// Why says why no program does it. Required.
	Why string
	// Within is how long there is. Zero means that there is no limit but that of the run.
	Within time.Duration
}

// A Parallel makes several steps at the same time: checks, actions, verifies, waits and
// notices. Their results are theirs, by their own ids. What is to be tried again is tried
// when all that is under way has ended.
type Parallel struct {
	// Steps are the steps. At least one.
	Steps []Step
	// Collect lets all of them come to their end when one has failed. Else those that
	// are not in the middle of something are left out. It has failed if one of its
	// steps has whose OnFailure is not GoOn; what these say beyond that does not matter.
	Collect bool
}

// A Sub carries out another playbook as a part of this one. Its steps have ids that
// begin with the id of this step and a dot, and its own parameters.
type Sub struct {
	// Playbook is the other one. Its needs, phases, lock and timeout do not matter.
	Playbook Playbook
	// With gives its parameters. Nil means their defaults.
	With func(s *Scope) map[string]string
}

func (Check) kind() Kind    { return KindCheck }
func (Action) kind() Kind   { return KindAction }
func (Verify) kind() Kind   { return KindVerify }
func (Approve) kind() Kind  { return KindApprove }
func (Wait) kind() Kind     { return KindWait }
func (Sleep) kind() Kind    { return KindSleep }
func (Notice) kind() Kind   { return KindNotice }
func (Manual) kind() Kind   { return KindManual }
func (Parallel) kind() Kind { return KindParallel }
func (Sub) kind() Kind      { return KindSub }
