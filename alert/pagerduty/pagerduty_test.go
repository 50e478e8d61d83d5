package pagerduty_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/internal/story"
	"go.acu.edu.au/runbook/alert/pagerduty"
)

const routingKey = "R0123456789abcdef0123456789abcde"

func notifier(t testing.TB, service *alerttest.PagerDuty, change ...func(*pagerduty.Config)) *pagerduty.Notifier {
	t.Helper()
	service.RoutingKey = routingKey
	cfg := pagerduty.Config{RoutingKey: runbook.NewSecret(routingKey), Playbooks: "https://runbook.example.edu/playbooks", HTTP: service.Client()}
	for _, c := range change {
		c(&cfg)
	}
	n, err := pagerduty.New(cfg)
	require.NoError(t, err)
	return n
}

// seen is what people see of the alerts. A message that comes again is one more entry in
// the log of the same alert, which pages nobody: it counts once.
func seen(service *alerttest.PagerDuty) (list []string) {
	for _, a := range service.Alerts() {
		for _, e := range a.Log {
			text := fmt.Sprintf("%s %s\n%v", e.Action, e.Payload.Summary, e.Payload.Details["message"])
			if len(list) == 0 || list[len(list)-1] != text {
				list = append(list, text)
			}
		}
	}
	return list
}

func TestNotifier(t *testing.T) {
	alerttest.TestNotifier(t, alerttest.NotifierHarness{New: func(t testing.TB) alerttest.NotifierCase {
		service := &alerttest.PagerDuty{}
		return alerttest.NotifierCase{
			Notifier: notifier(t, service), Messages: func() []string { return seen(service) },
			Conversations: func() int { return len(service.Alerts()) },
			Fail:          func(next ...alerttest.Fault) bool { service.Fail(next...); return true },
			Recognises:    true, Secrets: []string{routingKey},
		}
	}})
}

func TestGolden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &alerttest.PagerDuty{}
		var b strings.Builder
		shown := 0
		story.Night(t, notifier(t, service), func(step string) {
			a := service.Alerts()[0]
			for _, e := range a.Log[shown:] {
				fmt.Fprintf(&b, "=== %s: %s, then %s, severity %s\n%s\n", step, e.Action, a.Status, e.Payload.Severity, e.Payload.Summary)
				fmt.Fprintf(&b, "source %s, component %s, class %s, group %s, at %s\n", e.Payload.Source, e.Payload.Component, e.Payload.Class, e.Payload.Group, e.Payload.Timestamp)
				for _, l := range e.Links {
					fmt.Fprintf(&b, "link: %s <%s>\n", l.Text, l.Href)
				}
				fmt.Fprintf(&b, "---\n%v\n", e.Payload.Details["message"])
			}
			shown = len(a.Log)
		})
		story.Golden(t, "night.txt", b.String())
	})
}

// Requirement: AL-PAGERDUTY-KEY
// Requirement: AL-GATUS-DEDUP-KEY
func TestKeyIsOurs(t *testing.T) {
	service := &alerttest.PagerDuty{}
	n := notifier(t, service)
	note := alert.Notification{Key: strings.Repeat("k", 64), Seq: 1, Kind: alert.KindFiring, Severity: alert.High, Title: "it is slow", Text: "it is slow\n", At: time.Now()}
	service.Fail(alerttest.Lost)
	_, err := n.Notify(t.Context(), note)
	require.Error(t, err)
	assert.False(t, runbook.SafeToRetry(err))
	note.PossibleRepeat = true
	receipt, err := n.Notify(t.Context(), note)
	require.NoError(t, err)
	assert.Equal(t, alert.Receipt(note.Key), receipt)
	require.Len(t, service.Alerts(), 1, "a lost answer opens nothing twice")
	assert.Equal(t, note.Key, service.Alerts()[0].Key)
	assert.LessOrEqual(t, len(note.Key), 255)
}

