package pagerduty_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
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

// sink takes everything.
type sink struct{}

func (sink) RoundTrip(r *http.Request) (*http.Response, error) {
	_, err := io.Copy(io.Discard, r.Body)
	return &http.Response{StatusCode: http.StatusAccepted, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, err
}

func (s sink) client() *http.Client { return &http.Client{Transport: s} }

const secret = "kLm3"

func signature(body string, secrets ...string) string {
	var all []string
	for _, s := range secrets {
		mac := hmac.New(sha256.New, []byte(s))
		mac.Write([]byte(body))
		all = append(all, "v1="+hex.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, ",")
}

func receiver(t testing.TB, got *[]pagerduty.Event, err error) *pagerduty.Webhook {
	t.Helper()
	hook, problem := pagerduty.NewWebhook(pagerduty.WebhookConfig{
		Secrets: []runbook.Secret{runbook.NewSecret("old"), runbook.NewSecret(secret)},
		OnEvent: func(_ context.Context, e pagerduty.Event) error {
			*got = append(*got, e)
			return err
		},
	})
	require.NoError(t, problem)
	return hook
}

func post(h http.Handler, body, signed string) int {
	r := httptest.NewRequest(http.MethodPost, "/hooks/pagerduty", strings.NewReader(body))
	if signed != "" {
		r.Header.Set("X-PagerDuty-Signature", signed)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// at is in a bubble whose time is that of the published example.
func at(t *testing.T, test func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2020, time.October, 2, 18, 45, 25, 0, time.UTC)))
		test(t)
	})
}

func TestPublishedExample(t *testing.T) {
	body, err := os.ReadFile("testdata/acknowledged.json")
	require.NoError(t, err)
	at(t, func(t *testing.T) {
		var got []pagerduty.Event
		assert.Equal(t, http.StatusAccepted, post(receiver(t, &got, nil), string(body), signature(string(body), secret)))
		assert.Equal(t, []pagerduty.Event{{
			ID: "01BWLQ3Q4TJSVRRWVDZUXCQEMM", Type: pagerduty.Acknowledged, Key: "d3640fbd41094207a1c11e58e46b1662", By: "Tenex Engineer", Person: true,
			At: time.Date(2020, time.October, 2, 18, 45, 22, 169e6, time.UTC), Title: "A little bump in the road", URL: "https://acme.pagerduty.com/incidents/PGR0VU2",
		}}, got)
	})
}

func TestSignature(t *testing.T) {
	data, err := os.ReadFile("testdata/acknowledged.json")
	require.NoError(t, err)
	body := string(data)
	good := signature(body, secret)
	for name, c := range map[string]struct {
		signed string
		want   int
	}{
		"one":              {good, 202},
		"of several":       {signature(body, "another", secret), 202},
		"with spaces":      {"v1=00, " + good, 202},
		"rotated out":      {signature(body, "old"), 202},
		"none":             {"", 401},
		"by another":       {signature(body, "another"), 401},
		"of another body":  {signature(body+" ", secret), 401},
		"empty":            {"v1=", 401},
		"another version":  {"v2=" + strings.TrimPrefix(good, "v1="), 401},
		"without version":  {strings.TrimPrefix(good, "v1="), 401},
		"by the empty key": {signature(body, ""), 401},
	} {
		t.Run(name, func(t *testing.T) {
			at(t, func(t *testing.T) {
				var got []pagerduty.Event
				assert.Equal(t, c.want, post(receiver(t, &got, nil), body, c.signed))
				assert.Len(t, got, map[bool]int{true: 1, false: 0}[c.want == 202])
			})
		})
	}
}

