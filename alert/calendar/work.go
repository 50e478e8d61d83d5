package calendar

import (
	"errors"
	"iter"
	"time"

	"go.acu.edu.au/runbook/health"
)

// farthest is how many days without business time are looked through for some.
const farthest = 3 * 366

// errNever means that the host's days leave no business time.
var errNever = errors.New("calendar: there is no business time within three years")

// working returns the working time of a civil date, in order.
func (c *Calendar) working(date time.Time) iter.Seq[health.Interval] {
	return func(yield func(health.Interval) bool) {
		if !c.business(date) {
			return
		}
		year, month, day := date.Date()
		begin := time.Date(year, month, day, 0, 0, 0, 0, c.cfg.Zone)
		end := time.Date(year, month, day+1, 0, 0, 0, 0, c.cfg.Zone)
		special, _ := c.special(date)
		for in := range c.open.Between(begin, end) {
			if !special.part() {
				if !yield(in) {
					return
				}
				continue
			}
			// What is closed is cut out, by the same civil arithmetic.
			shut := health.Window{From: special.From, For: time.Duration(special.To-special.From) * time.Minute, Zone: c.cfg.Zone}
			at := in.Start
			for closed := range shut.Between(in.Start, in.End) {
				if at.Before(closed.Start) && !yield(health.Interval{Start: at, End: closed.Start}) {
					return
				}
				at = closed.End
			}
			if at.Before(in.End) && !yield(health.Interval{Start: at, End: in.End}) {
				return
			}
		}
	}
}

// from returns the working time that ends after t, in order; what was before t is cut off.
func (c *Calendar) from(t time.Time) iter.Seq[health.Interval] {
	return func(yield func(health.Interval) bool) {
		first := c.date(t)
		for n, empty := 0, 0; empty < farthest; n++ {
			empty++
			for in := range c.working(first.AddDate(0, 0, n)) {
				if !in.End.After(t) {
					continue
				}
				empty = 0
				if in.Start.Before(t) {
					in.Start = t
				}
				if !yield(in) {
					return
				}
			}
		}
	}
}

// IsOpen reports whether people work at t: on a business day, within the working hours.
func (c *Calendar) IsOpen(t time.Time) bool {
	for in := range c.working(c.date(t)) {
		if !t.Before(in.Start) && t.Before(in.End) {
			return true
		}
	}
	return false
}

// BusinessTime returns how much working time there is from one instant to another; none if
// the second is not after the first. What is before 1900 or after 2199, such as the time since
// the zero Time, is not counted.
func (c *Calendar) BusinessTime(from, to time.Time) (sum time.Duration) {
	if first := time.Date(1900, time.January, 1, 0, 0, 0, 0, c.cfg.Zone); from.Before(first) {
		from = first
	}
	if last := time.Date(2200, time.January, 1, 0, 0, 0, 0, c.cfg.Zone); to.After(last) {
		to = last
	}
	for date := c.date(from); !date.After(c.date(to)); date = date.AddDate(0, 0, 1) {
		for in := range c.working(date) {
			start, end := in.Start, in.End
			if start.Before(from) {
				start = from
			}
			if end.After(to) {
				end = to
			}
			sum += max(0, end.Sub(start))
		}
	}
	return sum
}

// AddBusinessTime returns when so much working time has passed since t. That is the end of a
// business day, and not the beginning of the next, if the time is used up with the day. If
// d is zero it is t, or the next opening. A d that is negative, or more than 100,000 hours, is
// an error. The instant is in the zone of the region.
//
// The error wraps [ErrBeyond] if the days up to that instant are not all known; the instant
// is right by the rules then. With other errors there is none.
func (c *Calendar) AddBusinessTime(t time.Time, d time.Duration) (time.Time, error) {
	if d < 0 || d > 100_000*time.Hour {
		return time.Time{}, errors.New("calendar: business time to add is negative, or more than 100,000 hours")
	}
	for in := range c.from(t) {
		length := in.End.Sub(in.Start)
		if d <= length {
			return c.checked(t, in.Start.Add(d))
		}
		d -= length
	}
	return time.Time{}, errNever
}

// checked returns an instant, with an error if the days from t up to it are not all known.
func (c *Calendar) checked(t, at time.Time) (time.Time, error) {
	err := c.Check(t)
	for year := c.date(t).Year() + 1; err == nil && year <= c.date(at).Year(); year++ {
		err = c.Check(time.Date(year, time.January, 1, 12, 0, 0, 0, c.cfg.Zone))
	}
	return at.In(c.cfg.Zone), err
}

// EndOfBusinessDay returns when work ends on the business day on which t is, or, if t is on
// none or work has ended, on the next. Errors are those of [Calendar.AddBusinessTime].
func (c *Calendar) EndOfBusinessDay(t time.Time) (time.Time, error) {
	var end time.Time
	for in := range c.from(t) {
		if !end.IsZero() && !c.date(end.Add(-1)).Equal(c.date(in.Start)) {
			break
		}
		end = in.End
	}
	if end.IsZero() {
		return time.Time{}, errNever
	}
	return c.checked(t, end)
}

// NextBusinessDay returns when work begins on the first business day after the day on which
// t is. Errors are those of [Calendar.AddBusinessTime].
func (c *Calendar) NextBusinessDay(t time.Time) (time.Time, error) {
	year, month, day := c.date(t).Date()
	for in := range c.from(time.Date(year, month, day+1, 0, 0, 0, 0, c.cfg.Zone)) {
		return c.checked(t, in.Start)
	}
	return time.Time{}, errNever
}
