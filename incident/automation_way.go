package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Way is what [Runner.MakeWay] did for a run that is urgent.
type Way struct {
	// Urgent is the most severe of the runs that wait for the lock. Its ID is empty if none
	// waits.
	Urgent Run
	// Aside are the runs that were put aside for it, as they were, and Again, one for each in
	// the same order, are the runs in their place, which begin after it.
	Aside, Again []Run
	// Holder is the run that still has the lock, and why it keeps it, in Why. Its ID is
	// empty if none has it.
	Holder Run
	Why    string
}

// MakeWay lets the most severe of the runs that wait for a lock begin sooner. A run has
// its lock until it has ended, also while it waits for a person, so that a question of a
// low one would keep a critical one from beginning. Those before it that are less severe
// are put aside, if nothing is lost by that: a run that has not begun, or that waits for a
// person, has changed nothing, and was told nothing by a person. It is cancelled, and the
// same is started anew behind the urgent one, by whoever started it: it looks again, and
// asks again if there still is something to ask.
//
// What has changed something keeps its lock: people have to answer it, and Way says which
// run that is. Runs that were forked, or that a person has paused, stay as well.
//
// Runs are put aside by [RunControl.Replace], all at once, if they still are as they were
// looked at: one that goes on meanwhile, or is answered, stays. So a run is neither lost nor
// there twice, at whatever point this process dies, or stands still for however long.
//
// A host calls it when a run was started that may be urgent, when a run has asked something,
// when the host starts, and every minute or so, since others start runs too. The lock is
// that of the playbooks: see [Playbook].
func (r *Runner) MakeWay(ctx context.Context, lock string) (way Way, err error) {
	for range 3 { // what has gone on meanwhile is looked at again
		if way, err = r.makeWay(ctx, lock); !errors.Is(err, ErrStale) {
			break
		}
	}
	if err != nil {
		return Way{}, fmt.Errorf("incident: make way for who waits for %s: %w", lock, err)
	}
	return way, nil
}

func (r *Runner) makeWay(ctx context.Context, lock string) (Way, error) {
	runs, err := r.lined(ctx, lock)
	if err != nil {
		return Way{}, err
	}
	urgent := -1
	for i, run := range runs {
		// One that cannot be read has no severity, and one that is paused would begin nothing.
		if run.State == StateQueued && run.Severity != 0 && run.Held == nil && (urgent < 0 || run.Severity < runs[urgent].Severity) {
			urgent = i
		}
	}
	if urgent < 0 {
		return Way{}, nil
	}
	way := Way{Urgent: runs[urgent]}
	var moves []Replacement
	for i, run := range runs {
		if i == urgent || i > urgent && run.State == StateQueued {
			continue // who has the lock may have been started a moment after the urgent one
		}
		why := stays(run, way.Urgent)
		if why == "" {
			var move Replacement
			if move, why, err = r.move(ctx, run.ID, way.Urgent); err != nil {
				return Way{}, err
			}
			if why == "" {
				moves, way.Aside = append(moves, move), append(way.Aside, run)
			}
		}
		if run.State != StateQueued && why != "" {
			way.Holder, way.Why = run, why
		}
	}
	if len(moves) > 0 {
		way.Again, err = r.putAside(ctx, moves)
	}
	return way, err
}

// lined returns the runs that have a lock or wait for it, in the order of their turns. One
// that this program cannot read is among them: it has changed nobody knows what.
func (r *Runner) lined(ctx context.Context, lock string) ([]Run, error) {
	var all []Run
	query := RunQuery{Lock: lock, Statuses: []RunStatus{RunQueued, RunRunning, RunStranded}, Limit: 1000}
	for run, err := range r.Runs(ctx, query) {
		if err != nil {
			return nil, err
		}
		all = append(all, run)
	}
	slices.Reverse(all)
	return all, nil
}

// stays says why a run cannot be put aside for another one; empty if it can.
func stays(run, urgent Run) string {
	switch {
	case run.Severity <= urgent.Severity:
		return "it is as severe"
	case run.Fork != "":
		return "it was forked, and has taken over what was done"
	case run.Held != nil:
		return fmt.Sprintf("%s has paused it", run.Held.By)
	case run.Began.IsZero():
		return ""
	case run.Question == nil:
		return "it does something"
	}
	for i := range run.Steps {
		if what := lost(run.Steps[i]); what != "" {
			return what
		}
	}
	return ""
}

