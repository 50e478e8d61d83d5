package canvas

import (
	"math"
	"time"
)

// The constants of Canvas's throttle that no header tells (canvas-lms,
// app/middleware/request_throttle.rb). Hosted Canvas may set others; the
// headers correct what follows from a wrong one.
const (
	upFront = 50.0 // reserved for a request while it runs
	outflow = 10.0 // units that leak from the bucket in a second

	// assumedMark is the high-water mark of the published source, which is the
	// lower of the two that are seen: hosted Canvas reports 700.
	assumedMark = 600.0

	// maxMark is more than any bucket holds.
	maxMark = 1_000_000
)

const (
	// epoch is how long the largest and smallest values are remembered, at
	// least; at most twice as long.
	epoch = 5 * time.Minute
	// window is how long the answers must agree, and patience how many of
	// them, before the estimate is raised to what they say.
	window   = time.Second
	patience = 8
	// few and many are how many answers in a row must show the same mark before
	// it is believed: few if all that may be unseen was taken off, or if this
	// is the first that is learnt; else many.
	few, many = 3, 24
	// quickest is less than Canvas needs for any answer.
	quickest = 2 * time.Millisecond
	// company is how long other users of the token are remembered.
	company = 5 * time.Second
	// noise is the smallest change of the remaining value that only another
	// user's reservation explains, and not the cost of its requests.
	noise = upFront / 2
)

// An estimate follows one bucket from outside: what Canvas would report as
// X-Rate-Limit-Remaining if it were asked now. Each request takes its
// reservation when it starts and gives it back, less its cost, when it ends,
// and the bucket leaks: for a client that is alone that is the whole truth,
// as far as it has been told the mark. The header of each answer then corrects
// for what the client does not see:
//
//   - A lower value is true at once: somebody else is using the token.
//   - A higher value may be true, or Canvas has not yet seen some requests
//     that are under way. It is believed at once as far as no such request can
//     explain it, and else when all answers of some time agree on it.
//
// So the estimate is never too high but for what others did since the last
// answer. It is pure arithmetic: no clock, no lock.
type estimate struct {
	at        time.Time
	remaining float64     // what Canvas would report, all requests of ours counted
	own       float64     // what our requests alone have put into the bucket
	mark      extreme     // largest mark that the answers prove
	fastest   extreme     // shortest time in which an answer came, in negative nanoseconds
	flights   []time.Time // when the requests now under way started
	foreign   float64     // units that others put into the bucket in a second
	met       time.Time   // when another user was last noticed

	since time.Time // start of the window
	slack float64   // smallest excess of the answers over remaining in the window
	seen  int       // answers in the window

	sure   accord // on the mark, from what is certain
	likely accord // on the mark, if Canvas has seen all requests
}

// An outcome is what is known of a request that ended.
type outcome struct {
	unsent       bool    // it never reached Canvas
	answered     bool    // it ended at Canvas, so that its reservation is free
	rejected     bool    // the bucket was full
	cost         float64 // what it cost, or is thought to have cost
	remaining    float64 // X-Rate-Limit-Remaining
	hasRemaining bool
}

func newEstimate(now time.Time, mark float64) estimate {
	e := estimate{at: now, remaining: mark, since: now}
	e.mark.assume(mark)
	e.restart(now)
	return e
}

// leak is the part of the outflow that others do not use up.
func (e *estimate) leak() float64 { return outflow - e.foreign }

// advance moves the estimate to now.
func (e *estimate) advance(now time.Time) {
	dt := now.Sub(e.at).Seconds()
	if dt <= 0 {
		return
	}
	e.at = now
	e.grow(e.leak() * dt)
	e.own = max(0, e.own-outflow*dt)
	if len(e.flights) == 0 && e.foreign > 0 {
		e.foreign *= math.Exp(-dt / company.Seconds())
	}
}

// grow adds to the estimate what became free, up to the mark: a bucket that is
// empty leaks nothing. A mark may be learnt too low while others fill the
// bucket, so that there is always room for a request that finds out.
func (e *estimate) grow(by float64) {
	top := max(e.mark.value(), 2*upFront+10, e.remaining)
	e.remaining = min(e.remaining+by, top)
}

// alone reports whether nobody else has been noticed lately.
func (e *estimate) alone(now time.Time) bool { return e.foreign < 0.5 && !e.crowded(now) }

// crowded reports whether others have lately started requests, or tried to.
func (e *estimate) crowded(now time.Time) bool { return !e.met.IsZero() && now.Sub(e.met) <= company }

// margin is how much more than a reservation must remain. Alone, it covers
// rounding; in company, what the others' requests cost between two answers.
// In a crowd who has requests under way leaves one more reservation free: two
// that start at the same time then both find room, and so does a newcomer, who
// would otherwise see a bucket that is always just full.
func (e *estimate) margin(now time.Time) float64 {
	switch {
	case e.alone(now):
		return 0.001
	case e.crowded(now) && len(e.flights) > 0:
		return upFront + 1
	}
	return 1
}

