package alert

import "time"

// Patience is how late an evaluation may be.
const Patience = patience

// Cells is how many parts a window has.
const Cells = cells

// TickAt evaluates as of an invented time. The engine must not be started.
func (e *Engine) TickAt(now time.Time, jumped bool) { e.tick(now, jumped) }

// Jumped is how a jump of the clock is recognised.
func Jumped(monotonic, wall time.Duration) bool { return jumped(monotonic, wall) }

// Sources is how many sources there are.
func (e *Engine) Sources() int {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return len(e.sources)
}

// A Window is a ring, to be compared with a naive count.
type Window struct{ r *ring }

// NewWindow makes one.
func NewWindow(d time.Duration) Window { return Window{newRing(d)} }

// Add counts.
func (w Window) Add(now time.Time, good, bad uint64) { w.r.add(now, good, bad) }

// Skip lets the window stand still.
func (w Window) Skip(gap time.Duration) { w.r.skip(gap) }

// Sum reads.
func (w Window) Sum(now time.Time) (good, bad uint64) {
	w.r.advance(now)
	return w.r.good, w.r.bad
}

// Judge makes the judge of a condition, fed and asked by hand.
func Judge(c Condition) (result func(failed bool), holds func(now time.Time) bool) {
	j := c.judge()
	return func(failed bool) { j.take(sample{failed: failed}) }, func(now time.Time) bool { return j.verdict(now, false).says == bad }
}
