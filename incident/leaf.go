package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.acu.edu.au/runbook"
)

// A leaf is a step that calls a func of the playbook, as often as it takes: a check, an
// action, a verify, a wait or a notice.
type leaf struct {
	spec  StepSpec
	visit string
	scope Scope
	// tries counts the attempts, passes how often in a row it was right.
	tries, passes int
	// unknown means that an attempt may have done it.
	unknown bool
	// began is when the first attempt began; the next one is not made before due.
	began, due time.Time
	out        Outcome
	finished   bool
}

func (x *interpreter) newLeaf(spec StepSpec) *leaf {
	visit := x.visit(spec)
	return &leaf{spec: spec, visit: visit, scope: x.scopeOf(spec)}
}

// leaves makes leaves, at the same time if there are several, until all are finished. Unless
// collect, those that are not begun or wait when one has failed are left out.
func (x *interpreter) leaves(ctx context.Context, all []*leaf, collect bool) error {
	for {
		var calls []Call
		var made []*leaf
		var wait time.Time
		for _, l := range all {
			switch {
			case l.finished:
			case !l.due.After(x.now):
				calls, made = append(calls, x.call(l)), append(made, l)
			case wait.IsZero() || l.due.Before(wait):
				wait = l.due
			}
		}
		if len(calls) == 0 {
			if wait.IsZero() {
				return nil
			}
			if err := x.sleepUntil(ctx, all[0].visit+"/wait", wait); err != nil {
				return err
			}
			continue
		}
		outcomes, err := x.engine.Steps(ctx, calls)
		if err != nil {
			x.partly(made, err)
			return err
		}
		for i, o := range outcomes {
			x.advance(o.Ended)
			x.tried(made[i], o)
		}
		if !collect && slices.ContainsFunc(made, func(l *leaf) bool { return l.finished && l.out.Status != Done && l.spec.Failure != GoOn }) {
			for _, l := range all {
				if !l.finished {
					l.finished, l.out = true, Outcome{Status: Skipped, Message: "another step of the group had failed"}
				}
			}
		}
		if err := x.tellOverrun(ctx); err != nil {
			return err
		}
	}
}

// call is the next attempt at a leaf.
func (x *interpreter) call(l *leaf) Call {
	l.tries++
	l.scope.Attempt, l.scope.Now = l.tries, x.now
	id := StepID(l.visit)
	if l.tries > 1 {
		id = StepID(fmt.Sprintf("%s#%d", l.visit, l.tries))
	}
	if s := x.at(l.spec.ID); s != nil {
		s.Tries = l.tries
	}
	step, known := x.steps[l.spec.ID]
	t := &task{
		host: x.host, start: &x.start, in: &x.in, spec: &l.spec, step: step, known: known && step.Do.kind() == l.spec.Kind, repeat: l.spec.Repeat,
		scope: l.scope, planning: x.planning, id: id, ordered: x.ordered[l.spec.ID], deadline: x.deadline,
	}
	if !x.overTold && !x.phaseEnds.IsZero() {
		t.over, t.overAt = x.overrun(), x.phaseEnds
	}
	return Call{ID: id, Intent: l.spec.Kind == KindAction && !x.planning, Do: func(ctx context.Context, interrupted []Attempt) Outcome {
		return timed(ctx, func(ctx context.Context) Outcome { return t.do(ctx, interrupted) })
	}}
}

// tried notes how an attempt ended, and whether there is another one.
func (x *interpreter) tried(l *leaf, o Outcome) {
	if l.began.IsZero() {
		l.began = o.Began
	}
	if x.planning {
		x.planned(l, o)
		return
	}
	again := x.now
	switch l.spec.Kind {
	case KindVerify, KindWait:
		again = again.Add(time.Duration(l.spec.Every))
		l.passes++
		if o.Status != Done {
			l.passes = 0
		}
		over := !x.now.Before(l.began.Add(time.Duration(l.spec.Within)))
		l.finished = l.passes >= max(l.spec.Times, 1) || isFinal(o.Code) || over
		if l.finished && o.Status != Done && over {
			o.Message = fmt.Sprintf("not within %s: %s", l.spec.Within, o.Message)
		}
		if l.finished && o.Status == Done && l.passes < l.spec.Times {
			o.Status, o.Code, o.Message = Failed, codeNotYet, fmt.Sprintf("not %d times in a row within %s", l.spec.Times, l.spec.Within)
		}
	default:
		again = again.Add(backoff(time.Duration(l.spec.Backoff), l.tries))
		l.finished = o.Status == Done || l.tries >= l.spec.Attempts || isFinal(o.Code) || !mayRepeat(l.spec, o)
	}
	l.finished = l.finished || again.After(x.deadline)
	l.unknown = l.unknown || o.Status == Unknown
	if l.finished && l.unknown && o.Status == Failed {
		o.Status, o.Unsent = Unknown, false
		o.Message += "; an attempt before may have done it"
	}
	l.out, l.due = o, again
	if s := x.at(l.spec.ID); s != nil && !l.finished {
		s.Code, s.Message = o.Code, o.Message // while it is tried again
	}
}

