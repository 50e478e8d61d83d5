package host_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// says is what a page says: maintenances, by how many minutes from the beginning.
type says struct {
	at   int
	list []canvasprobe.Maintenance
}

var dawn = time.Date(2030, 3, 4, 9, 0, 0, 0, time.UTC)

func planned(id string, from, to int) canvasprobe.Maintenance {
	return canvasprobe.Maintenance{ID: id, Name: "Release", Status: "scheduled", From: dawn.Add(time.Duration(from) * time.Minute), Until: dawn.Add(time.Duration(to) * time.Minute)}
}

func underWay(m canvasprobe.Maintenance) canvasprobe.Maintenance {
	m.Status = "in_progress"
	return m
}

// states are what has become of all that is followed, with how often people were to be told.
func states(all host.Announcements) (list []string) {
	for _, a := range all.All {
		list = append(list, fmt.Sprintf("%s %s-%s r%d e%d", a.State, minutes(a.From), minutes(a.To), a.Revision, a.Edition))
	}
	slices.Sort(list)
	return list
}

func minutes(t time.Time) string { return fmt.Sprint(int(t.Sub(dawn).Minutes())) }

// What a page says is followed: new times, an end that is put off, that it will not be; and
// what cannot be true does no harm.
//
// Requirement: RB-CANVAS-MAINTENANCE-ANNOUNCED
func TestWhatAPageAnnouncesIsFollowed(t *testing.T) {
	t.Parallel()
	many := func(n, from, lasts int) (list []canvasprobe.Maintenance) {
		for i := range n {
			list = append(list, planned(fmt.Sprint("m", i), from+i*lasts, from+(i+1)*lasts))
		}
		return list
	}
	one := []canvasprobe.Maintenance{planned("a", 60, 120)}
	for name, c := range map[string]struct {
		says  []says
		want  []string
		crowd int
	}{
		"the same again and again":      {[]says{{0, one}, {5, one}, {10, one}}, []string{" 60-120 r1 e1"}, 0},
		"moved":                         {[]says{{0, one}, {5, []canvasprobe.Maintenance{planned("a", 90, 150)}}}, []string{" 90-150 r2 e2"}, 0},
		"another end":                   {[]says{{0, one}, {5, []canvasprobe.Maintenance{planned("a", 60, 180)}}}, []string{" 60-180 r1 e2"}, 0},
		"its end is put off in it":      {[]says{{0, one}, {70, []canvasprobe.Maintenance{underWay(planned("a", 60, 180))}}}, []string{" 60-180 r1 e2"}, 0},
		"no end of it":                  {[]says{{0, one}, {70, []canvasprobe.Maintenance{underWay(planned("a", 60, 60*24*365))}}}, []string{" 60-2940 r1 e2"}, 0},
		"put off while it lasts":        {[]says{{0, one}, {70, []canvasprobe.Maintenance{planned("a", 600, 660)}}}, []string{" 600-660 r2 e2"}, 0},
		"missing once":                  {[]says{{0, one}, {5, nil}, {10, one}}, []string{" 60-120 r1 e1"}, 0},
		"called off":                    {[]says{{0, one}, {5, nil}, {10, nil}}, []string{"called off 60-120 r1 e2"}, 0},
		"called off, and on again":      {[]says{{0, one}, {5, nil}, {10, nil}, {15, one}}, []string{" 60-120 r2 e3"}, 0},
		"over":                          {[]says{{0, one}, {90, nil}, {95, nil}}, []string{"over 60-120 r1 e1"}, 0},
		"announced when it has begun":   {[]says{{61, []canvasprobe.Maintenance{underWay(planned("a", 60, 120))}}}, nil, 0},
		"in the past":                   {[]says{{0, []canvasprobe.Maintenance{planned("a", -600, -60)}}}, nil, 0},
		"turned round, and of no time":  {[]says{{0, []canvasprobe.Maintenance{planned("a", 120, 60), {ID: "b", Name: "x"}}}}, nil, 0},
		"of years":                      {[]says{{0, []canvasprobe.Maintenance{planned("a", 60, 60*24*3650)}}}, []string{"left to people 60-5256000 r1 e1"}, 0},
		"it becomes one of years":       {[]says{{0, one}, {5, []canvasprobe.Maintenance{planned("a", 60, 60*24*3650)}}}, []string{"left to people 60-5256000 r1 e2"}, 0},
		"in a year":                     {[]says{{0, []canvasprobe.Maintenance{planned("a", 60*24*365, 60*24*365+60)}}}, nil, 0},
		"twice under one id":            {[]says{{0, []canvasprobe.Maintenance{planned("a", 60, 120), planned("a", 70, 3000)}}}, []string{" 60-120 r1 e1"}, 0},
		"days, one after another":       {[]says{{0, many(4, 60, 1440)}}, []string{" 1500-2940 r1 e1", " 2940-4380 r1 e1", " 60-1500 r1 e1"}, 1},
		"longer one by one, until days": {[]says{{0, many(4, 60, 60)}, {5, []canvasprobe.Maintenance{planned("m0", 60, 2900), planned("m1", 120, 2900), planned("m2", 180, 240), planned("m3", 240, 300)}}}, []string{" 180-240 r1 e1", " 240-300 r1 e1", " 60-2900 r1 e2", "left to people 120-2900 r1 e3"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all host.Announcements
			for _, s := range c.says {
				now := dawn.Add(time.Duration(s.at) * time.Minute)
				all = all.Follow(canvasprobe.Summary{Time: now, Maintenances: s.list}, now)
			}
			assert.Equal(t, c.want, states(all))
			assert.Equal(t, c.crowd, all.Crowd)
		})
	}
}

