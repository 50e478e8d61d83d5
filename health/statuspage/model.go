package statuspage

import (
	"reflect"
	"slices"
	"time"

	"go.acu.edu.au/runbook/health"
)

// A model is everything that a page may show to the public. It is made of the
// configuration, the History, the events and the states of checks, and holds no
// message, cause, measurement, label or name of a check: nothing that is rendered
// from it can show one. It is never changed.
type model struct {
	AsOf       time.Time // to the minute; zero before the first result
	Overall    overall
	Components []component
	Groups     []group
	Events     []event

	// EventsTrouble and PastTrouble say that what is shown of them may be old: from
	// EventsOf and PastOf on, or never known if zero.
	EventsTrouble, PastTrouble bool
	EventsOf, PastOf           time.Time

	past *past
}

// A group is some components under a heading. Name is empty for those without.
type group struct {
	Name       string
	Condition  Condition
	Components []int // in the model
}

// A component is a Component and how it is.
type component struct {
	ID, Name, Group, Description string
	// Condition is what is shown. Measured is what the checks say.
	Condition, Measured Condition
	Optional            bool
	Since               time.Time // of the state of the checks; zero if not known
	Until               time.Time // when its maintenance window ends
	Median, P95         time.Duration
	Days                []day // nil without a History
	Record              record
}

// model returns what there is to show now, and what is wrong with what the host
// gives, for the host's own people.
func (p *Page) model(r *health.Report, events said[Events], history said[*past]) (*model, []string) {
	now := time.Now()
	m := &model{past: history.value, EventsTrouble: events.err != nil, PastTrouble: history.err != nil}
	if !r.Time.IsZero() {
		m.AsOf = r.Time.In(p.cfg.Location).Truncate(time.Minute)
	}
	if m.EventsTrouble && !events.got.IsZero() {
		m.EventsOf = events.got.In(p.cfg.Location).Truncate(time.Minute)
	}
	if m.PastTrouble && !history.got.IsZero() {
		m.PastOf = history.got.In(p.cfg.Location).Truncate(time.Minute)
	}
	var problems []string
	m.Events, problems = arrange(events.value, p.names, now, p.cfg.Location)
	states := make(map[string]*health.State, len(r.Checks))
	for i := range r.Checks {
		states[r.Checks[i].Name] = &r.Checks[i]
	}
	m.Components = make([]component, len(p.cfg.Components))
	for i, c := range p.cfg.Components {
		m.Components[i] = p.component(c, states, now)
		if m.past != nil {
			at := &m.Components[i]
			at.Days = m.past.bars[i]
			at.Record = recordOf(at.Days)
			at.Median, at.P95 = responses(m.past.hours[i], m.past.read)
		}
		for _, name := range c.Checks {
			if states[name] == nil {
				problems = append(problems, "component "+c.ID+": there is no check "+line(name))
			}
		}
	}
	affect(m.Components, m.Events)
	m.Groups = grouped(m.Components)
	m.Overall = overallOf(m.Components, m.Events)
	return m, problems
}

// component returns a component as its checks have it.
func (p *Page) component(c Component, states map[string]*health.State, now time.Time) component {
	out := component{ID: c.ID, Name: c.Name, Group: c.Group, Description: c.Description, Optional: true}
	found := make([]health.Status, len(c.Checks))
	for i, name := range c.Checks {
		s := states[name]
		if s == nil {
			out.Optional = false
			continue
		}
		found[i] = s.Status
		if stale(s, now) {
			found[i] = health.Unknown
		}
		out.Optional = out.Optional && s.Optional
	}
	out.Measured = conditionOf(found)
	out.Condition = out.Measured
	worst := health.Worst(found...)
	for _, name := range c.Checks {
		s := states[name]
		if s == nil || s.Status != worst {
			continue
		}
		if out.Since.IsZero() || s.Since.Before(out.Since) {
			out.Since = s.Since
		}
		if s.Until.After(out.Until) {
			out.Until = s.Until
		}
	}
	if !out.Since.IsZero() {
		out.Since = out.Since.In(p.cfg.Location).Truncate(time.Second)
	}
	if out.Condition != UnderMaintenance {
		out.Until = time.Time{}
	} else if !out.Until.IsZero() {
		out.Until = out.Until.In(p.cfg.Location)
	}
	return out
}

// stale reports whether the latest result of a check is too old to say how things
// are: a Monitor that has stopped leaves everything as it was.
func stale(s *health.State, now time.Time) bool {
	return s.Status != health.Maintenance && now.Sub(s.Last.Time) > max(3*s.Interval, 5*time.Minute)
}

// affect makes components as bad as the events that are going on say.
func affect(components []component, events []event) {
	for _, e := range events {
		if !e.active() {
			continue
		}
		for _, a := range e.Components {
			i := slices.IndexFunc(components, func(c component) bool { return c.ID == a.ID })
			if c := &components[i]; e.Planned {
				c.Condition, c.Until = UnderMaintenance, e.Until
			}
		}
	}
	for _, e := range events { // an incident is not hidden by maintenance
		if !e.active() || e.Planned {
			continue
		}
		for _, a := range e.Components {
			i := slices.IndexFunc(components, func(c component) bool { return c.ID == a.ID })
			components[i].Condition = worse(components[i].Condition, a.Condition)
		}
	}
	for i := range components {
		if c := &components[i]; c.Condition != UnderMaintenance {
			c.Until = time.Time{}
		}
	}
}

// grouped returns the groups, each where the first of its components stands.
func grouped(components []component) []group {
	var groups []group
	for i, c := range components {
		at := slices.IndexFunc(groups, func(g group) bool { return g.Name == c.Group })
		if at < 0 {
			at = len(groups)
			groups = append(groups, group{Name: c.Group, Condition: Operational})
		}
		g := &groups[at]
		g.Condition = worse(g.Condition, c.Condition)
		g.Components = append(g.Components, i)
	}
	return groups
}

// same reports whether two models show the same.
func same(a, b *model) bool {
	return a != nil && b != nil && a.past == b.past && reflect.DeepEqual(a, b)
}

// find returns the component of an ID.
func (m *model) find(id string) (component, bool) {
	i := slices.IndexFunc(m.Components, func(c component) bool { return c.ID == id })
	if i < 0 {
		return component{}, false
	}
	return m.Components[i], true
}
