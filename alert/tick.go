package alert

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

func (e *Engine) run(life, ticks context.Context) {
	defer close(e.stopped)
	var work sync.WaitGroup
	work.Go(func() { e.out.run(life) })
	defer work.Wait()
	ticker := time.NewTicker(e.cfg.Tick)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-ticks.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		e.look(last, now)
		last = now
	}
}

// look evaluates what depends on time as of now, and takes note of what the clock on the
// wall has done since the last look.
func (e *Engine) look(last, now time.Time) {
	e.tick(now, jumped(now.Sub(last), now.Round(0).Sub(last.Round(0))))
}

// jumped reports whether the clock on the wall went another way than the monotonic one:
// it was set, or the machine was suspended.
func jumped(monotonic, wall time.Duration) bool {
	return (wall - monotonic).Abs() > patience
}

// patience is how late an evaluation may be, and how far a clock may be set, without
// consequences. What is more is a time in which nothing was observed: missing data, and
// no time in a state.
const patience = 10 * time.Second

// tick evaluates what depends on time.
func (e *Engine) tick(now time.Time, jumped bool) {
	e.expect()
	feeds := e.feeds()
	for _, f := range feeds {
		f.tick(now, jumped)
	}
	e.judgeUnequal(feeds, now)
	e.judgeCombined(now)
	e.forgetRestored(now)
}

// feeds returns the feeds. They are collected anew when sources have come or gone.
func (e *Engine) feeds() []*Feed {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.ticked != e.changed {
		e.ticking, e.ticked = slices.AppendSeq(e.ticking[:0], maps.Values(e.sources)), e.changed
		clear(e.ticking[len(e.ticking):cap(e.ticking)])
	}
	return e.ticking
}

// expect makes a source of its own for each input that should report and of which nothing
// was ever heard, so that it is missed; it ends with the first real one.
func (e *Engine) expect() {
	for _, in := range e.expected {
		e.mu.RLock()
		sources, placeholder := e.count[in.Name], e.sources[nobody(in.Name)]
		e.mu.RUnlock()
		switch {
		case sources > 0 && placeholder != nil && placeholder.isVacant():
			placeholder.Close()
		case sources == 0 && placeholder == nil:
			e.stand(nobody(in.Name), nil)
		}
	}
}
