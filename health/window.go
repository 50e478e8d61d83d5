package health

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// A Window is a time: once, or again and again. It serves for maintenance,
// quiet hours and working hours alike.
//
// A window that happens once has Start and End. A window that recurs has From,
// For and Zone, and begins on every day, or on those that Days or MonthDays
// name. Start and End then bound the recurrence, and may be zero.
//
//	health.Window{Start: t, End: t.Add(2 * time.Hour)}
//	health.Window{From: health.At(22, 30), For: 8 * time.Hour, Zone: sydney}
//	health.Window{From: health.At(9, 0), For: 8 * time.Hour, Zone: sydney, Days: health.Weekdays()}
//
// Recurring windows are civil times, read off the clock on the wall of their
// zone, also on the days on which clocks change:
//
//   - 08:00 for an hour lasts from 08:00 to 09:00 on every day of the year. A
//     window around the change is an hour shorter or longer than For.
//   - A begin that the clock skips (02:30 in spring) is the instant of the
//     change. An end that it skips likewise.
//   - A begin that comes twice (02:30 in autumn) is the first of the two, an
//     end that comes twice the second: the window covers both. An end at 02:00,
//     when the hour that comes twice begins, is the first: nothing of that hour
//     is in the window.
type Window struct {
	// Name says what the window is for. Optional.
	Name string
	// Start is the first instant of the window, or of its recurrence.
	Start time.Time
	// End is the first instant after the window, or after the last recurrence:
	// an occurrence that has begun before End is cut there.
	End time.Time

	// From is the time of day at which a recurring window begins.
	From TimeOfDay
	// For is how long it lasts by the clock on the wall, up to seven days: it
	// may cross midnight. More than zero makes the window recurring.
	For time.Duration
	// Zone is the zone of From. Required for a recurring window. See [LoadZone].
	Zone *time.Location
	// Days are the days of the week on which the window begins. None means all.
	Days []time.Weekday
	// MonthDays are the days of the month on which the window begins, 1 to 31;
	// -1 is the last day of a month. None means all. Together with Days a day
	// must be named by both: Days Monday and MonthDays 1 to 7 is the first
	// Monday of each month.
	MonthDays []int
}

// A TimeOfDay is a time on a clock, in minutes since midnight. See [At].
type TimeOfDay int

// At returns a time of day. At(24, 0) is midnight at the end of the day.
func At(hour, minute int) TimeOfDay { return TimeOfDay(60*hour + minute) }

// String returns the time as "08:00".
func (t TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", int(t)/60, int(t)%60) }

// ParseTimeOfDay reads a time of the form "08:00", from "00:00" to "23:59".
func ParseTimeOfDay(s string) (TimeOfDay, error) {
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") {
		return 0, fmt.Errorf("health: %q is not a time of day (such as 08:00)", s)
	}
	return At(t.Hour(), t.Minute()), nil
}

// Weekdays returns Monday to Friday.
func Weekdays() []time.Weekday {
	return []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
}

// LoadZone returns the time zone of an IANA name such as "Australia/Sydney". It
// refuses abbreviations and fixed offsets such as "EST" or "Etc/GMT-10", which
// mean another place's time or ignore daylight saving, and "Local", which
// depends on the machine. "UTC" is allowed.
//
// It needs the zone database of the system, of Go, or of package time/tzdata.
func LoadZone(name string) (*time.Location, error) {
	if name == "UTC" {
		return time.UTC, nil
	}
	if !isPlace(name) {
		return nil, fmt.Errorf("health: %q is not the IANA name of a time zone (such as Australia/Sydney, or UTC)", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("health: time zone: %w", err)
	}
	return zone, nil
}

// isPlace reports whether a zone name is of the form Area/Place.
func isPlace(name string) bool {
	areas := []string{"Africa/", "America/", "Antarctica/", "Arctic/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/"}
	return slices.ContainsFunc(areas, func(area string) bool {
		return len(name) > len(area) && name[:len(area)] == area
	})
}

// recurs reports whether the window happens again and again.
func (w Window) recurs() bool {
	return w.For != 0 || w.Zone != nil || w.From != 0 || len(w.Days)+len(w.MonthDays) > 0
}

// Validate returns everything that is wrong with the window, or nil.
func (w Window) Validate() error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("window %q: "+format, append([]any{w.Name}, args...)...))
	}
	if !w.Start.IsZero() && !w.End.IsZero() && !w.Start.Before(w.End) {
		fail("it ends (%v) before it starts (%v)", w.End, w.Start)
	}
	if !w.recurs() {
		if w.Start.IsZero() || w.End.IsZero() {
			fail("start and end are required, or from, for and zone for one that recurs")
		}
		return errors.Join(errs...)
	}
	if w.Zone == nil {
		fail("a zone is required for a window that recurs")
	}
	if w.From < 0 || w.From > At(24, 0) {
		fail("from %v is not a time of day", w.From)
	}
	if w.For <= 0 || w.For > 7*24*time.Hour || w.For%time.Minute != 0 {
		fail("for %v is not a number of whole minutes up to 7 days", w.For)
	}
	for _, day := range w.Days {
		if day < time.Sunday || day > time.Saturday {
			fail("%v is not a day of the week", day)
		}
	}
	for _, day := range w.MonthDays {
		if day < -1 || day == 0 || day > 31 {
			fail("%d is not a day of a month (1 to 31, or -1 for the last)", day)
		}
	}
	return errors.Join(errs...)
}

