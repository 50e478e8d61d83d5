package drill

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// A journal is what is on the disk of the host: it lives on when the process is killed. Runs
// are recorded in it as the contract of incident.Engine says: before a call with an intent
// that it will be made, after it how it ended.
//
// It is for exercises: package durable does this in a database, which a bubble of virtual time
// has no place for.
type journal struct {
	incidents incident.MemoryStore
	alerts    alert.MemoryStore

	mu     sync.Mutex
	runs   []*journaled
	living string // the process that may write
}

// journaled is what is recorded of one run.
type journaled struct {
	start   incident.RunStart
	entries map[incident.StepID]incident.RunEntry
	intents map[incident.StepID][]incident.Attempt
	signals []journaledSignal // that were sent, in order
	ended   bool
}

type journaledSignal struct {
	topic string
	incident.Signal
}

// errKilled is what a process that was killed would get, if it could get anything.
var errKilled = errors.New("this process was killed")

// process returns the stores and the runs for a process that starts now. What an older one
// still wants to write is refused.
func (j *journal) process(name string) (*store, *alertStore, *runs) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.living = name
	s := &store{journal: j, process: name}
	return s, &alertStore{journal: j, process: name}, &runs{
		MemoryRuns: incident.NewMemoryRuns(incident.MemoryRunsConfig{Process: name}), journal: j, process: name,
	}
}

// kill makes the process that lives unable to write anything.
func (j *journal) kill() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.living = ""
}

// write does something to the journal, if the process lives.
func (j *journal) write(process string, do func()) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.living != process {
		return errKilled
	}
	do()
	return nil
}

func (j *journal) lives(process string) error { return j.write(process, func() {}) }

// run returns what is recorded of a run; nil if nothing is. The lock is held.
func (j *journal) run(id string) *journaled {
	i := slices.IndexFunc(j.runs, func(r *journaled) bool { return r.start.ID == id })
	if i < 0 {
		return nil
	}
	return j.runs[i]
}

// runs are runs that go on in the next process.
type runs struct {
	*incident.MemoryRuns
	journal *journal
	process string
}

var _ incident.Runs = (*runs)(nil)

// Start implements incident.Runs.
func (r *runs) Start(ctx context.Context, run incident.RunStart) (incident.RunRecord, error) {
	if err := r.journal.lives(r.process); err != nil {
		return incident.RunRecord{}, err
	}
	record, err := r.MemoryRuns.Start(ctx, run)
	if err != nil {
		return record, err
	}
	return record, r.journal.write(r.process, func() {
		if r.journal.run(run.ID) == nil {
			r.journal.runs = append(r.journal.runs, &journaled{
				start: record.RunStart, entries: make(map[incident.StepID]incident.RunEntry), intents: make(map[incident.StepID][]incident.Attempt),
			})
		}
	})
}

// Signal implements incident.Runs.
func (r *runs) Signal(ctx context.Context, id, topic string, s incident.Signal) error {
	err := r.journal.write(r.process, func() {
		if j := r.journal.run(id); j != nil && !slices.ContainsFunc(j.signals, func(old journaledSignal) bool { return old.ID == s.ID }) {
			j.signals = append(j.signals, journaledSignal{topic: topic, Signal: s})
		}
	})
	if err != nil {
		return err
	}
	return r.MemoryRuns.Signal(ctx, id, topic, s)
}

// Cancel implements incident.Runs.
func (r *runs) Cancel(ctx context.Context, id string, c incident.Control) error {
	if err := r.MemoryRuns.Cancel(ctx, id, c); err != nil {
		return err
	}
	return r.over(id)
}

// over records that a run has ended.
func (r *runs) over(id string) error {
	return r.journal.write(r.process, func() {
		if j := r.journal.run(id); j != nil {
			j.ended = true
		}
	})
}

// Launch starts again what had not ended when the process before was killed, and begins to
// carry out runs.
func (r *runs) Launch(ctx context.Context, programs map[string]incident.Program) error {
	kept := make(map[string]incident.Program, len(programs))
	for name, program := range programs {
		kept[name] = func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
			result, err := program(ctx, &engine{Engine: e, runs: r, id: run.ID}, run)
			if ctx.Err() == nil {
				err = errors.Join(err, r.over(run.ID))
			}
			return result, err
		}
	}
	var again []*journaled
	if err := r.journal.write(r.process, func() {
		again = slices.DeleteFunc(slices.Clone(r.journal.runs), func(j *journaled) bool { return j.ended })
	}); err != nil {
		return err
	}
	for _, j := range again {
		if _, err := r.MemoryRuns.Start(ctx, j.start); err != nil {
			return err
		}
		for _, s := range j.signals {
			if err := r.MemoryRuns.Signal(ctx, j.start.ID, s.topic, s.Signal); err != nil {
				return err
			}
		}
	}
	return r.MemoryRuns.Launch(ctx, kept)
}

// engine is the engine of one run: what is in the journal is not done again.
type engine struct {
	incident.Engine
	runs *runs
	id   string
}

