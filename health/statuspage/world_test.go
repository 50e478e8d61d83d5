package statuspage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/statuspage"
)

var quiet = slog.New(slog.DiscardHandler)

// sydney is the zone of the pages.
func sydney(t testing.TB) *time.Location {
	t.Helper()
	zone, err := health.LoadZone("Australia/Sydney")
	require.NoError(t, err)
	return zone
}

// until sleeps, in a bubble of synctest, until a time in the zone of the pages.
func until(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04", text, sydney(t))
	require.NoError(t, err)
	time.Sleep(time.Until(at))
	return time.Now()
}

// The details that no public page may show, in every field that a host fills.
const (
	secretMessage = "dial tcp db-7.internal:5432: connection refused"
	secretCause   = health.Cause("cause_of_the_secret")
	secretLabel   = "label-of-the-secret"
	secretUnit    = "measurement_of_the_secret"
	secretCheck   = "production/database-on-db-7"
	secretOther   = "hidden/vault"
)

// A finding is what the checks of a world find. It can be changed between checks.
type finding map[string]health.Status

// prober finds what the world says, with details that must not get out.
func (f finding) prober(name string) health.Prober {
	return health.ProberFunc(func(context.Context) health.Result {
		r := health.Result{Status: f[name], Duration: 120 * time.Millisecond}
		if r.Status != health.Healthy {
			r.Cause, r.Message = secretCause, secretMessage
			r.Measurements = []health.Measurement{{Name: secretUnit, Value: 3}, {Name: "version", Text: "text-of-the-secret"}}
		}
		return r
	})
}

// A world is a Monitor and what a page of it is configured with.
type world struct {
	monitor *health.Monitor
	found   finding
	history *health.MemoryHistory
	events  statuspage.Events
	config  statuspage.Config
}

// newWorld returns a small estate in which everything works.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{found: finding{}, history: &health.MemoryHistory{Location: sydney(t)}}
	var checks []health.Check
	for _, name := range []string{"production/app", secretCheck, "production/cache", "beta/app", "canvas/up", "canvas/lti", secretOther} {
		w.found[name] = health.Healthy
		c := health.Check{Name: name, Prober: w.found.prober(name), Labels: map[string]string{"owner": secretLabel}, Optional: name == "production/cache"}
		if name == "production/app" {
			c.DependsOn = []string{secretCheck}
		}
		checks = append(checks, c)
	}
	var err error
	// A Monitor lists what depends on others after them.
	checks[0], checks[1] = checks[1], checks[0]
	w.monitor, err = health.New(health.Config{Checks: checks, Logger: quiet})
	require.NoError(t, err)
	w.config = statuspage.Config{
		Monitor: w.monitor, URL: "https://status.example.edu/qa", Title: "QA automation", Description: "Tests of courses in Canvas. Questions: the service desk.",
		Links: []statuspage.Link{{Text: "Service desk", URL: "https://desk.example.edu/"}},
		Components: []statuspage.Component{
			{Name: "Website", Group: "Production", Checks: []string{"production/app"}},
			{Name: "Results", Group: "Production", Description: "What was tested, and how it went.", Checks: []string{secretCheck, "production/app"}},
			{Name: "Search", Group: "Production", Checks: []string{"production/cache"}},
			{Name: "Website (beta)", Group: "Beta", ID: "beta", Checks: []string{"beta/app"}},
			{Name: "Canvas", Group: "Others", Checks: []string{"canvas/up"}},
			{Name: "Opening from a course", Group: "Others", ID: "lti", Checks: []string{"canvas/lti"}},
		},
		Location: sydney(t), Logger: quiet,
		Events: func(context.Context) (statuspage.Events, error) { return w.events, nil },
	}
	return w
}

