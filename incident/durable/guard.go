package durable

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"go.acu.edu.au/runbook/incident"
)

const (
	scanEvery  = 500 * time.Millisecond
	sweepEvery = 2 * time.Second
	forget     = 24 * time.Hour
)

// register makes this process known.
func (r *Runs) register(ctx context.Context) error {
	_, err := r.db.ExecContext(plain{ctx}, `INSERT INTO runbook_run_processes (process, host, version, lock_key, started, seen)
		VALUES ($1, $2, $3, $4, `+r.clock()+`, `+r.clock()+`)`, r.process, r.cfg.Host, r.cfg.version, lockKey("process/"+r.process))
	return err
}

// stopped makes known that this process ends of its own accord.
func (r *Runs) stopped(ctx context.Context) error {
	_, err := r.db.ExecContext(plain{ctx}, "UPDATE runbook_run_processes SET stopped = "+r.clock()+" WHERE process = $1", r.process)
	return err
}

// alive says that this process lives, and reports how often its runs were taken over. A
// process that was gone for so long that it was forgotten, as on a machine that slept,
// makes itself known anew: else nobody would take its runs if it died now.
func (r *Runs) alive(ctx context.Context) (taken int64, err error) {
	err = r.db.QueryRowContext(plain{ctx}, "UPDATE runbook_run_processes SET seen = "+r.clock()+", dead = 0 WHERE process = $1 RETURNING taken", r.process).Scan(&taken)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, r.register(ctx)
	}
	if err == nil {
		_, err = r.db.ExecContext(plain{ctx}, "DELETE FROM runbook_run_processes WHERE dead <> 0 AND seen < $1", time.Now().Add(-forget).UnixMicro())
	}
	return taken, err
}

// inherit takes up what other processes left in a file that is this one's now.
func (r *Runs) inherit(ctx context.Context) error {
	processes, err := r.processes(ctx)
	if err != nil {
		return err
	}
	ended := make(map[string]bool)
	for _, p := range processes {
		ended[p.Process] = p.stopped
	}
	list, err := r.left(ctx, "")
	if err != nil {
		return err
	}
	if _, err := r.giveBack(ctx, list, func(process string) adoption { return adoption{crashed: !ended[process]} }); err != nil {
		return err
	}
	_, err = r.db.ExecContext(plain{ctx}, "UPDATE runbook_run_processes SET dead = "+r.clock()+" WHERE process <> $1 AND dead = 0", r.process)
	return err
}

// reportStranded tells the log of runs that this process does not take.
func (r *Runs) reportStranded(ctx context.Context) {
	rows, err := r.rows(ctx, "ended = 0 AND version <> $1", r.cfg.version)
	processes := sync.OnceValues(func() ([]process, error) { return r.processes(ctx) })
	for _, f := range rows {
		record, problem := r.record(ctx, f, false, processes)
		err = errors.Join(err, problem)
		if problem == nil && record.Status == incident.RunStranded {
			r.cfg.Logger.WarnContext(ctx, "a run of another version is not taken", "run", record.ID, "version", f.version, "attention", record.Attention)
		}
	}
	if err != nil {
		r.cfg.Logger.WarnContext(ctx, "whether there are runs of other versions is not known", "error", err)
	}
}