// An Interval is a time from Start up to, and without, End.
type Interval struct{ Start, End time.Time }

// Contains reports whether t is within the window.
func (w Window) Contains(t time.Time) bool {
	for range w.occurrences(t, t.Add(1)) {
		return true
	}
	return false
}

// Next returns the occurrence that contains t or, if none does, the first that
// begins after t. It is false when there is none, within five years for one
// that recurs.
func (w Window) Next(t time.Time) (Interval, bool) {
	for in := range w.occurrences(t, t.AddDate(5, 0, 0)) {
		return in, true
	}
	return Interval{}, false
}

// Between returns the parts of the window within from and to, in order. Where
// occurrences overlap, or one begins as another ends, they are one part.
func (w Window) Between(from, to time.Time) iter.Seq[Interval] {
	return func(yield func(Interval) bool) {
		if !from.Before(to) {
			return
		}
		var last Interval
		for in := range w.occurrences(from, to) {
			in = Interval{later(in.Start, from), earlier(in.End, to)}
			switch {
			case last.End.IsZero():
				last = in
			case in.Start.After(last.End):
				if !yield(last) {
					return
				}
				last = in
			default:
				last.End = later(last.End, in.End)
			}
		}
		if !last.End.IsZero() {
			yield(last)
		}
	}
}

// occurrences returns each occurrence that overlaps the time from a to b, whole
// but for the bounds of the window, in order of their begin.
func (w Window) occurrences(a, b time.Time) iter.Seq[Interval] {
	return func(yield func(Interval) bool) {
		if !w.recurs() {
			if w.Start.Before(b) && w.End.After(a) {
				yield(Interval{w.Start, w.End})
			}
			return
		}
		if w.Zone == nil || w.For <= 0 {
			return
		}
		// The first that can matter began For ago, and a day more, since civil
		// days can be longer than 24 hours.
		first := later(a, w.Start).Add(-w.For).In(w.Zone).AddDate(0, 0, -1)
		for n := 0; ; n++ {
			year, month, day := first.Date()
			date := time.Date(year, month, day+n, 12, 0, 0, 0, time.UTC)
			in := w.on(date)
			if !in.Start.Before(b) || (!w.End.IsZero() && !in.Start.Before(w.End)) {
				return
			}
			if !w.beginsOn(date) {
				continue
			}
			in.Start = later(in.Start, w.Start)
			if !w.End.IsZero() {
				in.End = earlier(in.End, w.End)
			}
			if in.Start.Before(in.End) && in.Start.Before(b) && in.End.After(a) && !yield(in) {
				return
			}
		}
	}
}

// beginsOn reports whether the window begins on the civil date of d.
func (w Window) beginsOn(d time.Time) bool {
	if len(w.Days) > 0 && !slices.Contains(w.Days, d.Weekday()) {
		return false
	}
	if len(w.MonthDays) == 0 || slices.Contains(w.MonthDays, d.Day()) {
		return true
	}
	return d.AddDate(0, 0, 1).Day() == 1 && slices.Contains(w.MonthDays, -1)
}

// on returns the occurrence that begins on the civil date of d.
func (w Window) on(d time.Time) Interval {
	from := int(w.From)
	firstStart, _ := civil(d, from, w.Zone)
	firstEnd, lastEnd := civil(d, from+int(w.For/time.Minute), w.Zone)
	if change, _ := lastEnd.ZoneBounds(); lastEnd.Equal(change) {
		lastEnd = firstEnd // the clocks were set back to the end, not past it
	}
	return Interval{firstStart, lastEnd}
}

// civil returns the first and the last instant at which the clocks of zone show
// the civil date of d, minutes after midnight. They differ where clocks were
// set back; where clocks skip that time, both are the instant of the change.
func civil(d time.Time, minutes int, zone *time.Location) (first, last time.Time) {
	year, month, day := d.Date()
	wall := time.Date(year, month, day, 0, minutes, 0, 0, time.UTC)
	// The instants that show this time lie at the offsets in force around it.
	probe := time.Date(year, month, day, 0, minutes, 0, 0, zone)
	for _, at := range [...]time.Time{probe.Add(-24 * time.Hour), probe.Add(24 * time.Hour)} {
		_, offset := at.Zone()
		instant := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		if _, shown := instant.Zone(); shown != offset {
			continue
		}
		if first.IsZero() || instant.Before(first) {
			first = instant
		}
		last = later(last, instant)
	}
	if first.IsZero() { // skipped: probe lies a little before or after the change
		start, end := probe.ZoneBounds()
		if end.IsZero() || (!start.IsZero() && probe.Sub(start) < end.Sub(probe)) {
			return start, start
		}
		return end, end
	}
	return first, last
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
