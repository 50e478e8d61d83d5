package calendar

import (
	"time"

	"github.com/rickar/cal/v2"
	"github.com/rickar/cal/v2/au"

	"go.acu.edu.au/runbook/health"
)

// Version is the day on which the corrections of this package were made.
const Version = "2026-11-23"

// Until is the last year for which holidays that were announced are known.
const Until = 2027

const regions = "ACT, NSW, NT, QLD, QLD-Brisbane, SA, TAS, VIC, WA"

// rules returns the zone and the holidays of a region, by the library's rules. A state with
// more than one zone has that of its capital.
func rules(r Region) (zone string, holidays []*cal.Holiday) {
	switch r {
	case ACT:
		return "Australia/Sydney", au.HolidaysACT
	case NSW:
		return "Australia/Sydney", au.HolidaysNSW
	case NT:
		return "Australia/Darwin", au.HolidaysNT
	case QLD, Brisbane:
		return "Australia/Brisbane", au.HolidaysQLD
	case SA:
		return "Australia/Adelaide", au.HolidaysSA
	case TAS:
		return "Australia/Hobart", au.HolidaysTAS
	case VIC:
		return "Australia/Melbourne", au.HolidaysVIC
	case WA:
		return "Australia/Perth", au.HolidaysWA
	}
	return "", nil
}

// rule returns the holiday that the rules of a region have on a date. A holiday of which
// another day is observed is one on both: the first is on a weekend.
func rule(r Region, date time.Time) (Day, bool) {
	_, holidays := rules(r)
	for _, h := range holidays {
		actual, observed := h.Calc(date.Year())
		if !same(actual, date) && !same(observed, date) {
			continue
		}
		name := h.Name
		if name == "Queen's Birthday" && date.Year() >= 2023 {
			name = "King's Birthday"
		}
		if !same(actual, date) {
			name += " (additional day)"
		}
		return Day{Date: date.Format(dateForm), Name: name}, true
	}
	return Day{}, false
}

func same(t, date time.Time) bool {
	year, month, day := t.Date()
	y, m, d := date.Date()
	return year == y && month == m && day == d
}

// correction returns what the rules lack. Each entry has its source in the comment of the
// package.
func correction(r Region, date time.Time) (Day, bool) {
	key := date.Format(dateForm)
	day, month := date.Day(), date.Month()
	eve := func(name string, hour int) (Day, bool) {
		return Day{Date: key, Name: name, From: health.At(hour, 0), To: health.At(24, 0)}, true
	}
	switch {
	case r == NSW && (key == "2026-04-27" || key == "2027-04-26"):
		return Day{Date: key, Name: "Anzac Day (additional day)"}, true
	case (r == QLD || r == Brisbane) && month == time.December && day == 24 && date.Year() >= 2019:
		return eve("Christmas Eve", 18)
	case (r == SA || r == NT) && month == time.December && day == 24:
		return eve("Christmas Eve", 19)
	case (r == SA || r == NT) && month == time.December && day == 31:
		return eve("New Year's Eve", 19)
	}
	return Day{}, false
}
