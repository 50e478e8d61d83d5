package health

import (
	"context"
	"errors"
	"time"
)

const (
	flushInterval  = time.Second
	flushTimeout   = 10 * time.Second
	samplesWaiting = 50_000 // at most, for a history that fails
	leaseTimeout   = 5 * time.Second
)

// keep notes the state of e for the history. Monitor.mu is held.
func (m *Monitor) keep(e *entry) {
	if len(m.samples) >= samplesWaiting { // a tenth at once, so that each costs the same on average
		n := len(m.samples) - samplesWaiting*9/10
		m.self.lost += uint64(n)
		m.samples = append(m.samples[:0], m.samples[n:]...)
	}
	m.samples = append(m.samples, Sample{
		Check:   e.check.Name,
		Time:    e.last.Time,
		Status:  e.status,
		Latency: e.last.Duration,
		Valid:   2*e.check.Interval + e.check.Timeout,
	})
}

// flushLoop writes the history until the Monitor halts, and once more then.
func (m *Monitor) flushLoop() {
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-m.base.Done():
			m.flush(context.WithoutCancel(m.base))
			return
		case <-ticker.C:
			m.flush(m.base)
		}
	}
}

// flush writes the samples noted to the history. Those that could not be
// written are kept for the next time.
func (m *Monitor) flush(ctx context.Context) {
	if m.cfg.History == nil {
		return
	}
	m.flushing.Lock()
	defer m.flushing.Unlock()
	m.mu.Lock()
	samples := m.samples
	m.samples = nil
	m.mu.Unlock()
	if len(samples) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	err := m.cfg.History.Append(ctx, samples)
	if err != nil {
		m.mu.Lock()
		m.samples = append(samples, m.samples...)
		m.mu.Unlock()
	}
	m.note(&m.self.historyErr, "history", err)
}

// borrow asks the lease whether another replica runs the check, notes that in
// the run, and returns what that one found.
func (m *Monitor) borrow(ctx context.Context, r *run) Result {
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	// The holder asks again after one interval, in time to keep the lease. If
	// it does not, the lease has ended when another asks after two.
	grant, err := m.cfg.Lease.Acquire(ctx, r.entry.check.Name, r.entry.check.Interval*3/2)
	m.note(&m.self.leaseErr, "lease", err)
	r.leased = err == nil && grant.Held
	r.borrowed = err == nil && !grant.Held
	return grant.Result
}

// publish shares a result with other replicas.
func (m *Monitor) publish(r *run, result Result) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.base), leaseTimeout)
	defer cancel()
	err := m.cfg.Lease.Publish(ctx, r.entry.check.Name, result)
	if errors.Is(err, ErrLeaseLost) {
		return // the probe outlived its lease, and another replica has the check now
	}
	m.note(&m.self.leaseErr, "lease", err)
}
