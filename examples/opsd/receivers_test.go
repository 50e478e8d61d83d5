package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
)

// A receiving is an opsd in charge, on the embedded estate, and its address.
type receiving struct {
	*testing.T
	service *service
	log     *lockedBuffer
	url     string
}

const (
	slackSecret   = "8f742231b10e8888abcd99yyyzzz85a5"
	pagerSecret   = "GExamplePagerDutySecret"
	alertsToken   = "token-of-alertmanager"
	beatsToken    = "token-of-workers"
	railwaySecret = "railway-hook-0123456789"
)

// receive makes one, with all receivers, and waits until it is in charge.
func receive(t *testing.T, change func(*settings)) *receiving {
	t.Helper()
	cfg := embedded(estateSettings{Seed: 1})
	cfg.Beat = time.Second
	noon(t, cfg)
	cfg.Receivers = receivers{
		Slack: runbook.NewSecret(slackSecret), PagerDuty: runbook.NewSecret(pagerSecret), Alertmanager: runbook.NewSecret(alertsToken),
		Heartbeats: runbook.NewSecret(beatsToken), Railway: map[string]runbook.Secret{"test": runbook.NewSecret(railwaySecret)},
	}
	if change != nil {
		change(cfg)
	}
	r := &receiving{T: t, log: new(lockedBuffer)}
	v, err := newService(t.Context(), cfg, &journal{w: r.log})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	server := httptest.NewServer(v.server)
	r.service, r.url = v, server.URL
	go func() { ended <- v.lead(ctx) }()
	t.Cleanup(func() {
		server.Close()
		stop()
		assert.NoError(t, <-ended)
		assert.NoError(t, v.close(context.WithoutCancel(t.Context())))
	})
	require.Eventually(t, v.leading.Load, time.Minute, 10*time.Millisecond, "%s", r.log)
	return r
}

// run runs a part of a test.
func (r *receiving) run(name string, test func(r *receiving)) {
	r.Run(name, func(t *testing.T) {
		part := *r
		part.T = t
		test(&part)
	})
}

// post sends something to a receiver, and returns the status of the answer.
func (r *receiving) post(path, body string, header map[string]string) int {
	r.Helper()
	q, err := http.NewRequestWithContext(r.Context(), http.MethodPost, r.url+path, strings.NewReader(body))
	require.NoError(r, err)
	for name, value := range header {
		q.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(q)
	require.NoError(r, err)
	require.NoError(r, resp.Body.Close())
	return resp.StatusCode
}

// alert returns the alert of a rule about an entity, once it fires.
func (r *receiving) alert(rule, entity string) (found alert.Status) {
	r.Helper()
	require.Eventually(r, func() bool {
		for _, a := range r.service.host.Router().Alerts() {
			if a.Rule == rule && a.Entity == entity && a.State == alert.Firing {
				found = a
				return true
			}
		}
		return false
	}, time.Minute, 20*time.Millisecond, "no alert %s of %s: %s", rule, entity, r.log)
	return found
}

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

// firing is what Alertmanager sends of an alert.
func firing(entity string) string {
	return fmt.Sprintf(`{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"DiskFull","instance":%q,"severity":"warning","env":"production"},`+
		`"annotations":{"summary":"the disk is full"},"startsAt":%q}]}`, entity, time.Now().UTC().Format(time.RFC3339Nano))
}

func mac(secret, text string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil))
}

func signedBySlack(secret, body string, at time.Time) map[string]string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	return map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": "v0=" + mac(secret, "v0:"+stamp+":"+body),
	}
}

// button is what Slack sends when somebody presses the button of an alert.
func button(key string) string {
	payload, _ := json.Marshal(map[string]any{
		"type": "block_actions", "user": map[string]string{"id": "U1", "username": "ana"},
		"actions": []any{map[string]string{"action_id": "runbook_acknowledge", "value": `["` + key + `"]`}},
	})
	return url.Values{"payload": {string(payload)}}.Encode()
}

