package statuspage_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/statuspage"
)

// status is what /status.json says.
type status struct {
	Status struct{ Indicator, Description string } `json:"status"`
}

func read[T any](t testing.TB, document string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(document), &v))
	return v
}

// TestTheWhole: the whole is as bad as its worst component or incident, and
// maintenance never hides an outage.
//
// Requirement: AL-PAGE-MAINTENANCE
func TestTheWhole(t *testing.T) {
	t.Parallel()
	const (
		up, slow, down, maintained, unknown = health.Healthy, health.Degraded, health.Unhealthy, health.Maintenance, health.Unknown
	)
	open := func(impact statuspage.Impact, components map[string]statuspage.Condition, phases ...statuspage.Phase) statuspage.Events {
		i := statuspage.Incident{ID: "i", Title: "I", Impact: impact, Components: components}
		for n, phase := range phases {
			i.Updates = append(i.Updates, statuspage.Update{Time: time.Date(2026, 11, 12, 3, n, 0, 0, time.UTC), Phase: phase})
		}
		return statuspage.Events{Incidents: []statuspage.Incident{i}}
	}
	planned := func(from, until time.Duration, components []string, phases ...statuspage.Phase) statuspage.Events {
		at := time.Date(2026, 11, 12, 3, 0, 0, 0, time.UTC) // 14:00 in Sydney
		m := statuspage.Maintenance{ID: "m", Title: "M", From: at.Add(from), Until: at.Add(until), Components: components}
		for n, phase := range phases {
			m.Updates = append(m.Updates, statuspage.Update{Time: at.Add(time.Duration(n) * time.Minute), Phase: phase})
		}
		return statuspage.Events{Maintenance: []statuspage.Maintenance{m}}
	}
	for name, test := range map[string]struct {
		states           [3]health.Status // a and b are required, c is optional
		events           statuspage.Events
		indicator, words string
		conditions       string
	}{
		"all works":                        {[3]health.Status{up, up, up}, statuspage.Events{}, "none", "All systems operational", "operational operational operational"},
		"one is slow":                      {[3]health.Status{up, slow, up}, statuspage.Events{}, "minor", "Degraded service", "operational degraded_performance operational"},
		"one is down":                      {[3]health.Status{up, down, up}, statuspage.Events{}, "major", "Partial outage", "operational major_outage operational"},
		"all that is required is down":     {[3]health.Status{down, down, up}, statuspage.Events{}, "critical", "Major outage", "major_outage major_outage operational"},
		"what is optional is down":         {[3]health.Status{up, up, down}, statuspage.Events{}, "minor", "Degraded service", "operational operational major_outage"},
		"one is not known":                 {[3]health.Status{up, unknown, up}, statuspage.Events{}, "minor", "State not known", "operational unknown operational"},
		"one is in maintenance":            {[3]health.Status{up, maintained, up}, statuspage.Events{}, "maintenance", "Maintenance in progress", "operational under_maintenance operational"},
		"maintenance and an outage":        {[3]health.Status{maintained, down, up}, statuspage.Events{}, "major", "Partial outage", "under_maintenance major_outage operational"},
		"maintenance and a slow one":       {[3]health.Status{maintained, slow, up}, statuspage.Events{}, "minor", "Degraded service", "under_maintenance degraded_performance operational"},
		"unknown and an outage":            {[3]health.Status{unknown, down, up}, statuspage.Events{}, "major", "Partial outage", "unknown major_outage operational"},
		"announced maintenance, an outage": {[3]health.Status{up, down, up}, planned(-time.Hour, time.Hour, []string{"a"}), "major", "Partial outage", "under_maintenance major_outage operational"},
		"announced maintenance of it":      {[3]health.Status{up, down, up}, planned(-time.Hour, time.Hour, []string{"b"}), "maintenance", "Maintenance in progress", "operational under_maintenance operational"},
		"maintenance later":                {[3]health.Status{up, up, up}, planned(time.Hour, 2*time.Hour, []string{"a"}), "none", "All systems operational", "operational operational operational"},
		"maintenance is over":              {[3]health.Status{up, up, up}, planned(-2*time.Hour, -time.Hour, []string{"a"}), "none", "All systems operational", "operational operational operational"},
		"maintenance takes longer":         {[3]health.Status{up, up, up}, planned(-2*time.Hour, -time.Hour, []string{"a"}, statuspage.InProgress), "maintenance", "Maintenance in progress", "under_maintenance operational operational"},
		"maintenance ended early":          {[3]health.Status{up, up, up}, planned(-time.Hour, time.Hour, []string{"a"}, statuspage.InProgress, statuspage.Completed), "none", "All systems operational", "operational operational operational"},
		"people see what checks do not":    {[3]health.Status{up, up, up}, open("", map[string]statuspage.Condition{"a": statuspage.PartialOutage}, statuspage.Investigating), "major", "Partial outage", "partial_outage operational operational"},
		"an incident of no component":      {[3]health.Status{up, up, up}, open(statuspage.ImpactCritical, nil, statuspage.Identified), "critical", "Critical incident in progress", "operational operational operational"},
		"an incident that nobody notices":  {[3]health.Status{up, up, up}, open(statuspage.ImpactNone, nil, statuspage.Monitoring), "none", "All systems operational", "operational operational operational"},
		"an incident without more":         {[3]health.Status{up, up, up}, open("", nil, statuspage.Investigating), "minor", "Minor incident in progress", "operational operational operational"},
		"an incident is over":              {[3]health.Status{up, up, up}, open(statuspage.ImpactCritical, map[string]statuspage.Condition{"a": statuspage.MajorOutage}, statuspage.Investigating, statuspage.Resolved), "none", "All systems operational", "operational operational operational"},
		"an incident with a report":        {[3]health.Status{up, up, up}, open(statuspage.ImpactMajor, nil, statuspage.Investigating, statuspage.Resolved, statuspage.Postmortem), "none", "All systems operational", "operational operational operational"},
		"an incident begins again":         {[3]health.Status{up, up, up}, open(statuspage.ImpactMajor, nil, statuspage.Resolved, statuspage.Investigating), "major", "Major incident in progress", "operational operational operational"},
		"an incident says it works":        {[3]health.Status{up, down, up}, open("", map[string]statuspage.Condition{"b": statuspage.Operational}, statuspage.Monitoring), "major", "Partial outage", "operational major_outage operational"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				until(t, "2026-11-12 14:00")
				cfg := statuspage.Config{URL: "https://example.edu", Title: "T", Logger: quiet, Events: func(context.Context) (statuspage.Events, error) { return test.events, nil }}
				var checks []health.Check
				for i, id := range []string{"a", "b", "c"} {
					checks = append(checks, health.Check{Name: id, Optional: id == "c", Prober: health.ProberFunc(func(context.Context) health.Result { return health.Result{Status: test.states[i]} })})
					cfg.Components = append(cfg.Components, statuspage.Component{Name: strings.ToUpper(id), Checks: []string{id}})
				}
				var err error
				cfg.Monitor, err = health.New(health.Config{Checks: checks, Logger: quiet})
				require.NoError(t, err)
				_, err = cfg.Monitor.Check(t.Context())
				require.NoError(t, err)
				p, err := statuspage.NewPublic(cfg)
				require.NoError(t, err)
				got := read[status](t, text(t, p, "/status.json")).Status
				assert.Equal(t, test.indicator, got.Indicator)
				assert.Equal(t, test.words, got.Description)
				all := read[struct{ Components []struct{ State string } }](t, text(t, p, "/components.json"))
				var states []string
				for _, c := range all.Components {
					states = append(states, c.State)
				}
				assert.Equal(t, test.conditions, strings.Join(states, " "))
				assert.Contains(t, text(t, p, "/"), "</span>"+test.words+"</span></h2>", "in words at the top of the page")
			})
		})
	}
}

