package schedule_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert/schedule"
	"go.acu.edu.au/runbook/health"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := health.LoadZone(name)
	require.NoError(t, err)
	return z
}

// local is an instant by the clocks of Sydney.
func local(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.ParseInLocation("2006-01-02 15:04:05", s, zone(t, "Australia/Sydney"))
	require.NoError(t, err)
	return v
}

func nothing(context.Context, schedule.Run) error { return nil }

// five are schedules of all kinds around the hour in which clocks change.
func five(do func(context.Context, schedule.Run) error) []schedule.Schedule {
	return []schedule.Schedule{
		{Name: "night", At: health.At(2, 30), Do: do},
		{Name: "morning", At: health.At(9, 0), Do: do},
		{Name: "sunday", At: health.At(9, 0), Days: []time.Weekday{time.Sunday}, Do: do},
		{Name: "sunday-night", At: health.At(2, 30), Days: []time.Weekday{time.Sunday}, Do: do},
		{Name: "monthly-night", At: health.At(2, 30), MonthDays: []int{4, 5}, Do: do},
	}
}

// ran runs schedules from one moment to another, and returns when each run began.
func ran(t *testing.T, from, to string) (list []string) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(local(t, from)))
		began := make(chan string, 100)
		s, err := schedule.New(schedule.Config{Zone: zone(t, "Australia/Sydney"), Schedules: five(func(_ context.Context, r schedule.Run) error {
			began <- fmt.Sprintf("%s at %s", r.Key(), time.Now().In(r.Due.Location()).Format("15:04:05 MST"))
			return nil
		})})
		require.NoError(t, err)
		require.NoError(t, s.Start(t.Context()))
		time.Sleep(time.Until(local(t, to)))
		require.NoError(t, s.Stop(t.Context()))
		close(began)
		for line := range began {
			list = append(list, line)
		}
	})
	slices.Sort(list)
	return list
}

// On 2026-10-04 Sydney has no 02:30: its clocks go from 02:00 to 03:00.
//
// Requirement: AL-DST-GAP
// Requirement: AL-DST-MORNING
func TestSpring(t *testing.T) {
	want := []string{
		"monthly-night/2026-10-04/02:30 at 03:30:00 AEDT",
		"monthly-night/2026-10-05/02:30 at 02:30:00 AEDT",
		"morning/2026-10-03/09:00 at 09:00:00 AEST",
		"morning/2026-10-04/09:00 at 09:00:00 AEDT",
		"morning/2026-10-05/09:00 at 09:00:00 AEDT",
		"night/2026-10-03/02:30 at 02:30:00 AEST",
		"night/2026-10-04/02:30 at 03:30:00 AEDT",
		"night/2026-10-05/02:30 at 02:30:00 AEDT",
		"sunday-night/2026-10-04/02:30 at 03:30:00 AEDT",
		"sunday/2026-10-04/09:00 at 09:00:00 AEDT",
	}
	if diff := cmp.Diff(want, ran(t, "2026-10-02 12:00:17", "2026-10-05 12:00:00")); diff != "" {
		t.Error(diff)
	}
}

// On 2026-04-05 Sydney has 02:30 twice: its clocks go from 03:00 back to 02:00.
//
// Requirement: AL-DST-OVERLAP
// Requirement: AL-DST-MORNING
func TestAutumn(t *testing.T) {
	want := []string{
		"monthly-night/2026-04-04/02:30 at 02:30:00 AEDT",
		"monthly-night/2026-04-05/02:30 at 02:30:00 AEST",
		"morning/2026-04-04/09:00 at 09:00:00 AEDT",
		"morning/2026-04-05/09:00 at 09:00:00 AEST",
		"morning/2026-04-06/09:00 at 09:00:00 AEST",
		"night/2026-04-04/02:30 at 02:30:00 AEDT",
		"night/2026-04-05/02:30 at 02:30:00 AEST",
		"night/2026-04-06/02:30 at 02:30:00 AEST",
		"sunday-night/2026-04-05/02:30 at 02:30:00 AEST",
		"sunday/2026-04-05/09:00 at 09:00:00 AEST",
	}
	if diff := cmp.Diff(want, ran(t, "2026-04-03 12:00:17", "2026-04-06 12:00:00")); diff != "" {
		t.Error(diff)
	}
}