// What others tell has its effect if it is from them, and is refused if it is not, is too
// large, or is not understood.
func TestReceivers(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	r.run("alertmanager", (*receiving).alertmanager)
	r.run("slack", (*receiving).slack)
	r.run("pagerduty", (*receiving).pagerduty)
	r.run("heartbeats", (*receiving).heartbeats)
	r.run("railway", (*receiving).railway)
	assert.Equal(t, http.StatusNotFound, r.post("/hooks/unknown", "{}", nil))
	for _, secret := range []string{slackSecret, pagerSecret, alertsToken, beatsToken, railwaySecret} {
		assert.NotContains(t, r.log.String(), secret)
	}
}

func (r *receiving) alertmanager() {
	t := r.T
	const path = "/hooks/alertmanager"
	body := firing("db-1")
	assert.Equal(t, http.StatusUnauthorized, r.post(path, body, nil))
	assert.Equal(t, http.StatusUnauthorized, r.post(path, body, bearer("wrong")))
	assert.Equal(t, http.StatusRequestEntityTooLarge, r.post(path, strings.Repeat(" ", 9<<20), bearer(alertsToken)))
	for _, garbage := range []string{"", "{", `{"version":"3"}`, `{"version":"4","alerts":[{"status":"firing"}]}`} {
		assert.Equal(t, http.StatusBadRequest, r.post(path, garbage, bearer(alertsToken)), garbage)
	}
	assert.Empty(t, r.service.host.Router().Alerts(), "nothing of that had an effect")
	require.Equal(t, http.StatusNoContent, r.post(path, body, bearer(alertsToken)))
	a := r.alert("DiskFull", "db-1")
	assert.Equal(t, "production", a.Environment)
	assert.Equal(t, alert.Medium, a.Severity)
}

func (r *receiving) slack() {
	t := r.T
	const path = "/hooks/slack"
	require.Equal(t, http.StatusNoContent, r.post("/hooks/alertmanager", firing("db-2"), bearer(alertsToken)))
	body := button(r.alert("DiskFull", "db-2").Key)
	now := time.Now()
	assert.Equal(t, http.StatusUnauthorized, r.post(path, body, nil))
	assert.Equal(t, http.StatusUnauthorized, r.post(path, body, signedBySlack("another secret", body, now)))
	assert.Equal(t, http.StatusUnauthorized, r.post(path, body, signedBySlack(slackSecret, body, now.Add(-time.Hour))), "recorded an hour ago")
	assert.Equal(t, http.StatusUnauthorized, r.post(path, body+"&x=y", signedBySlack(slackSecret, body, now)), "changed on the way")
	large := strings.Repeat("x", 2<<20)
	assert.Equal(t, http.StatusRequestEntityTooLarge, r.post(path, large, signedBySlack(slackSecret, large, now)))
	for _, garbage := range []string{"", "payload={", "payload=%zz"} {
		assert.Equal(t, http.StatusBadRequest, r.post(path, garbage, signedBySlack(slackSecret, garbage, now)), garbage)
	}
	assert.Nil(t, r.alert("DiskFull", "db-2").Acknowledged, "nothing of that had an effect")
	header := signedBySlack(slackSecret, body, now)
	require.Equal(t, http.StatusOK, r.post(path, body, header))
	ack := r.alert("DiskFull", "db-2").Acknowledged
	require.NotNil(t, ack)
	assert.Equal(t, "ana", ack.By)
	assert.Equal(t, http.StatusUnauthorized, r.post(path, body, header), "a second time")
	gone := button("0123456789abcdef")
	assert.Equal(t, http.StatusOK, r.post(path, gone, signedBySlack(slackSecret, gone, now)), "the alert is over: Slack shows nobody a failure")
}

