package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.acu.edu.au/runbook"
)

// change calls f with a run that is to be changed, locked.
func (m *MemoryRuns) change(ctx context.Context, what, id string, f func(r *memoryRun) error) error {
	if runbook.IsReadOnly(ctx) {
		return fmt.Errorf("incident: %s run %q: %w", what, id, runbook.ErrReadOnly)
	}
	return m.with(ctx, what, id, f)
}

// with calls f with a run, locked.
func (m *MemoryRuns) with(ctx context.Context, what, id string, f func(r *memoryRun) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.runs[id], ctx.Err()
	switch {
	case err != nil:
		err = &unmade{err}
	case r == nil:
		err = ErrNotFound
	default:
		err = f(r)
	}
	if err != nil {
		return fmt.Errorf("incident: %s run %q: %w", what, id, err)
	}
	return nil
}

// ended is the error of a run that has ended.
func (r *memoryRun) ended() error {
	return fmt.Errorf("%w: it is %s", ErrStale, r.record.Status)
}

var _ RunForgetter = (*MemoryRuns)(nil)

// Forget implements [RunForgetter].
func (m *MemoryRuns) Forget(ctx context.Context, id string) error {
	err := m.change(ctx, "forget", id, func(r *memoryRun) error {
		if !r.record.Status.Ended() {
			return &unmade{fmt.Errorf("%w: it has not ended", ErrBusy)}
		}
		m.over, m.order = without(m.over, r), without(m.order, r)
		delete(m.runs, id)
		r.wake()
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Signal implements [Runs].
func (m *MemoryRuns) Signal(ctx context.Context, id, topic string, s Signal) error {
	return m.change(ctx, "signal", id, func(r *memoryRun) error {
		switch {
		case s.ID == "" || topic == "":
			return &unmade{errors.New("the signal has no ID or no topic")}
		case len(s.Data) > maxOutput:
			return &unmade{fmt.Errorf("the signal has %d bytes of data, and may have %d", len(s.Data), maxOutput)}
		case len(s.Data) > 0 && !json.Valid(s.Data):
			return &unmade{errors.New("the data of the signal are not JSON")}
		}
		if _, twice := r.seen[s.ID]; twice {
			return nil
		}
		if r.record.Status.Ended() {
			return r.ended()
		}
		if r.seen == nil {
			r.seen, r.signals = make(map[string]struct{}), make(map[string][]memorySignal)
		}
		r.seen[s.ID] = struct{}{}
		sent := memorySignal{cloneSignal(s), time.Now()}
		if sent.Expired = false; sent.At.IsZero() {
			sent.At = sent.arrived
		}
		r.signals[topic] = append(r.signals[topic], sent)
		r.wake()
		return nil
	})
}

func cloneSignal(s Signal) Signal {
	s.Data = slices.Clone(s.Data)
	return s
}

func cloneOutcome(o Outcome) Outcome {
	o.Output = slices.Clone(o.Output)
	return o
}

// now gives a control its time.
func (c Control) now() *Control {
	if c.At.IsZero() {
		c.At = time.Now()
	}
	return &c
}

// Hold implements [RunControl].
func (m *MemoryRuns) Hold(ctx context.Context, id string, c Control) error {
	return m.change(ctx, "hold", id, func(r *memoryRun) error {
		if r.record.Status.Ended() {
			return r.ended()
		}
		if r.record.Held == nil {
			r.record.Held = c.now()
			r.changed()
		}
		return nil
	})
}

// Release implements [RunControl].
func (m *MemoryRuns) Release(ctx context.Context, id string, _ Control) error {
	return m.change(ctx, "release", id, func(r *memoryRun) error {
		if r.record.Held != nil {
			r.record.Held = nil
			r.changed()
		}
		return nil
	})
}

// Cancel implements [RunControl].
func (m *MemoryRuns) Cancel(ctx context.Context, id string, c Control) error {
	return m.change(ctx, "cancel", id, func(r *memoryRun) error {
		switch {
		case r.record.Cancelled != nil:
			return nil
		case r.record.Status.Ended():
			return r.ended()
		}
		r.cancelled(c)
		return nil
	})
}

// cancelled ends a run that somebody cancels.
func (r *memoryRun) cancelled(c Control) {
	r.record.Cancelled = c.now()
	r.end(RunCancelled)
	if r.cancel != nil {
		r.cancel(r.over())
	}
}

// Replace implements [RunControl].
func (m *MemoryRuns) Replace(ctx context.Context, runs []Replacement) ([]RunRecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.replaceable(ctx, runs); err != nil {
		return nil, fmt.Errorf("incident: replace runs: %w", err)
	}
	for _, r := range slices.Backward(runs) { // who has the lock last, so that none of them gets it
		m.runs[r.ID].cancelled(r.Control)
	}
	records := make([]RunRecord, len(runs))
	for i, r := range runs {
		records[i] = m.add(r.Start).clone()
	}
	return records, nil
}

// replaceable returns why runs cannot be replaced, or nil.
func (m *MemoryRuns) replaceable(ctx context.Context, runs []Replacement) error {
	if err := mayWrite(ctx); err != nil {
		return &unmade{err}
	}
	old, added := make(map[string]bool), make(map[string]bool)
	for _, r := range runs {
		if err := r.Validate(); err != nil {
			return &unmade{err}
		}
		run := m.runs[r.ID]
		switch {
		case old[r.ID] || added[r.Start.ID]:
			return &unmade{fmt.Errorf("run %q, in the place of run %q: one of them is named twice", r.Start.ID, r.ID)}
		case run == nil:
			return fmt.Errorf("run %q: %w", r.ID, ErrNotFound)
		case run.record.Status.Ended():
			return fmt.Errorf("run %q: %w", r.ID, run.ended())
		case run.record.Revision != r.Revision || run.unread():
			return fmt.Errorf("run %q: %w: it has gone on since it was looked at, or was told something", r.ID, ErrStale)
		case m.runs[r.Start.ID] != nil:
			return fmt.Errorf("run %q, in the place of run %q: %w: there is one with this ID", r.Start.ID, r.ID, ErrStale)
		}
		if err := m.takes(r.Start); err != nil {
			return err
		}
		old[r.ID], added[r.Start.ID] = true, true
	}
	return nil
}

// unread reports whether there is a signal that the run has not taken.
func (r *memoryRun) unread() bool {
	for _, waiting := range r.signals {
		if len(waiting) > 0 {
			return true
		}
	}
	return false
}