// wait returns how long until a request may start, if nothing else happens.
func (e *estimate) wait(now time.Time) time.Duration {
	missing := upFront + e.margin(now) - e.remaining
	if missing < 0 {
		return 0
	}
	return seconds(missing / e.leak())
}

// seconds returns a duration of at least s, and more than none, so that what is
// waited for has come when it ends. After an hour one looks again.
func seconds(s float64) time.Duration {
	return time.Duration(min(s, 3600)*float64(time.Second)) + time.Microsecond
}

// launch takes the reservation of a request.
func (e *estimate) launch(now time.Time) {
	e.remaining -= upFront
	e.own += upFront
	e.flights = append(e.flights, now)
}

// settle ends the request that started at started, and returns what was thought
// to remain before the header of its answer was read.
func (e *estimate) settle(now, started time.Time, o outcome) float64 {
	e.advance(now)
	for i, t := range e.flights {
		if t.Equal(started) {
			last := len(e.flights) - 1
			e.flights[i] = e.flights[last]
			e.flights = e.flights[:last]
			break
		}
	}
	change := 0.0
	switch {
	case o.unsent:
		change = upFront
	case o.answered:
		change = upFront - o.cost
	}
	// What ended without an answer may still run at Canvas: its reservation is
	// given back when the answers to other requests show that it is free.
	e.grow(change)
	e.own = max(0, e.own-upFront+o.cost)
	thought := e.remaining
	if o.rejected && !o.hasRemaining {
		// Canvas says what remains; something between here and Canvas does not.
		// Who waits goes slowly until it lets requests through again.
		e.remaining = min(e.remaining, 0)
	}
	if o.hasRemaining {
		e.observe(now, started, o.remaining)
	}
	return thought
}

// observe corrects the estimate by the header of an answer.
func (e *estimate) observe(now, started time.Time, remaining float64) {
	e.fastest.add(now, -float64(now.Sub(started)))
	// A request was certainly seen by Canvas before this answer if it started
	// at least a round trip earlier, and no round trip takes longer than the
	// fastest answer did, less what Canvas needs for any answer.
	horizon := now.Add(time.Duration(e.fastest.value()) + quickest)
	unseen := 0.0
	for _, t := range e.flights {
		if t.After(horizon) {
			unseen += upFront
		}
	}
	certain := remaining - unseen
	if e.sure.agree(now, certain+e.own) >= few {
		e.mark.add(now, e.sure.low)
	}
	if n := e.likely.agree(now, remaining+e.own); n >= many || n >= few && !e.mark.learnt {
		e.mark.add(now, e.likely.low)
	}
	// What our own requests hold cannot be free.
	most := e.mark.value() - e.own
	excess := remaining - e.remaining
	known := min(certain, most) - e.remaining
	if e.met.IsZero() && remaining >= most && e.mark.learnt {
		known = most - e.remaining // nothing but our requests is in the bucket
	}
	switch {
	case excess < 0:
		e.correct(now, excess)
	case known > 0 && (e.alone(now) || known < noise):
		e.correct(now, known)
	default:
		e.slack = min(e.slack, excess)
		e.seen++
		if e.seen >= patience && now.Sub(e.since) >= window {
			e.correct(now, max(0, min(e.slack, most-e.remaining)))
		}
	}
}

// correct moves the estimate, learns from that how much others use, and starts
// a new window.
func (e *estimate) correct(now time.Time, by float64) {
	e.remaining += by
	switch {
	case by <= -noise:
		e.met = now
	case by < noise:
		e.foreign = min(max(0, e.foreign-by/2), outflow-1)
	}
	e.restart(now)
}

func (e *estimate) restart(now time.Time) {
	e.since, e.slack, e.seen = now, math.Inf(1), 0
}

// extreme is the largest value of the last one to two epochs in which there
// were any. The first value replaces what was assumed.
type extreme struct {
	since    time.Time
	old, cur float64
	learnt   bool
}

func (x *extreme) assume(v float64) { x.old, x.cur = math.Inf(-1), v }

func (x *extreme) add(now time.Time, v float64) {
	switch {
	case !x.learnt:
		x.learnt, x.since, x.old, x.cur = true, now, math.Inf(-1), v
	case now.Sub(x.since) >= epoch:
		x.since, x.old, x.cur = now, x.cur, v
	default:
		x.cur = max(x.cur, v)
	}
}

func (x *extreme) value() float64 { return max(x.old, x.cur) }

// accord counts the latest answers that agree on a value. While some requests
// or answers are on their way, or answers overtake each other, they differ by
// whole reservations. A few that agree may do so by chance, many do not; and
// those that come at once count as one, since what one of them overtook, all did.
type accord struct {
	first, low float64
	n          int
	counted    time.Time // when n was raised last
}

func (a *accord) agree(now time.Time, v float64) int {
	if a.n == 0 || math.Abs(v-a.first) > 2 {
		*a = accord{first: v, low: v, n: 1, counted: now}
		return a.n
	}
	a.low = min(a.low, v)
	if now.Sub(a.counted) >= quickest {
		a.n++
		a.counted = now
	}
	return a.n
}
