package durable

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"go.acu.edu.au/runbook/incident"
)

// stamped gives a control its time, and makes it text.
func stamped(c incident.Control) (string, time.Time) {
	if c.At.IsZero() {
		c.At = time.Now()
	}
	c.At = c.At.UTC().Truncate(time.Microsecond)
	text, _ := json.Marshal(c) // strings and a time
	return string(text), c.At
}

// Hold implements [incident.RunControl].
func (r *Runs) Hold(ctx context.Context, id string, c incident.Control) error {
	text, _ := stamped(c)
	return r.control(ctx, "hold", id, func(tx *sql.Tx, s state) error {
		if s.ended {
			return s.over()
		}
		_, err := tx.ExecContext(ctx, "UPDATE runbook_runs SET held = $2, revision = revision + 1 WHERE id = $1 AND held IS NULL", id, text)
		return err
	})
}

// Release implements [incident.RunControl]. It also lets a run be tried again that is
// stranded because processes died with it.
func (r *Runs) Release(ctx context.Context, id string, _ incident.Control) error {
	return r.control(ctx, "release", id, func(tx *sql.Tx, _ state) error {
		_, err := tx.ExecContext(ctx, `UPDATE runbook_runs SET held = NULL, stranded = '', crashes = 0, revision = revision + 1
			WHERE id = $1 AND ended = 0 AND (held IS NOT NULL OR stranded <> '')`, id)
		return err
	})
}

// Cancel implements [incident.RunControl]. The context of a call in another process ends
// within about a second.
func (r *Runs) Cancel(ctx context.Context, id string, c incident.Control) error {
	text, at := stamped(c)
	err := r.control(ctx, "cancel", id, func(tx *sql.Tx, s state) error {
		switch {
		case s.cancelled:
			return nil
		case s.ended:
			return s.over()
		}
		return cancelRow(ctx, tx, id, text, at)
	})
	if err != nil {
		return err
	}
	r.dequeue(ctx, id)
	return nil
}

