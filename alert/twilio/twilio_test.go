package twilio_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	night "go.acu.edu.au/runbook/alert/internal/story"
	"go.acu.edu.au/runbook/alert/twilio"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/memhttp"
)

const (
	account = "AC0123456789abcdef0123456789abcdef"
	token   = "f0e1d2c3b4a5968778695a4b3c2d1e0f"
	from    = "+61400111333"
	to      = "+61400111222"
)

func notifier(t testing.TB, service *alerttest.Twilio, change ...func(*twilio.Config)) *twilio.Notifier {
	t.Helper()
	service.AccountSID, service.AuthToken, service.Numbers = account, token, []string{from}
	sydney, err := health.LoadZone("Australia/Sydney")
	require.NoError(t, err)
	cfg := twilio.Config{AccountSID: runbook.NewSecret(account), AuthToken: runbook.NewSecret(token), From: from, To: to, Zone: sydney, HTTP: service.Client()}
	for _, c := range change {
		c(&cfg)
	}
	n, err := twilio.New(cfg)
	require.NoError(t, err)
	return n
}

func voice(c *twilio.Config) { c.Voice = true }

// heard is what people read and hear.
func heard(service *alerttest.Twilio) (list []string) {
	for _, m := range service.Told() {
		list = append(list, m.Body+strings.Join(m.Say, ""))
	}
	return list
}

// Requirement: AL-SMS-TWICE
// Requirement: AL-SEND-SECRET
func TestNotifier(t *testing.T) {
	for name, change := range map[string]func(*twilio.Config){"text": func(*twilio.Config) {}, "voice": voice, "unicode": func(c *twilio.Config) { c.Unicode = true }} {
		t.Run(name, func(t *testing.T) {
			alerttest.TestNotifier(t, alerttest.NotifierHarness{New: func(t testing.TB) alerttest.NotifierCase {
				service := &alerttest.Twilio{}
				return alerttest.NotifierCase{
					Notifier: notifier(t, service, change), Messages: func() []string { return heard(service) },
					Fail:    func(next ...alerttest.Fault) bool { service.Fail(next...); return true },
					Secrets: []string{account, token, from, to},
					Hostile: "</Say><Dial>+1900</Dial>\x00&amp;", Escaped: "</Say><Dial>+1900</Dial>",
				}
			}})
		})
	}
}

var at = time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC)

func firing() alert.Notification {
	return alert.Notification{
		Key: "9f86d081", Seq: 1, Kind: alert.KindFiring, Severity: alert.Critical, Environment: "production", At: at,
		Title: "CRITICAL production: app has failed 3 checks in a row", Text: "CRITICAL production: app has failed 3 checks in a row\n",
		Alerts: []alert.Alert{{
			Rule: "failed_checks", Environment: "production", Entity: "app", Severity: alert.Critical, Summary: "app has failed 3 checks in a row",
			Detail: `GET /health: status 503 – “no free connection”` + "\nand more of it\n" + strings.Repeat("stack trace ", 100), Playbook: "application-down",
			Affected: []string{"grade sync", "LTI launches"}, State: alert.Firing, Began: at.Add(-90 * time.Second), Fired: at,
		}},
	}
}

// story are messages of all kinds, as a phone shows them or says them.
func story() []alert.Notification {
	first := firing()
	repeat := firing()
	repeat.PossibleRepeat = true
	reminder := firing()
	reminder.Kind, reminder.At, reminder.Title = alert.KindReminder, at.Add(26*time.Hour), "STILL CRITICAL after 26 h, production: app has failed 3 checks in a row"
	reminder.Alerts[0].Detail = "status 503"
	taken := firing()
	taken.Kind, taken.Title = alert.KindUpdate, "TAKEN by Zoë Łukasz, CRITICAL production: app has failed 3 checks in a row"
	taken.Alerts[0].Acknowledged = &alert.Acknowledgement{By: "Zoë Łukasz", At: at}
	taken.Alerts[0].Detail = ""
	resolved := firing()
	resolved.Kind, resolved.Title = alert.KindResolved, "RESOLVED after 1 h 4 min, production: app has failed 3 checks in a row"
	resolved.Alerts[0].State = alert.Resolved
	test := alert.Notification{Key: "t", Kind: alert.KindTest, Severity: alert.Low, At: at, Title: "TEST, nothing is wrong: a message to sms", Text: "TEST, nothing is wrong: a message to sms\n\nAna Silva sent it at 03:12 UTC, to see whether messages arrive.\nThis one did. Nothing is to be done.\n"}
	post := alert.Notification{Key: "p", Kind: alert.KindPost, At: at, Post: &alert.Post{ID: "1", Title: "QA automation is not available", Body: "Checks of courses do not start since 13:10.\nNext update at 14:30."}}
	notice := alert.Notification{Key: "n", Kind: alert.KindNotice, At: at, Title: "SILENCE ENDS at 05:12 UTC: production entity=app", Text: "SILENCE ENDS at 05:12 UTC: production entity=app\n\nWhat still fires then is told.\nBy Ana Silva, from 03:12 UTC to 05:12 UTC: load test of the new release\nNothing of it fires now.\n"}
	return []alert.Notification{first, repeat, reminder, taken, resolved, test, post, notice}
}

