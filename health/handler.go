package health

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// NewProbeHandler returns a handler for the probes of an orchestrator. By the
// last element of the path it answers
//
//	/livez     for the checks of the group Liveness
//	/readyz    for Readiness
//	/startupz  for Startup
//
// with 200 and "ok" while the group works (see [Status.OK]), and with 503 and
// the status otherwise. With ?verbose it lists the checks and their states, and
// with ?exclude=NAME, any number of times, it leaves checks out. It never shows
// why a check fails.
//
// The answer comes from the latest results: a request probes nothing and waits
// for nothing.
func NewProbeHandler(m *Monitor) http.Handler {
	h := &probeHandler{m: m}
	for s := range Status(statuses) {
		h.bodies[s] = []byte(s.String() + "\n")
		if s.OK() {
			h.bodies[s] = []byte("ok\n")
		}
	}
	return h
}

type probeHandler struct {
	m      *Monitor
	bodies [statuses][]byte
}

// setHeader sets the fields that all answers have. The values are made for each
// answer, since whatever comes after may change them.
func setHeader(w http.ResponseWriter, contentType, etag string) {
	values := [...]string{contentType, "no-cache", "nosniff", etag}
	header := w.Header()
	header["Content-Type"] = values[0:1:1]
	header["Cache-Control"] = values[1:2:2]
	header["X-Content-Type-Options"] = values[2:3:3]
	if etag != "" {
		header["Etag"] = values[3:4:4]
	}
}

// readOnly answers requests with other methods than GET and HEAD.
func readOnly(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return false
}

// code returns the status code for a state: 503 while it does not work.
func code(s Status) int {
	if s.OK() {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

func (h *probeHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !readOnly(w, r) {
		return
	}
	var group Group
	switch path.Base(r.URL.Path) {
	case "livez":
		group = Liveness
	case "readyz":
		group = Readiness
	case "startupz":
		group = Startup
	default:
		http.NotFound(w, r)
		return
	}
	status := h.m.GroupStatus(group)
	body := h.bodies[status]
	if r.URL.RawQuery != "" {
		if q := r.URL.Query(); q.Has("verbose") || q.Has("exclude") {
			status, body = h.list(group, status, q["exclude"], q.Has("verbose"))
		}
	}
	setHeader(w, "text/plain; charset=utf-8", "")
	w.WriteHeader(code(status))
	_, _ = w.Write(body)
}

// list returns the status of a group without some checks, and a body that lists
// it if wanted.
func (h *probeHandler) list(group Group, status Status, exclude []string, verbose bool) (Status, []byte) {
	var body bytes.Buffer
	var counted tally
	unknown := slices.Clone(exclude)
	for _, s := range h.m.Snapshot().Checks {
		if s.Groups&group == 0 {
			continue
		}
		if slices.Contains(exclude, s.Name) {
			unknown = slices.DeleteFunc(unknown, func(name string) bool { return name == s.Name })
			fmt.Fprintf(&body, "[ ] %s excluded\n", s.Name)
			continue
		}
		mark, optional := "+", 0
		if !s.Status.OK() {
			mark = "-"
		}
		if s.Optional {
			optional = 1
		}
		counted[optional][s.Status]++
		fmt.Fprintf(&body, "[%s] %s %v\n", mark, s.Name, s.Status)
	}
	for _, name := range unknown {
		fmt.Fprintf(&body, "[?] %s excluded, but there is no such check\n", printable(name))
	}
	if started := group == Startup && status == Healthy; !started {
		status = counted.overall() // of the same states as are listed
		if group == Startup {
			status = startupStatus(status)
		}
	}
	if !verbose {
		body.Reset()
	}
	body.Write(h.bodies[status])
	return status, body.Bytes()
}

// printable keeps a caller's text from drawing anything in a plain-text answer.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '?'
	}, s[:min(len(s), 100)])
}

// Info is what the JSON views say about the service itself, in the terms of the
// Internet-Draft draft-inadarei-api-health-check-06. Empty fields are left out.
type Info struct {
	// ServiceID identifies the service; Description says what it is for.
	ServiceID, Description string
	// Version is the public version, ReleaseID the exact one.
	Version, ReleaseID string
	// Notes are shown as they are.
	Notes []string
	// Links lead to more: {"about": "https://..."}.
	Links map[string]string
}

// NewPublicHandler returns a handler that answers with application/health+json:
// the status of the service, and the names and states of its checks, and nothing
// else: not why a check fails, what was measured, or when.
func NewPublicHandler(m *Monitor, info Info) http.Handler {
	return &jsonHandler{m: m, info: info, checks: publicChecks}
}

// NewDetailHandler returns a handler that answers with application/health+json
// and shows everything: causes, messages, measurements and times. Messages name
// hosts and what they answered: put it behind authentication.
func NewDetailHandler(m *Monitor, info Info) http.Handler {
	return &jsonHandler{m: m, info: info, checks: detailedChecks}
}

// A jsonHandler serves a body that is made anew when a status changed, or when
// there are newer results and the body is older than staleAfter.
type jsonHandler struct {
	m      *Monitor
	info   Info
	checks func(*Report) map[string][]jsonCheck
	page   atomic.Pointer[page]
	making sync.Mutex // held while the page is made
}

