package slack_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/slack"
	"go.acu.edu.au/runbook/health"
)

const token = "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzqqgy"

// hook is the path of Slack's published example of a webhook.
const hook = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"

func newSlack(t testing.TB, change func(s *alerttest.Slack, c *slack.Config)) (*alerttest.Slack, *slack.Notifier) {
	t.Helper()
	s := &alerttest.Slack{Token: token, Channels: []string{"#qa-automation-alerts"}, SigningSecret: "8f742231b10e8888abcd99yyyzzz85a5"}
	cfg := slack.Config{Token: runbook.NewSecret(token), Channel: "#qa-automation-alerts", HTTP: s.Client()}
	if change != nil {
		change(s, &cfg)
	}
	n, err := slack.New(cfg)
	require.NoError(t, err)
	return s, n
}

func webhook(s *alerttest.Slack, c *slack.Config) {
	s.Webhook = hook
	c.Token, c.Channel, c.Webhook = runbook.Secret{}, "", runbook.NewSecret("https://hooks.slack.com"+hook)
}

func buttons(_ *alerttest.Slack, c *slack.Config) { c.Buttons = true }

// posted returns what was posted, without later changes.
func posted(s *alerttest.Slack) (texts []string) {
	for _, m := range s.Messages() {
		texts = append(texts, m.Posted)
	}
	return texts
}

func threads(s *alerttest.Slack) (n int) {
	for _, m := range s.Messages() {
		if m.ThreadTS == "" {
			n++
		}
	}
	return n
}

const (
	hostile = "<!channel> <@U024BE7LH> @here *b* & <https://evil.example|ok>"
	shown   = hostile // as people see it, once it was escaped
)

func suite(t *testing.T, post bool, change func(s *alerttest.Slack, c *slack.Config)) {
	alerttest.TestNotifier(t, alerttest.NotifierHarness{New: func(t testing.TB) alerttest.NotifierCase {
		s, n := newSlack(t, change)
		c := alerttest.NotifierCase{
			Notifier: n, Messages: func() []string { return posted(s) },
			Fail:    func(next ...alerttest.Fault) bool { s.Fail(next...); return true },
			Secrets: []string{token, hook, "hooks.slack.com"}, Hostile: hostile, Escaped: shown, Post: post,
		}
		if s.Webhook == "" {
			c.Conversations = func() int { return threads(s) }
		}
		return c
	}})
}

// Requirement: AL-SEND-SECRET
func TestNotifier(t *testing.T) {
	t.Run("web API", func(t *testing.T) { suite(t, false, nil) })
	t.Run("web API with buttons", func(t *testing.T) { suite(t, false, buttons) })
	t.Run("webhook", func(t *testing.T) { suite(t, false, webhook) })
	t.Run("for everyone", func(t *testing.T) { suite(t, true, nil) })
	t.Run("for everyone by webhook", func(t *testing.T) { suite(t, true, webhook) })
}

func TestNewSaysAllProblems(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  slack.Config
		want []string
	}{
		"empty":         {slack.Config{}, []string{"either Token or Webhook"}},
		"both":          {slack.Config{Token: runbook.NewSecret("x"), Webhook: runbook.NewSecret("https://x.example/y"), Channel: "#c"}, []string{"either Token or Webhook"}},
		"no channel":    {slack.Config{Token: runbook.NewSecret("x"), Timeout: -1}, []string{"Channel must", "Timeout is negative"}},
		"mention":       {slack.Config{Token: runbook.NewSecret("x"), Channel: "<!here>"}, []string{"Channel must"}},
		"plain webhook": {slack.Config{Webhook: runbook.NewSecret("http://hooks.example/geheim")}, []string{"https"}},
		"base":          {slack.Config{Token: runbook.NewSecret("x"), Channel: "C1", BaseURL: "ftp://x"}, []string{"BaseURL"}},
	} {
		_, err := slack.New(c.cfg)
		require.Error(t, err, name)
		for _, want := range c.want {
			assert.ErrorContains(t, err, want, name)
		}
		assert.NotContains(t, err.Error(), "geheim")
	}
	for _, change := range []func(s *alerttest.Slack, c *slack.Config){nil, webhook} {
		_, n := newSlack(t, change)
		text := fmt.Sprintf("%v %+v %#v", n, n, n)
		assert.NotContains(t, text, token)
		assert.NotContains(t, text, hook)
	}
}