// guard says that this process lives, and takes the runs of those that died.
func (r *Runs) guard(ctx context.Context) {
	ticker := time.NewTicker(scanEvery)
	defer ticker.Stop()
	var said, swept time.Time
	var taken int64
	gone := make(map[string]time.Time) // processes, and since when we see that they are not there
	var adrift map[string]bool
	for {
		round, cancel := context.WithTimeout(ctx, 10*time.Second)
		if now := time.Now(); now.Sub(said) >= r.cfg.HungAfter/6 {
			if n, err := r.alive(round); err == nil {
				if said = now; n != taken {
					taken = n
					r.checkAll(round)
				}
			}
		}
		if now := time.Now(); now.Sub(swept) >= sweepEvery {
			swept = now
			adrift = r.sweep(round, adrift)
		}
		if r.pool != nil {
			r.scan(round, gone)
			r.checkAll(round)
		}
		cancel()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweep puts runs into their queues that DBOS has with this process, and that are not
// carried out: they could not be recorded, or read, or begun. It needs to see them twice:
// one may be about to begin.
func (r *Runs) sweep(ctx context.Context, before map[string]bool) (adrift map[string]bool) {
	list, err := r.left(ctx, r.process)
	if err != nil {
		return nil
	}
	adrift = make(map[string]bool)
	var again []dbos.WorkflowStatus
	r.mu.Lock()
	for _, s := range list {
		if r.active[s.ID] != nil {
			continue
		}
		if adrift[s.ID] = true; before[s.ID] {
			again = append(again, s)
		}
	}
	r.mu.Unlock()
	if _, err := r.giveBack(ctx, again, func(string) adoption { return adoption{} }); err != nil {
		r.cfg.Logger.WarnContext(ctx, "runs that were interrupted could not be queued; it is tried again", "error", err)
	}
	return adrift
}

// scan looks for processes that are not there. Only a time in which the database answered
// counts: after an outage every process needs a moment to come back.
func (r *Runs) scan(ctx context.Context, gone map[string]time.Time) {
	processes, err := r.processes(ctx)
	if err != nil {
		clear(gone)
		return
	}
	now := time.Now()
	for _, p := range processes {
		if p.locked || p.buried || p.Process == r.process || p.Version != r.cfg.version {
			delete(gone, p.Process)
			continue
		}
		if _, known := gone[p.Process]; !known {
			gone[p.Process] = now
		}
		if !p.stopped && now.Sub(gone[p.Process]) < r.cfg.DeadAfter {
			continue
		}
		ids, err := r.adopt(ctx, p.Process, lockKey("process/"+p.Process), adoption{crashed: !p.stopped})
		switch {
		case errors.Is(err, errAlive):
		case err != nil:
			r.cfg.Logger.WarnContext(ctx, "the runs of a dead process could not be taken over; it is tried again", "process", p.Process, "error", err)
		case len(ids) > 0:
			r.cfg.Logger.WarnContext(ctx, "a process is gone, and its runs were taken over", "process", p.Process, "runs", ids)
			delete(gone, p.Process)
		}
	}
}

// watch looks at runs of this process that others may have changed.
func (r *Runs) watch(ctx context.Context) {
	for {
		select {
		case id := <-r.check:
			r.look(ctx, id)
		case <-ctx.Done():
			return
		}
	}
}

// checkAll looks at all runs of this process, with one question.
func (r *Runs) checkAll(ctx context.Context) {
	r.mu.Lock()
	executions := make(map[string]*execution, len(r.active))
	ids := make([]string, 0, len(r.active))
	for id, e := range r.active {
		executions[id] = e
		ids = append(ids, id)
	}
	r.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	list, _ := json.Marshal(ids) // strings
	among := "SELECT value FROM json_each($1)"
	if r.pool != nil {
		among = "SELECT json_array_elements_text($1::json)"
	}
	rows, err := r.db.QueryContext(plain{ctx}, "SELECT id, owner, cancelled IS NOT NULL FROM runbook_runs WHERE id IN ("+among+")", string(list))
	if err != nil {
		return // they are looked at again
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		var s state
		if rows.Scan(&id, &s.owner, &s.cancelled) != nil {
			return
		}
		executions[id].follow(s)
	}
}

// look ends the execution of a run here if it was cancelled or taken over.
func (r *Runs) look(ctx context.Context, id string) {
	r.mu.Lock()
	e := r.active[id]
	r.mu.Unlock()
	if e == nil {
		return
	}
	var s state
	if err := r.state(plain{ctx}, id, &s); err != nil {
		return // it is looked at again
	}
	e.follow(s)
}

// follow ends the execution if the run was cancelled or taken over.
func (e *execution) follow(s state) {
	switch {
	case s.cancelled:
		e.cancel(errCancelled)
	case e.claimed.Load() && s.owner != e.owner:
		e.cancel(errLost)
	}
}
