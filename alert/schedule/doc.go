// Package schedule runs what is due by the clock on the wall: the morning summary, the
// weekly report, the monthly checklist.
//
//	ledger, err := schedule.NewSQLLedger(ctx, db)
//	...
//	scheduler, err := schedule.New(schedule.Config{
//		Zone:   sydney, // of health.LoadZone("Australia/Sydney")
//		Ledger: ledger,
//		Schedules: schedule.Runbook(schedule.Jobs{
//			MorningSummary: func(ctx context.Context, run schedule.Run) error {
//				return router.Post(ctx, alert.Post{ID: run.Key(), Title: "Morning summary", Body: summary(), Last: true})
//			},
//		}),
//	})
//	...
//	err = scheduler.Start(ctx)
//	...
//	err = scheduler.Stop(ctx)
//
// # Once
//
// A run is named by its schedule, the local date and the nominal time, and a [Ledger]
// remembers what became of it: over restarts and in any number of replicas each run is done
// once. A job that returns an error of which runbook.SafeToRetry is true has done nothing,
// and is done again later. Of any other error, of a panic and of a crash it is not known
// what happened: the run is repeated, at most three times, and [Run].PossibleRepeat says
// so. Nothing else is ever repeated.
//
// # Late
//
// A run that was missed, because nobody was there or the machine slept, is done late,
// up to [Schedule].MaxLate; of several that were missed only the last. With [Skip] it is
// left out instead.
//
// # Days on which clocks change
//
// A schedule is a civil time in a zone, which is an IANA name; abbreviations such as EST
// are refused. 08:00 is 08:00 on every day of the year. A time that does not exist on a day,
// such as 02:30 when the clocks of Sydney are set forward from 02:00 to 03:00, is an hour
// later by the new time: 03:30. A time that exists twice, such as 02:30 when they are set
// back from 03:00 to 02:00, is the second of the two. Either runs once. A day of the month
// that a month does not have is left out in it; -1 is the last day of each.
//
// # What it does not do
//
// It has no cron expressions, whose parser leaves out and repeats runs on such days, and no
// intervals of elapsed time.
//
// # Concurrency, errors and cost
//
// Everything is safe for concurrent use. A schedule whose job still runs is not begun
// again; different schedules run at the same time. Importing this package compiles health,
// the module's migrations, database/sql without a driver, and github.com/go-co-op/gocron.
package schedule
