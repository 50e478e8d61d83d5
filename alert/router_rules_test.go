package alert_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
)

func indexOf(text, part string) int { return strings.Index(text, part) }

// Ten thousand alerts in a minute are a few messages, then a digest, and its updates; the
// end is told where the beginning was.
//
// Requirement: AL-RULE-STORM
func TestStorm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in, mail := &inbox{}, &inbox{}
		r := router(t, alert.RouterConfig{
			Targets: []alert.Target{{Name: "sms", Notifier: in, Pages: true, Storm: 5}, {Name: "mail", Notifier: mail}},
			Routes:  []alert.Route{{Name: "all", Targets: []string{"sms", "mail"}, GroupBy: []string{"entity"}}},
		})
		alerts := make([]alert.Alert, 10_000)
		for i := range alerts {
			alerts[i] = firing(alert.Critical, []string{"production", "beta"}[i%2], fmt.Sprintf("service-%d", i))
			handle(t, r, alerts[i])
			if i%10 == 9 {
				pass(60 * time.Millisecond)
			}
		}
		pass(2 * time.Minute)
		kinds := in.kinds()
		assert.Equal(t, 5, count(kinds, alert.KindFiring))
		assert.LessOrEqual(t, len(kinds), 9, "what pages does so a few times and not ten thousand")
		last := in.told()[len(kinds)-1]
		assert.Contains(t, last.Title, "ALERT STORM, CRITICAL production: 4995 alerts, the worst: ")
		assert.Contains(t, last.Text, "4995 fire: 4995 critical (4995 health_check).")
		assert.Less(t, len(last.Text), 8000)
		assert.LessOrEqual(t, len(last.Alerts), 30)
		assert.Equal(t, 20, count(mail.kinds(), alert.KindFiring))
		assert.LessOrEqual(t, len(mail.told()), 24)
		for _, s := range r.Alerts() {
			want := []string{"mail"}
			if s.Environment == "production" {
				want = []string{"mail", "sms"}
			}
			assert.Equal(t, want, s.Told, s.Entity)
		}

		for _, a := range alerts {
			handle(t, r, over(a))
		}
		pass(2 * time.Minute)
		assert.Equal(t, 6, count(in.kinds(), alert.KindResolved))
		assert.Equal(t, 21, count(mail.kinds(), alert.KindResolved))
		assert.Empty(t, r.Alerts())
		assert.Empty(t, r.Deliveries())
	})
}

// A storm within one group is one conversation with few messages.
func TestStormInOneGroup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := router(t, one(in))
		for i := range 10_000 {
			handle(t, r, firing(alert.Critical, "production", fmt.Sprintf("service-%d", i)))
			if i%100 == 99 {
				pass(600 * time.Millisecond)
			}
		}
		pass(time.Minute)
		assert.LessOrEqual(t, len(in.told()), 4)
		assert.Contains(t, in.told()[len(in.told())-1].Title, "and 9999 more")
	})
}

// A digest goes on where it was after a restart.
func TestStormSurvives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Targets[0].Storm = 2
		cfg.Routes[0].GroupBy = []string{"entity"}
		r := start(t, cfg)
		var alerts []alert.Alert
		for i := range 10 {
			alerts = append(alerts, firing(alert.Critical, "production", fmt.Sprint(i)))
		}
		handle(t, r, alerts...)
		pass(3 * time.Second) // the digest waits
		require.Len(t, in.told(), 2)
		stop(t, r)
		r = start(t, cfg)
		pass(10 * time.Second)
		require.Equal(t, []alert.Kind{alert.KindFiring, alert.KindFiring, alert.KindDigest}, in.kinds())
		stop(t, r)
		r = router(t, cfg)
		pass(10 * time.Second)
		assert.Len(t, in.told(), 3)
		for _, a := range alerts {
			handle(t, r, over(a))
		}
		pass(10 * time.Second)
		assert.Equal(t, 3, count(in.kinds(), alert.KindResolved))
		assert.Empty(t, r.Alerts())
	})
}