// TestSeveralChecks: a component of several is down while all its checks are.
func TestSeveralChecks(t *testing.T) {
	t.Parallel()
	const up, slow, down, maintained, unknown = health.Healthy, health.Degraded, health.Unhealthy, health.Maintenance, health.Unknown
	for name, test := range map[string]struct {
		states []health.Status
		want   statuspage.Condition
	}{
		"all up":                     {[]health.Status{up, up}, statuspage.Operational},
		"some down":                  {[]health.Status{up, down}, statuspage.PartialOutage},
		"all down":                   {[]health.Status{down, down}, statuspage.MajorOutage},
		"down and unknown":           {[]health.Status{down, unknown}, statuspage.PartialOutage},
		"unknown and slow":           {[]health.Status{unknown, slow}, statuspage.Unknown},
		"slow and maintained":        {[]health.Status{slow, maintained}, statuspage.Degraded},
		"maintained and up":          {[]health.Status{maintained, up}, statuspage.UnderMaintenance},
		"one that there is not, one": {[]health.Status{up, 99}, statuspage.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				component := statuspage.Component{Name: "C"}
				var checks []health.Check
				for i, s := range test.states {
					id := string(rune('a' + i))
					component.Checks = append(component.Checks, id)
					if s <= health.Maintenance {
						checks = append(checks, health.Check{Name: id, Prober: health.ProberFunc(func(context.Context) health.Result { return health.Result{Status: s} })})
					}
				}
				m, err := health.New(health.Config{Checks: checks, Logger: quiet})
				require.NoError(t, err)
				_, err = m.Check(t.Context())
				require.NoError(t, err)
				p, err := statuspage.NewPublic(statuspage.Config{Monitor: m, URL: "https://example.edu", Title: "T", Logger: quiet, Components: []statuspage.Component{component}})
				require.NoError(t, err)
				all := read[struct {
					Components []struct{ State statuspage.Condition }
				}](t, text(t, p, "/components.json"))
				assert.Equal(t, test.want, all.Components[0].State)
			})
		})
	}
}

