package canvasprobe

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// InstructureStatus is the status page of Canvas's makers.
const InstructureStatus = "https://status.instructure.com"

// StatusPageConfig says which status page is read.
type StatusPageConfig struct {
	// URL is the address of a status page of Atlassian Statuspage, scheme and host
	// only. Empty means [InstructureStatus].
	URL string
	// Components are the names of the components that matter: "Canvas". Incidents
	// and maintenances of others alone are left out. None means all.
	Components []string
	// HTTP gives the transport. Nil means one of our own, without a proxy.
	HTTP *http.Client
	// UserAgent names the host program. Empty means that of package canvas.
	UserAgent string
	// OnChange is called when the page says something else than when it was last read, and
	// with what it says first: so the announcements of Canvas are subscribed to by probing on
	// a schedule. It is called before the probe or Read returns, and by several at once if
	// they are. One who follows the page without it asks Latest. Optional.
	OnChange func(ctx context.Context, s Summary)
}

// A StatusPage reads what the makers of Canvas say of it. It is a health.Prober
// and is safe for concurrent use. Share one between all instances.
type StatusPage struct {
	cfg    StatusPageConfig
	url    *url.URL
	client *http.Client
	own    *http.Transport

	mu   sync.Mutex
	last Summary
}

var _ health.Prober = (*StatusPage)(nil)

// Summary is what a status page says: the state of the components that matter,
// and what is wrong or planned with them.
type Summary struct {
	// Time is when it was read.
	Time time.Time
	// Description is the page's own word for the whole: "All Systems Operational".
	Description string
	// Components are those that matter.
	Components []Component
	// Incidents are those that are not resolved.
	Incidents []Incident
	// Maintenances are those that are not completed.
	Maintenances []Maintenance
}

// Component is a part of the service.
type Component struct {
	// Name is what it is called.
	Name string
	// Status is "operational", "degraded_performance", "partial_outage",
	// "major_outage" or "under_maintenance".
	Status string
}

// Incident is something that is wrong, as the makers say.
type Incident struct {
	// Name is its title, Status "investigating", "identified" or "monitoring",
	// Impact "none", "minor", "major" or "critical", and URL its page.
	Name, Status, Impact, URL string
	// Since is when it was made public.
	Since time.Time
}

// Maintenance is a maintenance that was announced.
type Maintenance struct {
	// ID is the page's own word for it, which stays when all else is changed: "0d7y2kq1v5zs".
	ID string
	// Name is its title, Status "scheduled", "in_progress" or "verifying", and URL
	// its page.
	Name, Status, URL string
	// From and Until are when it was planned for.
	From, Until time.Time
}

// Windows returns the times for which maintenances were announced, for
// [health.Monitor.SetMaintenance] and the windows of package alert. A maintenance whose
// times make no window, such as one without an end, has none.
func (s Summary) Windows() []health.Window {
	var list []health.Window
	for _, m := range s.Maintenances {
		w := health.Window{Name: m.Name, Start: m.From, End: m.Until}
		if !m.From.IsZero() && !m.Until.IsZero() && w.Validate() == nil {
			list = append(list, w)
		}
	}
	return list
}

// same reports whether two summaries say the same, whenever they were read.
func (s Summary) same(other Summary) bool {
	return s.Description == other.Description && slices.Equal(s.Components, other.Components) &&
		slices.EqualFunc(s.Incidents, other.Incidents, func(a, b Incident) bool {
			since := a.Since.Equal(b.Since)
			a.Since = b.Since
			return since && a == b
		}) &&
		slices.EqualFunc(s.Maintenances, other.Maintenances, func(a, b Maintenance) bool {
			times := a.From.Equal(b.From) && a.Until.Equal(b.Until)
			a.From, a.Until = b.From, b.Until
			return times && a == b
		})
}

// Active reports whether the maintenance is under way.
func (m Maintenance) Active() bool { return m.Status == "in_progress" || m.Status == "verifying" }