// TestNight is what a phone shows, and says, of a night as the router tells it.
func TestNight(t *testing.T) {
	for name, change := range map[string]func(*twilio.Config){"night.txt": func(*twilio.Config) {}, "night_voice.txt": voice} {
		service := &alerttest.Twilio{}
		n := notifier(t, service, change, func(c *twilio.Config) { c.Zone = time.UTC })
		var b strings.Builder
		night.Night(t, n, func(step string) {
			told := service.Told()
			last := told[len(told)-1]
			fmt.Fprintf(&b, "=== %s\n%s%s\n", step, last.Body, strings.Join(last.Say[:min(len(last.Say), 1)], ""))
		})
		golden(t, name, b.String())
	}
}

func TestGolden(t *testing.T) {
	for name, change := range map[string]func(*twilio.Config){"text.txt": func(*twilio.Config) {}, "voice.txt": voice} {
		service := &alerttest.Twilio{}
		n := notifier(t, service, change)
		var b strings.Builder
		for i, what := range story() {
			_, err := n.Notify(t.Context(), what)
			require.NoError(t, err)
			m := service.Told()[i]
			kind := string(what.Kind)
			if what.PossibleRepeat {
				kind += ", possible repeat"
			}
			if m.Say != nil {
				fmt.Fprintf(&b, "=== %s: a call, in %s\n%s\n", kind, m.Language, m.Say[0])
				assert.Equal(t, []string{m.Say[0], m.Say[0]}, m.Say, "it is said twice")
				continue
			}
			fmt.Fprintf(&b, "=== %s: a text message, %d characters\n%s\n", kind, len([]rune(m.Body)), m.Body)
		}
		golden(t, name, b.String())
	}
}

// golden compares a text with a file, which it writes if UPDATE_GOLDEN is set.
func golden(t testing.TB, name, text string) {
	t.Helper()
	file := "testdata/" + name
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), text)
}

// Requirement: AL-SMS-SEGMENTS
func TestSegmentsAreCapped(t *testing.T) {
	for segments, most := range map[int]int{1: 160, 0: 306, 3: 459, 10: 1530} {
		service := &alerttest.Twilio{}
		n := notifier(t, service, func(c *twilio.Config) { c.Segments = segments })
		what := firing()
		what.Alerts[0].Detail = strings.Repeat("connection refused ", 500)
		_, err := n.Notify(t.Context(), what)
		require.NoError(t, err)
		text := service.Told()[0].Body
		assert.LessOrEqual(t, len(text), most)
		assert.Greater(t, len(text), most-20)
		assert.True(t, strings.HasSuffix(text, "..."))
	}
}

// Requirement: AL-SMS-TWICE
func TestARepeatSaysSo(t *testing.T) {
	for _, change := range []func(*twilio.Config){func(*twilio.Config) {}, voice} {
		service := &alerttest.Twilio{}
		n := notifier(t, service, change)
		service.Fail(alerttest.Lost)
		what := firing()
		_, err := n.Notify(t.Context(), what)
		require.Error(t, err)
		assert.False(t, runbook.SafeToRetry(err), "it is not known whether it was sent")
		what.PossibleRepeat = true
		_, err = n.Notify(t.Context(), what)
		require.NoError(t, err)
		told := heard(service)
		require.Len(t, told, 2)
		assert.NotContains(t, told[0], "repe")
		assert.Contains(t, told[1], "repe")
	}
}

