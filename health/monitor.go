package health

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of a [Monitor], for errors.Is.
var (
	// ErrStopped means that the Monitor was stopped, which is for good.
	ErrStopped = errors.New("health: the monitor is stopped")
	// ErrStarted means that the Monitor was started before.
	ErrStarted = errors.New("health: the monitor is already started")
	// ErrNoCheck means that there is no check of that name.
	ErrNoCheck = errors.New("health: no such check")
	// ErrDuplicate means that there is a check of that name already.
	ErrDuplicate = errors.New("health: a check of that name exists")
)

// Defaults of a [Config].
const (
	DefaultWorkers           = 64               // of Config.Workers
	DefaultStartSpread       = time.Second / 2  // of Config.StartSpread
	DefaultHeartbeatInterval = time.Minute      // of Config.HeartbeatInterval
	hungAfter                = time.Second      // from a probe's timeout until it counts as hung
	heartbeatTimeout         = 10 * time.Second // of one heartbeat
)

// Config is what a [Monitor] is made of. Only Checks matters to most hosts.
type Config struct {
	// Checks are the checks to begin with. More can be added later.
	Checks []Check
	// Workers is how many probes may run at the same time, not counting those
	// that ignore their context. Zero means [DefaultWorkers].
	Workers int
	// Maintenance are times in which everything is in maintenance. They can be
	// replaced later; see [Monitor.SetMaintenance].
	Maintenance []Window
	// History keeps what was found. Nil keeps only the latest result.
	History History
	// Lease makes replicas share their checks. Nil runs every check here.
	Lease Lease
	// Hooks are called with what happens.
	Hooks Hooks
	// Heartbeat, if not nil, is called at every HeartbeatInterval for as long as
	// checks run on time. It tells a dead man's switch somewhere else that the
	// monitor itself is alive: one HTTP request, say.
	Heartbeat func(context.Context, Self) error
	// HeartbeatInterval is the time between heartbeats. Zero means
	// [DefaultHeartbeatInterval].
	HeartbeatInterval time.Duration
	// StartSpread is the time over which the first probes are spread when the
	// Monitor starts. Zero means [DefaultStartSpread]. Each check then keeps a
	// phase of its own in its interval, the same at every start and in every
	// replica.
	StartSpread time.Duration
	// Logger gets what concerns the Monitor itself: probers that hang or panic,
	// a history or lease that fails. Results are not logged. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// Hooks are functions that a [Monitor] calls with what happens. They are called
// one after another, in the order in which things happened, without any lock
// held: a hook may call the Monitor. While a hook runs, later events wait for
// it, so it must not block for long. A hook that panics is logged.
type Hooks struct {
	// OnResult is called with the state of a check after each result.
	OnResult func(context.Context, State)
	// OnTransition is called when the status of a check changes.
	OnTransition func(context.Context, Transition)
}

// A Monitor runs checks on a schedule and on demand, and keeps the latest state
// of each. Make one with [New]. All methods are safe for concurrent use.
type Monitor struct {
	cfg    Config
	logger *slog.Logger
	wake   chan struct{}             // tells the scheduler that something is due earlier
	cached atomic.Pointer[Report]    // the snapshot; nil when out of date
	booted atomic.Bool               // the startup group was OK once
	serial atomic.Uint64             // counts changes of status and of the set of checks
	status [1 + groups]atomic.Uint32 // of all checks together, then of each group

	mu       sync.Mutex
	entries  map[string]*entry
	order    []*entry // as added
	tallies  [1 + groups]tally
	queue    dueQueue // by the time when due; used once started
	ready    []*run   // waiting for a worker
	active   int      // workers
	runs     sync.WaitGroup
	started  bool
	stopped  bool
	base     context.Context // of scheduled runs
	halt     context.CancelFunc
	halted   chan struct{} // closed when the goroutines of Start have ended
	subs     map[*subscription]struct{}
	events   []event // not yet delivered to hooks and subscribers
	draining bool    // somebody delivers events
	self     selfStats

	flushing sync.Mutex // one flush at a time
	samples  []Sample   // not yet in the history; guarded by mu
}

// New returns a Monitor that has not started: it probes nothing until Start or
// Check is called. The error lists everything that is wrong with cfg.
func New(cfg Config) (*Monitor, error) {
	var errs []error
	if cfg.Workers < 0 {
		errs = append(errs, fmt.Errorf("workers: %d is negative", cfg.Workers))
	}
	if cfg.HeartbeatInterval < 0 || cfg.StartSpread < 0 {
		errs = append(errs, errors.New("heartbeat interval and start spread must not be negative"))
	}
	for _, w := range cfg.Maintenance {
		if err := w.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("maintenance: %w", err))
		}
	}
	setDefault(&cfg.Workers, DefaultWorkers)
	setDefault(&cfg.HeartbeatInterval, DefaultHeartbeatInterval)
	setDefault(&cfg.StartSpread, DefaultStartSpread)
	m := &Monitor{
		cfg:     cfg,
		logger:  cfg.Logger,
		wake:    make(chan struct{}, 1),
		entries: make(map[string]*entry, len(cfg.Checks)),
		subs:    make(map[*subscription]struct{}),
	}
	if m.logger == nil {
		m.logger = slog.Default()
	}
	m.cfg.Maintenance = slices.Clone(cfg.Maintenance)
	m.cfg.Checks = nil
	m.order = make([]*entry, 0, len(cfg.Checks))
	for _, c := range cfg.Checks {
		errs = append(errs, m.insert(c))
	}
	for _, e := range m.order {
		errs = append(errs, m.checkDependencies(e))
		m.link(e)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("health: %w", err)
	}
	m.publishTallies(true)
	return m, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// insert adds a check without looking at its dependencies.
