package incident

import (
	"fmt"
	"slices"
	"time"
)

// startClocks makes the clocks of an incident run from an instant.
func (d *draft) startClocks(from time.Time) {
	clocks, err := d.m.sla(d.inc.Severity).clocks(from, d.inc.Updated)
	if err != nil {
		d.m.cfg.Logger.Warn("incident: the calendar of a time may be wrong", "incident", d.inc.ID, "severity", d.inc.Severity.String(), "error", err)
	}
	d.inc.Clocks = clocks
}

// from is since when the clocks of an incident run.
func (i Incident) from() time.Time {
	if !i.Reopened.IsZero() {
		return i.Reopened
	}
	return i.Triggered
}

// recomputeClocks computes the clocks anew, from the first trigger, since the severity has
// changed. What has happened stays so, and when.
func (d *draft) recomputeClocks() (was []Clock) {
	was = d.inc.Clocks
	d.startClocks(d.inc.from())
	for i := range d.inc.Clocks {
		c := &d.inc.Clocks[i]
		if j := slices.IndexFunc(was, func(old Clock) bool { return old.Kind == c.Kind }); j >= 0 {
			c.Stopped = was[j].Stopped
		} else {
			c.Stopped = d.happened(c.Kind)
		}
	}
	return was
}

// happened returns when that happened for which a clock waits; zero if it has not.
func (d *draft) happened(kind ClockKind) time.Time {
	first := func(times ...time.Time) time.Time {
		for _, t := range times {
			if !t.IsZero() {
				return t
			}
		}
		return time.Time{}
	}
	switch kind {
	case ClockAcknowledge:
		return first(d.inc.Acknowledged, d.inc.Mitigated, d.inc.Resolved)
	case ClockMitigate:
		return first(d.inc.Mitigated, d.inc.Resolved)
	case ClockResolve:
		return d.inc.Resolved
	}
	return d.inc.Closed
}

// stopClocks stops clocks that still run.
func (d *draft) stopClocks(at time.Time, kinds ...ClockKind) {
	for i := range d.inc.Clocks {
		if c := &d.inc.Clocks[i]; slices.Contains(kinds, c.Kind) && c.Stopped.IsZero() {
			c.Stopped = at
		}
	}
}

// restartUpdates makes the clock of updates run anew, since people were told.
func (d *draft) restartUpdates() {
	sla := d.m.sla(d.inc.Severity)
	if sla.Update == 0 || !d.inc.State.Open() {
		return
	}
	d.inc.Clocks = slices.DeleteFunc(d.inc.Clocks, func(c Clock) bool { return c.Kind == ClockUpdate })
	due, err := sla.due(d.now, sla.Update)
	if err != nil {
		d.m.cfg.Logger.Warn("incident: the calendar of a time may be wrong", "incident", d.inc.ID, "error", err)
	}
	d.inc.Clocks = append(d.inc.Clocks, Clock{Kind: ClockUpdate, From: d.now, Due: due})
}

// advance brings a draft up to the present: what has expired, and the marks that clocks
// have passed, go on the timeline with the times at which that was.
func (d *draft) advance() {
	if at := d.inc.AckExpires; d.inc.State == Acknowledged && !at.IsZero() && !d.now.Before(at) {
		d.expire(Entry{At: at, Text: "the acknowledgement of " + d.inc.AcknowledgedBy + " has expired; nobody takes care of it"})
	}
	d.advanceDeadlines()
	if !d.inc.State.Open() {
		return
	}
	calendar := d.m.sla(d.inc.Severity).Calendar
	for i := range d.inc.Clocks {
		c := &d.inc.Clocks[i]
		if !c.Stopped.IsZero() || c.Due.IsZero() {
			continue
		}
		passed := c.passed(d.now, calendar)
		for _, mark := range clockMarks {
			if c.Told < mark && mark <= passed {
				c.Told = mark
				d.tellClock(*c, c.reaches(mark, calendar))
			}
		}
	}
}

// expire ends an acknowledgement, of which an entry says when that was and why.
func (d *draft) expire(e Entry) {
	d.inc.State = Triggered
	d.nobody()
	e.Kind = entryExpired
	d.addEntry(e, entryData{State: Triggered, Was: Acknowledged, Expires: e.At})
}

// nobody notes that nobody takes care any more.
func (d *draft) nobody() {
	d.inc.AcknowledgedBy, d.inc.AckExpires, d.inc.AckComment = "", time.Time{}, ""
	d.owesNoAck()
}

// tellClock puts on the timeline how much of a time has passed.
func (d *draft) tellClock(c Clock, at time.Time) {
	var text string
	switch {
	case c.Told < 100:
		text = fmt.Sprintf("%d %% of the time to %s has passed; it is due at %s", c.Told, c.Kind, d.m.at(c.Due))
	case c.Kind == ClockUpdate:
		text = "people have not been told anything since " + d.m.at(c.From) + "; an update was due at " + d.m.at(c.Due)
	default:
		text = fmt.Sprintf("the time to %s is over: it was due at %s", c.Kind, d.m.at(c.Due))
	}
	key := fmt.Sprintf("clock/%s/%d/%d", c.Kind, c.Due.UnixMicro(), c.Told)
	d.addEntry(Entry{Key: key, At: at, Kind: entryClock, Text: text}, entryData{Clock: &c, Percent: c.Told})
	d.clocks = append(d.clocks, c)
}

// tellPassed puts on the timeline what had passed of clocks already when they were set.
func (d *draft) tellPassed() {
	calendar := d.m.sla(d.inc.Severity).Calendar
	for i := range d.inc.Clocks {
		c := &d.inc.Clocks[i]
		if !c.Stopped.IsZero() {
			continue
		}
		if mark := c.passed(d.now, calendar); mark > 0 {
			c.Told = mark
			d.tellClock(*c, d.now)
		}
	}
}