func TestReceiver(t *testing.T) {
	data, err := os.ReadFile("testdata/acknowledged.json")
	require.NoError(t, err)
	example := string(data)
	change := func(old, new string) string { return strings.Replace(example, old, new, 1) }
	for name, c := range map[string]struct {
		body   string
		err    error
		want   int
		events int
	}{
		"the host fails":     {example, errors.New("no database"), 500, 1},
		"no such alert":      {example, alert.ErrNoAlert, 202, 1},
		"another type":       {change("incident.acknowledged", "incident.escalated"), nil, 202, 0},
		"a trial":            {`{"event": {"id": "1", "event_type": "pagey.ping", "resource_type": "pagey", "occurred_at": "2020-10-02T18:45:22.169Z", "agent": null, "client": null, "data": {"message": "Hello from your friend Pagey!", "type": "ping"}}}`, nil, 202, 0},
		"without a key":      {change(`"incident_key": "d3640fbd41094207a1c11e58e46b1662",`, ""), nil, 202, 0},
		"too old":            {change("2020-10-02T18:45:22", "2020-09-30T17:45:22"), nil, 400, 0},
		"late, by a retry":   {change("2020-10-02T18:45:22", "2020-09-30T18:45:22"), nil, 202, 1},
		"from the future":    {change("2020-10-02T18:45:22", "2020-10-02T20:45:22"), nil, 400, 0},
		"not JSON":           {"{", nil, 400, 0},
		"not an event":       {"{}", nil, 400, 0},
		"larger than theirs": {example + strings.Repeat(" ", 256<<10), nil, 413, 0},
	} {
		t.Run(name, func(t *testing.T) {
			at(t, func(t *testing.T) {
				var got []pagerduty.Event
				assert.Equal(t, c.want, post(receiver(t, &got, c.err), c.body, signature(c.body, secret)))
				assert.Len(t, got, c.events)
			})
		})
	}
	w := httptest.NewRecorder()
	receiver(t, nil, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
	_, err = pagerduty.NewWebhook(pagerduty.WebhookConfig{Secrets: []runbook.Secret{{}}})
	assert.ErrorContains(t, err, "secret 1")
	assert.ErrorContains(t, err, "OnEvent")
}

// Somebody acknowledges at PagerDuty, and the router knows: nobody is reminded.
func TestAcknowledgementFlowsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, chat := &alerttest.PagerDuty{Secret: secret}, &alerttest.Recorder{}
		r, err := alert.NewRouter(alert.RouterConfig{
			Targets: []alert.Target{{Name: "pagerduty", Notifier: notifier(t, service), Pages: true}, {Name: "chat", Notifier: chat}},
			Routes:  []alert.Route{{Name: "all", Targets: []string{"pagerduty", "chat"}}},
		})
		require.NoError(t, err)
		require.NoError(t, r.Start(t.Context()))
		defer func() { assert.NoError(t, r.Stop(context.WithoutCancel(t.Context()))) }()
		require.NoError(t, r.Handle(t.Context(), story.Down(time.Now())))
		time.Sleep(time.Minute)
		hook, err := pagerduty.NewWebhook(pagerduty.WebhookConfig{
			Secrets: []runbook.Secret{runbook.NewSecret(secret)},
			OnEvent: func(ctx context.Context, e pagerduty.Event) error {
				if e.Type != pagerduty.Acknowledged || !e.Person {
					return nil
				}
				return r.AcknowledgeConversation(ctx, e.Key, alert.Acknowledgement{By: e.By, At: e.At})
			},
		})
		require.NoError(t, err)
		send := func(key, by string) int {
			req, err := service.Webhook("https://host.example.edu/", "incident.acknowledged", key, by)
			require.NoError(t, err)
			w := httptest.NewRecorder()
			hook.ServeHTTP(w, req)
			return w.Code
		}
		key := service.Alerts()[0].Key
		assert.Equal(t, http.StatusAccepted, send(key, ""), "the echo of our own event")
		assert.Nil(t, r.Alerts()[0].Acknowledged)
		assert.Equal(t, http.StatusAccepted, send(key, "Ana Silva"))
		assert.Equal(t, http.StatusAccepted, send("of another conversation", "Ana Silva"))
		time.Sleep(time.Minute)
		assert.Equal(t, "Ana Silva", r.Alerts()[0].Acknowledged.By)
		assert.Contains(t, chat.Notifications()[1].Text, "Ana Silva takes care of it")
		assert.Equal(t, "acknowledged", service.Alerts()[0].Status)
		told := len(chat.Notifications())
		time.Sleep(24 * time.Hour)
		assert.Len(t, chat.Notifications(), told, "nobody is reminded")
	})
}

// FuzzWebhook feeds bodies to the receiver: signed or not, it never fails.
func FuzzWebhook(f *testing.F) {
	example, err := os.ReadFile("testdata/acknowledged.json")
	require.NoError(f, err)
	f.Add(string(example), signature(string(example), secret))
	f.Add(`{"event": null}`, "v1=00")
	f.Add(`{"event": {"agent": null, "data": null, "occurred_at": "x"}}`, "v1=,v1,=,")
	f.Add(`[]`, strings.Repeat("v1=00,", 100))
	f.Fuzz(func(t *testing.T, body, signed string) {
		var got []pagerduty.Event
		hook := receiver(t, &got, nil)
		if code := post(hook, body, signed); code == 202 && signed != signature(body, secret) && !strings.Contains(signed, signature(body, secret)) && !strings.Contains(signed, signature(body, "old")) {
			t.Errorf("taken without a signature: %q", signed)
		}
		post(hook, body, signature(body, secret))
		for _, e := range got {
			if e.Key == "" || e.Type != pagerduty.Acknowledged && e.Type != pagerduty.Resolved || time.Since(e.At) > 50*time.Hour {
				t.Errorf("handed over: %+v", e)
			}
		}
	})
}