var at = time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC)

func firing() alert.Alert {
	return alert.Alert{
		Key: alert.Key("health_check", "production", "app", alert.Failing), Rule: "health_check", Environment: "production", Entity: "app",
		Severity: alert.Critical, State: alert.Firing, Summary: "app has failed 3 checks in a row", Detail: "GET /health: status 503",
		Playbook: "https://wiki.example.com/runbook?page=application-down&v=2", Affected: []string{"grading", "sync"},
		Value: 3, Limit: 3, Peak: 3, Unit: health.Unit(""), Began: at.Add(-90 * time.Second), Fired: at,
	}
}

func note(kind alert.Kind, seq int, title, text string, alerts ...alert.Alert) alert.Notification {
	return alert.Notification{
		Key: "9f86d081884c7d659a2feaa0c55ad015", Seq: seq, Kind: kind, Severity: alert.Critical, Environment: "production",
		Title: title, Text: title + "\n" + text, Alerts: alerts, At: at,
	}
}

// Requirement: AL-SLACK-OK-FALSE
func TestOKFalse(t *testing.T) {
	for code, c := range map[string]struct {
		kind error
		safe bool
	}{
		"channel_not_found": {alert.ErrRefused, true}, "invalid_auth": {alert.ErrRefused, true}, "not_in_channel": {alert.ErrRefused, true},
		"is_archived": {alert.ErrRefused, true}, "msg_too_long": {alert.ErrRefused, true}, "token_revoked": {alert.ErrRefused, true},
		"restricted_action": {alert.ErrRefused, true}, "a_code_of_tomorrow": {alert.ErrRefused, true}, "Not A Code <!here>": {alert.ErrRefused, true},
		"ratelimited": {alert.ErrLimited, true}, "rate_limited": {alert.ErrLimited, true},
		"internal_error": {nil, false}, "fatal_error": {nil, false}, "service_unavailable": {nil, false},
		"request_timeout": {nil, true}, "team_added_to_org": {nil, true},
	} {
		t.Run(code, func(t *testing.T) {
			s, n := newSlack(t, nil)
			s.FailWith(code)
			_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, "app", "", firing()))
			e, ok := errors.AsType[*alert.Error](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, c.kind, e.Kind)
			assert.Equal(t, c.safe, runbook.SafeToRetry(err))
			assert.Equal(t, http.StatusOK, e.Status)
			assert.NotContains(t, err.Error(), "<")
			assert.Empty(t, s.Messages())
		})
	}
}

// answers is a transport that answers every request with the same.
type answers struct {
	status int
	header http.Header
	calls  int
}

func (a *answers) client() *http.Client { return &http.Client{Transport: a} }

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.calls++
	return &http.Response{StatusCode: a.status, Header: a.header, Body: http.NoBody, Request: r}, nil
}

// Requirement: AL-SEND-RETRYABLEHTTP
func TestOneAttempt(t *testing.T) {
	for _, c := range []struct {
		status int
		after  string
		kind   error
		wait   time.Duration
	}{
		{http.StatusInternalServerError, "", nil, 0},
		{http.StatusServiceUnavailable, "86400", nil, 24 * time.Hour},
		{http.StatusTooManyRequests, "86400", alert.ErrLimited, 24 * time.Hour},
		{http.StatusTooManyRequests, "", alert.ErrLimited, 0},
		{http.StatusForbidden, "", alert.ErrRefused, 0},
		{http.StatusFound, "", alert.ErrRefused, 0},
	} {
		for name, change := range map[string]func(s *alerttest.Slack, c *slack.Config){"api": nil, "webhook": webhook} {
			a := &answers{status: c.status, header: http.Header{}}
			if c.after != "" {
				a.header.Set("Retry-After", c.after)
			}
			_, n := newSlack(t, func(s *alerttest.Slack, cfg *slack.Config) {
				if change != nil {
					change(s, cfg)
				}
				cfg.HTTP = a.client()
			})
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, "app", "", firing()))
				e, ok := errors.AsType[*alert.Error](err)
				require.True(t, ok, "%s %d: %v", name, c.status, err)
				assert.Equal(t, c.kind, e.Kind, "%s %d", name, c.status)
				assert.Equal(t, c.wait, e.RetryAfter)
				assert.Equal(t, 1, a.calls, "%s %d: one attempt is made", name, c.status)
				assert.Zero(t, time.Since(began), "and nothing is waited for")
			})
		}
	}
}

