package durable

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"go.acu.edu.au/runbook/incident"
)

// Why a run does not go on here.
var (
	errClosing   = errors.New("its process is to end")
	errLost      = errors.New("another process, or another execution in this one, has it now")
	errCancelled = fmt.Errorf("it was cancelled: %w", context.Canceled)
	errTurn      = errors.New("another run has its lock; it waits for its turn in the queue")
	errChanged   = errors.New("its program makes other calls than it recorded: the program was changed while the run was under way; fork the run from before the first call that differs")
)

// An execution is one time that a process carries out a run, from its beginning, and the
// [incident.Engine] of its program.
type execution struct {
	runs   *Runs
	id     string
	owner  string // unique
	dbos   dbos.Context
	ctx    context.Context // ends when the run does not go on here
	cancel context.CancelCauseFunc
	start  incident.RunStart
	seeds  map[incident.StepID]incident.RunEntry
	// claimed says that it became the owner.
	claimed atomic.Bool

	mu       sync.Mutex
	used     map[incident.StepID]struct{}
	number   int                     // of the next call
	current  map[incident.StepID]int // the calls that were made last, with their numbers
	consumed map[string]map[string]struct{}
	err      error // the first error of the engine
}

// carryOut is the workflow that DBOS calls. It records how the run ends, and then lets
// DBOS record it; or it lets go of the run, so that DBOS records nothing.
func (r *Runs) carryOut(ctx dbos.Context, _ string) (string, error) {
	id, err := dbos.GetWorkflowID(ctx)
	if err != nil {
		return "", err
	}
	e := r.newExecution(ctx, id)
	defer r.remove(e)
	outcome, err := e.run()
	if err == nil {
		return outcome, nil
	}
	if outcome != "" { // the run failed, and that is recorded
		return outcome, err
	}
	// DBOS takes this for a run that somebody else has: it records nothing, and waits.
	return "", fmt.Errorf("run %s does not go on here: %w: %w", id, err, dbos.ErrConflictingWorkflowID)
}

func (r *Runs) newExecution(ctx dbos.Context, id string) *execution {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.executed++
	e := &execution{
		runs: r, id: id, owner: fmt.Sprintf("%s/%d", r.process, r.executed), dbos: ctx,
		used: make(map[incident.StepID]struct{}), consumed: make(map[string]map[string]struct{}),
	}
	e.ctx, e.cancel = context.WithCancelCause(ctx)
	if last := r.active[id]; last != nil {
		last.cancel(errLost)
	}
	r.active[id] = e
	return e
}

