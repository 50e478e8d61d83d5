package host

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
	"go.acu.edu.au/runbook/health/wsprobe"
)

// canvasBucket is the size of the cost bucket of a token in Canvas, in its units, of which
// the application tells what is left.
const canvasBucket = 700

// well is what the application says of itself and of a part, in its own words.
var well = map[string]health.Status{"healthy": health.Healthy, "degraded": health.Degraded, "maintenance": health.Maintenance}

// probe returns a prober of an endpoint of the application.
func (c Connection) probe(path string, cfg httpprobe.Config) (health.Prober, error) {
	cfg.URL, cfg.HTTP = strings.TrimSuffix(c.Application, "/")+path, c.HTTP
	if !c.Token.IsZero() {
		cfg.Auth = httpprobe.Auth{Bearer: c.Token}
	}
	p, err := httpprobe.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("probe of %s: %w", path, err)
	}
	return p, nil
}

// endpoints are the probers of the endpoints of the application.
type endpoints struct {
	// application is well if everything is that it needs, alive if the application itself
	// is: that its database is away is no fault of its own.
	application, alive health.Prober
	database, canvas   health.Prober
	metrics, limits    health.Prober
	keys, security     health.Prober
	socket             health.Prober
}

// endpoints makes them. What they find is about the thing behind the application only if
// the application itself answers.
func (c Connection) endpoints() (endpoints, []error) {
	var e endpoints
	var errs []error
	set := func(to *health.Prober, path string, cfg httpprobe.Config) {
		p, err := c.probe(path, cfg)
		if err != nil {
			errs = append(errs, err)
			return
		}
		*to = p
	}
	status := []httpprobe.Assertion{{Path: ".status", Want: well}}
	either := []int{200, 503} // which it is, the body says
	// A database that is away makes the whole unhealthy, and is somebody else's alert.
	itself := []httpprobe.Assertion{
		{Path: ".status", Want: map[string]health.Status{"healthy": health.Healthy, "degraded": health.Degraded, "unhealthy": health.Degraded, "maintenance": health.Maintenance}},
		{Path: ".checks.workers.status", Want: well},
		{Path: ".checks.memory.status", Want: well},
	}
	set(&e.application, "/health", httpprobe.Config{Assert: status})
	set(&e.alive, "/health", httpprobe.Config{Status: either, Assert: itself})
	set(&e.database, "/health/database", httpprobe.Config{Status: either, Assert: status})
	set(&e.canvas, "/health/canvas?instance="+url.QueryEscape(c.instance()), httpprobe.Config{Status: either, Assert: status, Extract: []httpprobe.Field{
		{Path: ".canvas_details.http_status", Name: "canvas_status", Optional: true},
		{Path: ".canvas_details.error", Name: "canvas_error", Optional: true},
	}})
	set(&e.metrics, "/health/metrics", httpprobe.Config{Extract: metrics()})
	set(&e.limits, "/health/canvas/rate-limits", httpprobe.Config{Extract: limits(c.instance())})
	set(&e.keys, "/.well-known/jwks.json", httpprobe.Config{Extract: []httpprobe.Field{{Path: ".keys[0].kid", Name: "kid"}}})
	set(&e.security, "/health/security-metrics", httpprobe.Config{Extract: []httpprobe.Field{
		{Path: ".failed_logins_last_hour", Name: "failed_logins", Optional: true},
		{Path: ".failed_launches_last_hour", Name: "failed_launches", Optional: true},
		{Path: ".distinct_sources", Optional: true},
	}})
	if c.WebSocket != "" {
		p, err := wsprobe.New(wsprobe.Config{URL: strings.TrimSuffix(c.Application, "/") + c.WebSocket, HTTP: c.HTTP, Auth: httpprobe.Auth{Bearer: c.Token}, Origin: c.Application, Send: "runbook"})
		if err != nil {
			errs = append(errs, fmt.Errorf("probe of %s: %w", c.WebSocket, err))
		} else {
			e.socket = p
		}
	}
	if len(errs) > 0 {
		return e, errs
	}
	for _, p := range []*health.Prober{&e.database, &e.canvas, &e.metrics, &e.limits, &e.keys, &e.security, &e.socket} {
		*p = through(e.alive, *p)
	}
	return e, nil
}

