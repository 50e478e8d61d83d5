package alert

import (
	"fmt"
	"iter"
)

// explainedBy returns an alert that explains another one: a parent, or one that inhibits
// it. Of alerts that explain each other, in a circle of whatever length, the worst is not
// explained, unless something outside explains one of them: or nobody would be told of any.
func (r *Router) explainedBy(t *tracked) (by *tracked) {
	for source := range r.explaining(t) {
		if worstFirst(&source.alert, &t.alert) < 0 || by == nil && !r.mayExplain(t) {
			return source
		}
		if by == nil {
			by = source
		}
	}
	if by == nil || r.isWorstOfCircle(t) {
		return nil
	}
	return by
}

// explaining yields the firing alerts that explain another one directly. One may come twice.
func (r *Router) explaining(t *tracked) iter.Seq[*tracked] {
	return func(yield func(*tracked) bool) {
		for _, key := range t.alert.Parents {
			if p := r.alerts[key]; p != nil && p != t && p.alert.State == Firing && !yield(p) {
				return
			}
		}
		for i := range r.cfg.Inhibitions {
			in := &r.cfg.Inhibitions[i]
			if len(r.sources[i]) == 0 || !in.What.matches(&t.alert) {
				continue
			}
			for _, source := range r.sources[i] {
				if source != t && equalLabels(&source.alert, &t.alert, in.Equal) && !yield(source) {
					return
				}
			}
		}
	}
}

// mayExplain reports whether a firing alert may explain others. One that does not is in no
// circle.
func (r *Router) mayExplain(t *tracked) bool {
	key := t.alert.Key
	for i := range r.sources {
		if r.sources[i][key] != nil {
			return true
		}
	}
	return r.parents[key] > 0
}

// isWorstOfCircle reports whether an alert explains, at whatever distance, everything that
// explains it, and none of that is worse.
func (r *Router) isWorstOfCircle(t *tracked) bool {
	g := explanations{
		r: r, alerts: make(map[*tracked]*knot), causes: make(map[cause]*knot), sources: make(map[cause][]*tracked), grouped: make(map[int]bool),
	}
	g.alert(t)
	for i := 0; i < len(g.all); i++ { // which grows
		if k := g.all[i]; k.alert != nil && worstFirst(&k.alert.alert, &t.alert) < 0 {
			return false
		}
		g.above(g.all[i])
	}
	reached := g.all[:1:1]
	reached[0].reached = true
	for i := 0; i < len(reached); i++ {
		for _, k := range reached[i].explains {
			if !k.reached {
				k.reached = true
				reached = append(reached, k)
			}
		}
	}
	for _, k := range g.all {
		if k.alert != nil && !k.reached {
			return false
		}
	}
	return true
}

// explanations is the graph of what explains an alert. What matches an inhibition goes
// through one knot, so that the graph is no larger than the alerts, times the inhibitions.
type explanations struct {
	r       *Router
	all     []*knot
	alerts  map[*tracked]*knot
	causes  map[cause]*knot
	sources map[cause][]*tracked
	grouped map[int]bool // the inhibitions whose sources are there
}

// A cause is what of an inhibition is about the same values of its labels.
type cause struct {
	inhibition int
	labels     string
}

// A knot is an alert or a cause.
type knot struct {
	alert    *tracked // nil for a cause
	cause    cause
	explains []*knot
	reached  bool
}

func (g *explanations) alert(t *tracked) *knot {
	k := g.alerts[t]
	if k == nil {
		k = &knot{alert: t}
		g.alerts[t], g.all = k, append(g.all, k)
	}
	return k
}

func (g *explanations) cause(i int, a *Alert) *knot {
	if !g.grouped[i] {
		g.grouped[i] = true
		for _, source := range g.r.sources[i] {
			of := g.causeOf(i, &source.alert)
			g.sources[of] = append(g.sources[of], source)
		}
	}
	of := g.causeOf(i, a)
	k := g.causes[of]
	if k == nil {
		k = &knot{cause: of}
		g.causes[of], g.all = k, append(g.all, k)
	}
	return k
}

func (g *explanations) causeOf(i int, a *Alert) cause {
	var labels []byte
	for _, name := range g.r.cfg.Inhibitions[i].Equal {
		labels = fmt.Appendf(labels, "%q", a.label(name))
	}
	return cause{i, string(labels)}
}

// above adds what explains a knot.
func (g *explanations) above(k *knot) {
	link := func(by *knot) { by.explains = append(by.explains, k) }
	if k.alert == nil {
		for _, source := range g.sources[k.cause] {
			link(g.alert(source))
		}
		return
	}
	a := &k.alert.alert
	for _, key := range a.Parents {
		if p := g.r.alerts[key]; p != nil && p.alert.State == Firing {
			link(g.alert(p))
		}
	}
	for i := range g.r.sources {
		if len(g.r.sources[i]) > 0 && g.r.cfg.Inhibitions[i].What.matches(a) {
			link(g.cause(i, a))
		}
	}
}

// equalLabels reports whether two alerts have the same values of labels.
func equalLabels(a, b *Alert, names []string) bool {
	for _, name := range names {
		if a.label(name) != b.label(name) {
			return false
		}
	}
	return true
}
