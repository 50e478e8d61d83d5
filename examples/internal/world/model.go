package world

import (
	"math"
	"time"
)

// dt is a step in seconds.
const dt = float64(stepTime) / float64(time.Second)

// What the model is made of, as one would find by measuring: times in seconds.
const (
	requestsPerSession = 0.08 // a second
	tasksPerSession    = 0.04 / 60
	callsPerTask       = 30
	requestTime        = 0.12 // a worker, without what it waits for
	callTime           = 0.35 // a worker, besides waiting for Canvas
	canvasTime         = 0.25
	databaseTime       = 0.01
	inline             = 0.1  // of the requests ask Canvas
	callRate           = 0.25 // calls a second of a task, for each that it may make at once
	backoff            = 1.5  // after a rejection
	patience           = 12   // users ask less often when it is slow
	longest            = 30   // after which a request is given up
	baseMemory         = 180  // megabytes
	highWater          = 600  // units in the bucket of Canvas from which on it rejects
	bucketTop          = 800
	outflow            = 10 // units a second
)

// moment is what one step was like.
type moment struct {
	requests, errors, latency      float64
	calls, throttled, canvasErrors float64
	rate                           float64 // requests a second
}

// step lets the model go on until now. The lock is held.
func (e *environment) step(now time.Time) {
	const most = 7 * 24 * int64(time.Hour/stepTime) // nobody looked for longer than a week
	a := &e.app
	last := now.UnixNano() / int64(stepTime)
	a.n = max(a.n, last-most)
	for a.n < last {
		a.n++
		at := time.Unix(0, a.n*int64(stepTime))
		e.w.at = at
		if a.next != nil && !at.Before(a.next.began) {
			a.take(*a.next)
		}
		if !a.back.IsZero() && !at.Before(a.back) {
			a.up, a.back, a.run.began = true, time.Time{}, at
			a.fresh()
		}
		e.database.step()
		a.ring[a.n%remembered] = a.move(at)
		e.admit(at)
		e.keepAnnounced(at)
		if e == e.w.production {
			e.serves(at)
		}
	}
	e.w.at = time.Time{}
	if a.next != nil && !now.Before(a.next.began) {
		a.take(*a.next)
	}
	e.publish(now)
}

// move is one step.
func (a *application) move(at time.Time) moment {
	demand := a.e.demand(at)
	a.sessions += (demand - a.sessions) * dt / 300
	m := moment{rate: demand * requestsPerSession, requests: demand * requestsPerSession * dt}
	a.waiting += demand * tasksPerSession * dt * callsPerTask
	a.requests += m.requests
	if !a.up || a.e.unreachable() {
		m.errors = m.requests
		a.errors += m.errors
		a.bucket = max(0, a.bucket-outflow*dt)
		return m
	}
	c := a.e.canvasNow()
	w := a.work(c)
	a.ask(c, w, &m)
	a.answer(c, w, &m)
	a.errors += m.errors
	a.pool = math.Min(10, 1+m.rate*0.06+w.tasks*0.3*math.Min(1, a.set.parallel/5)+a.e.heldConnections())
	a.leaked += a.e.leak(a) * dt
	a.memory = baseMemory + 6*w.tasks*a.set.batch/50 + 0.4*a.sessions + a.leaked
	if a.memory >= a.set.memory {
		a.kill(at)
	}
	return m
}

// work is what tasks do in a step.
type work struct {
	// tasks is how many run, busy how many workers they hold, attempts how many calls of
	// Canvas they make in a second, and able how many could succeed if there were that many
	// to make.
	tasks, busy, attempts, able float64
}

// workers is how many there are, of all replicas.
func (a *application) workers() float64 { return a.set.workers * float64(a.replicas) }

// work lets tasks take workers, of which they leave some. A call that is rejected holds its
// worker until it is tried again.
func (a *application) work(c canvasState) work {
	if a.e.leavesCanvasAlone() {
		return work{}
	}
	w := work{tasks: math.Min(math.Ceil(a.waiting/callsPerTask), a.set.tasks)}
	wanted := math.Min(w.tasks*callRate*a.set.parallel/a.e.slowness(a.set), a.set.rate/60)
	each := callTime + c.time
	held := each*(1-a.rejected) + (each*0.2+backoff)*a.rejected
	w.busy = math.Min(wanted*held, 0.7*a.workers())
	w.attempts = w.busy / held
	w.able = w.attempts * (1 - a.rejected)
	if w.able*dt > a.waiting {
		part := a.waiting / (w.able * dt)
		w.attempts, w.busy = w.attempts*part, w.busy*part
	}
	if c.down {
		w.able = 0
	}
	return w
}

// ask makes the calls of tasks. The bucket of Canvas fills by what they cost; once it is
// full, it rejects, and the more are under way at once, the more of it their reservations
// take.
func (a *application) ask(c canvasState, w work, m *moment) {
	share := w.busy * a.set.parallel / 5
	good := math.Max(0.2, (outflow-c.others)/c.cost) / (1 + (share/5)*(share/5))
	if a.bucket >= highWater && w.attempts > good {
		a.rejected += (1 - good/w.attempts - a.rejected) * 0.3
	} else {
		a.rejected *= 0.6
	}
	a.bucket = math.Min(bucketTop, math.Max(0, a.bucket+(w.attempts*(1-a.rejected)*c.cost+c.others-outflow)*dt))
	if a.rejected > 0.05 {
		a.bucket = math.Max(a.bucket, highWater-1+10*a.rejected)
	}
	m.calls, m.throttled = w.attempts*dt, w.attempts*a.rejected*dt
	m.canvasErrors = m.throttled
	if c.down {
		m.canvasErrors = m.calls
	}
	a.throttledTotal += m.throttled
	done := math.Min(w.able*dt, a.waiting)
	a.waiting -= done
	a.finished += done / callsPerTask
	a.running = w.tasks
	// A task takes what its calls take. Where none comes to its end, none is measured.
	if w.tasks > 0 && w.able > 0 {
		a.duration += (callsPerTask*w.tasks/math.Max(w.able, 0.02) - a.duration) * dt / 60
	}
}

// answer answers requests, which have the workers that tasks leave. Those that wait too long
// are given up, and users who wait ask less.
func (a *application) answer(c canvasState, w work, m *moment) {
	each := requestTime + databaseTime*a.e.database.slowness() + inline*(c.time+backoff*a.rejected/math.Max(0.05, 1-a.rejected))
	load := m.rate / (math.Max(0.05, a.workers()-w.busy) / each)
	bounded := math.Min(load, 0.97)
	wait := each * math.Pow(bounded, 2*a.workers()) / (1 - bounded) / a.workers()
	if load > 0.97 {
		wait += patience * (load - 0.97)
	}
	before := a.ring[(a.n-1)%remembered].latency
	m.latency = math.Min(longest, before+(each+wait-before)*0.25)
	failing := a.e.failing() + inline*a.rejected*a.rejected*a.rejected
	if c.down && !a.e.leavesCanvasAlone() {
		failing += inline
	}
	if m.latency > longest-1 {
		failing += 0.5
	}
	m.errors = m.requests * math.Min(1, failing)
}
