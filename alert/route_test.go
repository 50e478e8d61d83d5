package alert_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
)

// Every problem of a configuration is reported at once.
func TestNewRouterReportsAllProblems(t *testing.T) {
	n := &inbox{}
	_, err := alert.NewRouter(alert.RouterConfig{})
	require.ErrorContains(t, err, "there is no target")
	require.ErrorContains(t, err, "there is no route")

	bad := health.Window{From: health.At(1, 0), For: time.Hour}
	_, err = alert.NewRouter(alert.RouterConfig{
		Targets: []alert.Target{
			{Name: "a b"}, {Name: "twice", Notifier: n}, {Name: "twice", Notifier: n}, {Name: "x", Notifier: n, Audience: "dogs"},
			{Name: "status", Notifier: n, Audience: alert.Everyone, Pages: true, Fallback: "ops"}, {Name: "ops", Notifier: n, Fallback: "ops", Timeout: -1},
			{Name: "vendor", Notifier: n, Audience: alert.Everyone, NeedsApproval: true}, {Name: "page", Notifier: n, Audience: alert.Everyone, Fallback: "vendor"},
			{Name: "sev", Notifier: n, Severities: []alert.Severity{7}, QuietUnless: 8, Quiet: []health.Window{bad}},
		},
		Routes: []alert.Route{
			{Name: "", Targets: []string{"status"}}, {Name: "r"}, {Name: "r", Targets: []string{"nobody"}, Update: -1, Match: alert.Matcher{Severities: []alert.Severity{6}}},
		},
		Notices:     []string{"status", "unknown"},
		Maintenance: []alert.Maintenance{{Window: bad}, {Window: health.Window{Start: time.Now(), End: time.Now().Add(time.Hour)}, Match: alert.Matcher{Severities: []alert.Severity{5}}}},
		Inhibitions: []alert.Inhibition{{By: alert.Matcher{Environments: []string{"x"}}}},
	})
	for _, want := range []string{
		`target "a b": the name`, `target "a b": has no notifier`, `target "twice": is there twice`, `target "x": audience "dogs"`,
		`target "status": a target for everyone cannot page`, `target "status": the fallback "ops"`, `target "ops": the fallback "ops"`, `target "page": the fallback "vendor"`, `target "ops": a limit is negative`,
		"severity 7", "severity 8", `target "sev": quiet`, `route "": the name`, `route "": target "status" is for everyone`, `route "r": is there twice`, `route "r": names no target`,
		`route "r": there is no target "nobody"`, `route "r": Update is negative`, "severity 6", `notices: "status"`, `notices: "unknown"`, "maintenance 1", "maintenance 2", "severity 5", "inhibition 1",
	} {
		assert.ErrorContains(t, err, want)
	}
}

func TestMatcher(t *testing.T) {
	a := firing(alert.High, "production", "app")
	a.Labels = map[string]string{"team": "qa"}
	for text, c := range map[string]struct {
		m    alert.Matcher
		want bool
	}{
		"everything":        {alert.Matcher{}, true},
		"critical":          {alert.Matcher{Severities: []alert.Severity{alert.Critical}}, false},
		"critical high":     {alert.Matcher{Severities: []alert.Severity{alert.Critical, alert.High}}, true},
		"beta":              {alert.Matcher{Environments: []string{"beta"}}, false},
		"beta production":   {alert.Matcher{Environments: []string{"beta", "production"}}, true},
		"entity=app":        {alert.Matcher{Labels: map[string]string{"entity": "app"}}, true},
		"owner=*":           {alert.Matcher{Labels: map[string]string{"owner": "*"}}, false},
		"rule=* team=qa":    {alert.Matcher{Labels: map[string]string{"team": "qa", "rule": "*"}}, true},
		"high team=ops":     {alert.Matcher{Severities: []alert.Severity{alert.High}, Labels: map[string]string{"team": "ops"}}, false},
		"reason= team=qa":   {alert.Matcher{Labels: map[string]string{"team": "qa", "reason": ""}}, true},
		"severity=critical": {alert.Matcher{Labels: map[string]string{"severity": "critical"}}, false},
	} {
		assert.Equal(t, c.want, c.m.Matches(a), text)
		assert.Equal(t, text, c.m.String())
	}
}