// backoff returns how long to wait after a number of attempts.
func backoff(first time.Duration, tries int) time.Duration {
	const most = 5 * time.Minute
	for ; tries > 1 && first < most; tries-- {
		first *= 2
	}
	return min(first, most)
}

// mayRepeat reports whether what ended without success may be tried again by itself.
func mayRepeat(spec StepSpec, o Outcome) bool {
	if spec.Kind != KindAction {
		return true
	}
	return o.Unsent || spec.Repeat == Idempotent || spec.Repeat == CheckFirst && o.Status == Failed
}

// A task is one attempt, with everything that it needs of the run; it may run beside
// others, and the interpreter does not wait for what it leaves behind.
type task struct {
	host  *Runner
	start *RunStart // start, in and spec do not change
	in    *runInput
	spec  *StepSpec
	step  Step
	known bool
	// repeat is that of the step, or AtMostOnce where it is only to be looked at.
	repeat   Repeat
	scope    Scope
	planning bool
	id       StepID
	ordered  bool
	deadline time.Time
	over     Event
	overAt   time.Time
}

func (t *task) do(ctx context.Context, interrupted []Attempt) Outcome {
	if !t.known {
		return unknownStep(*t.spec)
	}
	if t.planning {
		return t.plan(runbook.ReadOnly(ctx))
	}
	if late := !wallTime().Before(t.deadline); late && len(interrupted) == 0 {
		return Outcome{Status: Failed, Code: codeLate, Unsent: true, Message: "the time of the run was over before it began"}
	} else if late {
		t.repeat = AtMostOnce // and look only whether it was done
	}
	if err := t.permitted(ctx); err != nil && len(interrupted) == 0 {
		return Outcome{Status: Failed, Code: codeHeld, Unsent: true, Message: err.Error()}
	} else if err != nil {
		t.repeat = AtMostOnce
	}
	t.emit(ctx, EventStep, t.spec.Title)
	if n := len(interrupted); n > 0 {
		t.host.emit(ctx, *t.start, *t.in, Event{
			Key: fmt.Sprintf("%s/%s/%d", t.id, EventTwice, n), Kind: EventTwice, Step: t.spec.ID,
			Text: fmt.Sprintf("%s: it was begun at %s by a process that did not say how it ended; it may have happened", t.spec.Title, interrupted[n-1].At.UTC().Format(time.DateTime)),
		})
	}
	if !t.overAt.IsZero() {
		// Beside the step, so that it is told when the time is over and not when the step ends.
		timer := time.AfterFunc(time.Until(t.overAt), func() { t.host.emit(ctx, *t.start, *t.in, t.over) })
		defer timer.Stop()
	}
	t.scope.progress = func(text string) { t.emit(ctx, EventProgress, text) }
	o := t.attempt(ctx, interrupted)
	t.emitEnd(ctx, o)
	return o
}

// permitted returns nil if the step may change something now: a person wants it, or the
// policy lets it.
func (t *task) permitted(ctx context.Context) error {
	if t.spec.Kind != KindAction || !t.in.Automatic || t.ordered {
		return nil
	}
	return t.host.permit(ctx, *t.in, *t.start, t.spec.ID, t.id)
}

func (t *task) emit(ctx context.Context, kind EventKind, text string) {
	key := string(t.id) + "/" + string(kind)
	t.host.emit(ctx, *t.start, *t.in, Event{Key: key, Kind: kind, Step: t.spec.ID, Text: text})
}

func (t *task) emitEnd(ctx context.Context, o Outcome) {
	text := t.spec.Title + ": " + string(o.Status)
	if o.Message != "" {
		text += ": " + o.Message
	}
	t.host.emit(ctx, *t.start, *t.in, Event{Key: string(t.id) + "/ended", Kind: EventStepEnded, Step: t.spec.ID, Text: text, Data: o.Output})
}

// attempt calls the func of the step.
func (t *task) attempt(ctx context.Context, interrupted []Attempt) (o Outcome) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(t.spec.Timeout))
	defer cancel()
	status := Failed
	if t.spec.Kind == KindAction {
		status = Unknown
	}
	defer recoverTo(&o, status)
	switch do := t.step.Do.(type) {
	case Check:
		return t.outcome(do.Run(ctx, &t.scope))
	case Verify:
		return t.outcome(do.Run(ctx, &t.scope))
	case Wait:
		output, so, err := do.Until(ctx, &t.scope)
		if err == nil && !so {
			return Outcome{Status: Failed, Code: codeNotYet, Message: "it is not so yet"}
		}
		return t.outcome(output, err)
	case Notice:
		return t.outcome(nil, do.Send(ctx, &t.scope, do.Message(&t.scope)))
	case Action:
		return t.act(ctx, do, interrupted)
	}
	return unknownStep(*t.spec)
}

