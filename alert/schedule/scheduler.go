package schedule

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
)

// Config says what is done when. See [New].
type Config struct {
	// Schedules are what is done. Required; names are unique.
	Schedules []Schedule
	// Zone is the zone of all dates and times, an IANA name: see [health.LoadZone]. Required.
	Zone *time.Location
	// Ledger remembers what was done. Nil means a [MemoryLedger], which forgets it at a
	// restart and is not shared.
	Ledger Ledger
	// Logger is told of runs that failed. Nil means slog.Default().
	Logger *slog.Logger
	// OnRun, if not nil, is called after each attempt, with the error of the job. It is called
	// concurrently and must not block.
	OnRun func(ctx context.Context, run Run, err error)
}

// A Scheduler does what is due. Make one with [New]. Its methods are safe for concurrent
// use.
type Scheduler struct {
	cfg  Config
	jobs []*job

	mu      sync.Mutex
	clock   gocron.Scheduler // nil before Start
	stopped bool
	life    context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// job is a schedule and what is known of it.
type job struct {
	Schedule
	busy sync.Mutex // held while it is looked at, or runs
	// settled is the key of the last run that needs nothing more from us. unfinished is an
	// attempt whose outcome the ledger does not know yet.
	settled    string
	unfinished *finish
}

type finish struct {
	claim   Claim
	outcome Outcome
	wait    time.Duration
}

// look is how often it is looked for what was missed: by a clock that was set, a machine
// that slept, an attempt that failed, a replica that died.
const look = 30 * time.Second

// mostUnknown is after how many attempts of which nothing is known a run is given up.
const mostUnknown = 3

// New returns a Scheduler, or all problems of cfg. It does nothing before Start.
func New(cfg Config) (*Scheduler, error) {
	var problems []error
	if cfg.Zone == nil {
		problems = append(problems, errors.New("schedule: Zone is missing"))
	} else if _, err := health.LoadZone(cfg.Zone.String()); err != nil {
		problems = append(problems, fmt.Errorf("schedule: Zone: %w", err))
	}
	if len(cfg.Schedules) == 0 {
		problems = append(problems, errors.New("schedule: there are no Schedules"))
	}
	s := &Scheduler{}
	names := make(map[string]bool)
	for _, one := range cfg.Schedules {
		if err := one.defaults(); err != nil {
			problems = append(problems, err)
		}
		if names[one.Name] {
			problems = append(problems, fmt.Errorf("schedule: %q is there twice", one.Name))
		}
		names[one.Name] = true
		s.jobs = append(s.jobs, &job{Schedule: one})
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if cfg.Ledger == nil {
		cfg.Ledger = NewMemoryLedger()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s.cfg = cfg
	return s, nil
}

// Start begins, with what was missed. What it runs has the values of ctx, and goes on when
// ctx has ended: Stop ends it. It can be started once.
func (s *Scheduler) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clock != nil || s.stopped {
		return errors.New("schedule: it was started before, or stopped")
	}
	clock, err := gocron.NewScheduler(gocron.WithLocation(s.cfg.Zone))
	if err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	s.life, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	add := func(definition gocron.JobDefinition, task func(), options ...gocron.JobOption) {
		if _, addErr := clock.NewJob(definition, gocron.NewTask(task), options...); addErr != nil {
			err = errors.Join(err, addErr)
		}
	}
	for _, j := range s.jobs {
		add(j.definition(), func() { s.begin(j) })
	}
	add(gocron.DurationJob(look), func() {
		for _, j := range s.jobs {
			s.begin(j)
		}
	}, gocron.WithStartAt(gocron.WithStartImmediately()))
	if err != nil {
		return errors.Join(fmt.Errorf("schedule: %w", err), clock.Shutdown())
	}
	s.clock = clock
	clock.Start()
	return nil
}

// definition is the schedule in gocron's terms: never a cron expression, whose parser is
// wrong on days on which clocks change.
func (s *Schedule) definition() gocron.JobDefinition {
	at := gocron.NewAtTimes(gocron.NewAtTime(uint(s.At)/60, uint(s.At)%60, 0))
	switch {
	case len(s.Days) > 0:
		return gocron.WeeklyJob(1, gocron.NewWeekdays(s.Days[0], s.Days[1:]...), at)
	case len(s.MonthDays) > 0:
		return gocron.MonthlyJob(1, gocron.NewDaysOfTheMonth(s.MonthDays[0], s.MonthDays[1:]...), at)
	}
	return gocron.DailyJob(1, at)
}

// Stop ends what runs by ending its context, and waits for it until ctx ends. A run that
// ends early with an error is repeated by whoever starts next, as its error says.
func (s *Scheduler) Stop(ctx context.Context) error {
	s.mu.Lock()
	clock, first := s.clock, !s.stopped
	s.stopped = true
	s.mu.Unlock()
	if clock == nil {
		return nil
	}
	if first {
		s.cancel()
		if err := clock.ShutdownWithContext(ctx); err != nil {
			return fmt.Errorf("schedule: stop: %w", err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.running.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("schedule: stop: %w", ctx.Err())
	}
}

// begin looks at a job, unless somebody does already.
func (s *Scheduler) begin(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || !j.busy.TryLock() {
		return
	}
	s.running.Go(func() {
		defer j.busy.Unlock()
		s.look(s.life, j)
	})
}

// look does what is due of a job.
func (s *Scheduler) look(ctx context.Context, j *job) {
	s.settle(ctx, j)
	run, ok := j.due(time.Now(), s.cfg.Zone)
	if !ok || run.Key() == j.settled || j.unfinished != nil {
		return
	}
	log := s.cfg.Logger.With("run", run.Key())
	claim, err := s.cfg.Ledger.Claim(ctx, run, j.Timeout+time.Minute)
	switch {
	case errors.Is(err, ErrDone):
		j.settled = run.Key()
		return
	case errors.Is(err, ErrTaken):
		return
	case err != nil:
		log.WarnContext(ctx, "schedule: the ledger cannot be asked; the run waits", "error", err)
		return
	}
	j.unfinished = &finish{claim: claim, outcome: Done}
	if claim.Unknown >= mostUnknown {
		log.WarnContext(ctx, "schedule: the run is given up: it may have been done", "attempts", claim.Attempt-1)
		s.settle(ctx, j)
		return
	}
	run.Attempt, run.PossibleRepeat = claim.Attempt, claim.Unknown > 0
	if err := s.do(ctx, j, run); err != nil {
		j.unfinished.outcome, j.unfinished.wait = NotKnown, pause(claim.Attempt)
		if runbook.SafeToRetry(err) {
			j.unfinished.outcome = NotDone
		}
		log.WarnContext(ctx, "schedule: the run failed", "attempt", run.Attempt, "possibly_done", j.unfinished.outcome == NotKnown, "error", err)
	}
	s.settle(ctx, j)
}

// pause is how long to wait before the attempt after this one.
func pause(attempt int) time.Duration { return min(time.Minute<<min(attempt-1, 4), 15*time.Minute) }

// do makes an attempt.
func (s *Scheduler) do(life context.Context, j *job, run Run) (err error) {
	ctx, cancel := context.WithTimeout(life, j.Timeout)
	defer cancel()
	if hook := s.cfg.OnRun; hook != nil {
		defer func() { hook(life, run, err) }()
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the job panicked: %v", p)
		}
	}()
	return j.Do(ctx, run)
}

// settle tells the ledger what became of an attempt, also while it is stopped. If the ledger
// cannot be told, it is tried again later, and the run is not begun again here.
func (s *Scheduler) settle(life context.Context, j *job) {
	f := j.unfinished
	if f == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(life), 10*time.Second)
	defer cancel()
	err := s.cfg.Ledger.Finish(ctx, f.claim, f.outcome, f.wait)
	if err != nil && !errors.Is(err, ErrTaken) {
		s.cfg.Logger.WarnContext(ctx, "schedule: the ledger cannot be told what became of a run", "run", f.claim.Key, "error", err)
		return
	}
	j.unfinished = nil
	if f.outcome == Done {
		j.settled = f.claim.Key
	}
}

// Between returns what is due from one instant to another, without it, in order.
func (s *Scheduler) Between(from, to time.Time) iter.Seq[Run] {
	return func(yield func(Run) bool) {
		for date := civil(from, s.cfg.Zone); !date.After(civil(to, s.cfg.Zone)); date = date.AddDate(0, 0, 1) {
			var runs []Run
			for _, j := range s.jobs {
				if run, ok := j.on(date, s.cfg.Zone); ok && !run.Due.Before(from) && run.Due.Before(to) {
					runs = append(runs, run)
				}
			}
			slices.SortStableFunc(runs, func(a, b Run) int {
				if c := a.Due.Compare(b.Due); c != 0 {
					return c
				}
				return strings.Compare(a.Schedule, b.Schedule)
			})
			for _, run := range runs {
				if !yield(run) {
					return
				}
			}
		}
	}
}
