package incident

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Reconcile finishes what a crash has cut off: votes that were recorded and did not
// reach their run, and runs that were approved and did not start; and it closes
// suggestions whose time is over, and questions of runs that do not ask them any more. A
// run that was approved more than an hour ago and has not started is not started any
// more. A host calls it when it starts, and every minute or so. It goes on after an error,
// and returns all of them.
func (r *Runner) Reconcile(ctx context.Context) error {
	now := wallTime()
	return r.eachOpen(ctx, func(a Approval) error {
		if a.Start != nil {
			return r.reconcileStart(ctx, a, now)
		}
		return r.reconcileQuestion(ctx, a, now)
	})
}

// closeApprovals closes what a run had asked that has ended.
func (r *Runner) closeApprovals(ctx context.Context, run string) error {
	now := wallTime()
	return r.eachOpen(ctx, func(a Approval) error {
		if a.Start != nil || a.Question.Run != run {
			return nil
		}
		return r.reconcileQuestion(ctx, a, now)
	})
}

// eachOpen calls a func with each approval that is not closed, and returns all errors.
func (r *Runner) eachOpen(ctx context.Context, do func(a Approval) error) error {
	var errs []error
	for doc, err := range r.cfg.Store.Documents(ctx, DocumentQuery{Kind: kindApproval, Open: true}) {
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("incident: approvals: %w", err))...)
		}
		var a Approval
		if err := decode(doc.Data, &a); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, do(a))
	}
	return errors.Join(errs...)
}

// reconcileStart starts what was approved, or closes what nobody approved in time.
func (r *Runner) reconcileStart(ctx context.Context, a Approval, now time.Time) error {
	status, why := "", ""
	switch votes := a.Question.Votes; {
	case a.Status == "approved" && now.Sub(votes[len(votes)-1].At) < time.Hour:
		_, err := r.startApproved(ctx, a)
		return err
	case a.Status == "approved":
		switch _, err := r.cfg.Runs.Record(ctx, a.Start.ID, -1); {
		case err == nil:
			status = a.Status
		case !errors.Is(err, ErrNotFound):
			return fmt.Errorf("incident: suggestion %s is approved; whether its run has started could not be read: %w", a.ID, err)
		default:
			status, why = "void", " it was approved, could not be started within an hour, and is not started any more"
		}
	case !now.Before(a.Question.Deadline):
		status, why = "expired", " nobody approved it in time"
	default:
		return nil
	}
	_, err := r.editApproval(ctx, a.ID, func(a *Approval) ([]Entry, error) {
		if !a.Closed.IsZero() {
			return nil, nil // by another process
		}
		if a.Status, a.Closed = status, now; why == "" {
			return nil, nil
		}
		return []Entry{{Chain: "audit", Key: a.ID + "/" + status, Kind: status, Actor: program, At: now, Text: a.Question.Title + why}}, nil
	})
	return err
}

// reconcileQuestion sends votes to a run again, or closes what it does not ask any more.
func (r *Runner) reconcileQuestion(ctx context.Context, a Approval, now time.Time) error {
	record, err := r.cfg.Runs.Record(ctx, a.Question.Run, -1)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("incident: approval %s: %w", a.ID, err)
	}
	if status := record.answered(a.Question.ID); status != "" || err != nil || record.Status.Ended() {
		_, err := r.editApproval(ctx, a.ID, func(a *Approval) ([]Entry, error) {
			if a.Closed.IsZero() {
				a.Status, a.Closed = or(status, "void"), now
			}
			return nil, nil
		})
		return err
	}
	for _, vote := range a.Question.Votes {
		err := r.cfg.Runs.Signal(ctx, a.Question.Run, a.Question.ID, vote)
		if err != nil && !errors.Is(err, ErrStale) && !errors.Is(err, ErrNotFound) { // it has ended since
			return fmt.Errorf("incident: approval %s: %w", a.ID, err)
		}
	}
	return nil
}

// answered returns how a question of the run ended, empty if it has not.
func (r RunRecord) answered(question string) string {
	status := ""
	for _, e := range r.Entries {
		switch {
		case e.Signal != nil && belongs(e.ID, question+"/answer"):
			status = "denied"
			if e.Signal.Expired {
				status = "expired"
			} else if e.Signal.Kind == AnswerApprove {
				status = "approved"
			}
		case string(e.ID) == question+"/decided":
			return status
		}
	}
	return ""
}
