package incident

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// interpreterVersion is that of what a run records. A change of which calls are made,
// or of how they are named, needs another one, and this code must still finish runs of
// the former.
const interpreterVersion = 1

// An interpreter carries out one run of a playbook on an [Engine]. What it does depends
// on the snapshot of the playbook in the run's input, and on what the engine returned:
// it reads no clock, and goes over no map. It runs in one goroutine; the funcs of calls
// do not touch it.
type interpreter struct {
	start  RunStart
	in     runInput
	engine Engine
	host   *Runner         // nil when a record is read
	steps  map[string]Step // the funcs, by id

	view  *Run
	index map[string]int // where in the view a step is
	scope Scope
	// now is the time of the last thing that was recorded.
	now      time.Time
	deadline time.Time
	// visits counts how often a step was made, come how often the flow came to it; names
	// counts the other calls of one name.
	visits, come, names map[string]int
	// ordered are the steps that a person wants to be made, whatever automation may do,
	// undoOrdered says the same of taking back. left counts with come which steps a person
	// has left out.
	ordered     map[string]bool
	undoOrdered bool
	left        map[string]int
	undo        []undoable
	// rest are the steps after the present one, beside it. outer are those after the
	// playbooks that it is within, the outermost first.
	rest  []StepSpec
	outer []frame
	// onCome is told that the flow comes to a step. Nil is allowed.
	onCome func(id string)

	phaseEnds time.Time
	overTold  bool
	planning  bool
	// part is what a plan is made of; nil means everything. A plan of a part ends at the
	// next approval.
	part []frame
}

// frame is a list of steps that is yet to be made, and the scope of it.
type frame struct {
	scope Scope
	steps []StepSpec
}

// undoable is an action that may have to be taken back.
type undoable struct {
	spec  StepSpec
	scope Scope
}

// flow is where a run goes on after a step.
type flow struct {
	kind flowKind
	// to is the step to jump to, why says why a run ends.
	to, why string
}

type flowKind uint8

const (
	flowNext flowKind = iota
	flowJump
	flowAbort
	flowUndo
	flowStop // a plan ends here
)

// ended is the result of the program.
type ended struct {
	State  RunState `json:"state"`
	Reason string   `json:"reason,omitempty"`
}

func newInterpreter(start RunStart, in runInput, e Engine, host *Runner) *interpreter {
	x := &interpreter{
		start: start, in: in, engine: e, host: host, view: newView(start, in), now: start.At,
		deadline: start.At.Add(time.Duration(in.Timeout)),
		visits:   make(map[string]int), come: make(map[string]int), names: make(map[string]int), ordered: make(map[string]bool), left: make(map[string]int),
	}
	x.index = make(map[string]int, len(x.view.Steps))
	for i := range x.view.Steps {
		x.index[x.view.Steps[i].ID] = i
	}
	x.scope = Scope{
		Run: start.ID, Playbook: in.Playbook, Environment: in.Environment, Incident: in.Incident, By: start.By, Automatic: in.Automatic,
		parameters: in.Parameters, outcomes: make(map[string]Outcome),
	}
	return x
}

// run carries the playbook out. An error is that of the engine, or a defect.
func (x *interpreter) run(ctx context.Context) (json.RawMessage, error) {
	begin, err := x.record(ctx, "run/begin", x.begin)
	if err != nil {
		return nil, err
	}
	x.view.Began = begin.Began
	end := ended{State: StateSucceeded}
	if begin.Status != Done {
		end = ended{State: StateFailed, Reason: begin.Message}
	} else if end, err = x.carryOut(ctx); err != nil {
		return nil, err
	}
	last, err := x.record(ctx, "run/end", func(ctx context.Context) Outcome {
		text := fmt.Sprintf("%s of %s %s", x.in.Title, x.in.Environment, inWords(end))
		x.emit(ctx, Event{Key: "run/end", Kind: EventEnded, Text: text, Data: marshal(end)})
		return Outcome{Status: Done}
	})
	if err != nil {
		return nil, err
	}
	x.view.State, x.view.Reason, x.view.Ended = end.State, end.Reason, last.Ended
	return marshal(end), nil
}