// Requirement: AL-RULE-REMINDER
func TestReminders(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Targets[0].RemindAfter, cfg.Targets[0].RemindMost = 30*time.Minute, 3*time.Hour
		r := router(t, cfg)
		handle(t, r, slow(alert.Firing))
		pass(24 * time.Hour)
		var after []time.Duration
		got := in.told()
		for i, n := range got[1:] {
			assert.Equal(t, alert.KindReminder, n.Kind)
			after = append(after, n.At.Sub(got[i].At).Round(time.Minute))
		}
		m := time.Minute
		assert.Equal(t, []time.Duration{30 * m, 60 * m, 120 * m, 180 * m, 180 * m, 180 * m, 180 * m, 180 * m, 180 * m}, after[:9])
	})
}

// Why somebody was not told is listed, for each target.
//
// Requirement: AL-RULE-MUTE-REASON
func TestMuteReasons(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		always := health.Window{Name: "move of the data centre", Start: time.Now().Add(-time.Hour), End: time.Now().Add(time.Hour)}
		r := router(t, alert.RouterConfig{
			Targets: []alert.Target{
				{Name: "slack", Notifier: in}, {Name: "sms", Notifier: in, Pages: true},
				{Name: "mail", Notifier: in, Quiet: []health.Window{always}}, {Name: "high", Notifier: in, Severities: []alert.Severity{alert.High}},
			},
			Routes: []alert.Route{
				{Name: "quiet", Match: alert.Matcher{Environments: []string{"quiet"}}, Targets: []string{"mail"}},
				{Name: "all", Match: alert.Matcher{Labels: map[string]string{"entity": "*"}}, Targets: []string{"slack", "sms", "high"}},
			},
			Maintenance: []alert.Maintenance{{Match: alert.Matcher{Labels: map[string]string{"entity": "moved"}}, Window: always}},
			Inhibitions: []alert.Inhibition{{By: alert.Matcher{Labels: map[string]string{"entity": "network"}}, What: alert.Matcher{Labels: map[string]string{"entity": "leaf"}}, Equal: []string{"environment"}}},
		})
		_, err := r.Silence(t.Context(), alert.Silence{Match: alert.Matcher{Labels: map[string]string{"entity": "silenced"}}, By: "ana", Comment: "known", Ends: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		child := firing(alert.Critical, "production", "child")
		child.Parents = []string{firing(alert.Critical, "production", "network").Key}
		handle(t, r,
			firing(alert.Critical, "production", "network"), firing(alert.Critical, "production", "silenced"), firing(alert.Critical, "production", "moved"),
			child, firing(alert.Critical, "production", "leaf"), firing(alert.Critical, "beta", "leaf"), firing(alert.Medium, "production", "medium"),
			firing(alert.High, "quiet", "mailed"), firing(alert.High, "production", ""),
		)
		pass(time.Minute)
		reasons := make(map[string]map[string]string)
		for _, s := range r.Alerts() {
			assert.Equal(t, s.Entity == "", s.Unrouted, s.Entity)
			reasons[s.Environment+"/"+s.Entity] = s.Muted
		}
		everybody := func(why string) map[string]string {
			return map[string]string{"slack": why, "sms": why, "high": "the target is not told of severity critical"}
		}
		assert.Equal(t, map[string]map[string]string{
			"production/network":  {"high": "the target is not told of severity critical"},
			"production/silenced": everybody("silenced by ana until 01:00 UTC: known"),
			"production/moved":    everybody("maintenance move of the data centre"),
			"production/child":    everybody("explained by health_check network"),
			"production/leaf":     everybody("explained by health_check network"),
			"beta/leaf":           {"sms": "nobody is paged for environment beta", "high": "the target is not told of severity critical"},
			"production/medium":   {"sms": "the target is not told of severity medium", "high": "the target is not told of severity medium"},
			"quiet/mailed":        {"mail": "quiet hours"},
			"production/":         nil,
		}, reasons)
	})
}

