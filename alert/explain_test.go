package alert_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
)

// Of alerts that explain each other in a circle the worst is told; none, if something
// outside the circle explains one of them; and the next, when the circle is broken.
func TestCircleOfExplanations(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Routes[0].GroupBy = []string{"entity"}
		rule := func(name string) alert.Matcher { return alert.Matcher{Labels: map[string]string{"rule": name}} }
		for _, pair := range [][2]string{{"database", "queue"}, {"queue", "app"}, {"app", "database"}, {"network", "app"}} {
			cfg.Inhibitions = append(cfg.Inhibitions, alert.Inhibition{By: rule(pair[0]), What: rule(pair[1]), Equal: []string{"environment"}})
		}
		r := router(t, cfg)
		of := func(name, environment string, severity alert.Severity) alert.Alert {
			a := firing(severity, environment, name)
			a.Rule, a.Key, a.Summary = name, alert.Key(name, environment, name, alert.Failing), name+" fails"
			return a
		}
		muted := func() map[string]string {
			why := make(map[string]string)
			for _, s := range r.Alerts() {
				why[s.Environment+" "+s.Rule] = s.Muted["slack"]
			}
			return why
		}
		database, queue, app := of("database", "production", alert.Medium), of("queue", "production", alert.High), of("app", "production", alert.Low)
		handle(t, r, database, queue, app)
		handle(t, r, of("database", "beta", alert.Low), of("queue", "beta", alert.High), of("app", "beta", alert.High), of("network", "beta", alert.Low))
		pass(time.Minute)
		assert.ElementsMatch(t, []string{"HIGH production: queue fails", "LOW beta: network fails"}, in.titles())
		assert.Equal(t, map[string]string{
			"production queue": "", "production app": "explained by queue queue", "production database": "explained by app app",
			"beta network": "", "beta app": "explained by queue queue", "beta database": "explained by app app", "beta queue": "explained by database database",
		}, muted())

		// What was told is over: the rest is no circle any more.
		handle(t, r, over(queue))
		pass(time.Minute)
		assert.Equal(t, []string{"LOW production: app fails"}, in.titles()[3:])
		handle(t, r, over(app))
		pass(time.Minute)
		assert.Equal(t, []string{"MEDIUM production: database fails"}, in.titles()[5:])
	})
}

// Whatever explains what, of alerts that explain each other, at whatever distance, and that
// nothing else explains, the worst is told; nothing else is.
func TestSomebodyIsToldOfEveryCircle(t *testing.T) {
	for seed := range uint64(300) {
		bubble(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 11))
			in := &inbox{}
			cfg := one(in)
			cfg.Store, cfg.Routes[0].GroupBy = nil, []string{"entity"}
			cfg.Targets[0].Storm, cfg.Targets[0].PerSecond = 100, 100
			alerts := explaining(random, &cfg)
			r := router(t, cfg)
			for _, i := range random.Perm(len(alerts)) {
				handle(t, r, alerts[i])
			}
			pass(time.Minute)
			want, circles := toldOf(alerts, cfg.Inhibitions)
			got := make(map[string]bool)
			for _, s := range r.Alerts() {
				if len(s.Told) > 0 {
					got[s.Entity] = true
					assert.Empty(t, s.Muted)
				} else {
					assert.Contains(t, s.Muted["slack"], "explained by", s.Entity)
				}
			}
			for _, circle := range circles {
				assert.True(t, slices.ContainsFunc(circle, func(e string) bool { return got[e] }), "seed %d: nobody is told of any of %v", seed, circle)
			}
			require.Equal(t, want, got, "seed %d", seed)
		})
	}
}

