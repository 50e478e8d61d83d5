package incident

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxQuestion is how many characters a question has at most.
const maxQuestion = 10000

// ask puts a question to people: it is recorded, told and listed.
func (x *interpreter) ask(ctx context.Context, spec StepSpec, q Question, fill func(ctx context.Context, q *Question) Outcome) (Question, Outcome, error) {
	id := x.name(spec.ID + "/ask")
	q.ID, q.Run, q.Step, q.Starter = string(id), x.start.ID, spec.ID, x.start.By
	within, latest := time.Duration(spec.Within), x.deadline
	o, err := x.record(ctx, id, func(ctx context.Context) (o Outcome) {
		defer recoverTo(&o, Failed)
		q.Asked = wallTime()
		if within > 0 && q.Kind != "decide" {
			if q.Deadline = q.Asked.Add(within); q.Deadline.After(latest) {
				q.Deadline = latest
			}
		}
		if fill != nil {
			if o := fill(ctx, &q); o.Status != Done {
				return o
			}
		}
		q.Text = storeText(q.Text, maxQuestion)
		data, problem := encode(q)
		if problem != "" {
			return Outcome{Status: Failed, Code: codeTooLarge, Message: "people cannot be asked: what they would have to read is too much: " + problem}
		}
		x.host.asked(ctx, x.start, x.in, q)
		x.emit(ctx, Event{Key: q.ID, Kind: EventAsked, Step: spec.ID, At: q.Asked, Text: q.Title, Question: &q})
		return Outcome{Status: Done, Output: data}
	})
	if err != nil || o.Status != Done {
		return q, o, err
	}
	if err := json.Unmarshal(o.Output, &q); err != nil {
		return q, o, fmt.Errorf("incident: the question %s as it is recorded: %w", q.ID, err)
	}
	x.view.Question, x.view.State = &q, StateWaiting
	if s := x.at(spec.ID); s != nil && q.Kind != "decide" {
		s.State = StepWaiting
	}
	return q, o, nil
}

// answered records what was decided, and what it rests on.
func (x *interpreter) answered(ctx context.Context, spec StepSpec, q Question, s Signal) error {
	x.view.Question, x.view.State = nil, StateRunning
	text := fmt.Sprintf("%s: %s by %s", spec.Title, s.Kind, s.Actor)
	if s.Expired {
		text = fmt.Sprintf("%s: nobody answered in time", spec.Title)
	}
	if s.Comment != "" {
		text += ": " + s.Comment
	}
	if step := x.at(spec.ID); step != nil {
		step.By, step.Decided = s.Actor, strings.TrimSuffix(s.Kind+": "+s.Comment, ": ")
	}
	_, err := x.record(ctx, StepID(q.ID+"/decided"), func(ctx context.Context) Outcome {
		x.host.decided(ctx, x.start, q, s)
		waited := wallTime().Sub(q.Asked).Seconds()
		data := marshal(map[string]any{"question": q.ID, "answer": s.Kind, "votes": q.Votes, "waited": waited})
		x.emit(ctx, Event{Key: q.ID + "/decided", Kind: EventDecided, Step: spec.ID, Actor: s.Actor, Text: text, Data: data})
		return Outcome{Status: Done}
	})
	return err
}

// choose asks a person and returns the first answer that is possible.
func (x *interpreter) choose(ctx context.Context, spec StepSpec, q Question) (Signal, error) {
	q, o, err := x.ask(ctx, spec, q, nil)
	if err != nil {
		return Signal{}, err
	}
	if o.Status != Done {
		// Nobody could be asked; that is not a reason to go on.
		return Signal{Kind: AnswerAbort, Actor: program, Comment: o.Message}, nil
	}
	for {
		s, err := x.await(ctx, q.ID, q.Deadline)
		if err != nil {
			return Signal{}, err
		}
		if !s.Expired && !slices.Contains(q.Answers, s.Kind) {
			continue
		}
		return s, x.answered(ctx, spec, q, s)
	}
}

