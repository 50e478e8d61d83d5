package calendar

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.acu.edu.au/runbook/health"
)

// Region is a state or a territory, or the city of Brisbane, which has a holiday of its
// own.
type Region string

// The regions.
const (
	ACT      Region = "ACT"
	NSW      Region = "NSW"
	NT       Region = "NT"
	QLD      Region = "QLD"
	Brisbane Region = "QLD-Brisbane"
	SA       Region = "SA"
	TAS      Region = "TAS"
	VIC      Region = "VIC"
	WA       Region = "WA"
)

// Config says whose days they are. See [New].
type Config struct {
	// Region is the state, the territory, or Brisbane. Required.
	Region Region
	// Days are days of the host, which come before all others.
	Days []Day
	// ShowDays are the dates of the show day in Brisbane, "2026-08-12", one a year. Only for
	// the region Brisbane; years without one are reported by [Calendar.Check].
	ShowDays []string
	// Until is the last year for which the days are known. Zero means [Until]. Set a later
	// one when Days has what has been announced since.
	Until int

	// Open and Close are the working hours of a business day. Both zero means 09:00 and
	// 17:00; around the clock is health.At(0, 0) to health.At(24, 0).
	Open, Close health.TimeOfDay
	// Weekdays are the days of the week that are business days. None means Monday to
	// Friday.
	Weekdays []time.Weekday
	// Zone is the zone of the days. Nil means that of the region, loaded with
	// [health.LoadZone].
	Zone *time.Location
}

// A Day is one day that is not as others.
type Day struct {
	// Date is the day, "2026-12-29".
	Date string
	// Name says what it is: "University closed".
	Name string
	// Working means that it is a business day, whatever the rules say and whichever day of
	// the week it is. Otherwise it is none.
	Working bool
	// From and To are the times between which nobody works on a business day. Both zero
	// means the whole day. Not with Working.
	From, To health.TimeOfDay
}

// part reports whether it is closed for a part of the day only.
func (d Day) part() bool { return d.From != 0 || d.To != 0 }

// ErrBeyond means that a date is past the years for which the days are known. A result that
// comes with it is computed by the rules, and holidays that were announced may be missing.
var ErrBeyond = errors.New("the holidays of that year are not all known")

// A Calendar knows the business days of a region. Make one with [New]. It is safe for
// concurrent use.
type Calendar struct {
	cfg  Config
	days map[string]Day // of the host, by date
	show map[int]string // dates of show days, by year
	open health.Window  // of every day
}

const dateForm = "2006-01-02"

// New returns a Calendar, or all problems of cfg.
func New(cfg Config) (*Calendar, error) {
	var problems []error
	bad := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Errorf("calendar: "+format, args...))
		}
	}
	zone, _ := rules(cfg.Region)
	bad(zone == "", "region %q is not one of %s", cfg.Region, regions)
	if cfg.Zone == nil && zone != "" {
		var err error
		cfg.Zone, err = health.LoadZone(zone)
		bad(err != nil, "%w", err)
	} else if cfg.Zone != nil {
		_, err := health.LoadZone(cfg.Zone.String())
		bad(err != nil, "%w", err)
	}
	if cfg.Open == 0 && cfg.Close == 0 {
		cfg.Open, cfg.Close = health.At(9, 0), health.At(17, 0)
	}
	bad(!isPart(cfg.Open, cfg.Close), "Open %v and Close %v are not two times of one day", cfg.Open, cfg.Close)
	if len(cfg.Weekdays) == 0 {
		cfg.Weekdays = health.Weekdays()
	}
	cfg.Weekdays = slices.Clone(cfg.Weekdays)
	for _, d := range cfg.Weekdays {
		bad(d < time.Sunday || d > time.Saturday, "%d is no day of the week", d)
	}
	if cfg.Until == 0 {
		cfg.Until = Until
	}
	bad(cfg.Until < Until || cfg.Until > Until+20, "Until %d is not a year from %d to %d", cfg.Until, Until, Until+20)
	c := &Calendar{cfg: cfg, days: make(map[string]Day, len(cfg.Days)), show: make(map[int]string, len(cfg.ShowDays))}
	problems = append(problems, c.addDays()...)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	c.open = health.Window{From: cfg.Open, For: time.Duration(cfg.Close-cfg.Open) * time.Minute, Zone: cfg.Zone}
	return c, nil
}

