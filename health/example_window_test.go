package health_test

import (
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/health"
)

// A window keeps the time of the clock on the wall: it opens at 08:00 on the
// day that loses an hour to daylight saving as on any other.
func ExampleWindow() {
	sydney, err := health.LoadZone("Australia/Sydney")
	if err != nil {
		fmt.Println(err)
		return
	}
	w := health.Window{Name: "backup", From: health.At(8, 0), For: time.Hour, Zone: sydney}
	if err := w.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	for _, clock := range []string{"07:59", "08:00", "08:59", "09:00"} {
		t, err := time.ParseInLocation("2006-01-02 15:04", "2026-10-04 "+clock, sydney)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(clock, w.Contains(t))
	}
	// Output:
	// 07:59 false
	// 08:00 true
	// 08:59 true
	// 09:00 false
}

// A window may cross midnight. Occurrences are cut where one asks from and to.
func ExampleWindow_Between() {
	night := health.Window{From: health.At(22, 30), For: 8 * time.Hour, Zone: time.UTC}
	from := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for part := range night.Between(from, from.AddDate(0, 0, 2)) {
		fmt.Println(part.Start.Format("Mon 15:04"), "to", part.End.Format("Mon 15:04"))
	}
	// Output:
	// Mon 00:00 to Mon 06:30
	// Mon 22:30 to Tue 06:30
	// Tue 22:30 to Wed 00:00
}

// Next tells when maintenance is, or will be: here on the first Monday of each
// month.
func ExampleWindow_Next() {
	patches := health.Window{
		From:      health.At(6, 0),
		For:       90 * time.Minute,
		Zone:      time.UTC,
		Days:      []time.Weekday{time.Monday},
		MonthDays: []int{1, 2, 3, 4, 5, 6, 7},
	}
	next, ok := patches.Next(time.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC))
	fmt.Println(next.Start.Format("Mon 2 January 15:04"), "for", next.End.Sub(next.Start), ok)
	// Output:
	// Mon 6 July 06:00 for 1h30m0s true
}

// What a limit says is past it: more than the limit or, with Below, less.
func ExampleLimit() {
	memory := health.Limit{Warn: new(80.0), Fail: new(95.0)}
	certificate := health.Limit{Warn: new(30.0), Fail: new(7.0), Below: true}

	r := health.Result{Status: health.Healthy}
	r = memory.Apply(r, health.Measurement{Name: "memory_used", Value: 85, Unit: health.Percent})
	r = certificate.Apply(r, health.Measurement{Name: "certificate_expiry", Value: 3, Unit: health.Days})
	fmt.Println(r.Status, "because of", r.Cause)
	fmt.Println(r.Message)
	// Output:
	// unhealthy because of threshold
	// certificate_expiry 3 days, less than 7; memory_used 85 %, more than 80
}

// Uptime, latencies and downtime of one morning, of a check that was down for
// ten minutes.
func ExampleMemoryHistory() {
	ctx := context.Background()
	var history health.MemoryHistory
	start := time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC)
	for minute := range 181 {
		s := health.Sample{
			Check:   "database",
			Time:    start.Add(time.Duration(minute) * time.Minute),
			Status:  health.Healthy,
			Latency: time.Duration(minute%10+1) * time.Millisecond,
			Valid:   2 * time.Minute,
		}
		if minute >= 100 && minute < 110 {
			s.Status = health.Unhealthy
		}
		if err := history.Append(ctx, []health.Sample{s}); err != nil {
			fmt.Println(err)
			return
		}
	}
	end := start.Add(3 * time.Hour)
	buckets, err := history.Buckets(ctx, "database", health.Hourly, start, end)
	if err != nil {
		fmt.Println(err)
		return
	}
	var morning health.Bucket
	for _, b := range buckets {
		morning.Merge(&b)
	}
	share, _ := morning.Uptime()
	fmt.Printf("up %.2f %%, 95 of 100 answers within %v\n", 100*share, morning.Latencies.Quantile(0.95).Round(time.Millisecond))

	spells, err := history.Spells(ctx, "database", start, end)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range spells {
		fmt.Println("down from", s.Start.Format("15:04"), "to", s.End.Format("15:04"))
	}
	// Output:
	// up 94.44 %, 95 of 100 answers within 11ms
	// down from 10:40 to 10:50
}
