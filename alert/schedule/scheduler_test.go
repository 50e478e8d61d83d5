package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert/schedule"
	"go.acu.edu.au/runbook/health"
)

// diary takes note of runs.
type diary struct {
	mu   sync.Mutex
	runs []schedule.Run
	at   []time.Time
}

func (d *diary) do(_ context.Context, r schedule.Run) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.runs, d.at = append(d.runs, r), append(d.at, time.Now())
	return nil
}

// read returns each run as "2026-11-23 08:00 attempt 1", with the delay if there was one.
func (d *diary) read() (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, r := range d.runs {
		line := fmt.Sprintf("%s attempt %d", r.Date, r.Attempt)
		if late := d.at[i].Sub(r.Due); late > 0 {
			line += fmt.Sprintf(", %s late", late)
		}
		if r.PossibleRepeat {
			line += ", possible repeat"
		}
		list = append(list, line)
	}
	return list
}

// program is one run of a program that has a schedule.
type program struct {
	t *testing.T
	s *schedule.Scheduler
}

func start(t *testing.T, ledger schedule.Ledger, do func(context.Context, schedule.Run) error, change ...func(*schedule.Schedule)) *program {
	t.Helper()
	one := schedule.Schedule{Name: "morning", At: health.At(8, 0), Do: do}
	for _, c := range change {
		c(&one)
	}
	s, err := schedule.New(schedule.Config{Zone: zone(t, "Australia/Sydney"), Schedules: []schedule.Schedule{one}, Ledger: ledger, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, s.Start(t.Context()))
	return &program{t, s}
}

func (p *program) stop() { require.NoError(p.t, p.s.Stop(p.t.Context())) }

func sleepTo(t *testing.T, s string) {
	t.Helper()
	time.Sleep(time.Until(local(t, s)))
	synctest.Wait()
}

// A restart in the morning and two replicas send one report.
//
// Requirement: AL-DST-ONCE
func TestOnceOverRestartsAndReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sleepTo(t, "2026-11-20 12:00:00")
		ledger, d := schedule.NewMemoryLedger(), &diary{}
		a, b := start(t, ledger, d.do), start(t, ledger, d.do)
		sleepTo(t, "2026-11-22 08:00:00")
		a.stop()
		a = start(t, ledger, d.do)
		sleepTo(t, "2026-11-22 12:00:00")
		b.stop()
		sleepTo(t, "2026-11-23 12:00:00")
		a.stop()
		assert.Equal(t, []string{"2026-11-21 attempt 1", "2026-11-22 attempt 1", "2026-11-23 attempt 1"}, d.read())
	})
}

// Requirement: AL-SCHEDULE-CATCH-UP
func TestCatchUp(t *testing.T) {
	within := func(c schedule.CatchUp, late time.Duration) func(*schedule.Schedule) {
		return func(s *schedule.Schedule) { s.CatchUp, s.MaxLate = c, late }
	}
	for name, c := range map[string]struct {
		back   string
		change func(*schedule.Schedule)
		want   []string
	}{
		"late, within the limit":          {"2026-11-23 11:59:00", within(schedule.Once, 4*time.Hour), []string{"2026-11-23 attempt 1, 3h59m0s late"}},
		"too late":                        {"2026-11-23 12:00:01", within(schedule.Once, 4*time.Hour), nil},
		"several missed, the last is run": {"2026-11-24 09:00:00", within(schedule.Once, 72*time.Hour), []string{"2026-11-24 attempt 1, 1h0m0s late"}},
		"left out":                        {"2026-11-23 08:01:01", within(schedule.Skip, 0), nil},
		"a moment late is not missed":     {"2026-11-23 08:00:30", within(schedule.Skip, 0), []string{"2026-11-23 attempt 1, 30s late"}},
		"by default 6 h":                  {"2026-11-23 14:00:00", within("", 0), []string{"2026-11-23 attempt 1, 6h0m0s late"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sleepTo(t, "2026-11-21 12:00:00")
				ledger, d := schedule.NewMemoryLedger(), &diary{}
				sleepTo(t, c.back)
				p := start(t, ledger, d.do, c.change)
				time.Sleep(2 * time.Hour)
				p.stop()
				assert.Equal(t, c.want, d.read())
			})
		})
	}
}