// carryOut makes the steps, and takes back what was done if that is how they end.
func (x *interpreter) carryOut(ctx context.Context) (ended, error) {
	part := x.part
	if part == nil {
		part = []frame{{x.scope, x.in.Steps}}
	}
	var f flow
	for _, p := range part {
		x.scope = p.scope
		var err error
		if f, err = x.list(ctx, p.steps); err != nil {
			return ended{}, err
		}
		if f.kind != flowNext {
			break
		}
	}
	switch f.kind {
	case flowJump:
		return ended{State: StateFailed, Reason: "it would go on at step " + f.to + ", which is not among those that come now"}, nil
	case flowAbort:
		return ended{State: StateFailed, Reason: f.why}, nil
	case flowUndo:
		clean, err := x.undoTo(ctx, 0)
		if err != nil {
			return ended{}, err
		}
		if !clean {
			return ended{State: StateFailed, Reason: f.why + "; not everything could be taken back"}, nil
		}
		return ended{State: StateUndone, Reason: f.why}, nil
	}
	return ended{State: StateSucceeded}, nil
}

// begin is the first thing that a run does: it looks whether the plan that was agreed to
// is still what would be done.
func (x *interpreter) begin(ctx context.Context) Outcome {
	if x.in.Plan != "" && !x.planning {
		plan, err := x.host.planRun(ctx, x.start, x.in)
		if err != nil {
			return Outcome{Status: Failed, Message: "whether the plan is still right could not be told: " + err.Error()}
		}
		if plan.Hash != x.in.Plan {
			return Outcome{Status: Failed, Message: "what it would do has changed since the plan was agreed to; make a new plan"}
		}
	}
	who := x.start.By
	if x.in.Automatic {
		who = program
	}
	x.emit(ctx, Event{Key: "run/begin", Kind: EventBegan, Actor: who, Text: fmt.Sprintf("%s began in %s", x.in.Title, x.in.Environment)})
	return Outcome{Status: Done}
}

// list makes steps one after another.
func (x *interpreter) list(ctx context.Context, list []StepSpec) (flow, error) {
	for i := 0; i < len(list); {
		x.rest = list[i+1:]
		f, err := x.step(ctx, list[i])
		if err != nil {
			return flow{}, err
		}
		switch f.kind {
		case flowNext:
			i++
		case flowJump:
			to := slices.IndexFunc(list, func(s StepSpec) bool { return s.ID == f.to })
			if to < 0 {
				return f, nil // perhaps of the playbook around this one
			}
			i = to
		default:
			return f, nil
		}
	}
	return flow{}, nil
}

// step makes one step, again if that is what a person says.
func (x *interpreter) step(ctx context.Context, spec StepSpec) (flow, error) {
	if len(x.in.Only) > 0 && !strings.Contains(spec.ID, ".") && !slices.Contains(x.in.Only, spec.ID) {
		x.leaveOut(spec, "it was not asked for")
		return flow{}, nil
	}
	x.enter(spec)
	if err := x.tellOverrun(ctx); err != nil {
		return flow{}, err
	}
	x.comeTo(spec)
	if x.come[spec.ID] > 10 {
		return flow{kind: flowAbort, why: fmt.Sprintf("step %s was come to more than ten times", spec.ID)}, nil
	}
	for {
		if x.over() {
			return x.late(), nil
		}
		f, again, err := x.once(ctx, spec)
		if err != nil || !again {
			return f, err
		}
	}
}

// comeTo notes that the flow comes to a step. What a person ordered was for the time
// before.
func (x *interpreter) comeTo(spec StepSpec) {
	x.come[spec.ID]++
	delete(x.ordered, spec.ID)
	if x.onCome != nil {
		x.onCome(spec.ID)
	}
}

// over reports whether the time of the run is over.
func (x *interpreter) over() bool { return !x.planning && !x.now.Before(x.deadline) }

// late ends a run whose time is over.
func (x *interpreter) late() flow {
	return flow{kind: flowAbort, why: fmt.Sprintf("it had not ended after %s", x.in.Timeout)}
}