// Who is paged at night is not called to hear that it is over.
func TestVoiceCallsForWhatIsWrong(t *testing.T) {
	service := &alerttest.Twilio{}
	n := notifier(t, service, voice)
	for i, what := range story() {
		receipt, err := n.Notify(t.Context(), what)
		require.NoError(t, err)
		call := what.Kind == alert.KindFiring || what.Kind == alert.KindReminder || what.Kind == alert.KindTest
		assert.Equal(t, call, service.Told()[i].Say != nil, string(what.Kind))
		assert.Equal(t, service.Told()[i].SID, string(receipt))
	}
}

func TestKeyAndService(t *testing.T) {
	service := &alerttest.Twilio{KeySID: "SK0123456789abcdef0123456789abcdef", KeySecret: "key secret"}
	n := notifier(t, service, func(c *twilio.Config) {
		c.KeySID, c.AuthToken = runbook.NewSecret(service.KeySID), runbook.NewSecret(service.KeySecret)
		c.From, c.MessagingService = "", "MG0123456789abcdef0123456789abcdef"
	})
	_, err := n.Notify(t.Context(), firing())
	require.NoError(t, err)
	assert.Equal(t, "MG0123456789abcdef0123456789abcdef", service.Told()[0].From)
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		service *alerttest.Twilio
		change  func(*twilio.Config)
		kind    error
		code    string
	}{
		"wrong token":  {service: &alerttest.Twilio{}, change: func(c *twilio.Config) { c.AuthToken = runbook.NewSecret("wrong") }, kind: alert.ErrRefused, code: "20003"},
		"unsubscribed": {service: &alerttest.Twilio{Blocked: []string{to}}, kind: alert.ErrRefused, code: "21610"},
		"not ours":     {service: &alerttest.Twilio{}, change: func(c *twilio.Config) { c.From = "+61400111444" }, kind: alert.ErrRefused, code: "21606"},
		"queue full":   {service: &alerttest.Twilio{Queue: 1}, kind: alert.ErrLimited, code: "21611"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.change == nil {
				c.change = func(*twilio.Config) {}
			}
			n := notifier(t, c.service, c.change)
			_, err := n.Notify(t.Context(), firing())
			if name == "queue full" {
				require.NoError(t, err)
				_, err = n.Notify(t.Context(), firing())
			}
			require.ErrorIs(t, err, c.kind)
			e, ok := errors.AsType[*alert.Error](err)
			require.True(t, ok)
			assert.Equal(t, c.code, e.Code)
			for _, secret := range []string{account, token, from, to, "wrong"} {
				assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), secret)
			}
		})
	}
}

// answers is a Twilio that answers what a test says.
func answers(status int, body string) *http.Client {
	return memhttp.Client(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}), nil)
}