func (r *Runs) remove(e *execution) {
	e.cancel(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active[e.id] == e {
		delete(r.active, e.id)
	}
}

// run carries the run out. It returns how the run ended, or an error alone if it does not
// go on here.
func (e *execution) run() (string, error) {
	program, over, err := e.begin()
	if over != "" || err != nil {
		return over, e.letGo(err)
	}
	result, err := e.call(program)
	e.mu.Lock()
	stopped := e.err
	e.mu.Unlock()
	switch {
	case errors.Is(stopped, errChanged):
		result, err = nil, stopped
	case stopped != nil:
		return "", e.letGo(stopped)
	case e.ctx.Err() != nil:
		return "", e.letGo(context.Cause(e.ctx))
	}
	status, text := incident.RunFinished, ""
	if err != nil {
		status, text, result = incident.RunFailed, printable(err.Error()), nil
	}
	if lost := e.retry("record the end", func() error { return e.end(status, result, text) }); lost != nil {
		return "", e.letGo(lost)
	}
	e.runs.changed(e.id)
	if err != nil {
		return string(status), errors.New(text)
	}
	return string(status), nil
}

// printable makes a text that PostgreSQL takes.
func printable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// call calls the program.
func (e *execution) call(program incident.Program) (result json.RawMessage, err error) {
	err = errors.New("its program ended its goroutine")
	defer func() {
		if p := recover(); p != nil {
			e.runs.cfg.Logger.ErrorContext(e.ctx, "a program panicked", "run", e.id, "program", e.start.Program, "panic", p, "stack", string(debug.Stack()))
			result, err = nil, fmt.Errorf("its program panicked: %v", p)
		}
	}()
	start := e.start
	start.Input = append(json.RawMessage(nil), start.Input...)
	if result, err = program(e.ctx, e, start); err == nil && result != nil && !json.Valid(result) {
		err = errors.New("its program returned a result that is not JSON")
	}
	return result, err
}

// begin makes this execution the owner of the run, has its lock, and returns its program,
// or how the run ended if it has.
func (e *execution) begin() (program incident.Program, over string, err error) {
	err = e.retry("begin", func() error {
		var claimed bool
		over, claimed, err = e.claim()
		if err == nil && over == "" && !claimed {
			err = errAgain
		}
		return err
	})
	if err != nil || over != "" {
		return nil, over, err
	}
	err = e.retry("have the lock", e.lock)
	if err == nil {
		err = e.retry("read what it was forked from", func() error {
			e.seeds, err = e.runs.seeds(e.ctx, e.start)
			return err
		})
	}
	if err != nil {
		return nil, "", err
	}
	program, err = e.program()
	return program, "", err
}

// program returns the program. A run whose program is not known here is stranded, and
// waits for a person, or for another process.
func (e *execution) program() (incident.Program, error) {
	e.runs.mu.Lock()
	program := e.runs.programs[e.start.Program]
	e.runs.mu.Unlock()
	if program == nil {
		words := fmt.Sprintf("process %s, which has it, has no program %q; end that process, so that another takes the run, or cancel it", e.runs.process, e.start.Program)
		err := e.retry("say that its program is not known", func() error { return e.update("stranded = $3", words) })
		if err != nil {
			return nil, err
		}
		e.runs.changed(e.id)
		<-e.ctx.Done()
		return nil, context.Cause(e.ctx)
	}
	return program, e.may(true)
}

// errAgain lets retry try at once, quietly.
var errAgain = errors.New("it changed meanwhile")

// claim makes this execution the owner, if DBOS gave the run to this process and nobody
// became its owner since we looked.
func (e *execution) claim() (over string, claimed bool, err error) {
	var start, before, status string
	var cancelled bool
	err = e.runs.db.QueryRowContext(e.ctx, "SELECT start, owner, status, cancelled IS NOT NULL FROM runbook_runs WHERE id = $1", e.id).Scan(&start, &before, &status, &cancelled)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", false, &final{fmt.Errorf("there is no record of run %s", e.id)}
	case err != nil:
		return "", false, err
	case cancelled:
		return "", false, errCancelled
	case status != "":
		return status, false, nil // it had ended when a crash kept DBOS from recording it
	}
	if err := json.Unmarshal([]byte(start), &e.start); err != nil {
		return "", false, &final{err}
	}
	if mine, err := e.mine(); err != nil || !mine {
		return "", false, cmp.Or(err, errLost)
	}
	result, err := e.runs.db.ExecContext(e.ctx, `UPDATE runbook_runs SET owner = $2, process = $3, version = $4, began = CASE began WHEN 0 THEN $5 ELSE began END, revision = revision + 1
		WHERE id = $1 AND owner = $6 AND ended = 0`, e.id, e.owner, e.runs.process, e.runs.cfg.version, micros(time.Now()), before)
	if err != nil {
		return "", false, err
	}
	n, err := result.RowsAffected()
	if n > 0 {
		e.claimed.Store(true)
		e.runs.changed(e.id)
	}
	return "", n > 0, err
}

// mine reports whether DBOS has the run with this process, and this is its last execution
// here. A process that hung before it looked is not led to take the run back.
func (e *execution) mine() (bool, error) {
	e.runs.mu.Lock()
	last := e.runs.active[e.id] == e
	e.runs.mu.Unlock()
	if !last {
		return false, nil
	}
	list, err := dbos.ListWorkflows(e.runs.client(e.ctx), dbos.WithFilterWorkflowIDs(e.id), dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false))
	return len(list) == 1 && list[0].Status == dbos.WorkflowStatusPending && list[0].ExecutorID == e.runs.process, err
}

// lock has the lock of the run. The queue gives a run its turn; this makes sure. A run of
// another version that has the lock, and was given back to the queue, may not have been
// the first that was taken from it: then this one gives up its place, for which that one
// waits.
func (e *execution) lock() error {
	if e.start.Lock == "" {
		return nil
	}
	busy := false
	err := e.runs.write(e.ctx, func(tx *sql.Tx) error {
		var holder string
		if _, err := tx.ExecContext(e.ctx, "INSERT INTO runbook_run_locks (name, run) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", e.start.Lock, e.id); err != nil {
			return err
		}
		if err := tx.QueryRowContext(e.ctx, "UPDATE runbook_run_locks SET run = run WHERE name = $1 RETURNING run", e.start.Lock).Scan(&holder); err != nil {
			return err
		}
		if holder == e.id {
			return nil
		}
		var active int
		if err := tx.QueryRowContext(e.ctx, "SELECT count(*) FROM runbook_runs WHERE id = $1 AND ended = 0", holder).Scan(&active); err != nil {
			return err
		}
		if busy = active > 0; busy {
			return nil
		}
		_, err := tx.ExecContext(e.ctx, "UPDATE runbook_run_locks SET run = $2 WHERE name = $1", e.start.Lock, e.id)
		return err
	})
	if err == nil && busy {
		err = errTurn
	}
	return err
}

