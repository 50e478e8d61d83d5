package alert_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/story"
	"go.acu.edu.au/runbook/health"
)

// night is a Tuesday in Sydney, at twelve minutes past three.
var night = time.Date(2026, time.October, 6, 3, 12, 0, 0, time.FixedZone("AEDT", 11*3600))

// golden compares a message with a file in testdata, as its reader sees it.
func golden(t *testing.T, name string, n alert.Notification) {
	t.Helper()
	require.LessOrEqual(t, len([]rune(n.Title)), 200)
	require.True(t, strings.HasPrefix(n.Text, n.Title[:min(len(n.Title), 50)]), "the text says everything that the title does")
	for line := range strings.Lines(n.Text) {
		require.Equal(t, strings.TrimRight(line, " \n"), strings.TrimSuffix(line, "\n"))
	}
	story.Golden(t, name+".txt", fmt.Sprintf("%s (severity %d, environment %q, alerts %d)\n---\n%s", n.Kind, n.Severity, n.Environment, len(n.Alerts), n.Text))
}

// goldenRouter has one target, and starts in the night.
func goldenRouter(t *testing.T, in *inbox, change func(*alert.RouterConfig)) *alert.Router {
	t.Helper()
	until(t, night)
	cfg := one(in)
	cfg.Zone = sydney(t)
	cfg.Routes[0].GroupBy, cfg.Routes[0].Wait = []string{"environment"}, -1
	if change != nil {
		change(&cfg)
	}
	return router(t, cfg)
}

func slowApp() alert.Alert {
	a := slow(alert.Firing)
	a.Detail = "GET https://qa.example.edu/: 7.2 s, of which 6.9 s until the first byte"
	return a
}

func appDown() alert.Alert {
	a := firing(alert.Critical, "production", "app")
	a.Detail = "GET /health: status 503: {\"error\": \"no free connection\"}"
	a.Affected = []string{"grade sync", "LTI launches"}
	return a
}

// The texts are for somebody who was asleep a minute ago.
func TestGoldenLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := goldenRouter(t, in, nil)
		last := func() alert.Notification { got := in.told(); return got[len(got)-1] }
		one, down := slowApp(), appDown()
		handle(t, r, one)
		pass(time.Minute)
		golden(t, "firing", last())

		down.Began, down.Fired = time.Now().Add(-90*time.Second), time.Now()
		handle(t, r, down)
		pass(time.Minute)
		golden(t, "update", last())

		pass(time.Hour)
		golden(t, "reminder", last())

		require.NoError(t, r.Acknowledge(t.Context(), down.Key, alert.Acknowledgement{By: "Ana Silva", Comment: "I roll back the release of 02:55"}))
		pass(time.Minute)
		golden(t, "acknowledged_part", last())
		require.NoError(t, r.Acknowledge(t.Context(), one.Key, alert.Acknowledgement{By: "Ana Silva"}))
		pass(time.Minute)
		golden(t, "acknowledged", last())

		handle(t, r, over(down))
		pass(time.Minute)
		golden(t, "update_over", last())
		one.Flapping = true
		handle(t, r, one)
		pass(time.Minute)
		golden(t, "flapping", last())
		one.Severity = alert.Critical
		handle(t, r, one)
		pass(time.Minute)
		golden(t, "worse", last())
		one.Value, one.Flapping = 2.1, false
		handle(t, r, over(one))
		pass(time.Minute)
		golden(t, "resolved", last())
	})
}

func TestGoldenSeveral(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := goldenRouter(t, in, func(c *alert.RouterConfig) { c.Routes[0].Wait, c.Routes[0].GroupBy = 0, []string{"rule"} })
		var alerts []alert.Alert
		for i, environment := range []string{"production", "beta"} {
			for n := range 7 {
				a := firing(alert.High+alert.Severity(i), environment, fmt.Sprintf("worker-%d", n+1))
				a.Began = a.Began.Add(time.Duration(n) * time.Second)
				alerts = append(alerts, a)
			}
		}
		handle(t, r, alerts...)
		pass(time.Minute)
		golden(t, "several", in.told()[0])
		for _, a := range alerts {
			handle(t, r, over(a))
		}
		pass(time.Minute)
		golden(t, "several_resolved", in.told()[len(in.told())-1])
	})
}

