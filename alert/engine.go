package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook/health"
)

// InputKind is what sort of samples an input has.
type InputKind string

// The kinds of inputs.
const (
	Gauge     InputKind = "gauge"     // a value that goes up and down
	Checks    InputKind = "checks"    // results that fail or do not
	Counter   InputKind = "counter"   // good and bad events
	Heartbeat InputKind = "heartbeat" // beats that say no more than that they come
	Moment    InputKind = "moment"    // a moment: when something ends, or was done
	Text      InputKind = "text"      // a text, such as a version
)

// An Input is something that is measured, of any number of sources.
type Input struct {
	// Name names it, for rules: "response_time". Required; at most 100 characters, without
	// spaces, slashes and colons.
	Name string
	// Kind is the sort of its samples.
	Kind InputKind
	// Unit is that of its values.
	Unit health.Unit
	// Every is how often each source reports. Zero means that it does when it likes, so
	// that silence says nothing. An input that reports regularly is missed if it does not,
	// from the start of the engine on, also if it has no source at all.
	Every time.Duration
}

// A Handler takes alerts, each time that they begin, change or end. A [Router] is one.
// Handle may be called concurrently for different alerts. An alert is handed over again
// after an error.
type Handler interface {
	Handle(ctx context.Context, a Alert) error
}

// EngineConfig says what is judged, and how. See [NewEngine].
type EngineConfig struct {
	// Rules are the rules. At least one.
	Rules []Rule
	// Inputs are what is fed. A rule whose input is not here is an error: it would never
	// fire.
	Inputs []Input
	// Out takes the alerts. Required.
	Out Handler
	// Restore are the alerts from before a restart, as [Router.Alerts] has them after
	// Start: they neither begin again nor end before their rules were evaluated. One whose
	// rule is gone is over. One whose source does not report any more is over after an
	// hour, or three intervals of its input, or a day if it has none; but not if it is
	// about silence: that goes on until the source reports, or its feed is closed.
	// Alerts of others, whose keys are not made by [Key], are left alone; a host that
	// makes alerts of its own with such keys leaves them out here.
	Restore []Alert
	// Tick is how often time-dependent rules are evaluated. Zero means 1 s.
	Tick time.Duration
	// Logger is told what goes wrong. Nil means slog.Default().
	Logger *slog.Logger
}

// An Engine evaluates rules over what it is fed, and hands the alerts to a [Handler].
// Make one with [NewEngine], feed it through [Engine.Feed] or [Engine.HealthHooks]. All
// methods are safe for concurrent use.
type Engine struct {
	cfg      EngineConfig
	inputs   map[string]Input
	expected []Input // those that are missed if nothing feeds them
	byInput  map[string][]*Rule
	unequal  []*Rule
	combined []*combination

	mu       sync.RWMutex
	sources  map[Source]*Feed
	count    map[string]int   // of the sources of an input, without its placeholder
	changed  int              // how often sources came or went
	restored map[string]Alert // that no source has taken up yet
	started  time.Time
	ticking  []*Feed // the sources as of the last tick, which it belongs to
	ticked   int     // changed, as of then

	out     outbound
	halt    context.CancelFunc // ends the evaluation by time
	stop    context.CancelFunc
	stopped chan struct{}
}

// A Source is one thing that an input measures.
type Source struct {
	// Input is the name of the input, Environment that of the environment, Entity that
	// of the thing.
	Input, Environment, Entity string
}

// NewEngine returns an Engine, or all problems of cfg. It takes samples at once; Start
// begins to evaluate what depends on time, and to hand over alerts.
func NewEngine(cfg EngineConfig) (*Engine, error) {
	e := &Engine{
		cfg: cfg, inputs: make(map[string]Input), byInput: make(map[string][]*Rule), count: make(map[string]int),
		sources: make(map[Source]*Feed), restored: make(map[string]Alert), started: time.Now(),
	}
	if err := e.problems(); err != nil {
		return nil, err
	}
	orDefault(&e.cfg.Tick, time.Second)
	if e.cfg.Logger == nil {
		e.cfg.Logger = slog.Default()
	}
	e.out = newOutbound(e.cfg.Out, e.cfg.Logger)
	e.cfg.Rules = slices.Clone(cfg.Rules)
	for i := range e.cfg.Rules {
		r := &e.cfg.Rules[i]
		r.setDefaults()
		switch r.When.(type) {
		case Combined:
			e.combined = append(e.combined, &combination{rule: r})
			continue
		case Unequal:
			e.unequal = append(e.unequal, r)
		}
		e.byInput[r.Input] = append(e.byInput[r.Input], r)
	}
	for _, in := range e.cfg.Inputs {
		beats := slices.ContainsFunc(e.byInput[in.Name], func(r *Rule) bool { return isSilent(r) })
		if beats || in.Every > 0 && len(e.byInput[in.Name]) > 0 {
			e.expected = append(e.expected, in)
		}
	}
	e.restore()
	return e, nil
}

func isSilent(r *Rule) bool {
	_, ok := r.When.(Silent)
	return ok
}

