package durable

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"go.acu.edu.au/runbook/incident"
)

// poll is how often a record that somebody waits for is read: what another process
// records comes without a word.
const poll = 250 * time.Millisecond

// Record implements [incident.Runs]. If ctx ends while it waits, the error is that of ctx.
func (r *Runs) Record(ctx context.Context, id string, revision int64) (incident.RunRecord, error) {
	wake, end := r.hub.subscribe(id)
	defer end()
	for {
		processes := sync.OnceValues(func() ([]process, error) { return r.processes(ctx) })
		record, f, err := r.readRow(ctx, id, processes)
		if err != nil {
			return incident.RunRecord{}, fmt.Errorf("durable: read run %q: %w", id, err)
		}
		if revision < 0 || record.Revision > revision {
			return record, nil
		}
		if r.notice(ctx, f, processes) {
			continue
		}
		timer := time.NewTimer(poll)
		select {
		case <-wake:
		case <-timer.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if timer.Stop(); err != nil {
			return incident.RunRecord{}, fmt.Errorf("durable: read run %q: %w", id, err)
		}
	}
}

// List implements [incident.Runs]. It reads in parts, while it is ranged over.
func (r *Runs) List(ctx context.Context, query incident.RunQuery) iter.Seq2[incident.RunRecord, error] {
	query.Labels, query.Statuses = maps.Clone(query.Labels), slices.Clone(query.Statuses)
	return func(yield func(incident.RunRecord, error) bool) {
		err := r.list(ctx, query, func(record incident.RunRecord) bool { return yield(record, nil) })
		if err != nil {
			yield(incident.RunRecord{}, fmt.Errorf("durable: list runs: %w", err))
		}
	}
}

func (r *Runs) list(ctx context.Context, query incident.RunQuery, yield func(incident.RunRecord) bool) error {
	if query.Limit < 0 {
		return fmt.Errorf("the limit is %d; give zero for 100", query.Limit)
	}
	const part = 200
	left := cmp.Or(query.Limit, 100)
	where, args := conditions(query)
	processes := sync.OnceValues(func() ([]process, error) { return r.processes(ctx) })
	for after := (row{}); ; {
		condition, all := where, args
		if after.number != 0 {
			n := len(args)
			condition += fmt.Sprintf(" AND (at < $%d OR at = $%d AND number < $%d)", n+1, n+2, n+3)
			all = append(slices.Clone(args), after.at, after.at, after.number)
		}
		rows, err := r.rows(ctx, condition+fmt.Sprintf(" ORDER BY at DESC, number DESC LIMIT %d", part), all...)
		if err != nil {
			return err
		}
		for _, found := range rows {
			record, err := r.record(ctx, found, false, processes)
			if err != nil {
				return err
			}
			if len(query.Statuses) > 0 && !slices.Contains(query.Statuses, record.Status) {
				continue
			}
			if left--; !yield(record) || left == 0 {
				return nil
			}
		}
		if len(rows) < part {
			return nil
		}
		after = rows[len(rows)-1]
	}
}

// conditions makes SQL of a query, but for statuses, of which some are not stored.
func conditions(query incident.RunQuery) (string, []any) {
	where := []string{"1 = 1"}
	var args []any
	add := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		where = append(where, condition)
	}
	if query.Program != "" {
		add("program = ?", query.Program)
	}
	if query.Lock != "" {
		add("lock_name = ?", query.Lock)
	}
	if !query.Since.IsZero() {
		add("at >= ?", micros(query.Since))
	}
	for name, value := range query.Labels {
		add("id IN (SELECT run FROM runbook_run_labels WHERE name = ? AND value = ?)", name, value)
	}
	if len(query.Statuses) > 0 && !slices.ContainsFunc(query.Statuses, incident.RunStatus.Ended) {
		add("ended = 0")
	}
	return strings.Join(where, " AND "), args
}

// A row is a run as it is in our table.
type row struct {
	number, at, began, ended, revision                            int64
	id, start, version, owner, process, status, failure, stranded string
	shown                                                         standing
	result, held, cancelled, taken                                sql.NullString
}

