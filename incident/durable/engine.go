package durable

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"go.acu.edu.au/runbook/incident"
)

var _ incident.Engine = (*execution)(nil)

// A leave is what a step panics with when nothing is to be recorded: DBOS records every
// error that a step returns as its outcome, and lets a panic pass.
type leave struct{ err error }

// body does what a call is about. It panics with a leave if the run does not go on.
type body func(ctx context.Context) incident.RunEntry

// step is one call of DBOS, with the name of the call. What was recorded is returned.
func (e *execution) step(b body) dbos.Step[incident.RunEntry] {
	return func(ctx context.Context) (incident.RunEntry, error) { return b(ctx), nil }
}

// record makes a call and records what it returns, unless that is recorded already.
func (e *execution) record(id incident.StepID, b body) (entry incident.RunEntry, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case leave:
			err = e.stop(p.err)
		default:
			panic(p)
		}
		e.runs.hub.wake(e.id)
	}()
	entry, err = dbos.RunAsStep(e.dbos, e.step(b), dbos.WithStepName(string(id)))
	return entry, e.stop(err)
}

// stop notes the first error of the engine.
func (e *execution) stop(err error) error {
	if err == nil {
		return nil
	}
	switch cause := context.Cause(e.ctx); {
	case errors.Is(err, errCancelled), errors.Is(err, errLost), errors.Is(err, errClosing):
	case errors.Is(err, &dbos.Error{Code: dbos.ErrorCodeUnexpectedStep}), errors.Is(err, dbos.ErrStepNondeterminism):
		err = fmt.Errorf("%w (%w)", errChanged, err)
	case errors.Is(cause, errCancelled), errors.Is(cause, errLost), errors.Is(cause, errClosing):
		err = cause
	case e.runs.isClosing():
		err = errClosing
	case errors.Is(err, dbos.ErrWorkflowCancelled):
		err = errCancelled
	case errors.Is(err, dbos.ErrConflictingWorkflowID):
		err = e.lostOrCancelled()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = err
	}
	return fmt.Errorf("durable: run %q does not go on here: %w", e.id, e.err)
}

// lostOrCancelled says why DBOS refused what this execution wanted to record.
func (e *execution) lostOrCancelled() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), 5*time.Second)
	defer cancel()
	var cancelled bool
	err := e.runs.db.QueryRowContext(plain{ctx}, "SELECT cancelled IS NOT NULL FROM runbook_runs WHERE id = $1", e.id).Scan(&cancelled)
	if err == nil && cancelled {
		return errCancelled
	}
	e.runs.cfg.Logger.WarnContext(ctx, "what this process reports of a run was refused: it was taken over; what it did may have been done twice", "run", e.id)
	return errLost
}

// use takes note that calls are made.
func (e *execution) use(ids ...incident.StepID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return fmt.Errorf("durable: run %q does not go on here: %w", e.id, e.err)
	}
	current := make(map[incident.StepID]int, len(ids))
	for i, id := range ids {
		if _, twice := e.used[id]; twice || id == "" || len(id) > 300 {
			return fmt.Errorf("durable: run %q: its program calls %q, which is empty, longer than 300 bytes, or was called before; each call needs an ID of its own", e.id, id)
		}
		e.used[id] = struct{}{}
		current[id] = e.number + i
	}
	e.current = current
	e.number += len(ids)
	return nil
}

// numberOf returns the number of a call that is made now, which is that of DBOS.
func (e *execution) numberOf(id incident.StepID) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current[id]
}

// differs says that a program is not the one that made the record.
func (e *execution) differs(id incident.StepID) error {
	return e.stop(fmt.Errorf("%w: %q is recorded as a call of another kind", errChanged, id))
}

// Steps implements [incident.Engine].
func (e *execution) Steps(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
	if !e.runs.call() {
		return nil, e.stop(errClosing)
	}
	defer e.runs.called()
	ids := make([]incident.StepID, len(calls))
	for i, c := range calls {
		ids[i] = c.ID
	}
	if err := e.use(ids...); err != nil {
		return nil, err
	}
	entries := make([]incident.RunEntry, len(calls))
	var err error
	if len(calls) == 1 {
		entries[0], err = e.record(calls[0].ID, e.do(ctx, calls[0]))
	} else {
		err = e.group(ctx, calls, entries)
	}
	if err != nil {
		return nil, err
	}
	outcomes := make([]incident.Outcome, len(calls))
	for i, entry := range entries {
		if entry.Outcome == nil {
			return nil, e.differs(calls[i].ID)
		}
		outcomes[i] = *entry.Outcome
	}
	return outcomes, nil
}