func (e *Engine) problems() error {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("alert: engine: "+format, args...))
	}
	if e.cfg.Out == nil {
		bad("Out is missing")
	}
	if len(e.cfg.Rules) == 0 {
		bad("there is no rule")
	}
	if e.cfg.Tick < 0 {
		bad("Tick is negative")
	}
	for _, in := range e.cfg.Inputs {
		if _, again := e.inputs[in.Name]; again {
			bad("input %q: is there twice", in.Name)
		}
		if in.Name == "" || len(in.Name) > 100 || strings.ContainsAny(in.Name, "/: \t\n") {
			bad("input %q: the name must have 1 to 100 characters, and no spaces, slashes and colons", in.Name)
		}
		switch in.Kind {
		case Gauge, Checks, Counter, Heartbeat, Moment, Text:
		default:
			bad("input %q: kind %q: is not known", in.Name, string(in.Kind))
		}
		if in.Every < 0 {
			bad("input %q: Every is negative", in.Name)
		}
		e.inputs[in.Name] = in
	}
	rules := make(map[string]*Rule)
	for i := range e.cfg.Rules {
		r := &e.cfg.Rules[i]
		if rules[r.Name] != nil {
			bad("rule %q: is there twice", r.Name)
		}
		rules[r.Name] = r
	}
	for i := range e.cfg.Rules {
		problems = append(problems, e.cfg.Rules[i].problems(e.inputs, rules)...)
	}
	return errors.Join(problems...)
}

func (r *Rule) setDefaults() {
	orDefault(&r.Recover, 1)
	orDefault(&r.NoData, Separate)
	orDefault(&r.OnError, Separate)
	orDefault(&r.Flap.Changes, 6)
	orDefault(&r.Flap.Within, time.Hour)
	orDefault(&r.Flap.Quiet, r.Flap.Within/2)
	r.Labels, r.Parents = maps.Clone(r.Labels), slices.Clone(r.Parents)
	switch c := r.When.(type) {
	case BurnRate:
		c.Windows = slices.Clone(c.Windows)
		r.When = c
	case Combined:
		r.When = Combined{slices.Clone(c.All), slices.Clone(c.Any), slices.Clone(c.None)}
	}
}

// Feed returns where samples of a source are put. The same source again is the same
// Feed, until it is closed; its labels are those of the first call. The error says that
// there is no such input.
func (e *Engine) Feed(s Source, labels map[string]string) (*Feed, error) {
	e.mu.RLock()
	f := e.sources[s]
	e.mu.RUnlock()
	if f != nil && f.claim(labels) {
		return f, nil
	}
	if _, ok := e.inputs[s.Input]; !ok {
		return nil, fmt.Errorf("alert: engine: there is no input %q", s.Input)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if f := e.sources[s]; f != nil && f.claim(labels) {
		return f, nil
	}
	f = e.feedOf(s, labels)
	f.claimed = true
	return f, nil
}

// stand makes a source that nobody feeds yet, unless there is one.
func (e *Engine) stand(s Source, labels map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sources[s] == nil {
		e.feedOf(s, labels)
	}
}

// feedOf makes a feed of an input that is there. The lock is held.
func (e *Engine) feedOf(s Source, labels map[string]string) *Feed {
	in := e.inputs[s.Input]
	return e.newFeed(source{Source: s, labels: maps.Clone(labels), input: in.Kind, unit: in.Unit, every: in.Every}, e.byInput[s.Input])
}

// newFeed makes a feed. The lock is held.
func (e *Engine) newFeed(s source, rules []*Rule) *Feed {
	now := time.Now()
	f := &Feed{e: e, source: s, last: now}
	for _, r := range rules {
		f.states = append(f.states, e.newState(f, r, now))
	}
	if e.sources[s.Source] == nil && s.Source != nobody(s.Input) {
		e.count[s.Input]++
	}
	e.sources[s.Source] = f
	e.changed++
	return f
}

// forget drops a feed that is closed.
func (e *Engine) forget(f *Feed) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sources[f.Source] != f {
		return // there is a new one
	}
	delete(e.sources, f.Source)
	if f.Source != nobody(f.Input) {
		e.count[f.Input]--
	}
	e.changed++
}

// nobody is the source that stands for an input of which nothing was ever heard.
func nobody(input string) Source { return Source{Input: input} }

// Start begins to evaluate what depends on time, and to hand over alerts. It can be
// started once. The end of ctx does not stop it.
func (e *Engine) Start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped != nil {
		return errors.New("alert: the engine was started before")
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	ticks, halt := context.WithCancel(life)
	e.halt, e.stop, e.stopped = halt, stop, make(chan struct{})
	go e.run(life, ticks)
	return nil
}

// Stop ends the engine: nothing is evaluated by time any more, and what was found is
// handed over. Alerts that were not handed over when ctx ends are lost; their rules find
// them again after a restart. Samples that come later are not judged.
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.RLock()
	halt, stop, stopped := e.halt, e.stop, e.stopped
	e.mu.RUnlock()
	if stop == nil {
		return nil
	}
	halt()
	err := e.out.drain(ctx)
	stop()
	select {
	case <-stopped:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
