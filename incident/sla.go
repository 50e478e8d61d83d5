package incident

import (
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// An SLA says by when something has to happen in an incident. There is one for each
// severity; see [DefaultSLAs].
//
// The times run from the first trigger: not from when the incident was recorded, and not
// from when somebody changed its severity. After it was reopened they run from then.
type SLA struct {
	// Acknowledge is how long it may take until somebody takes care of it, Mitigate until
	// users are no longer hurt, Resolve until it is over. Update is how long people may
	// hear nothing, from the trigger, and from each update. Zero means that there is no
	// limit. [NextBusinessDay] is a limit too.
	Acknowledge, Mitigate, Resolve, Update time.Duration
	// Calendar says when these times run. Nil means always: 24 hours on 7 days.
	Calendar Calendar
	// EarlyIsToday makes an incident that is triggered on a business day, before work
	// begins, one of that day, so that its next business day is the one after it. Else
	// that day itself is its next business day. See [NextBusinessDay].
	EarlyIsToday bool
}

// NextBusinessDay, as a time of an [SLA], means: by the close of the next business day.
// That is the first business day on which work begins after the incident was triggered:
//
//   - Triggered while people work, or after that on a business day: the close of the
//     business day after it.
//   - At a weekend or on a holiday: the close of the first business day that follows.
//   - At night: the close of the day that follows the night, whether it was before or
//     after midnight. So an incident of 07:00 on a business day that begins at 09:00 is due
//     by the close of this same day, unless EarlyIsToday is set.
//
// The close of a day on which work ends early is that early end. Without a calendar every
// day is a business day, and days are those of UTC.
const NextBusinessDay time.Duration = -1

// DefaultSLAs returns the response times of the operations runbook: critical incidents are
// acknowledged within 15 minutes (and somebody is called at once, which is a matter of the
// escalation), high ones within 30 minutes, medium ones within 2 hours, at any hour; low
// ones by the close of the next business day of a calendar. The runbook has no times for
// mitigation, resolution and updates, so there is no limit for them.
func DefaultSLAs(business Calendar) map[alert.Severity]SLA {
	return map[alert.Severity]SLA{
		alert.Critical: {Acknowledge: 15 * time.Minute},
		alert.High:     {Acknowledge: 30 * time.Minute},
		alert.Medium:   {Acknowledge: 2 * time.Hour},
		alert.Low:      {Acknowledge: NextBusinessDay, Calendar: business},
	}
}

// Validate returns everything that is wrong with the times, or nil.
func (s SLA) Validate() error {
	var problems []error
	for _, l := range s.limits() {
		if l.limit < 0 && l.limit != NextBusinessDay {
			problems = append(problems, fmt.Errorf("incident: SLA: the time to %s, %v, is negative", l.kind, l.limit))
		}
	}
	return errors.Join(problems...)
}

// limits returns the times, in the order in which clocks are shown.
func (s SLA) limits() []slaLimit {
	return []slaLimit{
		{ClockAcknowledge, s.Acknowledge}, {ClockMitigate, s.Mitigate}, {ClockResolve, s.Resolve}, {ClockUpdate, s.Update},
	}
}

type slaLimit struct {
	kind  ClockKind
	limit time.Duration
}

// due returns when a time is over that runs from an instant. An error that comes with an
// instant is that of the calendar, see [Calendar]; where the calendar finds no working
// time the clock goes on around it, rather than not at all.
func (s SLA) due(from time.Time, limit time.Duration) (time.Time, error) {
	add := func(c Calendar) (time.Time, error) {
		if limit == NextBusinessDay {
			return nextBusinessClose(c, from, s.EarlyIsToday)
		}
		return c.AddBusinessTime(from, limit)
	}
	due, err := add(calendarOr(s.Calendar))
	if due.IsZero() {
		due, _ = add(always{})
	}
	return due.UTC().Truncate(time.Microsecond), err
}

// clocks returns the clocks of an incident that run from an instant. Problems are those of
// the calendar.
func (s SLA) clocks(from, updated time.Time) (clocks []Clock, problems error) {
	for _, l := range s.limits() {
		if l.limit == 0 {
			continue
		}
		c := Clock{Kind: l.kind, From: from}
		if l.kind == ClockUpdate && updated.After(from) {
			c.From = updated
		}
		due, err := s.due(c.From, l.limit)
		c.Due, problems = due, errors.Join(problems, err)
		clocks = append(clocks, c)
	}
	return clocks, problems
}

// A Clock is a time by which something has to happen in an incident.
type Clock struct {
	// Kind is what has to happen.
	Kind ClockKind `json:"kind"`
	// From is since when it runs: since the first trigger, or since the incident was
	// reopened; that of updates since the last one.
	From time.Time `json:"from"`
	// Due is when. Zero means that there is no limit.
	Due time.Time `json:"due,omitzero"`
	// Stopped is when it happened; zero if it has not.
	Stopped time.Time `json:"stopped,omitzero"`
	// Told is how much of the time had passed when that was put on the timeline last, in
	// percent: 50, 80, 100.
	Told int `json:"told,omitempty"`
}

// Missed reports whether it happened too late, or has not happened although its time is
// over.
func (c Clock) Missed(now time.Time) bool {
	if !c.Stopped.IsZero() {
		now = c.Stopped
	}
	return !c.Due.IsZero() && now.After(c.Due)
}

// Left returns how much time is left by the clock on the wall, negative if it is over. It
// is zero for a clock that was stopped, or has no limit.
func (c Clock) Left(now time.Time) time.Duration {
	if c.Due.IsZero() || !c.Stopped.IsZero() {
		return 0
	}
	return c.Due.Sub(now)
}

// clockMarks are how much of a time has passed, in percent, when that is an event.
var clockMarks = [...]int{50, 80, 100}

// reaches returns when so much of the time has passed, counted in working time.
func (c Clock) reaches(percent int, calendar Calendar) time.Time {
	if percent >= 100 {
		return c.Due
	}
	part := calendarOr(calendar).BusinessTime(c.From, c.Due) * time.Duration(percent) / 100
	at, _ := calendarOr(calendar).AddBusinessTime(c.From, part)
	if at.IsZero() || at.After(c.Due) {
		return c.Due
	}
	return at.UTC().Truncate(time.Microsecond)
}

// passed returns the last mark that is reached at a time, 0 if none is. All of the time
// has not passed at the very moment at which it is due: what happens then is in time.
func (c Clock) passed(now time.Time, calendar Calendar) (percent int) {
	for _, mark := range clockMarks {
		at := c.reaches(mark, calendar)
		if !c.Due.IsZero() && (now.After(at) || mark < 100 && now.Equal(at)) {
			percent = mark
		}
	}
	return percent
}

// ClockKind is what has to happen by a time.
type ClockKind string

// The kinds of clocks.
const (
	ClockAcknowledge ClockKind = "acknowledge" // somebody takes care of it
	ClockMitigate    ClockKind = "mitigate"    // users are no longer hurt
	ClockResolve     ClockKind = "resolve"     // it is over
	ClockUpdate      ClockKind = "update"      // people are told how far it is
)