// A ledger in memory cannot know what was done before it began, and repeats nothing.
func TestMemoryForgetsNothingIntoARepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sleepTo(t, "2026-11-23 09:00:00")
		d := &diary{}
		p := start(t, nil, d.do)
		sleepTo(t, "2026-11-23 20:00:00")
		p.stop()
		assert.Empty(t, d.read())
	})
}

type unsent struct{}

func (unsent) Error() string     { return "no connection" }
func (unsent) SafeToRetry() bool { return true }

// What is known of a failed attempt decides whether the next one may be a repetition.
func TestFailures(t *testing.T) {
	lost := errors.New("the answer was lost")
	for name, c := range map[string]struct {
		fail []error // of the attempts; nil panics
		want []string
	}{
		"nothing happened, twice": {[]error{unsent{}, unsent{}}, []string{"2026-11-23 attempt 3, 3m0s late"}},
		"not known, once":         {[]error{lost}, []string{"2026-11-23 attempt 2, 1m0s late, possible repeat"}},
		"not known, then nothing": {[]error{lost, unsent{}}, []string{"2026-11-23 attempt 3, 3m0s late, possible repeat"}},
		"a panic":                 {[]error{nil}, []string{"2026-11-23 attempt 2, 1m0s late, possible repeat"}},
		"not known, three times":  {[]error{lost, lost, lost}, nil},
		"an outage of two hours":  {[]error{unsent{}, unsent{}, unsent{}, unsent{}, unsent{}, unsent{}, unsent{}, unsent{}, unsent{}}, []string{"2026-11-23 attempt 10, 1h30m0s late"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sleepTo(t, "2026-11-22 12:00:00")
				d := &diary{}
				p := start(t, nil, func(ctx context.Context, r schedule.Run) error {
					if r.Attempt > len(c.fail) {
						return d.do(ctx, r)
					}
					if c.fail[r.Attempt-1] == nil {
						panic("oh")
					}
					return c.fail[r.Attempt-1]
				})
				sleepTo(t, "2026-11-23 20:00:00")
				p.stop()
				assert.Equal(t, c.want, d.read())
			})
		})
	}
}

// A program that is killed while it runs leaves a run of which nothing is known: another
// takes it over when its time is up, and says so.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sleepTo(t, "2026-11-23 07:00:00")
		ledger, d := schedule.NewMemoryLedger(), &diary{}
		due := local(t, "2026-11-23 08:00:00")
		time.Sleep(time.Until(due))
		_, err := ledger.Claim(t.Context(), schedule.Run{Schedule: "morning", Date: "2026-11-23", At: health.At(8, 0), Due: due}, 11*time.Minute)
		require.NoError(t, err) // and then it was killed
		p := start(t, ledger, d.do)
		sleepTo(t, "2026-11-23 12:00:00")
		p.stop()
		assert.Equal(t, []string{"2026-11-23 attempt 2, 11m0s late, possible repeat"}, d.read())
	})
}

// A job that takes longer than it may is ended, and what stops is repeated as its error says.
func TestTimeoutAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sleepTo(t, "2026-11-22 12:00:00")
		ledger, d := schedule.NewMemoryLedger(), &diary{}
		slow := func(ctx context.Context, r schedule.Run) error {
			if r.Attempt < 3 {
				<-ctx.Done()
				return ctx.Err()
			}
			return d.do(ctx, r)
		}
		a := start(t, ledger, slow)
		sleepTo(t, "2026-11-23 08:15:00") // the first attempt took 10 minutes, the second runs
		a.stop()
		b := start(t, ledger, slow)
		sleepTo(t, "2026-11-23 12:00:00")
		b.stop()
		assert.Equal(t, []string{"2026-11-23 attempt 3, 17m0s late, possible repeat"}, d.read())
		require.NoError(t, b.s.Stop(t.Context()), "stopping twice")
		assert.Error(t, b.s.Start(t.Context()))
		never, err := schedule.New(schedule.Config{Zone: zone(t, "UTC"), Schedules: five(nothing)})
		require.NoError(t, err)
		assert.NoError(t, never.Stop(t.Context()))
		assert.Error(t, never.Start(t.Context()))
	})
}

