package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"go.acu.edu.au/runbook/incident"
)

var _ incident.RunForgetter = (*Runs)(nil)

// Forget implements [incident.RunForgetter]. What DBOS has of the run goes first: after a
// crash between the two it is still known that there was one, and it is forgotten the next
// time.
func (r *Runs) Forget(ctx context.Context, id string) error {
	if err := r.forget(ctx, id); err != nil {
		return fmt.Errorf("durable: forget run %q: %w", id, err)
	}
	return nil
}

func (r *Runs) forget(ctx context.Context, id string) error {
	if err := mayWrite(ctx); err != nil {
		return err
	}
	var ended int64
	err := r.db.QueryRowContext(plain{ctx}, "SELECT ended FROM runbook_runs WHERE id = $1", id).Scan(&ended)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case ended == 0:
		return fmt.Errorf("%w: it has not ended", incident.ErrBusy)
	}
	if err := dbos.DeleteWorkflows(r.client(ctx), []string{id}); err != nil {
		return err
	}
	err = r.write(ctx, func(tx *sql.Tx) error {
		for _, of := range []string{"runbook_run_labels WHERE run", "runbook_run_attempts WHERE run", "runbook_run_waits WHERE run", "runbook_run_signals WHERE run", "runbook_runs WHERE id"} {
			if _, err := tx.ExecContext(plain{ctx}, "DELETE FROM "+of+" = $1", id); err != nil { //nolint:gosec // they are ours
				return err
			}
		}
		return nil
	})
	if err == nil {
		r.changed(id)
	}
	return err
}