// Requirement: AL-PAGERDUTY-SIZE
func TestSize(t *testing.T) {
	service := &alerttest.PagerDuty{}
	n := notifier(t, service)
	note := alert.Notification{
		Key: "k", Seq: 1, Kind: alert.KindFiring, Severity: alert.High, At: time.Now(),
		Title: "slow\nline " + strings.Repeat("é", 2000), Text: strings.Repeat("x<>", 200<<10),
		Alerts: []alert.Alert{story.Down(time.Now())},
	}
	_, err := n.Notify(t.Context(), note)
	require.NoError(t, err)
	got := service.Alerts()[0].Log[0]
	assert.Len(t, []rune(got.Payload.Summary), 1024)
	assert.True(t, strings.HasSuffix(got.Payload.Summary, "…"))
	assert.NotContains(t, got.Payload.Summary, "\n")
	assert.Equal(t, "The details were too large for PagerDuty and were left out.", got.Payload.Details["message"])
	assert.Equal(t, []alerttest.Link{{Href: "https://runbook.example.edu/application-down", Text: "Playbook"}}, got.Links)
}

// Where PagerDuty escalates, other targets that page stay silent, but for its fallback
// when it does not take the message.
//
// Requirement: AL-PAGERDUTY-TWICE
func TestNobodyIsPagedTwice(t *testing.T) {
	for name, refuse := range map[string]bool{"taken": false, "refused": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service, sms, mail := &alerttest.PagerDuty{}, &alerttest.Recorder{}, &alerttest.Recorder{}
				if refuse {
					service.Fail(alerttest.Refuse)
				}
				r, err := alert.NewRouter(alert.RouterConfig{
					Targets: []alert.Target{
						{Name: "pagerduty", Notifier: notifier(t, service), Pages: true, Fallback: "sms"},
						{Name: "sms", Notifier: sms, Pages: true}, {Name: "mail", Notifier: mail},
					},
					Routes: []alert.Route{
						{Name: "page", Targets: []string{"pagerduty", "sms"}, Continue: true},
						{Name: "all", Targets: []string{"sms", "mail"}},
					},
				})
				require.NoError(t, err)
				require.NoError(t, r.Start(t.Context()))
				defer func() { assert.NoError(t, r.Stop(context.WithoutCancel(t.Context()))) }()
				a := story.Down(time.Now())
				require.NoError(t, r.Handle(t.Context(), a))
				time.Sleep(time.Minute)
				assert.Len(t, mail.Notifications(), 1, "who is not paged is told")
				if refuse {
					assert.Empty(t, service.Alerts())
					assert.NotEmpty(t, sms.Notifications(), "the fallback pages")
					return
				}
				assert.Len(t, service.Alerts(), 1)
				assert.Empty(t, sms.Notifications())
				assert.Contains(t, r.Alerts()[0].Muted["sms"], "pagerduty")
				time.Sleep(5 * time.Hour)
				log := service.Alerts()[0].Log
				assert.Greater(t, len(log), 1, "reminders are entries of the same alert")
				assert.Empty(t, sms.Notifications())
			})
		})
	}
}

func TestSeverities(t *testing.T) {
	service := &alerttest.PagerDuty{}
	n := notifier(t, service)
	for severity, want := range map[alert.Severity]string{alert.Critical: "critical", alert.High: "error", alert.Medium: "warning", alert.Low: "info"} {
		_, err := n.Notify(t.Context(), alert.Notification{Key: severity.String(), Kind: alert.KindFiring, Severity: severity, Title: "x", At: time.Now()})
		require.NoError(t, err)
		at := slices.IndexFunc(service.Alerts(), func(a alerttest.PagerDutyAlert) bool { return a.Key == severity.String() })
		assert.Equal(t, want, service.Alerts()[at].Severity)
	}
	_, err := n.Notify(t.Context(), alert.Notification{Key: "test", Kind: alert.KindTest, Severity: alert.Critical, Title: "Test message", At: time.Now()})
	require.NoError(t, err)
	last := service.Alerts()[len(service.Alerts())-1]
	assert.Equal(t, "info", last.Severity, "a test wakes nobody")
	for _, kind := range []alert.Kind{alert.KindPost, alert.KindNotice} {
		_, err := n.Notify(t.Context(), alert.Notification{Key: "p", Kind: kind, Title: "x", At: time.Now()})
		assert.ErrorIs(t, err, alert.ErrRefused)
	}
}

