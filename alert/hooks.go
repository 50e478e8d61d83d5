package alert

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"go.acu.edu.au/runbook/health"
)

// Names of the inputs that [Engine.HealthHooks] feeds, of which an engine has those that
// it names in [EngineConfig.Inputs]. Measurements of a check are fed as gauges of their
// own names, and those that are texts as texts.
const (
	// InputHealth is whether a check fails: kind Checks.
	InputHealth = "health"
	// InputResponseTime is how long the checked thing took to answer, in seconds: kind
	// Gauge. What did not answer has none, unless it took all the time that it had. A
	// check that measures "response_time" itself is believed.
	InputResponseTime = "response_time"
)

// HealthHooks returns hooks for a health.Monitor that feed this engine with the results
// of its checks. The entity is the name of the check, the environment is its label
// "environment", or else the one that is given here.
//
// A check that fails because of another one is explained by that one. A result that says
// nothing, because we could not look, or because our own prober is broken, is a failure of
// the measuring and none of the thing. In maintenance, of the check or as the thing itself
// says, a failure is none, and what fires stays as it is; so it is for what fails because
// of something in maintenance. A failure that was found beside the schedule
// (health.State.Unplanned) is not counted, so that three in a row are three intervals also
// where a whole house fails, or somebody looks again and again; a good result always is. A
// measurement in another unit than the input's is converted if it is one of time or size,
// and else counts as not measured.
//
// The results of all checks go to one input, [InputHealth], and the same rules judge them.
// See [Engine.HealthHooksBy] for more than one.
func (e *Engine) HealthHooks(environment string) health.Hooks {
	return e.HealthHooksBy(environment, func(health.State) string { return InputHealth })
}

// HealthHooksBy is [Engine.HealthHooks] for checks that are judged by different rules: input
// names the input, of kind Checks, that the results of a check go to, once for each check and
// before anything else of it. If the engine has no such input, or the name is empty, its
// results are not fed; its measurements are. An alert about any of these inputs explains what
// fails because of the check, whichever rules judge that.
//
//	hooks := engine.HealthHooksBy("production", func(s health.State) string { return s.Labels["input"] })
func (e *Engine) HealthHooksBy(environment string, input func(health.State) string) health.Hooks {
	h := &healthFeed{e: e, environment: environment, input: input, checks: make(map[string]*checked)}
	return health.Hooks{
		OnResult: func(_ context.Context, s health.State) { h.result(s) },
		OnTransition: func(_ context.Context, t health.Transition) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if t.Removed {
				h.removed(t.State.Name)
				return
			}
			h.note(t.State) // why it fails may be all that has changed
		},
	}
}

// healthFeed feeds an engine with what a monitor finds.
type healthFeed struct {
	e           *Engine
	environment string
	input       func(health.State) string

	mu     sync.Mutex
	checks map[string]*checked
}

// checked is what was fed of a check.
type checked struct {
	environment string
	input       string // of its results
	labels      map[string]string
	maintained  bool
	blockedBy   string
	parents     []thing
	feeds       map[string]*Feed // by input
}

func (h *healthFeed) check(s health.State) *checked {
	c := h.checks[s.Name]
	if c == nil {
		c = &checked{environment: h.environment, labels: s.Labels, feeds: make(map[string]*Feed), input: h.input(s)}
		if env := s.Labels["environment"]; env != "" {
			c.environment = env
		}
		h.checks[s.Name] = c
	}
	return c
}

// feed returns the feed of a check for an input of that kind, or nil if the engine has
// none.
func (h *healthFeed) feed(name string, c *checked, input string, kind InputKind) *Feed {
	if h.e.inputs[input].Kind != kind {
		return nil
	}
	f, err := h.e.Feed(Source{input, c.environment, name}, c.labels)
	if err != nil {
		return nil
	}
	if c.feeds[input] != f {
		c.feeds[input] = f
		f.explain(c.parents)
	}
	return f
}

