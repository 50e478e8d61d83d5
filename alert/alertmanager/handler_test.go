package alertmanager_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alertmanager"
)

// taker is a handler of alerts that keeps them.
type taker struct {
	mu  sync.Mutex
	got []alert.Alert
	err error
}

func (k *taker) Handle(_ context.Context, a alert.Alert) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.got = append(k.got, a)
	return k.err
}

func (k *taker) taken() []alert.Alert {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]alert.Alert(nil), k.got...)
}

func receiver(t testing.TB, k *taker, change func(c *alertmanager.HandlerConfig)) http.Handler {
	t.Helper()
	cfg := alertmanager.HandlerConfig{Out: k, Token: runbook.NewSecret(token), Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	h, err := alertmanager.NewHandler(cfg)
	require.NoError(t, err)
	return h
}

func post(h http.Handler, body, token string) int {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestNewHandler(t *testing.T) {
	_, err := alertmanager.NewHandler(alertmanager.HandlerConfig{Severity: 9})
	require.Error(t, err)
	for _, want := range []string{"Out", "Token", "severity 9"} {
		assert.ErrorContains(t, err, want)
	}
}

// published is a payload of Alertmanager 0.25, published with
// https://docs.rs/crate/alertmanager-webhook-types (read on 27 November 2026).
func published(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("testdata/webhook.json")
	require.NoError(t, err)
	return string(data)
}

func TestPublishedPayload(t *testing.T) {
	k := &taker{}
	h := receiver(t, k, func(c *alertmanager.HandlerConfig) { c.Environment = "production" })
	require.Equal(t, http.StatusNoContent, post(h, published(t), token))
	require.Len(t, k.got, 1)
	began := time.Date(2023, time.February, 6, 13, 8, 45, 828_000_000, time.UTC)
	want := alert.Alert{
		Key: k.got[0].Key, Rule: "ProbeFailure", Environment: "production", Entity: "https://server.example.org", Severity: alert.Critical,
		State: alert.Firing, Summary: "BlackBox Probe Failure: https://server.example.org",
		Detail: "Instance https://server.example.org has been down for over 5m. Job: http_checks",
		Labels: map[string]string{
			"alertname": "ProbeFailure", "instance": "https://server.example.org", "job": "http_checks", "monitor": "master", "severity": "critical",
		},
		Began: began, Fired: began,
	}
	assert.Empty(t, cmp.Diff(want, k.got[0]))
	assert.Len(t, k.got[0].Key, 32)

	over := strings.NewReplacer(`"firing"`, `"resolved"`, `"0001-01-01T00:00:00Z"`, `"2023-02-06T14:00:00Z"`).Replace(published(t))
	require.Equal(t, http.StatusNoContent, post(h, over, token))
	require.Len(t, k.got, 2)
	assert.Equal(t, want.Key, k.got[1].Key, "it is the same alert")
	assert.Equal(t, alert.Resolved, k.got[1].State)
	assert.Equal(t, "2023-02-06T14:00:00Z", k.got[1].Ended.Format(time.RFC3339))

	other := strings.Replace(published(t), "master", "standby", 1)
	require.Equal(t, http.StatusNoContent, post(h, other, token))
	assert.NotEqual(t, want.Key, k.got[2].Key, "other labels are another alert")
}

func TestSeverities(t *testing.T) {
	for value, want := range map[string]alert.Severity{
		"critical": alert.Critical, "PAGE": alert.Critical, "error": alert.High, "warning": alert.Medium, "info": alert.Low,
		"": alert.High, "whatever": alert.High, "p1": alert.Critical,
	} {
		k := &taker{}
		h := receiver(t, k, func(c *alertmanager.HandlerConfig) { c.Severities = map[string]alert.Severity{"p1": alert.Critical} })
		require.Equal(t, http.StatusNoContent, post(h, strings.ReplaceAll(published(t), `"severity": "critical"`, `"severity": "`+value+`"`), token))
		assert.Equal(t, want, k.got[0].Severity, value)
	}
}

func TestReceiver(t *testing.T) {
	for name, c := range map[string]struct {
		body, token string
		want        int
	}{
		"no token":    {published(t), "", http.StatusUnauthorized},
		"wrong token": {published(t), token + "x", http.StatusUnauthorized},
		"no JSON":     {"hello", token, http.StatusBadRequest},
		"version 5":   {strings.Replace(published(t), `"version": "4"`, `"version": "5"`, 1), token, http.StatusBadRequest},
		"status": {strings.Replace(published(t), `"status": "firing",
      "labels"`, `"status": "pending", "labels"`, 1), token, http.StatusBadRequest},
		"no labels": {`{"version":"4","alerts":[{"status":"firing"}]}`, token, http.StatusBadRequest},
		"no time":   {`{"version":"4","alerts":[{"status":"firing","labels":{"a":"b"},"startsAt":"soon"}]}`, token, http.StatusBadRequest},
		"too large": {strings.Repeat(" ", 8<<20) + published(t), token, http.StatusRequestEntityTooLarge},
		"no alerts": {`{"version":"4","alerts":[]}`, token, http.StatusNoContent},
	} {
		k := &taker{}
		assert.Equal(t, c.want, post(receiver(t, k, nil), c.body, c.token), name)
		assert.Empty(t, k.got, name)
	}
}

// What was not taken is sent again by Alertmanager after a 5xx, and after nothing else.
func TestNotTaken(t *testing.T) {
	k := &taker{err: errors.New("the store is down")}
	assert.Equal(t, http.StatusServiceUnavailable, post(receiver(t, k, nil), published(t), token))
}

func TestTruncated(t *testing.T) {
	var log bytes.Buffer
	h := receiver(t, &taker{}, func(c *alertmanager.HandlerConfig) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	assert.Equal(t, http.StatusNoContent, post(h, strings.Replace(published(t), `"truncatedAlerts": 0`, `"truncatedAlerts": 7`, 1), token))
	assert.Contains(t, log.String(), "left_out=7")
}

// What Alertmanager was told by us comes back as it was.
func TestThereAndBack(t *testing.T) {
	m, n := newAlertmanager(t, nil)
	a := firing()
	_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, "", a))
	require.NoError(t, err)
	k := &taker{}
	w := httptest.NewRecorder()
	receiver(t, k, nil).ServeHTTP(w, m.WebhookRequest(token))
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Len(t, k.got, 1)
	back := k.got[0]
	for _, pair := range [][2]any{
		{a.Rule, back.Rule}, {a.Environment, back.Environment}, {a.Entity, back.Entity}, {a.Severity, back.Severity},
		{a.Summary, back.Summary}, {a.Detail, back.Detail}, {a.Playbook, back.Playbook}, {alert.Firing, back.State},
	} {
		assert.Equal(t, pair[0], pair[1])
	}
	assert.WithinDuration(t, a.Fired, back.Began, 0)
}

func FuzzReceiver(f *testing.F) {
	f.Add([]byte(published(f)))
	f.Add([]byte(`{"version":"4","alerts":[{"status":"resolved","labels":{"":""},"endsAt":"2026-10-05T03:12:00Z"}]}`))
	f.Add([]byte(`{"version":"4","truncatedAlerts":1,"alerts":[{"status":"firing","labels":{"severity":"info","instance":"\u0000"}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		k := &taker{}
		code := post(receiver(t, k, nil), string(body), token)
		if code != http.StatusNoContent && len(k.got) > 0 {
			t.Errorf("status %d, and alerts were taken", code)
		}
		for _, a := range k.got {
			if len(a.Key) != 32 || a.Rule == "" || a.Summary == "" || a.Began.IsZero() || a.Severity < alert.Critical || a.Severity > alert.Low {
				t.Errorf("not an alert: %+v", a)
			}
			if a.State == alert.Resolved && a.Ended.Before(a.Began) && !a.Began.After(time.Now()) {
				t.Errorf("it ended before it began: %+v", a)
			}
		}
	})
}

// BenchmarkReceiver measures a request with an alert. The target is 100 µs.
func BenchmarkReceiver(b *testing.B) {
	h := receiver(b, &taker{}, func(c *alertmanager.HandlerConfig) { c.Out = nothing{} })
	body := published(b)
	b.ReportAllocs()
	for b.Loop() {
		if post(h, body, token) != http.StatusNoContent {
			b.Fatal("not taken")
		}
	}
}

type nothing struct{}

func (nothing) Handle(context.Context, alert.Alert) error { return nil }

// A token is taken as a bearer token only, and the words for severities are read in whatever
// case.
func TestBearerAndCase(t *testing.T) {
	var k taker
	h := receiver(t, &k, func(c *alertmanager.HandlerConfig) { c.Severities = map[string]alert.Severity{"P1": alert.Critical} })
	const body = `{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"x","severity":"p1"}}]}`
	for header, want := range map[string]int{
		token: http.StatusUnauthorized, "Basic " + token: http.StatusUnauthorized, "bearer " + token: http.StatusNoContent, "Bearer  " + token: http.StatusUnauthorized,
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, want, w.Code, header)
	}
	require.Len(t, k.taken(), 1)
	assert.Equal(t, alert.Critical, k.taken()[0].Severity)
}