func (r *Runs) rows(ctx context.Context, condition string, args ...any) (list []row, err error) {
	rows, err := r.db.QueryContext(plain{ctx}, `SELECT number, at, began, ended, revision, id, start, version, owner, process, status, error, stranded, shown, result, held, cancelled, taken
		FROM runbook_runs WHERE `+condition, args...)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("the database of the runs cannot be read, and they stand still; they go on by themselves when it can: %w", err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var f row
		if err := rows.Scan(&f.number, &f.at, &f.began, &f.ended, &f.revision, &f.id, &f.start, &f.version, &f.owner, &f.process, &f.status, &f.failure, &f.stranded, &f.shown, &f.result, &f.held, &f.cancelled, &f.taken); err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, rows.Err()
}

// read returns a run with everything that was recorded.
func (r *Runs) read(ctx context.Context, id string) (incident.RunRecord, error) {
	record, _, err := r.readRow(ctx, id, func() ([]process, error) { return r.processes(ctx) })
	return record, err
}

// readRow returns what it was read from as well.
func (r *Runs) readRow(ctx context.Context, id string, processes func() ([]process, error)) (incident.RunRecord, row, error) {
	rows, err := r.rows(ctx, "id = $1", id)
	if err != nil {
		return incident.RunRecord{}, row{}, err
	}
	if len(rows) == 0 {
		return incident.RunRecord{}, row{}, incident.ErrNotFound
	}
	record, err := r.record(ctx, rows[0], true, processes)
	return record, rows[0], err
}

// record makes a record of a row. Its revision is ours, which grows with all that we
// store, and the number of the calls that DBOS recorded.
func (r *Runs) record(ctx context.Context, f row, entries bool, processes func() ([]process, error)) (record incident.RunRecord, err error) {
	if err := json.Unmarshal([]byte(f.start), &record.RunStart); err != nil {
		return record, err
	}
	for text, to := range map[*sql.NullString]**incident.Control{&f.held: &record.Held, &f.cancelled: &record.Cancelled} {
		if text.Valid {
			*to = new(incident.Control)
			if err := json.Unmarshal([]byte(text.String), *to); err != nil {
				return record, err
			}
		}
	}
	record.Process, record.Error = f.process, f.failure
	record.Began, record.Ended, record.Revision = instant(f.began), instant(f.ended), f.revision
	if f.result.Valid {
		record.Result = json.RawMessage(f.result.String)
	}
	steps := make(map[incident.StepID]bool)
	if entries {
		list, _, err := r.entries(ctx, record.ID)
		if err != nil {
			return record, err
		}
		record.Entries = list
		for _, e := range list {
			steps[e.ID] = true
		}
	} else {
		list, err := dbos.GetWorkflowSteps(r.client(ctx), record.ID, dbos.WithStepsLoadOutput(false))
		if err != nil {
			return record, err
		}
		for _, s := range list {
			steps[incident.StepID(s.StepName)] = true
		}
	}
	record.Revision += int64(len(steps))
	if err := r.unfinished(ctx, &record, steps, entries || f.ended == 0); err != nil {
		return record, err
	}
	return record, r.condition(f, processes, &record)
}

// entries returns what DBOS recorded, and the number of each.
func (r *Runs) entries(ctx context.Context, id string) (entries []incident.RunEntry, numbers []int, err error) {
	steps, err := dbos.GetWorkflowSteps(r.client(ctx), id, dbos.WithStepsLoadOutput(true))
	if err != nil {
		return nil, nil, err
	}
	for _, s := range steps {
		text, ok := s.Output.(string)
		if !ok {
			return nil, nil, fmt.Errorf("the record of call %q is not ours", s.StepName)
		}
		var e incident.RunEntry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return nil, nil, fmt.Errorf("the record of call %q cannot be read: %w", s.StepName, err)
		}
		e.ID = incident.StepID(s.StepName)
		entries, numbers = append(entries, e), append(numbers, s.StepID)
	}
	return entries, numbers, nil
}

// unfinished adds the calls and the waits that have no outcome.
func (r *Runs) unfinished(ctx context.Context, record *incident.RunRecord, steps map[incident.StepID]bool, read bool) (err error) {
	if !read {
		return nil
	}
	attempts, err := r.db.QueryContext(plain{ctx}, "SELECT step, process, at FROM runbook_run_attempts WHERE run = $1 ORDER BY call, number", record.ID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, attempts.Close()) }()
	for attempts.Next() {
		var a incident.Attempt
		var at int64
		if err := attempts.Scan(&a.Step, &a.Process, &at); err != nil {
			return err
		}
		if a.At = instant(at); !steps[a.Step] {
			record.Open = append(record.Open, a)
		}
	}
	if err := attempts.Err(); err != nil || !record.Ended.IsZero() {
		return err
	}
	waits, err := r.db.QueryContext(plain{ctx}, "SELECT step, topic, until, since FROM runbook_run_waits WHERE run = $1 ORDER BY call", record.ID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, waits.Close()) }()
	for waits.Next() {
		var w incident.RunWait
		var until, since int64
		if err := waits.Scan(&w.ID, &w.Topic, &until, &since); err != nil {
			return err
		}
		if w.Until, w.Since = instant(until), instant(since); !steps[w.ID] {
			record.Waits = append(record.Waits, w)
		}
	}
	return waits.Err()
}