// What gocron will do is what Between says, over two years of all kinds of schedules, and
// no schedule is one of its cron expressions.
//
// Requirement: AL-DST-CRONJOB
func TestGocronAgrees(t *testing.T) {
	odd := append(five(nothing), append(schedule.Runbook(schedule.Jobs{MorningSummary: nothing, EndOfDay: nothing, WeeklySummary: nothing, BackupCheck: nothing, MonthlyChecklist: nothing}),
		schedule.Schedule{Name: "last-day", At: health.At(23, 59), MonthDays: []int{-1}, Do: nothing},
		schedule.Schedule{Name: "the-31st", At: health.At(0, 0), MonthDays: []int{31, 15}, Do: nothing},
		schedule.Schedule{Name: "two-days", At: health.At(3, 0), Days: []time.Weekday{time.Sunday, time.Wednesday}, Do: nothing})...)
	for _, one := range odd {
		t.Run(one.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sydney := zone(t, "Australia/Sydney")
				from := local(t, "2026-01-01 12:00:00")
				time.Sleep(time.Until(from))
				clock, err := gocron.NewScheduler(gocron.WithLocation(sydney))
				require.NoError(t, err)
				defer func() { assert.NoError(t, clock.Shutdown()) }()
				theirs, err := clock.NewJob(schedule.Definition(one), gocron.NewTask(func() {}))
				require.NoError(t, err)
				assert.NotEqual(t, gocron.CronJobType, theirs.Schedule().JobType())
				clock.Start()
				s, err := schedule.New(schedule.Config{Zone: sydney, Schedules: []schedule.Schedule{one}})
				require.NoError(t, err)
				var ours []time.Time
				for run := range s.Between(from, from.AddDate(2, 0, 0)) {
					ours = append(ours, run.Due)
				}
				next, err := theirs.NextRuns(len(ours))
				require.NoError(t, err)
				for i := range ours {
					if !ours[i].Equal(next[i]) {
						t.Fatalf("run %d is due at %v; gocron will begin it at %v", i, ours[i], next[i])
					}
				}
			})
		})
	}
}

func TestRunbook(t *testing.T) {
	all := schedule.Runbook(schedule.Jobs{MorningSummary: nothing, EndOfDay: nothing, WeeklySummary: nothing, BackupCheck: nothing, MonthlyChecklist: nothing})
	s, err := schedule.New(schedule.Config{Zone: zone(t, "Australia/Sydney"), Schedules: all})
	require.NoError(t, err)
	var got []string
	for run := range s.Between(local(t, "2026-11-29 12:00:00"), local(t, "2026-12-02 00:00:00")) { // from a Sunday
		got = append(got, run.Key())
	}
	assert.Equal(t, []string{
		"end-of-day/2026-11-29/18:00",
		"backup-check/2026-11-30/07:00", "morning-summary/2026-11-30/08:00", "weekly-summary/2026-11-30/08:30", "end-of-day/2026-11-30/18:00",
		"backup-check/2026-12-01/07:00", "morning-summary/2026-12-01/08:00", "monthly-checklist/2026-12-01/09:00", "end-of-day/2026-12-01/18:00",
	}, got)
	assert.Len(t, schedule.Runbook(schedule.Jobs{EndOfDay: nothing}), 1)
}

func TestNewSaysAllProblems(t *testing.T) {
	_, err := schedule.New(schedule.Config{Schedules: []schedule.Schedule{
		{Name: "Morning Summary", At: health.At(24, 0)},
		{Name: "x", At: -1, Days: []time.Weekday{9}, MonthDays: []int{32, 0}, CatchUp: "maybe", MaxLate: -1, Timeout: 48 * time.Hour, Do: nothing},
		{Name: "x", Do: nothing},
	}})
	for _, want := range []string{
		"Zone is missing", `"Morning Summary": the name`, "At 24:00", "Do is missing", "both Days and MonthDays", "9 is no day of the week",
		"32 is no day", "0 is no day of a month", `CatchUp "maybe"`, "MaxLate", "Timeout", `"x" is there twice`,
	} {
		assert.ErrorContains(t, err, want)
	}
	_, err = schedule.New(schedule.Config{Zone: zone(t, "UTC")})
	assert.ErrorContains(t, err, "no Schedules")
	// Zones that are another place's, or of the machine, are refused.
	for _, name := range []string{"EST", "Etc/GMT-10", "Local"} {
		z, err := time.LoadLocation(name)
		require.NoError(t, err)
		_, err = schedule.New(schedule.Config{Zone: z, Schedules: five(nothing)})
		assert.ErrorContains(t, err, "IANA", name)
	}
}