// decide asks a person what to do about a step that has failed, or may have.
func (x *interpreter) decide(ctx context.Context, spec StepSpec, out Outcome) (f flow, again bool, err error) {
	if x.over() {
		return x.late(), false, nil
	}
	answer, err := x.choose(ctx, spec, x.decision(spec, out))
	if err != nil {
		return flow{}, false, err
	}
	why := fmt.Sprintf("%s decided so after step %s (%s): %s", answer.Actor, spec.ID, spec.Title, out.Message)
	if answer.Expired {
		return x.late(), false, nil
	}
	switch answer.Kind {
	case AnswerRetry:
		x.order(spec, answer.Actor != program)
		return flow{}, true, nil
	case AnswerDone:
		done := Outcome{Status: Done, Output: answer.Data, Message: "done, says " + answer.Actor, Began: out.Began, Ended: x.now}
		x.took(spec, done)
		return flow{}, false, nil
	case AnswerSkip:
		x.leaveOut(spec, fmt.Sprintf("left out by %s: %s", answer.Actor, answer.Comment))
		x.left[spec.ID] = x.come[spec.ID]
		return flow{}, false, nil
	case AnswerBack:
		if !x.goesBack(spec.ID, answerTo(answer)) {
			return x.decide(ctx, spec, out) // and ask again
		}
		return flow{kind: flowJump, to: answerTo(answer)}, false, nil
	case AnswerUndo:
		x.undoOrdered = answer.Actor != program
		return flow{kind: flowUndo, why: why}, false, nil
	}
	return flow{kind: flowAbort, why: why}, false, nil
}

// order notes whether a person wants a step to be made, and those of a group with it.
func (x *interpreter) order(spec StepSpec, wanted bool) {
	x.ordered[spec.ID] = wanted
	if spec.Kind == KindParallel {
		for _, s := range spec.Steps {
			x.ordered[s.ID] = wanted
		}
	}
}

// decision is the question what to do about a step that has failed, or may have. Where
// people did not approve, nobody goes on as if they had.
func (x *interpreter) decision(spec StepSpec, out Outcome) Question {
	answers := []string{AnswerRetry, AnswerSkip, AnswerDone, AnswerBack, AnswerUndo, AnswerAbort}
	if x.refused(spec) {
		answers = []string{AnswerRetry, AnswerBack, AnswerUndo, AnswerAbort}
	}
	var undo []string
	for _, u := range slices.Backward(x.undo) {
		undo = append(undo, u.spec.Title)
	}
	return Question{
		Kind: "decide", Title: fmt.Sprintf("%s: %s", spec.Title, happened(out)), Answers: answers,
		Text: storeText(out.Message, maxMessage) + choices(out, answers, undo),
	}
}

// refused reports whether a step is an approval that was not given, or a playbook within
// that ended with one.
func (x *interpreter) refused(spec StepSpec) bool {
	if spec.Kind == KindApprove {
		return x.scope.outcomes[spec.ID].Status == Failed
	}
	return spec.Kind == KindSub && slices.ContainsFunc(spec.Steps, x.refused)
}

// goesBack reports whether the flow can go back from a step to another one.
func (x *interpreter) goesBack(from, to string) bool {
	s := x.at(to)
	return s != nil && s.State != StepPending && goesBack(x.in.Steps, from, to)
}

// goesBack reports whether one step can be gone back to from another: if it stands beside
// it, or beside a group or a playbook that the other is within.
func goesBack(list []StepSpec, from, to string) bool {
	if slices.ContainsFunc(list, func(s StepSpec) bool { return s.ID == to }) {
		return within(list, from)
	}
	return slices.ContainsFunc(list, func(s StepSpec) bool { return s.Kind == KindSub && goesBack(s.Steps, from, to) })
}

// within reports whether a step is one of a list, or within one.
func within(list []StepSpec, id string) bool {
	return slices.ContainsFunc(list, func(s StepSpec) bool { return s.ID == id || within(s.Steps, id) })
}

