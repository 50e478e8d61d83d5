package railway

import (
	"hash/maphash"
	"time"
)

// maxKnown is how many lines are remembered.
const maxKnown = 50_000

// A lineMemory tells which lines of a log are new. They come in lists that were read,
// and from connections one after the other, and each of these may have again what
// others had.
type lineMemory struct {
	seed  maphash.Seed
	seen  map[uint64]sight
	order []known // what was seen, in the order in which it was

	floor   time.Time // what is not newer and not known is from before the start
	newest  time.Time // of what was seen
	session int       // the number of the connection
	opened  time.Time // newest, when it had been opened
}

func newLineMemory() lineMemory {
	return lineMemory{seed: maphash.MakeSeed(), seen: make(map[uint64]sight)}
}

// A sight is how often a line was seen: at most in one list, and on one connection.
type sight struct {
	times     int
	session   int
	inSession int
}

// known is a line that is remembered.
type known struct {
	hash uint64
	time time.Time
}

// A verdict is what a line is.
type verdict int

const (
	fresh    verdict = iota // it is new
	repeated                // it was seen before
	doubtful                // one or the other
)

// read notes a line that was read, and reports whether it is new. Lines that are the
// same are told apart by how many there are: if there are more of them than in any
// list before, the rest is new. counts are those of this list.
func (m *lineMemory) read(l logLine, counts map[uint64]int) bool {
	hash := l.hash(m.seed)
	s, ok := m.seen[hash]
	if !ok && !l.Time.After(m.floor) {
		return false
	}
	counts[hash]++
	if counts[hash] <= s.times {
		return false
	}
	s.times = counts[hash]
	m.note(hash, s, l.Time)
	return true
}

// heard notes a line that a connection told, and says whether it is new. Of lines
// that are the same it is, if there are more of them on this connection than before.
// But a connection may repeat what earlier ones told, and more than once: what is of
// the second in which it was opened is then in doubt, and what is older is not, for
// some of Railway's own lines have whole seconds, and no others are the same.
func (m *lineMemory) heard(l logLine) verdict {
	hash := l.hash(m.seed)
	s, ok := m.seen[hash]
	if !ok && !l.Time.After(m.floor) {
		return repeated
	}
	if s.session != m.session {
		s.session, s.inSession = m.session, 0
	}
	s.inSession++
	v := repeated
	switch {
	case s.inSession <= s.times:
	case ok && l.Time.Before(m.opened.Truncate(time.Second)):
	case ok && !l.Time.After(m.opened):
		v = doubtful
	default:
		v, s.times = fresh, s.inSession
	}
	m.note(hash, s, l.Time)
	return v
}

// note remembers a line.
func (m *lineMemory) note(hash uint64, s sight, at time.Time) {
	_, ok := m.seen[hash]
	m.seen[hash] = s
	if ok {
		return
	}
	if at.After(m.newest) {
		m.newest = at
	}
	if m.order = append(m.order, known{hash, at}); len(m.order) <= maxKnown {
		return
	}
	oldest := m.order[0]
	m.order = m.order[1:] // append copies what is left, now and then
	delete(m.seen, oldest.hash)
	if oldest.time.After(m.floor) {
		m.floor = oldest.time
	}
}

func (m *lineMemory) knows(l logLine) bool {
	_, ok := m.seen[l.hash(m.seed)]
	return ok || !l.Time.After(m.floor)
}

// complete makes up for the lines of the oldest time of a first message, of which
// some may have been cut off, by taking them for complete.
func (m *lineMemory) complete(lines []logLine) {
	for _, l := range lines {
		if hash := l.hash(m.seed); l.Time.Equal(lines[0].Time) {
			if s, ok := m.seen[hash]; ok {
				s.inSession = s.times
				m.seen[hash] = s
			}
		}
	}
}