// The first route that matches decides, unless it says to go on; no target is told twice.
func TestRoutes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sms, slack, mail := &inbox{}, &inbox{}, &inbox{}
		r := router(t, alert.RouterConfig{
			Targets: []alert.Target{{Name: "sms", Notifier: sms, Pages: true}, {Name: "slack", Notifier: slack}, {Name: "mail", Notifier: mail}},
			Routes: []alert.Route{
				{Name: "critical", Match: alert.Matcher{Severities: []alert.Severity{alert.Critical}}, Targets: []string{"sms", "slack"}, Continue: true, Wait: -1},
				{Name: "beta", Match: alert.Matcher{Environments: []string{"beta"}}, Targets: []string{"mail"}, Wait: -1},
				{Name: "all", Targets: []string{"slack", "mail"}, GroupBy: []string{"entity"}, Wait: -1},
			},
		})
		a, b, c := firing(alert.Critical, "production", "a"), firing(alert.High, "production", "b"), firing(alert.Low, "beta", "c")
		handle(t, r, a, b, c)
		pass(time.Hour - time.Second)
		assert.Len(t, sms.told(), 1)
		assert.Len(t, slack.told(), 2)
		assert.Len(t, mail.told(), 3)
		for _, s := range r.Alerts() {
			assert.Equal(t, map[string][]string{"a": {"mail", "slack", "sms"}, "b": {"mail", "slack"}, "c": {"mail"}}[s.Entity], s.Told)
			assert.Empty(t, s.Muted, s.Entity)
		}
		handle(t, r, over(a), over(b), over(c))
		pass(time.Second)
		assert.Equal(t, 1, count(sms.kinds(), alert.KindResolved))
		assert.Equal(t, 2, count(slack.kinds(), alert.KindResolved))
		assert.Equal(t, 3, count(mail.kinds(), alert.KindResolved))
	})
}

// An alert that gets worse goes to those who are told of what is so bad, and those who were
// told already are told that it is worse.
func TestAnAlertThatGetsWorseIsRoutedAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sms, slack := &inbox{}, &inbox{}
		r := router(t, alert.RouterConfig{
			Targets: []alert.Target{{Name: "sms", Notifier: sms, Pages: true}, {Name: "slack", Notifier: slack}},
			Routes: []alert.Route{
				{Name: "critical", Match: alert.Matcher{Severities: []alert.Severity{alert.Critical}}, Targets: []string{"sms", "slack"}},
				{Name: "all", Targets: []string{"slack"}, Wait: -1},
			},
		})
		a := firing(alert.High, "production", "a")
		handle(t, r, a)
		pass(time.Minute)
		assert.Empty(t, sms.told())
		a.Severity = alert.Critical
		handle(t, r, a)
		pass(time.Second)
		assert.Equal(t, []alert.Kind{alert.KindFiring}, sms.kinds())
		require.Equal(t, []alert.Kind{alert.KindFiring, alert.KindUpdate}, slack.kinds())
		assert.Contains(t, slack.told()[1].Text, "it was high before")
		pass(time.Hour)
		assert.Equal(t, alert.KindReminder, slack.told()[2].Kind)
		assert.Equal(t, alert.KindReminder, sms.told()[1].Kind)
		a.Severity = alert.Medium
		handle(t, r, a)
		pass(time.Minute)
		handle(t, r, over(a))
		pass(time.Second)
		assert.Equal(t, alert.KindResolved, slack.told()[3].Kind)
		assert.Equal(t, alert.KindResolved, sms.told()[2].Kind, "who was paged is told that it is over, however bad it was in the end")
	})
}
