package health

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
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
// one after another, in the order in which things happened, by a goroutine of
// their own and without any lock held: a hook may call the Monitor, but not its
// Stop. Monitor.Check can return before the hooks for its results were called.
//
// While a hook runs, later events wait for it. One that runs for more than a
// minute makes the Monitor unhealthy in [Monitor.SelfProber] and holds back the
// heartbeat; behind it, up to 10,000 events are kept. Subscribers do not wait
// for hooks. A hook that panics is logged. Its context is not cancelled when the
// Monitor stops, so that the last events can still be told.
type Hooks struct {
	// OnResult is called with the state of a check after each result.
	OnResult func(context.Context, State)
	// OnTransition is called with each [Transition].
	OnTransition func(context.Context, Transition)
}

// A Monitor runs checks on a schedule and on demand, and keeps the latest state
// of each. Make one with [New]. All methods are safe for concurrent use.
type Monitor struct {
	cfg    Config
	logger *slog.Logger
	wake   chan struct{}             // tells the scheduler that something is due earlier
	cached atomic.Pointer[Report]    // the snapshot; nil when out of date
	status [1 + groups]atomic.Uint32 // of all checks together, then of each group
	booted atomic.Bool               // the startup group has worked once
	serial atomic.Uint64             // counts changes of status and of the set of checks

	mu       sync.Mutex
	entries  map[string]*entry
	order    []*entry // as added
	tallies  [1 + groups]tally
	queue    dueQueue  // by the time when due; used once started
	edge     time.Time // when the next window begins or ends; zero: never
	ready    []*run    // waiting for a worker
	active   int       // workers that hold a place
	probing  map[*run]struct{}
	runs     sync.WaitGroup // workers, and the delivery of events
	started  bool
	stopped  bool
	base     context.Context // of scheduled runs
	anyBase  context.Context // of the latest run
	halt     context.CancelFunc
	halted   chan struct{} // closed when the goroutines of Start have ended
	subs     map[*subscription]struct{}
	events   []event   // not yet told to hooks
	telling  time.Time // when the hook that runs began; zero: none
	delivers bool      // somebody delivers events
	samples  []Sample  // not yet in the history
	self     selfStats
	leaseOff time.Time // the lease has failed and is left alone until then

	flushing chan struct{} // holds one token while the history is written
	ending   bool          // somebody is at the end
	ended    chan struct{} // closed when the end has been reached
	endErr   error         // of the last write of the history; set before that
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
		probing: make(map[*run]struct{}),

		flushing: make(chan struct{}, 1),
		ended:    make(chan struct{}),
	}
	if m.logger == nil {
		m.logger = slog.Default()
	}
	m.cfg.Maintenance = slices.Clone(cfg.Maintenance)
	m.cfg.Checks = nil
	m.order = make([]*entry, 0, len(cfg.Checks))
	for _, c := range cfg.Checks {
		e, err := m.newEntry(c)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m.insert(e)
	}
	for _, e := range m.order {
		errs = append(errs, m.checkDependencies(e))
		m.link(e)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("health: %w", err)
	}
	m.publishTallies()
	m.edge = time.Now() // windows are looked at with the first result
	return m, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// newEntry returns an entry for c, or what is wrong with c by itself.
func (m *Monitor) newEntry(c Check) (*entry, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if _, ok := m.entries[c.Name]; ok {
		return nil, fmt.Errorf("check %q: %w", c.Name, ErrDuplicate)
	}
	return &entry{check: c.withDefaults(), index: -1, last: Result{Cause: CausePending}}, nil
}

// insert takes in an entry.
func (m *Monitor) insert(e *entry) {
	m.entries[e.check.Name] = e
	m.order = append(m.order, e)
	m.tally(e, +1)
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

// Add adds a check. In a Monitor that has started it is probed at once; until
// then its status is Unknown, which fails its groups if it is critical. What it
// depends on must have been added before.
func (m *Monitor) Add(c Check) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.isStopped() {
		return ErrStopped
	}
	e, err := m.newEntry(c)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if err := m.checkDependencies(e); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	m.insert(e)
	m.publishTallies()
	m.link(e)
	for _, child := range m.order { // of one of that name that was removed
		if slices.Contains(child.check.DependsOn, c.Name) {
			e.children = append(e.children, child)
		}
	}
	m.edge = time.Now()
	if m.started {
		e.next = m.edge
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
// is dropped. While it is away, it blocks none of the checks that depend on it.
// Hooks and subscribers get a last Transition of it, with Removed set.
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
	before := m.blockers(e)
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
		e.run.drop(fmt.Errorf("%w: %q was removed", ErrNoCheck, e.check.Name))
	}
	m.tally(e, -1)
	m.publishTallies()
	m.emit(event{state: m.state(e), transition: &Transition{From: e.status, FromSince: e.since, Removed: true}})
	e.found = Healthy // so that it blocks nothing
	m.emitUnblocked(e, before)
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
	m.anyBase = m.base
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
		defer close(m.halted)
		<-m.base.Done()
		m.close()
		m.end(context.WithoutCancel(ctx))
		parts.Wait()
	}()
	return nil
}

// Stop ends the Monitor for good: nothing new is probed, and what is running is
// cancelled and its results dropped. It gives up the leases, writes the rest of
// the history, and waits until everything has ended, or until ctx ends; the
// error then names the checks whose probers ignore that they were cancelled. It
// is an error, too, if the rest of the history could not be written. Stop may be
// called before Start, and more than once, but not from a hook, for which it
// would wait.
func (m *Monitor) Stop(ctx context.Context) error {
	m.close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.end(context.WithoutCancel(ctx))
		if m.halted != nil {
			<-m.halted
		}
		m.runs.Wait()
	}()
	select {
	case <-done:
		return m.endErr
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
			e.run.drop(ErrStopped)
		}
	}
	for sub := range m.subs {
		sub.close()
	}
	clear(m.subs)
}

// end gives up the leases and writes the rest of the history, once. Who calls it
// later waits for that.
func (m *Monitor) end(ctx context.Context) {
	m.mu.Lock()
	first := !m.ending
	m.ending = true
	m.mu.Unlock()
	if !first {
		<-m.ended
		return
	}
	defer close(m.ended)
	if m.cfg.Lease != nil {
		ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
		defer cancel()
		if err := guard(func() error { return m.cfg.Lease.Release(ctx) }); err != nil {
			m.logger.WarnContext(ctx, "health: leases were not released; other replicas wait until they end", "error", err)
		}
	}
	if err := m.flush(ctx); err != nil {
		m.endErr = fmt.Errorf("health: stop: the rest of the history is lost: %w", err)
	}
}

// isStopped reports whether the Monitor was stopped, or the context of Start has
// ended. Monitor.mu is held.
func (m *Monitor) isStopped() bool { return m.stopped || (m.base != nil && m.base.Err() != nil) }

// running names what still runs.
func (m *Monitor) running() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for r := range m.probing {
		names = append(names, strconv.Quote(r.entry.check.Name))
	}
	slices.Sort(names)
	if m.delivers {
		names = append(names, "a hook")
	}
	if len(names) == 0 {
		names = append(names, "the history, the lease or the heartbeat")
	}
	return names
}