// end records how the run ended.
func (e *execution) end(status incident.RunStatus, result json.RawMessage, text string) error {
	var stored any
	if result != nil {
		stored = string(result)
	}
	return e.update("ended = $3, status = $4, result = $5, error = $6, held = NULL, stranded = ''", micros(time.Now()), string(status), stored, text)
}

// update changes the record of the run, if this execution is still its owner.
func (e *execution) update(set string, args ...any) error {
	return e.runs.write(e.ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(e.ctx, "UPDATE runbook_runs SET "+set+", revision = revision + 1 WHERE id = $1 AND owner = $2 AND ended = 0", append([]any{e.id, e.owner}, args...)...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return e.why(tx)
		}
		return e.runs.tell(e.ctx, tx, e.id)
	})
}

// why says why this execution is not the owner any more.
func (e *execution) why(tx *sql.Tx) error {
	var s state
	if err := s.scan(tx.QueryRowContext(e.ctx, "SELECT "+stateColumns+" FROM runbook_runs WHERE id = $1", e.id)); err != nil {
		return err
	}
	if s.cancelled {
		return errCancelled
	}
	return errLost
}

// final marks an error that is not tried again.
type final struct{ error }

func (f *final) Unwrap() error { return f.error }

// retry calls fn until it succeeds, or the run does not go on here. What is not possible
// now, because the database is away or its disk is full, is tried until it is.
func (e *execution) retry(what string, fn func() error) error {
	const most = 2 * time.Second
	for wait, said := 20*time.Millisecond, false; ; wait = min(2*wait, most) {
		err := fn()
		var f *final
		switch {
		case err == nil:
			if said {
				e.runs.goesOn(e.id)
			}
			return nil
		case errors.Is(err, errLost), errors.Is(err, errCancelled), errors.Is(err, errTurn), errors.As(err, &f):
			return err
		case e.ctx.Err() != nil:
			return context.Cause(e.ctx)
		case errors.Is(err, errAgain):
			wait = min(wait, 100*time.Millisecond)
		case !said:
			said = true
			e.runs.standsStill(e.id, what, err)
			e.runs.cfg.Logger.WarnContext(e.ctx, "a run stands still: the database does not take or give what it needs; it is tried again", "run", e.id, "what", what, "error", err)
		}
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-e.ctx.Done():
			pause.Stop()
			return context.Cause(e.ctx)
		case <-e.runs.closing:
			pause.Stop()
			return errClosing
		}
	}
}

// standsStill keeps, for who asks, why a run does not get further here.
func (r *Runs) standsStill(id, what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.still[id] = printable(fmt.Sprintf("it stands still since %s: the database does not take or give what it needs (%s: %.500v); it is tried again, and goes on by itself when it can", time.Now().UTC().Format(time.RFC3339), what, err))
}

// goesOn ends what standsStill keeps.
func (r *Runs) goesOn(ids ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		delete(r.still, id)
	}
}

// letGo says why the run does not go on here. If nobody else has it, the guard puts it
// into its queue again.
func (e *execution) letGo(err error) error {
	switch {
	case err == nil, errors.Is(err, errLost), errors.Is(err, errTurn), errors.Is(err, errClosing), e.runs.isClosing():
		e.runs.goesOn(e.id)
	case errors.Is(err, errCancelled):
		e.runs.goesOn(e.id)
		e.cancelled()
	default:
		e.runs.standsStill(e.id, "record or read what it did", err)
		e.runs.cfg.Logger.WarnContext(e.ctx, "a run was interrupted; it begins again from what was recorded", "run", e.id, "error", err)
	}
	return err
}

// cancelled records what the run was doing when it was cancelled, for who forks it, if
// this execution was its owner then; and lets DBOS know, in case the one who cancelled it
// could not.
func (e *execution) cancelled() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), 5*time.Second)
	defer cancel()
	e.mu.Lock()
	text, _ := json.Marshal(e.current) // numbers
	e.mu.Unlock()
	_, err := e.runs.db.ExecContext(plain{ctx}, "UPDATE runbook_runs SET current = $3 WHERE id = $1 AND owner = $2", e.id, e.owner, string(text))
	if err := errors.Join(err, dbos.CancelWorkflow(e.runs.client(ctx), e.id)); err != nil {
		e.runs.cfg.Logger.WarnContext(ctx, "what a run was doing when it was cancelled is not recorded", "run", e.id, "error", err)
	}
}
