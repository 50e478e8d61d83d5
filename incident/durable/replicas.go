package durable

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"go.acu.edu.au/runbook/incident"
)

// The states of processes.
const (
	alive = "alive"
	hung  = "hung"
	dead  = "dead"
)

// A process is a replica with what we know of it besides.
type process struct {
	incident.Replica
	locked  bool // it is there
	stopped bool // it said that it ends
	buried  bool // it was dead, and has no runs of this version any more
}

// lockKey makes a key of an advisory lock of PostgreSQL.
func lockKey(name string) int64 {
	sum := sha256.Sum256([]byte("runbook/" + name))
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // any 64 bits will do
}

// clock is the time of the database, by which processes are compared.
func (r *Runs) clock() string {
	if r.pool != nil {
		return "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
	}
	return fmt.Sprint(time.Now().UnixMicro())
}

// processes returns all processes. Whether one is there is what the kernel says: on
// PostgreSQL by the lock of its session, on SQLite because a file has one process.
func (r *Runs) processes(ctx context.Context) (list []process, err error) {
	locked, args := "process = $1", []any{r.process}
	if r.pool != nil {
		args = nil
		locked = `EXISTS (SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND (l.classid::bigint << 32 | l.objid::bigint) = p.lock_key)`
	}
	rows, err := r.db.QueryContext(plain{ctx}, `SELECT process, host, version, started, seen, stopped <> 0, dead <> 0, `+r.clock()+`, `+locked+`
		FROM runbook_run_processes p ORDER BY started, process`, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var p process
		var started, seen, now int64
		if err := rows.Scan(&p.Process, &p.Host, &p.Version, &started, &seen, &p.stopped, &p.buried, &now, &p.locked); err != nil {
			return nil, err
		}
		p.Started, p.Seen = instant(started), instant(seen)
		switch {
		case !p.locked:
			p.State = dead
		case now-seen >= r.cfg.HungAfter.Microseconds():
			p.State = hung
		default:
			p.State = alive
		}
		list = append(list, p)
	}
	return list, rows.Err()
}

// Replicas implements [incident.Replicas]. A process that is dead is forgotten after a
// day.
func (r *Runs) Replicas(ctx context.Context) ([]incident.Replica, error) {
	list, err := r.processes(ctx)
	if err != nil {
		return nil, fmt.Errorf("durable: read the replicas: %w", err)
	}
	rows, err := r.rows(ctx, "ended = 0 AND owner <> '' ORDER BY number")
	if err != nil {
		return nil, fmt.Errorf("durable: read the replicas: %w", err)
	}
	replicas := make([]incident.Replica, 0, len(list))
	for _, p := range list {
		for _, f := range rows {
			if f.process == p.Process {
				p.Runs = append(p.Runs, f.id)
			}
		}
		replicas = append(replicas, p.Replica)
	}
	return replicas, nil
}

// TakeOver implements [incident.Replicas]. What the process was doing shows as Open in
// the records that it returns, and as Attention until the runs end.
func (r *Runs) TakeOver(ctx context.Context, name string, c incident.Control) ([]incident.RunRecord, error) {
	records, err := r.takeOver(ctx, name, c)
	if err != nil {
		return nil, fmt.Errorf("durable: take over the runs of process %q: %w", name, err)
	}
	return records, nil
}

func (r *Runs) takeOver(ctx context.Context, name string, c incident.Control) ([]incident.RunRecord, error) {
	if err := mayWrite(ctx); err != nil {
		return nil, err
	}
	if strings.TrimSpace(c.By) == "" {
		return nil, &notBegun{errors.New("nobody is named; a person decides this, by name")}
	}
	list, err := r.processes(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(p process) bool { return p.Process == name })
	switch {
	case i < 0:
		return nil, incident.ErrNotFound
	case list[i].State == dead:
		return nil, nil // its runs go on by themselves
	case list[i].State == alive:
		return nil, fmt.Errorf("%w: it said at %s that it lives", incident.ErrStale, list[i].Seen.Format(time.RFC3339))
	case list[i].Version != r.cfg.version:
		return nil, fmt.Errorf("%w: it is of version %s, whose runs this process cannot go on with", incident.ErrUnsupported, list[i].Version)
	}
	_, at := stamped(c)
	words := fmt.Sprintf("%s took it over at %s from process %s, which hung: what that process was doing may have been done twice", c.By, at.Format(time.RFC3339), name)
	if c.Reason != "" {
		words += " (" + c.Reason + ")"
	}
	ids, err := r.adopt(ctx, name, lockKey("takeover/"+name), adoption{taken: words})
	if err != nil {
		return nil, err
	}
	r.cfg.Logger.WarnContext(ctx, "the runs of a process that hangs were taken over", "process", name, "by", c.By, "reason", c.Reason, "runs", ids)
	records := make([]incident.RunRecord, 0, len(ids))
	for _, id := range ids {
		record, err := r.read(ctx, id)
		if err != nil {
			return records, err
		}
		records = append(records, record)
	}
	return records, nil
}