// An answer of 200 that is not Slack's proves nothing.
func TestForeignAnswer(t *testing.T) {
	_, n := newSlack(t, func(_ *alerttest.Slack, c *slack.Config) { c.HTTP = (&answers{status: http.StatusOK}).client() })
	_, err := n.Notify(t.Context(), note(alert.KindFiring, 1, "app", "", firing()))
	require.Error(t, err)
	assert.False(t, runbook.SafeToRetry(err))
	assert.NotErrorIs(t, err, alert.ErrRefused)
}

// Requirement: AL-SLACK-ESCAPE
func TestNoMentions(t *testing.T) {
	for name, change := range map[string]func(s *alerttest.Slack, c *slack.Config){"api": buttons, "webhook": webhook} {
		for _, text := range []string{hostile, "<!here>", "<!subteam^SAZ94GDB8>", "<#C024BE7LR>", "&lt;!channel&gt;", "@everyone #general", "\u202e<!here>\x00\x1b[31m"} {
			s, n := newSlack(t, change)
			a := firing()
			a.Summary, a.Detail, a.Entity, a.Playbook = text, text, text, "https://e.example/?a=<!here>|x"
			a.Acknowledged = &alert.Acknowledgement{By: text, Comment: text}
			what := note(alert.KindFiring, 1, text, text, a, firing())
			_, err := n.Notify(t.Context(), what)
			require.NoError(t, err)
			_, err = n.Notify(t.Context(), alert.Notification{Key: "p", Seq: 1, Kind: alert.KindPost, Post: &alert.Post{
				ID: "p", Title: text, Body: text, By: text, Status: text, Components: map[string]string{text: text},
			}})
			require.NoError(t, err)
			for _, m := range s.Messages() {
				assert.Empty(t, m.Mentions, "%s: %q", name, text)
				if !strings.ContainsAny(text, "\x00") {
					assert.Contains(t, m.Body, text, "%s: people see what came from outside", name)
				}
				assert.NotContains(t, m.Body+m.Header+m.Notice, "\u202e")
			}
		}
	}
}

// The published answers of Slack's are understood
// (https://docs.slack.dev/reference/methods/chat.postMessage, read on 27 November 2026).
func TestPublishedAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		`{"ok": true, "channel": "C1H9RESGL", "ts": "1503435956.000247", "message": {"text": "Here's a message for you", "username": "ecto1",
			"bot_id": "B19LU7CSY", "type": "message", "subtype": "bot_message", "ts": "1503435956.000247"}}`: `{"channel":"C1H9RESGL","ts":"1503435956.000247","severity":"critical"}`,
		`{"ok": false, "error": "too_many_attachments"}`: "",
	} {
		_, n := newSlack(t, func(_ *alerttest.Slack, c *slack.Config) {
			c.HTTP = &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body(answer), Request: r}, nil
			})}
		})
		receipt, err := n.Notify(context.WithoutCancel(t.Context()), note(alert.KindFiring, 1, "app", "", firing()))
		assert.Equal(t, want, string(receipt))
		if want == "" {
			assert.EqualError(t, err, "alert: slack: post message: status 200: refused: too_many_attachments")
		}
		require.True(t, json.Valid([]byte(answer)))
	}
}
