package incident_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// A ledger keeps what is recorded of runs across processes, as a database does, and is a
// [incident.Runs] of its own. A process carries them out until it is killed.
type ledger struct {
	incident.RunControl // none of it

	mu    sync.Mutex
	runs  map[string]*ledgerRun
	order []string
	news  chan struct{} // closed when something changed
}

type ledgerRun struct {
	incident.RunRecord
	signals []incident.Signal // that nobody has awaited yet
}

func newLedger() *ledger {
	return &ledger{runs: make(map[string]*ledgerRun), news: make(chan struct{})}
}

// changed is called with the lock.
func (l *ledger) changed() {
	close(l.news)
	l.news = make(chan struct{})
}

func (l *ledger) Start(_ context.Context, run incident.RunStart) (incident.RunRecord, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.runs[run.ID]; r != nil {
		if string(r.Input) != string(run.Input) {
			return incident.RunRecord{}, incident.ErrStale
		}
		return r.RunRecord, nil
	}
	l.runs[run.ID] = &ledgerRun{RunRecord: incident.RunRecord{RunStart: run, Status: incident.RunQueued}}
	l.order = append(l.order, run.ID)
	l.changed()
	return l.runs[run.ID].RunRecord, nil
}

func (l *ledger) List(_ context.Context, q incident.RunQuery) iter.Seq2[incident.RunRecord, error] {
	return func(yield func(incident.RunRecord, error) bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, id := range slices.Backward(l.order) {
			r := l.runs[id].RunRecord
			fits := len(q.Statuses) == 0 || slices.Contains(q.Statuses, r.Status)
			for name, value := range q.Labels {
				fits = fits && r.Labels[name] == value
			}
			if r.Entries = nil; fits && !yield(r, nil) {
				return
			}
		}
	}
}

func (l *ledger) Record(_ context.Context, id string, _ int64) (incident.RunRecord, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.runs[id]
	if r == nil {
		return incident.RunRecord{}, incident.ErrNotFound
	}
	record := r.RunRecord
	record.Entries, record.Open = slices.Clone(r.Entries), slices.Clone(r.Open)
	return record, nil
}

func (l *ledger) Signal(_ context.Context, id, _ string, s incident.Signal) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.runs[id]
	switch {
	case r == nil:
		return incident.ErrNotFound
	case r.Status.Ended():
		return incident.ErrStale
	}
	r.signals = append(r.signals, s)
	l.changed()
	return nil
}

// The points at which a process can be killed.
const (
	afterIntent = "after the intent"  // and before the call
	afterEffect = "after the effect"  // and before its outcome is recorded
	afterRecord = "after the outcome" // and before what comes next
	whileItWait = "while it waits"
)

// A ledgerProcess carries out the runs of a ledger.
type ledgerProcess struct {
	l    *ledger
	name string
	// kill says whether it is killed at a point of a call.
	kill func(point string, id incident.StepID) bool

	ctx    context.Context
	cancel context.CancelFunc
	dead   bool // guarded by l.mu
	all    sync.WaitGroup
}

var errLedgerKilled = errors.New("killed")