// An adoption says why the runs of a process are given to others.
type adoption struct {
	taken   string // by a person, in words
	crashed bool   // the process died
}

// errAlive means that a process is not dead after all.
var errAlive = errors.New("it is there")

// adopt puts the runs that a process has back into their queues. On PostgreSQL that is
// done under a lock: that of the process itself, if it is dead, which proves that it is,
// and keeps it so; or one for this purpose. Under it the runs are listed anew: DBOS
// resumes a run by its ID, whoever has it by then.
func (r *Runs) adopt(ctx context.Context, name string, key int64, a adoption) ([]string, error) {
	if r.pool != nil {
		tx, err := r.db.BeginTx(plain{ctx}, nil)
		if err != nil {
			return nil, err
		}
		defer func() { _ = tx.Rollback() }() // which frees the lock
		var got bool
		if err := tx.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", key).Scan(&got); err != nil {
			return nil, err
		}
		if !got {
			return nil, errAlive
		}
	}
	list, err := r.left(ctx, name)
	if err != nil {
		return nil, err
	}
	ids, err := r.giveBack(ctx, list, func(string) adoption { return a })
	if err != nil {
		return ids, err
	}
	mark := "taken = taken + 1"
	if a.taken == "" {
		mark += ", dead = " + r.clock()
	}
	_, err = r.db.ExecContext(plain{ctx}, "UPDATE runbook_run_processes SET "+mark+" WHERE process = $1", name)
	return ids, err
}

// giveBack ends the ownership of runs, and then puts them into their queues, where they
// are the oldest. If it fails in between, it is done again.
func (r *Runs) giveBack(ctx context.Context, list []dbos.WorkflowStatus, why func(process string) adoption) (ids []string, err error) {
	queues := make(map[string][]string)
	for _, s := range list {
		if err := r.disown(ctx, s.ID, why(s.ExecutorID)); err != nil {
			return nil, err
		}
		queues[queueOf(s)] = append(queues[queueOf(s)], s.ID)
		ids = append(ids, s.ID)
	}
	for queue, of := range queues {
		if _, err := dbos.ResumeWorkflows[string](r.client(ctx), of, dbos.WithResumeQueue(queue)); err != nil {
			return nil, err
		}
	}
	r.goesOn(ids...)
	for _, id := range ids {
		r.changed(id)
	}
	return ids, nil
}

// disown ends the ownership of a run: who had it begins nothing any more. A run with which
// process after process dies is stranded. Those do not count that died while it waited,
// or was held, or after it got further.
func (r *Runs) disown(ctx context.Context, id string, a adoption) error {
	record, err := r.read(ctx, id)
	if errors.Is(err, incident.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	counts := a.crashed && len(record.Waits) == 0 && record.Held == nil && record.Status != incident.RunQueued
	return r.write(ctx, func(tx *sql.Tx) error {
		var crashes, before int64
		var stranded string
		err := tx.QueryRowContext(ctx, "UPDATE runbook_runs SET revision = revision + 1 WHERE id = $1 RETURNING crashes, crash_steps, stranded", id).Scan(&crashes, &before, &stranded)
		if err != nil {
			return err
		}
		steps := int64(len(record.Entries))
		if counts && stranded == "" {
			if steps > before {
				crashes = 0
			}
			crashes, before = crashes+1, steps
		}
		stranded = ""
		if crashes >= int64(r.cfg.MaxCrashes) {
			stranded = fmt.Sprintf("%d processes in succession died while they had it, and it got no further; release it to have it tried again, or cancel it", crashes)
			for _, o := range record.Open {
				stranded += fmt.Sprintf("; begun and without an outcome: %q", o.Step)
			}
		}
		_, err = tx.ExecContext(ctx, `UPDATE runbook_runs SET owner = '', crashes = $2, crash_steps = $3, stranded = $4, taken = coalesce($5, taken)
			WHERE id = $1 AND ended = 0`, id, crashes, before, stranded, sql.NullString{String: a.taken, Valid: a.taken != ""})
		if err != nil {
			return err
		}
		return r.tell(ctx, tx, id)
	})
}

// left returns the runs that DBOS has with a process, or with any but this one.
func (r *Runs) left(ctx context.Context, name string) ([]dbos.WorkflowStatus, error) {
	options := []dbos.ListWorkflowsOption{
		dbos.WithFilterStatus(dbos.WorkflowStatusPending), dbos.WithFilterAppVersion(r.cfg.version),
		dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false),
	}
	if name != "" {
		options = append(options, dbos.WithFilterExecutorIDs(name))
	}
	list, err := dbos.ListWorkflows(r.client(ctx), options...)
	return slices.DeleteFunc(list, func(s dbos.WorkflowStatus) bool { return name == "" && s.ExecutorID == r.process }), err
}

// queueOf returns the queue of ours to which a run belongs.
func queueOf(s dbos.WorkflowStatus) string {
	if s.QueuePartitionKey != "" {
		return queueLocked
	}
	return queueFree
}
