package schedule

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"go.acu.edu.au/runbook/health"
)

// A Schedule is what is done when. Without Days and MonthDays it is daily.
type Schedule struct {
	// Name names it: "morning-summary". Lower-case letters, digits and -, at most 60
	// characters. A new name is a new schedule, of which nothing has run. Required.
	Name string
	// At is the time of day.
	At health.TimeOfDay
	// Days are the days of the week of a weekly schedule.
	Days []time.Weekday
	// MonthDays are the days of the month of a monthly schedule: 1 to 31, or -1 for the
	// last.
	MonthDays []int

	// CatchUp says what becomes of a run that was missed. Empty means Once.
	CatchUp CatchUp
	// MaxLate is how late a run may begin, with Once: at most 7 days. Zero means 6 h.
	MaxLate time.Duration
	// Timeout limits one run. Zero means 10 min.
	Timeout time.Duration
	// Do is the job. It must end when ctx ends: another replica takes over the run a minute
	// after Timeout. Its error says what is known, see the package comment. Required.
	Do func(ctx context.Context, run Run) error
}

// CatchUp is what becomes of runs that were missed.
type CatchUp string

// The policies.
const (
	// Once does the last run that was missed, late.
	Once CatchUp = "once"
	// Skip leaves out what cannot begin within a minute.
	Skip CatchUp = "skip"
)

// skipAfter is how late a run may begin with Skip.
const skipAfter = time.Minute

// A Run is one run of a schedule.
type Run struct {
	// Schedule is the name of the schedule.
	Schedule string
	// Date is the local date, "2026-10-04", and At the nominal time. The three name the run.
	Date string
	At   health.TimeOfDay
	// Due is the instant that it was due.
	Due time.Time
	// Attempt counts the attempts, from 1.
	Attempt int
	// PossibleRepeat means that an earlier attempt may have done it already: say so, or look
	// first.
	PossibleRepeat bool
}

// Key names the run: "morning-summary/2026-10-04/08:00". It is the same for each attempt.
func (r Run) Key() string { return r.Schedule + "/" + r.Date + "/" + r.At.String() }

const dateForm = "2006-01-02"

// on returns the run of a schedule on a civil date, which is given as noon in UTC.
func (s *Schedule) on(date time.Time, zone *time.Location) (Run, bool) {
	last := date.AddDate(0, 0, 1).Day() == 1
	switch {
	case len(s.Days) > 0 && !slices.Contains(s.Days, date.Weekday()):
		return Run{}, false
	case len(s.MonthDays) > 0 && !slices.Contains(s.MonthDays, date.Day()) && !(last && slices.Contains(s.MonthDays, -1)):
		return Run{}, false
	}
	year, month, day := date.Date()
	// As gocron does: what is skipped is later by the new time, of two it is the second.
	due := time.Date(year, month, day, int(s.At)/60, int(s.At)%60, 0, 0, zone)
	return Run{Schedule: s.Name, Date: date.Format(dateForm), At: s.At, Due: due}, true
}

// due returns the last run that is due at a moment and may still begin.
func (s *Schedule) due(now time.Time, zone *time.Location) (Run, bool) {
	late := s.MaxLate
	if s.CatchUp == Skip {
		late = skipAfter
	}
	today := civil(now, zone)
	for n := 0; n <= int(late/(24*time.Hour))+1; n++ {
		run, ok := s.on(today.AddDate(0, 0, -n), zone)
		if ok && !run.Due.After(now) {
			return run, now.Sub(run.Due) <= late
		}
	}
	return Run{}, false
}

// civil returns the civil date of an instant, as noon in UTC.
func civil(t time.Time, zone *time.Location) time.Time {
	year, month, day := t.In(zone).Date()
	return time.Date(year, month, day, 12, 0, 0, 0, time.UTC)
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,59}$`)

// defaults fills in what is left out, and returns all problems.
func (s *Schedule) defaults() error {
	var problems []error
	bad := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Errorf("schedule: %q: "+format, append([]any{s.Name}, args...)...))
		}
	}
	if s.CatchUp == "" {
		s.CatchUp = Once
	}
	if s.MaxLate == 0 {
		s.MaxLate = 6 * time.Hour
	}
	if s.Timeout == 0 {
		s.Timeout = 10 * time.Minute
	}
	bad(!nameForm.MatchString(s.Name), "the name must be of lower-case letters, digits and -")
	bad(s.At < 0 || s.At >= health.At(24, 0), "At %v is no time of day", s.At)
	bad(len(s.Days) > 0 && len(s.MonthDays) > 0, "it has both Days and MonthDays")
	for _, d := range s.Days {
		bad(d < time.Sunday || d > time.Saturday, "%d is no day of the week", d)
	}
	for _, d := range s.MonthDays {
		bad(d < -1 || d == 0 || d > 31, "%d is no day of a month", d)
	}
	bad(s.CatchUp != Once && s.CatchUp != Skip, "CatchUp %q is neither once nor skip", s.CatchUp)
	bad(s.MaxLate < skipAfter || s.MaxLate > 7*24*time.Hour, "MaxLate must be from 1 min to 7 days")
	bad(s.Timeout < time.Second || s.Timeout > 24*time.Hour, "Timeout must be from 1 s to 24 h")
	bad(s.Do == nil, "Do is missing")
	s.Days, s.MonthDays = slices.Clone(s.Days), slices.Clone(s.MonthDays)
	return errors.Join(problems...)
}

// Jobs are what an operations runbook asks to be done by the clock. Those that are nil are
// left out.
type Jobs struct {
	// MorningSummary is done daily at 08:00.
	MorningSummary func(ctx context.Context, run Run) error
	// EndOfDay is the status report, done daily at 18:00.
	EndOfDay func(ctx context.Context, run Run) error
	// WeeklySummary is the summary of performance, done on Mondays at 08:30.
	WeeklySummary func(ctx context.Context, run Run) error
	// BackupCheck is done daily at 07:00, so that the morning summary knows its result.
	BackupCheck func(ctx context.Context, run Run) error
	// MonthlyChecklist is the checklist of maintenance, done on the first of the month at
	// 09:00.
	MonthlyChecklist func(ctx context.Context, run Run) error
}

// Runbook returns the schedules of jobs, for hosts to use as they are or to change.
func Runbook(jobs Jobs) []Schedule {
	all := []Schedule{
		{Name: "backup-check", At: health.At(7, 0), MaxLate: 12 * time.Hour, Do: jobs.BackupCheck},
		{Name: "morning-summary", At: health.At(8, 0), MaxLate: 4 * time.Hour, Do: jobs.MorningSummary},
		{Name: "weekly-summary", At: health.At(8, 30), Days: []time.Weekday{time.Monday}, MaxLate: 24 * time.Hour, Do: jobs.WeeklySummary},
		{Name: "monthly-checklist", At: health.At(9, 0), MonthDays: []int{1}, MaxLate: 72 * time.Hour, Do: jobs.MonthlyChecklist},
		{Name: "end-of-day", At: health.At(18, 0), MaxLate: 4 * time.Hour, Do: jobs.EndOfDay},
	}
	return slices.DeleteFunc(all, func(s Schedule) bool { return s.Do == nil })
}
