package incident

import "time"

// Calendar knows when people work, for clocks and escalations that do not run around the
// clock. The calendars of package alert/calendar are ones. Methods may be called
// concurrently, and do not depend on anything but their arguments.
//
// A calendar knows the holidays up to some date. Where a method returns an error together
// with an instant, that instant is right but for holidays that are not known yet: it is
// used, and the error is logged. With an error and no instant there is no working time
// that could be found.
type Calendar interface {
	// IsOpen reports whether people work at t.
	IsOpen(t time.Time) bool
	// BusinessTime returns how much working time there is from one instant to another;
	// none if the second is not after the first.
	BusinessTime(from, to time.Time) time.Duration
	// AddBusinessTime returns when so much working time has passed since t: the end of a
	// business day rather than the opening of the next one if the time is used up with
	// the day. For zero it is t, or the next opening.
	AddBusinessTime(t time.Time, d time.Duration) (time.Time, error)
	// EndOfBusinessDay returns when work ends on the business day on which t is, or, if t
	// is on none or work has ended, on the next.
	EndOfBusinessDay(t time.Time) (time.Time, error)
	// NextBusinessDay returns when work begins on the first business day after the day on
	// which t is.
	NextBusinessDay(t time.Time) (time.Time, error)
}

// always is the calendar of those who work around the clock. Its days are those of UTC.
type always struct{}

var _ Calendar = always{}

// IsOpen implements [Calendar].
func (always) IsOpen(time.Time) bool { return true }

// BusinessTime implements [Calendar].
func (always) BusinessTime(from, to time.Time) time.Duration { return max(0, to.Sub(from)) }

// AddBusinessTime implements [Calendar].
func (always) AddBusinessTime(t time.Time, d time.Duration) (time.Time, error) { return t.Add(d), nil }

// EndOfBusinessDay implements [Calendar].
func (always) EndOfBusinessDay(t time.Time) (time.Time, error) { return nextMidnight(t), nil }

// NextBusinessDay implements [Calendar].
func (always) NextBusinessDay(t time.Time) (time.Time, error) { return nextMidnight(t), nil }

// nextMidnight returns the first midnight in UTC after t.
func nextMidnight(t time.Time) time.Time {
	year, month, day := t.UTC().Date()
	return time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
}

// calendarOr returns a calendar, or that of those who always work.
func calendarOr(c Calendar) Calendar {
	if c == nil {
		return always{}
	}
	return c
}

// longestDay is longer than any civil day, also one on which clocks are put back.
const longestDay = 27 * time.Hour

// isBeforeOpening reports whether t is before work begins on a business day, and when it
// does. It is false for an instant between two parts of a business day.
func isBeforeOpening(c Calendar, t time.Time) (opening time.Time, before bool) {
	opening, _ = c.AddBusinessTime(t, 0)
	next, _ := c.NextBusinessDay(t)
	if opening.IsZero() || next.IsZero() || !opening.After(t) || !opening.Before(next) {
		return time.Time{}, false // people work now, or do not any more on this day
	}
	// t is on a business day. It has begun if the last work before t was on it too.
	worked := c.BusinessTime(t.Add(-longestDay), t)
	if worked == 0 {
		return opening, true
	}
	last, _ := c.AddBusinessTime(t.Add(-longestDay), worked)
	after, _ := c.NextBusinessDay(last.Add(-1))
	return opening, !after.Equal(next)
}

// nextBusinessClose returns the close of the next business day: see [NextBusinessDay].
func nextBusinessClose(c Calendar, t time.Time, earlyIsToday bool) (time.Time, error) {
	if opening, before := isBeforeOpening(c, t); before && !earlyIsToday {
		return c.EndOfBusinessDay(opening)
	}
	next, err := c.NextBusinessDay(t)
	if next.IsZero() {
		return next, err
	}
	end, endErr := c.EndOfBusinessDay(next)
	if endErr != nil {
		err = endErr
	}
	return end, err
}
