package alert

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"go.acu.edu.au/runbook"
)

// A Router tells the right people of alerts: it groups them, leaves out what is muted,
// reminds, and delivers through the targets until each message has arrived. What was
// told as firing to a target is told as resolved to the same target, whatever was
// muted since. Make one with [NewRouter]. All methods are safe for concurrent use.
type Router struct {
	cfg     RouterConfig
	targets map[string]*target

	mu       sync.Mutex
	alerts   map[string]*tracked // by key
	groups   map[string]*group   // by ID; those with members
	threads  map[string]*thread  // by ID
	silences map[string]Silence
	drafts   map[string]Draft
	dead     []Delivery
	parents  map[string]int        // how many alerts name a key as their parent
	sources  []map[string]*tracked // the alerts that explain, for each inhibition

	lookMuted bool // what is muted has to be looked at again
	due       dueHeap
	dirty     map[recordName]struct{}
	waiting   []chan error // for the next write
	storing   bool         // there is a store, and the router was started
	batch     uint64       // number of the next write
	written   uint64       // number of the last one that was made
	outage    outage       // of the store
	stopping  error        // why nothing is accepted: not started, stopped, or taken over

	wake    chan struct{}
	stop    context.CancelFunc // stops to decide
	cut     context.CancelFunc // ends what is on its way
	stopped chan struct{}
	sends   sync.WaitGroup
}

type recordName struct{ kind, id string }

// NewRouter returns a Router, or all problems of cfg. It does nothing before Start.
func NewRouter(cfg RouterConfig) (*Router, error) {
	cfg, err := cfg.defaults()
	if err != nil {
		return nil, err
	}
	r := &Router{cfg: cfg, stopping: ErrStopped, batch: 1, wake: make(chan struct{}, 1)}
	r.reset()
	return r, nil
}

// reset forgets everything.
func (r *Router) reset() {
	r.alerts, r.groups, r.threads = make(map[string]*tracked), make(map[string]*group), make(map[string]*thread)
	r.silences, r.dirty, r.dead, r.due = make(map[string]Silence), make(map[recordName]struct{}), nil, nil
	r.drafts = make(map[string]Draft)
	r.parents, r.sources = make(map[string]int), make([]map[string]*tracked, len(r.cfg.Inhibitions))
	r.targets = make(map[string]*target, len(r.cfg.Targets))
	for _, t := range r.cfg.Targets {
		r.targets[t.Name] = newTarget(t)
	}
	r.limiters()
}

// ErrStopped is the error of a [Router] that was stopped, or not started.
var ErrStopped = errors.New("alert: the router does not run")

// Start reads the store and begins to deliver. What was on its way when the program
// ended may have arrived: it is sent again and marked as a possible repetition. What is
// no longer configured is kept until the alerts that it was told of are over. A router is
// started once; when Start fails it may be called again.
func (r *Router) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped != nil {
		return errors.New("alert: the router was started before")
	}
	if r.cfg.Store != nil {
		if err := r.load(ctx); err != nil {
			r.reset()
			return fmt.Errorf("alert: read the store: %w", err)
		}
		r.storing = true
	}
	// Deliveries go on when the context of the start has ended: Stop ends them.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	r.stop, r.cut, r.stopped, r.stopping = stop, cut, make(chan struct{}), nil
	go r.run(life, sending)
	return nil
}

// Stop ends deliveries: those on their way are waited for until ctx ends, and then cut
// off, which takes a moment more. What has not arrived stays in the store.
func (r *Router) Stop(ctx context.Context) error {
	r.mu.Lock()
	stop, cut, stopped := r.stop, r.cut, r.stopped
	r.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
	}
	cut()
	<-stopped
	return ctx.Err()
}

// begin locks, unless the router does not run, or nothing may be changed. All that change it
// begin with it; what is what they do.
func (r *Router) begin(ctx context.Context, what string) error {
	if runbook.IsReadOnly(ctx) {
		return fmt.Errorf("alert: %s: %w", what, runbook.ErrReadOnly)
	}
	r.mu.Lock()
	if r.stopping != nil {
		defer r.mu.Unlock()
		return r.stopping
	}
	return nil
}

