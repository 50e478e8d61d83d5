package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// kindApproval is the kind of documents that are approvals.
const kindApproval = "approval"

// An Approval is something that people were asked to approve: a step of a run, or that a
// run is started.
type Approval struct {
	// ID names it.
	ID string `json:"id"`
	// Question is what was asked. Of a suggestion its Run is empty.
	Question Question `json:"question"`
	// Playbook, Environment and Incident say what it is about.
	Playbook    string `json:"playbook"`
	Environment string `json:"environment"`
	Incident    string `json:"incident,omitempty"`
	// Start is the run that starts when it is approved, if it is about that. Its ID is
	// that of the run.
	Start *Request `json:"start,omitempty"`
	// Status is "open", "approved", "denied", "expired" or "void"; Closed is since when.
	Status string    `json:"status"`
	Closed time.Time `json:"closed,omitzero"`
}

// An Answer is what a person says to a [Question].
type Answer struct {
	// Kind is one of the answers that the question allows: AnswerApprove, for example.
	Kind string `json:"answer"`
	// Actor is who answers, by name. Required.
	Actor string `json:"-"`
	// Comment says why. Required for all but AnswerApprove, AnswerRetry and AnswerDone.
	Comment string `json:"comment,omitempty"`
	// To is the step to go back to, for AnswerBack.
	To string `json:"to,omitempty"`
	// Plan is the hash of the plan that is approved, as the question had it. Required if
	// the question has one.
	Plan string `json:"plan,omitempty"`
	// Output is what the step would have returned, for AnswerDone. Optional.
	Output json.RawMessage `json:"output,omitempty"`
}

// Answer answers the question of a run. The error wraps [ErrStale] if the run does not
// ask that any more, somebody else was first, or the plan has changed; and
// [ErrNotPermitted] if this person may not. An answer to a run that no process carries
// out now is kept, and counts when one does. A question that is listed, and that the run
// has not come to again after a crash, is waited for, for 5 seconds at most.
func (r *Runner) Answer(ctx context.Context, run, question string, a Answer) error {
	fail := func(err error) error { return fmt.Errorf("incident: answer run %s: %w", run, err) }
	record, in, view, err := r.asking(ctx, run, question)
	if err != nil {
		return fail(err)
	}
	q := view.Question
	if err := a.check(*q, view, in.Steps); err != nil {
		return fail(err)
	}
	latest := record.At.Add(time.Duration(in.Timeout))
	if !q.Deadline.IsZero() && q.Deadline.Before(latest) {
		latest = q.Deadline
	}
	if !wallTime().Before(latest) {
		return fail(fmt.Errorf("the time to answer was over at %s: %w", latest.UTC().Format(time.DateTime), ErrStale))
	}
	approval := Approval{ID: approvalID(run, q.ID), Question: *q, Playbook: view.Playbook, Environment: view.Environment, Incident: view.Incident, Status: "open"}
	if q.Kind == "approve" && a.Kind == AnswerApprove {
		if err := r.mayApprove(ctx, a.Actor, approval); err != nil {
			return fail(err)
		}
	}
	s := a.signal(*q)
	entry := Entry{Chain: "audit", Kind: "answered", Actor: a.Actor, At: s.At, Text: fmt.Sprintf("run %s: %s: %s", run, q.Title, a.words()), Data: marshal(a)}
	if q.Kind != "approve" {
		if err := r.audit(ctx, entry); err != nil {
			return err
		}
		return r.first(ctx, run, *q, s)
	}
	if err := r.castVote(ctx, approval, s, entry); err != nil {
		return fail(err)
	}
	if err := r.cfg.Runs.Signal(ctx, run, q.ID, s); err != nil {
		return fail(fmt.Errorf("the answer is recorded, and has not reached the run yet; it will be sent again: %w", err))
	}
	return nil
}

// askedSoon is how long an answer waits for a question that is listed and not recorded.
const askedSoon = 5 * time.Second