// process starts one that carries out everything that has not ended, until it is killed or
// stop is called.
func (l *ledger) process(ctx context.Context, name string, programs map[string]incident.Program, kill func(point string, id incident.StepID) bool) *ledgerProcess {
	p := &ledgerProcess{l: l, name: name, kill: kill}
	p.ctx, p.cancel = context.WithCancel(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range l.order {
		r := l.runs[id]
		if r.Status.Ended() {
			continue
		}
		r.Status = incident.RunRunning
		p.all.Go(func() {
			result, err := programs[r.Program](p.ctx, &ledgerEngine{p, r}, r.RunStart)
			l.mu.Lock()
			defer l.mu.Unlock()
			switch {
			case p.dead:
			case err != nil:
				r.Status, r.Error = incident.RunFailed, err.Error()
			default:
				r.Status, r.Result = incident.RunFinished, result
			}
		})
	}
	return p
}

// stop kills it between two calls.
func (p *ledgerProcess) stop() {
	p.l.mu.Lock()
	p.dead = true
	p.l.mu.Unlock()
	p.cancel()
	p.all.Wait()
}

// alive reports whether it goes on.
func (p *ledgerProcess) alive() bool {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	return !p.dead
}

// dies reports whether it is dead, or dies at this point. It is called with the lock.
func (p *ledgerProcess) dies(point string, id incident.StepID) bool {
	if !p.dead && p.kill != nil && p.kill(point, id) {
		p.dead = true
		p.cancel()
	}
	return p.dead
}

type ledgerEngine struct {
	p *ledgerProcess
	r *ledgerRun
}

func (e *ledgerEngine) entry(id incident.StepID) (incident.RunEntry, bool) {
	i := slices.IndexFunc(e.r.Entries, func(entry incident.RunEntry) bool { return entry.ID == id })
	if i < 0 {
		return incident.RunEntry{}, false
	}
	return e.r.Entries[i], true
}

// record keeps an entry as JSON keeps it.
func (e *ledgerEngine) record(entry incident.RunEntry) incident.RunEntry {
	data, err := json.Marshal(entry)
	if err == nil {
		entry = incident.RunEntry{}
		err = json.Unmarshal(data, &entry)
	}
	if err != nil {
		panic(fmt.Sprintf("%s cannot be recorded: %v", entry.ID, err))
	}
	e.r.Entries = append(e.r.Entries, entry)
	return entry
}

func (e *ledgerEngine) Steps(_ context.Context, calls []incident.Call) ([]incident.Outcome, error) {
	outcomes := make([]incident.Outcome, len(calls))
	for i, c := range calls { // one after the other, so that a kill point is one point
		o, err := e.step(c)
		if err != nil {
			return nil, err
		}
		outcomes[i] = o
	}
	return outcomes, nil
}

func (e *ledgerEngine) step(c incident.Call) (incident.Outcome, error) {
	l := e.p.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.p.dead {
		return incident.Outcome{}, errLedgerKilled
	}
	if entry, ok := e.entry(c.ID); ok {
		return *entry.Outcome, nil
	}
	var interrupted []incident.Attempt
	if c.Intent {
		for _, a := range e.r.Open {
			if a.Step == c.ID {
				interrupted = append(interrupted, a)
			}
		}
		e.r.Open = append(e.r.Open, incident.Attempt{Step: c.ID, Process: e.p.name, At: time.Now()})
	}
	if e.p.dies(afterIntent, c.ID) {
		return incident.Outcome{}, errLedgerKilled
	}
	began := time.Now()
	l.mu.Unlock()
	o := c.Do(e.p.ctx, interrupted)
	l.mu.Lock()
	if e.p.dies(afterEffect, c.ID) {
		return incident.Outcome{}, errLedgerKilled
	}
	o.Process, o.Began, o.Ended = e.p.name, began, time.Now()
	e.r.Open = slices.DeleteFunc(e.r.Open, func(a incident.Attempt) bool { return a.Step == c.ID })
	entry := e.record(incident.RunEntry{ID: c.ID, Outcome: &o})
	if e.p.dies(afterRecord, c.ID) {
		return incident.Outcome{}, errLedgerKilled
	}
	return *entry.Outcome, nil
}

func (e *ledgerEngine) Sleep(context.Context, incident.StepID, time.Time) error {
	panic("an escalation does not sleep")
}

func (e *ledgerEngine) Await(_ context.Context, id incident.StepID, _ string, deadline time.Time) (incident.Signal, error) {
	l := e.p.l
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if e.p.dead {
			return incident.Signal{}, errLedgerKilled
		}
		if entry, ok := e.entry(id); ok {
			return *entry.Signal, nil
		}
		var found *incident.Signal
		switch {
		case len(e.r.signals) > 0 && (deadline.IsZero() || !e.r.signals[0].At.After(deadline)):
			found, e.r.signals = &e.r.signals[0], e.r.signals[1:]
		case !deadline.IsZero() && !time.Now().Before(deadline):
			found = &incident.Signal{At: deadline, Expired: true}
		}
		if found != nil {
			entry := e.record(incident.RunEntry{ID: id, Signal: found})
			if e.p.dies(afterRecord, id) {
				return incident.Signal{}, errLedgerKilled
			}
			return *entry.Signal, nil
		}
		if e.p.dies(whileItWait, id) {
			return incident.Signal{}, errLedgerKilled
		}
		e.pause(deadline)
	}
}

// pause waits for something new, with the lock given back meanwhile.
func (e *ledgerEngine) pause(deadline time.Time) {
	news := e.p.l.news
	e.p.l.mu.Unlock()
	defer e.p.l.mu.Lock()
	var due <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-news:
	case <-due:
	case <-e.p.ctx.Done():
	}
}

// letPass lets everything happen that does.
func letPass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
