package alert

import (
	"slices"
	"time"
)

// A tracked is an alert that is not over, or whose end somebody has to be told.
type tracked struct {
	alert    Alert
	groups   []*group
	space    [1]*group // for most there is one
	tellers  []*thread // those that told of it, or are about to
	unrouted bool
	batch    uint64 // number of the write that stores it
}

// A group is the firing alerts of a route with the same values of some labels, or those
// of a digest.
type group struct {
	id      string
	route   *Route
	members map[string]*tracked
	threads []*thread
}

// accept takes an alert that says something new; t is what is known of it, if anything.
func (r *Router) accept(t *tracked, a *Alert, now time.Time) {
	if t == nil {
		if a.State == Resolved {
			return // nobody was told
		}
		t = &tracked{}
		r.alerts[a.Key] = t
	}
	ack, began, wasFiring := t.alert.Acknowledged, t.alert.Began, t.alert.State == Firing
	r.countParents(&t.alert, -1)
	t.alert = a.clone()
	t.alert.clean()
	if a.Began.IsZero() {
		if began.IsZero() {
			began = now
		}
		t.alert.Began = began
	}
	if wasFiring && a.Acknowledged == nil {
		t.alert.Acknowledged = ack
	}
	r.countParents(&t.alert, 1)
	t.batch = r.batch
	r.touch("alert", a.Key)
	switch {
	case a.State == Firing:
		r.route(t, now)
	case wasFiring:
		for _, g := range t.groups {
			r.leave(t, g, now)
		}
		t.groups = nil
		r.endSilencesOf(&t.alert, now)
	}
	for _, th := range t.tellers {
		r.schedule(th, now)
	}
	r.explained(t)
	r.forget(t)
}

// route puts a firing alert into its groups, and takes it out of those to which it no
// longer belongs.
func (r *Router) route(t *tracked, now time.Time) {
	var groups []*group
	if t.groups == nil {
		groups = t.space[:0]
	}
	for i := range r.cfg.Routes {
		route := &r.cfg.Routes[i]
		if !route.Match.matches(&t.alert) {
			continue
		}
		groups = append(groups, r.group(route, &t.alert))
		if !route.Continue {
			break
		}
	}
	t.unrouted = len(groups) == 0
	if t.unrouted {
		r.cfg.Logger.Warn("alert: no route matches; nobody is told", "rule", t.alert.Rule, "entity", t.alert.Entity)
	}
	for _, g := range t.groups {
		if g.route == nil {
			groups = append(groups, g) // a digest has what it was given
		} else if !slices.Contains(groups, g) {
			r.leave(t, g, now)
		}
	}
	t.groups = groups
	for _, g := range groups {
		r.join(t, g, now)
	}
}

// group returns the group of a route to which an alert belongs.
func (r *Router) group(route *Route, a *Alert) *group {
	var space [128]byte
	name := appendGroupID(space[:0], route, a)
	g := r.groups[string(name)]
	if g == nil {
		id := string(name)
		g = &group{id: id, route: route, members: make(map[string]*tracked, 1)}
		r.groups[id] = g
		for _, name := range route.Targets {
			r.thread(r.targets[name], g)
		}
	}
	return g
}

// join makes an alert a member. Threads that need not look at it now are left alone: a
// look at a thread takes time for each member of its group.
func (r *Router) join(t *tracked, g *group, now time.Time) {
	g.members[t.alert.Key] = t
	for _, th := range g.threads {
		switch {
		case th.Message != nil: // it looks when that has arrived
		case !th.waits || t.alert.Severity == Critical && !th.hurries:
			r.schedule(th, now)
		}
	}
}

// leave takes an alert out of a group.
func (r *Router) leave(t *tracked, g *group, now time.Time) {
	key := t.alert.Key
	delete(g.members, key)
	for _, th := range g.threads {
		_, gaveUp := th.GivenUp[key]
		if th.Covered[key] || gaveUp {
			delete(th.Covered, key)
			delete(th.GivenUp, key)
			r.touchThread(th)
		}
		r.schedule(th, now)
	}
	if len(g.members) > 0 {
		return
	}
	for _, th := range g.threads {
		th.group = nil // it goes on until it has told the end
	}
	delete(r.groups, g.id)
}

// forget drops an alert that is over when nobody is left who has to be told.
func (r *Router) forget(t *tracked) {
	if t.alert.State == Resolved && len(t.tellers) == 0 && r.alerts[t.alert.Key] == t {
		delete(r.alerts, t.alert.Key)
		r.countParents(&t.alert, -1)
		r.touch("alert", t.alert.Key)
	}
}

// explained takes note that an alert may explain others by now, or no longer.
func (r *Router) explained(t *tracked) {
	key := t.alert.Key
	for i := range r.cfg.Inhibitions {
		in := &r.cfg.Inhibitions[i]
		if t.alert.State == Firing && in.By.matches(&t.alert) {
			if r.sources[i] == nil {
				r.sources[i] = make(map[string]*tracked)
			}
			r.sources[i][key], r.lookMuted = t, true
		} else if r.sources[i][key] != nil {
			delete(r.sources[i], key)
			r.lookMuted = true
		}
	}
	if len(r.parents) > 0 && r.parents[key] > 0 {
		r.lookMuted = true
	}
}

func (r *Router) countParents(a *Alert, n int) {
	for _, key := range a.Parents {
		if r.parents[key] += n; r.parents[key] <= 0 {
			delete(r.parents, key)
		}
	}
}