// asking returns a run that asks a question. Between the moment in which a question is
// listed and that in which the run has recorded it, its process can have died: whoever
// answers then waits for the process that goes on.
func (r *Runner) asking(ctx context.Context, run, question string) (RunRecord, runInput, Run, error) {
	soon, cancel := context.WithTimeout(ctx, askedSoon)
	defer cancel()
	record, err := r.record(ctx, run)
	if err != nil {
		return record, runInput{}, Run{}, err
	}
	in, err := readInput(record.Input)
	for err == nil {
		var view Run
		if view, _, err = replay(ctx, record, in, time.Now()); err != nil {
			break
		}
		if view.Question != nil && view.Question.ID == question {
			return record, in, view, nil
		}
		doc, unlisted := r.cfg.Store.Document(ctx, kindApproval, approvalID(run, question))
		var listed Approval
		if record.Status.Ended() || unlisted != nil || decode(doc.Data, &listed) != nil || listed.Status != "open" {
			err = fmt.Errorf("it does not ask %s any more: %s: %w", question, view.Text, ErrStale)
			break
		}
		if record, err = r.next(soon, run, record.Revision); err != nil && soon.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("it does not ask %s yet: %s; answer again in a moment: %w", question, view.Text, ErrStale)
		}
	}
	return record, in, Run{}, err
}

// wrongName returns what is wrong with the name of a person, or nil.
func wrongName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errors.New("a name is required")
	case utf8.RuneCountInString(name) > 100, !utf8.ValidString(name), strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsGraphic(c) }):
		return fmt.Errorf("%.100q is not a name: one has at most 100 characters, all of which can be seen", name)
	case samePerson(name, program):
		return fmt.Errorf("%q is the name of the program and not of a person", name)
	}
	return nil
}

// samePerson reports whether two names are of one person: upper and lower case, and how
// many spaces there are, do not matter.
func samePerson(a, b string) bool { return plainName(a) == plainName(b) }

func plainName(name string) string { return strings.ToLower(strings.Join(strings.Fields(name), " ")) }

// check returns everything that is wrong with an answer to a question, of a run with
// these steps.
func (a Answer) check(q Question, view Run, steps []StepSpec) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if a.Actor == "" {
		fail("who answers is required")
	} else if err := wrongName(a.Actor); err != nil {
		fail("who answers: %w", err)
	}
	if !slices.Contains(q.Answers, a.Kind) {
		fail("%q is none of %s", a.Kind, strings.Join(q.Answers, ", "))
	}
	if a.Comment == "" && !oneOf(a.Kind, AnswerApprove, AnswerRetry, AnswerDone) {
		fail("a comment that says why is required")
	}
	if utf8.RuneCountInString(a.Comment) > 2000 || len(a.Output) > maxOutput {
		fail("a comment has at most 2,000 characters, and an output at most 64 KiB")
	}
	if len(a.Output) > 0 && !json.Valid(a.Output) {
		fail("the output is not JSON")
	}
	if s := view.Step(a.To); a.Kind == AnswerBack && (s == nil || s.State == StepPending) {
		fail("the run has not come to a step %q that it could go back to", a.To)
	} else if a.Kind == AnswerBack && !goesBack(steps, q.Step, a.To) {
		fail("from step %s the run cannot go back into the middle of another one, to %q; go back to the one that it is within", q.Step, a.To)
	}
	if q.Kind == "approve" && samePerson(a.Actor, q.Starter) {
		fail("who started the run does not decide about it: %w", ErrNotPermitted)
	}
	if a.Kind == AnswerApprove && a.Plan != q.Plan {
		fail("what is approved is not the plan that the run has now; look at it again: %w", ErrStale)
	}
	return errors.Join(errs...)
}

// words says an answer.
func (a Answer) words() string {
	text := a.Kind
	if a.To != "" {
		text += " to " + a.To
	}
	if a.Comment != "" {
		text += ": " + a.Comment
	}
	return text
}