// Answers in the form of those that Twilio publishes: in its documentation of errors, and the
// examples of its API that its libraries are tested with (read on 2026-11-27:
// https://github.com/twilio/twilio-php, tests/Twilio/Integration/Api/V2010/Account/).
func TestPublishedAnswers(t *testing.T) {
	message, err := os.ReadFile("testdata/message.json")
	require.NoError(t, err)
	failed := strings.Replace(strings.Replace(string(message), `"error_code": null`, `"error_code": 30007`, 1), `"status": "sent"`, `"status": "undelivered"`, 1)
	require.NotEqual(t, failed, string(message))
	for name, c := range map[string]struct {
		status  int
		body    string
		receipt alert.Receipt
		kind    error
		code    string
	}{
		"message":             {status: 201, body: string(message), receipt: "SMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
		"undelivered at once": {status: 201, body: failed, kind: alert.ErrRefused, code: "undelivered 30007"},
		"invalid number":      {status: 400, body: `{"code": 21211, "message": "The 'To' number +61400111222 is not a valid phone number.", "more_info": "https://www.twilio.com/docs/errors/21211", "status": 400}`, kind: alert.ErrRefused, code: "21211"},
		"too many requests":   {status: 429, body: `{"code": 20429, "message": "Too Many Requests", "more_info": "https://www.twilio.com/docs/errors/20429", "status": 429}`, kind: alert.ErrLimited, code: "20429"},
		"too many calls":      {status: 400, body: `{"code": 10004, "message": "Call concurrency limit exceeded", "status": 400}`, kind: alert.ErrLimited, code: "10004"},
		"no JSON":             {status: 201, body: "<html>"},
		"no SID":              {status: 201, body: "{}"},
		"proxy":               {status: 502, body: "<html>"},
	} {
		t.Run(name, func(t *testing.T) {
			n := notifier(t, &alerttest.Twilio{}, func(cfg *twilio.Config) { cfg.HTTP = answers(c.status, c.body) })
			receipt, err := n.Notify(t.Context(), firing())
			assert.Equal(t, c.receipt, receipt)
			if c.receipt != "" {
				require.NoError(t, err)
				return
			}
			e, ok := errors.AsType[*alert.Error](err)
			require.True(t, ok)
			assert.Equal(t, c.kind, e.Kind)
			assert.Equal(t, c.code, e.Code)
			assert.Equal(t, c.kind != nil, runbook.SafeToRetry(err))
			assert.NotContains(t, err.Error(), to)
		})
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(201, []byte(`{"sid": "SMaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "status": "queued"}`))
	f.Add(400, []byte(`{"code": 21211, "status": 400}`))
	f.Add(200, []byte(`{"sid": ["x"], "error_code": "y"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		status = 200 + max(0, status%400)
		n := notifier(t, &alerttest.Twilio{}, func(cfg *twilio.Config) { cfg.HTTP = answers(status, string(body)) })
		receipt, err := n.Notify(t.Context(), firing())
		if (err == nil) != (receipt != "") {
			t.Errorf("receipt %q and error %v", receipt, err)
		}
		if err == nil && (status/100 != 2 || !json.Valid(body)) {
			t.Errorf("status %d, %q: taken for sent", status, body)
		}
	})
}

func TestNewSaysAllProblems(t *testing.T) {
	_, err := twilio.New(twilio.Config{
		AccountSID: runbook.NewSecret("AC-geheim"), KeySID: runbook.NewSecret("SK-geheim"), MessagingService: "MG", From: "+61-x-xxxx-xxxx", To: "+1-XXX-XXX-XXXX",
		Segments: 11, Language: `en"`, Timeout: -1, BaseURL: "http://api.twilio.com",
	})
	for _, want := range []string{"AccountSID must", "AuthToken is missing", "KeySID must", "MessagingService must", "From must be", "To must be", "Segments", "Language", "Timeout", "BaseURL"} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "geheim")
	for _, number := range []string{"+1-XXX-XXX-XXXX", "+15005550006", "+12125550199", "+61491570006", "+61-xxx-xxx-xxx", ""} {
		_, err := twilio.New(twilio.Config{AccountSID: runbook.NewSecret(account), AuthToken: runbook.NewSecret(token), From: from, To: number})
		assert.ErrorContains(t, err, "twilio: To ", number)
	}
	_, err = twilio.New(twilio.Config{AccountSID: runbook.NewSecret(account), AuthToken: runbook.NewSecret(token), From: to, To: to})
	assert.ErrorContains(t, err, "same number")
	_, err = twilio.New(twilio.Config{AccountSID: runbook.NewSecret(account), AuthToken: runbook.NewSecret(token), MessagingService: "MG0123456789abcdef0123456789abcdef", To: to, Voice: true})
	assert.ErrorContains(t, err, "From is missing")
}

// Whoever prints the notifier, in a log or in the diff of a test, does not print its token.
//
// Requirement: AL-SEND-SECRET
func TestPrintsNoSecret(t *testing.T) {
	n := notifier(t, &alerttest.Twilio{})
	text := fmt.Sprintf("%v %+v %#v", n, n, n)
	for _, secret := range []string{account, token, base64.StdEncoding.EncodeToString([]byte(account + ":" + token))} {
		assert.NotContains(t, text, secret)
	}
}

// A digest of what somebody takes care of calls nobody, unless there may be more than it shows.
func TestDigestCallsForWhatIsOpen(t *testing.T) {
	for name, c := range map[string]struct {
		taken, open int
		calls       bool
	}{"open": {0, 2, true}, "a part is open": {2, 1, true}, "taken": {3, 0, false}, "there may be more": {30, 0, true}} {
		service := &alerttest.Twilio{}
		what := firing()
		what.Kind, what.Alerts = alert.KindDigest, nil
		for i := range c.taken + c.open {
			a := firing().Alerts[0]
			if i < c.taken {
				a.Acknowledged = &alert.Acknowledgement{By: "ana"}
			}
			what.Alerts = append(what.Alerts, a)
		}
		_, err := notifier(t, service, voice).Notify(t.Context(), what)
		require.NoError(t, err)
		assert.Equal(t, c.calls, service.Told()[0].Say != nil, name)
	}
}