// once makes a step, unless it is not needed, and settles how it ended.
func (x *interpreter) once(ctx context.Context, spec StepSpec) (f flow, again bool, err error) {
	needed, out, err := x.needed(ctx, spec)
	if err != nil {
		return flow{}, false, err
	}
	if !needed && out.Status == Skipped {
		return flow{}, false, nil
	}
	if needed {
		switch spec.Kind {
		case KindApprove:
			return x.approve(ctx, spec)
		case KindParallel:
			return x.group(ctx, spec)
		case KindSub:
			return x.sub(ctx, spec)
		case KindManual:
			out, err = x.manual(ctx, spec)
		case KindSleep:
			out, err = x.sleepStep(ctx, spec)
		default:
			leaves := []*leaf{x.newLeaf(spec)}
			err = x.leaves(ctx, leaves, true)
			out = leaves[0].out
		}
		if err != nil {
			return flow{}, false, err
		}
	}
	return x.settle(ctx, spec, out)
}

// needed asks the condition of a step. What it said is recorded. An outcome that has
// failed says that it could not be asked.
func (x *interpreter) needed(ctx context.Context, spec StepSpec) (bool, Outcome, error) {
	if !spec.Conditional {
		return true, Outcome{}, nil
	}
	return x.condition(ctx, spec)
}

// condition asks the condition of a step that has one.
func (x *interpreter) condition(ctx context.Context, spec StepSpec) (bool, Outcome, error) {
	step, known := x.steps[spec.ID]
	scope := x.scopeOf(spec)
	id := x.name(spec.ID + "/when")
	o, err := x.record(ctx, id, func(ctx context.Context) (o Outcome) {
		defer recoverTo(&o, Failed)
		if !known || step.When == nil {
			return unknownStep(spec)
		}
		if needed, why := step.When(&scope); !needed {
			x.emit(ctx, Event{Key: string(id), Kind: EventSkipped, Step: spec.ID, Text: fmt.Sprintf("%s: left out: %s", spec.Title, why)})
			return Outcome{Status: Skipped, Message: why}
		}
		return Outcome{Status: Done}
	})
	if err != nil || o.Status == Done {
		return err == nil, Outcome{}, err
	}
	if o.Status == Skipped {
		x.leaveOut(spec, o.Message)
	}
	return false, o, nil
}

// at returns a step as it is shown, nil if there is none.
func (x *interpreter) at(id string) *StepRun {
	i, ok := x.index[id]
	if !ok {
		return nil
	}
	return &x.view.Steps[i]
}

// leaveOut notes that a step, and all within it, is not made.
func (x *interpreter) leaveOut(spec StepSpec, why string) {
	if s := x.at(spec.ID); s != nil {
		s.State, s.Message = StepSkipped, why
	}
	x.scope.outcomes[spec.ID] = Outcome{Status: Skipped, Message: why}
	for _, within := range spec.Steps {
		x.leaveOut(within, why)
	}
}

// settle decides where a run goes on after a step has ended; again says that the step is
// made once more.
func (x *interpreter) settle(ctx context.Context, spec StepSpec, out Outcome) (f flow, again bool, err error) {
	x.took(spec, out)
	switch {
	case out.Status == Done || out.Status == Skipped:
		return flow{}, false, nil
	case out.Code == codeLate && out.Status == Failed:
		return x.late(), false, nil
	}
	failure := spec.Failure
	if out.Status == Unknown || out.Code == codeUnknownStep || out.Code == codeHeld {
		failure = Pause
	}
	if target, jumps := strings.CutPrefix(string(failure), "goto "); jumps {
		return flow{kind: flowJump, to: target}, false, nil
	}
	why := fmt.Sprintf("step %s (%s): %s", spec.ID, spec.Title, out.Message)
	switch {
	case failure == GoOn, failure == Pause && x.planning:
		return flow{}, false, nil
	case failure == Abort:
		return flow{kind: flowAbort, why: why}, false, nil
	case failure == UndoAll:
		return flow{kind: flowUndo, why: why}, false, nil
	}
	return x.decide(ctx, spec, out)
}

