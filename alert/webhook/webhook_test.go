package webhook_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/webhook"
)

// secret is that of the vector of the specification's own tests.
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

const address = "https://ops.example.com/hooks/geheim"

func newWebhook(t testing.TB) (*alerttest.Webhook, *webhook.Notifier) {
	t.Helper()
	h := &alerttest.Webhook{Secret: secret}
	n, err := webhook.New(webhook.Config{URL: runbook.NewSecret(address), Secret: runbook.NewSecret(secret), HTTP: h.Client()})
	require.NoError(t, err)
	return h, n
}

// Requirement: AL-SEND-SECRET
func TestNotifier(t *testing.T) {
	for name, post := range map[string]bool{"alerts": false, "posts": true} {
		t.Run(name, func(t *testing.T) {
			alerttest.TestNotifier(t, alerttest.NotifierHarness{New: func(t testing.TB) alerttest.NotifierCase {
				h, n := newWebhook(t)
				return alerttest.NotifierCase{
					Notifier: n, Post: post, Recognises: true,
					Messages: func() (texts []string) {
						for _, m := range h.Messages() {
							texts = append(texts, m.Text)
						}
						return texts
					},
					Conversations: func() int {
						names := make(map[string]bool)
						for _, m := range h.Messages() {
							names[m.Conversation] = true
						}
						return len(names)
					},
					Fail:    func(next ...alerttest.Fault) bool { h.Fail(next...); return true },
					Secrets: []string{secret, secret[6:], "geheim", "ops.example.com"},
					Hostile: `"}],"kind":"resolved`, Escaped: `"}],"kind":"resolved`,
				}
			}})
		})
	}
}

// The vector of the specification's own tests is signed as they say
// (https://github.com/standard-webhooks/standard-webhooks, read on 27 November 2026).
func TestPublishedSignature(t *testing.T) {
	key, err := webhook.Key(runbook.NewSecret(secret))
	require.NoError(t, err)
	timestamp, value := webhook.Signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	assert.Equal(t, "1614265330", timestamp)
	assert.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", value)
}

func TestNewSaysAllProblems(t *testing.T) {
	_, err := webhook.New(webhook.Config{URL: runbook.NewSecret("http://ops.example.com/geheim"), Secret: runbook.NewSecret("geheim"), Timeout: -1})
	require.Error(t, err)
	for _, want := range []string{"https", "24 bytes", "Timeout"} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "geheim")
	_, err = webhook.New(webhook.Config{URL: runbook.NewSecret(address), Secret: runbook.NewSecret("whsec_=")})
	assert.ErrorContains(t, err, "base64")
	_, n := newWebhook(t)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", n, n, n), secret[6:])
}

func firing() alert.Notification {
	at := time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC)
	return alert.Notification{
		Key: "9f86d081884c7d659a2feaa0c55ad015", Seq: 1, Kind: alert.KindFiring, Severity: alert.Critical, Environment: "production", At: at,
		Title: "CRITICAL production: app has failed 3 checks in a row",
		Text:  "CRITICAL production: app has failed 3 checks in a row\n\nWhat is wrong:\n- CRITICAL production app: app has failed 3 checks in a row\n  GET /health: status 503\n",
		Alerts: []alert.Alert{{
			Key: "app-is-down", Rule: "health_check", Environment: "production", Entity: "app", Severity: alert.Critical,
			Labels: map[string]string{"team": "qa"}, Summary: "app has failed 3 checks in a row", Detail: "GET /health: status 503",
			Playbook: "application-down", State: alert.Firing, Value: 3, Limit: 3, Peak: 3, Began: at.Add(-90 * time.Second), Fired: at,
		}},
	}
}

var update = flag.Bool("update", false, "write golden files")

type tripper func(r *http.Request) (*http.Response, error)

func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// TestForm compares a message with the documented one: whoever changes its form makes a new
// version, or adds a field.
func TestForm(t *testing.T) {
	var sent []byte
	n, err := webhook.New(webhook.Config{URL: runbook.NewSecret(address), Secret: runbook.NewSecret(secret), HTTP: &http.Client{
		Transport: tripper(func(r *http.Request) (*http.Response, error) {
			var err error
			sent, err = io.ReadAll(r.Body)
			assert.Equal(t, address, r.URL.String())
			assert.Equal(t, "9f86d081884c7d659a2feaa0c55ad015-1", r.Header.Get("webhook-id"))
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, err
		}),
	}})
	require.NoError(t, err)
	receipt, err := n.Notify(t.Context(), firing())
	require.NoError(t, err)
	assert.Empty(t, receipt)
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, sent, "", "  "))
	pretty.WriteByte('\n')
	if *update {
		require.NoError(t, os.WriteFile("testdata/message.json", pretty.Bytes(), 0o600))
	}
	want, err := os.ReadFile("testdata/message.json")
	require.NoError(t, err)
	if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What JSON cannot say is refused, and goes to the fallback.
func TestNotEncodable(t *testing.T) {
	h, n := newWebhook(t)
	what := firing()
	what.Alerts[0].Value = math.NaN()
	_, err := n.Notify(t.Context(), what)
	require.ErrorIs(t, err, alert.ErrRefused)
	assert.Empty(t, h.Messages())
}

// A message that is sent again is recognised by its ID.
func TestRepeat(t *testing.T) {
	h, n := newWebhook(t)
	_, err := n.Notify(t.Context(), firing())
	require.NoError(t, err)
	again := firing()
	again.PossibleRepeat = true
	_, err = n.Notify(t.Context(), again)
	require.NoError(t, err)
	assert.Len(t, h.Messages(), 1)
	assert.Equal(t, 1, h.Repeats())
}
