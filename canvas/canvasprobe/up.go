package canvasprobe

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// Up returns a prober that asks whether the instance is there, without a token:
// each of Config.Endpoints once, until one is exposed. An endpoint that is not
// exposed says nothing about the instance, whose application answers all the
// same.
//
// A page with status 503 instead of an answer is what load balancers show in
// maintenance and in an outage alike. It is Maintenance in a window of
// Config.Maintenance, or if Config.StatusPage said within the last 15 minutes
// that a maintenance is under way; else it is Unhealthy because of
// health.CauseMaintenance.
func (i *Instance) Up() health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		line := netcheck.NewTimeline(i.base.Hostname())
		r := i.up(ctx, line)
		r.Time, r.Duration = line.Started(), line.Elapsed()
		if r.Message != "" {
			r.Message = i.String() + ": " + r.Message
		}
		return r
	})
}

func (i *Instance) up(ctx context.Context, line *netcheck.Timeline) health.Result {
	r := health.Result{}
	for n, path := range i.cfg.Endpoints {
		if n > 0 {
			line.Again(i.base.Hostname())
		}
		a, err := i.ask(ctx, line, path)
		if err != nil {
			return httpcheck.Explain(ctx, line, err).Result()
		}
		var exposed bool
		if r, exposed = i.judgeUp(path, a); exposed {
			break
		}
	}
	return r
}

// An answer is what an endpoint said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// maxUp is how much of an answer is looked at.
const maxUp = 64 << 10

func (i *Instance) ask(ctx context.Context, line *netcheck.Timeline, path string) (answer, error) {
	u := *i.base
	at, err := url.Parse(path)
	if err != nil {
		return answer{}, err
	}
	u.Path, u.RawPath = at.Path, at.RawPath
	req, err := http.NewRequestWithContext(traced(ctx, line), http.MethodGet, u.String(), nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", "application/json, text/html;q=0.5")
	req.Header.Set("User-Agent", canvas.DefaultUserAgent)
	if i.cfg.Canvas.UserAgent != "" {
		req.Header.Set("User-Agent", i.cfg.Canvas.UserAgent)
	}
	resp, err := i.http.Do(req)
	if err != nil {
		if i.own != nil {
			i.own.CloseIdleConnections()
		}
		return answer{}, err
	}
	defer resp.Body.Close()
	line.Enter(netcheck.Body)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxUp))
	if err != nil {
		return answer{}, err
	}
	line.Finish()
	return answer{resp.StatusCode, resp.Header, body}, nil
}

// judgeUp says what an answer means. It is not exposed if the instance does not
// show the endpoint.
func (i *Instance) judgeUp(path string, a answer) (r health.Result, exposed bool) {
	what := "GET " + netcheck.Clean(path) + ": answered " + httpcheck.Status(a.status)
	text := string(a.body)
	to, _ := url.Parse(a.header.Get("Location"))
	login := a.status >= 300 && a.status <= 399 && to != nil && strings.HasPrefix(to.Path, "/login")
	switch {
	case a.status >= 200 && a.status <= 299:
		if strings.HasSuffix(strings.TrimSuffix(path, ".json"), "/health_check") && !strings.Contains(text, "canvas ok") {
			return down(health.CauseAssertion, what+` without "canvas ok": it is not Canvas that answers`), true
		}
		return health.Result{Status: health.Healthy}, true
	case login && path == "/":
		return health.Result{Status: health.Healthy}, true
	case a.status == http.StatusTooManyRequests, a.status == http.StatusForbidden && strings.Contains(text, "Rate Limit Exceeded"):
		return health.Result{Status: health.Degraded, Cause: health.CauseThrottled, Message: what + ": the bucket of this machine's address is full"}, true
	case login, a.status == http.StatusNotFound, a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		if a.header.Get("X-Request-Context-Id") != "" {
			return netcheck.With(health.Result{Status: health.Healthy}, health.Measurement{Name: "endpoint", Text: "not exposed"}), false
		}
		return health.Result{Status: health.Unknown, Cause: health.CauseMissing, Message: what + ": it is not exposed, and nothing shows that it is Canvas that answers"}, false
	case a.status == http.StatusServiceUnavailable && !isJSON(a):
		return i.closed(what, time.Now()), true
	}
	return down(health.CauseStatus, what+broken(a)), true
}

func isJSON(a answer) bool { return strings.Contains(a.header.Get("Content-Type"), "json") }

// broken names the components that /readiness says are not well.
func broken(a answer) string {
	var in struct {
		Components []struct {
			Name   string `json:"name"`
			Status int    `json:"status"`
		} `json:"components"`
	}
	if !isJSON(a) || json.Unmarshal(a.body, &in) != nil {
		return ""
	}
	var names []string
	for _, c := range in.Components {
		if c.Status != http.StatusOK && len(names) < 10 {
			names = append(names, netcheck.Clean(c.Name))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}