// took notes how a step ended.
func (x *interpreter) took(spec StepSpec, out Outcome) {
	x.scope.outcomes[spec.ID] = out
	s := x.at(spec.ID)
	if s == nil {
		return
	}
	s.Ended, s.Code, s.Message, s.Output = out.Ended, out.Code, out.Message, out.Output
	s.Process = or(out.Process, s.Process)
	if s.Began.IsZero() {
		s.Began = out.Began
	}
	switch out.Status {
	case Done:
		s.State = StepDone
	case Failed:
		s.State = StepFailed
	case Unknown:
		s.State = StepUnknown
	case Skipped:
		s.State = StepSkipped
	}
	if spec.Undo && !x.planning && (out.Status == Done || out.Status == Unknown) {
		x.remember(spec)
	}
}

// remember keeps an action for being taken back, once for each time that the flow came
// to it.
func (x *interpreter) remember(spec StepSpec) {
	scope := x.scopeOf(spec)
	for _, u := range x.undo {
		if u.spec.ID == spec.ID && u.scope.Key == scope.Key {
			return
		}
	}
	x.undo = append(x.undo, undoable{spec, scope})
}

// scopeOf returns the scope of a step as it is now.
func (x *interpreter) scopeOf(spec StepSpec) Scope {
	scope := x.scope
	scope.Key = x.start.ID + "/" + spec.ID
	if n := x.come[spec.ID]; n > 1 {
		scope.Key += fmt.Sprintf("@%d", n)
	}
	scope.Attempt, scope.Planning, scope.Now = 1, x.planning, x.now
	return scope
}

// name returns the id of a call, different each time that it is asked for.
func (x *interpreter) name(base string) StepID {
	x.names[base]++
	if n := x.names[base]; n > 1 {
		return StepID(fmt.Sprintf("%s#%d", base, n))
	}
	return StepID(base)
}

// record makes a call that changes nothing but records of ours.
func (x *interpreter) record(ctx context.Context, id StepID, do func(ctx context.Context) Outcome) (Outcome, error) {
	return x.make(ctx, Call{ID: id, Do: func(ctx context.Context, _ []Attempt) Outcome { return timed(ctx, do) }})
}

// make makes one call.
func (x *interpreter) make(ctx context.Context, call Call) (Outcome, error) {
	outcomes, err := x.engine.Steps(ctx, []Call{call})
	if err != nil {
		return Outcome{}, err
	}
	if len(outcomes) != 1 {
		return Outcome{}, fmt.Errorf("incident: the engine returned %d outcomes of one call", len(outcomes))
	}
	x.advance(outcomes[0].Ended)
	return outcomes[0], nil
}

// advance moves the time of the run on.
func (x *interpreter) advance(t time.Time) {
	if t.After(x.now) {
		x.now = t
	}
}

// emit tells what happened. It is called in calls only, so that a run that goes on after
// a crash tells nothing twice.
func (x *interpreter) emit(ctx context.Context, e Event) {
	if x.planning || x.host == nil {
		return
	}
	x.host.emit(ctx, x.start, x.in, e)
}

// maxMessage is how many characters of what went wrong are kept: an error may have a
// whole page of a proxy in it.
const maxMessage = 2000

// timed makes a call, and notes when.
func timed(ctx context.Context, do func(ctx context.Context) Outcome) Outcome {
	began := wallTime()
	o := do(ctx)
	o.Began, o.Ended = began, wallTime()
	if o.Message != "" {
		o.Message = storeText(o.Message, maxMessage)
	}
	return o
}

// wallTime returns the time in the precision in which it is recorded.
func wallTime() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// recoverTo makes a panic an outcome.
func recoverTo(o *Outcome, status OutcomeStatus) {
	if p := recover(); p != nil {
		*o = Outcome{Status: status, Code: codePanic, Message: fmt.Sprintf("the playbook panicked: %.200v", p)}
	}
}

func unknownStep(spec StepSpec) Outcome {
	return Outcome{Status: Failed, Code: codeUnknownStep, Unsent: true, Message: fmt.Sprintf("this program has no step %s of that kind any more; the playbook was changed while the run was under way", spec.ID)}
}

// marshal returns JSON of a value of ours, which can always be marshalled.
func marshal(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return data
}
