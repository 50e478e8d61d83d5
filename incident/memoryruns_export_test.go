package incident

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Survivor keeps runs beyond the MemoryRuns that carries them out, as a database does, so
// that the cases of the suite that need this can be shown to be right, and wrong engines
// to be noticed, without one.
type Survivor struct {
	Programs map[string]Program
	Config   MemoryRunsConfig
	// Change changes what survives. Nil means that all does, as it is.
	Change func(r *RunRecord)
	// Zombies lets a process that was abandoned go on.
	Zombies bool

	mu       sync.Mutex
	runs     *MemoryRuns
	number   int
	launched bool
}

// Runs returns what the runs are in now, launched or not.
func (s *Survivor) Runs() *MemoryRuns {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs == nil {
		s.runs = NewMemoryRuns(s.Config)
	}
	return s.runs
}

// Launch begins a process with the runs. If there is one it is that.
func (s *Survivor) Launch(ctx context.Context) (*MemoryRuns, error) {
	runs := s.Runs()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.launched {
		return runs, nil
	}
	s.launched = true
	s.number++
	runs.cfg.Process = fmt.Sprint("process ", s.number)
	programs := make(map[string]Program)
	for name, p := range s.Programs {
		programs[name] = func(ctx context.Context, e Engine, run RunStart) (json.RawMessage, error) {
			return p(ctx, reminded{e, e.(*memoryRun).attempts()}, run)
		}
	}
	return runs, runs.Launch(ctx, programs)
}

// attempts returns those that are open.
func (r *memoryRun) attempts() []Attempt {
	r.runs.mu.Lock()
	defer r.runs.mu.Unlock()
	return slices.Clone(r.record.Open)
}

// A reminded engine tells calls of the attempts that were interrupted.
type reminded struct {
	Engine
	open []Attempt
}

func (e reminded) Steps(ctx context.Context, calls []Call) ([]Outcome, error) {
	calls = slices.Clone(calls)
	for i, c := range calls {
		var mine []Attempt
		for _, a := range e.open {
			if a.Step == c.ID {
				mine = append(mine, a)
			}
		}
		calls[i].Do = func(ctx context.Context, _ []Attempt) Outcome { return c.Do(ctx, mine) }
	}
	return e.Engine.Steps(ctx, calls)
}

// Abandon takes the runs away from their process, which can begin nothing more, and does
// not begin another one.
func (s *Survivor) Abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.runs
	s.runs, s.launched = NewMemoryRuns(s.Config), false
	old.mu.Lock()
	defer old.mu.Unlock()
	old.closing = !s.Zombies
	s.runs.started = old.started
	for _, r := range old.order {
		s.adopt(r)
		r.wake()
	}
}

func (s *Survivor) adopt(r *memoryRun) {
	m := s.runs
	n := &memoryRun{
		runs: m, number: r.number, record: r.clone(), orders: slices.Clone(r.orders), current: slices.Clone(r.current), first: r.first,
		used: make(map[StepID]struct{}), taken: make(map[StepID]RunEntry), signals: maps.Clone(r.signals), seen: maps.Clone(r.seen),
	}
	m.runs[r.record.ID], m.order = n, append(m.order, n)
	if n.record.Status.Ended() {
		m.over = append(m.over, n)
		return
	}
	if s.Change != nil {
		s.Change(&n.record)
	}
	n.orders = n.orders[:len(n.record.Entries)]
	for _, e := range n.record.Entries {
		n.taken[e.ID] = e
	}
	n.record.Status, n.record.Attention, n.record.Waits = RunQueued, "", nil
	n.record.Revision++
	if lock := n.record.Lock; lock != "" {
		m.locks[lock] = append(m.locks[lock], n)
	}
}
