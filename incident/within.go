package incident

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// group makes a [Parallel]: the steps whose conditions hold, at the same time.
func (x *interpreter) group(ctx context.Context, spec StepSpec) (flow, bool, error) {
	x.visit(spec)
	began := x.now
	var all []*leaf
	for _, s := range spec.Steps {
		if x.come[s.ID] == x.come[spec.ID] && (x.scope.outcomes[s.ID].Status == Done || x.left[s.ID] == x.come[s.ID]) {
			continue // the group is tried again: what was done is done, and what a person left out is left out
		}
		if x.come[s.ID] < x.come[spec.ID] {
			x.come[s.ID] = x.come[spec.ID] - 1
			x.comeTo(s)
		}
		needed, out, err := x.needed(ctx, s)
		switch {
		case err != nil:
			return flow{}, false, err
		case needed:
			all = append(all, x.newLeaf(s))
		case out.Status == Failed:
			x.took(s, out)
		}
	}
	if err := x.leaves(ctx, all, spec.Collect); err != nil {
		return flow{}, false, err
	}
	for _, l := range all {
		x.took(l.spec, l.out)
	}
	for _, l := range all {
		// What may have happened is decided by itself: trying the group again must not
		// do it twice.
		if l.out.Status == Unknown {
			if f, err := x.settleWithin(ctx, l); err != nil || f.kind != flowNext {
				x.leave(spec)
				return f, false, err
			}
		}
	}
	out := x.groupOutcome(spec)
	out.Began, out.Ended = began, x.now
	return x.settle(ctx, spec, out)
}

// settleWithin settles a step of a group until its outcome is known.
func (x *interpreter) settleWithin(ctx context.Context, l *leaf) (flow, error) {
	for l.out.Status == Unknown {
		f, again, err := x.settle(ctx, l.spec, l.out)
		if err != nil || !again {
			return f, err
		}
		l = x.newLeaf(l.spec)
		if err := x.leaves(ctx, []*leaf{l}, true); err != nil {
			return flow{}, err
		}
		x.took(l.spec, l.out)
	}
	return flow{}, nil
}

// leave notes that the flow left a step in the middle of those within it.
func (x *interpreter) leave(spec StepSpec) {
	if s := x.at(spec.ID); s != nil {
		s.State, s.Ended, s.Message = StepFailed, x.now, "it was left in the middle"
	}
}

// groupOutcome is done unless a step of the group has failed that matters.
func (x *interpreter) groupOutcome(spec StepSpec) Outcome {
	var failed []string
	out := Outcome{Status: Done}
	for _, s := range spec.Steps {
		o := x.scope.outcomes[s.ID]
		if o.Status == Failed && (s.Failure != GoOn || oneOf(o.Code, codeUnknownStep, codeHeld)) {
			failed = append(failed, fmt.Sprintf("%s: %s", s.ID, o.Message))
			out.Code = or(out.Code, o.Code)
			if oneOf(o.Code, codeUnknownStep, codeHeld) {
				out.Code = o.Code
			}
		}
	}
	if len(failed) > 0 {
		out.Status, out.Message = Failed, strings.Join(failed, "; ")
	}
	return out
}

// sub carries out a playbook within the playbook.
func (x *interpreter) sub(ctx context.Context, spec StepSpec) (flow, bool, error) {
	x.visit(spec)
	began := x.now
	with, err := x.record(ctx, x.name(spec.ID+"/with"), func(context.Context) (o Outcome) {
		defer recoverTo(&o, Failed)
		return x.with(spec)
	})
	if err != nil {
		return flow{}, false, err
	}
	if with.Status != Done {
		return x.settle(ctx, spec, with)
	}
	mark, around := len(x.undo), frame{x.scope, x.rest}
	x.outer = append(x.outer, around)
	x.scope.parameters = nil
	if err := json.Unmarshal(with.Output, &x.scope.parameters); err != nil {
		return flow{}, false, fmt.Errorf("incident: the parameters of step %s as they are recorded: %w", spec.ID, err)
	}
	x.scope.prefix, x.scope.Playbook = spec.ID+".", spec.Playbook
	f, err := x.list(ctx, spec.Steps)
	if err != nil {
		return flow{}, false, err
	}
	out := Outcome{Status: Done, Began: began}
	switch f.kind {
	case flowStop:
		return f, false, nil
	case flowJump:
		x.scope, x.rest, x.outer = around.scope, around.steps, x.outer[:len(x.outer)-1]
		x.leave(spec)
		return f, false, nil
	case flowAbort:
		out.Status, out.Message = Failed, f.why
	case flowUndo:
		clean, err := x.undoTo(ctx, mark)
		if err != nil {
			return flow{}, false, err
		}
		out.Status, out.Message = Failed, f.why+"; what it did was taken back"
		if !clean {
			out.Message = f.why + "; not everything that it did could be taken back"
		}
	}
	x.scope, x.rest, x.outer = around.scope, around.steps, x.outer[:len(x.outer)-1]
	out.Ended = x.now
	return x.settle(ctx, spec, out)
}

