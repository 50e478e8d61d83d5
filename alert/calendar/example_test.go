package calendar_test

import (
	"fmt"
	"time"

	"go.acu.edu.au/runbook/alert/calendar"
)

// Something is reported on the Friday before Labour Day, a weekend on which Sydney's clocks
// are set forward.
func Example() {
	sydney, err := calendar.New(calendar.Config{
		Region: calendar.NSW,
		Days:   []calendar.Day{{Date: "2026-12-29", Name: "University closed"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	reported := time.Date(2026, time.October, 2, 6, 30, 0, 0, time.UTC)
	fmt.Println("reported:     ", reported.In(sydney.Zone()).Format(time.RFC1123))

	due, err := sydney.AddBusinessTime(reported, 4*time.Hour)
	fmt.Println("4 hours later:", due.Format(time.RFC1123), err)
	next, err := sydney.NextBusinessDay(reported)
	fmt.Println("next day:     ", next.Format(time.RFC1123), err)

	monday, _ := sydney.Holiday(reported.AddDate(0, 0, 3))
	fmt.Println("Monday is     ", monday.Name)
	fmt.Println(sydney.Check(reported.AddDate(2, 0, 0)))
	// Output:
	// reported:      Fri, 02 Oct 2026 16:30:00 AEST
	// 4 hours later: Tue, 06 Oct 2026 12:30:00 AEDT <nil>
	// next day:      Tue, 06 Oct 2026 09:00:00 AEDT <nil>
	// Monday is      Labour Day
	// calendar: NSW 2028: the holidays of that year are not all known; they are up to 2027
}