// While a parent fires nobody is told that a child began; it is evaluated, its end is told
// to those who were told, and it is told when it goes on without the parent.
//
// Requirement: AL-RULE-DEPENDENCY
func TestParents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Routes[0].GroupBy = []string{"entity"}
		r := router(t, cfg)
		parent, child, grandchild := firing(alert.Critical, "production", "database"), firing(alert.Critical, "production", "app"), firing(alert.High, "production", "page")
		child.Parents, grandchild.Parents = []string{parent.Key}, []string{child.Key}
		early := firing(alert.Critical, "production", "early")
		early.Parents = []string{parent.Key}
		handle(t, r, early)
		pass(time.Minute)
		handle(t, r, parent, child, grandchild)
		pass(10 * time.Minute)
		assert.Equal(t, []string{
			"CRITICAL production: early has failed 3 checks in a row", "CRITICAL production: database has failed 3 checks in a row",
		}, in.titles())
		handle(t, r, over(early))
		pass(time.Second)
		assert.Equal(t, alert.KindResolved, in.told()[2].Kind, "its end is told although the parent fires")
		handle(t, r, over(grandchild))
		pass(time.Second)
		assert.Len(t, in.told(), 3)
		handle(t, r, over(parent))
		pass(time.Second)
		assert.ElementsMatch(t, []string{
			"RESOLVED after 12 min, production: database has failed 3 checks in a row", "CRITICAL production: app has failed 3 checks in a row",
		}, in.titles()[3:])
	})
}

// Of alerts that explain each other one is told: the worst, and of equals the oldest.
func TestAlertsThatExplainEachOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Routes[0].GroupBy = []string{"entity"}
		checks := alert.Matcher{Labels: map[string]string{"rule": "health_check"}}
		cfg.Inhibitions = []alert.Inhibition{{By: checks, What: checks, Equal: []string{"environment"}}}
		r := router(t, cfg)
		a, b := firing(alert.High, "production", "a"), firing(alert.Critical, "production", "b")
		handle(t, r, a)
		pass(time.Second)
		handle(t, r, b)
		pass(10 * time.Minute)
		assert.Equal(t, []string{"CRITICAL production: b has failed 3 checks in a row"}, in.titles())
		x, y := firing(alert.High, "beta", "x"), firing(alert.High, "beta", "y")
		y.Began = y.Began.Add(time.Second)
		x.Parents, y.Parents = []string{y.Key}, []string{x.Key}
		handle(t, r, x, y)
		pass(10 * time.Minute)
		assert.Equal(t, []string{"HIGH beta: x has failed 3 checks in a row"}, in.titles()[1:])
	})
}

// The key of an alert says what it is about; other values make no other alert, and no
// message.
//
// Requirement: AL-RULE-DEDUP-VALUES
func TestValuesAreNoNews(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := router(t, one(in))
		a := firing(alert.Critical, "production", "app")
		handle(t, r, a)
		pass(time.Minute)
		for i := range 50 {
			a.Value, a.Peak, a.Detail = float64(i), float64(i), fmt.Sprintf("status 50%d", i%5)
			handle(t, r, a)
			pass(30 * time.Second)
		}
		assert.Len(t, in.told(), 1)
		require.Len(t, r.Alerts(), 1)
		assert.InDelta(t, 49, r.Alerts()[0].Value, 0)
		assert.Equal(t, "status 504", r.Alerts()[0].Detail)
	})
	keys := make(map[string]bool)
	for _, parts := range [][4]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"a", "b", "c", "no data"}, {"1:a", "b", "c"}} {
		keys[alert.Key(parts[0], parts[1], parts[2], alert.Reason(parts[3]))] = true
	}
	assert.Len(t, keys, 5)
	assert.Len(t, slices.Collect(maps.Keys(keys))[0], 32)
}

// Requirement: AL-RULE-PLAYBOOK-LINK
func TestPlaybookIsInEveryMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Routes[0].GroupBy = []string{"environment"}
		r := router(t, cfg)
		a, b := slow(alert.Firing), firing(alert.Critical, "production", "app")
		b.Playbook = "https://runbook.example.edu/application-down"
		handle(t, r, a)
		pass(time.Minute)
		handle(t, r, b)
		pass(2 * time.Hour)
		handle(t, r, over(a), over(b))
		pass(time.Second)
		got := in.told()
		require.Equal(t, []alert.Kind{alert.KindFiring, alert.KindUpdate, alert.KindReminder, alert.KindResolved}, in.kinds())
		for i, n := range got {
			assert.Contains(t, n.Text, "performance-degradation")
			assert.Equal(t, i > 0, indexOf(n.Text, b.Playbook) >= 0)
			for _, a := range n.Alerts {
				assert.NotEmpty(t, a.Playbook)
			}
		}
	})
}
