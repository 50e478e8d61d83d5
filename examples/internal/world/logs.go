package world

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"go.acu.edu.au/runbook/railway/railwaytest"
)

// print makes a deployment print a line.
func (e *environment) print(deployment, text, level string) {
	e.w.railway.Print(deployment, text, "level", level)
}

// printOften prints a line of the application, at most every half minute.
func (e *environment) printOften(now time.Time, what, text string) {
	if now.Sub(e.app.printed[what]) < 30*time.Second {
		return
	}
	e.app.printed[what] = now
	e.print(e.app.run.deployment, text, "error")
}

// publish lets the platform measure and log what has happened, every 5 minutes. The lock is
// held.
func (e *environment) publish(now time.Time) {
	a := &e.app
	if e.database.scheduled.Add(24 * time.Hour).Before(now) {
		e.database.scheduled = e.database.scheduled.Add(24 * time.Hour)
		if !e.database.noSchedule {
			e.backup(e.database.scheduled, "")
		}
	}
	if f := e.fault(LeakedCredential); f != nil && a.up {
		e.printOften(now, "suspicious", "failed sign-in: suspicious session, unauthorized source 203.0.113.77")
	}
	m := a.at(0)
	if share := m.errors / math.Max(1e-9, m.requests); a.up && share > 0.05 {
		e.printOften(now, "errors", fmt.Sprintf("ERROR 500 in app.requests: %.0f %% of requests fail", 100*share))
	}
	if a.up && a.memory > 0.8*a.set.memory {
		e.printOften(now, "memory", fmt.Sprintf("memory: %.0f MB of %.0f MB are in use", a.memory, a.set.memory))
	}
	if a.up && a.rejected > 0.05 {
		e.printOften(now, "429", "Canvas answered 429 Rate Limit Exceeded; the call is tried again")
	}
	if now.Sub(a.measured) < 5*time.Minute {
		return
	}
	a.measured = now
	e.measure(now, a.memory/1024, m.latency, m.rate, a.up)
}

// measure adds what the platform measures of the application at a moment: a sample of the
// requests, too.
func (e *environment) measure(at time.Time, memoryGB, latency, rate float64, up bool) {
	service := e.service("app")
	r := e.w.railway
	r.Measure(e.id, service, "MEMORY_USAGE_GB", at, memoryGB)
	r.Measure(e.id, service, "MEMORY_LIMIT_GB", at, 8)
	r.Measure(e.id, service, "CPU_USAGE", at, 0.1+0.1*rate)
	r.Measure(e.id, service, "CPU_LIMIT", at, 8)
	if e.name != "production" {
		return
	}
	status := 200
	if !up {
		status = 502
	}
	for i := range max(1, int(math.Round(rate))) {
		r.Serve(e.app.run.deployment, railwaytest.HTTPRequest{Path: "/api/tasks", Host: e.application, Status: status, Duration: time.Duration(latency * (0.8 + 0.1*float64(i%5)) * float64(time.Second)), At: at.Add(time.Duration(i) * time.Second)})
	}
}

// bodyOf returns what a request sends; empty if it cannot be read twice.
func bodyOf(r *http.Request) string {
	if r.GetBody == nil {
		return ""
	}
	body, err := r.GetBody()
	if err != nil {
		return ""
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return ""
	}
	return string(data)
}

// remember lets the platform have measured what the days before were like around this time
// of the day, with which a program compares. It is made when somebody asks for it, since it
// is much. The lock is held.
func (e *environment) remember(now time.Time) {
	if e != e.w.production {
		return
	}
	local := now.In(e.w.cfg.Zone)
	for hour := local.Hour() - 1; hour <= local.Hour()+1; hour++ {
		if of := (hour + 24) % 24; !e.history[of] {
			e.history[of] = true
			e.rememberHour(local, hour)
		}
	}
}

// rememberHour is one hour of the day, on each of the seven days before.
func (e *environment) rememberHour(local time.Time, hour int) {
	defer func() { e.w.at = time.Time{} }()
	for day := 7; day >= 1; day-- {
		for minute := 0; minute < 60; minute += 5 {
			at := time.Date(local.Year(), local.Month(), local.Day()-day, hour, minute, 0, 0, local.Location())
			if at.After(e.w.began) {
				return
			}
			e.w.at = at // what goes wrong now did not then
			users := e.demand(at)
			e.measure(at, (baseMemory+12+0.4*users)/1024, requestTime+0.04, users*requestsPerSession, true)
		}
	}
}
