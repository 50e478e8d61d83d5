package world

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// stepTime is how far the model goes at once.
const stepTime = 5 * time.Second

// remembered is how many steps the application remembers.
const remembered = 60

// run is a deployment that runs, with what it really got.
type run struct {
	deployment, commit string
	variables          map[string]string
	// began is when its processes began.
	began time.Time
}

// number returns a variable that is a number.
func (r run) number(name string, otherwise float64) float64 {
	v, err := strconv.ParseFloat(r.variables[name], 64)
	if err != nil || v <= 0 {
		return otherwise
	}
	return v
}

// settings are the variables that matter to the model, as numbers.
type settings struct{ workers, rate, memory, tasks, batch, parallel, progress float64 }

func (r run) settings() settings {
	return settings{
		workers: r.number("ASYNC_WORKERS", 4), rate: r.number("CANVAS_RATE_LIMIT_PER_MINUTE", 240), memory: r.number("MEMORY_LIMIT_MB", 512),
		tasks: r.number("MAX_CONCURRENT_TASKS", 10), batch: r.number("BATCH_SIZE", 50), parallel: r.number("PARALLEL_PROCESSING_LIMIT", 5),
		progress: r.number("PROGRESS_UPDATE_INTERVAL", 2),
	}
}

// application is the model of the application: what it does follows from what it got, from
// what it depends on, and from demand.
type application struct {
	e        *environment
	run      run
	next     *run // that takes over at its time
	set      settings
	replicas int
	up       bool      // its processes run
	crashed  bool      // the platform has given up
	stopped  bool      // it was taken off
	taken    time.Time // when what runs succeeded, as the platform says
	back     time.Time // when its processes are back; zero if they run

	n        int64 // steps since the epoch
	memory   float64
	leaked   float64
	waiting  float64 // calls of Canvas that tasks still have to make
	running  float64 // tasks
	duration float64 // of a task
	rejected float64 // the share of calls that Canvas rejects
	bucket   float64
	pool     float64
	sessions float64
	lost     time.Time // when all sessions were lost last

	ring           [remembered]moment
	requests       float64
	errors         float64
	finished       float64
	throttledTotal float64

	printed  map[string]time.Time
	measured time.Time
	sign     signing
}

func newApplication(e *environment, r run, now time.Time) application {
	a := application{e: e, run: r, taken: r.began, set: r.settings(), replicas: 1, up: true, n: now.UnixNano() / int64(stepTime), memory: 240, duration: 24, printed: map[string]time.Time{}, measured: now}
	a.requests, a.finished, a.sessions = 184320, 4127, e.demand(now)
	for i := range a.ring {
		a.ring[i] = moment{requests: 5 * requestsPerSession * 30, latency: requestTime}
	}
	return a
}

// deployed takes what the platform says runs.
func (a *application) deployed(d deployed) {
	switch {
	case d.Status == "DEPLOYING" || d.Status == "REMOVED":
		a.down()
		a.stopped = d.Status == "REMOVED"
	case d.DeploymentStopped:
		a.down()
		a.stopped = true
	case d.Status == "CRASHED":
		if d.ID != a.run.deployment {
			a.take(a.runOf(d))
		}
		a.down()
		a.crashed, a.taken = true, d.StatusUpdatedAt
	case d.ID == a.run.deployment && !d.StatusUpdatedAt.After(a.taken):
		if a.stopped {
			a.up, a.stopped = true, false
		}
	case a.next == nil || !d.StatusUpdatedAt.Equal(a.next.began):
		next := a.runOf(d)
		a.next = &next
	}
}

// down is the end of the processes.
func (a *application) down() {
	a.up, a.crashed, a.stopped, a.back, a.next = false, false, false, time.Time{}, nil
}

func (a *application) runOf(d deployed) run {
	return run{deployment: d.ID, commit: d.Meta.CommitHash, variables: a.e.w.railway.Got(d.ID), began: d.StatusUpdatedAt}
}

// take lets a run take over: its processes begin.
func (a *application) take(r run) {
	former := a.run
	a.run, a.set, a.next, a.taken = r, r.settings(), nil, r.began
	a.up, a.crashed, a.stopped, a.back = true, false, false, time.Time{}
	a.fresh()
	a.sign = signing{}
	if secret := former.variables["SECRET_KEY"]; secret != r.variables["SECRET_KEY"] && secret != r.variables["SECRET_KEY_PREVIOUS"] {
		a.sessions, a.lost = 0, r.began
	}
}

// fresh is what a process is like that has just begun.
func (a *application) fresh() {
	a.memory, a.leaked, a.pool, a.running = baseMemory, 0, 1, 0
}

// kill ends the processes for want of memory. The platform starts them again.
func (a *application) kill(at time.Time) {
	a.up, a.back = false, at.Add(8*time.Second)
	a.e.print(a.run.deployment, fmt.Sprintf("Out of memory: killed (memory %.0f MB of %.0f MB); the process is started again", a.memory, a.set.memory), "error")
}

// at is what a step was like, counted backwards from the last one.
func (a *application) at(back int) moment { return a.ring[(a.n-int64(back))%remembered] }

// recent sums what happened in the last steps, as far as the processes remember.
func (a *application) recent(steps int) (sum moment) {
	since := int(a.n - a.run.began.UnixNano()/int64(stepTime))
	steps = max(0, min(steps, since, remembered))
	for i := range steps {
		m := a.at(i)
		sum.requests += m.requests
		sum.errors += m.errors
		sum.calls += m.calls
		sum.throttled += m.throttled
		sum.canvasErrors += m.canvasErrors
		sum.latency = math.Max(sum.latency, m.latency)
	}
	return sum
}

// latency is how long a request takes now.
func (a *application) latency() time.Duration {
	return time.Duration(a.at(0).latency * float64(time.Second))
}
