package canvas

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Stats is what a [Throttle] knows at one moment, and has counted since it was
// made.
type Stats struct {
	// Remaining is what Canvas would report as X-Rate-Limit-Remaining now, as
	// far as it is known. A request starts if more than 50 remains.
	Remaining float64
	// Mark is the high-water mark: what remains of a bucket that is empty.
	// Learnt is false as long as it is only assumed.
	Mark   float64
	Learnt bool
	// Foreign is how many units a second others with the same token use, as
	// far as they are noticed.
	Foreign float64
	// InFlight is how many requests are under way, Waiting how many wait.
	InFlight, Waiting int
	// Limit is the budget for a minute.
	Limit Limit
	// Requests counts attempts that were sent; Rejected is how many of them
	// the bucket rejected.
	Requests, Rejected int64
	// Cost is what they cost together, in units of the bucket.
	Cost float64
	// Waits counts the attempts that had to wait, Waited is for how long
	// altogether.
	Waits  int64
	Waited time.Duration
	// Routes has what each route was used for, the most expensive first.
	Routes []RouteStats
}

// RouteStats is the use of one route.
type RouteStats struct {
	// Route is method and path, with ids replaced: "GET /api/v1/courses/:id".
	Route string
	// Requests counts attempts, Rejected those that the bucket rejected, and
	// Failed those that had no answer or one with a status from 400.
	Requests, Rejected, Failed int64
	// Cost is what they cost together, Highest what the most expensive one did.
	Cost, Highest float64
}

// maxRoutes bounds the number of routes that are counted apart. The others are
// counted together, as "other".
const maxRoutes = 512

type tally struct {
	requests, rejected, waits int64
	waited                    time.Duration
	cost                      float64
	routes                    map[string]*routeTally
}

type routeTally struct {
	RouteStats
	average float64 // of the cost, the latest counting most
}

// Stats returns the present state and the counts.
func (t *Throttle) Stats() Stats {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begin(now)
	s := Stats{
		Remaining: t.est.remaining, Mark: t.est.mark.value(), Learnt: t.est.mark.learnt, Foreign: t.est.foreign,
		InFlight: len(t.est.flights), Waiting: t.waiting(), Limit: t.limit,
		Requests: t.stats.requests, Rejected: t.stats.rejected, Cost: t.stats.cost,
		Waits: t.stats.waits, Waited: t.stats.waited,
		Routes: make([]RouteStats, 0, len(t.stats.routes)),
	}
	for _, r := range t.stats.routes {
		s.Routes = append(s.Routes, r.RouteStats)
	}
	slices.SortFunc(s.Routes, func(a, b RouteStats) int {
		if a.Cost != b.Cost {
			return map[bool]int{true: -1, false: 1}[a.Cost > b.Cost]
		}
		return strings.Compare(a.Route, b.Route)
	})
	return s
}

// expect returns what a request of the route is thought to cost.
func (t *Throttle) expect(route string) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.stats.routes[route]; r != nil {
		return r.average
	}
	return 0
}

// count adds an attempt to the counts.
func (t *Throttle) count(at Attempt) {
	route, cost := at.Route, at.Cost
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.requests++
	t.stats.cost += cost
	r := t.stats.routes[route]
	if r == nil {
		if t.stats.routes == nil {
			t.stats.routes = make(map[string]*routeTally)
		}
		if len(t.stats.routes) >= maxRoutes {
			route = "other"
		}
		if r = t.stats.routes[route]; r == nil {
			r = &routeTally{RouteStats: RouteStats{Route: route}, average: cost}
			t.stats.routes[route] = r
		}
	}
	r.Requests++
	r.Cost += cost
	r.Highest = max(r.Highest, cost)
	switch {
	case at.Throttled:
		t.stats.rejected++
		r.Rejected++
	default:
		r.average += (cost - r.average) / 8
	}
	if at.Status == 0 || at.Status >= 400 {
		r.Failed++
	}
}

// mostUnits is more than a request can cost and than a bucket can be overdrawn
// by: those of Canvas hold 800. What a header says beyond that is not Canvas's,
// and would stop the throttle for hours.
const mostUnits = 2000

// requestCost reads what a request cost.
func requestCost(h http.Header) (float64, bool) {
	return number(h, "X-Request-Cost", 0, mostUnits)
}

// remainingUnits reads what remains of the bucket, which can be negative.
func remainingUnits(h http.Header) (float64, bool) {
	return number(h, "X-Rate-Limit-Remaining", -mostUnits, maxMark)
}

// number reads a header field that has a decimal number from low to high.
func number(h http.Header, name string, low, high float64) (float64, bool) {
	v, err := strconv.ParseFloat(h.Get(name), 64)
	if err != nil || !(v >= low && v <= high) {
		return 0, false // also if it is not a number
	}
	return v, true
}

// routeOf returns method and path with everything replaced that names one
// object, so that the calls of one kind are counted together.
func routeOf(method, path string) string {
	var b strings.Builder
	b.Grow(len(method) + 1 + len(path))
	b.WriteString(method)
	b.WriteByte(' ')
	after := "" // the segment before
	for i, segment := range strings.Split(path, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		switch {
		case isObject(segment), after == "pages" && segment != "":
			segment = ":id"
		}
		b.WriteString(segment)
		after = segment
	}
	return b.String()
}

// isObject reports whether a segment of a path names one object: an id, a
// special id such as self, a SIS id, a UUID, or anything else that is not a
// plain word.
func isObject(segment string) bool {
	switch segment {
	case "self", "default", "site_admin", "current":
		return true
	case "", "v1", "lti_1_3":
		return false
	}
	for _, r := range segment {
		if (r < 'a' || r > 'z') && r != '_' {
			return true
		}
	}
	return len(segment) > 40
}
