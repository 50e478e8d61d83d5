package statuspage_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/statuspage"
)

// answering is a transport that answers with a handler, in memory.
type answering struct{ http.Handler }

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Result(), nil
}

// TestAReaderOfStatuspageReadsIt: the reader that this module has for the status page
// of Instructure, an Atlassian Statuspage, reads this one and judges it right.
//
// Requirement: AL-PAGE-SUMMARY
func TestAReaderOfStatuspageReadsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader := func(w *world) *canvasprobe.StatusPage {
			r, err := canvasprobe.NewStatusPage(canvasprobe.StatusPageConfig{URL: "https://status.example.edu", HTTP: &http.Client{Transport: answering{w.public(t)}}})
			require.NoError(t, err)
			return r
		}
		w := trouble(t)
		got, err := reader(w).Read(t.Context())
		require.NoError(t, err)
		got.Time = time.Time{}
		zone := sydney(t)
		at := func(month time.Month, day, hour, minute int) time.Time {
			return time.Date(2026, month, day, hour, minute, 0, 0, zone)
		}
		want := canvasprobe.Summary{
			Description: "Critical incident in progress",
			Components: []canvasprobe.Component{
				{Name: "Website", Status: "degraded_performance"}, {Name: "Results", Status: "major_outage"}, {Name: "Search", Status: "degraded_performance"},
				{Name: "Website (beta)", Status: "degraded_performance"}, {Name: "Canvas", Status: "under_maintenance"}, {Name: "Opening from a course", Status: "operational"},
			},
			Incidents: []canvasprobe.Incident{{Name: "Results are not shown", Status: "identified", Impact: "critical", URL: "https://status.example.edu/qa/incidents/INC-2026-0042", Since: at(11, 12, 12, 15)}},
			Maintenances: []canvasprobe.Maintenance{
				{ID: "MNT-8", Name: "New database server", Status: "scheduled", URL: "https://status.example.edu/qa/incidents/MNT-8", From: at(11, 14, 22, 0), Until: at(11, 15, 0, 30)},
				{ID: "MNT-7", Name: "Canvas is upgraded", Status: "in_progress", URL: "https://status.example.edu/qa/incidents/MNT-7", From: at(11, 12, 13, 0), Until: at(11, 12, 15, 0)},
			},
		}
		assert.Empty(t, cmp.Diff(want, got))
		found := reader(w).Probe(t.Context())
		assert.Equal(t, health.Unhealthy, found.Status, found.Message)

		quietly := newWorld(t)
		quietly.check(t)
		found = reader(quietly).Probe(t.Context())
		assert.Equal(t, health.Healthy, found.Status, found.Message)
	})
}

// TestTheFieldsOfStatuspage: every field that its documentation names is there, with
// its type, in every document of the API.
//
// Requirement: AL-PAGE-SUMMARY
func TestTheFieldsOfStatuspage(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("testdata", "statuspage.json"))
	require.NoError(t, err)
	fields := read[map[string]map[string]string](t, string(raw))
	synctest.Test(t, func(t *testing.T) {
		w := trouble(t)
		p := w.public(t)
		seen := map[string]int{}
		var check func(where, kind string, v any)
		check = func(where, kind string, v any) {
			if list, ok := v.([]any); ok {
				for _, item := range list {
					check(where, kind, item)
				}
				return
			}
			object, ok := v.(map[string]any)
			require.True(t, ok, "%s: %v", where, v)
			seen[kind]++
			for name, typ := range fields[kind] {
				value, there := object[name]
				assert.True(t, there, "%s: %s of %s", where, name, kind)
				assert.True(t, isOf(typ, value), "%s: %s of %s is %v and not a %s", where, name, kind, value, typ)
			}
			for _, inner := range []string{"components", "incident_updates"} {
				if list, ok := object[inner].([]any); ok && !(kind == "components") {
					check(where, inner, list)
				}
			}
		}
		for path, names := range map[string]string{
			"status.json": "page status", "components.json": "page components", "incidents.json": "page incidents", "incidents/unresolved.json": "page incidents",
			"scheduled-maintenances.json": "page scheduled_maintenances", "scheduled-maintenances/upcoming.json": "page scheduled_maintenances",
			"scheduled-maintenances/active.json": "page scheduled_maintenances", "summary.json": "page status components incidents scheduled_maintenances",
		} {
			answer := get(p, "/api/v2/"+path)
			assert.Equal(t, "application/json; charset=utf-8", answer.Header().Get("Content-Type"))
			assert.Equal(t, "*", answer.Header().Get("Access-Control-Allow-Origin"), "pages elsewhere may read it")
			assert.Equal(t, answer.Body.String(), text(t, p, "/"+path))
			document := read[map[string]any](t, answer.Body.String())
			assert.Len(t, document, len(strings.Fields(names)), path)
			for _, name := range strings.Fields(names) {
				check(path, name, document[name])
			}
		}
		for kind := range fields {
			assert.Positive(t, seen[kind], kind)
		}
		// A page without anything has lists without anything, and not null.
		calm := newWorld(t)
		calm.check(t)
		summary := text(t, calm.public(t), "/summary.json")
		assert.Contains(t, summary, `"incidents":[]`)
		assert.Contains(t, summary, `"scheduled_maintenances":[]`)
	})
}