// with asks for the parameters of a playbook within.
func (x *interpreter) with(spec StepSpec) Outcome {
	step, known := x.steps[spec.ID]
	sub, is := step.Do.(Sub)
	if !known || !is {
		return unknownStep(spec)
	}
	var given map[string]string
	if sub.With != nil {
		scope := x.scopeOf(spec)
		given = sub.With(&scope)
	}
	values, err := sub.Playbook.values(given)
	if err != nil {
		return Outcome{Status: Failed, Code: codeFinal, Message: err.Error()}
	}
	data, problem := encode(values)
	if problem != "" {
		return Outcome{Status: Failed, Code: codeTooLarge, Message: "its parameters: " + problem}
	}
	return Outcome{Status: Done, Output: data}
}

// undoTo takes back what was done after a mark, the last first, and reports whether all
// of it could be.
func (x *interpreter) undoTo(ctx context.Context, mark int) (clean bool, err error) {
	clean = true
	for len(x.undo) > mark {
		last := x.undo[len(x.undo)-1]
		x.undo = x.undo[:len(x.undo)-1]
		done, err := x.undoOne(ctx, last)
		if err != nil {
			return false, err
		}
		clean = clean && done
	}
	return clean, nil
}

// undoOne takes back one action. If that fails, a person decides.
func (x *interpreter) undoOne(ctx context.Context, u undoable) (done bool, err error) {
	for {
		out, err := x.tryUndo(ctx, u)
		if err != nil {
			return false, err
		}
		s := x.at(u.spec.ID)
		if out.Status == Done {
			if s != nil {
				s.State, s.Undone = StepUndone, "done"
			}
			return true, nil
		}
		if s != nil {
			s.Undone = fmt.Sprintf("%s: %s", out.Status, out.Message)
		}
		answer, err := x.choose(ctx, u.spec, Question{
			Kind: "decide", Title: "Undo of " + u.spec.Title + ": " + happened(out), Text: out.Message + undoChoices,
			Answers: []string{AnswerRetry, AnswerDone, AnswerSkip},
		})
		if err != nil {
			return false, err
		}
		switch answer.Kind {
		case AnswerRetry:
			x.undoOrdered = answer.Actor != program
		case AnswerDone:
			if s != nil {
				s.State, s.Undone = StepUndone, "done by "+answer.Actor
			}
			return true, nil
		default:
			return false, nil
		}
	}
}

// tryUndo calls Undo of an action.
func (x *interpreter) tryUndo(ctx context.Context, u undoable) (Outcome, error) {
	step, known := x.steps[u.spec.ID]
	action, is := step.Do.(Action)
	scope := u.scope
	scope.Key, scope.Now, scope.outcomes = scope.Key+"/undo", x.now, x.scope.outcomes
	t := &task{host: x.host, start: &x.start, in: &x.in, spec: &u.spec, id: x.name(u.spec.ID + "/undo"), ordered: x.undoOrdered}
	undo := func(ctx context.Context, interrupted []Attempt) (o Outcome) {
		if !known || !is || action.Undo == nil {
			return unknownStep(u.spec)
		}
		if len(interrupted) > 0 {
			return Outcome{Status: Unknown, Code: CodeOf(ErrOutcomeUnknown), Message: "a process that ended in the middle of it had begun to take it back; whether that was done is not known"}
		}
		if err := t.permitted(ctx); err != nil {
			return Outcome{Status: Failed, Code: codeHeld, Unsent: true, Message: err.Error()}
		}
		ctx, cancel := context.WithTimeout(ctx, time.Duration(u.spec.Timeout))
		defer cancel()
		defer recoverTo(&o, Unknown)
		_, err := action.Undo(ctx, &scope)
		o = Outcome{Status: Done}
		if err != nil {
			o = t.failed(err)
		}
		t.emit(ctx, EventUndone, strings.TrimSuffix(fmt.Sprintf("%s: undo: %s: %s", u.spec.Title, o.Status, o.Message), ": "))
		return o
	}
	return x.make(ctx, Call{ID: t.id, Intent: true, Do: func(ctx context.Context, interrupted []Attempt) Outcome {
		return timed(ctx, func(ctx context.Context) Outcome { return undo(ctx, interrupted) })
	}})
}