func (m *Monitor) insert(c Check) error {
	if err := c.validate(); err != nil {
		return err
	}
	if _, ok := m.entries[c.Name]; ok {
		return fmt.Errorf("check %q: %w", c.Name, ErrDuplicate)
	}
	e := &entry{check: c.withDefaults(), index: -1}
	e.last = Result{Cause: CausePending}
	m.entries[c.Name] = e
	m.order = append(m.order, e)
	m.tally(e, +1)
	m.publishTallies(true)
	return nil
}

// checkDependencies returns what is wrong with what e depends on.
func (m *Monitor) checkDependencies(e *entry) error {
	var errs []error
	for _, name := range e.check.DependsOn {
		if _, ok := m.entries[name]; !ok {
			errs = append(errs, fmt.Errorf("check %q: depends on %q: %w", e.check.Name, name, ErrNoCheck))
		}
	}
	if m.dependsOn(e, e.check.Name, make(map[*entry]bool)) {
		errs = append(errs, fmt.Errorf("check %q: depends on itself, directly or through others", e.check.Name))
	}
	return errors.Join(errs...)
}

// dependsOn reports whether e depends on the named check, however indirectly.
func (m *Monitor) dependsOn(e *entry, name string, seen map[*entry]bool) bool {
	if e == nil || seen[e] {
		return false
	}
	seen[e] = true
	for _, parent := range e.check.DependsOn {
		if parent == name || m.dependsOn(m.entries[parent], name, seen) {
			return true
		}
	}
	return false
}

// Add adds a check. In a Monitor that has started it is probed at once. What it
// depends on must have been added before.
func (m *Monitor) Add(c Check) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return ErrStopped
	}
	if err := m.insert(c); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	e := m.entries[c.Name]
	if err := m.checkDependencies(e); err != nil {
		m.remove(e)
		return fmt.Errorf("health: %w", err)
	}
	m.link(e)
	for _, child := range m.order { // of one of that name that was removed
		if slices.Contains(child.check.DependsOn, c.Name) {
			e.children = append(e.children, child)
		}
	}
	if m.started {
		e.next = time.Now()
		heap.Push(&m.queue, e)
		m.wakeUp()
	}
	return nil
}

// link makes e known to the checks that it depends on.
func (m *Monitor) link(e *entry) {
	for _, name := range e.check.DependsOn {
		if parent, ok := m.entries[name]; ok && !slices.Contains(parent.children, e) {
			parent.children = append(parent.children, e)
		}
	}
}

