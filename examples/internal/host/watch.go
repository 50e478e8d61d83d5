package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// labelInput is the label of a check that names the input of its results.
const labelInput = "input"

// startSpread is the time over which the first probes are spread: there are some dozens.
const startSpread = time.Second / 4

// Intervals say how often it is looked. What is zero is as often as the runbook says, which is
// also as seldom as possible: rules take a check that is silent for longer to be missing.
type Intervals struct {
	// Application is for whether the application answers: 30 seconds.
	Application time.Duration
	// Canvas is for Canvas, its keys and the way to it: a minute.
	Canvas time.Duration
	// Database is for the database, its server, the cache and the WebSocket: a minute.
	Database time.Duration
	// Performance is for figures, and for what costs more to look at: 5 minutes.
	Performance time.Duration
}

// RunbookIntervals are those of the runbook.
func RunbookIntervals() Intervals { return Intervals(playbooks.RunbookDefaults().Intervals) }

// Check returns what is wrong with each interval that is not zero, by its name as in
// "application".
func (i Intervals) Check() map[string]error {
	most, wrong := RunbookIntervals(), make(map[string]error)
	for name, x := range map[string]struct{ is, most time.Duration }{
		"application": {i.Application, most.Application}, "canvas": {i.Canvas, most.Canvas},
		"database": {i.Database, most.Database}, "performance": {i.Performance, most.Performance},
	} {
		if x.is != 0 && (x.is < time.Second || x.is > x.most) {
			wrong[name] = fmt.Errorf("must be from 1s to %v, as the runbook has it", x.most)
		}
	}
	return wrong
}

// complete fills in what is zero, and returns what is wrong.
func (i *Intervals) complete() (errs []error) {
	wrong := i.Check()
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		errs = append(errs, fmt.Errorf("Intervals: %s %w", name, wrong[name]))
	}
	most := RunbookIntervals()
	orDefault(&i.Application, most.Application)
	orDefault(&i.Canvas, most.Canvas)
	orDefault(&i.Database, most.Database)
	orDefault(&i.Performance, most.Performance)
	return errs
}

// The intervals of the runbook; what it does not name is looked at more seldom.
const (
	everyApplication = 30 * time.Second
	everyCanvas      = time.Minute
	everyDatabase    = time.Minute
	everyPerformance = 5 * time.Minute
	everyLaunch      = 2 * time.Minute // by users, and more seldom where there are none
	everyTask        = 15 * time.Minute
	everyCopies      = time.Hour
)

// checks returns what is watched of an environment. What there is no probe of is left out.
func (r *reached) checks(every Intervals) []health.Check {
	var all []health.Check
	there := make(map[string]bool)
	add := func(name, input string, p health.Prober, interval time.Duration, dependsOn ...string) {
		if p == nil {
			return
		}
		c := health.Check{
			Name: r.Name + "/" + name, Prober: p, Interval: interval, Timeout: min(interval, 30*time.Second), Optional: input == "",
			Labels: map[string]string{"environment": r.Name, labelInput: input},
		}
		for _, d := range dependsOn {
			if there[d] {
				c.DependsOn = append(c.DependsOn, r.Name+"/"+d)
			}
		}
		there[name] = true
		all = append(all, c)
	}
	const app, canvas = "application", "canvas"
	if r.alive != nil {
		add(app, inputApplication, also(r.alive, "response_time", "application_response_time", "certificate_expiry", "application_certificate"), every.Application)
	}
	p := r.Probes
	add(canvas, inputCanvas, p.CanvasHost, every.Canvas)
	add("canvas-status", "", p.CanvasStatus, every.Performance)
	add("database", inputDatabase, p.Database, every.Database, app)
	add("database-server", inputServer, p.DatabaseServer, every.Database)
	add("redis", inputRedis, p.Redis, every.Database)
	add("canvas-application", inputThrough, p.Canvas, every.Canvas, app, canvas)
	add("canvas-limits", "", p.RateLimits, every.Canvas, app)
	add("canvas-token", inputToken, r.token, every.Performance, canvas)
	add("developer-key", inputKey, r.key, every.Canvas, canvas)
	add("keys", inputKeys, p.LTI, every.Canvas, app)
	launch := everyLaunch
	if !r.users {
		launch = every.Performance
	}
	add("launch", inputLaunch, p.Login, launch, app, canvas, "keys")
	add("performance", inputFigures, p.Performance, every.Performance, app)
	add("security", "", p.Security, every.Performance, app)
	add("websocket", inputSocket, p.WebSocket, every.Database, app)
	add("task", inputTask, p.Task, everyTask, app, canvas, "canvas-application", "database")
	if r.users { // there is one platform
		add("platform", inputPlatform, p.Platform, every.Canvas)
	}
	add("backups", "", r.backups(), everyCopies)
	add("credentials", "", r.credentials(), everyCopies)
	for i := range all {
		if all[i].Interval == everyTask {
			all[i].Timeout = everyTask // a task may take minutes
		}
	}
	return all
}

