package durable

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// maxOutput is how large what is recorded of a call may be.
const maxOutput = 64 << 10

// notBegun marks an error of a call that certainly changed nothing.
type notBegun struct{ error }

func (e *notBegun) Unwrap() error     { return e.error }
func (e *notBegun) SafeToRetry() bool { return true }

// mayWrite returns why nothing may be changed: the context is read-only, or has ended.
func mayWrite(ctx context.Context) error {
	err := ctx.Err()
	if runbook.IsReadOnly(ctx) {
		err = runbook.ErrReadOnly
	}
	if err == nil {
		return nil
	}
	return &notBegun{err}
}

// Start implements [incident.Runs]. A run that is not given its At has the time of the
// call; which At it has does not matter for whether it is the same as another one.
func (r *Runs) Start(ctx context.Context, run incident.RunStart) (incident.RunRecord, error) {
	problems := []error{run.Validate()}
	if run.Fork != "" || run.ForkStep != "" || run.Reason != "" {
		problems = append(problems, errors.New("it says that it was forked; use Fork"))
	}
	record, err := r.start(ctx, run, problems)
	if err != nil {
		return incident.RunRecord{}, fmt.Errorf("durable: start run %q: %w", run.ID, err)
	}
	return record, nil
}

// start records a run and queues it, in one transaction, unless it is there.
func (r *Runs) start(ctx context.Context, run incident.RunStart, problems []error) (incident.RunRecord, error) {
	if err := mayWrite(ctx); err != nil {
		return incident.RunRecord{}, err
	}
	switch err := errors.Join(problems...); {
	case err != nil:
		return incident.RunRecord{}, &notBegun{err}
	case r.isClosing():
		return incident.RunRecord{}, &notBegun{errClosing}
	}
	run.At = startedAt(run)
	err := r.write(ctx, func(tx *sql.Tx) error { return r.enqueue(ctx, tx, run) })
	if err != nil {
		return incident.RunRecord{}, err
	}
	return r.read(ctx, run.ID)
}

// startedAt is when a run was started, as it is kept.
func startedAt(run incident.RunStart) time.Time {
	if run.At.IsZero() {
		run.At = time.Now()
	}
	return run.At.UTC().Truncate(time.Microsecond)
}

// known returns why a program cannot be carried out here, as far as that is known yet.
func (r *Runs) known(program string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.programs == nil || r.programs[program] != nil {
		return nil
	}
	return &notBegun{fmt.Errorf("there is no program %q; give it to Launch", program)}
}

// follow lets those who start runs with one ID, or one lock, follow one another.
func (r *Runs) follow(ctx context.Context, tx *sql.Tx, run incident.RunStart) error {
	if r.pool == nil {
		return nil // there is one who writes
	}
	keys := []string{"run/" + run.ID}
	if run.Lock != "" {
		keys = append(keys, "lock/"+run.Lock)
	}
	for _, key := range keys {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", lockKey(key)); err != nil {
			return err
		}
	}
	return nil
}