// NewStatusPage returns a StatusPage, or everything that is wrong with cfg.
func NewStatusPage(cfg StatusPageConfig) (*StatusPage, error) {
	p := netcheck.Problems{Package: "canvasprobe"}
	cfg.Components = slices.Clone(cfg.Components)
	cfg.UserAgent = cmp.Or(cfg.UserAgent, canvas.DefaultUserAgent)
	u := httpcheck.ParseURL(&p, cmp.Or(cfg.URL, InstructureStatus), "https", "http")
	if u != nil && (u.Path != "" && u.Path != "/" || u.RawQuery != "") {
		p.Add("the URL of a status page must have no path and no query")
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	s := &StatusPage{cfg: cfg, url: &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/api/v2/summary.json"}}
	s.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if cfg.HTTP != nil && cfg.HTTP.Transport != nil {
		s.client.Transport = cfg.HTTP.Transport
	} else {
		s.own = httpcheck.NewTransport()
		s.client.Transport = s.own
	}
	return s, nil
}

// errNotSummary means that the answer is not what a status page sends.
var errNotSummary = errors.New("is not the summary of a status page")

// Read asks the page once.
func (s *StatusPage) Read(ctx context.Context) (Summary, error) {
	line := netcheck.NewTimeline(s.url.Hostname())
	sum, _, err := s.read(ctx, line)
	if err != nil {
		return Summary{}, fmt.Errorf("canvasprobe: read the status page %s: %w", s.url.Host, hideURL(err))
	}
	return sum, nil
}

// Latest returns what the page said not longer ago than age, and asks it if that is not
// known: so several who follow the page do not ask it more often than one.
func (s *StatusPage) Latest(ctx context.Context, age time.Duration) (Summary, error) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if !last.Time.IsZero() && time.Since(last.Time) <= age {
		return last, nil
	}
	return s.Read(ctx)
}

// String names the host of the page.
func (s *StatusPage) String() string { return s.url.Host }

func hideURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// read returns what the page says. The status is that of its answer, and 0 if
// there is none.
func (s *StatusPage) read(ctx context.Context, line *netcheck.Timeline) (sum Summary, status int, err error) {
	req, err := http.NewRequestWithContext(traced(ctx, line), http.MethodGet, s.url.String(), nil)
	if err != nil {
		return Summary{}, 0, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", s.cfg.UserAgent)
	resp, err := s.client.Do(req)
	if err != nil {
		if s.own != nil {
			s.own.CloseIdleConnections()
		}
		return Summary{}, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Summary{}, resp.StatusCode, fmt.Errorf("answered %s", httpcheck.Status(resp.StatusCode))
	}
	line.Enter(netcheck.Body)
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return Summary{}, 0, err
	}
	line.Finish()
	sum, err = parseSummary(body, s.cfg.Components)
	if err != nil {
		return Summary{}, resp.StatusCode, err
	}
	sum.Time = time.Now()
	s.keep(ctx, sum)
	return sum, resp.StatusCode, nil
}

// keep keeps what the page says, and tells of it if it is something else than before.
func (s *StatusPage) keep(ctx context.Context, sum Summary) {
	s.mu.Lock()
	before := s.last
	s.last = sum
	s.mu.Unlock()
	if s.cfg.OnChange != nil && (before.Time.IsZero() || !before.same(sum)) {
		s.cfg.OnChange(ctx, sum)
	}
}

// parseSummary reads /api/v2/summary.json (Atlassian Statuspage, status API v2).
func parseSummary(body []byte, matter []string) (Summary, error) {
	type component struct {
		Name   string `json:"name"`
		Status string `json:"status"`
		Group  bool   `json:"group"`
	}
	type event struct {
		ID         string      `json:"id"`
		Name       string      `json:"name"`
		Status     string      `json:"status"`
		Impact     string      `json:"impact"`
		Shortlink  string      `json:"shortlink"`
		CreatedAt  time.Time   `json:"created_at"`
		For        time.Time   `json:"scheduled_for"`
		Until      time.Time   `json:"scheduled_until"`
		Components []component `json:"components"`
	}
	var in struct {
		Status *struct {
			Description string `json:"description"`
		} `json:"status"`
		Components   []component `json:"components"`
		Incidents    []event     `json:"incidents"`
		Maintenances []event     `json:"scheduled_maintenances"`
	}
	if err := json.Unmarshal(body, &in); err != nil || in.Status == nil {
		return Summary{}, errNotSummary
	}
	clean := netcheck.Clean
	named := func(c component) bool { return len(matter) == 0 || slices.Contains(matter, c.Name) }
	// What names no component is about everything.
	concerns := func(e event) bool { return len(e.Components) == 0 || slices.ContainsFunc(e.Components, named) }
	out := Summary{Description: clean(in.Status.Description)}
	for _, c := range in.Components {
		if named(c) && !c.Group {
			out.Components = append(out.Components, Component{clean(c.Name), clean(c.Status)})
		}
	}
	for _, e := range in.Incidents {
		if concerns(e) && e.Status != "resolved" && e.Status != "postmortem" {
			out.Incidents = append(out.Incidents, Incident{Name: clean(e.Name), Status: clean(e.Status), Impact: clean(e.Impact), URL: clean(e.Shortlink), Since: e.CreatedAt})
		}
	}
	for _, e := range in.Maintenances {
		if concerns(e) && e.Status != "completed" {
			out.Maintenances = append(out.Maintenances, Maintenance{ID: clean(e.ID), Name: clean(e.Name), Status: clean(e.Status), URL: clean(e.Shortlink), From: e.For, Until: e.Until})
		}
	}
	return out, nil
}

// Probe reads the page and says what it says. Outages of a component and
// incidents of impact major or critical are Unhealthy, lesser ones Degraded, and
// a maintenance that is under way is Maintenance. A maintenance that is planned
// is the measurement next_maintenance. A page that cannot be read is Unknown: it
// says nothing about Canvas.
func (s *StatusPage) Probe(ctx context.Context) health.Result {
	line := netcheck.NewTimeline(s.url.Hostname())
	sum, status, err := s.read(ctx, line)
	r := health.Result{Status: health.Healthy}
	switch {
	case errors.Is(err, errNotSummary):
		r = health.Result{Status: health.Unknown, Cause: health.CauseNotJSON, Message: "the answer " + err.Error()}
	case err != nil && status != 0:
		r = health.Result{Status: health.Unknown, Cause: health.CauseStatus, Message: err.Error()}
	case err != nil:
		r = httpcheck.Explain(ctx, line, err).Result()
		r.Status = health.Unknown
	default:
		r = sum.judge(s.cfg.Components)
	}
	r.Time, r.Duration = line.Started(), line.Elapsed()
	if r.Message != "" {
		r.Message = s.url.Host + ": " + r.Message
	}
	return r
}

func (s Summary) judge(matter []string) health.Result {
	r := health.Result{Status: health.Healthy}
	for _, c := range s.Components {
		text := c.Name + " has " + strings.ReplaceAll(c.Status, "_", " ")
		switch c.Status {
		case "operational":
		case "under_maintenance":
			r = r.Worsen(health.Maintenance, health.CauseMaintenance, c.Name+" is under maintenance")
		case "major_outage", "partial_outage":
			r = r.Worsen(health.Unhealthy, health.CauseStatus, text)
		default:
			r = r.Worsen(health.Degraded, health.CauseStatus, text)
		}
	}
	for _, e := range s.Incidents {
		status := health.Degraded
		if e.Impact == "major" || e.Impact == "critical" {
			status = health.Unhealthy
		}
		if e.Impact != "none" {
			r = r.Worsen(status, health.CauseStatus, fmt.Sprintf("incident %q is %s, impact %s (%s)", e.Name, e.Status, e.Impact, e.URL))
		}
	}
	var next Maintenance
	for _, m := range s.Maintenances {
		switch {
		case m.Active():
			r = r.Worsen(health.Maintenance, health.CauseMaintenance, fmt.Sprintf("maintenance %q is under way until %s", m.Name, stamp(m.Until)))
		case next.From.IsZero() || m.From.Before(next.From):
			next = m
		}
	}
	if !next.From.IsZero() {
		r = netcheck.With(r, health.Measurement{Name: "next_maintenance", Text: stamp(next.From) + " to " + stamp(next.Until) + ": " + next.Name})
	}
	for _, name := range matter {
		if !slices.ContainsFunc(s.Components, func(c Component) bool { return c.Name == name }) {
			r = r.Worsen(health.Unknown, health.CauseMissing, fmt.Sprintf("there is no component %q", name))
		}
	}
	return netcheck.With(r, health.Measurement{Name: "incidents", Value: float64(len(s.Incidents))})
}

// fresh is how long what the page said counts.
const fresh = 15 * time.Minute

// underMaintenance returns the maintenance that the page said not long ago to be
// under way.
func (s *StatusPage) underMaintenance(now time.Time) (Maintenance, bool) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last.Time.IsZero() || now.Sub(last.Time) > fresh {
		return Maintenance{}, false
	}
	for _, m := range last.Maintenances {
		if m.Active() {
			return m, true
		}
	}
	for _, c := range last.Components {
		if c.Status == "under_maintenance" {
			return Maintenance{Name: c.Name, Status: "in_progress"}, true
		}
	}
	return Maintenance{}, false
}