// signal returns the answer as it is sent to the run. Of the answers to a question only
// the first counts, but for votes, of which each person has one.
func (a Answer) signal(q Question) Signal {
	s := Signal{ID: q.ID, Kind: a.Kind, Actor: a.Actor, Comment: a.Comment, Data: a.Output, At: wallTime()}
	if q.Kind == "approve" {
		s.ID += "/" + plainName(a.Actor)
	}
	if a.Kind == AnswerBack {
		s.Data = marshal(map[string]string{"to": a.To})
	}
	return s
}

// first sends an answer of which only the first counts, and looks whether it was.
func (r *Runner) first(ctx context.Context, run string, q Question, s Signal) error {
	if err := r.cfg.Runs.Signal(ctx, run, q.ID, s); err != nil {
		return fmt.Errorf("incident: answer run %s: %w", run, err)
	}
	look, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	revision := int64(-1)
	for {
		record, err := r.cfg.Runs.Record(look, run, revision)
		if err != nil {
			return nil // nobody carries it out now; the answer is kept
		}
		for _, e := range record.Entries {
			if e.Signal == nil || e.Signal.ID != s.ID {
				continue
			}
			if e.Signal.Actor != s.Actor || e.Signal.Kind != s.Kind {
				return fmt.Errorf("incident: answer run %s: %s was first, with %s: %w", run, e.Signal.Actor, e.Signal.Kind, ErrStale)
			}
			return nil
		}
		if record.Status.Ended() {
			return nil
		}
		revision = record.Revision
	}
}

// mayApprove asks whether somebody may.
func (r *Runner) mayApprove(ctx context.Context, actor string, a Approval) error {
	if r.cfg.Approvals == nil {
		return nil
	}
	if err := r.cfg.Approvals.MayApprove(ctx, actor, a); err != nil {
		return fmt.Errorf("%s may not approve this: %w", actor, err)
	}
	return nil
}

// approvalID returns the id of the document of a question.
func approvalID(run, question string) string {
	return "approval-" + digestOf(run, question)
}

// asked keeps a question that people approve, where it can be found without the run. If
// that cannot be done the run asks all the same: it has the question in its record, and
// the first vote makes up for it.
func (r *Runner) asked(ctx context.Context, start RunStart, in runInput, q Question) {
	if q.Kind != "approve" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	a := Approval{ID: approvalID(start.ID, q.ID), Question: q, Playbook: in.Playbook, Environment: in.Environment, Incident: in.Incident, Status: "open"}
	_, err := r.editApproval(ctx, a.ID, func(old *Approval) ([]Entry, error) {
		a.Question.Votes = old.Question.Votes // asked again after a crash
		*old = a
		return nil, nil
	})
	if err != nil {
		r.cfg.Logger.WarnContext(ctx, "a question to people is not listed; the run shows it", "run", start.ID, "question", q.ID, "error", err)
	}
}

// decided closes the approval of a question.
func (r *Runner) decided(ctx context.Context, start RunStart, q Question, last Signal) {
	status := "approved"
	if last.Expired {
		status = "expired"
	} else if last.Kind != AnswerApprove {
		status = "denied"
	}
	if q.Kind == "approve" {
		r.closeApproval(ctx, start.ID, q, status)
	}
}

