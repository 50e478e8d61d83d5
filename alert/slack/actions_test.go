package slack_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/slack"
)

// taker takes actions.
type taker struct {
	mu  sync.Mutex
	got []slack.Action
	err error
}

func (a *taker) take(_ context.Context, action slack.Action) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, action)
	return a.err
}

func (a *taker) handler(t testing.TB, secret string) http.Handler {
	t.Helper()
	h, err := slack.NewActionsHandler(slack.ActionsConfig{SigningSecret: runbook.NewSecret(secret), OnAction: a.take})
	require.NoError(t, err)
	return h
}

func serve(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestNewActionsHandler(t *testing.T) {
	_, err := slack.NewActionsHandler(slack.ActionsConfig{})
	require.Error(t, err)
	assert.ErrorContains(t, err, "signing secret")
	assert.ErrorContains(t, err, "OnAction")
}

func TestAcknowledgeButton(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newSlack(t, buttons)
		second := firing()
		second.Key = "another"
		_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, "app", "", firing(), second))
		require.NoError(t, err)
		a := &taker{}
		h := a.handler(t, s.SigningSecret)
		m := s.Messages()[0]
		require.Equal(t, http.StatusOK, s.Press(h, m, m.Buttons[0], "UA8RXUSPL", "ana"))
		want := slack.Action{
			Name: slack.Acknowledge, Alert: firing().Key, UserID: "UA8RXUSPL", UserName: "ana", TeamID: "T9TK3CUKW",
			ChannelID: m.Channel, ChannelName: "qa-automation-alerts", At: time.Unix(time.Now().Unix(), 0),
		}
		other := want
		other.Alert = "another"
		assert.Empty(t, cmp.Diff([]slack.Action{want, other}, a.got))

		a.err = fmt.Errorf("alert: %w", alert.ErrNoAlert)
		assert.Equal(t, http.StatusOK, s.Press(h, m, m.Buttons[0], "U1", "ana"), "what is over needs no acknowledgement")
		a.err = errors.New("the store is down")
		assert.Equal(t, http.StatusInternalServerError, s.Press(h, m, m.Buttons[0], "U1", "ana"), "the person is shown that it failed")
		a.err = nil
		a.got = nil
		assert.Equal(t, http.StatusOK, s.Press(h, m, alerttest.SlackButton{ActionID: "other_app", Value: "x"}, "U1", "ana"))
		assert.Equal(t, http.StatusBadRequest, s.Press(h, m, alerttest.SlackButton{ActionID: m.Buttons[0].ActionID, Value: "x"}, "U1", "ana"))
		assert.Empty(t, a.got)
	})
}

// A button fits into what Slack takes, however many alerts there are and however long their
// keys.
func TestManyKeys(t *testing.T) {
	s, n := newSlack(t, buttons)
	var alerts []alert.Alert
	for i := range 30 {
		a := firing()
		a.Key = fmt.Sprintf("%064d", i)
		alerts = append(alerts, a)
	}
	_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, "app", "", alerts...))
	require.NoError(t, err)
	a := &taker{}
	m := s.Messages()[0]
	require.Equal(t, http.StatusOK, s.Press(a.handler(t, s.SigningSecret), m, m.Buttons[0], "U1", "ana"))
	assert.Len(t, a.got, 29)
	assert.Equal(t, "Acknowledge 29 alerts", m.Buttons[0].Label)
}

// The request that Slack publishes as an example is verified
// (https://docs.slack.dev/authentication/verifying-requests-from-slack, read on 27 November
// 2026), and refused when anything of it is different.
func TestPublishedSignature(t *testing.T) {
	const (
		secret    = "8f742231b10e8888abcd99yyyzzz85a5"
		signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
		body      = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	)
	sent := time.Unix(1531420618, 0)
	for name, c := range map[string]struct {
		body   string
		after  time.Duration
		header func(h http.Header)
		want   int
	}{
		// Verified, and then not understood: the example is a slash command.
		"published":          {body, 0, nil, http.StatusBadRequest},
		"upper case":         {body, 0, func(h http.Header) { h.Set("X-Slack-Signature", "v0="+strings.ToUpper(signature[3:])) }, http.StatusBadRequest},
		"5 minutes later":    {body, 5 * time.Minute, nil, http.StatusBadRequest},
		"too late":           {body, 5*time.Minute + time.Second, nil, http.StatusUnauthorized},
		"too early":          {body, -5*time.Minute - time.Second, nil, http.StatusUnauthorized},
		"other body":         {body + "&", 0, nil, http.StatusUnauthorized},
		"other time":         {body, 0, func(h http.Header) { h.Set("X-Slack-Request-Timestamp", "1531420619") }, http.StatusUnauthorized},
		"zero before time":   {body, 0, func(h http.Header) { h.Set("X-Slack-Request-Timestamp", "01531420618") }, http.StatusUnauthorized},
		"other version":      {body, 0, func(h http.Header) { h.Set("X-Slack-Signature", "v1="+signature[3:]) }, http.StatusUnauthorized},
		"cut":                {body, 0, func(h http.Header) { h.Set("X-Slack-Signature", signature[:len(signature)-2]) }, http.StatusUnauthorized},
		"no signature":       {body, 0, func(h http.Header) { h.Del("X-Slack-Signature") }, http.StatusUnauthorized},
		"no time":            {body, 0, func(h http.Header) { h.Del("X-Slack-Request-Timestamp") }, http.StatusUnauthorized},
		"two signatures":     {body, 0, func(h http.Header) { h.Add("X-Slack-Signature", signature) }, http.StatusUnauthorized},
		"empty signature":    {body, 0, func(h http.Header) { h.Set("X-Slack-Signature", "v0=") }, http.StatusUnauthorized},
		"more than it takes": {strings.Repeat("x", 1<<20+1), 0, nil, http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(sent.Add(c.after)))
				r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
				r.Header.Set("X-Slack-Request-Timestamp", fmt.Sprint(sent.Unix()))
				r.Header.Set("X-Slack-Signature", signature)
				if c.header != nil {
					c.header(r.Header)
				}
				assert.Equal(t, c.want, serve((&taker{}).handler(t, secret), r))
			})
		})
	}
}