// conversation is the key of what people were told of an alert, as a service hands it back.
func (r *receiving) conversation(alertKey string) (key string) {
	t := r.T
	t.Helper()
	require.Eventually(t, func() bool {
		rows, err := r.service.state.record.QueryContext(t.Context(), "SELECT data FROM runbook_alert_records WHERE kind = 'thread'")
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var data []byte
			var thread struct {
				Key  string                     `json:"key"`
				Told map[string]json.RawMessage `json:"told"`
			}
			require.NoError(t, rows.Scan(&data))
			require.NoError(t, json.Unmarshal(data, &thread))
			if _, told := thread.Told[alertKey]; told && thread.Key != "" {
				key = thread.Key
			}
		}
		require.NoError(t, rows.Err())
		return key != ""
	}, time.Minute, 50*time.Millisecond, "nobody was told: %s", r.log)
	return key
}

func (r *receiving) pagerduty() {
	t := r.T
	const path = "/hooks/pagerduty"
	require.Equal(t, http.StatusNoContent, r.post("/hooks/alertmanager", firing("db-3"), bearer(alertsToken)))
	a := r.alert("DiskFull", "db-3")
	event := func(key, who string, at time.Time) string {
		return fmt.Sprintf(`{"event":{"id":"E1","event_type":"incident.acknowledged","occurred_at":%q,"agent":{"type":%q,"summary":"Ben Okafor"},"data":{"incident_key":%q}}}`, at.UTC().Format(time.RFC3339), who, key)
	}
	signed := func(secret, body string) map[string]string {
		return map[string]string{"X-PagerDuty-Signature": "v1=" + mac("old", body) + ",v1=" + mac(secret, body)}
	}
	key := r.conversation(a.Key)
	body := event(key, "user_reference", time.Now())
	assert.Equal(t, http.StatusUnauthorized, r.post(path, body, nil))
	assert.Equal(t, http.StatusUnauthorized, r.post(path, body, signed("another secret", body)))
	large := strings.Repeat("x", 1<<20)
	assert.Equal(t, http.StatusRequestEntityTooLarge, r.post(path, large, signed(pagerSecret, large)))
	for _, garbage := range []string{"", "{", "[]", event(key, "user_reference", time.Now().Add(-100*time.Hour))} {
		assert.Equal(t, http.StatusBadRequest, r.post(path, garbage, signed(pagerSecret, garbage)), garbage)
	}
	ours := event(key, "service_reference", time.Now())
	assert.Equal(t, http.StatusAccepted, r.post(path, ours, signed(pagerSecret, ours)), "of our own")
	assert.Nil(t, r.alert("DiskFull", "db-3").Acknowledged, "nothing of that had an effect")
	require.Equal(t, http.StatusAccepted, r.post(path, body, signed(pagerSecret, body)))
	ack := r.alert("DiskFull", "db-3").Acknowledged
	require.NotNil(t, ack)
	assert.Equal(t, "Ben Okafor", ack.By)
	gone := event("0123456789abcdef", "user_reference", time.Now())
	assert.Equal(t, http.StatusAccepted, r.post(path, gone, signed(pagerSecret, gone)), "it is over: PagerDuty need not send it again")
}