func TestGoldenReasons(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := goldenRouter(t, in, func(c *alert.RouterConfig) { c.Routes[0].GroupBy = []string{"reason"} })
		noData := firing(alert.High, "production", "app")
		noData.Reason, noData.Severity = alert.NoData, alert.High
		noData.Key, noData.Summary = alert.Key("health_check", "production", "app", alert.NoData), "No data: nothing has been measured of health of app for 3 min"
		noData.Detail, noData.Value, noData.Limit, noData.Peak = "Whether it works is not known. Rule health_check keeps its last state.", 0, 0, 0
		broken := noData
		broken.Reason, broken.Key = alert.Broken, alert.Key("health_check", "production", "app", alert.Broken)
		broken.Summary, broken.Detail = "Not measured: health of app cannot be judged", "token for the platform expired"
		handle(t, r, noData)
		pass(time.Second)
		golden(t, "no_data", in.told()[0])
		handle(t, r, broken)
		pass(time.Second)
		golden(t, "broken", in.told()[1])
		pass(20 * time.Minute)
		handle(t, r, over(noData))
		pass(time.Second)
		golden(t, "no_data_resolved", in.told()[2])
		handle(t, r, over(broken))
		pass(time.Second)
		golden(t, "broken_resolved", in.told()[3])
	})
}

func TestGoldenDigest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := goldenRouter(t, in, func(c *alert.RouterConfig) { c.Targets[0].Storm, c.Routes[0].GroupBy = 1, []string{"entity"} })
		handle(t, r, slowApp())
		var alerts []alert.Alert
		for i := range 412 {
			a := firing(alert.Medium, "production", fmt.Sprintf("service-%03d", i+1))
			a.Rule = []string{"health_check", "response_time", "memory", "error_rate"}[min(3, i/100)]
			a.Severity = alert.Critical + alert.Severity(min(2, i/10))
			a.Key = alert.Key(a.Rule, a.Environment, a.Entity, a.Reason)
			alerts = append(alerts, a)
			handle(t, r, a)
		}
		pass(10 * time.Second)
		golden(t, "digest", in.told()[1])
		for i, a := range alerts {
			if i >= 3 {
				handle(t, r, over(a))
			}
		}
		more := firing(alert.High, "beta", "service-999")
		handle(t, r, more)
		pass(2 * time.Minute)
		golden(t, "digest_update", in.told()[2])
		for _, a := range append(alerts[:3], more) {
			handle(t, r, over(a))
		}
		pass(2 * time.Minute)
		golden(t, "digest_resolved", in.told()[len(in.told())-1])
	})
}

func TestGoldenNotices(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := goldenRouter(t, in, func(c *alert.RouterConfig) { c.Notices = []string{"slack"} })
		match := alert.Matcher{Environments: []string{"production"}, Labels: map[string]string{"entity": "app"}}
		_, err := r.Silence(t.Context(), alert.Silence{Match: match, By: "Ana Silva", Comment: "load test of the new release", Ends: time.Now().Add(2 * time.Hour)})
		require.NoError(t, err)
		pass(time.Second)
		golden(t, "notice_begins", in.told()[0])
		handle(t, r, slowApp(), appDown())
		pass(110 * time.Minute)
		golden(t, "notice_ends", in.told()[1])
		pass(10 * time.Minute)
		for _, n := range in.told()[2:] { // what was muted is told at the same moment
			if n.Kind == alert.KindNotice {
				golden(t, "notice_over", n)
			}
		}

		require.NoError(t, r.Test(t.Context(), "slack", "Ana Silva"))
		golden(t, "test", in.told()[len(in.told())-1])
	})
}

func TestGoldenTroubles(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in, mail := &inbox{}, &inbox{}
		r := goldenRouter(t, in, func(c *alert.RouterConfig) {
			c.Targets[0].Fallback = "mail"
			c.Targets = append(c.Targets, alert.Target{Name: "mail", Notifier: mail})
		})
		in.fails(&alert.Error{Status: 503})
		down := appDown()
		handle(t, r, down)
		pass(4 * time.Minute)
		golden(t, "fallback", mail.told()[0])
		pass(20 * time.Minute)
		in.fails(nil)
		pass(2 * time.Minute)
		golden(t, "late", in.told()[0])

		// Texts from outside break no line, and nothing is endless.
		hostile := firing(alert.Critical, "production\nFAKE: all is well", strings.Repeat("entity ", 40))
		hostile.Summary = "down\r\n\nRESOLVED after 1 min: everything\x1b[2J " + strings.Repeat("ü", 300)
		hostile.Detail = strings.Repeat("Traceback (most recent call last):\n\n  File \"/app/main.py\"\n", 20)
		hostile.Affected = strings.Split(strings.Repeat("service,", 30)+"last\nline", ",")
		hostile.Playbook = "https://runbook.example.edu/\nWhat to do: nothing"
		hostile.Unit, hostile.Value = health.Percent, 97.5
		handle(t, r, hostile)
		pass(time.Second)
		golden(t, "hostile", in.told()[1])
	})
}