// explaining makes alerts, none of them critical, that explain each other at random: as
// parents, and by inhibitions, which it adds.
func explaining(random *rand.Rand, cfg *alert.RouterConfig) []alert.Alert {
	pick := func(names ...string) string { return names[random.IntN(len(names))] }
	alerts := make([]alert.Alert, 2+random.IntN(12))
	for i := range alerts {
		alerts[i] = firing(alert.Severity(2+random.IntN(3)), "beta", fmt.Sprintf("e%d", i))
		alerts[i].Began = alerts[i].Began.Add(time.Duration(random.IntN(3)) * time.Second)
		alerts[i].Labels = map[string]string{"tier": pick("a", "b", "c", "d"), "zone": pick("x", "y"), "rack": pick("1", "2", "")}
	}
	for range random.IntN(2 * len(alerts)) {
		a := &alerts[random.IntN(len(alerts))]
		a.Parents = append(a.Parents, alerts[random.IntN(len(alerts))].Key) // itself too
	}
	tier := func() alert.Matcher {
		return alert.Matcher{Labels: map[string]string{"tier": pick("a", "b", "c", "d")}}
	}
	for range random.IntN(4) {
		cfg.Inhibitions = append(cfg.Inhibitions, alert.Inhibition{By: tier(), What: tier(), Equal: [][]string{nil, {"zone"}, {"rack"}, {"zone", "rack"}}[random.IntN(4)]})
	}
	return alerts
}

// toldOf returns, by their definition, the alerts of which somebody is to be told, and the
// circles that nothing else explains: those of one alert too.
func toldOf(alerts []alert.Alert, inhibitions []alert.Inhibition) (told map[string]bool, circles [][]string) {
	n := len(alerts)
	reach := make([][]bool, n) // whether one explains another, at whatever distance
	for i, by := range alerts {
		reach[i] = make([]bool, n)
		for j, a := range alerts {
			reach[i][j] = i == j || slices.Contains(a.Parents, by.Key) || slices.ContainsFunc(inhibitions, func(in alert.Inhibition) bool {
				return in.By.Matches(by) && in.What.Matches(a) && !slices.ContainsFunc(in.Equal, func(l string) bool { return by.Label(l) != a.Label(l) })
			})
		}
	}
	for k := range n {
		for i := range n {
			for j := range n {
				reach[i][j] = reach[i][j] || reach[i][k] && reach[k][j]
			}
		}
	}
	told, seen := make(map[string]bool), make(map[string]bool)
	for i := range n {
		var circle []alert.Alert
		outside := false
		for j := range n {
			if reach[i][j] && reach[j][i] {
				circle = append(circle, alerts[j])
			}
			outside = outside || reach[j][i] && !reach[i][j]
		}
		if outside || seen[alerts[i].Entity] {
			continue
		}
		worst := slices.MinFunc(circle, func(a, b alert.Alert) int {
			if a.Severity != b.Severity {
				return int(a.Severity) - int(b.Severity)
			}
			if c := a.Began.Compare(b.Began); c != 0 {
				return c
			}
			return slices.Compare([]byte(a.Entity), []byte(b.Entity))
		})
		told[worst.Entity] = true
		var names []string
		for _, a := range circle {
			seen[a.Entity] = true
			names = append(names, a.Entity)
		}
		circles = append(circles, names)
	}
	return told, circles
}

// BenchmarkCircle looks at a thousand alerts that all explain each other, by what is in
// the same environment and by what is the same entity. It has no target.
func BenchmarkCircle(b *testing.B) {
	cfg := one(&forgetful{})
	all := alert.Matcher{Labels: map[string]string{"rule": "health_check"}}
	cfg.Store, cfg.Inhibitions = nil, []alert.Inhibition{{By: all, What: all, Equal: []string{"entity"}}, {By: all, What: all, Equal: []string{"environment"}}}
	r := router(b, cfg)
	for i := range 1000 {
		handle(b, r, firing(alert.High, "production", fmt.Sprintf("service-%d", i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		if n := len(slices.DeleteFunc(r.Alerts(), func(s alert.Status) bool { return len(s.Muted) > 0 })); n != 1 {
			b.Fatal(n)
		}
	}
}
