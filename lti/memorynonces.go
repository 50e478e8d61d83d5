package lti

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook"
)

// ErrNonceStoreFull means that a [MemoryNonces] has as many nonces as it may, and
// none of them has expired.
var ErrNonceStoreFull = errors.New("the nonce store is full of nonces that have not expired")

// MemoryNonces is the [NonceStore] of a single process: what it knows is gone
// when the process ends, and other replicas do not see it. The zero value is
// ready to use. It must not be copied after its first use.
//
// A nonce is remembered until its time is over, in whole seconds rounded up, and
// takes less than 100 bytes. Expired ones are forgotten by the calls of Use that
// follow, a bounded part of them by each, so that no launch waits for a large
// clean-up; there is no goroutine. Memory is given back after a rush.
//
// Should the clock of the machine jump ahead, so that nonces are forgotten too
// early, their tokens are not accepted again when it is put right: Use refuses,
// with [ErrNonceExpired], what ends no later than something that was forgotten.
type MemoryNonces struct {
	// Max is how many nonces there may be. Zero means 1,000,000. When there are
	// as many that have not expired, Use refuses with [ErrNonceStoreFull]. It
	// must not be changed after the first use.
	Max int

	seeded sync.Once
	seed   [2]uint64
	count  atomic.Int64 // of all shards
	looked atomic.Int64 // the second in which a call last looked after other shards
	cursor atomic.Uint32
	shards [nonceShards]nonceShard
}

var _ NonceStore = (*MemoryNonces)(nil)

const (
	defaultMaxNonces = 1_000_000

	// A shard is what one call cleans up at a time: about 4,000 nonces where
	// there are a million.
	nonceShards = 256
	// shardsPerLook is how many other shards the first call of a second cleans
	// up: whatever the traffic, 64 such calls go round all of them.
	shardsPerLook = 4
)

// Use implements [NonceStore]. It takes less than a microsecond as a rule, and
// waits for nothing but another call. Errors: [ErrNonceUsed],
// [ErrNonceStoreFull], [ErrNonceExpired], and that of a context that has ended or is
// read only. With any of them nothing was recorded.
func (m *MemoryNonces) Use(ctx context.Context, id NonceID, until time.Time) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("lti: nonce not recorded: %w", err)
	}
	if runbook.IsReadOnly(ctx) {
		return fmt.Errorf("lti: nonce not recorded: %w", runbook.ErrReadOnly)
	}
	hash := m.hash(id)
	s := &m.shards[hash%nonceShards]
	second, err := m.use(s, hash, id, until)
	if err == ErrNonceStoreFull && m.makeRoom() { //nolint:errorlint // as use returns it
		second, err = m.use(s, hash, id, until)
	}
	m.lookAround(second)
	return err
}

// use is Use in a shard. It also returns the time.
func (m *MemoryNonces) use(s *nonceShard, hash uint64, id NonceID, until time.Time) (second int64, err error) {
	end := endSecond(until)
	s.mu.Lock()
	defer s.mu.Unlock()
	// Not before the lock: another call may have forgotten this very nonce
	// while this one waited.
	now := time.Now()
	second = now.Unix()
	if end <= s.most || !now.Before(until) {
		return second, ErrNonceExpired
	}
	if s.full() {
		m.count.Add(-int64(s.rebuild(m, second, 1)))
	}
	slot := s.find(hash, id)
	switch {
	case int64(slot.end) > second:
		return second, ErrNonceUsed
	case slot.end == 0 && !m.reserve():
		return second, ErrNonceStoreFull
	case slot.end == 0:
		s.used++
	}
	*slot = nonceSlot{id, end}
	s.least = min(s.least, end)
	return second, nil
}