// Handle takes an alert as it is now: it began, changed or is over. The engine calls
// it with each change; others may too, for alerts of their own. When it returns
// without an error, the alert is stored and will be told. After an error it may be
// handed over again. The same alert again costs nothing.
func (r *Router) Handle(ctx context.Context, a Alert) error {
	if err := r.begin(ctx, "handle"); err != nil {
		return err
	}
	t := r.alerts[a.Key]
	if t != nil && sameAlert(&t.alert, &a) {
		t.alert.Value, t.alert.Peak, t.alert.Detail = storable(a.Value), storable(a.Peak), a.Detail
		if !r.storing || t.batch <= r.written {
			r.mu.Unlock()
			return nil
		}
		return r.unlockAndStore(ctx) // it was handed over again, since it was not stored
	}
	if err := a.validate(); err != nil {
		r.mu.Unlock()
		return err
	}
	r.accept(t, &a, time.Now())
	return r.unlockAndStore(ctx)
}

// sameAlert reports whether an alert says nothing new: values and details change all the
// time, and are no news.
func sameAlert(a, b *Alert) bool {
	return a.State == b.State && a.Severity == b.Severity && a.Flapping == b.Flapping && a.Fired.Equal(b.Fired) &&
		a.Summary == b.Summary && slices.Equal(a.Parents, b.Parents) && slices.Equal(a.Affected, b.Affected) &&
		maps.Equal(a.Labels, b.Labels) && (b.Acknowledged == nil || a.Acknowledged != nil && *a.Acknowledged == *b.Acknowledged)
}

func (a *Alert) validate() error {
	var problems []error
	if !isID(a.Key, 64) {
		problems = append(problems, errors.New("alert: the key must have 1 to 64 printable characters; see Key"))
	}
	if a.Rule == "" {
		problems = append(problems, errors.New("alert: the rule is missing"))
	}
	if err := a.Severity.validate(); err != nil {
		problems = append(problems, err)
	}
	switch a.State {
	case Pending, Firing, Resolved:
	default:
		problems = append(problems, fmt.Errorf("alert: state %q: is not known", string(a.State)))
	}
	times := [...]time.Time{a.Began, a.Fired, a.Ended, {}}
	if a.Acknowledged != nil {
		times[3] = a.Acknowledged.At
	}
	for _, t := range times {
		if !storableTime(t) {
			problems = append(problems, errors.New("alert: a time is not in the years 0 to 9999"))
		}
	}
	return errors.Join(problems...)
}

// The first and the last second of the years 0 to 9999, which JSON can have.
const minUnix, maxUnix = -62167219200, 253402300799

// storableTime reports whether JSON can have a time.
func storableTime(t time.Time) bool { return t.Unix() >= minUnix && t.Unix() <= maxUnix }

// isID reports whether a text may name a record: databases refuse others.
func isID(s string, most int) bool {
	return s != "" && len(s) <= most && (isPlain(s) || utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl))
}

// isPlain reports whether a text is of printable ASCII.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// clean makes an alert one that survives being stored: texts from outside may be no
// UTF-8, and a value no number.
func (a *Alert) clean() {
	for _, s := range [...]*string{&a.Rule, &a.Environment, &a.Entity, &a.Summary, &a.Detail, &a.Playbook} {
		if !utf8.ValidString(*s) {
			*s = strings.ToValidUTF8(*s, "\ufffd")
		}
	}
	for name, value := range a.Labels {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			delete(a.Labels, name)
			a.Labels[strings.ToValidUTF8(name, "\ufffd")] = strings.ToValidUTF8(value, "\ufffd")
		}
	}
	a.Value, a.Limit, a.Peak = storable(a.Value), storable(a.Limit), storable(a.Peak)
}

// storable makes a value a number, which JSON can have.
func storable(v float64) float64 {
	if v != v {
		return 0
	}
	return min(max(v, -math.MaxFloat64), math.MaxFloat64)
}