func (r *receiving) heartbeats() {
	t := r.T
	const path = "/hooks/push/heartbeat/worker-1"
	assert.Equal(t, http.StatusUnauthorized, r.post(path, "", nil))
	assert.Equal(t, http.StatusUnauthorized, r.post(path, "", bearer("wrong")))
	assert.Equal(t, http.StatusRequestEntityTooLarge, r.post(path, strings.Repeat(" ", 1<<20), bearer(beatsToken)))
	assert.Equal(t, http.StatusBadRequest, r.post(path, "{", bearer(beatsToken)))
	assert.Equal(t, http.StatusBadRequest, r.post(path, `{"unknown":1}`, bearer(beatsToken)))
	assert.Equal(t, http.StatusNotFound, r.post("/hooks/push/nothing/worker-1", "", bearer(beatsToken)))
	assert.Equal(t, http.StatusNotFound, r.post("/hooks/push/", "", bearer(beatsToken)))
	// A worker is missed from its first beat on.
	require.Equal(t, http.StatusNoContent, r.post(path, `{"environment":"production"}`, bearer(beatsToken)))
	a := r.alert("heartbeat", "worker-1")
	assert.Equal(t, "production", a.Environment)
	require.Eventually(t, func() bool {
		require.Equal(t, http.StatusNoContent, r.post(path, `{"environment":"production"}`, bearer(beatsToken)))
		for _, a := range r.service.host.Router().Alerts() {
			if a.Rule == "heartbeat" && a.Entity == "worker-1" && a.State == alert.Firing {
				return false
			}
		}
		return true
	}, time.Minute, 200*time.Millisecond, "it beats again, and the alert is over")
	// What else is pushed is judged by its rule.
	for range 3 {
		require.Equal(t, http.StatusNoContent, r.post("/hooks/push/canvas_token/script-1", `{"failed":true,"detail":"status 401"}`, bearer(beatsToken)))
	}
	r.alert("canvas_token", "script-1")
}

func (r *receiving) railway() {
	t := r.T
	const path = "/hooks/railway/test/" + railwaySecret
	at := r.service.estate.connections[0]
	event := func(environment, stamp string) string {
		return fmt.Sprintf(`{"type":"Monitor.triggered","details":{},"resource":{"project":{"id":%q},"environment":{"id":%q},"service":{"id":%q}},"severity":"WARNING","timestamp":%q}`, at.Project, environment, at.Service, stamp)
	}
	body := event(at.RailwayEnvironment, "2026-11-21T23:48:42.311Z")
	looked := func() time.Time {
		for _, c := range r.service.host.Monitor().Snapshot().Checks {
			if c.Name == "test/application" {
				return c.Last.Time
			}
		}
		return time.Time{}
	}
	before := looked()
	assert.Equal(t, http.StatusNotFound, r.post("/hooks/railway/test/another-secret-0123", body, nil))
	assert.Equal(t, http.StatusNotFound, r.post("/hooks/railway/test/", body, nil))
	assert.Equal(t, http.StatusNotFound, r.post("/hooks/railway/beta/"+railwaySecret, body, nil), "that environment has no receiver")
	assert.Equal(t, http.StatusRequestEntityTooLarge, r.post(path, strings.Repeat(" ", 1<<20), nil))
	for _, garbage := range []string{"", "{", "[]"} {
		assert.Equal(t, http.StatusBadRequest, r.post(path, garbage, nil), garbage)
	}
	assert.Equal(t, http.StatusOK, r.post(path, event("00000000-0000-4000-8000-000000000000", "2026-11-21T23:48:41Z"), nil), "of another environment")
	assert.NotContains(t, r.log.String(), "Railway tells")
	require.Equal(t, http.StatusOK, r.post(path, body, nil))
	require.Eventually(t, func() bool { return looked().After(before) }, 20*time.Second, 20*time.Millisecond, "it looks at once: %s", r.log)
	assert.Contains(t, r.log.String(), "test: Railway tells monitor.triggered")
	require.Equal(t, http.StatusOK, r.post(path, body, nil), "once more")
	assert.Equal(t, 1, strings.Count(r.log.String(), "Railway tells"))
}

// As long as a replica is not in charge it takes nothing, and says to try again; what has no
// secret is not there.
func TestNoReceivers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	resp, err := http.Post(s.server.URL+"/hooks/alertmanager", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.NotEmpty(t, resp.Header.Get("Retry-After"))
	r := receive(t, func(cfg *settings) { cfg.Receivers = receivers{} })
	for _, path := range []string{"slack", "pagerduty", "alertmanager", "push/heartbeat/x", "railway/test/" + railwaySecret} {
		assert.Equal(t, http.StatusNotFound, r.post("/hooks/"+path, "{}", bearer(alertsToken)), path)
	}
}