// backups returns a prober of how old the newest backup is, backup_age in days.
func (r *reached) backups() health.Prober {
	if r.Backups == nil {
		return nil
	}
	return health.ProberFunc(func(ctx context.Context) health.Result {
		list, err := r.Backups.Backups(ctx)
		switch {
		case err != nil:
			return health.Result{Message: "the backups could not be read: " + err.Error()}
		case len(list) == 0:
			return health.Result{Status: health.Degraded, Cause: health.CauseMissing, Message: "there is no backup"}
		}
		return aged("backup_age", time.Since(list[0].Created))
	})
}

// credentials returns a prober of how old the oldest credential is, credential_age in days.
func (r *reached) credentials() health.Prober {
	if len(r.Rotations) == 0 {
		return nil
	}
	return health.ProberFunc(func(ctx context.Context) health.Result {
		var oldest time.Duration
		var errs []error
		for _, rotation := range r.Rotations {
			if rotation.Age == nil {
				continue
			}
			age, err := rotation.Age(ctx)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", rotation.Name, err))
			}
			oldest = max(oldest, age)
		}
		if err := errors.Join(errs...); err != nil && oldest == 0 {
			return health.Result{Message: "how old credentials are could not be read: " + err.Error()}
		}
		return aged("credential_age", oldest)
	})
}

func aged(name string, age time.Duration) health.Result {
	return health.Result{Status: health.Healthy, Measurements: []health.Measurement{{Name: name, Value: age.Hours() / 24, Unit: health.Days}}}
}

// feed feeds the rules with what the checks find.
type feed struct {
	engine *alert.Engine
	hooks  health.Hooks

	mu   sync.Mutex
	away map[string]bool // the checks of what is in maintenance, which explains what depends on them too
}

// newFeed returns what feeds an engine. Measurements and what explains them are fed by the
// engine's own hooks, which would feed the results of all checks into one input too: rules
// of different severity judge different ones here, so that no such input is there.
func newFeed(e *alert.Engine) *feed {
	return &feed{engine: e, hooks: e.HealthHooks(""), away: make(map[string]bool)}
}

// explained reports whether something else is why a check finds what it does, and notes
// whether it is why others do.
func (f *feed) explained(s health.State) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away[s.Name] = s.Last.Status == health.Maintenance
	return s.BlockedBy != "" || slices.ContainsFunc(s.DependsOn, func(name string) bool { return f.away[name] })
}

// transition feeds why something fails.
func (f *feed) transition(ctx context.Context, t health.Transition) {
	if f != nil {
		f.hooks.OnTransition(ctx, t)
	}
}

// result feeds a result. What fails because something else does says nothing of itself.
// Without a feed nobody is told.
func (f *feed) result(ctx context.Context, s health.State) {
	if f == nil {
		return
	}
	f.hooks.OnResult(ctx, s)
	env, input := s.Labels["environment"], s.Labels[labelInput]
	if f.explained(s) || input == "" || s.Unplanned && !s.Last.Status.OK() {
		return
	}
	to, err := f.engine.Feed(alert.Source{Input: input, Environment: env, Entity: s.Name}, s.Labels)
	if err != nil {
		return
	}
	last := s.Last
	switch {
	case !s.Until.IsZero() && last.Status != health.Healthy && last.Status != health.Degraded:
		return // it was announced, or planned: it is worked on, and the mode without Canvas is on for it
	case last.Status == health.Maintenance && input == inputCanvas:
		to.Result(true, last.Message) // on purpose, but not ours: people are told, and the application leaves it alone
	case s.Status == health.Maintenance && !last.Status.OK(): // it is worked on
	case input == inputFigures && last.Cause == health.CauseThreshold:
		to.Result(false, last.Message) // it tells them; that they are bad is for the rules of each
	case last.Status == health.Unknown || last.Cause == health.CausePanic || last.Cause == health.CauseNotAsked:
		to.Fail(last.Message)
	default:
		to.Result(!last.Status.OK(), last.Message)
	}
	if input != inputThrough {
		return
	}
	if mode, err := f.engine.Feed(alert.Source{Input: inputMode, Environment: env, Entity: s.Name}, s.Labels); err == nil && last.Status != health.Unknown {
		mode.Result(last.Status == health.Maintenance, last.Message)
	}
}

// watchItself adds the checks of the host: that its own checks run on time, and that people
// are called in time.
func (h *Host) watchItself() error {
	late := health.ProberFunc(func(ctx context.Context) health.Result {
		overdue, err := h.escalations.Audit(ctx)
		switch {
		case err != nil:
			return health.Result{Message: "whether people are called in time could not be seen: " + err.Error()}
		case len(overdue) > 0:
			return health.Result{Status: health.Degraded, Cause: health.CauseFailed, Message: fmt.Sprintf("%d calls are overdue: %s", len(overdue), overdue[0].Text)}
		}
		return health.Result{Status: health.Healthy}
	})
	return errors.Join(
		h.monitor.Add(health.Check{Name: "host/checks", Prober: h.monitor.SelfProber(), Optional: true}),
		h.monitor.Add(health.Check{Name: "host/escalations", Prober: late, Interval: time.Minute, Optional: true}),
	)
}

// orDefault sets what is zero.
func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}
