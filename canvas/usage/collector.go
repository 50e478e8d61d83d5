package usage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook/canvas"
)

// Config says what a [Collector] keeps.
type Config struct {
	// Minutes is how many minutes a report covers, up to 1440. Zero means 60.
	Minutes int
	// MaxRoutes is how many routes are counted apart in each minute; the others
	// are counted together as "other". Zero means 256.
	MaxRoutes int
}

// A Collector counts the calls of one or several clients that share a token. Its
// method Observe is their hook. It is safe for concurrent use.
type Collector struct {
	cfg Config

	mu      sync.Mutex
	started time.Time
	minutes []minute // a ring
	last    reading
}

// A minute is what happened in one minute.
type minute struct {
	number int64 // since 1970; the ring has others in the same place
	tally
	lowest float64 // of what remained
	known  bool    // lowest is
	routes map[string]*tally
	status [6]int64 // by the first digit; 0 is no answer
}

type tally struct {
	calls, errors, throttled int64
	cost                     float64
	took, slowest, waited    time.Duration
}

type reading struct {
	at        time.Time
	remaining float64
}

// New returns a Collector, or everything that is wrong with cfg.
func New(cfg Config) (*Collector, error) {
	var problems []error
	if cfg.Minutes < 0 || cfg.Minutes > 1440 {
		problems = append(problems, fmt.Errorf("usage: Minutes is %d: must be from 0 to 1440", cfg.Minutes))
	}
	if cfg.MaxRoutes < 0 {
		problems = append(problems, fmt.Errorf("usage: MaxRoutes is %d: must not be negative", cfg.MaxRoutes))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if cfg.Minutes == 0 {
		cfg.Minutes = 60
	}
	if cfg.MaxRoutes == 0 {
		cfg.MaxRoutes = 256
	}
	return &Collector{cfg: cfg, started: time.Now(), minutes: make([]minute, cfg.Minutes)}, nil
}

// Observe counts an attempt. It has the form of canvas.Hooks.OnAttempt. An attempt
// that never left, because its context ended while it waited for the bucket,
// counts as time waited and as nothing else.
func (c *Collector) Observe(_ context.Context, a canvas.Attempt) {
	now := time.Now()
	number := now.Unix() / 60
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &c.minutes[number%int64(len(c.minutes))]
	if m.number != number {
		clear(m.routes)
		*m = minute{number: number, routes: m.routes}
	}
	m.waited += a.Waited
	if a.Status == 0 && a.Took == 0 && a.Waited > 0 {
		return
	}
	m.add(a)
	m.status[class(a.Status)]++
	if m.routes == nil {
		m.routes = make(map[string]*tally)
	}
	r := m.routes[a.Route]
	if r == nil {
		route := a.Route
		if len(m.routes) >= c.cfg.MaxRoutes {
			route = "other"
		}
		if r = m.routes[route]; r == nil {
			r = &tally{}
			m.routes[route] = r
		}
	}
	r.waited += a.Waited
	r.add(a)
	if a.Reported {
		if !m.known || a.Remaining < m.lowest {
			m.lowest, m.known = a.Remaining, true
		}
		c.last = reading{now, a.Remaining}
	}
}

func class(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status / 100
}

// add counts what was sent. A rejection by the bucket is no error: it is counted
// for itself.
func (t *tally) add(a canvas.Attempt) {
	t.calls++
	t.cost += a.Cost
	t.took += a.Took
	t.slowest = max(t.slowest, a.Took)
	switch {
	case a.Throttled:
		t.throttled++
	case a.Status == 0 || a.Status >= 400:
		t.errors++
	}
}

func (t *tally) merge(o *tally) {
	t.calls += o.calls
	t.errors += o.errors
	t.throttled += o.throttled
	t.cost += o.cost
	t.took += o.took
	t.waited += o.waited
	t.slowest = max(t.slowest, o.slowest)
}

// Report returns what was counted in the minutes that Config names, up to now.
func (c *Collector) Report() Report {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	newest := now.Unix() / 60
	oldest := newest - int64(len(c.minutes)) + 1
	r := Report{From: time.Unix(oldest*60, 0).UTC(), To: now.UTC(), Minutes: []Minute{}, Routes: []Route{}, Statuses: map[string]int64{}}
	if c.started.After(r.From) {
		r.From = c.started.UTC()
	}
	var all tally
	routes := make(map[string]*tally)
	for n := oldest; n <= newest; n++ {
		m := &c.minutes[n%int64(len(c.minutes))]
		if m.number != n {
			continue
		}
		all.merge(&m.tally)
		r.Minutes = append(r.Minutes, m.report())
		if m.known && (r.Lowest == nil || m.lowest < *r.Lowest) {
			r.Lowest = new(m.lowest)
		}
		for i, name := range [...]string{"no answer", "1xx", "2xx", "3xx", "4xx", "5xx"} {
			if m.status[i] > 0 {
				r.Statuses[name] += m.status[i]
			}
		}
		for name, t := range m.routes {
			if routes[name] == nil {
				routes[name] = &tally{}
			}
			routes[name].merge(t)
		}
	}
	for name, t := range routes {
		r.Routes = append(r.Routes, t.route(name, all.cost))
	}
	slices.SortFunc(r.Routes, func(a, b Route) int {
		switch {
		case a.Cost > b.Cost:
			return -1
		case a.Cost < b.Cost:
			return 1
		}
		return strings.Compare(a.Route, b.Route)
	})
	r.total(all, c.last)
	return r
}