func (h *healthFeed) result(s health.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, last := h.check(s), s.Last
	f := h.feed(s.Name, c, c.input, Checks)
	h.note(s)
	works := last.Status == health.Healthy || last.Status == health.Degraded
	switch {
	case !works && (c.maintained || h.awaits(c)):
		for _, f := range c.feeds {
			f.pause()
		}
		return
	case last.Status == health.Unknown || last.Cause == health.CausePanic || last.Cause == health.CauseNotAsked:
		h.feed(s.Name, c, InputResponseTime, Gauge)
		for _, f := range c.feeds {
			f.Fail(last.Message)
		}
		return
	case f == nil:
	case works || !s.Unplanned:
		f.Result(!works, last.Message)
	}
	h.time(s, c)
	for _, m := range last.Measurements {
		if f := h.feed(s.Name, c, m.Name, Gauge); f != nil && m.Text == "" {
			measure(f, m)
		} else if f := h.feed(s.Name, c, m.Name, Text); f != nil && m.Text != "" {
			f.Say(m.Text)
		}
	}
}

// time feeds the response time.
func (h *healthFeed) time(s health.State, c *checked) {
	if _, measured := s.Last.Measurement(InputResponseTime); measured {
		return
	}
	f := h.feed(s.Name, c, InputResponseTime, Gauge)
	if f == nil {
		return
	}
	switch s.Last.Cause {
	case health.CauseDNS, health.CauseUnreachable, health.CauseRefused, health.CauseTLS, health.CauseConnection:
		f.pause() // there was no answer
	default:
		f.Observe(s.Last.Duration.Seconds())
	}
}

// measure feeds a measurement in the unit of the input.
func measure(f *Feed, m health.Measurement) {
	type units struct{ from, to health.Unit }
	switch u := (units{m.Unit, f.unit}); {
	case u.from == u.to, u.from == "", u.to == "":
		f.Observe(m.Value)
	case u == units{health.Milliseconds, health.Seconds}:
		f.Observe(m.Value / 1000)
	case u == units{health.Seconds, health.Milliseconds}:
		f.Observe(m.Value * 1000)
	case u == units{health.Bytes, health.Megabytes}:
		f.Observe(m.Value / (1 << 20))
	case u == units{health.Megabytes, health.Bytes}:
		f.Observe(m.Value * (1 << 20))
	default:
		f.Fail(fmt.Sprintf("it is measured in %s, and the limit is in %s", m.Unit, f.unit))
	}
}

// awaits reports whether a check fails because of one that is in maintenance.
func (h *healthFeed) awaits(c *checked) bool {
	parent := h.checks[c.blockedBy]
	return parent != nil && parent.maintained
}

// note takes note of whether a check is in maintenance, and which one explains that it fails.
func (h *healthFeed) note(s health.State) {
	c := h.check(s)
	c.maintained = s.Status == health.Maintenance || s.Last.Status == health.Maintenance
	if c.blockedBy == s.BlockedBy {
		return
	}
	before := c.blockedBy
	c.blockedBy = s.BlockedBy
	c.parents = nil
	if s.BlockedBy != "" {
		by := thing{environment: c.environment, entity: s.BlockedBy}
		if parent := h.checks[s.BlockedBy]; parent != nil {
			by.environment, by.input = parent.environment, parent.input
		}
		c.parents = []thing{by}
	}
	for _, f := range c.feeds {
		f.explain(c.parents)
	}
	h.affects(before)
	h.affects(s.BlockedBy)
}

// affects tells a check which others fail because of it.
func (h *healthFeed) affects(name string) {
	c := h.checks[name]
	if c == nil || c.feeds[c.input] == nil {
		return
	}
	var blocked []string
	for child, c := range h.checks {
		if c.blockedBy == name {
			blocked = append(blocked, child)
		}
	}
	slices.Sort(blocked)
	c.feeds[c.input].affects(blocked)
}

// removed closes the feeds of a check that is gone.
func (h *healthFeed) removed(name string) {
	c := h.checks[name]
	if c == nil {
		return
	}
	for _, f := range c.feeds {
		f.Close()
	}
	delete(h.checks, name)
	h.affects(c.blockedBy)
}