// lost says what would be lost of a step if its run were begun anew; empty if nothing.
func lost(s StepRun) string {
	switch {
	case s.By != "": // also if it was left out, or is to be made again
		return fmt.Sprintf("a person has decided about its step %s", s.ID)
	case !oneOf(s.Kind, KindAction, KindManual, KindApprove), oneOf(s.State, StepPending, StepSkipped, StepWaiting):
		return ""
	case s.State == StepFailed && s.Code == codeHeld: // it was not tried
		return ""
	case s.Kind == KindAction:
		return fmt.Sprintf("it may have changed something (step %s is %s)", s.ID, s.State)
	}
	return fmt.Sprintf("a person has decided about its step %s", s.ID)
}

// againID returns the ID of the run that begins in the place of another one.
func againID(run string) string { return "again-" + digestOf(run) }

// move looks at a run for the last time, and returns how it is put aside; or why it stays.
func (r *Runner) move(ctx context.Context, id string, urgent Run) (m Replacement, why string, err error) {
	record, err := r.record(ctx, id)
	if err != nil {
		return m, "", fmt.Errorf("run %s: %w", id, err)
	}
	run, err := r.view(ctx, record)
	if err != nil {
		return m, "", fmt.Errorf("run %s: %w", id, err)
	}
	if why = stays(run, urgent); why == "" && (len(record.Open) > 0 || record.Status.Ended()) {
		why = "it has gone on in this moment"
	}
	if why == "" {
		why, err = r.answeredPart(ctx, record, run.Question)
	}
	if why != "" || err != nil {
		return m, why, err
	}
	m = Replacement{ID: id, Revision: record.Revision, Control: Control{By: program, At: wallTime()}}
	if m.Start, err = r.again(record); err != nil {
		return m, fmt.Sprintf("it could not begin again: %v", err), nil
	}
	m.Control.Reason = fmt.Sprintf("put aside for %s of %s (run %s), which is more severe; it begins again after it, as run %s", urgent.Title, urgent.Environment, urgent.ID, m.Start.ID)
	return m, "", nil
}

// again returns the run that begins in the place of another one, as that was asked for.
func (r *Runner) again(record RunRecord) (RunStart, error) {
	in, err := readInput(record.Input)
	if err != nil {
		return RunStart{}, err
	}
	q := Request{
		ID: againID(record.ID), Environment: in.Environment, Playbook: in.Playbook, Parameters: in.Parameters, Incident: in.Incident,
		Automatic: in.Automatic, Plan: in.Plan, Only: in.Only,
	}
	if !in.Automatic {
		q.By = record.By
	}
	return r.starting(q)
}

// putAside cancels runs, starts the same anew, and says so.
func (r *Runner) putAside(ctx context.Context, moves []Replacement) (again []Run, err error) {
	for _, m := range moves {
		text := fmt.Sprintf("run %s is to be %s", m.ID, m.Control.Reason)
		if err := r.audit(ctx, Entry{Key: keyOf("run put aside/" + m.ID + "/" + digestOf(text)), Kind: "run put aside", Actor: program, Text: text}); err != nil {
			return nil, err
		}
	}
	records, err := r.cfg.Runs.Replace(ctx, moves)
	if err != nil {
		return nil, err
	}
	for i, m := range moves {
		run, err := r.view(ctx, records[i])
		if err != nil {
			return again, fmt.Errorf("run %s is put aside, and begins again as run %s, which cannot be shown here: %w", m.ID, m.Start.ID, err)
		}
		again = append(again, run)
		if in, err := readInput(m.Start.Input); err == nil { // which is as that of the other one
			r.emit(ctx, RunStart{ID: m.ID}, in, Event{Key: "aside", Kind: EventControl, Text: fmt.Sprintf("run %s is %s", m.ID, m.Control.Reason)})
		}
		if err := r.closeApprovals(ctx, m.ID); err != nil {
			r.cfg.Logger.WarnContext(ctx, "what a run had asked that was put aside is still listed, until Reconcile", "run", m.ID, "error", err)
		}
	}
	return again, nil
}

// answeredPart says that somebody has answered a question, if they have: a vote of several,
// or one that is not sent to the run yet. What is sent is seen by [RunControl.Replace].
func (r *Runner) answeredPart(ctx context.Context, record RunRecord, q *Question) (string, error) {
	const answered = "somebody has answered its question, or a part of it"
	if q == nil {
		return "", nil
	}
	for _, e := range record.Entries {
		if e.Signal != nil && (e.Signal.ID == q.ID || strings.HasPrefix(e.Signal.ID, q.ID+"/")) {
			return answered, nil
		}
	}
	if q.Kind != "approve" {
		return "", nil
	}
	doc, err := r.cfg.Store.Document(ctx, kindApproval, approvalID(record.ID, q.ID))
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	var a Approval
	if err == nil {
		err = decode(doc.Data, &a)
	}
	if err != nil {
		return "", fmt.Errorf("whether somebody has answered run %s cannot be read: %w", record.ID, err)
	}
	if len(a.Question.Votes) > 0 {
		return answered, nil
	}
	return "", nil
}