// closeApproval closes the approval of a question of a run. If that cannot be done,
// Reconcile does it later.
func (r *Runner) closeApproval(ctx context.Context, run string, q Question, status string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := r.editApproval(ctx, approvalID(run, q.ID), func(a *Approval) ([]Entry, error) {
		if a.ID == "" {
			return nil, ErrNotFound // it could not be kept when it was asked
		}
		a.Question.Votes, a.Closed, a.Status = q.Votes, wallTime(), status
		return nil, nil
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		r.cfg.Logger.WarnContext(ctx, "an approval that was decided is still listed as open", "run", run, "question", q.ID, "error", err)
	}
}

// castVote records a vote on what was asked, unless that is closed or the person has
// voted already.
func (r *Runner) castVote(ctx context.Context, asked Approval, s Signal, entry Entry) error {
	_, err := r.editApproval(ctx, asked.ID, func(a *Approval) ([]Entry, error) {
		if a.ID == "" {
			*a = asked // which could not be kept when it was asked
		}
		return a.vote(s, entry)
	})
	return err
}

// vote adds a vote, and returns the entry about it. The same again counts once.
func (a *Approval) vote(s Signal, entry Entry) ([]Entry, error) {
	if a.Status != "open" {
		return nil, fmt.Errorf("it is %s already: %w", a.Status, ErrStale)
	}
	i := slices.IndexFunc(a.Question.Votes, func(v Signal) bool { return samePerson(v.Actor, s.Actor) })
	switch {
	case i < 0:
		a.Question.Votes = append(a.Question.Votes, s)
		return []Entry{entry}, nil
	case a.Question.Votes[i].Kind != s.Kind:
		return nil, fmt.Errorf("%s has said %s already: %w", s.Actor, a.Question.Votes[i].Kind, ErrStale)
	}
	return nil, nil
}

// editApproval changes an approval. One that there is not yet is made.
func (r *Runner) editApproval(ctx context.Context, id string, edit func(a *Approval) ([]Entry, error)) (Approval, error) {
	var a Approval
	err := editDocument(ctx, r.cfg.Store, kindApproval, id, func(doc Document) (Document, []Entry, error) {
		a = Approval{}
		if doc.Version > 0 {
			if err := decode(doc.Data, &a); err != nil {
				return doc, nil, err
			}
		}
		entries, err := edit(&a)
		doc.Key, doc.Open, doc.Data = id, a.Closed.IsZero(), marshal(a)
		return doc, entries, err
	})
	return a, err
}

// Approvals returns the approvals that are open, those of runs and suggestions, the
// oldest first.
func (r *Runner) Approvals(ctx context.Context) ([]Approval, error) {
	var all []Approval
	for doc, err := range r.cfg.Store.Documents(ctx, DocumentQuery{Kind: kindApproval, Open: true}) {
		if err != nil {
			return nil, fmt.Errorf("incident: approvals: %w", err)
		}
		var a Approval
		if err := decode(doc.Data, &a); err != nil {
			return nil, err
		}
		if a.Status == "open" {
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, func(a, b Approval) int { return a.Question.Asked.Compare(b.Question.Asked) })
	return all, nil
}

// Suggest asks people whether a run is to be started, and shows them the plan of it. It
// starts when enough have approved, within a time; zero means 1 and 30 minutes. A
// suggestion with the ID of one that there is is that one.
func (r *Runner) Suggest(ctx context.Context, q Request, approvers int, within time.Duration) (Approval, error) {
	if approvers < 0 || approvers > 20 || within < 0 {
		return Approval{}, fmt.Errorf("incident: suggest %s in %s: %d approvers within %v: from 1 to 20 are possible, and no negative time", q.Playbook, q.Environment, approvers, within)
	}
	q.ID = or(q.ID, newRunID())
	id, now := approvalID(q.ID, "start"), wallTime()
	if there, err := r.approvalOf(ctx, id); err == nil {
		return there, nil
	} else if !errors.Is(err, ErrNotFound) {
		return Approval{}, fmt.Errorf("incident: suggest %s in %s: %w", q.Playbook, q.Environment, err)
	}
	plan, err := r.Plan(ctx, q)
	if err != nil {
		return Approval{}, err
	}
	question := Question{
		ID: "start", Kind: "approve", Title: fmt.Sprintf("Start %s in %s?", plan.Run.Title, q.Environment), Text: plan.Run.Text,
		Answers: []string{AnswerApprove, AnswerDeny}, Asked: now, Deadline: now.Add(or(within, 30*time.Minute)), Min: or(approvers, 1),
		Starter: q.By, Plan: plan.Hash, Effects: plan.effects(),
	}
	if len(plan.Problems) > 0 {
		question.Text += "\n\n" + storeText(strings.Join(plan.Problems, "\n"), maxMessage)
	}
	a, err := r.editApproval(ctx, id, func(a *Approval) ([]Entry, error) {
		if a.ID != "" {
			return nil, nil
		}
		*a = Approval{ID: id, Question: question, Playbook: q.Playbook, Environment: q.Environment, Incident: q.Incident, Start: &q, Status: "open"}
		entry := Entry{Chain: "audit", Key: id, Kind: "suggested", Actor: or(q.By, program), At: now, Text: question.Title, Data: marshal(question)}
		return []Entry{entry}, nil
	})
	if err != nil {
		return Approval{}, fmt.Errorf("incident: suggest %s in %s: %w", q.Playbook, q.Environment, err)
	}
	in, _, err := r.input(q)
	if err != nil {
		return Approval{}, err
	}
	r.emit(ctx, RunStart{ID: q.ID}, in, Event{Key: "suggested", Kind: EventAsked, At: now, Text: a.Question.Title, Question: &a.Question})
	return a, nil
}

// AnswerSuggestion answers whether a suggested run is to be started, and starts it when
// enough have approved. Errors are those of [Runner.Answer].
func (r *Runner) AnswerSuggestion(ctx context.Context, id string, answer Answer) (Approval, error) {
	fail := func(err error) (Approval, error) {
		return Approval{}, fmt.Errorf("incident: answer suggestion %s: %w", id, err)
	}
	now := wallTime()
	a, err := r.approvalOf(ctx, id)
	if err != nil {
		return fail(err)
	}
	if err := answer.check(a.Question, Run{}, nil); err != nil {
		return fail(err)
	}
	if answer.Kind == AnswerApprove {
		if err := r.mayApprove(ctx, answer.Actor, a); err != nil {
			return fail(err)
		}
	}
	s := answer.signal(a.Question)
	a, err = r.editApproval(ctx, id, func(a *Approval) ([]Entry, error) {
		if a.Status == "open" && !now.Before(a.Question.Deadline) {
			return nil, fmt.Errorf("the time to answer was over at %s: %w", a.Question.Deadline.Format(time.DateTime), ErrStale)
		}
		entry := Entry{Chain: "audit", Kind: "answered", Actor: s.Actor, At: s.At, Text: a.Question.Title + " " + answer.words(), Data: marshal(answer)}
		entries, err := a.vote(s, entry)
		switch {
		case err != nil:
			return nil, err
		case s.Kind == AnswerDeny:
			a.Status, a.Closed = "denied", now
		case len(a.Question.Votes) >= a.Question.Min:
			a.Status = "approved" // and not closed: it is started yet
		}
		return entries, nil
	})
	if err != nil {
		return fail(err)
	}
	if a.Status != "approved" {
		return a, nil
	}
	return r.startApproved(ctx, a)
}

// approvalOf reads a suggestion.
func (r *Runner) approvalOf(ctx context.Context, id string) (Approval, error) {
	doc, err := r.cfg.Store.Document(ctx, kindApproval, id)
	if err != nil {
		return Approval{}, err
	}
	var a Approval
	if err := decode(doc.Data, &a); err != nil {
		return a, err
	}
	if a.Start == nil {
		return a, fmt.Errorf("it is a question of run %s, which is answered there: %w", a.Question.Run, ErrUnsupported)
	}
	return a, nil
}

// startApproved starts the run that was approved, once, and closes the approval.
func (r *Runner) startApproved(ctx context.Context, a Approval) (Approval, error) {
	q := *a.Start
	// Who approved it last wants it now, and does not approve steps of it too.
	q.By, q.Automatic, q.Plan = a.Question.Votes[len(a.Question.Votes)-1].Actor, false, a.Question.Plan
	if _, err := r.cfg.Runs.Record(ctx, q.ID, -1); errors.Is(err, ErrNotFound) {
		if _, err := r.Start(ctx, q); err != nil {
			return a, fmt.Errorf("incident: suggestion %s is approved, and the run has not started yet: %w", a.ID, err)
		}
	} else if err != nil {
		return a, fmt.Errorf("incident: suggestion %s is approved; whether its run has started could not be read: %w", a.ID, err)
	}
	a, err := r.editApproval(ctx, a.ID, func(a *Approval) ([]Entry, error) {
		a.Closed = wallTime()
		return nil, nil
	})
	if err != nil {
		return a, fmt.Errorf("incident: suggestion %s: %w", a.ID, err)
	}
	return a, nil
}
