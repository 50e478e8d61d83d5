// Package inbound is what the receivers of signed requests have in common: a body that is
// read within a limit, a time stamp that must be fresh, and a memory of what came before.
package inbound

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Window is how far the time stamp of a request may be from now, either way.
const Window = 5 * time.Minute

// Body reads the body of a POST of at most most bytes. If it cannot, it has answered.
func Body(w http.ResponseWriter, r *http.Request, most int64) (body []byte, ok bool) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only POST is understood", http.StatusMethodNotAllowed)
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	if err != nil {
		http.Error(w, "the body could not be read", http.StatusBadRequest)
		return nil, false
	}
	return body, true
}

// One returns the value of a header field that must be there once.
func One(h http.Header, name string) (value string, ok bool) {
	values := h.Values(name)
	if len(values) != 1 || values[0] == "" {
		return "", false
	}
	return values[0], true
}

// Fresh reads a time stamp in seconds and reports whether it is within the Window of now.
func Fresh(text string, now time.Time) (at time.Time, ok bool) {
	seconds, err := strconv.ParseUint(text, 10, 40)
	if err != nil {
		return time.Time{}, false
	}
	at = time.Unix(int64(seconds), 0)
	return at, now.Sub(at).Abs() <= Window
}

// A Verdict is what a [Memory] knows of an ID.
type Verdict uint8

// The verdicts.
const (
	New  Verdict = iota // it never came before
	Busy                // it came before, and is being handled
	Done                // it was handled
	Full                // there is no room: too many came within the window
)

// most is how many IDs a Memory has room for, about 2 MB of them.
const most = 10_000

// A Memory remembers the last 10,000 IDs, and none for less than twice the Window: for as
// long as the same request would be fresh. The zero value is ready to use.
type Memory struct {
	mu    sync.Mutex
	known map[string]*entry
	order []*entry
}

type entry struct {
	id      string
	at      time.Time
	done    bool
	dropped bool
}

// Begin takes note of an ID.
func (m *Memory) Begin(id string, now time.Time) Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.known[id]; e != nil {
		if e.done {
			return Done
		}
		return Busy
	}
	for len(m.order) > 0 && (m.order[0].dropped || len(m.order) >= most && now.Sub(m.order[0].at) > 2*Window) {
		if e := m.order[0]; !e.dropped {
			delete(m.known, e.id)
		}
		m.order = m.order[1:]
	}
	if len(m.order) >= most {
		return Full
	}
	if m.known == nil {
		m.known = make(map[string]*entry)
	}
	e := &entry{id: id, at: now}
	m.known[id] = e
	m.order = append(m.order, e)
	return New
}

// End says how the handling of an ID ended: what was not handled may come again.
func (m *Memory) End(id string, done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.known[id]
	switch {
	case e == nil:
	case done:
		e.done = true
	default:
		e.dropped = true
		delete(m.known, id)
	}
}
