// Package calendar knows the business days of the Australian states and territories, and
// counts business time.
//
//	sydney, err := calendar.New(calendar.Config{
//		Region: calendar.NSW,
//		Days: []calendar.Day{
//			{Date: "2026-12-29", Name: "University closed"},
//			{Date: "2026-12-30", Name: "University closed"},
//		},
//	})
//	...
//	if sydney.IsBusinessDay(now) { ... }
//	due, err := sydney.AddBusinessTime(reported, 4*time.Hour)
//	due, err = sydney.EndOfBusinessDay(reported)
//
// # Where the days come from
//
// What a host says in Config.Days comes first, then the corrections of this package, then
// the rules of github.com/rickar/cal. The corrections are what those rules lack:
//
//   - New South Wales has a holiday on Monday 2026-04-27 and on Monday 2027-04-26, the days
//     after Anzac Day (Public Holidays Amendment (Anzac Day) Order 2026).
//   - Queensland closes at 18:00 on 24 December (Holidays Act 1983, since 2019); South
//     Australia and the Northern Territory at 19:00 on 24 and 31 December.
//   - The show day is one for the area of the city of Brisbane only, which is a region of
//     its own here. Its date is set for each year, and a host must give it.
//   - Since 2023 it is the King's Birthday.
//
// They are those of [Version], and hold to the end of [Until]. Governments announce
// further holidays at short notice, so that later dates are computed by the rules alone:
// [Calendar.Check] and the methods that return an error report them, with [ErrBeyond].
// The Friday before the AFL Grand Final, in Victoria, is computed for the last Saturday of
// September, and is set each year: give it in Days if it is another.
//
// # Time
//
// A day is one in the zone of the region, whatever zone an instant is given in. Working
// hours are civil times, as those of [health.Window]: from 09:00 to 17:00 also on days on
// which the clocks change, and a day that is open around the clock has 23 or 25 hours then.
//
// # What it does not do
//
// It knows no school holidays, bank holidays and holidays of local districts but Brisbane.
//
// # Concurrency, errors and cost
//
// A [Calendar] does not change and is safe for concurrent use. Importing this package
// compiles health and github.com/rickar/cal, which has no dependencies. It needs the zone
// database of the system, of Go, or of package time/tzdata.
package calendar
