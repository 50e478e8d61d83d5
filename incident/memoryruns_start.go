package incident

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	maxRunID  = 100
	maxInput  = 1 << 20
	maxOutput = 64 << 10
)

// Start implements [Runs]. A run that is not given its At has the time of the call; which
// At it has does not matter for whether it is the same as another one.
func (m *MemoryRuns) Start(ctx context.Context, run RunStart) (RunRecord, error) {
	problem := run.Validate()
	if run.Fork != "" || run.ForkStep != "" || run.Reason != "" {
		problem = errors.Join(problem, errors.New("it says that it was forked; use Fork"))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.start(ctx, run, problem)
	if err != nil {
		return RunRecord{}, fmt.Errorf("incident: start run %q: %w", run.ID, err)
	}
	return r.clone(), nil
}

// validRunID reports whether a text can be the ID of a run.
func validRunID(id string) bool {
	for _, c := range id {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return id != "" && len(id) <= maxRunID
}

// start starts a run unless it is there. The mutex is locked.
func (m *MemoryRuns) start(ctx context.Context, run RunStart, problem error) (*memoryRun, error) {
	if err := cmp.Or(mayWrite(ctx), problem); err != nil {
		return nil, &unmade{err}
	}
	if r := m.runs[run.ID]; r != nil {
		if !sameStart(r.record.RunStart, run) {
			return nil, fmt.Errorf("%w: there is another run with this ID; choose a new one", ErrStale)
		}
		return r, nil
	}
	if err := m.takes(run); err != nil {
		return nil, err
	}
	if run.Refuse && run.Lock != "" && len(m.locks[run.Lock]) > 0 {
		return nil, fmt.Errorf("%w: run %q has the lock %q; wait for its end, or do not refuse", ErrBusy, m.locks[run.Lock][0].record.ID, run.Lock)
	}
	return m.add(run), nil
}

// takes returns why no such run can be started here, or nil.
func (m *MemoryRuns) takes(run RunStart) error {
	switch {
	case m.closing:
		return &unmade{errClosing}
	case m.ctx != nil && m.programs[run.Program] == nil:
		return &unmade{fmt.Errorf("there is no program %q; give it to Launch", run.Program)}
	}
	return nil
}

// add starts a run.
func (m *MemoryRuns) add(run RunStart) *memoryRun {
	run = cloneStart(run)
	if run.At.IsZero() {
		run.At = time.Now()
	}
	m.started++
	r := &memoryRun{runs: m, number: m.started, used: make(map[StepID]struct{}), record: RunRecord{RunStart: run, Status: RunQueued, Revision: 1}}
	m.runs[run.ID] = r
	m.order = append(m.order, r)
	if run.Lock != "" {
		m.locks[run.Lock] = append(m.locks[run.Lock], r)
	}
	if run.Fork == "" {
		m.turn(r)
	}
	return r
}

// sameStart reports whether a run is started again.
func sameStart(a, b RunStart) bool {
	return a.Program == b.Program && bytes.Equal(a.Input, b.Input) && a.Lock == b.Lock && a.Refuse == b.Refuse &&
		maps.Equal(a.Labels, b.Labels) && a.By == b.By && a.Fork == b.Fork && a.ForkStep == b.ForkStep && a.Reason == b.Reason
}

func cloneStart(run RunStart) RunStart {
	run.Input, run.Labels = slices.Clone(run.Input), maps.Clone(run.Labels)
	return run
}

// Fork implements [RunControl]. A call that was under way when the run was cancelled is
// one of its calls.
func (m *MemoryRuns) Fork(ctx context.Context, id string, from StepID, fork RunFork) (RunRecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.fork(ctx, id, from, fork)
	if err != nil {
		return RunRecord{}, fmt.Errorf("incident: fork run %q from %q: %w", id, from, err)
	}
	return r.clone(), nil
}

func (m *MemoryRuns) fork(ctx context.Context, id string, from StepID, fork RunFork) (*memoryRun, error) {
	if err := mayWrite(ctx); err != nil {
		return nil, &unmade{err}
	}
	old := m.runs[id]
	if old == nil {
		return nil, ErrNotFound
	}
	if !old.record.Status.Ended() {
		return nil, fmt.Errorf("%w: it is %s; cancel it, or wait for its end", ErrBusy, old.record.Status)
	}
	kept, ok := old.before(from)
	if !ok {
		return nil, fmt.Errorf("%w: it made no such call", ErrNotFound)
	}
	run := old.record.RunStart
	run.ID, run.By, run.At, run.Fork, run.ForkStep, run.Refuse = fork.ID, fork.By, time.Time{}, id, from, false
	run.Reason = fork.Reason
	if fork.Input != nil {
		run.Input = fork.Input
	}
	known := m.runs[run.ID] != nil
	r, err := m.start(ctx, run, run.Validate())
	if err != nil || known {
		return r, err
	}
	r.record.Entries, r.orders = slices.Clone(old.record.Entries[:kept]), slices.Clone(old.orders[:kept])
	r.taken = make(map[StepID]RunEntry, kept)
	for _, e := range r.record.Entries {
		r.taken[e.ID] = e
	}
	m.turn(r)
	return r, nil
}

// before returns how many entries are before a call that the run made.
func (r *memoryRun) before(id StepID) (kept int, ok bool) {
	kept = slices.IndexFunc(r.record.Entries, func(e RunEntry) bool { return e.ID == id })
	if kept >= 0 {
		return kept, true
	}
	i := slices.Index(r.current, id)
	if i < 0 {
		return 0, false
	}
	kept, _ = slices.BinarySearch(r.orders, r.first+i)
	return kept, true
}