// only leaves one component, and its checks.
func (w *world) only(id string) *world {
	w.config.Components = slices.DeleteFunc(w.config.Components, func(c statuspage.Component) bool { return c.ID != id })
	maps.DeleteFunc(w.found, func(name string, _ health.Status) bool { return !slices.Contains(w.config.Components[0].Checks, name) })
	return w
}

// check lets the checks find what they find now.
func (w *world) check(t testing.TB) {
	t.Helper()
	_, err := w.monitor.Check(t.Context())
	require.NoError(t, err)
}

// remember writes 90 days of history up to now: one sample an hour, of the state
// that a func returns.
func (w *world) remember(t testing.TB, state func(check string, at time.Time) health.Status) {
	t.Helper()
	now := time.Now()
	w.config.History = w.history
	for name := range w.found {
		var samples []health.Sample
		n := time.Duration(len(name))
		for i, at := 0, now.AddDate(0, 0, -90).Truncate(time.Hour); !at.After(now); i, at = i+1, at.Add(time.Hour) {
			s := health.Sample{Check: name, Time: at, Status: state(name, at), Latency: (80 + n*7 + time.Duration(i*i%97)) * time.Millisecond, Valid: time.Hour}
			if i%24 == 10 {
				s.Latency *= 3
			}
			samples = append(samples, s)
		}
		require.NoError(t, w.history.Append(t.Context(), samples))
	}
}

// well is a past in which everything worked.
func well(string, time.Time) health.Status { return health.Healthy }

// public and private return pages.
func (w *world) public(t testing.TB) *statuspage.Page {
	t.Helper()
	p, err := statuspage.NewPublic(w.config)
	require.NoError(t, err)
	return p
}

func (w *world) private(t testing.TB) *statuspage.Page {
	t.Helper()
	p, err := statuspage.NewPrivate(w.config)
	require.NoError(t, err)
	return p
}

// get asks for a path.
func get(h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	return ask(h, http.MethodGet, target, header...)
}

func ask(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

// text returns the body of a path that must be there.
func text(t testing.TB, h http.Handler, target string) string {
	t.Helper()
	w := get(h, target)
	require.Equal(t, http.StatusOK, w.Code, target)
	return w.Body.String()
}

// paths are all that a page of a world answers with.
func (w *world) paths() []string {
	all := []string{
		"/", "/history", "/feed.atom", "/badge.svg", "/health+json", "/summary.json", "/status.json", "/components.json", "/incidents.json",
		"/incidents/unresolved.json", "/scheduled-maintenances.json", "/scheduled-maintenances/upcoming.json", "/scheduled-maintenances/active.json",
		"/api/v2/summary.json", "/no/such/page",
	}
	for _, id := range []string{"website", "results", "search", "beta", "canvas", "lti"} {
		all = append(all, "/components/"+id, "/badge/"+id+".svg")
	}
	for _, i := range w.events.Incidents {
		all = append(all, "/incidents/"+i.ID)
	}
	for _, m := range w.events.Maintenance {
		all = append(all, "/incidents/"+m.ID)
	}
	return all
}

// golden compares with a file. UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, strings.Split(string(want), "\n"), strings.Split(got, "\n"), "%s: UPDATE_GOLDEN=1 writes it anew", name)
}