// group makes calls at the same time. DBOS numbers them in their order.
func (e *execution) group(ctx context.Context, calls []incident.Call, entries []incident.RunEntry) error {
	channels := make([]<-chan dbos.StepOutcome[incident.RunEntry], len(calls))
	left := make([]error, len(calls)) // why a body left
	for i, c := range calls {
		b := e.do(ctx, c)
		noted := func(ctx context.Context) incident.RunEntry {
			defer func() {
				if p := recover(); p != nil { // DBOS, too, takes the panic for an error, without what it says
					if l, ok := p.(leave); ok {
						left[i] = l.err
					}
					panic(p)
				}
			}()
			return b(ctx)
		}
		var err error
		if channels[i], err = dbos.Go(e.dbos, e.step(noted), dbos.WithStepName(string(c.ID))); err != nil {
			return e.stop(err)
		}
	}
	var problem error
	for i, ch := range channels {
		outcome := <-ch
		entries[i] = outcome.Result
		if err := cmp.Or(left[i], outcome.Err); problem == nil {
			problem = err
		}
	}
	e.runs.hub.wake(e.id)
	return e.stop(problem)
}

// do is the body of a call.
func (e *execution) do(outer context.Context, c incident.Call) body {
	return func(context.Context) incident.RunEntry {
		if seed, ok := e.seeds[c.ID]; ok {
			return seed
		}
		var interrupted []incident.Attempt
		if c.Intent {
			interrupted = e.intend(c.ID)
		} else if err := e.may(false); err != nil {
			panic(leave{err})
		}
		ctx, cancel := context.WithCancelCause(outer)
		defer cancel(nil)
		defer context.AfterFunc(e.ctx, func() { cancel(context.Cause(e.ctx)) })()
		o := e.make(ctx, c, interrupted)
		if cause := context.Cause(e.ctx); errors.Is(cause, errCancelled) || errors.Is(cause, errLost) {
			panic(leave{cause}) // before DBOS may have heard of it
		}
		return incident.RunEntry{ID: c.ID, Outcome: &o}
	}
}

// The codes of outcomes that the engine makes, which are those of incident.MemoryRuns.
const (
	codePanic    = "panic"
	codeTooLarge = "too large"
)

// make makes a call, and survives its panic.
func (e *execution) make(ctx context.Context, c incident.Call, interrupted []incident.Attempt) (o incident.Outcome) {
	began := time.Now().UTC()
	over := false
	defer func() {
		if !over {
			p := recover()
			if p == nil {
				p = "it ended its goroutine" // which cannot be stopped
			}
			e.runs.cfg.Logger.ErrorContext(ctx, "a call panicked", "run", e.id, "call", c.ID, "panic", p, "stack", string(debug.Stack()))
			o = incident.Outcome{Status: incident.Unknown, Code: codePanic, Message: printable(fmt.Sprintf("it panicked: %v", p))}
		}
		o.Process = cmp.Or(o.Process, e.runs.process)
		if o.Began.IsZero() {
			o.Began = began
		}
		if o.Ended.IsZero() {
			o.Ended = time.Now().UTC()
		}
		checkOutput(&o)
	}()
	o = c.Do(ctx, interrupted)
	over = true
	return o
}

// checkOutput drops an output that cannot be recorded. How the call ended stays.
func checkOutput(o *incident.Outcome) {
	o.Status = cmp.Or(o.Status, incident.Unknown) // it does not say
	problem := ""
	switch {
	case o.Output == nil:
		return
	case len(o.Output) > maxOutput:
		problem = fmt.Sprintf("its output was dropped: it has %d bytes, and may have %d", len(o.Output), maxOutput)
	case !json.Valid(o.Output):
		problem = "its output was dropped: it is not JSON"
	default:
		return
	}
	if o.Message != "" {
		problem = o.Message + "; " + problem
	}
	o.Output, o.Code, o.Message = nil, cmp.Or(o.Code, codeTooLarge), problem
}

// may returns nil when something new may begin here: the run is ours and is not held. It
// waits while it is held or stranded.
func (e *execution) may(alone bool) error {
	wake, end := e.runs.hub.subscribe(e.id)
	defer end()
	for {
		if err := e.stopped(); err != nil {
			return err
		}
		var s state
		err := e.retry("read whether it may go on", func() error { return e.runs.state(e.ctx, e.id, &s) })
		switch {
		case err != nil:
			return err
		case s.cancelled:
			return errCancelled
		case s.owner != e.owner || s.ended:
			return errLost
		case alone && s.stranded == "", !alone && !s.held && s.stranded == "":
			return nil
		}
		e.pause(wake, time.Now().Add(safety))
	}
}