// outcome is that of what changes nothing.
func (t *task) outcome(output any, err error) Outcome {
	if err != nil {
		return Outcome{Status: Failed, Code: CodeOf(err), Message: err.Error(), Unsent: true}
	}
	data, problem := encode(output)
	if problem != "" {
		return Outcome{Status: Failed, Code: codeTooLarge, Message: problem}
	}
	return Outcome{Status: Done, Output: data}
}

// act makes an action, unless it was done already or that is not known.
func (t *task) act(ctx context.Context, do Action, interrupted []Attempt) Outcome {
	before := len(interrupted) > 0 // an attempt before this one may have done it
	if before && t.repeat == AtMostOnce && do.Done == nil {
		return Outcome{Status: Unknown, Code: CodeOf(ErrOutcomeUnknown), Message: "a process that ended in the middle of it had begun it; whether it was done is not known"}
	}
	if do.Done != nil && (t.repeat == CheckFirst || before) {
		output, done, err := t.done(ctx, do)
		switch {
		case err != nil && before && t.repeat == Idempotent: // twice is the same as once
		case err != nil && before:
			return Outcome{Status: Unknown, Code: CodeOf(ErrOutcomeUnknown), Message: "a process that ended in the middle of it had begun it, and whether it was done could not be read: " + err.Error()}
		case err != nil:
			return Outcome{Status: Failed, Code: CodeOf(err), Unsent: true, Message: "whether it was done already could not be read: " + err.Error()}
		case done:
			return acted(output, "it was done already")
		case before && t.repeat == AtMostOnce:
			return Outcome{Status: Unknown, Code: CodeOf(ErrOutcomeUnknown), Message: "a process that ended in the middle of it had begun it; nothing shows yet that it was done"}
		default:
			before = false
		}
	}
	output, err := do.Run(ctx, &t.scope)
	if err == nil {
		return acted(output, "")
	}
	o := t.failed(err)
	switch {
	case o.Status == Unknown && do.Done != nil:
		return t.look(ctx, do, o)
	case o.Status == Failed && before:
		o.Status, o.Unsent = Unknown, false
		o.Message += "; an attempt before, of a process that ended in the middle of it, may have done it"
	}
	return o
}

// done calls Done of an action. A panic of it means that it cannot tell.
func (t *task) done(ctx context.Context, do Action) (output any, done bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the playbook panicked: %.200v", p)
		}
	}()
	return do.Done(ctx, &t.scope)
}

// look reads whether an action was done whose answer was lost.
func (t *task) look(ctx context.Context, do Action, o Outcome) Outcome {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	output, done, err := t.done(ctx, do)
	switch {
	case err != nil:
		o.Message += "; reading it afterwards failed too: " + err.Error()
	case done:
		return acted(output, "its answer was lost; that it was done was read afterwards")
	case t.repeat != AtMostOnce:
		o.Status = Failed
		o.Message += "; read afterwards, it was not done"
	default:
		o.Message += "; nothing shows yet that it was done"
	}
	return o
}

// acted is the outcome of an action that was done. That its output cannot be kept does
// not change that.
func acted(output any, message string) Outcome {
	data, problem := encode(output)
	if problem != "" {
		message = "it was done; " + problem
	}
	return Outcome{Status: Done, Output: data, Message: message}
}

// failed is the outcome of an action that returned an error: by the rules of the ports,
// nothing was changed unless the error is ErrOutcomeUnknown, or its context ended and it
// does not prove that nothing was sent.
func (t *task) failed(err error) Outcome {
	o := Outcome{Status: Failed, Code: CodeOf(err), Message: err.Error(), Unsent: runbook.SafeToRetry(err)}
	if o.Unsent {
		return o
	}
	switch {
	case errors.Is(err, ErrOutcomeUnknown):
		o.Status = Unknown
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		o.Status = Unknown
	case oneOf(o.Code, CodeOf(ErrNotFound), CodeOf(ErrNotPermitted), CodeOf(ErrUnsupported), CodeOf(ErrStale), CodeOf(ErrBusy), CodeOf(ErrSealed)):
		o.Unsent = true
	}
	return o
}

// encode returns the output of a step as it is kept, or what is wrong with it.
func encode(output any) (json.RawMessage, string) {
	if output == nil {
		return nil, ""
	}
	data, err := json.Marshal(output)
	if err != nil {
		return nil, "its output cannot be kept: " + err.Error()
	}
	if len(data) > maxOutput {
		return nil, fmt.Sprintf("its output of %d bytes is not kept: the limit is %d", len(data), maxOutput)
	}
	return data, ""
}
