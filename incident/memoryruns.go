package incident

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// MemoryRunsConfig is what [NewMemoryRuns] is made of. The zero value is good.
type MemoryRunsConfig struct {
	// Process names this process in what is recorded. Empty means "memory".
	Process string
	// Keep is how many runs are kept that have ended, those that ended last. Of an
	// older one nothing is known any more, and its ID may be used again. Zero means
	// 1000, a negative number none.
	Keep int
	// Logger is told of panics, with where they happened. Nil means slog.Default().
	Logger *slog.Logger
}

// MemoryRuns keeps runs for as long as the process lives: for tests, and for a runbook
// that one person carries out from a terminal. It implements [Runs], and each run is
// given an [Engine] that works as the contract says, but for what would have to survive
// the process: a run that [MemoryRuns.Close] interrupted does not go on, and no call is
// ever found interrupted.
//
// Runs that are started before [MemoryRuns.Launch] are queued until then. Each run is one
// goroutine, and so is each call of a group. Time is that of package time, so that in a
// bubble of testing/synctest hours pass at once.
//
// Methods may be called concurrently. What they return is the caller's own.
type MemoryRuns struct {
	cfg MemoryRunsConfig

	mu       sync.Mutex
	runs     map[string]*memoryRun
	order    []*memoryRun            // as they were started
	started  int64                   // how many were, ever
	locks    map[string][]*memoryRun // who has a lock, and who waits for it, in order
	over     []*memoryRun            // as they ended
	programs map[string]Program
	ctx      context.Context // that of the runs; nil before Launch
	cancel   context.CancelCauseFunc
	closing  bool
	live     int           // goroutines of runs
	idle     chan struct{} // closed when there are none; nil if nobody waits
}

var _ Runs = (*MemoryRuns)(nil)

// NewMemoryRuns returns runs that begin when they are launched.
func NewMemoryRuns(cfg MemoryRunsConfig) *MemoryRuns {
	cfg.Process = cmp.Or(cfg.Process, "memory")
	cfg.Keep = max(cmp.Or(cfg.Keep, 1000), 0)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	return &MemoryRuns{cfg: cfg, runs: make(map[string]*memoryRun), locks: make(map[string][]*memoryRun)}
}

// memoryRun is one run, and the [Engine] of its program. The mutex of runs guards it.
type memoryRun struct {
	runs    *MemoryRuns
	number  int64 // of its start
	record  RunRecord
	orders  []int // of record.Entries: which calls of the program they are
	order   int   // of the next call
	used    map[StepID]struct{}
	taken   map[StepID]RunEntry // from the run that it was forked from, and not yet asked for
	current []StepID            // the calls that were made last
	first   int                 // the order of the first of them
	signals map[string][]memorySignal
	seen    map[string]struct{} // the IDs of signals
	watch   chan struct{}       // closed at the next change; nil if nobody waits
	cancel  context.CancelCauseFunc
	// interrupted says that its program was told that the process is to end.
	interrupted bool
}

// A memorySignal waits to be awaited.
type memorySignal struct {
	Signal
	arrived time.Time
}

var errClosing = errors.New("its process is to end")

// Launch begins to carry out runs, with the programs by their names. A run of a program
// that is not among them is stranded. The values of ctx, but not its end, are handed on
// to the programs. It can be called once.
func (m *MemoryRuns) Launch(ctx context.Context, programs map[string]Program) error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		if name == "" || programs[name] == nil {
			problems = append(problems, fmt.Errorf("incident: launch: program %q has no name or no function", name))
		}
	}
	if err := errors.Join(append(problems, ctx.Err())...); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx != nil || m.closing {
		return errors.New("incident: launch: these runs were launched or closed before; make new ones")
	}
	m.programs = maps.Clone(programs)
	m.ctx, m.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	for _, r := range m.order {
		m.turn(r)
	}
	return nil
}

// Close begins nothing any more, and waits for the calls that are under way. If ctx ends
// before they have, it cancels them, does not wait for them any more, and returns the
// error of ctx. Runs that have not ended are stranded; they can still be read.
func (m *MemoryRuns) Close(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closing = true
	for _, r := range m.order {
		if r.record.Status == RunQueued {
			r.strand("it had not begun when its process ended; start it again in another one")
		}
		r.wake()
	}
	for m.live > 0 {
		if m.idle == nil {
			m.idle = make(chan struct{})
		}
		idle := m.idle
		m.mu.Unlock()
		select {
		case <-idle:
			m.mu.Lock()
		case <-ctx.Done():
			m.mu.Lock()
			m.cancel(errClosing)
			return fmt.Errorf("incident: close: %d runs have calls under way, which were cancelled and not waited for: %w", m.live, ctx.Err())
		}
	}
	if m.cancel != nil {
		m.cancel(errClosing)
	}
	return nil
}