// trouble is a world with an outage, an incident, maintenance and a past.
func trouble(t testing.TB) *world {
	t.Helper()
	now := until(t, "2026-11-12 14:00")
	w := newWorld(t)
	w.remember(t, func(check string, at time.Time) health.Status {
		days := int(now.Sub(at).Hours()) / 24
		switch {
		case check == secretCheck && (days == 0 && now.Sub(at) < 2*time.Hour || days == 12 && at.Hour() == 3 || days == 47 && at.Hour() < 5):
			return health.Unhealthy
		case check == "production/app" && (days == 30 || days == 31) && at.Hour() > 9:
			return health.Degraded
		case check == "canvas/up" && at.Weekday() == time.Thursday && at.Day() <= 7 && at.Hour() < 2:
			return health.Maintenance
		case check == "beta/app" && days > 61:
			return health.Unknown
		case check == "beta/app" && days == 20 && at.Hour() < 8:
			return health.Unknown
		}
		return health.Healthy
	})
	w.found[secretCheck], w.found["production/app"], w.found["production/cache"] = health.Unhealthy, health.Healthy, health.Degraded
	w.found["beta/app"], w.found[secretOther] = health.Unknown, health.Unhealthy
	require.NoError(t, w.monitor.SetMaintenance("canvas/up", health.Window{Name: "secret window", Start: now.Add(-time.Hour), End: now.Add(time.Hour)}))
	w.check(t)
	at := func(hours float64) time.Time { return now.Add(time.Duration(hours * float64(time.Hour))) }
	w.events = statuspage.Events{
		Incidents: []statuspage.Incident{
			{ID: "INC-2026-0042", Title: "Results are not shown", Components: map[string]statuspage.Condition{"results": statuspage.MajorOutage, "website": statuspage.Degraded}, Updates: []statuspage.Update{
				{Time: at(-0.5), Phase: statuspage.Identified, Text: "A disk is full. We make room.\nResults that were saved are safe."},
				{Time: at(-1.75), Phase: statuspage.Investigating, Text: "Results are not shown. We look into it."},
			}},
			{ID: "INC-2026-0040", Title: "Slow search", Impact: statuspage.ImpactMinor, Components: map[string]statuspage.Condition{"search": statuspage.Degraded}, Updates: []statuspage.Update{
				{Time: at(-90), Phase: statuspage.Investigating, Text: "Search is slow."},
				{Time: at(-88), Phase: statuspage.Monitoring, Text: "It is fast again."},
				{Time: at(-80), Phase: statuspage.Resolved, Text: "It stayed fast."},
			}},
			{ID: "INC-2026-0031", Title: "No sign-in for staff", Impact: statuspage.ImpactCritical, Updates: []statuspage.Update{
				{Time: at(-1128), Phase: statuspage.Investigating, Text: "Nobody can sign in."},
				{Time: at(-1125), Phase: statuspage.Resolved, Text: "Everybody can."},
			}},
		},
		Maintenance: []statuspage.Maintenance{
			{ID: "MNT-7", Title: "Canvas is upgraded", From: at(-1), Until: at(1), Components: []string{"canvas"}},
			{ID: "MNT-8", Title: "New database server", From: at(56), Until: at(58.5), Components: []string{"results", "website"}, Updates: []statuspage.Update{
				{Time: at(-100), Phase: statuspage.Scheduled, Text: "Results can be read, and not saved, for up to two and a half hours."},
			}},
			{ID: "MNT-6", Title: "Certificates", From: at(-60), Until: at(-59)},
		},
	}
	return w
}

// healthy is a world in which everything works, and did.
func healthy(t testing.TB) *world {
	t.Helper()
	until(t, "2026-11-12 14:00")
	w := newWorld(t)
	w.remember(t, well)
	w.check(t)
	return w
}

// indented returns JSON with a line for each field.
func indented(t testing.TB, document string) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, json.Indent(&b, []byte(document), "", "  "))
	return b.String() + "\n"
}

// A spyHistory notes for how long it is asked, and can fail.
type spyHistory struct {
	health.History
	fails atomic.Bool
	mu    sync.Mutex
	spans []time.Duration
}

func (h *spyHistory) Buckets(ctx context.Context, check string, r health.Resolution, from, to time.Time) ([]health.Bucket, error) {
	h.mu.Lock()
	h.spans = append(h.spans, to.Sub(from).Round(24*time.Hour))
	h.mu.Unlock()
	if h.fails.Load() {
		return nil, errors.New("no such table")
	}
	return h.History.Buckets(ctx, check, r, from, to)
}

func (h *spyHistory) take() []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.spans
	h.spans = nil
	return all
}
