package alert

import "time"

// cells is how many parts a window has: it is exact to a part.
const cells = 60

// A ring counts the events of a window that moves, in parts. Adding and reading cost
// the same whatever the window. It goes by the monotonic clock: a clock that is set does
// not empty it.
type ring struct {
	width     time.Duration // of a part
	start     time.Time
	newest    int64 // the number of the newest part
	good, bad uint64
	cell      [cells + 1]struct{ good, bad uint64 } // and the part that is being filled
}

func newRing(window time.Duration) *ring { return &ring{width: max(window/cells, time.Millisecond)} }

// advance drops the parts that are no longer in the window.
func (r *ring) advance(now time.Time) {
	if r.start.IsZero() {
		r.start = now
	}
	at := int64(now.Sub(r.start) / r.width)
	for range min(at-r.newest, cells+1) {
		r.newest++
		c := &r.cell[r.newest%(cells+1)]
		r.good, r.bad = r.good-c.good, r.bad-c.bad
		c.good, c.bad = 0, 0
	}
	r.newest = max(r.newest, at)
}

func (r *ring) add(now time.Time, good, bad uint64) {
	r.advance(now)
	c := &r.cell[r.newest%(cells+1)]
	c.good, c.bad = c.good+good, c.bad+bad
	r.good, r.bad = r.good+good, r.bad+bad
}

// skip lets the window stand still for a time in which nothing was counted.
func (r *ring) skip(gap time.Duration) {
	if !r.start.IsZero() {
		r.start = r.start.Add(gap)
	}
}

// pace is how often time alone changes what is counted.
func (r *ring) pace() time.Duration { return max(r.width, time.Second) }

func (r *ring) window() time.Duration { return (cells + 1) * r.width }

// full reports whether the whole window was watched.
func (r *ring) full(now time.Time) bool { return now.Sub(r.start) >= r.window() }

func (r *ring) ratio() float64 {
	if total := r.good + r.bad; total > 0 {
		return float64(r.bad) / float64(total)
	}
	return 0
}

// counted is what judges of a Counter have in common.
type counted struct {
	known bool   // an event, or a report of none, has come
	text  string // of the last bad events
}

func (c *counted) take(s sample) {
	if c.known = true; s.bad > 0 {
		c.text = s.text
	}
}

func (*counted) byClock() bool { return false }

type rateJudge struct {
	counted
	*ring

	limit, recovered float64
}

func (c Rate) judge() judge {
	return &rateJudge{ring: newRing(c.Window), limit: c.Limit, recovered: orLimit(c.Recover, c.Limit)}
}

func (j *rateJudge) take(s sample) {
	j.add(s.at, s.good, s.bad)
	j.counted.take(s)
}

func (j *rateJudge) verdict(now time.Time, fires bool) verdict {
	j.advance(now)
	v := verdict{value: float64(j.bad), limit: j.limit, text: j.text}
	limit := j.limit
	if fires {
		limit = j.recovered
	}
	switch {
	case v.value > limit:
		v.says = bad
	case j.known || j.full(now):
		v.says = good
	}
	return v
}

func (j *rateJudge) recall() time.Duration { return j.window() }

type ratioJudge struct {
	counted
	*ring

	limit, recovered float64
	minTotal, minBad uint64
}

func (c Ratio) judge() judge {
	orDefault(&c.MinTotal, 20)
	orDefault(&c.MinBad, 5)
	return &ratioJudge{ring: newRing(c.Window), limit: c.Limit, recovered: orLimit(c.Recover, c.Limit), minTotal: c.MinTotal, minBad: c.MinBad}
}

func (j *ratioJudge) take(s sample) {
	j.add(s.at, s.good, s.bad)
	j.counted.take(s)
}

func (j *ratioJudge) verdict(now time.Time, fires bool) verdict {
	j.advance(now)
	v := verdict{value: 100 * j.ratio(), limit: 100 * j.limit, text: j.text}
	over := j.good+j.bad >= j.minTotal && j.ring.bad >= j.minBad && j.ratio() > j.limit
	if fires {
		over = j.ratio() > j.recovered
	}
	switch {
	case over:
		v.says = bad
	case j.known || j.full(now):
		v.says = good
	}
	return v
}

func (j *ratioJudge) recall() time.Duration { return j.window() }

type burnJudge struct {
	counted

	pairs            []burnPair
	budget           float64 // the share of events that may be bad
	minTotal, minBad uint64
}

type burnPair struct {
	long, short *ring
	factor      float64
}

func (c BurnRate) judge() judge {
	orDefault(&c.MinTotal, 100)
	orDefault(&c.MinBad, 5)
	j := &burnJudge{budget: 1 - c.Objective, minTotal: c.MinTotal, minBad: c.MinBad}
	for _, w := range c.windows() {
		j.pairs = append(j.pairs, burnPair{newRing(w.Long), newRing(w.Short), w.Factor})
	}
	return j
}

func (j *burnJudge) take(s sample) {
	for _, p := range j.pairs {
		p.long.add(s.at, s.good, s.bad)
		p.short.add(s.at, s.good, s.bad)
	}
	j.counted.take(s)
}

func (j *burnJudge) verdict(now time.Time, fires bool) verdict {
	v := verdict{limit: j.pairs[0].factor, text: j.text}
	full := true
	for _, p := range j.pairs {
		p.long.advance(now)
		p.short.advance(now)
		full = full && p.short.full(now)
		burn := p.long.ratio() / j.budget
		enough := fires || p.long.good+p.long.bad >= j.minTotal && p.long.bad >= j.minBad
		if enough && burn > p.factor && p.short.ratio()/j.budget > p.factor {
			v.says, v.value, v.limit = bad, burn, p.factor
			return v
		}
		v.value = max(v.value, burn)
	}
	if j.known || full {
		v.says = good
	}
	return v
}

func (j *burnJudge) skip(gap time.Duration) {
	for _, p := range j.pairs {
		p.long.skip(gap)
		p.short.skip(gap)
	}
}

func (j *burnJudge) pace() time.Duration {
	shortest := j.pairs[0].short.pace()
	for _, p := range j.pairs {
		shortest = min(shortest, p.short.pace())
	}
	return shortest
}

// recall needs the short windows only: they decide when it is over.
func (j *burnJudge) recall() (longest time.Duration) {
	for _, p := range j.pairs {
		longest = max(longest, p.short.window())
	}
	return longest
}