// happened says how a step ended.
func happened(out Outcome) string {
	switch {
	case out.Status == Unknown:
		return "it is not known whether it was done"
	case out.Code == codeHeld:
		return "automatic actions are not allowed now"
	case out.Code == codeUnknownStep:
		return "the program does not know this step any more"
	}
	return "it has failed"
}

// answerTo returns the step that an answer names.
func answerTo(s Signal) string {
	var data struct {
		To string `json:"to"`
	}
	if json.Unmarshal(s.Data, &data) != nil {
		return ""
	}
	return data.To
}

// manual makes a [Manual].
func (x *interpreter) manual(ctx context.Context, spec StepSpec) (Outcome, error) {
	x.visit(spec)
	if x.planning {
		return Outcome{Status: Done, Began: x.now, Ended: x.now}, nil
	}
	began := x.now
	step, known := x.steps[spec.ID]
	scope := x.scopeOf(spec)
	fill := func(_ context.Context, q *Question) Outcome {
		do, is := step.Do.(Manual)
		if !known || !is {
			return unknownStep(spec)
		}
		q.Text = do.Instruction(&scope) + "\n\nWhy a person does this: " + do.Why
		return Outcome{Status: Done}
	}
	q, o, err := x.ask(ctx, spec, Question{Kind: "manual", Title: "To do: " + spec.Title, Answers: []string{AnswerDone, AnswerSkip, AnswerDeny}}, fill)
	if err != nil || o.Status != Done {
		return o, err
	}
	for {
		s, err := x.await(ctx, q.ID, q.Deadline)
		if err != nil {
			return Outcome{}, err
		}
		if !s.Expired && !slices.Contains(q.Answers, s.Kind) {
			continue
		}
		if err := x.answered(ctx, spec, q, s); err != nil {
			return Outcome{}, err
		}
		return manualOutcome(s, began, x.now), nil
	}
}

func manualOutcome(s Signal, began, now time.Time) Outcome {
	o := Outcome{Status: Done, Output: s.Data, Message: s.Comment, Began: began, Ended: now}
	switch {
	case s.Expired:
		o.Status, o.Code, o.Message = Failed, codeExpired, "nobody said in time that it was done"
	case s.Kind == AnswerSkip:
		o.Status, o.Message = Skipped, fmt.Sprintf("left out by %s: %s", s.Actor, s.Comment)
	case s.Kind == AnswerDeny:
		o.Status, o.Code, o.Message = Failed, codeDenied, fmt.Sprintf("%s says that it cannot be done: %s", s.Actor, s.Comment)
	}
	return o
}

// approve makes an [Approve]. An approval that is bound is void if what would be done
// has changed meanwhile; people are asked again then, three times at most.
func (x *interpreter) approve(ctx context.Context, spec StepSpec) (flow, bool, error) {
	if x.planning && x.part != nil {
		return flow{kind: flowStop}, false, nil
	}
	x.visit(spec)
	if x.planning {
		return x.settle(ctx, spec, Outcome{Status: Done, Began: x.now, Ended: x.now})
	}
	began := x.now
	for range 3 {
		q, o, err := x.ask(ctx, spec, Question{
			Kind: "approve", Title: spec.Title, Min: spec.Min, Roles: spec.Roles, Answers: []string{AnswerApprove, AnswerDeny, AnswerBack},
		}, x.question(spec))
		if err != nil {
			return flow{}, false, err
		}
		if o.Status != Done {
			return x.settle(ctx, spec, o)
		}
		last, err := x.vote(ctx, &q)
		if err != nil {
			return flow{}, false, err
		}
		if err := x.answered(ctx, spec, q, last); err != nil {
			return flow{}, false, err
		}
		if last.Kind == AnswerBack {
			if s := x.at(spec.ID); s != nil {
				s.State = StepPending
			}
			return flow{kind: flowJump, to: answerTo(last)}, false, nil
		}
		same, err := x.samePlan(ctx, spec, q, last)
		if err != nil {
			return flow{}, false, err
		}
		if same {
			return x.settle(ctx, spec, voted(last, q, began, x.now))
		}
	}
	return x.settle(ctx, spec, Outcome{Status: Failed, Code: codeDenied, Message: "what it would do changed each time that it was approved", Began: began, Ended: x.now})
}