// TestTimeOfWhichNothingIsKnown is never up: not in the bars, nor in the figure, nor
// in words; and the formula is on the page.
//
// Requirement: AL-PAGE-UNKNOWN
func TestTimeOfWhichNothingIsKnown(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		state       func(at time.Time) health.Status
		story       string   // on the page
		days        []string // of the table, newest first
		never, bars string
	}{
		"nothing was ever known": {
			func(time.Time) health.Status { return health.Unknown }, "No data in 90 days", []string{"12 Nov 2026|No data|–", "11 Nov 2026|No data|–"}, "Operational|100", `class="no" d="M0 22.5h360"`,
		},
		"known since ten days": {
			func(at time.Time) health.Status {
				if at.Before(time.Date(2026, 11, 3, 0, 0, 0, 0, at.Location())) {
					return health.Unknown
				}
				return health.Healthy
			}, "100 % uptime, of 10 days with data", []string{"12 Nov 2026|Operational|100 %"}, "", `class="no" d="M0 22.5h320"`,
		},
		"half of every day": {
			func(at time.Time) health.Status {
				if at.Hour() < 12 {
					return health.Unknown
				}
				return health.Healthy
			}, "100 % uptime · data incomplete on 90 days", []string{"12 Nov 2026|Operational, data incomplete, no data 12 h|100 %"}, "", `class="in" d="M0 8.5h360"`,
		},
		"unknown beside an outage": {
			func(at time.Time) health.Status {
				switch at.Hour() {
				case 1:
					return health.Unhealthy
				case 2, 3, 4:
					return health.Unknown
				}
				return health.Healthy
			}, "uptime · outage on 90 days, last on 12 November for 1 h", []string{"12 Nov 2026|Outage 1 h, no data 3 h|90.9 %", "11 Nov 2026|Outage 1 h, no data 3 h|95.23 %"}, "100 %", `class="ou" d="M0 16h360"`,
		},
		"maintenance only": {
			func(time.Time) health.Status { return health.Maintenance }, "No uptime, for want of data", []string{"12 Nov 2026|Maintenance 14 h|–"}, "100 %", `class="ma" d="M0 19h360"`,
		},
		"maintenance beside": {
			func(at time.Time) health.Status {
				if at.Hour() == 3 {
					return health.Maintenance
				}
				return health.Healthy
			}, "100 % uptime", []string{"12 Nov 2026|Maintenance 1 h|100 %"}, "incomplete", `class="ma" d="M0 19h360"`,
		},
		"degraded counts as up": {
			func(at time.Time) health.Status {
				if at.Hour() == 3 {
					return health.Degraded
				}
				return health.Healthy
			}, "100 % uptime", []string{"12 Nov 2026|Degraded 1 h|100 %"}, "incomplete", `class="de" d="M0 8h360M0 20h360"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				until(t, "2026-11-12 14:00") // the 90 days began on 15 August, at +10
				w := newWorld(t).only("lti")
				w.remember(t, func(_ string, at time.Time) health.Status { return test.state(at.In(sydney(t))) })
				w.check(t)
				p := w.public(t)
				front := text(t, p, "/")
				var stories []string
				for _, e := range elements(t, front) {
					if e.attrs["class"] == "story" {
						stories = append(stories, plainSpaces(e.text))
					}
				}
				require.Len(t, stories, 1)
				for _, story := range stories {
					assert.Contains(t, story, test.story)
					for _, never := range strings.FieldsFunc(test.never, func(r rune) bool { return r == '|' }) {
						assert.NotContains(t, story, never)
					}
				}
				assert.Contains(t, front, test.bars)
				assert.Contains(t, front, "Uptime = time operational or degraded ÷ (time operational or degraded + time of outage)")
				assert.Contains(t, front, "Planned maintenance and time without data are in neither")
				assert.Equal(t, test.days, table(t, text(t, p, "/components/lti"), "Day")[:len(test.days)])
			})
		})
	}
}

// table returns the rows of the table whose first column has that head.
func table(t testing.TB, document, head string) []string {
	t.Helper()
	page := elements(t, document)
	var rows []string
	inside := false
	for i, e := range page {
		switch e.name {
		case "table":
			if len(rows) > 0 {
				return rows
			}
			inside = false
		case "th", "time":
			if e.attrs["scope"] == "col" && e.text == head {
				inside = true
			}
		case "tr":
			if !inside {
				continue
			}
			var cells []string
			for _, c := range page[i+1:] {
				if c.name == "tr" || c.name == "section" || c.name == "footer" {
					break
				}
				if s := strings.TrimSpace(plainSpaces(c.text)); s != "" && c.attrs["scope"] != "col" {
					cells = append(cells, s)
				}
			}
			rows = append(rows, strings.Join(cells, "|"))
		}
	}
	return rows
}

// TestDaysOnWhichClocksChange: days are those of the zone, 23 and 25 hours long, and
// full days are complete.
func TestDaysOnWhichClocksChange(t *testing.T) {
	t.Parallel()
	for name, now := range map[string]string{"spring": "2026-10-05 00:30", "autumn": "2026-04-06 00:30"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				until(t, now)
				w := newWorld(t).only("lti")
				w.remember(t, func(_ string, at time.Time) health.Status {
					if at = at.In(sydney(t)); at.Hour() == 1 && at.Day() == 3 {
						return health.Unhealthy
					}
					return health.Healthy
				})
				w.check(t)
				page := text(t, w.public(t), "/components/lti")
				assert.NotContains(t, page, "data incomplete on")
				rows := table(t, page, "Day")
				assert.Len(t, rows, 90)
				assert.Contains(t, rows[1], "Operational|100 %", "the day of the change is complete")
			})
		})
	}
}

// A history in another zone is not a day off.
func TestAHistoryInAnotherZone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		until(t, "2026-11-12 14:00")
		w := newWorld(t).only("lti")
		w.history = &health.MemoryHistory{} // UTC
		w.remember(t, func(_ string, at time.Time) health.Status {
			if at.UTC().Day() == 5 && at.UTC().Month() == time.November {
				return health.Unhealthy
			}
			return health.Healthy
		})
		w.check(t)
		for _, row := range table(t, text(t, w.public(t), "/components/lti"), "Day") {
			assert.Equal(t, strings.HasPrefix(row, "5 Nov"), strings.Contains(row, "Outage"), row)
		}
	})
}

// TestThePastIsReadPiecemeal: every day and hour is read once in an hour, the newest
// again each minute, and a history that fails leaves what was read.
func TestThePastIsReadPiecemeal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		until(t, "2026-11-12 23:30")
		w := newWorld(t).only("lti")
		down := health.Healthy
		w.remember(t, well)
		spy := &spyHistory{History: w.history}
		w.config.History = spy
		w.check(t)
		p := w.public(t)
		text(t, p, "/")
		first := spy.take()
		assert.Len(t, first, 2, "days and hours of one check")
		assert.Contains(t, first, 90*24*time.Hour)
		for range 90 { // past midnight
			time.Sleep(time.Minute)
			if time.Now().In(sydney(t)).Hour() == 0 {
				down = health.Unhealthy
			}
			for name := range w.found {
				require.NoError(t, w.history.Append(t.Context(), []health.Sample{{Check: name, Time: time.Now(), Status: down, Valid: time.Minute, Latency: time.Second}}))
			}
			text(t, p, "/")
		}
		later := spy.take()
		assert.Less(t, len(later), 2*95)
		long := 0
		for _, d := range later {
			if d > 50*time.Hour {
				long++
			}
		}
		assert.LessOrEqual(t, long, 2*2)
		time.Sleep(2 * time.Second)
		rows := table(t, text(t, p, "/components/lti"), "Day")
		assert.Contains(t, rows[0], "13 Nov 2026|Outage")
		assert.Contains(t, rows[1], "12 Nov 2026|Operational")
		hours := table(t, text(t, p, "/components/lti"), "Hour from")
		assert.Equal(t, "13 Nov, 00:00|1.0 s|1.0 s", hours[0])

		spy.fails.Store(true)
		time.Sleep(2 * time.Minute)
		text(t, p, "/")
		time.Sleep(2 * time.Second)
		page := text(t, p, "/")
		assert.Contains(t, page, "The past cannot be read at present; what is shown is from")
		assert.Contains(t, page, "outage on 1 day")
	})
}

// TestEvents: phases, times and order of events, as the API has them.
func TestEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := trouble(t)
		p := w.public(t)
		type event struct {
			ID, Status, Impact  string
			Created, Resolved   string
			Updates, Components int
		}
		events := func(path, name string) []event {
			type item struct {
				ID, Status, Impact string
				CreatedAt          string `json:"created_at"`
				ResolvedAt         string `json:"resolved_at"`
				IncidentUpdates    []any  `json:"incident_updates"`
				Components         []any
			}
			var out []event
			all := read[map[string]json.RawMessage](t, text(t, p, path))
			for _, i := range read[[]item](t, string(all[name])) {
				out = append(out, event{i.ID, i.Status, i.Impact, i.CreatedAt, i.ResolvedAt, len(i.IncidentUpdates), len(i.Components)})
			}
			return out
		}
		open := event{"INC-2026-0042", "identified", "critical", "2026-11-12T12:15:00.000+11:00", "", 2, 2}
		now, next := event{"MNT-7", "in_progress", "maintenance", "2026-11-12T13:00:00.000+11:00", "", 0, 1}, event{"MNT-8", "scheduled", "maintenance", "2026-11-14T22:00:00.000+11:00", "", 1, 2}
		assert.Empty(t, cmp.Diff([]event{
			open, {"INC-2026-0040", "resolved", "minor", "2026-11-08T20:00:00.000+11:00", "2026-11-09T06:00:00.000+11:00", 3, 1},
			{"INC-2026-0031", "resolved", "critical", "2026-09-26T13:00:00.000+10:00", "2026-09-26T16:00:00.000+10:00", 2, 0},
		}, events("/incidents.json", "incidents")))
		assert.Equal(t, []event{open}, events("/api/v2/incidents/unresolved.json", "incidents"))
		assert.Equal(t, []event{next, now, {"MNT-6", "completed", "maintenance", "2026-11-10T02:00:00.000+11:00", "2026-11-10T03:00:00.000+11:00", 0, 0}}, events("/scheduled-maintenances.json", "scheduled_maintenances"))
		assert.Equal(t, []event{next}, events("/scheduled-maintenances/upcoming.json", "scheduled_maintenances"))
		assert.Equal(t, []event{now}, events("/scheduled-maintenances/active.json", "scheduled_maintenances"))
		assert.Equal(t, []event{open}, events("/summary.json", "incidents"))
		assert.Equal(t, []event{next, now}, events("/summary.json", "scheduled_maintenances"))

		front := text(t, p, "/")
		assert.Less(t, strings.Index(front, "Canvas is upgraded"), strings.Index(front, "New database server"), "what is next comes first")
		assert.NotContains(t, front, "No sign-in for staff", "long ago")
		assert.Contains(t, text(t, p, "/history"), "No sign-in for staff")
		time.Sleep(time.Hour + time.Minute)
		text(t, p, "/")
		time.Sleep(2 * time.Second)
		assert.Equal(t, []event{next}, events("/summary.json", "scheduled_maintenances"), "by the clock")
	})
}

// TestManyEvents: of very many the latest are shown, those that are open above all.
func TestManyEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := until(t, "2026-11-12 14:00")
		w := newWorld(t)
		w.check(t)
		for i := range 500 {
			phase := statuspage.Resolved
			if i == 499 {
				phase = statuspage.Investigating
			}
			w.events.Incidents = append(w.events.Incidents, statuspage.Incident{ID: "i" + strings.Repeat("x", i%3) + time.Duration(i).String(), Title: "I", Updates: []statuspage.Update{{Time: now.Add(-time.Duration(i) * time.Hour), Phase: phase, Text: strings.Repeat("long ", 100)}}})
		}
		p := w.public(t)
		all := read[struct{ Incidents []struct{ Status string } }](t, text(t, p, "/incidents.json"))
		require.Len(t, all.Incidents, 50)
		assert.Equal(t, "investigating", all.Incidents[49].Status, "the oldest, since it is open")
	})
}
