package alertmanager_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alertmanager"
	"go.acu.edu.au/runbook/alert/alerttest"
)

const token = "token-geheim"

func newAlertmanager(t testing.TB, change func(c *alertmanager.Config)) (*alerttest.Alertmanager, *alertmanager.Notifier) {
	t.Helper()
	m := &alerttest.Alertmanager{Token: token}
	cfg := alertmanager.Config{URL: "https://alertmanager.example.com", Token: runbook.NewSecret(token), HTTP: m.Client(), Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	n, err := alertmanager.New(cfg)
	require.NoError(t, err)
	return m, n
}

// Requirement: AL-SEND-SECRET
func TestNotifier(t *testing.T) {
	alerttest.TestNotifier(t, alerttest.NotifierHarness{New: func(t testing.TB) alerttest.NotifierCase {
		m, n := newAlertmanager(t, nil)
		return alerttest.NotifierCase{
			// Alertmanager shows alerts and no titles: here the title is what the alert says.
			Notifier: alert.NotifierFunc(func(ctx context.Context, what alert.Notification) (alert.Receipt, error) {
				for i := range what.Alerts {
					what.Alerts[i].Summary = what.Title
				}
				return n.Notify(ctx, what)
			}),
			Messages: func() (texts []string) {
				for _, a := range m.Alerts() {
					texts = append(texts, a.Annotations["summary"])
				}
				return texts
			},
			Fail:       func(next ...alerttest.Fault) bool { m.Fail(next...); return true },
			Recognises: true, Secrets: []string{token},
			Hostile: `{{ .Labels }}"}]<b>`, Escaped: `{{ .Labels }}"}]<b>`,
		}
	}})
}

func TestNewSaysAllProblems(t *testing.T) {
	secret := runbook.NewSecret("geheim")
	for name, c := range map[string]struct {
		cfg  alertmanager.Config
		want []string
	}{
		"empty":         {alertmanager.Config{}, []string{"URL must"}},
		"in the clear":  {alertmanager.Config{URL: "http://alertmanager:9093", Token: secret}, []string{"needs https"}},
		"both":          {alertmanager.Config{URL: "https://a", Token: secret, Username: "u", Password: secret}, []string{"either Token"}},
		"half":          {alertmanager.Config{URL: "https://a", Username: "u"}, []string{"go together"}},
		"label":         {alertmanager.Config{URL: "https://a", Labels: map[string]string{"1-a": "x"}}, []string{"1-a"}},
		"times":         {alertmanager.Config{URL: "https://a", Hold: time.Hour, Every: time.Hour, Timeout: -1}, []string{"Every"}},
		"user in URL":   {alertmanager.Config{URL: "https://u:geheim@a"}, []string{"URL must"}},
		"short to hold": {alertmanager.Config{URL: "https://a", Hold: time.Second}, []string{"Hold"}},
	} {
		_, err := alertmanager.New(c.cfg)
		require.Error(t, err, name)
		for _, want := range c.want {
			assert.ErrorContains(t, err, want, name)
		}
		assert.NotContains(t, err.Error(), "geheim")
	}
	_, n := newAlertmanager(t, nil)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", n, n, n), token)
}

func firing() alert.Alert {
	began := time.Now().Add(-90 * time.Second)
	return alert.Alert{
		Key: alert.Key("health_check", "production", "app", alert.Failing), Rule: "health_check", Environment: "production", Entity: "app",
		Severity: alert.High, State: alert.Firing, Summary: "app has failed 3 checks in a row", Detail: "GET /health: status 503",
		Playbook: "https://wiki.example.com/application-down", Affected: []string{"grading", "sync"},
		Labels: map[string]string{"team": "qa", "k8s.io/name": "x", "alertname": "not this one", "empty": ""}, Began: began, Fired: began.Add(time.Minute),
	}
}

func note(kind alert.Kind, seq int, prior alert.Receipt, alerts ...alert.Alert) alert.Notification {
	return alert.Notification{Key: "k", Seq: seq, Kind: kind, Severity: alerts[0].Severity, Title: "t", Text: "t\n", Alerts: alerts, At: time.Now(), Prior: prior}
}

var update = flag.Bool("update", false, "write golden files")

// TestForm compares what Alertmanager is told with a golden file.
func TestForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newAlertmanager(t, func(c *alertmanager.Config) { c.Labels = map[string]string{"source": "runbook", "severity": "no"} })
		acked := firing()
		acked.Entity, acked.Reason, acked.Playbook = "worker", alert.NoData, "worker-down"
		acked.Acknowledged = &alert.Acknowledgement{By: "ana"}
		over := firing()
		over.Entity, over.State, over.Ended = "database", alert.Resolved, time.Now().Add(-time.Second)
		_, err := n.Notify(t.Context(), note(alert.KindUpdate, 1, "", firing(), acked, over))
		require.NoError(t, err)
		test := alert.Notification{Key: "t", Seq: 1, Kind: alert.KindTest, Title: "Test message", Text: "Nothing is wrong.\n"}
		_, err = n.Notify(t.Context(), test)
		require.NoError(t, err)
		got, err := json.MarshalIndent(m.Alerts(), "", "  ")
		require.NoError(t, err)
		got = append(got, '\n')
		if *update {
			require.NoError(t, os.WriteFile("testdata/alerts.json", got, 0o600))
		}
		want, err := os.ReadFile("testdata/alerts.json")
		require.NoError(t, err)
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		require.Len(t, m.Firing(), 3)
		time.Sleep(2 * time.Minute)
		assert.Len(t, m.Firing(), 2, "the test ended by itself")
	})
}