// reserve counts one nonce more, if there may be one.
func (m *MemoryNonces) reserve() bool {
	most := int64(m.Max)
	if most <= 0 {
		most = defaultMaxNonces
	}
	for {
		n := m.count.Load()
		if n >= most {
			return false
		}
		if m.count.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// lookAround cleans up a few other shards, once a second.
func (m *MemoryNonces) lookAround(second int64) {
	if last := m.looked.Load(); last == second || !m.looked.CompareAndSwap(last, second) {
		return
	}
	for range shardsPerLook {
		m.sweepNext()
	}
}

// makeRoom cleans up one shard after another until something was forgotten, and
// reports whether that is so. It passes quickly over those in which nothing has
// expired.
func (m *MemoryNonces) makeRoom() bool {
	for range nonceShards {
		if m.sweepNext() > 0 {
			return true
		}
	}
	return false
}

func (m *MemoryNonces) sweepNext() int {
	return m.sweep(&m.shards[m.cursor.Add(1)%nonceShards])
}

// sweep forgets the expired nonces of a shard, and returns how many.
func (m *MemoryNonces) sweep(s *nonceShard) (removed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	second := time.Now().Unix()
	if s.used > 0 && int64(s.least) <= second {
		removed = s.rebuild(m, second, 0)
		m.count.Add(-int64(removed))
	}
	return removed
}

// PurgeExpired implements [NonceStore]. It forgets all nonces that have expired,
// a shard at a time. Hosts need not call it.
func (m *MemoryNonces) PurgeExpired(ctx context.Context) (removed int, err error) {
	if runbook.IsReadOnly(ctx) {
		return 0, fmt.Errorf("lti: purge of nonces: %w", runbook.ErrReadOnly)
	}
	for i := range m.shards {
		if err := ctx.Err(); err != nil {
			return removed, fmt.Errorf("lti: purge of nonces not finished: %w", err)
		}
		removed += m.sweep(&m.shards[i])
	}
	return removed, nil
}

// Len returns how many nonces are in memory, expired ones that were not forgotten
// yet among them.
func (m *MemoryNonces) Len() int { return int(m.count.Load()) }

// hash spreads ids by a secret: a platform that may choose its nonces cannot make
// all of them meet. It is the mixing step of wyhash.
func (m *MemoryNonces) hash(id NonceID) uint64 {
	m.seeded.Do(func() {
		var b [16]byte
		_, _ = rand.Read(b[:]) // never fails
		m.seed = [2]uint64{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}
	})
	high, low := bits.Mul64(binary.LittleEndian.Uint64(id[:])^m.seed[0], binary.LittleEndian.Uint64(id[8:])^m.seed[1])
	return high ^ low
}

// nonceShard is a part of the nonces: a hash table with linear probing. Compared
// with a Go map it looks once instead of twice, and has no pointers, so that the
// garbage collector does not look into it. Nothing is removed from it: when it
// has no room it is copied without what has expired, which also gives it the
// right size again.
type nonceShard struct {
	mu    sync.Mutex
	slots []nonceSlot
	used  int    // slots that are not empty
	least uint32 // no nonce expires earlier, if used is not 0
	most  uint32 // the latest end of those that were forgotten

	_ [64]byte // keeps neighbours out of the cache line
}

// nonceSlot has 20 bytes. It is empty if end is 0.
type nonceSlot struct {
	id  NonceID
	end uint32 // Unix seconds
}

// full reports whether one nonce more would fill more than three quarters.
func (s *nonceShard) full() bool { return 4*(s.used+1) > 3*len(s.slots) }

// find returns the slot of a nonce, or the empty one where it goes. The hash's
// upper bits choose where to begin: the lower ones chose the shard.
func (s *nonceShard) find(hash uint64, id NonceID) *nonceSlot {
	i, _ := bits.Mul64(hash, uint64(len(s.slots)))
	for {
		slot := &s.slots[i]
		if slot.end == 0 || slot.id == id {
			return slot
		}
		if i++; i == uint64(len(s.slots)) {
			i = 0
		}
	}
}

// rebuild copies what has not expired, with so much more room, and returns how
// many nonces it left out. Three eighths of the slots are then used.
func (s *nonceShard) rebuild(m *MemoryNonces, second int64, room int) (removed int) {
	live := 0
	for i := range s.slots {
		if int64(s.slots[i].end) > second {
			live++
		}
	}
	old := s.slots
	removed = s.used - live
	s.slots, s.used, s.least = nil, live, math.MaxUint32
	if live+room > 0 {
		s.slots = make([]nonceSlot, max(8, (live+room)*8/3))
	}
	for _, slot := range old {
		switch {
		case int64(slot.end) > second:
			*s.find(m.hash(slot.id), slot.id) = slot
			s.least = min(s.least, slot.end)
		default: // also an empty slot, whose end is 0
			s.most = max(s.most, slot.end)
		}
	}
	return removed
}

// endSecond returns t in Unix seconds, rounded up. What is later than 2106 ends
// then.
func endSecond(t time.Time) uint32 {
	seconds := t.Unix()
	switch {
	case seconds < 0:
		return 0
	case seconds >= math.MaxUint32:
		return math.MaxUint32
	case t.Nanosecond() > 0:
		seconds++
	}
	return uint32(seconds)
}
