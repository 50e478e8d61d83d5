package incident

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// List implements [Runs]. What it returns is how things are when it is ranged over.
func (m *MemoryRuns) List(ctx context.Context, query RunQuery) iter.Seq2[RunRecord, error] {
	query.Labels, query.Statuses = maps.Clone(query.Labels), slices.Clone(query.Statuses)
	return func(yield func(RunRecord, error) bool) {
		if query.Limit < 0 {
			yield(RunRecord{}, fmt.Errorf("incident: list runs: the limit is %d; give zero for 100", query.Limit))
			return
		}
		if err := ctx.Err(); err != nil {
			yield(RunRecord{}, fmt.Errorf("incident: list runs: %w", err))
			return
		}
		for _, record := range m.chosen(query) {
			if !yield(record, nil) {
				return
			}
		}
	}
}

// chosen returns the runs of a query.
func (m *MemoryRuns) chosen(query RunQuery) (list []RunRecord) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var runs []*memoryRun
	for _, r := range m.order {
		if r.record.chosen(query) {
			runs = append(runs, r)
		}
	}
	slices.SortFunc(runs, func(a, b *memoryRun) int {
		return cmp.Or(b.record.At.Compare(a.record.At), cmp.Compare(b.number, a.number))
	})
	for _, r := range runs[:min(len(runs), cmp.Or(query.Limit, 100))] {
		list = append(list, r.head())
	}
	return list
}

// chosen reports whether a query chooses a run.
func (r *RunRecord) chosen(query RunQuery) bool {
	for name, value := range query.Labels {
		if has, ok := r.Labels[name]; !ok || has != value {
			return false
		}
	}
	return (query.Program == "" || r.Program == query.Program) && (query.Lock == "" || r.Lock == query.Lock) &&
		(len(query.Statuses) == 0 || slices.Contains(query.Statuses, r.Status)) && !r.At.Before(query.Since)
}

// Record implements [Runs]. If ctx ends while it waits, the error is that of ctx.
func (m *MemoryRuns) Record(ctx context.Context, id string, revision int64) (RunRecord, error) {
	var record RunRecord
	err := m.with(ctx, "read", id, func(r *memoryRun) error {
		for revision >= 0 && r.record.Revision <= revision {
			if goesOn, _ := r.pause(ctx, nil); !goesOn {
				return ctx.Err()
			}
			if m.runs[id] != r {
				return ErrNotFound
			}
		}
		record = r.clone()
		return nil
	})
	return record, err
}

// head returns a copy of the record without its entries.
func (r *memoryRun) head() RunRecord {
	c := r.record
	c.RunStart = cloneStart(c.RunStart)
	c.Entries, c.Open, c.Waits = nil, slices.Clone(c.Open), slices.Clone(c.Waits)
	c.Held, c.Cancelled, c.Result = clonePointer(c.Held), clonePointer(c.Cancelled), slices.Clone(c.Result)
	return c
}

// clone returns a copy of the record.
func (r *memoryRun) clone() RunRecord {
	c := r.head()
	c.Entries = slices.Clone(r.record.Entries)
	outcomes := make([]Outcome, len(c.Entries))
	for i, e := range c.Entries {
		if e.Outcome != nil {
			outcomes[i] = cloneOutcome(*e.Outcome)
			c.Entries[i].Outcome = &outcomes[i]
		}
		if e.Signal != nil {
			s := cloneSignal(*e.Signal)
			c.Entries[i].Signal = &s
		}
	}
	return c
}

func clonePointer(c *Control) *Control {
	if c == nil {
		return nil
	}
	clone := *c
	return &clone
}
