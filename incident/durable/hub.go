package durable

import "sync"

// hub wakes those in this process who wait for something of a run.
type hub struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]struct{}
}

// subscribe returns a channel that has something in it after each wake, until end is
// called.
func (h *hub) subscribe(run string) (ch chan struct{}, end func()) {
	ch = make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == nil {
		h.waiting = make(map[string]map[chan struct{}]struct{})
	}
	if h.waiting[run] == nil {
		h.waiting[run] = make(map[chan struct{}]struct{})
	}
	h.waiting[run][ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if delete(h.waiting[run], ch); len(h.waiting[run]) == 0 {
			delete(h.waiting, run)
		}
	}
}

// wake wakes those who wait for a run.
func (h *hub) wake(run string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.waiting[run] {
		poke(ch)
	}
}

// wakeAll wakes everybody.
func (h *hub) wakeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, channels := range h.waiting {
		for ch := range channels {
			poke(ch)
		}
	}
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