// enqueue is the transaction of start.
func (r *Runs) enqueue(ctx context.Context, tx *sql.Tx, run incident.RunStart) error {
	if err := r.follow(ctx, tx, run); err != nil {
		return err
	}
	if there, err := startOf(ctx, tx, run.ID); err == nil {
		if !sameStart(there, run) {
			return fmt.Errorf("%w: there is another run with this ID; choose a new one", incident.ErrStale)
		}
		return nil
	} else if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err := r.known(run.Program); err != nil {
		return err
	}
	if run.Refuse && run.Lock != "" {
		var holder string
		err := tx.QueryRowContext(ctx, "SELECT id FROM runbook_runs WHERE lock_name = $1 AND ended = 0 ORDER BY number LIMIT 1", run.Lock).Scan(&holder)
		if err == nil {
			return fmt.Errorf("%w: run %q has the lock %q; wait for its end, or do not refuse", incident.ErrBusy, holder, run.Lock)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	return r.insert(ctx, tx, run)
}

func (r *Runs) insert(ctx context.Context, tx *sql.Tx, run incident.RunStart) error {
	start, err := json.Marshal(run)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO runbook_runs (id, program, lock_name, at, start, version) VALUES ($1, $2, $3, $4, $5, $6)",
		run.ID, run.Program, run.Lock, micros(run.At), string(start), r.cfg.version); err != nil {
		return err
	}
	for name, value := range run.Labels {
		if _, err := tx.ExecContext(ctx, "INSERT INTO runbook_run_labels (run, name, value) VALUES ($1, $2, $3)", run.ID, name, value); err != nil {
			return err
		}
	}
	queue, options := queueFree, []dbos.EnqueueOption{dbos.WithEnqueueWorkflowID(run.ID), dbos.WithEnqueueTransaction(tx),
		dbos.WithEnqueueApplicationVersion(r.cfg.version), dbos.WithEnqueueWorkflowIDReusePolicy(dbos.WorkflowIDReusePolicyReject)}
	if run.Lock != "" {
		queue = queueLocked
		options = append(options, dbos.WithEnqueueQueuePartitionKey(run.Lock))
	}
	_, err = dbos.Enqueue[string](r.client(ctx), queue, workflowName, run.ID, options...)
	return err
}

func startOf(ctx context.Context, tx *sql.Tx, id string) (run incident.RunStart, err error) {
	var start string
	if err := tx.QueryRowContext(ctx, "SELECT start FROM runbook_runs WHERE id = $1", id).Scan(&start); err != nil {
		return run, err
	}
	return run, json.Unmarshal([]byte(start), &run)
}

// sameStart reports whether a run is started again.
func sameStart(a, b incident.RunStart) bool {
	return a.Program == b.Program && bytes.Equal(compact(a.Input), compact(b.Input)) && a.Lock == b.Lock && a.Refuse == b.Refuse &&
		maps.Equal(a.Labels, b.Labels) && a.By == b.By && a.Fork == b.Fork && a.ForkStep == b.ForkStep && a.Reason == b.Reason
}

func compact(text json.RawMessage) []byte {
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return text
	}
	return b.Bytes()
}

// Signal implements [incident.Runs].
func (r *Runs) Signal(ctx context.Context, id, topic string, s incident.Signal) error {
	err := mayWrite(ctx)
	switch {
	case err != nil:
	case s.ID == "" || topic == "":
		err = &notBegun{errors.New("the signal has no ID or no topic")}
	case len(s.Data) > maxOutput:
		err = &notBegun{fmt.Errorf("the signal has %d bytes of data, and may have %d", len(s.Data), maxOutput)}
	case s.Data != nil && !json.Valid(s.Data):
		err = &notBegun{errors.New("the data of the signal are not JSON")}
	default:
		arrived := time.Now()
		if s.Expired = false; s.At.IsZero() {
			s.At = arrived.UTC()
		}
		err = r.write(ctx, func(tx *sql.Tx) error { return r.signal(ctx, tx, id, topic, s, arrived) })
	}
	if err != nil {
		return fmt.Errorf("durable: signal run %q: %w", id, err)
	}
	r.changed(id)
	return nil
}

func (r *Runs) signal(ctx context.Context, tx *sql.Tx, id, topic string, s incident.Signal, arrived time.Time) error {
	var status string
	var ended int64
	// The lock on the run puts signals into an order, and keeps it from ending meanwhile.
	err := tx.QueryRowContext(ctx, "UPDATE runbook_runs SET revision = revision WHERE id = $1 RETURNING status, ended", id).Scan(&status, &ended)
	if errors.Is(err, sql.ErrNoRows) {
		return incident.ErrNotFound
	}
	if err != nil {
		return err
	}
	var known int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM runbook_run_signals WHERE run = $1 AND id = $2", id, s.ID).Scan(&known); err != nil || known > 0 {
		return err
	}
	if ended != 0 {
		return fmt.Errorf("%w: it is %s", incident.ErrStale, cmp.Or(status, "over"))
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO runbook_run_signals (run, topic, id, data, arrived) VALUES ($1, $2, $3, $4, $5)",
		id, topic, s.ID, string(data), micros(arrived)); err != nil {
		return err
	}
	return r.tell(ctx, tx, id)
}