// safety is how long to trust that we are woken.
const safety = 10 * time.Second

// stopped says why the run does not go on here, if it does not.
func (e *execution) stopped() error {
	switch {
	case e.ctx.Err() != nil:
		return context.Cause(e.ctx)
	case e.runs.isClosing():
		return errClosing
	}
	return nil
}

// pause waits until it is woken, or until a time.
func (e *execution) pause(wake <-chan struct{}, until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	case <-e.ctx.Done():
	case <-e.runs.closing:
	}
}

// intend records, durably, that a call will be made, and returns the attempts before.
func (e *execution) intend(id incident.StepID) []incident.Attempt {
	for {
		var earlier []incident.Attempt
		var begun bool
		err := e.retry("record the intent", func() (err error) {
			earlier, begun, err = e.attempt(id)
			return err
		})
		if err == nil && begun {
			e.runs.hub.wake(e.id)
			return earlier
		}
		if err == nil { // it is held, or not ours
			err = e.may(false)
		}
		if err != nil {
			panic(leave{err})
		}
	}
}

const (
	claimAttempt = `UPDATE runbook_runs SET revision = revision + 1
		WHERE id = $1 AND owner = $2 AND ended = 0 AND held IS NULL AND stranded = ''`
	// All in one statement, which is one way to the server and back. What it reads is
	// what was there before it.
	attemptPostgreSQL = `WITH claimed AS (` + claimAttempt + ` RETURNING id),
		begun AS (INSERT INTO runbook_run_attempts (run, step, call, process, at) SELECT id, $3, $6, $4, $5 FROM claimed RETURNING number)
		SELECT (SELECT count(*) FROM begun), coalesce(a.process, ''), coalesce(a.at, 0)
		FROM (SELECT 1) AS one LEFT JOIN runbook_run_attempts a ON a.run = $1 AND a.step = $3 ORDER BY a.number`
)

// attempt records one attempt, if the run may begin something here.
func (e *execution) attempt(id incident.StepID) (earlier []incident.Attempt, begun bool, err error) {
	at := micros(time.Now())
	if e.runs.pool != nil {
		rows, err := e.runs.pool.Query(e.ctx, attemptPostgreSQL, e.id, e.owner, string(id), e.runs.process, at, e.numberOf(id))
		if err != nil {
			return nil, false, err
		}
		defer rows.Close()
		return scanAttempts(rows, id)
	}
	ctx := context.WithoutCancel(e.ctx) // see state
	err = e.runs.write(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, claimAttempt, e.id, e.owner)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil || n == 0 {
			return err
		}
		rows, err := tx.QueryContext(ctx, "SELECT 1, process, at FROM runbook_run_attempts WHERE run = $1 AND step = $2 ORDER BY number", e.id, string(id))
		if err != nil {
			return err
		}
		earlier, _, err = scanAttempts(rows, id)
		if err := errors.Join(err, rows.Close()); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO runbook_run_attempts (run, step, call, process, at) VALUES ($1, $2, $3, $4, $5)", e.id, string(id), e.numberOf(id), e.runs.process, at)
		begun = true
		return err
	})
	return earlier, begun && err == nil, err
}

// scanAttempts reads rows of either kind of driver. The first column says whether this
// attempt was recorded.
func scanAttempts(rows interface {
	Next() bool
	Scan(...any) error
	Err() error
}, id incident.StepID,
) (earlier []incident.Attempt, begun bool, err error) {
	for rows.Next() {
		var n, at int64
		a := incident.Attempt{Step: id}
		if err := rows.Scan(&n, &a.Process, &at); err != nil {
			return nil, false, err
		}
		begun = n > 0
		if at != 0 {
			a.At = instant(at)
			earlier = append(earlier, a)
		}
	}
	return earlier, begun, rows.Err()
}

// state reads how far a run is. It is on the way of every call: on PostgreSQL it goes
// past database/sql.
func (r *Runs) state(ctx context.Context, id string, s *state) error {
	const query = "SELECT " + stateColumns + " FROM runbook_runs WHERE id = $1"
	if r.pool != nil {
		return s.scan(r.pool.QueryRow(ctx, query, id))
	}
	// A context that can end costs SQLite two goroutines, more than the question itself.
	return s.scan(r.db.QueryRowContext(context.WithoutCancel(ctx), query, id))
}