// broken is a ledger that cannot be reached for a while, or whose answers are lost.
type broken struct {
	schedule.Ledger
	mu                  sync.Mutex
	claims, finishes    int // how many fail
	claimed             int
	finishHappensAnyway bool
}

func (b *broken) Claim(ctx context.Context, r schedule.Run, lease time.Duration) (schedule.Claim, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.claimed++
	if b.claims > 0 {
		b.claims--
		return schedule.Claim{}, errors.New("no connection")
	}
	return b.Ledger.Claim(ctx, r, lease)
}

func (b *broken) Finish(ctx context.Context, c schedule.Claim, o schedule.Outcome, wait time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.finishes > 0 {
		b.finishes--
		if b.finishHappensAnyway {
			return errors.Join(b.Ledger.Finish(ctx, c, o, wait), errors.New("the answer was lost"))
		}
		return errors.New("no connection")
	}
	return b.Ledger.Finish(ctx, c, o, wait)
}

func TestLedgerFails(t *testing.T) {
	for name, c := range map[string]struct {
		claims, finishes int
		anyway           bool
		want             []string
	}{
		"cannot be asked":            {claims: 3, want: []string{"2026-11-23 attempt 1, 1m17s late"}},
		"cannot be told":             {finishes: 3, want: []string{"2026-11-23 attempt 1"}},
		"its answer is lost":         {finishes: 1, anyway: true, want: []string{"2026-11-23 attempt 1"}},
		"cannot be told for an hour": {finishes: 120, want: []string{"2026-11-23 attempt 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sleepTo(t, "2026-11-22 15:00:17")
				d := &diary{}
				ledger := &broken{Ledger: schedule.NewMemoryLedger(), claims: c.claims, finishes: c.finishes, finishHappensAnyway: c.anyway}
				p := start(t, ledger, d.do)
				sleepTo(t, "2026-11-23 12:00:00")
				p.stop()
				assert.Equal(t, c.want, d.read())
				assert.LessOrEqual(t, ledger.claimed, 5, "a run that was done is not asked for again and again")
			})
		})
	}
}

// A job that takes long delays no other, and OnRun is told of each attempt.
func TestSchedulesAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sleepTo(t, "2026-11-23 07:00:00")
		d := &diary{}
		var mu sync.Mutex
		var told []string
		s, err := schedule.New(schedule.Config{
			Zone: zone(t, "Australia/Sydney"), Logger: slog.New(slog.DiscardHandler),
			Schedules: []schedule.Schedule{
				{Name: "slow", At: health.At(8, 0), Do: func(ctx context.Context, _ schedule.Run) error { <-ctx.Done(); return ctx.Err() }},
				{Name: "quick", At: health.At(8, 1), Do: d.do},
			},
			OnRun: func(_ context.Context, r schedule.Run, err error) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, fmt.Sprint(r.Schedule, " ", r.Attempt, " ", err))
			},
		})
		require.NoError(t, err)
		require.NoError(t, s.Start(t.Context()))
		sleepTo(t, "2026-11-23 08:10:30")
		require.NoError(t, s.Stop(t.Context()))
		assert.Equal(t, []string{"2026-11-23 attempt 1"}, d.read())
		assert.Equal(t, []string{"quick 1 <nil>", "slow 1 context deadline exceeded"}, told)
	})
}