// What is no alert is refused, and goes to the fallback.
func TestNoAlert(t *testing.T) {
	m, n := newAlertmanager(t, nil)
	for _, kind := range []alert.Kind{alert.KindPost, alert.KindNotice, alert.KindFiring} {
		_, err := n.Notify(t.Context(), alert.Notification{Key: "k", Seq: 1, Kind: kind, Title: "t"})
		require.ErrorIs(t, err, alert.ErrRefused)
	}
	assert.Zero(t, m.Posts())
}

// TestEscalation changes the severity, which is another alert to Alertmanager: the one from
// before ends, also when the notifier was restarted in between.
func TestEscalation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newAlertmanager(t, nil)
		a := firing()
		first, err := n.Notify(t.Context(), note(alert.KindFiring, 1, "", a))
		require.NoError(t, err)
		time.Sleep(time.Minute)
		again, err := alertmanager.New(alertmanager.Config{URL: "https://a", Token: runbook.NewSecret(token), HTTP: m.Client()})
		require.NoError(t, err)
		a.Severity = alert.Critical
		second, err := again.Notify(t.Context(), note(alert.KindUpdate, 2, first, a))
		require.NoError(t, err)
		require.Len(t, m.Firing(), 1)
		assert.Equal(t, "critical", m.Firing()[0].Labels["severity"])
		a.State, a.Severity = alert.Resolved, alert.Medium
		last, err := again.Notify(t.Context(), note(alert.KindResolved, 3, second, a))
		require.NoError(t, err)
		assert.Empty(t, m.Firing())
		assert.Empty(t, last)
	})
}

// TestNothingEndsBySilence has an alert fire for days, over restarts of Alertmanager, and
// ends it over another one.
func TestNothingEndsBySilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, n := newAlertmanager(t, nil)
		r, err := alert.NewRouter(alert.RouterConfig{
			Targets: []alert.Target{{Name: "alertmanager", Notifier: n}}, Store: &alert.MemoryStore{}, Logger: slog.New(slog.DiscardHandler),
			Routes: []alert.Route{{Name: "all", Targets: []string{"alertmanager"}, Wait: -1}},
		})
		require.NoError(t, err)
		require.NoError(t, r.Start(t.Context()))
		t.Cleanup(func() { assert.NoError(t, r.Stop(context.WithoutCancel(t.Context()))) })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() {
			done <- n.Run(ctx, func() []alert.Alert { return alertmanager.Told(r, "alertmanager") })
		}()
		a := firing()
		require.NoError(t, r.Handle(t.Context(), a))
		time.Sleep(time.Second)
		require.NoError(t, r.Acknowledge(t.Context(), a.Key, alert.Acknowledgement{By: "ana"})) // there are no reminders
		for range 72 {
			time.Sleep(time.Hour)
			require.Len(t, m.Firing(), 1)
		}
		m.Restart()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, m.Firing(), 1, "it is told again")
		m.Fail(alerttest.ServerError, alerttest.Unreachable)
		time.Sleep(2 * time.Minute)
		m.Restart()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, m.Firing(), 1, "also after it could not be told")

		a.State, a.Ended = alert.Resolved, time.Now()
		require.NoError(t, r.Handle(t.Context(), a))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Empty(t, m.Firing())
		m.Restart()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Len(t, m.Alerts(), 1, "the end is told again")
		assert.Empty(t, m.Firing())
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		posts := m.Posts()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		assert.Equal(t, posts, m.Posts(), "and not for ever")
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

// An end that comes while alerts are told again stays the end.
func TestEndWhileResending(t *testing.T) {
	m, n := newAlertmanager(t, nil)
	a := firing()
	prior, err := n.Notify(t.Context(), note(alert.KindFiring, 1, "", a))
	require.NoError(t, err)
	stale := []alert.Alert{a}
	a.State = alert.Resolved
	_, err = n.Notify(t.Context(), note(alert.KindResolved, 2, prior, a))
	require.NoError(t, err)
	require.NoError(t, n.Resend(t.Context(), stale))
	assert.Empty(t, m.Firing())
	a.State = alert.Firing
	_, err = n.Notify(t.Context(), note(alert.KindFiring, 1, "", a))
	require.NoError(t, err)
	require.NoError(t, n.Resend(t.Context(), []alert.Alert{a}))
	assert.Len(t, m.Firing(), 1, "it fires again")
}

// Times that Alertmanager would refuse are put right.
func TestOddTimes(t *testing.T) {
	m, n := newAlertmanager(t, nil)
	a := firing()
	a.State, a.Fired, a.Began, a.Ended = alert.Resolved, time.Now().Add(time.Hour), time.Time{}, time.Now().Add(2*time.Hour)
	a.Detail = "broken \xff" + strings.Repeat("é", 5000)
	_, err := n.Notify(t.Context(), note(alert.KindResolved, 1, "", a))
	require.NoError(t, err)
	require.Len(t, m.Alerts(), 1)
	assert.Empty(t, m.Firing())
}

// Two labels that become one are always the same one: another one would be another alert to
// Alertmanager, and the first would go on firing.
func TestLabelsThatBecomeOne(t *testing.T) {
	m, n := newAlertmanager(t, nil)
	a := firing()
	a.Labels = map[string]string{"k8s.io/name": "x", "k8s-io-name": "y", "k8s_io_name": "z", "k8s io name": "w"}
	for range 50 {
		_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, "", a))
		require.NoError(t, err)
	}
	assert.Len(t, m.Firing(), 1)
}