const staleAfter = time.Second

// A page is a complete answer.
type page struct {
	report *Report
	serial uint64
	made   time.Time
	code   int
	body   []byte
	etag   string
}

func (h *jsonHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !readOnly(w, r) {
		return
	}
	p := h.current()
	setHeader(w, "application/health+json", p.etag)
	if p.code == http.StatusOK && matches(r.Header.Get("If-None-Match"), p.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.WriteHeader(p.code)
	_, _ = w.Write(p.body)
}

// matches reports whether an If-None-Match field names the tag, by the weak
// comparison of RFC 9110, section 13.1.2.
func matches(field, etag string) bool {
	if field == "" {
		return false
	}
	for tag := range strings.SplitSeq(field, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

// current returns the page to serve. One request makes it anew; those that come
// meanwhile wait if a status has changed, and else get the page as it was.
func (h *jsonHandler) current() *page {
	p := h.page.Load()
	outdated := p == nil || p.serial != h.m.serial.Load()
	if !outdated && (p.report == h.m.cached.Load() || time.Since(p.made) <= staleAfter) {
		return p
	}
	if outdated {
		h.making.Lock()
	} else if !h.making.TryLock() {
		return p
	}
	defer h.making.Unlock()
	if made := h.page.Load(); made != p && made.serial == h.m.serial.Load() {
		return made // by the request that was waited for
	}
	p = h.render()
	h.page.Store(p)
	return p
}

// jsonReport and jsonCheck have the names of the draft. State, cause, since and
// blockedBy are ours.
type jsonReport struct {
	Status      string                 `json:"status"`
	State       Status                 `json:"state"`
	Version     string                 `json:"version,omitempty"`
	ReleaseID   string                 `json:"releaseId,omitempty"`
	Notes       []string               `json:"notes,omitempty"`
	Output      string                 `json:"output,omitempty"`
	ServiceID   string                 `json:"serviceId,omitempty"`
	Description string                 `json:"description,omitempty"`
	Links       map[string]string      `json:"links,omitempty"`
	Checks      map[string][]jsonCheck `json:"checks,omitempty"`
}

type jsonCheck struct {
	ComponentID   string     `json:"componentId,omitempty"`
	ObservedValue any        `json:"observedValue,omitempty"`
	ObservedUnit  string     `json:"observedUnit,omitempty"`
	Status        string     `json:"status,omitempty"`
	State         *Status    `json:"state,omitempty"`
	Cause         Cause      `json:"cause,omitempty"`
	Output        string     `json:"output,omitempty"`
	BlockedBy     string     `json:"blockedBy,omitempty"`
	Time          *time.Time `json:"time,omitempty"`
	Since         *time.Time `json:"since,omitempty"`
}

// verdict returns the draft's word for a state.
func verdict(s Status) string {
	switch s {
	case Healthy:
		return "pass"
	case Degraded, Maintenance:
		return "warn"
	}
	return "fail"
}

func (h *jsonHandler) render() *page {
	p := &page{serial: h.m.serial.Load(), report: h.m.Snapshot(), made: time.Now()}
	status := p.report.Status
	body, err := json.Marshal(jsonReport{
		Status: verdict(status), State: status,
		Version: h.info.Version, ReleaseID: h.info.ReleaseID, Notes: h.info.Notes,
		ServiceID: h.info.ServiceID, Description: h.info.Description, Links: h.info.Links,
		Checks: h.checks(p.report),
	})
	p.code = code(status)
	if err != nil { // cannot be: everything in it can be encoded
		p.code, body = http.StatusInternalServerError, []byte(`{"status":"fail"}`)
	}
	body = append(body, '\n')
	p.body = body
	sum := fnv.New64a()
	_, _ = sum.Write(p.body)
	p.etag = fmt.Sprintf(`"%016x"`, sum.Sum64())
	return p
}

func publicChecks(r *Report) map[string][]jsonCheck {
	checks := make(map[string][]jsonCheck, len(r.Checks))
	for _, s := range r.Checks {
		checks[s.Name] = []jsonCheck{{Status: verdict(s.Status), State: &s.Status}}
	}
	return checks
}

func detailedChecks(r *Report) map[string][]jsonCheck {
	checks := make(map[string][]jsonCheck, 2*len(r.Checks))
	for _, s := range r.Checks {
		c := jsonCheck{
			ComponentID: s.Name, Status: verdict(s.Status), State: &s.Status,
			Cause: s.Last.Cause, Output: s.Last.Message, BlockedBy: s.BlockedBy,
			Time: timeOrNil(s.Last.Time), Since: timeOrNil(s.Since),
		}
		if !s.Last.Time.IsZero() {
			c.ObservedValue, c.ObservedUnit = milliseconds(s.Last.Duration), "ms"
		}
		checks[s.Name+":responseTime"] = []jsonCheck{c}
		for _, m := range s.Last.Measurements {
			c := jsonCheck{ComponentID: s.Name, ObservedValue: m.Value, ObservedUnit: string(m.Unit), Time: timeOrNil(s.Last.Time)}
			if m.Text != "" {
				c.ObservedValue = m.Text
			}
			key := s.Name + ":" + m.Name
			checks[key] = append(checks[key], c)
		}
	}
	return checks
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
