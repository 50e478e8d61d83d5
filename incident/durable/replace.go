package durable

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"go.acu.edu.au/runbook/incident"
)

// Replace implements [incident.RunControl], in one transaction. What a run records of its
// calls is not part of that, since DBOS writes it by itself; but nothing that has an intent,
// and no signal, gets past our row of the run, which the transaction has locked.
func (r *Runs) Replace(ctx context.Context, runs []incident.Replacement) ([]incident.RunRecord, error) {
	records, err := r.replace(ctx, runs)
	if err != nil {
		return nil, fmt.Errorf("durable: replace runs: %w", err)
	}
	return records, nil
}

func (r *Runs) replace(ctx context.Context, runs []incident.Replacement) ([]incident.RunRecord, error) {
	if err := r.replaceable(ctx, runs); err != nil {
		return nil, err
	}
	looks := make([]look, len(runs))
	for i, run := range runs {
		entries, _, err := r.entries(ctx, run.ID)
		if err != nil {
			return nil, err
		}
		looks[i] = look{run, entries}
	}
	if err := r.write(ctx, func(tx *sql.Tx) error { return r.exchange(ctx, tx, looks) }); err != nil {
		return nil, err
	}
	for _, run := range slices.Backward(runs) { // who has the lock last, so that none of them is begun
		r.dequeue(ctx, run.ID)
	}
	records := make([]incident.RunRecord, len(runs))
	for i, run := range runs {
		var err error
		if records[i], err = r.read(ctx, run.Start.ID); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// replaceable returns what keeps runs from being replaced before anything is looked at.
func (r *Runs) replaceable(ctx context.Context, runs []incident.Replacement) error {
	if err := mayWrite(ctx); err != nil {
		return err
	}
	if r.isClosing() {
		return &notBegun{errClosing}
	}
	old, added := make(map[string]bool), make(map[string]bool)
	for _, run := range runs {
		if err := run.Validate(); err != nil {
			return &notBegun{err}
		}
		if old[run.ID] || added[run.Start.ID] {
			return &notBegun{fmt.Errorf("run %q, in the place of run %q: one of them is named twice", run.Start.ID, run.ID)}
		}
		if err := r.known(run.Start.Program); err != nil {
			return err
		}
		old[run.ID], added[run.Start.ID] = true, true
	}
	return nil
}

// A look is a replacement, with what DBOS had recorded of the old run before the transaction
// began. That only grows, as our revision does: their sum is the same only if both are.
type look struct {
	incident.Replacement
	entries []incident.RunEntry
}

// exchange is the transaction of Replace. It locks the old runs in the order of their IDs,
// before all else, so that two of them at once do not wait for one another. The new ones have
// one time in the queue, which is that of the transaction, and so no order among themselves.
func (r *Runs) exchange(ctx context.Context, tx *sql.Tx, looks []look) error {
	byID := slices.SortedFunc(slices.Values(looks), func(a, b look) int { return cmp.Compare(a.ID, b.ID) })
	for _, l := range byID {
		if err := r.supersede(ctx, tx, l); err != nil {
			return fmt.Errorf("run %q: %w", l.ID, err)
		}
	}
	for _, l := range looks {
		l.Start.At = startedAt(l.Start)
		if err := r.follow(ctx, tx, l.Start); err != nil {
			return err
		}
		_, err := startOf(ctx, tx, l.Start.ID)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			err = r.insert(ctx, tx, l.Start)
		case err == nil:
			err = fmt.Errorf("%w: there is one with this ID", incident.ErrStale)
		}
		if err != nil {
			return fmt.Errorf("run %q, in the place of run %q: %w", l.Start.ID, l.ID, err)
		}
	}
	return nil
}

// supersede cancels one run, if it still is as it was looked at.
func (r *Runs) supersede(ctx context.Context, tx *sql.Tx, l look) error {
	var s state
	var revision int64
	row := tx.QueryRowContext(ctx, "UPDATE runbook_runs SET revision = revision WHERE id = $1 RETURNING "+stateColumns+", revision", l.ID)
	err := row.Scan(&s.owner, &s.status, &s.stranded, &s.ended, &s.held, &s.cancelled, &revision)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return incident.ErrNotFound
	case err != nil:
		return err
	case s.ended:
		return s.over()
	}
	same := revision+int64(len(l.entries)) == l.Revision
	if same {
		if same, err = allTaken(ctx, tx, l); err != nil {
			return err
		}
	}
	if !same {
		return fmt.Errorf("%w: it has gone on since it was looked at, or was told something", incident.ErrStale)
	}
	text, at := stamped(l.Control)
	if err := cancelRow(ctx, tx, l.ID, text, at); err != nil {
		return err
	}
	return r.tell(ctx, tx, l.ID)
}

// allTaken reports whether a run has recorded each signal that was sent to it.
func allTaken(ctx context.Context, tx *sql.Tx, l look) (all bool, err error) {
	taken := make(map[string]bool)
	for _, e := range l.entries {
		if e.Signal != nil && !e.Signal.Expired {
			taken[e.Signal.ID] = true
		}
	}
	rows, err := tx.QueryContext(ctx, "SELECT id FROM runbook_run_signals WHERE run = $1", l.ID)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return false, err
		}
		if !taken[id] {
			return false, nil
		}
	}
	return true, rows.Err()
}
