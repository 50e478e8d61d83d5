package health

import (
	"time"
)

// A State is what a [Monitor] knows of a check.
type State struct {
	// Name, Labels, Optional, Groups, DependsOn and Interval are the check's
	// own. Labels and DependsOn must not be changed.
	Name      string
	Labels    map[string]string
	Optional  bool
	Groups    Group
	DependsOn []string
	Interval  time.Duration

	// Status is the status of the check: what its latest results say after
	// thresholds and maintenance windows.
	Status Status
	// Since is when it got that status. Zero means that no probe has finished.
	Since time.Time
	// Last is the latest result. Its status can differ from Status.
	Last Result
	// Failures is how many results in a row failed, up to the latest; Successes
	// how many did not. One of them is zero.
	Failures, Successes int
	// Borrowed says that the latest result was found by another replica.
	Borrowed bool
	// Unplanned says that the latest result is of a probe beside the schedule of a
	// started Monitor: somebody has asked for it with [Monitor.Check], or a check that
	// depends on this one has just failed. It counts for Status, Failures and Successes
	// as any other. Who lets something happen after several failures in a row leaves out
	// those, or three in a row are a matter of seconds. What is planned soon after such a
	// probe is left out by the Monitor, and the probe then counts as the planned one.
	Unplanned bool
	// Until is when the maintenance window that the check is in ends. It is zero
	// if it is in none.
	Until time.Time
	// BlockedBy names the check because of which this one fails, the first
	// cause if there is a chain of them: one that fails as well, or whose
	// latest results say that it is down on purpose. It is empty if this check
	// does not fail, or fails by itself.
	BlockedBy string
}

// A Report is the state of checks at one time. It is never changed.
type Report struct {
	// Status is the status of all together; see [Monitor.Status].
	Status Status
	// Time is when the latest of the results was found. Zero means that there
	// is none.
	Time time.Time
	// Checks are the states, in the order in which the checks were added.
	Checks []State
}

// Check returns the state of the check of that name.
func (r *Report) Check(name string) (State, bool) {
	for i := range r.Checks {
		if r.Checks[i].Name == name {
			return r.Checks[i], true
		}
	}
	return State{}, false
}

// Snapshot returns the state of all checks. It probes nothing. As long as no
// result comes in, every call returns the same Report.
func (m *Monitor) Snapshot() *Report {
	if r := m.cached.Load(); r != nil {
		return r
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.cached.Load()
	if r == nil {
		r = m.report(m.order)
		m.cached.Store(r)
	}
	return r
}

// report returns the state of some checks. Monitor.mu is held.
func (m *Monitor) report(entries []*entry) *Report {
	r := &Report{Checks: make([]State, len(entries))}
	var t tally
	for i, e := range entries {
		r.Checks[i] = m.state(e)
		if e.check.Optional {
			t[1][e.status]++
		} else {
			t[0][e.status]++
		}
		r.Time = later(r.Time, e.last.Time)
	}
	r.Status = t.overall()
	return r
}

// state returns the state of e. Monitor.mu is held.
func (m *Monitor) state(e *entry) State {
	s := State{
		Name:      e.check.Name,
		Labels:    e.check.Labels,
		Optional:  e.check.Optional,
		Groups:    e.check.Groups,
		DependsOn: e.check.DependsOn,
		Interval:  e.check.Interval,
		Status:    e.status,
		Since:     e.since,
		Last:      e.last,
		Borrowed:  e.borrowed,
		Unplanned: e.unplanned,
		Failures:  int(e.failures),
		Successes: int(e.successes),
	}
	if e.maintained {
		s.Until = m.until(e, time.Now())
	}
	if e.fails() {
		s.BlockedBy = m.blocker(e)
	}
	return s
}

// fails reports whether e was looked at and does not work.
func (e *entry) fails() bool { return e.seen && !e.found.OK() }

// blocks reports whether what depends on e cannot work: e does not, or says that
// it is down on purpose. In a window, too, what was found decides: what works
// although it may be down is no excuse for others.
func (e *entry) blocks() bool { return e.fails() || e.found == Maintenance }

// blocker returns the check because of which e fails, or "". Monitor.mu is held.
func (m *Monitor) blocker(e *entry) string {
	for _, name := range e.check.DependsOn {
		parent, ok := m.entries[name]
		if !ok || !parent.blocks() {
			continue
		}
		if parent.fails() { // to be down on purpose is a cause of its own
			if first := m.blocker(parent); first != "" {
				return first
			}
		}
		return name
	}
	return ""
}
