package health

import (
	"context"
	"fmt"
	"time"
)

// Self is how a [Monitor] itself is doing.
type Self struct {
	// Checks is how many checks there are, Probing how many of them are being
	// probed, Waiting how many are due and wait for a worker, and Hung how many
	// have probers that ignore that their time is over.
	Checks, Probing, Waiting, Hung int
	// Lag is the longest time that a probe began late in the last one to two
	// minutes.
	Lag time.Duration
	// Runs is how many probes have begun since the start. Skipped is how many
	// times a check was due while its previous probe had not ended.
	Runs, Skipped uint64
	// LastResult is when the latest result came in.
	LastResult time.Time
	// HookLag is for how long the hook that runs now has been running.
	HookLag time.Duration
	// EventsLost is how many events hooks were not told of, because one of them
	// did not return for too long.
	EventsLost uint64
	// HistoryError and LeaseError are the latest failures of the history and
	// the lease; nil once they work again.
	HistoryError, LeaseError error
	// SamplesLost is how many samples were dropped because the history failed
	// for too long.
	SamplesLost uint64
	// HeartbeatSent is when the latest heartbeat succeeded.
	HeartbeatSent time.Time
	// HeartbeatError is why the latest heartbeat failed or was held back.
	HeartbeatError error
}

// selfStats are the parts of Self that are counted. Monitor.mu guards them.
type selfStats struct {
	last                          time.Time
	hung                          int
	runs, skipped                 uint64
	minute                        time.Time // when lag began to be measured
	lag, lagBefore                time.Duration
	historyErr, leaseErr, beatErr error
	eventsLost                    uint64
	lost                          uint64
	beat                          time.Time
}

// start notes that a run begins.
func (s *selfStats) start(r *run) {
	s.runs++
	s.roll(r.began)
	s.lag = max(s.lag, r.began.Sub(r.due))
}

// roll begins a new minute of lag when the current one is over.
func (s *selfStats) roll(now time.Time) {
	switch since := now.Sub(s.minute); {
	case since >= 2*time.Minute:
		s.minute, s.lag, s.lagBefore = now, 0, 0
	case since >= time.Minute:
		s.minute, s.lag, s.lagBefore = now, 0, s.lag
	}
}

// Self returns how the Monitor itself is doing.
func (m *Monitor) Self() Self {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	s := &m.self
	s.roll(now)
	self := Self{
		Checks: len(m.order), Hung: s.hung,
		Lag: max(s.lag, s.lagBefore), Runs: s.runs, Skipped: s.skipped, LastResult: s.last,
		HistoryError: s.historyErr, LeaseError: s.leaseErr, SamplesLost: s.lost,
		HeartbeatSent: s.beat, HeartbeatError: s.beatErr, EventsLost: s.eventsLost,
	}
	if !m.telling.IsZero() {
		self.HookLag = now.Sub(m.telling)
	}
	for r := range m.probing {
		if !r.gaveUp {
			self.Probing++
		}
	}
	for _, r := range m.ready {
		if !r.over {
			self.Waiting++
			self.Lag = max(self.Lag, now.Sub(r.due))
		}
	}
	if m.started && !m.stopped && len(m.queue) > 0 {
		self.Lag = max(self.Lag, now.Sub(m.queue[0].next))
	}
	return self
}

// late returns why the Monitor cannot be relied on now, or nil: a check is
// overdue by more than its interval and a second, or a hook does not return.
func (m *Monitor) late() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for _, r := range m.ready {
		if late := now.Sub(r.due); !r.over && late > max(r.entry.check.Interval, time.Second) {
			return fmt.Errorf("health: check %q has waited %v for a worker", r.entry.check.Name, late.Round(time.Millisecond))
		}
	}
	if hook := now.Sub(m.telling); !m.telling.IsZero() && hook > hookPatience {
		return fmt.Errorf("health: a hook has been running for %v, and what happens is not told", hook.Round(time.Second))
	}
	if len(m.queue) > 0 {
		if e := m.queue[0]; now.Sub(e.next) > max(e.check.Interval, time.Second) {
			return fmt.Errorf("health: check %q is overdue by %v", e.check.Name, now.Sub(e.next).Round(time.Millisecond))
		}
	}
	return nil
}

// SelfProber returns a prober of the Monitor itself, to be a check of another
// one, or of this one: it is Unhealthy while checks do not run on time, and
// Degraded while probers hang or the history or the lease fail.
func (m *Monitor) SelfProber() Prober {
	return ProberFunc(func(context.Context) Result {
		self := m.Self()
		r := Result{Status: Healthy, Measurements: []Measurement{
			{Name: "scheduler_lag", Value: float64(self.Lag.Milliseconds()), Unit: Milliseconds},
			{Name: "checks", Value: float64(self.Checks)},
			{Name: "checks_hung", Value: float64(self.Hung)},
		}}
		if err := m.late(); err != nil {
			r = r.Worsen(Unhealthy, CauseSlow, err.Error())
		}
		if self.Hung > 0 {
			r = r.Worsen(Degraded, CauseHung, fmt.Sprintf("%d probers ignore that their time is over", self.Hung))
		}
		for _, err := range []error{self.HistoryError, self.LeaseError} {
			if err != nil {
				r = r.Worsen(Degraded, CauseOf(err), err.Error())
			}
		}
		return r
	})
}

// heartbeatLoop sends heartbeats until the Monitor halts.
func (m *Monitor) heartbeatLoop() {
	ticker := time.NewTicker(m.cfg.HeartbeatInterval)
	defer ticker.Stop()
	for {
		select {
		case <-m.base.Done():
			return
		case <-ticker.C:
			m.heartbeat()
		}
	}
}

// heartbeat tells the world that the Monitor is alive, unless it is not.
func (m *Monitor) heartbeat() {
	err := m.late()
	if err == nil {
		ctx, cancel := context.WithTimeout(m.base, heartbeatTimeout)
		defer cancel()
		err = guard(func() error { return m.cfg.Heartbeat(ctx, m.Self()) })
	}
	m.note(&m.self.beatErr, "heartbeat", err)
	if err == nil {
		m.mu.Lock()
		m.self.beat = time.Now()
		m.mu.Unlock()
	}
}

// note keeps the latest error of a part of the Monitor, and logs when it begins
// to fail and when it works again.
func (m *Monitor) note(last *error, part string, err error) {
	m.mu.Lock()
	before := *last
	*last = err
	m.mu.Unlock()
	switch {
	case err != nil && before == nil:
		m.logger.Warn("health: a part of the monitor fails", "part", part, "error", err)
	case err == nil && before != nil:
		m.logger.Info("health: a part of the monitor works again", "part", part)
	}
}
