package health

import (
	"context"
	"errors"
	"time"
)

const (
	flushInterval  = time.Second
	flushTimeout   = 10 * time.Second
	flushPortion   = 1000   // samples in one call of the history
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

// flushLoop writes the history until the Monitor halts. What is left then is
// written by the end.
func (m *Monitor) flushLoop() {
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-m.base.Done():
			return
		case <-ticker.C:
			if m.base.Err() != nil {
				return // a write that took long: both cases are ready
			}
			_ = m.flush(context.WithoutCancel(m.base)) // Self tells
		}
	}
}

// flush writes the samples noted to the history, in portions. Those that could
// not be written are kept for the next time.
func (m *Monitor) flush(ctx context.Context) error {
	if m.cfg.History == nil {
		return nil
	}
	select {
	case m.flushing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-m.flushing }()
	m.mu.Lock()
	samples := m.samples
	m.samples = nil
	m.mu.Unlock()
	for len(samples) > 0 {
		portion := samples[:min(len(samples), flushPortion)]
		err := guard(func() error {
			ctx, cancel := context.WithTimeout(ctx, flushTimeout)
			defer cancel()
			return m.cfg.History.Append(ctx, portion)
		})
		m.note(&m.self.historyErr, "history", err)
		if err != nil {
			m.mu.Lock()
			m.samples = append(samples, m.samples...)
			m.mu.Unlock()
			return err
		}
		samples = samples[len(portion):]
	}
	return nil
}

// borrow asks the lease whether another replica runs the check, and if one does,
// records what that one found and reports true. It reports false if the check is
// to be probed here: it is this replica's, somebody asked for a probe now, the
// lease does not work, or the other replica has not found anything for too long.
func (m *Monitor) borrow(r *run) bool {
	m.mu.Lock()
	e, now := r.entry, time.Now()
	if r.demanded || r.over || now.Before(m.leaseOff) {
		m.mu.Unlock()
		return false
	}
	m.mu.Unlock()

	grant, err := m.acquire(r)
	if err != nil && isOver(r.base) {
		return false // it was stopped, which is no failure of the lease
	}
	m.note(&m.self.leaseErr, "lease", err)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err != nil:
		m.leaseOff = time.Now().Add(leaseTimeout)
		return false
	case grant.Held:
		r.leased = true
		return false
	case r.demanded || r.over:
		return false
	}
	news, fresh := e.lend(grant.Result, time.Now())
	if !fresh {
		return false
	}
	r.borrowed = true
	if news {
		m.record(r, grant.Result)
	}
	if e.run == r {
		e.run = nil
	}
	if !r.again && e.index >= 0 { // the holder probes at the same time: ask again when it has
		at := time.Now().Add(min(e.check.Timeout, e.check.Interval/4))
		if r.unplanned {
			e.sooner = max(e.next.Sub(at), 0)
		}
		e.next, e.again = at, true
		m.queue.fix(e)
		m.wakeUp()
	}
	r.end(nil)
	return true
}

// lend reports whether another replica's result is news, and whether that replica
// still finds results. The clocks of replicas differ, so that only a first result
// is judged by its age, and then how long there has been no other.
func (e *entry) lend(r Result, now time.Time) (news, fresh bool) {
	found, limit := r.Time.UnixNano(), 2*e.check.Interval+e.check.Timeout
	switch {
	case r.Time.IsZero(): // the other replica is at its first probe, or cannot publish
		if e.lentAt == 0 {
			e.lentAt = now.UnixNano()
		}
		return false, now.UnixNano()-e.lentAt <= int64(limit)
	case found == e.lent:
		return false, now.UnixNano()-e.lentAt <= int64(limit)
	}
	first := e.lent == 0
	e.lent, e.lentAt = found, now.UnixNano()
	if first && now.Sub(r.Time) > limit {
		e.lentAt -= int64(limit) + 1
		return false, false
	}
	return true, true
}

// acquire asks the lease. A lease that ignores its context is not waited for.
func (m *Monitor) acquire(r *run) (Grant, error) {
	c := &r.entry.check // but for its windows, which are guarded, it is never changed
	ctx, cancel := context.WithTimeout(r.base, min(leaseTimeout, max(c.Interval/4, 100*time.Millisecond)))
	defer cancel()
	type answer struct {
		grant Grant
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		a.err = guard(func() (err error) {
			// The holder asks again after one interval, in time to keep the
			// lease. If it does not, the lease has ended when another asks
			// after two.
			a.grant, err = m.cfg.Lease.Acquire(ctx, c.Name, c.Interval+max(c.Interval/2, c.Timeout))
			return err
		})
		answers <- a
	}()
	select {
	case a := <-answers:
		return a.grant, a.err
	case <-ctx.Done():
		return Grant{}, ctx.Err()
	}
}

// publish shares a result with other replicas.
func (m *Monitor) publish(r *run, result Result) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.base), leaseTimeout)
	defer cancel()
	err := guard(func() error { return m.cfg.Lease.Publish(ctx, r.entry.check.Name, result) })
	if errors.Is(err, ErrLeaseLost) {
		return // the probe outlived its lease, and another replica has the check now
	}
	m.note(&m.self.leaseErr, "lease", err)
	if err == nil { // it is no news when another replica lends it
		m.mu.Lock()
		r.entry.lent, r.entry.lentAt = result.Time.UnixNano(), time.Now().UnixNano()
		m.mu.Unlock()
	}
}
