package world

import (
	"math"
	"time"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

// What faults do to the model. Each func says what one part of the model asks of them.

// demand is how many users there are: the day of the zone, and what the seed adds.
func (e *environment) demand(at time.Time) float64 {
	local := at.In(e.w.cfg.Zone)
	hour := float64(local.Hour()) + float64(local.Minute())/60
	day := 0.15 + 0.85*math.Exp(-math.Pow((hour-13)/4.5, 4))
	if weekday := local.Weekday(); weekday == time.Saturday || weekday == time.Sunday {
		day *= 0.4
	}
	users := 60 * day * (0.95 + 0.1*e.w.noise(e, at.Unix()/60, 1))
	if e.name != "production" {
		users *= 0.1
	}
	if f := e.fault(Overload); f != nil {
		users = math.Max(users*(3.8+0.3*f.strength), 205)
	}
	return users
}

// canvasState is what Canvas is like for the application.
type canvasState struct {
	time, cost, others float64
	down               bool
}

func (e *environment) canvasNow() canvasState {
	c := canvasState{time: canvasTime, cost: 2, others: 0.5}
	if e.fault(CanvasThrottled) != nil { // heavier courses, and another program with our identity
		c.cost, c.others = 2.8, 4
	}
	if e.canvasAway() || e.launchesRefused() == "key" {
		c.down = true
	}
	return c
}

// canvasAway reports whether Canvas does not answer.
func (e *environment) canvasAway() bool {
	return e.fault(CanvasDown) != nil || e.fault(CanvasMaintenance) != nil || e.announcedAway()
}

// leavesCanvasAlone reports whether the application is in its maintenance mode.
func (e *environment) leavesCanvasAlone() bool {
	return e.app.run.variables["CANVAS_MAINTENANCE_MODE"] == "true"
}

// slowness is how many times slower tasks are with these settings.
func (e *environment) slowness(s settings) float64 {
	f := e.fault(SlowTasks)
	if f == nil {
		return 1
	}
	helped := false
	switch f.variant {
	case "batch":
		helped = s.batch <= 30
	case "parallel":
		helped = s.parallel <= 3
	case "progress":
		helped = s.progress >= 5
	}
	if helped {
		return 1.2
	}
	return 15 + 3*f.strength
}

// failing is the share of requests that fail.
func (e *environment) failing() float64 {
	share := 0.0005
	if e.brokenBy() != nil {
		share = 1
	}
	if e.database.part() != "" {
		share += 0.8
	}
	if f := e.fault(ErrorBurst); f != nil {
		share += 0.1 + 0.08*f.strength
	}
	return share
}

// brokenBy returns the bad deployment that runs; nil if what runs answers for itself.
func (e *environment) brokenBy() *fault {
	if f := e.badDeployment(); f != nil && f.variant != "database" {
		return f
	}
	return nil
}

// misled reports whether what runs looks for the database where there is none.
func (e *environment) misled() bool {
	f := e.badDeployment()
	return f != nil && f.variant == "database"
}

// badDeployment returns the bad deployment that runs; nil if what runs is good.
func (e *environment) badDeployment() *fault {
	if f := e.fault(BadDeploy); f != nil && e.app.run.commit == f.commit {
		return f
	}
	return nil
}

// heldConnections are those of the pool that the application does not let go of.
func (e *environment) heldConnections() float64 {
	if e.fault(ConnectionStorm) == nil {
		return 0
	}
	return 9 * math.Max(0, e.database.connections-20) / (mostConnections - 20)
}

// leak is how fast memory is lost, in megabytes a second: with what the application does.
func (e *environment) leak(a *application) float64 {
	f := e.fault(MemoryLeak)
	if f == nil || a.run.commit != f.commit {
		return 0
	}
	return (5 + 3*f.strength) / 60 * (0.5 + 0.5*math.Min(1, a.set.tasks/10))
}

// unreachable reports whether nothing gets to the application.
func (e *environment) unreachable() bool { return e.w.active(RailwayIncident) != nil }

// admit lets the makers of Canvas say, after a while, that there is an outage.
func (e *environment) admit(at time.Time) {
	if f := e.fault(CanvasDown); f != nil && f.page == "" && at.Sub(f.began) > f.late {
		page := &e.w.production.canvas.StatusPage
		f.page = page.Add(canvastest.Incident{Name: "Canvas is unavailable", Status: "investigating", Impact: "critical", Components: []string{"Canvas"}})
		page.SetComponent(canvastest.Component{Name: "Canvas", Status: "major_outage"})
	}
}