// recorded returns what the journal has of a call.
func (e *engine) recorded(id incident.StepID) (entry incident.RunEntry, prior []incident.Attempt, known bool) {
	e.runs.journal.mu.Lock()
	defer e.runs.journal.mu.Unlock()
	if j := e.runs.journal.run(e.id); j != nil {
		entry, known = j.entries[id]
		prior = slices.Clone(j.intents[id])
	}
	return entry, prior, known
}

// record writes down a call that has ended.
func (e *engine) record(entry incident.RunEntry) error {
	return e.runs.journal.write(e.runs.process, func() {
		if j := e.runs.journal.run(e.id); j != nil {
			j.entries[entry.ID] = entry
		}
	})
}

// Steps implements incident.Engine.
func (e *engine) Steps(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
	calls = slices.Clone(calls)
	for i, call := range calls {
		if entry, _, known := e.recorded(call.ID); known && entry.Outcome != nil {
			calls[i].Intent, calls[i].Do = false, func(context.Context, []incident.Attempt) incident.Outcome { return *entry.Outcome }
			continue
		}
		calls[i].Do = func(ctx context.Context, _ []incident.Attempt) incident.Outcome { return e.call(ctx, call) }
	}
	return e.Engine.Steps(ctx, calls)
}

// call makes a call and records it.
func (e *engine) call(ctx context.Context, call incident.Call) incident.Outcome {
	_, prior, _ := e.recorded(call.ID)
	began := time.Now()
	if call.Intent {
		attempt := incident.Attempt{Step: call.ID, Process: e.runs.process, At: began}
		if err := e.runs.journal.write(e.runs.process, func() {
			if j := e.runs.journal.run(e.id); j != nil {
				j.intents[call.ID] = append(j.intents[call.ID], attempt)
			}
		}); err != nil {
			return incident.Outcome{Status: incident.Failed, Unsent: true, Message: err.Error()}
		}
	}
	o := call.Do(ctx, prior)
	o.Process = cmp.Or(o.Process, e.runs.process)
	o.Began, o.Ended = or(o.Began, began), or(o.Ended, time.Now())
	if err := e.record(incident.RunEntry{ID: call.ID, Outcome: &o}); err != nil {
		return incident.Outcome{Status: incident.Unknown, Message: err.Error()}
	}
	return o
}

// Sleep implements incident.Engine.
func (e *engine) Sleep(ctx context.Context, id incident.StepID, until time.Time) error {
	if entry, _, known := e.recorded(id); known {
		until = entry.Slept
	}
	if err := e.Engine.Sleep(ctx, id, until); err != nil {
		return err
	}
	return e.record(incident.RunEntry{ID: id, Slept: until})
}

// Await implements incident.Engine. The signals of a run were sent to it again in their order,
// so that it takes the same ones.
func (e *engine) Await(ctx context.Context, id incident.StepID, topic string, deadline time.Time) (incident.Signal, error) {
	if entry, _, known := e.recorded(id); known && entry.Signal != nil && !entry.Signal.Expired {
		deadline = time.Time{} // it came in time, to the process before
	}
	s, err := e.Engine.Await(ctx, id, topic, deadline)
	if err != nil {
		return s, err
	}
	return s, e.record(incident.RunEntry{ID: id, Signal: &s})
}

// store is the store of incidents of one process.
type store struct {
	journal *journal
	process string
}

var _ incident.Store = (*store)(nil)

func (s *store) Document(ctx context.Context, kind, id string) (incident.Document, error) {
	return s.journal.incidents.Document(ctx, kind, id)
}

func (s *store) Documents(ctx context.Context, q incident.DocumentQuery) iter.Seq2[incident.Document, error] {
	return s.journal.incidents.Documents(ctx, q)
}

func (s *store) Entries(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error] {
	return s.journal.incidents.Entries(ctx, chain, after)
}

// Commit implements incident.Store.
func (s *store) Commit(ctx context.Context, c incident.Change) (incident.Change, error) {
	if err := s.journal.lives(s.process); err != nil {
		return incident.Change{}, err
	}
	return s.journal.incidents.Commit(ctx, c)
}

// Delete implements incident.Store.
func (s *store) Delete(ctx context.Context, kind, id, chain string) error {
	if err := s.journal.lives(s.process); err != nil {
		return err
	}
	return s.journal.incidents.Delete(ctx, kind, id, chain)
}

// alertStore is the store of the alert router of one process.
type alertStore struct {
	journal *journal
	process string
}

var _ alert.Store = (*alertStore)(nil)

func (s *alertStore) Open(ctx context.Context) iter.Seq2[alert.Record, error] {
	return s.journal.alerts.Open(ctx)
}

// Write implements alert.Store.
func (s *alertStore) Write(ctx context.Context, changes []alert.Record) error {
	if err := s.journal.lives(s.process); err != nil {
		return err
	}
	return s.journal.alerts.Write(ctx, changes)
}
