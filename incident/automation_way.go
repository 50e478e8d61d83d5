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
	// Aside are the runs that were put aside for it, as they were, and Again are the runs in
	// their place, which begin after it, in the same order.
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
// asks again if there still is something to ask. An answer that is given in that very
// moment is not taken.
//
// What has changed something keeps its lock: people have to answer it, and Way says which
// run that is. Runs that were forked, or that a person has paused, stay as well.
//
// A run is held before it is looked at for the last time, so that it begins nothing in
// between, in whatever process it is. What this could not bring to its end, since the
// process ended or an answer was lost, the next call does. A host calls it when a run was
// started that may be urgent, when a run has asked something, when the host starts, and
// every minute or so, since others start runs too. The lock is that of the playbooks: see [Playbook].
func (r *Runner) MakeWay(ctx context.Context, lock string) (Way, error) {
	fail := func(err error) (Way, error) {
		return Way{}, fmt.Errorf("incident: make way for who waits for %s: %w", lock, err)
	}
	runs, err := r.lined(ctx, lock)
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithTimeout(ctx, settleAfter/2) // then it is left to the next call
	defer cancel()
	for _, run := range runs { // which were begun to be put aside before
		if err := r.settleAside(ctx, run); err != nil {
			return fail(err)
		}
	}
	if runs, err = r.lined(ctx, lock); err != nil {
		return fail(err)
	}
	if slices.ContainsFunc(runs, asideBy) {
		return Way{}, nil // another call is about it just now
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
	var held []RunRecord
	for i, run := range runs {
		if i == urgent || i > urgent && run.State == StateQueued {
			continue // who has the lock may have been started a moment after the urgent one
		}
		why := stays(run, way.Urgent)
		if why == "" {
			var record RunRecord
			if record, why, err = r.holdAside(ctx, run, way.Urgent); err != nil {
				return fail(errors.Join(err, r.release(ctx, held)))
			}
			if why == "" {
				held, way.Aside = append(held, record), append(way.Aside, run)
			}
		}
		if run.State != StateQueued && why != "" {
			way.Holder, way.Why = run, why
		}
	}
	for i, record := range held {
		again, err := r.startAgain(ctx, record)
		if err != nil {
			return fail(errors.Join(err, r.release(ctx, held[i+1:])))
		}
		way.Again = append(way.Again, again)
	}
	for _, record := range held {
		if err := r.endAside(ctx, record); err != nil {
			return fail(err)
		}
	}
	return way, nil
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
	case run.Held != nil && !asideBy(run):
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

// asideReason is what the reason begins with for which a run is held that is put aside.
const asideReason = "put aside for "

// asideBy reports whether a run is held since it is being put aside.
func asideBy(run Run) bool {
	return run.Held != nil && run.Held.By == program && strings.HasPrefix(run.Held.Reason, asideReason)
}

// againID returns the ID of the run that begins in the place of another one.
func againID(run string) string { return "again-" + digestOf(run) }

// holdAside holds a run that is to be put aside. If it has gone on meanwhile it goes on, and
// why says so.
func (r *Runner) holdAside(ctx context.Context, run, urgent Run) (record RunRecord, why string, err error) {
	c := Control{By: program, At: wallTime()}
	c.Reason = fmt.Sprintf("%s%s of %s (run %s), which is more severe; it begins again after it, as run %s", asideReason, urgent.Title, urgent.Environment, urgent.ID, againID(run.ID))
	if err := r.audit(ctx, Entry{Key: "run put aside/" + run.ID + "/" + urgent.ID, Kind: "run put aside", Actor: program, Text: fmt.Sprintf("run %s is to be %s", run.ID, c.Reason)}); err != nil {
		return record, "", err
	}
	const gone = "it has gone on in this moment"
	if err := r.cfg.Runs.Hold(ctx, run.ID, c); errors.Is(err, ErrStale) {
		return record, gone, nil // it has ended
	} else if err != nil {
		return record, "", fmt.Errorf("hold run %s: %w", run.ID, err)
	}
	if record, err = r.record(ctx, run.ID); err == nil {
		var now Run
		if now, err = r.view(ctx, record); err == nil {
			if why = stays(now, urgent); why == "" && (len(record.Open) > 0 || !sameQuestion(run, now)) {
				why = gone
			}
		}
	}
	if err == nil && why == "" {
		why, err = r.answeredPart(ctx, record, run.Question)
	}
	if h := record.Held; err == nil && (h == nil || h.By != c.By || h.Reason != c.Reason || !h.At.Equal(c.At)) {
		// A person has paused it, or another call is about it: that is not released here.
		return record, or(why, "it is put aside by another process just now"), nil
	}
	if err != nil || why != "" {
		return record, why, errors.Join(err, r.release(ctx, []RunRecord{{RunStart: RunStart{ID: run.ID}}}))
	}
	return record, "", nil
}

// answeredPart says that somebody has answered a question, if they have: a vote of several,
// or an answer that has not reached the run yet.
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

// sameQuestion reports whether a run still asks what it did, or has still not begun.
func sameQuestion(before, now Run) bool {
	if before.Question == nil || now.Question == nil {
		return before.Question == nil && now.Question == nil && now.Began.IsZero()
	}
	return before.Question.ID == now.Question.ID
}

// startAgain starts a run anew that is held, as it was asked for. If that has failed for
// certain the held one goes on; if nobody knows, it stays held, and the next call settles it.
func (r *Runner) startAgain(ctx context.Context, record RunRecord) (Run, error) {
	in, err := readInput(record.Input)
	if err != nil {
		return Run{}, errors.Join(fmt.Errorf("run %s: %w", record.ID, err), r.release(ctx, []RunRecord{record}))
	}
	q := Request{
		ID: againID(record.ID), Environment: in.Environment, Playbook: in.Playbook, Parameters: in.Parameters, Incident: in.Incident,
		Automatic: in.Automatic, Plan: in.Plan, Only: in.Only,
	}
	if !in.Automatic {
		q.By = record.By
	}
	again, err := r.Start(ctx, q)
	if err != nil {
		if _, missing := r.cfg.Runs.Record(ctx, q.ID, -1); errors.Is(missing, ErrNotFound) {
			err = errors.Join(err, r.release(ctx, []RunRecord{record}))
		}
	}
	return again, err
}

// endAside cancels a run in whose place another one was started.
func (r *Runner) endAside(ctx context.Context, record RunRecord) error {
	c := *record.Held
	if err := r.cfg.Runs.Cancel(ctx, record.ID, c); err != nil && !errors.Is(err, ErrStale) {
		return fmt.Errorf("run %s is held, and begins again as run %s; it could not be cancelled, which is tried again: %w", record.ID, againID(record.ID), err)
	}
	if in, err := readInput(record.Input); err == nil {
		r.emit(ctx, record.RunStart, in, Event{Key: "aside", Kind: EventControl, Text: fmt.Sprintf("run %s is %s", record.ID, c.Reason)})
	}
	if err := r.closeApprovals(ctx, record.ID); err != nil {
		r.cfg.Logger.WarnContext(ctx, "what a run had asked that was put aside is still listed, until Reconcile", "run", record.ID, "error", err)
	}
	return nil
}

// release lets runs go on that are not put aside.
func (r *Runner) release(ctx context.Context, runs []RunRecord) error {
	var errs []error
	for _, run := range runs {
		err := r.cfg.Runs.Release(context.WithoutCancel(ctx), run.ID, Control{By: program, Reason: "it is not put aside", At: wallTime()})
		if err != nil && !errors.Is(err, ErrStale) {
			errs = append(errs, fmt.Errorf("let run %s go on: %w", run.ID, err))
		}
	}
	return errors.Join(errs...)
}

// settleAside brings to its end what another call has begun: a run in whose place another
// one was started is cancelled, and else it goes on.
func (r *Runner) settleAside(ctx context.Context, run Run) error {
	if !asideBy(run) {
		return nil
	}
	record, err := r.record(ctx, run.ID)
	if err != nil {
		return err
	}
	_, err = r.cfg.Runs.Record(ctx, againID(run.ID), -1)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return fmt.Errorf("run %s: %w", againID(run.ID), err)
	case record.Held == nil || record.Status.Ended(): // another one was faster
		return nil
	case wallTime().Sub(record.Held.At) < settleAfter: // that is left to the call that holds it
		return nil
	case err != nil:
		return r.release(ctx, []RunRecord{record})
	}
	return r.endAside(ctx, record)
}
