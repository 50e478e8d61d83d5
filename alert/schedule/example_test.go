package schedule_test

import (
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/alert/schedule"
	"go.acu.edu.au/runbook/health"
)

// A report at 08:00 and one at 02:30, on the weekend on which the clocks of Sydney are set
// forward and there is no 02:30.
func Example() {
	sydney, err := health.LoadZone("Australia/Sydney")
	if err != nil {
		fmt.Println(err)
		return
	}
	report := func(_ context.Context, run schedule.Run) error {
		if run.PossibleRepeat {
			fmt.Print("(possible repeat) ")
		}
		fmt.Println("report of", run.Date)
		return nil
	}
	schedules := append(schedule.Runbook(schedule.Jobs{MorningSummary: report}), schedule.Schedule{Name: "night", At: health.At(2, 30), Do: report})
	scheduler, err := schedule.New(schedule.Config{Zone: sydney, Schedules: schedules})
	if err != nil {
		fmt.Println(err)
		return
	}
	saturday := time.Date(2026, time.October, 3, 0, 0, 0, 0, sydney)
	for run := range scheduler.Between(saturday, saturday.AddDate(0, 0, 2)) {
		fmt.Println(run.Key(), "is due at", run.Due.Format("15:04 MST"))
	}
	// Output:
	// night/2026-10-03/02:30 is due at 02:30 AEST
	// morning-summary/2026-10-03/08:00 is due at 08:00 AEST
	// night/2026-10-04/02:30 is due at 03:30 AEDT
	// morning-summary/2026-10-04/08:00 is due at 08:00 AEDT
}