// Remove removes a check and reports whether there was one of that name. It
// does not wait for a probe that is running: that is cancelled, and its result
// is dropped. Checks that depend on the removed one no longer do.
func (m *Monitor) Remove(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[name]
	if ok {
		m.remove(e)
	}
	return ok
}

func (m *Monitor) remove(e *entry) {
	delete(m.entries, e.check.Name)
	m.order = slices.DeleteFunc(m.order, func(other *entry) bool { return other == e })
	if e.index >= 0 {
		heap.Remove(&m.queue, int(e.index))
	}
	for _, name := range e.check.DependsOn {
		if parent, ok := m.entries[name]; ok {
			parent.children = slices.DeleteFunc(parent.children, func(child *entry) bool { return child == e })
		}
	}
	if e.run != nil {
		m.leave(e.run)
		e.run.drop()
	}
	m.tally(e, -1)
	m.publishTallies(true)
}

// SetMaintenance replaces the times in which everything is in maintenance, or
// with the name of a check, those of that check. It holds from the next result
// on.
func (m *Monitor) SetMaintenance(check string, windows ...Window) error {
	for _, w := range windows {
		if err := w.Validate(); err != nil {
			return fmt.Errorf("health: maintenance: %w", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if check == "" {
		m.cfg.Maintenance = slices.Clone(windows)
		return nil
	}
	e, ok := m.entries[check]
	if !ok {
		return fmt.Errorf("%w: %q", ErrNoCheck, check)
	}
	e.check.Maintenance = slices.Clone(windows)
	return nil
}

// Start begins to probe on schedule, until ctx ends or Stop is called. A
// Monitor can be started once.
func (m *Monitor) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.stopped:
		return ErrStopped
	case m.started:
		return ErrStarted
	}
	m.started = true
	m.base, m.halt = context.WithCancel(ctx)
	m.halted = make(chan struct{})
	now := time.Now()
	m.queue = make(dueQueue, 0, len(m.order))
	for _, e := range m.order {
		e.next = now.Add(e.phase(m.cfg.StartSpread))
		heap.Push(&m.queue, e)
	}
	var parts sync.WaitGroup
	parts.Go(m.schedule)
	if m.cfg.History != nil {
		parts.Go(m.flushLoop)
	}
	if m.cfg.Heartbeat != nil {
		parts.Go(m.heartbeatLoop)
	}
	go func() {
		parts.Wait()
		m.close()
		close(m.halted)
	}()
	return nil
}

// Stop ends the Monitor for good: nothing new is probed, and what is running is
// cancelled and its results dropped. It waits until everything has ended and
// the history is written, or until ctx ends; the error then names the checks
// whose probers ignore that they were cancelled. Stop may be called before
// Start, and more than once.
func (m *Monitor) Stop(ctx context.Context) error {
	m.close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.runs.Wait()
		if m.halted != nil {
			<-m.halted
		}
		m.flush(context.WithoutCancel(ctx))
		if m.cfg.Lease != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTimeout)
			defer cancel()
			if err := m.cfg.Lease.Release(ctx); err != nil {
				m.logger.WarnContext(ctx, "health: leases were not released; other replicas wait until they end", "error", err)
			}
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("health: stop: %w; still running: %s", ctx.Err(), strings.Join(m.running(), ", "))
	}
}

// close makes the Monitor stopped and cancels what runs.
func (m *Monitor) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return
	}
	m.stopped = true
	if m.halt != nil {
		m.halt()
	}
	for _, e := range m.order {
		if e.run != nil {
			e.run.drop()
		}
	}
	for sub := range m.subs {
		sub.close()
	}
	clear(m.subs)
}

// running names what still runs: the checks whose probers do, and a hook.
func (m *Monitor) running() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for _, e := range m.order {
		if e.run != nil && e.run.probing {
			names = append(names, e.check.Name)
		}
	}
	if m.draining {
		names = append(names, "a hook")
	}
	return names
}
