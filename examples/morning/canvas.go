package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/health"
)

// What the key canvas of a check may be.
const (
	canvasUp    = "up"    // whether the instance is there, without the token
	canvasToken = "token" // whether it accepts the token
	canvasQuota = "quota" // how much is left of the token's quota
)

// canvasPaths are what each of them asks.
var canvasPaths = map[string]string{canvasUp: "/health_check", canvasToken: "/api/v1/users/self", canvasQuota: "/api/v1/users/self"}

// validateCanvas finds keys that a check of Canvas does not have: what it asks,
// and what the answers mean, is known.
func (c *check) validateCanvas(file *config.File, path string) {
	if c.Canvas == "" {
		return
	}
	if canvasPaths[c.Canvas] == "" {
		file.Problem(path+".canvas", "must be %s, %s or %s", canvasUp, canvasToken, canvasQuota)
	}
	for _, k := range []struct {
		key  string
		used bool
	}{
		{"headers", len(c.Headers) > 0}, {"status", len(c.Status) > 0}, {"failing", len(c.Failing) > 0}, {"maintenance", len(c.Maintenance) > 0},
		{"contains", c.Contains != ""}, {"assert", len(c.Assert) > 0}, {"extract", len(c.Extract) > 0}, {"samples", c.Samples != 1},
		{"certificate", c.Certificate != nil},
	} {
		if k.used {
			file.Problem(path+"."+k.key, "is not for a check with canvas, which knows what to ask and what the answers mean")
		}
	}
	if c.Auth == nil || c.Auth.Bearer == "" {
		file.Problem(path+".canvas", "needs the token, as auth: {bearer: NAME}")
	}
	if a := c.Auth; a != nil {
		for _, k := range []struct{ key, value string }{{"username", a.Username}, {"password", a.Password}, {"header", a.Header}, {"value", a.Value}} {
			if k.value != "" {
				file.Problem(path+".auth."+k.key, "is not for a check with canvas, which sends the token as bearer")
			}
		}
	}
}

// canvases are the Canvas instances of a plan. Checks of the same instance with
// the same token share a client, and so its throttle.
type canvases struct {
	http      *http.Client
	page      *canvasprobe.StatusPage // nil if the configuration names none
	instances map[canvasKey]*canvasprobe.Instance
}

type canvasKey struct{ environment, base, secret string }

// newCanvases returns none yet. client is nil for real systems.
func newCanvases(s *settings, file *config.File, client *http.Client) *canvases {
	if client == nil { // every request on a connection of its own, as those of the other checks
		client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	}
	all := &canvases{http: client, instances: make(map[canvasKey]*canvasprobe.Instance)}
	if s.StatusPage != "" {
		page, err := canvasprobe.NewStatusPage(canvasprobe.StatusPageConfig{URL: s.StatusPage, HTTP: client})
		for _, err := range each(err) {
			file.Problem("status_page", "%s", strings.TrimPrefix(err.Error(), "canvasprobe: "))
		}
		all.page = page
	}
	return all
}

// canvas makes the prober of a check of Canvas, and says what it asks.
func (b *builder) canvas(c *check) (prober health.Prober, target string) {
	base := b.fill("url", c.URL)
	if canvasPaths[c.Canvas] == "" || c.Auth == nil || c.Auth.Bearer == "" {
		return nil, "" // reported already
	}
	token := b.secret("bearer", c.Auth.Bearer)
	if token.IsZero() {
		return nil, "" // reported already
	}
	latency := health.Budget(c.Latency)
	if err := latency.Validate(); err != nil {
		b.problem("latency", "%v", err)
	}
	key := canvasKey{b.env.Name, base, c.Auth.Bearer}
	instance := b.canvases.instances[key]
	if instance == nil {
		var err error
		instance, err = canvasprobe.New(canvasprobe.Config{
			Canvas:      canvas.Config{BaseURL: base, Token: token, HTTP: b.canvases.http},
			Environment: canvasprobe.Environment(b.env.Name),
			StatusPage:  b.canvases.page,
		})
		if err != nil {
			b.canvasProblems(err)
			return nil, ""
		}
		b.canvases.instances[key] = instance
	}
	switch c.Canvas {
	case canvasUp:
		prober = instance.Up()
	case canvasToken:
		prober = instance.Token()
	case canvasQuota:
		prober = instance.Quota()
	}
	return &sampler{prober: &canvasRow{prober, b.canvases.page}, samples: 1, latency: latency}, instance.Client().BaseURL() + canvasPaths[c.Canvas]
}

// canvasProblems reports what is wrong with a check of Canvas, at the key that
// it is about.
func (b *builder) canvasProblems(err error) {
	for _, err := range each(err) {
		_, text, _ := strings.Cut(err.Error(), ": canvas: ")
		key := "canvas"
		switch {
		case strings.HasPrefix(text, "base URL"):
			key = "url"
		case strings.Contains(text, "token"):
			key = "auth.bearer"
		}
		b.problem(key, "%s", cmp.Or(text, err.Error()))
	}
}

// each returns the errors that err joins, or err alone, or none.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return slices.DeleteFunc([]error{err}, func(err error) bool { return err == nil })
}

// canvasRow is a prober of Canvas that measures how long the answer took. The
// page that Canvas shows in maintenance it may show in an outage too: only then
// does it ask the status page, which the second look takes into account.
type canvasRow struct {
	prober health.Prober
	page   *canvasprobe.StatusPage // nil if there is none
}

var _ health.Prober = (*canvasRow)(nil)

// Probe implements [health.Prober].
func (c *canvasRow) Probe(ctx context.Context) health.Result {
	r := c.prober.Probe(ctx)
	if c.page != nil && r.Status == health.Unhealthy && r.Cause == health.CauseMaintenance && c.page.Probe(ctx).Status != health.Unknown {
		r = c.prober.Probe(ctx)
	}
	if r.Status == health.Unhealthy || r.Status == health.Maintenance {
		r.Measurements = nil // of the quota: without an answer they are guesses
	}
	if r.Status == health.Healthy || r.Cause == health.CauseThreshold {
		r = health.Limit{}.Apply(r, health.Measurement{Name: "response_time", Value: milliseconds(r.Duration), Unit: health.Milliseconds})
	}
	return r
}
