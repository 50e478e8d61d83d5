package schedule

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A Ledger remembers which runs were done, for all replicas that share it.
//
// Methods may be called concurrently and by several programs. They honour ctx.
type Ledger interface {
	// Claim takes a run, of which it uses Key and Due, for a time, after which it is
	// anybody's. Of all who claim a run, one gets it. The error wraps ErrDone if it was done,
	// and ErrTaken if somebody has it, or it must wait. After any other error it is not known
	// whether it was taken.
	//
	// A run that was taken and not finished in time counts as an attempt of which nothing is
	// known.
	Claim(ctx context.Context, run Run, lease time.Duration) (Claim, error)
	// Finish ends an attempt. Unless it is Done, the run may be claimed again when wait is
	// over. Finishing the same attempt again with the same outcome changes nothing. It is
	// an error that wraps ErrTaken if somebody has claimed the run since.
	Finish(ctx context.Context, c Claim, outcome Outcome, wait time.Duration) error
}

// Errors of a [Ledger], for errors.Is.
var (
	// ErrDone means that the run was done.
	ErrDone = errors.New("the run was done")
	// ErrTaken means that the run is somebody else's now, or must wait.
	ErrTaken = errors.New("the run is taken")
)

// A Claim is the right to make one attempt at a run.
type Claim struct {
	// Key names the run, Attempt counts its attempts from 1.
	Key     string
	Attempt int
	// Unknown is how many of the attempts before may have done it.
	Unknown int
}

// Outcome is what is known of an attempt.
type Outcome uint8

// The outcomes.
const (
	Done     Outcome = iota + 1 // it was done, or is given up
	NotDone                     // it is proven that nothing happened
	NotKnown                    // it may have been done
)

// A MemoryLedger is a [Ledger] for one program that lives as long as it does. It takes for
// done whatever was due before it was made, so that a restart does not send the report of
// the morning again. Make one with [NewMemoryLedger].
type MemoryLedger struct {
	began time.Time
	mu    sync.Mutex
	runs  map[string]entry
}

// NewMemoryLedger returns a MemoryLedger that begins now.
func NewMemoryLedger() *MemoryLedger {
	return &MemoryLedger{began: time.Now(), runs: make(map[string]entry)}
}

type entry struct {
	state Outcome // zero: it is held
	claim Claim
	until time.Time
}

var _ Ledger = (*MemoryLedger)(nil)

// keep is for how long runs are remembered, far longer than any may be late.
const keep = 100 * 24 * time.Hour

// Claim implements [Ledger].
func (m *MemoryLedger) Claim(ctx context.Context, run Run, lease time.Duration) (Claim, error) {
	if err := ctx.Err(); err != nil {
		return Claim{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now, key := time.Now(), run.Key()
	e, ok := m.runs[key]
	switch {
	case run.Due.Before(m.began), ok && e.state == Done:
		return Claim{}, ErrDone
	case ok && e.until.After(now):
		return Claim{}, ErrTaken
	case ok && e.state == 0:
		e.claim.Unknown++
	}
	e.claim.Key, e.state, e.until = key, 0, now.Add(lease)
	e.claim.Attempt++
	m.runs[key] = e
	for k, old := range m.runs {
		if now.Sub(old.until) > keep {
			delete(m.runs, k)
		}
	}
	return e.claim, nil
}

// Finish implements [Ledger].
func (m *MemoryLedger) Finish(ctx context.Context, c Claim, outcome Outcome, wait time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.runs[c.Key]
	if !ok || e.claim.Attempt != c.Attempt {
		return ErrTaken
	}
	e.state, e.until, e.claim.Unknown = outcome, time.Now().Add(wait), c.unknown(outcome)
	m.runs[c.Key] = e
	return nil
}

// unknown is of how many attempts nothing is known after this one.
func (c Claim) unknown(outcome Outcome) int {
	if outcome == NotKnown {
		return c.Unknown + 1
	}
	return c.Unknown
}
