package world

import (
	"time"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

// What becomes of a maintenance that was announced.
const (
	announcedKept   = "as-announced"
	announcedOver   = "over"
	announcedLonger = "longer"
	announcedMoved  = "moved"
	announcedOff    = "called-off"
)

// When things happen with a maintenance that is announced.
const (
	announcedAhead = 6 * time.Hour
	announcedNews  = 3 * time.Hour    // after it was announced it is moved, or called off
	announcedSpare = 10 * time.Minute // it is over so long before its end, if it is as was said
	announcedMore  = 40 * time.Minute // it lasts so much longer than was said
	announcedShift = time.Hour        // it is moved by that
)

// beginAnnounced announces a maintenance of Canvas. What lasts is the maintenance.
func beginAnnounced(f *fault) {
	lasts := f.until.Sub(f.began)
	f.from = f.began.Add(announcedAhead).Truncate(time.Minute)
	f.to = f.from.Add(lasts + announcedSpare).Truncate(time.Minute)
	f.until = f.to.Add(-announcedSpare)
	switch f.variant {
	case announcedOver, announcedLonger:
		f.until = f.to.Add(announcedMore)
	case announcedMoved:
		f.until = f.until.Add(announcedShift)
	case announcedOff:
		f.until = f.to
	}
	f.page = f.w.production.canvas.StatusPage.Add(canvastest.Incident{
		Name: "Planned maintenance of Canvas", Components: []string{"Canvas"}, ScheduledFor: f.from, ScheduledUntil: f.to,
		Body: "Canvas will be unavailable.",
	})
	f.w.act(f.e.name, "canvas-announces", f.from.UTC().Format(time.RFC3339))
}

// announcedAway reports whether Canvas is away for a maintenance that was announced.
func (e *environment) announcedAway() bool {
	f := e.fault(CanvasAnnounced)
	return f != nil && f.seen && f.variant != announcedOff
}

// keepAnnounced lets happen what is due of a maintenance that was announced. The lock is held.
func (e *environment) keepAnnounced(at time.Time) {
	f := e.fault(CanvasAnnounced)
	if f == nil || !f.over.IsZero() {
		return
	}
	page := &e.w.production.canvas.StatusPage
	if !f.changed && f.variant == announcedOff && at.Sub(f.began) >= announcedNews {
		f.changed = true
		page.Remove(f.page)
		e.w.act(e.name, "canvas-calls-off", "")
	}
	if !f.changed && f.variant == announcedMoved && at.Sub(f.began) >= announcedNews {
		f.changed = true
		f.from, f.to = f.from.Add(announcedShift), f.to.Add(announcedShift)
		page.Reschedule(f.page, f.from, f.to)
		e.w.act(e.name, "canvas-moves", f.from.UTC().Format(time.RFC3339))
	}
	if !f.changed && f.variant == announcedLonger && f.seen && !at.Before(f.to.Add(-20*time.Minute)) {
		f.changed = true
		f.to = f.to.Add(announcedMore + announcedSpare)
		page.Reschedule(f.page, f.from, f.to)
		e.w.act(e.name, "canvas-moves", "to "+f.to.UTC().Format(time.RFC3339))
	}
	if !f.changed && f.variant == announcedOver && !at.Before(f.to) {
		f.changed = true
		e.w.act(e.name, "canvas-overdue", "")
	}
	if f.seen || f.variant == announcedOff || at.Before(f.from) {
		return
	}
	f.seen = true
	e.canvas.SetMaintenance(true)
	page.Update(f.page, "in_progress", "The maintenance has begun.")
	page.SetComponent(canvastest.Component{Name: "Canvas", Status: "under_maintenance"})
	e.w.act(e.name, "canvas-away", "")
	e.stir()
}

// endAnnounced ends it, also before it began.
func endAnnounced(f *fault) {
	page := &f.w.production.canvas.StatusPage
	switch {
	case f.seen:
		f.e.canvas.SetMaintenance(f.w.active(CanvasMaintenance) != nil)
		page.Update(f.page, "completed", "The maintenance is complete.")
		f.w.act(f.e.name, "canvas-back", "")
		status := "operational"
		if f.w.active(CanvasMaintenance) != nil {
			status = "under_maintenance"
		} else if f.w.active(CanvasDown) != nil {
			status = "major_outage"
		}
		page.SetComponent(canvastest.Component{Name: "Canvas", Status: status})
	case !f.changed || f.variant != announcedOff:
		page.Remove(f.page)
	}
}
