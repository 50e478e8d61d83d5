package lti

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"
)

// ScoreTime returns the timestamp with which to send a score of user for the line
// item at address, in milliseconds and later than any that it returned for the
// two before: AGS 2.0, section 3.4.9, wants them to increase strictly. at is when
// the score was changed; zero means now, and a millisecond after the last one if
// that is not later. An at that is not later than the last one is an [*Error],
// [ErrInvalid].
//
// undo takes it back if the score was certainly not sent. Package ags calls it;
// the last 20,000 pairs at least are remembered, by this Service alone.
func (s *Service) ScoreTime(address, user string, at time.Time) (stamp time.Time, undo func(), err error) {
	const op = "post a score"
	stamp, undo, ok := s.scores.next(address, user, at)
	if !ok {
		return time.Time{}, nil, NewError(op, ErrInvalid, fmt.Errorf("the timestamp %s is not later than that of the last score of this user and line item, which was %s: %w",
			at.UTC().Format(time.RFC3339Nano), stamp.Format(time.RFC3339Nano), errNotLater))
	}
	return stamp, undo, nil
}

var errNotLater = errors.New("an older score must not replace a newer one")

// scoreTimes remembers the last timestamp of each line item and user. There are
// two generations: when the newer one is full, the older one is dropped. What is
// dropped is in the past, where no new timestamp of now falls.
type scoreTimes struct {
	mu       sync.Mutex
	seed     maphash.Seed
	now, old map[[2]uint64]int64 // milliseconds since 1970
}

const maxScoreTimes = 20_000 // in one generation

func (t *scoreTimes) next(address, user string, at time.Time) (stamp time.Time, undo func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		t.seed, t.now = maphash.MakeSeed(), make(map[[2]uint64]int64)
	}
	key := [2]uint64{maphash.String(t.seed, address), maphash.String(t.seed, user)}
	last, known := t.now[key]
	if !known {
		last, known = t.old[key]
	}
	var ms int64
	switch {
	case at.IsZero():
		if ms = time.Now().UnixMilli(); known {
			ms = max(ms, last+1)
		}
	case known && at.UnixMilli() <= last:
		return time.UnixMilli(last).UTC(), nil, false
	default:
		ms = at.UnixMilli()
	}
	if len(t.now) >= maxScoreTimes {
		t.old, t.now = t.now, make(map[[2]uint64]int64)
	}
	t.now[key] = ms
	undo = func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		switch {
		case t.now[key] != ms: // another one came after it
		case known:
			t.now[key] = last
		default:
			delete(t.now, key)
		}
	}
	return time.UnixMilli(ms).UTC(), undo, true
}