// turn begins a run that is queued if nothing keeps it.
func (m *MemoryRuns) turn(r *memoryRun) {
	if m.ctx == nil || m.closing || r.record.Status != RunQueued || r.record.Lock != "" && m.locks[r.record.Lock][0] != r {
		return
	}
	program := m.programs[r.record.Program]
	if program == nil {
		r.strand(fmt.Sprintf("there is no program %q here; cancel it", r.record.Program))
		return
	}
	ctx, cancel := context.WithCancelCause(m.ctx)
	r.cancel = cancel
	r.record.Status, r.record.Process = RunRunning, m.cfg.Process
	if r.record.Began.IsZero() {
		r.record.Began = time.Now()
	}
	r.changed()
	m.live++
	go r.carryOut(ctx, program, cloneStart(r.record.RunStart))
}

// carryOut runs the program.
func (r *memoryRun) carryOut(ctx context.Context, program Program, start RunStart) {
	var result json.RawMessage
	err := errors.New("its program ended its goroutine")
	defer func() {
		if p := recover(); p != nil {
			r.runs.cfg.Logger.ErrorContext(ctx, "incident: a program panicked", "run", start.ID, "program", start.Program, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("its program panicked: %v", p)
		}
		r.finish(ctx, result, err)
	}()
	if result, err = program(ctx, r, start); err == nil && len(result) > 0 && !json.Valid(result) {
		err = errors.New("its program returned a result that is not JSON")
	}
}

// finish records what the program returned.
func (r *memoryRun) finish(ctx context.Context, result json.RawMessage, err error) {
	m := r.runs
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case r.record.Status.Ended(): // it was cancelled meanwhile
	case r.interrupted, err != nil && ctx.Err() != nil:
		r.strand("it was under way when its process ended, and is in the memory of that process only")
	case err != nil:
		r.record.Error = err.Error()
		r.end(RunFailed)
	default:
		r.record.Result = slices.Clone(result)
		r.end(RunFinished)
	}
	r.cancel(nil)
	if m.live--; m.live == 0 && m.idle != nil {
		close(m.idle)
		m.idle = nil
	}
}

// strand says that nobody will carry the run out.
func (r *memoryRun) strand(attention string) {
	r.record.Status, r.record.Attention = RunStranded, attention
	r.changed()
}

// end ends the run, and lets the next one have its lock.
func (r *memoryRun) end(status RunStatus) {
	m := r.runs
	r.record.Status, r.record.Ended = status, time.Now()
	r.record.Held, r.record.Waits, r.record.Attention = nil, nil, ""
	r.used, r.taken, r.signals = nil, nil, nil
	r.changed()
	if lock := r.record.Lock; lock != "" {
		m.locks[lock] = without(m.locks[lock], r)
		if len(m.locks[lock]) == 0 {
			delete(m.locks, lock)
		} else {
			m.turn(m.locks[lock][0])
		}
	}
	m.over = append(m.over, r)
	for len(m.over) > m.cfg.Keep {
		oldest := m.over[0]
		m.over = slices.Delete(m.over, 0, 1)
		m.order = without(m.order, oldest)
		delete(m.runs, oldest.record.ID)
		oldest.wake()
	}
}

// without removes a run from a list.
func without(list []*memoryRun, r *memoryRun) []*memoryRun {
	if i := slices.Index(list, r); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// changed says that the record changed.
func (r *memoryRun) changed() {
	r.record.Revision++
	r.wake()
}

// wake lets everybody look again who waits for something of the run.
func (r *memoryRun) wake() {
	if r.watch != nil {
		close(r.watch)
		r.watch = nil
	}
}

// pause waits until there may be something new, unlocked. It returns false if ctx ended.
// More may be nil.
func (r *memoryRun) pause(ctx context.Context, more <-chan time.Time) (goesOn, fired bool) {
	if r.watch == nil {
		r.watch = make(chan struct{})
	}
	watch := r.watch
	r.runs.mu.Unlock()
	defer r.runs.mu.Lock()
	select {
	case <-watch:
		return true, false
	case <-more:
		return true, true
	case <-ctx.Done():
		return false, false
	}
}
