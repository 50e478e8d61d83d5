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
// says, a failure is none, and what fires stays as it is. A measurement in another unit
// than the input's is converted if it is one of time or size, and else counts as not
// measured.
func (e *Engine) HealthHooks(environment string) health.Hooks {
	h := &healthFeed{e: e, environment: environment, checks: make(map[string]*checked)}
	return health.Hooks{
		OnResult: func(_ context.Context, s health.State) { h.result(s) },
		OnTransition: func(_ context.Context, t health.Transition) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if t.Removed {
				h.removed(t.State.Name)
				return
			}
			h.explain(t.State) // why it fails may be all that has changed
		},
	}
}

// healthFeed feeds an engine with what a monitor finds.
type healthFeed struct {
	e           *Engine
	environment string

	mu     sync.Mutex
	checks map[string]*checked
}

// checked is what was fed of a check.
type checked struct {
	environment string
	labels      map[string]string
	blockedBy   string
	parents     []thing
	feeds       map[string]*Feed // by input
}

func (h *healthFeed) check(s health.State) *checked {
	c := h.checks[s.Name]
	if c == nil {
		c = &checked{environment: h.environment, labels: s.Labels, feeds: make(map[string]*Feed)}
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
	f := h.feed(s.Name, c, InputHealth, Checks)
	h.explain(s)
	maintained := s.Status == health.Maintenance || last.Status == health.Maintenance
	switch {
	case maintained && last.Status != health.Healthy && last.Status != health.Degraded:
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
	case f != nil:
		f.Result(!last.Status.OK(), last.Message)
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

// explain takes note of which check explains that this one fails.
func (h *healthFeed) explain(s health.State) {
	c := h.check(s)
	if c.blockedBy == s.BlockedBy {
		return
	}
	before := c.blockedBy
	c.blockedBy = s.BlockedBy
	c.parents = nil
	if s.BlockedBy != "" {
		environment := c.environment
		if parent := h.checks[s.BlockedBy]; parent != nil {
			environment = parent.environment
		}
		c.parents = []thing{{environment, s.BlockedBy}}
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
	if c == nil || c.feeds[InputHealth] == nil {
		return
	}
	var blocked []string
	for child, c := range h.checks {
		if c.blockedBy == name {
			blocked = append(blocked, child)
		}
	}
	slices.Sort(blocked)
	c.feeds[InputHealth].affects(blocked)
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