// A request that came before is refused, even while it is fresh, and however its signature
// is written.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newSlack(t, buttons)
		_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, "app", "", firing()))
		require.NoError(t, err)
		a := &taker{}
		h := a.handler(t, s.SigningSecret)
		m := s.Messages()[0]
		r := s.PressRequest(m, m.Buttons[0], "U1", "ana")
		again := func() int {
			again := r.Clone(t.Context())
			again.Body, err = r.GetBody()
			require.NoError(t, err)
			return serve(h, again)
		}
		require.Equal(t, http.StatusOK, again())
		assert.Equal(t, http.StatusUnauthorized, again())
		r.Header.Set("X-Slack-Signature", "v0="+strings.ToUpper(r.Header.Get("X-Slack-Signature")[3:]))
		assert.Equal(t, http.StatusUnauthorized, again())
		time.Sleep(5*time.Minute + time.Second)
		assert.Equal(t, http.StatusUnauthorized, again(), "by now it is too old")
		assert.Len(t, a.got, 1)

		other := &alerttest.Slack{SigningSecret: "a guess"}
		assert.Equal(t, http.StatusUnauthorized, serve(h, other.PressRequest(m, m.Buttons[0], "U1", "mallory")))
	})
}

// The payload that Slack publishes as an example is read
// (https://docs.slack.dev/reference/interaction-payloads/block_actions-payload, read on 27
// November 2026). Its button is not ours; with ours in it, it is an acknowledgement.
func TestPublishedPayload(t *testing.T) {
	payload, err := os.ReadFile("testdata/block_actions.json")
	require.NoError(t, err)
	actions, err := slack.ParseActions([]byte(url.Values{"payload": {string(payload)}}.Encode()), at)
	require.NoError(t, err)
	assert.Empty(t, actions)
	ours := strings.NewReplacer("WaXA", "runbook_acknowledge", `"click_me_123"`, `"[\"k1\"]"`).Replace(string(payload))
	actions, err = slack.ParseActions([]byte(url.Values{"payload": {ours}}.Encode()), at)
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff([]slack.Action{{
		Name: slack.Acknowledge, Alert: "k1", UserID: "UA8RXUSPL", UserName: "jtorrance", TeamID: "T9TK3CUKW",
		ChannelID: "CBR2V3XEX", ChannelName: "review-updates", At: at,
	}}, actions))
}

func FuzzActions(f *testing.F) {
	payload, err := os.ReadFile("testdata/block_actions.json")
	require.NoError(f, err)
	f.Add([]byte(url.Values{"payload": {string(payload)}}.Encode()))
	f.Add([]byte(`payload={"type":"block_actions","user":{"id":"U1"},"actions":[{"action_id":"runbook_acknowledge","value":"[\"k\"]"}]}`))
	f.Add([]byte("payload=%7B&payload=x"))
	f.Add([]byte(`payload={"type":"view_submission"}`))
	s := &alerttest.Slack{SigningSecret: "secret"}
	f.Fuzz(func(t *testing.T, body []byte) {
		a := &taker{}
		h := a.handler(t, "secret")
		switch code := serve(h, s.SignedRequest(body, time.Now())); code {
		case http.StatusOK:
			for _, action := range a.got {
				if action.UserID == "" || action.UserName == "" || action.Alert == "" || len(action.Alert) > 64 {
					t.Errorf("an action without a name or an alert: %+v", action)
				}
			}
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			if len(a.got) > 0 {
				t.Errorf("actions of a request that was refused: %v", a.got)
			}
		default:
			t.Errorf("status %d", code)
		}
		if code := serve(h, s.SignedRequest(body, time.Now().Add(-time.Hour))); code != http.StatusUnauthorized && len(body) <= 1<<20 {
			t.Errorf("an old request: status %d", code)
		}
	})
}
