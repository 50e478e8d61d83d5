package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ViewRun makes of a record what people look at. It carries the run out over the record
// up to where that ends, so that it says exactly what the run itself would know if it
// went on now. Of the program it needs nothing but this package. now is for how long
// something has lasted.
//
// The error says that it is no record of a playbook, or that this version cannot read
// it.
func ViewRun(ctx context.Context, record RunRecord, now time.Time) (Run, error) {
	in, err := readInput(record.Input)
	if err != nil {
		return Run{}, fmt.Errorf("incident: run %s: %w", record.ID, err)
	}
	view, _, err := replay(ctx, record, in, now)
	return view, err
}

// replay returns the view of a record, and the engine, which knows what calls there were.
func replay(ctx context.Context, record RunRecord, in runInput, now time.Time) (Run, *replayEngine, error) {
	e := &replayEngine{entries: make(map[StepID]RunEntry, len(record.Entries)), came: make(map[string]int)}
	for _, entry := range record.Entries {
		e.entries[entry.ID] = entry
	}
	x := newInterpreter(record.RunStart, in, e, nil)
	x.onCome = func(id string) { e.came[id] = len(e.calls) }
	_, err := x.run(ctx)
	var end *replayEnd
	if err != nil && !errors.As(err, &end) {
		return Run{}, nil, fmt.Errorf("incident: run %s: %w", record.ID, err)
	}
	x.view.finish(record, now)
	return *x.view, e, nil
}

// readInput reads the input of a run.
func readInput(data json.RawMessage) (runInput, error) {
	var in runInput
	if err := json.Unmarshal(data, &in); err != nil {
		return in, fmt.Errorf("its input is none of a playbook: %w", err)
	}
	if in.Interpreter != interpreterVersion {
		return in, fmt.Errorf("it is of version %d of the interpreter, and this program has %d", in.Interpreter, interpreterVersion)
	}
	return in, nil
}

// A replayEngine returns what was recorded.
type replayEngine struct {
	entries map[StepID]RunEntry
	// calls are those that the run made, came how many there were when the flow came to a
	// step the last time.
	calls []StepID
	came  map[string]int
}

// replayEnd means that nothing more was recorded.
type replayEnd struct {
	// outcomes are those of a group of which not all have ended; nil for the others.
	outcomes []*Outcome
}

func (*replayEnd) Error() string { return "nothing more was recorded" }

func (e *replayEngine) Steps(_ context.Context, calls []Call) ([]Outcome, error) {
	outcomes := make([]Outcome, len(calls))
	end := &replayEnd{outcomes: make([]*Outcome, len(calls))}
	missing := false
	for i, call := range calls {
		e.calls = append(e.calls, call.ID)
		entry, ok := e.entries[call.ID]
		if !ok || entry.Outcome == nil {
			missing = true
			continue
		}
		outcomes[i], end.outcomes[i] = *entry.Outcome, entry.Outcome
	}
	if missing {
		return nil, end
	}
	return outcomes, nil
}

func (e *replayEngine) Sleep(_ context.Context, id StepID, _ time.Time) error {
	e.calls = append(e.calls, id)
	if _, ok := e.entries[id]; !ok {
		return &replayEnd{}
	}
	return nil
}

func (e *replayEngine) Await(_ context.Context, id StepID, _ string, _ time.Time) (Signal, error) {
	e.calls = append(e.calls, id)
	entry, ok := e.entries[id]
	if !ok || entry.Signal == nil {
		return Signal{}, &replayEnd{}
	}
	return *entry.Signal, nil
}

// partly notes how the steps of a group have ended that have, when a record ends in the
// middle of the group.
func (x *interpreter) partly(made []*leaf, err error) {
	var end *replayEnd
	if !errors.As(err, &end) {
		return
	}
	for i, o := range end.outcomes {
		if o == nil {
			continue
		}
		if x.tried(made[i], *o); made[i].finished {
			x.took(made[i].spec, made[i].out)
		}
	}
}

// finish adds to a view what is in the record beside what the run knows itself.
func (r *Run) finish(record RunRecord, now time.Time) {
	r.Attention, r.Process, r.Held, r.Cancelled, r.Revision = record.Attention, record.Process, record.Held, record.Cancelled, record.Revision
	if !record.Began.IsZero() {
		r.Began = record.Began
	}
	if !record.Ended.IsZero() {
		r.Ended = record.Ended
	}
	for _, open := range record.Open {
		for i := range r.Steps {
			if r.Steps[i].State == StepRunning && belongs(open.Step, r.Steps[i].ID) {
				r.Steps[i].Began, r.Steps[i].Process = open.At, open.Process
			}
		}
	}
	switch {
	case record.Status == RunQueued:
		r.State = StateQueued
	case record.Status == RunStranded:
		r.State = StateStranded
	case record.Status == RunCancelled:
		r.State, r.Question = StateCancelled, nil
		r.interrupt(record)
	case record.Status == RunFailed:
		r.State, r.Reason, r.Question = StateFailed, "the program failed: "+record.Error, nil
		r.interrupt(record)
	case record.Status == RunRunning && record.Held != nil:
		r.State = StateHeld
	}
	if r.State == StateCancelled && r.Cancelled == nil {
		r.Cancelled = &Control{By: program}
	}
	r.say(now)
}

// interrupt says of the steps that were under way when a run ended that they are no
// longer; of an action nobody knows whether it was done.
func (r *Run) interrupt(record RunRecord) {
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.State != StepRunning && s.State != StepWaiting {
			continue
		}
		begun := slices.ContainsFunc(record.Open, func(a Attempt) bool { return belongs(a.Step, s.ID) })
		s.State, s.Message = StepSkipped, "the run ended before it did"
		if s.Kind == KindParallel || s.Kind == KindSub {
			s.State = StepFailed // of those within it some may be done
		}
		if begun {
			s.State, s.Message = StepUnknown, "the run ended in the middle of it; whether it was done is not known"
		}
	}
}

// belongs reports whether a call is one of a step.
func belongs(id StepID, step string) bool {
	text := string(id)
	if len(text) < len(step) || text[:len(step)] != step {
		return false
	}
	return len(text) == len(step) || oneOf(text[len(step)], '@', '#', '/')
}
