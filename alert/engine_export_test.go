package alert

import (
	"time"
	"unsafe"
)

// Patience is how late an evaluation may be.
const Patience = patience

// Cells is how many parts a window has.
const Cells = cells

// TickAt evaluates as of an invented time. The engine must not be started.
func (e *Engine) TickAt(now time.Time, jumped bool) { e.tick(now, jumped) }

// Look evaluates as the engine does at each of its ticks. The engine must not be started, or
// never tick.
func (e *Engine) Look(last, now time.Time) { e.look(last, now) }

// SetWall returns a moment with the reading that t has of the monotonic clock, and another one
// of the clock on the wall, as there is after that was set. No clock in a test can be set, and
// package time makes no such moment, so that this writes into it: the first word of a Time
// that has both readings is a flag, 33 bits of seconds since 1885, and 30 of nanoseconds.
func SetWall(t, wall time.Time) time.Time {
	since := wall.Sub(time.Date(1885, time.January, 1, 0, 0, 0, 0, time.UTC))
	word := (*uint64)(unsafe.Pointer(&t))
	*word = *word&(1<<63) | uint64(since/time.Second)<<30 | uint64(since%time.Second)
	return t
}

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