// voted is the outcome of an approval.
func voted(last Signal, q Question, began, now time.Time) Outcome {
	o := Outcome{Status: Done, Output: marshal(q.Votes), Began: began, Ended: now}
	var names []string
	for _, v := range q.Votes {
		names = append(names, v.Actor)
	}
	o.Message = "approved by " + strings.Join(names, " and ")
	switch {
	case last.Expired:
		o.Status, o.Code, o.Message = Failed, codeExpired, "denied: not approved in time"
	case last.Kind == AnswerDeny:
		o.Status, o.Code, o.Message = Failed, codeDenied, strings.TrimSuffix(fmt.Sprintf("denied by %s: %s", last.Actor, last.Comment), ": ")
	}
	return o
}

// question returns what fills in the question of an approval.
func (x *interpreter) question(spec StepSpec) func(ctx context.Context, q *Question) Outcome {
	step, known := x.steps[spec.ID]
	scope := x.scopeOf(spec)
	var rest *interpreter
	if spec.Bound && x.host != nil {
		rest = x.aside()
	}
	return func(ctx context.Context, q *Question) Outcome {
		do, is := step.Do.(Approve)
		if !known || !is {
			return unknownStep(spec)
		}
		q.Text = do.Question(&scope)
		if !spec.Bound {
			return Outcome{Status: Done}
		}
		plan, err := makePlan(ctx, rest)
		if err != nil {
			return Outcome{Status: Failed, Message: "what would be done could not be told: " + err.Error()}
		}
		q.Plan, q.Effects = plan.Hash, plan.effects()
		return Outcome{Status: Done}
	}
}

// vote awaits votes until enough have approved, one has denied or sent it back, or the
// time is over. It returns the last; those that count are in the question.
func (x *interpreter) vote(ctx context.Context, q *Question) (Signal, error) {
	for {
		s, err := x.await(ctx, q.ID, q.Deadline)
		if err != nil || s.Expired {
			return s, err
		}
		voted := slices.ContainsFunc(q.Votes, func(v Signal) bool { return samePerson(v.Actor, s.Actor) })
		switch {
		case s.Actor == "" || samePerson(s.Actor, q.Starter) || voted:
			continue // nobody approves what they started, or twice
		case s.Kind == AnswerDeny:
			q.Votes = append(q.Votes, s)
			return s, nil
		case s.Kind == AnswerBack && x.goesBack(q.Step, answerTo(s)):
			q.Votes = append(q.Votes, s)
			return s, nil
		case s.Kind == AnswerApprove:
			q.Votes = append(q.Votes, s)
			if len(q.Votes) >= q.Min {
				return s, nil
			}
		}
	}
}

// samePlan reports whether what was approved is still what would be done.
func (x *interpreter) samePlan(ctx context.Context, spec StepSpec, q Question, last Signal) (bool, error) {
	if !spec.Bound || last.Expired || last.Kind != AnswerApprove {
		return true, nil
	}
	var rest *interpreter
	if x.host != nil {
		rest = x.aside()
	}
	o, err := x.record(ctx, StepID(q.ID+"/same"), func(ctx context.Context) Outcome {
		plan, err := makePlan(ctx, rest)
		if err == nil && plan.Hash == q.Plan {
			return Outcome{Status: Done}
		}
		text := fmt.Sprintf("%s: the approval is void: what would be done has changed since", spec.Title)
		x.host.closeApproval(ctx, x.start.ID, q, "void")
		x.emit(ctx, Event{Key: q.ID + "/void", Kind: EventDecided, Step: spec.ID, Text: text})
		return Outcome{Status: Failed, Message: text}
	})
	return o.Status == Done, err
}