// A conversation is acknowledged when all of it is, and not when more may be in it.
func TestAcknowledge(t *testing.T) {
	ack := &alert.Acknowledgement{By: "Ana"}
	a, b, over := story.Down(time.Now()), story.Slow(time.Now()), story.Slow(time.Now())
	over.State = alert.Resolved
	acked := a
	acked.Acknowledged = ack
	many := slices.Repeat([]alert.Alert{acked}, 30)
	for name, c := range map[string]struct {
		kind   alert.Kind
		alerts []alert.Alert
		want   string
	}{
		"all":              {alert.KindUpdate, []alert.Alert{acked, over}, "acknowledged"},
		"some":             {alert.KindUpdate, []alert.Alert{acked, b}, "triggered"},
		"none":             {alert.KindUpdate, []alert.Alert{a}, "triggered"},
		"more than told":   {alert.KindUpdate, many, "triggered"},
		"only what's over": {alert.KindUpdate, []alert.Alert{over}, "triggered"},
	} {
		t.Run(name, func(t *testing.T) {
			service := &alerttest.PagerDuty{}
			n := notifier(t, service)
			for i, kind := range []alert.Kind{alert.KindFiring, c.kind} {
				_, err := n.Notify(t.Context(), alert.Notification{Key: "k", Seq: i + 1, Kind: kind, Severity: alert.Critical, Title: "x", Alerts: c.alerts, At: time.Now()})
				require.NoError(t, err)
			}
			assert.Equal(t, c.want, service.Alerts()[0].Status)
		})
	}
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &alerttest.PagerDuty{}
		n := notifier(t, service)
		var err error
		for i := range 121 {
			_, err = n.Notify(t.Context(), alert.Notification{Key: fmt.Sprint(i), Kind: alert.KindFiring, Title: "x", At: time.Now()})
		}
		require.ErrorIs(t, err, alert.ErrLimited)
		assert.Contains(t, err.Error(), "throttle exceeded")
	})
}

func TestNew(t *testing.T) {
	_, err := pagerduty.New(pagerduty.Config{URL: "http://x", ClientURL: "javascript:alert(1)", Playbooks: "here"})
	require.Error(t, err)
	for _, text := range []string{"RoutingKey", "https", "ClientURL", "Playbooks"} {
		assert.ErrorContains(t, err, text)
	}
	_, err = pagerduty.New(pagerduty.Config{RoutingKey: runbook.NewSecret(routingKey), Playbooks: "https://ana:geheim@runbook.example.edu", Timeout: -1})
	assert.EqualError(t, err, "pagerduty: Timeout is negative\npagerduty: Playbooks must be an address with http or https, and no credentials")
}

// BenchmarkNotify makes a message and sends it in memory: below 100 µs.
func BenchmarkNotify(b *testing.B) {
	service := &sink{}
	n, err := pagerduty.New(pagerduty.Config{RoutingKey: runbook.NewSecret(routingKey), HTTP: service.client()})
	require.NoError(b, err)
	note := alert.Notification{Key: "k", Kind: alert.KindFiring, Severity: alert.High, Title: "it is slow", Text: strings.Repeat("a line\n", 40), Alerts: []alert.Alert{story.Down(time.Now())}, At: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.Notify(b.Context(), note); err != nil {
			b.Fatal(err)
		}
	}
}