// metrics are what is read of /health/metrics. How long answers take and how many fail are
// what the application counted of its users' requests.
func metrics() []httpprobe.Field {
	warn, fail := 80.0, 90.0
	return []httpprobe.Field{
		{Path: ".active_sessions", Optional: true},
		{Path: ".active_qa_tasks", Optional: true},
		{Path: ".queued_qa_tasks", Optional: true},
		{Path: ".recent_errors"},
		{Path: ".recent_errors", Of: ".recent_requests", Name: "error_rate", Optional: true},
		{Path: ".response_time_ms.p95", Name: "response_time_p95", Unit: health.Milliseconds, Optional: true},
		{Path: ".memory_usage_mb", Unit: health.Megabytes, Optional: true},
		{Path: ".memory_usage_mb", Of: ".memory_limit_mb", Name: "memory_usage", Optional: true, Limit: health.Limit{Warn: &warn, Fail: &fail}},
		{Path: ".task_duration_seconds.p95", Name: "task_duration", Unit: health.Seconds, Optional: true},
		{Path: ".database_connections_in_use", Of: ".database_connections_limit", Name: "pool_used", Optional: true},
		{Path: ".websocket_connections", Optional: true},
		{Path: ".version", Optional: true},
		{Path: ".commit", Optional: true},
	}
}

// limits are what is read of /health/canvas/rate-limits for an instance.
func limits(instance string) []httpprobe.Field {
	at := ".instances." + instance
	return []httpprobe.Field{
		{Path: at + ".limit_per_minute", Name: "canvas_allowed", Optional: true},
		{Path: at + ".used_last_minute", Name: "canvas_used", Optional: true},
		{Path: at + ".errors_last_minute", Name: "canvas_errors", Optional: true},
		{Path: at + ".throttled_last_minute", Name: "canvas_throttled", Optional: true},
		{Path: at + ".waiting", Name: "canvas_waiting", Optional: true},
		{Path: at + ".canvas_remaining", Name: "canvas_remaining", Optional: true},
		{Path: at + ".canvas_remaining", Name: "canvas_quota", Scale: 100.0 / canvasBucket, Unit: health.Percent, Optional: true},
	}
}

// instance is what the application calls its Canvas.
func (c Connection) instance() string {
	switch {
	case c.Instance != "":
		return c.Instance
	case c.Name == "production":
		return "prod"
	}
	return c.Name
}

// itsWord are the causes with which the application itself said what is wrong.
var itsWord = []health.Cause{health.CauseAssertion, health.CauseMissing, health.CauseThreshold, health.CauseSlow, health.CauseThrottled}

// through returns a prober of something that is asked through the application. If the
// application itself does not answer, nothing is known of what is behind it: that is
// Unknown, and no fault of the thing. Nil stays nil.
func through(alive, p health.Prober) health.Prober {
	if p == nil {
		return nil
	}
	return health.ProberFunc(func(ctx context.Context) health.Result {
		first, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok { // so that there is time left to ask the application
			first, cancel = context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/4))
		}
		r := p.Probe(first)
		cancel()
		if r.Status != health.Unhealthy || slices.Contains(itsWord, r.Cause) {
			return r
		}
		if app := alive.Probe(ctx); !app.Status.OK() {
			r.Status, r.Cause = health.Unknown, health.CauseNotAsked
			r.Message = "the application, through which it is asked, does not answer: " + app.Message
		}
		return r
	})
}

// also returns a prober that has measurements under a second name too, for rules that are
// about this one alone. It is given as pairs of names.
func also(p health.Prober, names ...string) health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		r := p.Probe(ctx)
		r.Measurements = slices.Clone(r.Measurements)
		for pair := range slices.Chunk(names, 2) {
			if m, ok := r.Measurement(pair[0]); ok {
				m.Name = pair[1]
				r.Measurements = append(r.Measurements, m)
			}
		}
		return r
	})
}