// cancelRow cancels a run.
func cancelRow(ctx context.Context, tx *sql.Tx, id, control string, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE runbook_runs SET cancelled = $2, held = NULL, stranded = '', ended = $3, status = $4, revision = revision + 1
		WHERE id = $1`, id, control, micros(at), string(incident.RunCancelled))
	return err
}

// dequeue lets DBOS know that a run is cancelled. Whoever has it, or takes it, sees to that
// if this fails; it is done here so that the next one gets the lock at once.
func (r *Runs) dequeue(ctx context.Context, id string) {
	if err := dbos.CancelWorkflow(r.client(ctx), id); err != nil && ctx.Err() == nil {
		r.cfg.Logger.WarnContext(ctx, "a run that was cancelled keeps its place in the queue until its process lets it go", "run", id, "error", err)
	}
	r.changed(id)
}

// state is how far a run is, as far as it matters to who changes it.
type state struct {
	owner, status, stranded string
	ended, held, cancelled  bool
}

func (s state) over() error {
	return fmt.Errorf("%w: it is %s", incident.ErrStale, s.status)
}

const stateColumns = "owner, status, stranded, ended <> 0, held IS NOT NULL, cancelled IS NOT NULL"

func (s *state) scan(row interface{ Scan(...any) error }) error {
	return row.Scan(&s.owner, &s.status, &s.stranded, &s.ended, &s.held, &s.cancelled)
}

// control changes a run, locked, and lets everybody know.
func (r *Runs) control(ctx context.Context, what, id string, fn func(tx *sql.Tx, s state) error) error {
	err := mayWrite(ctx)
	if err == nil {
		err = r.write(ctx, func(tx *sql.Tx) error {
			var s state
			err := s.scan(tx.QueryRowContext(ctx, "UPDATE runbook_runs SET revision = revision WHERE id = $1 RETURNING "+stateColumns, id))
			if errors.Is(err, sql.ErrNoRows) {
				return incident.ErrNotFound
			}
			if err == nil {
				err = fn(tx, s)
			}
			if err == nil {
				err = r.tell(ctx, tx, id)
			}
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("durable: %s run %q: %w", what, id, err)
	}
	r.changed(id)
	return nil
}

// Fork implements [incident.RunControl]. The new run copies what it takes over into its
// own record when it begins. A call that was under way when the run was cancelled is one
// of its calls.
func (r *Runs) Fork(ctx context.Context, id string, from incident.StepID, fork incident.RunFork) (incident.RunRecord, error) {
	record, err := r.fork(ctx, id, from, fork)
	if err != nil {
		return incident.RunRecord{}, fmt.Errorf("durable: fork run %q from %q: %w", id, from, err)
	}
	return record, nil
}

func (r *Runs) fork(ctx context.Context, id string, from incident.StepID, fork incident.RunFork) (incident.RunRecord, error) {
	if err := mayWrite(ctx); err != nil {
		return incident.RunRecord{}, err
	}
	old, err := r.read(ctx, id)
	if err != nil {
		return old, err
	}
	if !old.Status.Ended() {
		return old, fmt.Errorf("%w: it is %s; cancel it, or wait for its end", incident.ErrBusy, old.Status)
	}
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		if _, err = r.forkPoint(ctx, id, from); err == nil {
			break
		}
		// The process that had a cancelled run may be about to write what it was doing.
		if !errors.Is(err, incident.ErrNotFound) || old.Cancelled == nil || time.Since(old.Ended) > 5*time.Second || wait > time.Second {
			return old, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return old, &notBegun{ctx.Err()}
		}
	}
	run := old.RunStart
	run.ID, run.By, run.At, run.Fork, run.ForkStep, run.Refuse = fork.ID, fork.By, time.Time{}, id, from, false
	run.Reason = fork.Reason
	if fork.Input != nil {
		run.Input = fork.Input
	}
	return r.start(ctx, run, []error{run.Validate()})
}

// forkPoint returns the number of the first call that is not taken over.
func (r *Runs) forkPoint(ctx context.Context, id string, from incident.StepID) (int, error) {
	steps, err := dbos.GetWorkflowSteps(r.client(ctx), id, dbos.WithStepsLoadOutput(false))
	if err != nil {
		return 0, err
	}
	for _, s := range steps {
		if s.StepName == string(from) {
			return s.StepID, nil
		}
	}
	// It may be one that has no outcome: it was under way when the run was cancelled, or
	// when its process died.
	var text string
	if err := r.db.QueryRowContext(plain{ctx}, "SELECT current FROM runbook_runs WHERE id = $1", id).Scan(&text); err != nil {
		return 0, err
	}
	var current map[incident.StepID]int
	if text != "" && json.Unmarshal([]byte(text), &current) == nil {
		if number, ok := current[from]; ok {
			return number, nil
		}
	}
	var number sql.NullInt64
	err = r.db.QueryRowContext(plain{ctx}, `SELECT max(call) FROM (SELECT call FROM runbook_run_attempts WHERE run = $1 AND step = $2
		UNION ALL SELECT call FROM runbook_run_waits WHERE run = $1 AND step = $2) AS begun`, id, string(from)).Scan(&number)
	if err != nil {
		return 0, err
	}
	if !number.Valid {
		return 0, fmt.Errorf("%w: it made no such call", incident.ErrNotFound)
	}
	return int(number.Int64), nil
}

// seeds returns what a run that was forked takes over.
func (r *Runs) seeds(ctx context.Context, run incident.RunStart) (map[incident.StepID]incident.RunEntry, error) {
	if run.Fork == "" {
		return nil, nil
	}
	number, err := r.forkPoint(ctx, run.Fork, run.ForkStep)
	if err != nil {
		return nil, err
	}
	entries, numbers, err := r.entries(ctx, run.Fork)
	if err != nil {
		return nil, err
	}
	seeds := make(map[incident.StepID]incident.RunEntry)
	for i, e := range entries {
		if numbers[i] < number {
			seeds[e.ID] = e
		}
	}
	return seeds, nil
}
