package health

import (
	"fmt"
	"slices"
	"time"
)

// SetMaintenance replaces the times in which everything is in maintenance or,
// with the name of a check, those of that check. It holds at once.
func (m *Monitor) SetMaintenance(check string, windows ...Window) error {
	for _, w := range windows {
		if err := w.Validate(); err != nil {
			return fmt.Errorf("health: maintenance: %w", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	place, err := m.windows(check)
	if err != nil {
		return err
	}
	*place = slices.Clone(windows)
	m.reviewWindows(time.Now())
	m.wakeUp()
	return nil
}

// Maintenance returns the times in which everything is in maintenance or, with
// the name of a check, those of that check alone.
func (m *Monitor) Maintenance(check string) ([]Window, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	place, err := m.windows(check)
	if err != nil {
		return nil, err
	}
	return slices.Clone(*place), nil
}

// ChangeMaintenance changes the times in which everything is in maintenance or, with the
// name of a check, those of that check, in one step: change gets what there is and returns
// what there is to be. So several who each have windows of their own, by whose names they
// know them, do not undo each other's. change must not call the monitor. If a window that it
// returns is not valid, all stays as it was.
func (m *Monitor) ChangeMaintenance(check string, change func(now []Window) []Window) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	place, err := m.windows(check)
	if err != nil {
		return err
	}
	wanted := slices.Clone(change(slices.Clone(*place)))
	for _, w := range wanted {
		if err := w.Validate(); err != nil {
			return fmt.Errorf("health: maintenance: %w", err)
		}
	}
	*place = wanted
	m.reviewWindows(time.Now())
	m.wakeUp()
	return nil
}

// windows returns where the windows of a check are, or of all. Monitor.mu is
// held.
func (m *Monitor) windows(check string) (*[]Window, error) {
	if check == "" {
		return &m.cfg.Maintenance, nil
	}
	e, ok := m.entries[check]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNoCheck, check)
	}
	return &e.check.Maintenance, nil
}

// reviewWindows puts checks into maintenance and out of it, and notes when to
// look again. Monitor.mu is held.
func (m *Monitor) reviewWindows(now time.Time) {
	all, edge := within(m.cfg.Maintenance, now)
	for _, e := range m.order {
		own, next := within(e.check.Maintenance, now)
		edge = firstOf(edge, next)
		if e.maintained != (all || own) {
			e.maintained = all || own
			m.show(e, now, nil)
		}
	}
	m.edge = edge
	m.cached.Store(nil) // State.Until can change where the status does not
}

// within reports whether now is in one of the windows, and when that may change
// next; zero is never.
func within(windows []Window, now time.Time) (in bool, edge time.Time) {
	for _, w := range windows {
		next, ok := w.Next(now)
		switch {
		case !ok:
		case next.Start.After(now):
			edge = firstOf(edge, next.Start)
		default:
			in = true
			edge = firstOf(edge, next.End)
		}
	}
	return in, edge
}

// firstOf returns the earlier of two times, of which zero is never.
func firstOf(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// until returns when the maintenance that e is in ends. Monitor.mu is held.
func (m *Monitor) until(e *entry, now time.Time) time.Time {
	var until time.Time
	for _, windows := range [][]Window{m.cfg.Maintenance, e.check.Maintenance} {
		for _, w := range windows {
			if in, ok := w.Next(now); ok && !in.Start.After(now) {
				until = later(until, in.End)
			}
		}
	}
	return until
}