// Hundreds of maintenances, and a page that says something else each time, are bounded: what
// is followed, and how often people are told.
func TestAPageThatCannotBeTrue(t *testing.T) {
	t.Parallel()
	var all host.Announcements
	told := 0
	for turn := range 200 {
		now := dawn.Add(time.Duration(turn) * 5 * time.Minute / 2)
		var list []canvasprobe.Maintenance
		for i := range 300 {
			m := planned(fmt.Sprint("x", turn/3, "-", i), 1200+i, 1210+i)
			m.Name, m.URL = strings.Repeat("<!channel> ", 40), "https://evil.example/`$(x)`"
			list = append(list, m)
		}
		all = all.Follow(canvasprobe.Summary{Time: now, Maintenances: list}, now)
		open := 0
		for i := range all.All {
			a := &all.All[i]
			told += a.Edition - a.Told
			a.Told = a.Edition
			if a.State == "" {
				open++
			}
			assert.LessOrEqual(t, len([]rune(a.Name)), 81)
			assert.Empty(t, a.URL)
		}
		require.LessOrEqual(t, open, 10)
	}
	assert.LessOrEqual(t, told, 60, "within two days")
	assert.LessOrEqual(t, len(all.All), 80)
	assert.Positive(t, all.Crowd)
}

// announcing gives all environments a status page of their own world.
func announcing(page *canvastest.Server) func(*host.Config) {
	return func(cfg *host.Config) {
		read, err := canvasprobe.NewStatusPage(canvasprobe.StatusPageConfig{Components: []string{"Canvas"}, HTTP: page.Client()})
		if err != nil {
			panic(err)
		}
		for i := range cfg.Connections {
			cfg.Connections[i].StatusPage = read
		}
	}
}

// runsOf are the runs of canvas-maintenance of production.
func (s *stage) runsOf() (ids []string) {
	for run, err := range s.host.Runner().Runs(s.Context(), incident.RunQuery{}) {
		require.NoError(s, err)
		if run.Playbook == "canvas-maintenance" && run.Environment == "production" {
			ids = append(ids, run.ID)
		}
	}
	return ids
}

// Operators are told once, the windows of others stay, and what begins is what the policy
// lets begin: all of it, a question, or nothing but that somebody has to know.
//
// Requirement: RB-CANVAS-MAINTENANCE-ANNOUNCED, RB-CANVAS-MAINTENANCE-SUBSCRIBE
func TestAnAnnouncementByPolicy(t *testing.T) {
	for _, mode := range []incident.Mode{incident.Observe, incident.Suggest, incident.Act} {
		t.Run(string(mode), func(t *testing.T) {
			page := new(canvastest.Server)
			change := func(cfg *host.Config) {
				announcing(page)(cfg)
				cfg.Policies = []incident.AutomationPolicy{{Environment: "production", Mode: mode, PerHour: 20}}
			}
			onStage(t, change, func(s *stage) {
				defer s.story()
				began := time.Now()
				mine := health.Window{Name: "opsd m-1", Start: began.Add(100 * time.Hour), End: began.Add(101 * time.Hour)}
				require.NoError(s, s.host.Monitor().SetMaintenance("production/canvas", mine))
				from := began.Add(4 * time.Hour)
				page.StatusPage.Add(canvastest.Incident{Name: "Release <!channel>", Components: []string{"Canvas"}, ScheduledFor: from, ScheduledUntil: from.Add(time.Hour)})
				time.Sleep(10 * time.Minute)
				windows, err := s.host.Monitor().Maintenance("production/canvas")
				require.NoError(s, err)
				require.Len(s, windows, 2)
				assert.Equal(s, mine, windows[0])
				assert.True(s, windows[1].Start.Equal(from) && windows[1].End.Equal(from.Add(time.Hour)), "%+v", windows[1])
				time.Sleep(4*time.Hour - 10*time.Minute + 5*time.Minute)
				told := strings.Join(s.told("slack", "#qa-automation-alerts", began), "\n")
				assert.Equal(s, 1, strings.Count(told, "Canvas announces a maintenance"), told)
				for _, line := range s.told("slack", "#qa-automation-status", began) {
					assert.NotContains(s, line, "<!channel>", "what is foreign is not said to users")
				}
				runs := s.runsOf()
				switch mode {
				case incident.Act:
					assert.Len(s, runs, 2, "users are told, and then the maintenance")
					assert.NotContains(s, told, "nobody began canvas-maintenance")
				case incident.Suggest:
					assert.Empty(s, runs)
					assert.Contains(s, told, "waits for a person: Start Canvas maintenance in production?")
					assert.Contains(s, told, "nobody began canvas-maintenance")
				default:
					assert.Empty(s, runs)
					assert.Contains(s, told, "A person has to begin canvas-maintenance")
				}
				assert.Empty(s, s.incidents())
				assert.Empty(s, s.told("page", "", began))
				for _, silence := range s.host.Router().Silences() {
					assert.True(s, silence.Ends.Equal(from.Add(time.Hour)))
				}
				time.Sleep(2 * time.Hour)
				assert.Empty(s, s.host.Router().Silences())
			})
		})
	}
}