// isOf reports whether a value of JSON is of a type; a ? allows null.
func isOf(typ string, value any) bool {
	if value == nil {
		return strings.HasSuffix(typ, "?")
	}
	switch strings.TrimSuffix(typ, "?") {
	case "string":
		_, ok := value.(string)
		return ok
	case "time":
		s, ok := value.(string)
		_, err := time.Parse(time.RFC3339, s)
		return ok && err == nil
	case "number":
		_, ok := value.(float64)
		return ok
	case "bool":
		_, ok := value.(bool)
		return ok
	default:
		_, ok := value.([]any)
		return ok
	}
}

// TestHealthJSON: the words and codes are those of the draft.
//
// Requirement: HL-JSON-STATUS, HL-JSON-CODES
func TestHealthJSON(t *testing.T) {
	t.Parallel()
	for state, want := range map[health.Status]struct {
		code   int
		status string
	}{
		health.Healthy: {200, "pass"}, health.Degraded: {200, "warn"}, health.Maintenance: {200, "warn"}, health.Unhealthy: {503, "fail"}, health.Unknown: {503, "fail"},
	} {
		t.Run(state.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t).only("lti")
				w.found["canvas/lti"] = state
				w.check(t)
				answer := get(w.public(t), "/health+json", "If-None-Match", "*")
				if want.code == 200 {
					assert.Equal(t, 304, answer.Code)
					answer = get(w.public(t), "/health+json")
				}
				assert.Equal(t, want.code, answer.Code)
				assert.Equal(t, "application/health+json", answer.Header().Get("Content-Type"))
				got := read[struct {
					Status string
					Checks map[string][]map[string]string
				}](t, answer.Body.String())
				assert.Equal(t, want.status, got.Status)
				assert.Equal(t, want.status, got.Checks["lti"][0]["status"])
			})
		})
	}
}

// TestTheFeed has what RFC 4287 demands, and entries whose identity stays.
func TestTheFeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type feed struct {
			XMLName xml.Name `xml:"http://www.w3.org/2005/Atom feed"`
			ID      string   `xml:"id"`
			Title   string   `xml:"title"`
			Updated string   `xml:"updated"`
			Author  string   `xml:"author>name"`
			Entries []struct {
				ID        string `xml:"id"`
				Title     string `xml:"title"`
				Updated   string `xml:"updated"`
				Published string `xml:"published"`
				Content   struct {
					Type string `xml:"type,attr"`
					Text string `xml:",chardata"`
				} `xml:"content"`
			} `xml:"entry"`
		}
		parse := func(p *statuspage.Page) feed {
			answer := get(p, "/feed.atom")
			assert.Equal(t, "application/atom+xml; charset=utf-8", answer.Header().Get("Content-Type"))
			var f feed
			require.NoError(t, xml.Unmarshal(answer.Body.Bytes(), &f))
			_, err := time.Parse(time.RFC3339, f.Updated)
			require.NoError(t, err)
			assert.NotEmpty(t, f.ID)
			assert.NotEmpty(t, f.Title)
			assert.NotEmpty(t, f.Author)
			return f
		}
		w := trouble(t)
		p := w.public(t)
		before := parse(p)
		require.Len(t, before.Entries, 6)
		assert.Equal(t, "2026-11-12T13:30:00+11:00", before.Updated, "when the latest was said")
		ids := map[string]string{}
		for _, e := range before.Entries {
			assert.True(t, strings.HasPrefix(e.ID, "https://status.example.edu/qa/incidents/"))
			assert.Empty(t, ids[e.ID])
			ids[e.ID] = e.Updated
			assert.Equal(t, "html", e.Content.Type)
			assert.NotEmpty(t, e.Title)
		}
		w.events.Incidents[0].Updates = append(w.events.Incidents[0].Updates, statuspage.Update{Time: time.Now().Add(time.Minute), Phase: statuspage.Resolved, Text: "<b>Done</b>\nAll of it."})
		time.Sleep(10 * time.Minute)
		changed := 0
		for _, e := range parse(p).Entries {
			if ids[e.ID] != e.Updated {
				changed++
				assert.Contains(t, e.Content.Text, "<br>&lt;b&gt;Done&lt;/b&gt;<br>All of it.")
			}
			require.NotEmpty(t, ids[e.ID], "the identity of an entry stays")
		}
		assert.Equal(t, 1, changed)
		empty := newWorld(t)
		assert.Empty(t, parse(empty.public(t)).Entries)
	})
}

// TestBadges are pictures that say in words what they show.
func TestBadges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := trouble(t)
		w.config.Components[0].Name = strings.Repeat("Ein sehr langer Name ", 9)
		w.config.Components[0].ID = "website"
		w.config.Components[1].Name, w.config.Components[1].ID = "結果", "results"
		p := w.public(t)
		for path, want := range map[string]string{
			"/badge.svg": "QA automation: Critical incident in progress", "/badge/results.svg": "結果: Outage", "/badge/lti.svg": "Opening from a course: Operational",
			"/badge/canvas.svg": "Canvas: Maintenance", "/badge/beta.svg": "Website (beta): Not known", "/badge/website.svg": "Ein sehr langer Name Ein sehr langer Name Ein sehr langer N…: Degraded",
		} {
			answer := get(p, path)
			assert.Equal(t, "image/svg+xml; charset=utf-8", answer.Header().Get("Content-Type"))
			all := elements(t, answer.Body.String())
			assert.Equal(t, want, all[0].attrs["aria-label"])
			assert.Equal(t, "img", all[0].attrs["role"])
			assert.Equal(t, want, all[1].text, "its title")
			var width int
			_, err := fmt.Sscan(all[0].attrs["width"], &width)
			require.NoError(t, err)
			assert.Less(t, width, 600)
			for _, e := range all {
				assert.NotContains(t, e.attrs, "style")
			}
		}
	})
}