// isPart reports whether two times are a part of one day.
func isPart(from, to health.TimeOfDay) bool { return from >= 0 && from < to && to <= health.At(24, 0) }

func (c *Calendar) addDays() (problems []error) {
	bad := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Errorf("calendar: "+format, args...))
		}
	}
	for _, d := range c.cfg.Days {
		_, err := time.Parse(dateForm, d.Date)
		bad(err != nil, "%q is no date such as 2026-12-29", d.Date)
		bad(d.Name == "", "%s has no name", d.Date)
		bad(d.part() && (d.Working || !isPart(d.From, d.To)), "%s: From %v and To %v are not two times of one day, or it is a working day", d.Date, d.From, d.To)
		_, twice := c.days[d.Date]
		bad(twice, "%s is there twice", d.Date)
		c.days[d.Date] = d
	}
	bad(c.cfg.Region != Brisbane && len(c.cfg.ShowDays) > 0, "only Brisbane has ShowDays; put those of other districts into Days")
	for _, s := range c.cfg.ShowDays {
		date, err := time.Parse(dateForm, s)
		bad(err != nil, "%q is no date such as 2026-08-12", s)
		bad(c.show[date.Year()] != "", "%d has two show days", date.Year())
		c.show[date.Year()] = s
	}
	return problems
}

// Zone returns the zone of the days.
func (c *Calendar) Zone() *time.Location { return c.cfg.Zone }

// ValidUntil returns the first instant of which the days are not known.
func (c *Calendar) ValidUntil() time.Time {
	return time.Date(c.cfg.Until+1, time.January, 1, 0, 0, 0, 0, c.cfg.Zone)
}

// Check returns an error that wraps [ErrBeyond] if the days around t are not all known: t is
// at or past [Calendar.ValidUntil], or the show day of Brisbane was not given for its year.
func (c *Calendar) Check(t time.Time) error {
	year := t.In(c.cfg.Zone).Year()
	if year > c.cfg.Until {
		return fmt.Errorf("calendar: %s %d: %w; they are up to %d", c.cfg.Region, year, ErrBeyond, c.cfg.Until)
	}
	if c.cfg.Region == Brisbane && c.show[year] == "" {
		return fmt.Errorf("calendar: %s %d: %w: the show day was not given", c.cfg.Region, year, ErrBeyond)
	}
	return nil
}

// IsBusinessDay reports whether people work on the day on which t is in the region, be it
// for a part of it.
func (c *Calendar) IsBusinessDay(t time.Time) bool { return c.business(c.date(t)) }

// date returns the civil date of an instant in the region, as noon in UTC.
func (c *Calendar) date(t time.Time) time.Time {
	year, month, day := t.In(c.cfg.Zone).Date()
	return time.Date(year, month, day, 12, 0, 0, 0, time.UTC)
}

func (c *Calendar) business(date time.Time) bool {
	special, ok := c.special(date)
	if ok && special.Working {
		return true
	}
	if ok && !special.part() {
		return false
	}
	return slices.Contains(c.cfg.Weekdays, date.Weekday())
}

// special returns what is special about a date: what the host says, else what is corrected
// here, else what the rules of the region say.
func (c *Calendar) special(date time.Time) (Day, bool) {
	key := date.Format(dateForm)
	if d, ok := c.days[key]; ok {
		return d, true
	}
	if c.show[date.Year()] == key {
		return Day{Date: key, Name: "Royal Queensland Show"}, true
	}
	if d, ok := correction(c.cfg.Region, date); ok {
		return d, true
	}
	return rule(c.cfg.Region, date)
}

// Holiday returns what is special about the day on which t is in the region: a holiday,
// whole or in part, or a day of the host.
func (c *Calendar) Holiday(t time.Time) (Day, bool) { return c.special(c.date(t)) }

// Holidays returns the special days of a year, in order.
func (c *Calendar) Holidays(year int) []Day {
	var list []Day
	for date := time.Date(year, time.January, 1, 12, 0, 0, 0, time.UTC); date.Year() == year; date = date.AddDate(0, 0, 1) {
		if d, ok := c.special(date); ok {
			list = append(list, d)
		}
	}
	return list
}
