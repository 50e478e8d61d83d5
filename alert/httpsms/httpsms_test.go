package httpsms_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/httpsms"
	"go.acu.edu.au/runbook/internal/memhttp"
)

const (
	user     = "acu-operations"
	password = "a0b1c2d3-secret"
	to       = "+61400111222"
)

// The two kinds of gateways, as their providers describe them.
func asJSON(c *httpsms.Config) {
	c.Service, c.URL, c.Username, c.Password = "clicksend", "https://rest.clicksend.com/v3/sms/send", user, runbook.NewSecret(password)
	c.JSON = `{"messages": [{"to": "{to}", "from": "{from}", "body": "{text}", "source": "runbook", "custom_string": "{key}"}]}`
	c.Answer = httpsms.Answer{Path: "data.messages.0.status", OK: "^SUCCESS$", Limited: "^THROTTLED$", ID: "data.messages.0.message_id"}
}

func asForm(c *httpsms.Config) {
	c.Service, c.URL = "smsglobal", "https://api.smsglobal.com/http-api.php"
	c.Secrets = map[string]runbook.Secret{"password": runbook.NewSecret(password)}
	c.Form = map[string]string{"action": "sendsms", "user": user, "password": "{password}", "from": "{from}", "to": "{to_digits}", "text": "{text}", "maxsplit": "{segments}"}
	c.Answer = httpsms.Answer{OK: `^OK: 0; .*SMSGlobalMsgID: ?(\S+)`, Limited: "^ERROR: 8 ", Refused: "^ERROR"}
}

func asQuery(c *httpsms.Config) {
	asForm(c)
	c.Method = http.MethodGet
}

var kinds = map[string]func(*httpsms.Config){"json": asJSON, "form": asForm, "query": asQuery}

func notifier(t testing.TB, client *http.Client, change ...func(*httpsms.Config)) *httpsms.Notifier {
	t.Helper()
	cfg := httpsms.Config{From: "ACU-IT", To: to, HTTP: client}
	for _, c := range change {
		c(&cfg)
	}
	n, err := httpsms.New(cfg)
	require.NoError(t, err)
	return n
}

func gateway() *alerttest.SMSGateway {
	return &alerttest.SMSGateway{Username: user, Password: password}
}

func texts(g *alerttest.SMSGateway) (list []string) {
	for _, m := range g.Told() {
		list = append(list, m.Body)
	}
	return list
}

// Requirement: AL-SMS-TWICE
// Requirement: AL-SEND-SECRET
func TestNotifier(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			alerttest.TestNotifier(t, alerttest.NotifierHarness{New: func(t testing.TB) alerttest.NotifierCase {
				g := gateway()
				return alerttest.NotifierCase{
					Notifier: notifier(t, g.Client(), kind), Messages: func() []string { return texts(g) },
					Fail:    func(next ...alerttest.Fault) bool { g.Fail(next...); return true },
					Secrets: []string{password, to, to[1:]},
					Hostile: `", "to": "+61400999888", {to} {password} &to=61400999888`, Escaped: `", "to": "+61400999888", {to} {password} &to=61400999888`,
				}
			}})
		})
	}
}

var at = time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC)

func firing() alert.Notification {
	return alert.Notification{
		Key: "9f86d081", Seq: 1, Kind: alert.KindFiring, Severity: alert.Critical, At: at, Title: "CRITICAL production: app is down",
		Alerts: []alert.Alert{{Entity: "app", State: alert.Firing, Began: at.Add(-2 * time.Minute), Playbook: "application-down", Detail: "GET /health: status 503 – “no connection”\n" + strings.Repeat("more ", 200)}},
	}
}

// What arrives at the gateway, in full.
func TestGolden(t *testing.T) {
	var b strings.Builder
	for _, name := range []string{"json", "form", "query"} {
		g := gateway()
		client := memhttp.Client(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			g.ServeHTTP(w, r)
		}), func(r *http.Request, body []byte) error {
			fmt.Fprintf(&b, "=== %s\n%s %s\n%s\n%s\n", name, r.Method, r.URL, r.Header.Get("Content-Type"), body)
			return nil
		})
		what := firing()
		what.PossibleRepeat = true
		_, err := notifier(t, client, kinds[name]).Notify(t.Context(), what)
		require.NoError(t, err)
		m := g.Told()[0]
		fmt.Fprintf(&b, "--- from %s to %s\n%s\n", m.From, m.To, m.Body)
	}
	text := strings.ReplaceAll(b.String(), password, "PASSWORD")
	const file = "testdata/requests.txt"
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
	for segments, most := range map[int]int{1: 160, 0: 306, 4: 612} {
		g := gateway()
		_, err := notifier(t, g.Client(), asForm, func(c *httpsms.Config) { c.Segments = segments }).Notify(t.Context(), firing())
		require.NoError(t, err)
		assert.LessOrEqual(t, len(texts(g)[0]), most)
		assert.Greater(t, len(texts(g)[0]), most-20)
	}
	g := gateway()
	_, err := notifier(t, g.Client(), asForm, func(c *httpsms.Config) { c.Unicode = true }).Notify(t.Context(), firing())
	require.NoError(t, err)
	assert.Contains(t, texts(g)[0], "–")
	assert.LessOrEqual(t, len([]rune(texts(g)[0])), 134)
}

// answers is a gateway that answers what a test says.
func answers(status int, body string) *http.Client {
	return memhttp.Client(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}), nil)
}

// What answers mean. The first of each kind are those that the providers publish: ClickSend
// (https://developers.clicksend.com/docs/messaging/sms, its example as copied at
// https://205ozaq3qt.apidog.io/api-3524049) and SMSGlobal
// (https://www.smsglobal.com/http-api/), read on 2026-11-27.
func TestAnswers(t *testing.T) {
	published, err := os.ReadFile("testdata/clicksend.json")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		kind    func(*httpsms.Config)
		status  int
		body    string
		receipt alert.Receipt
		want    error // nil without a receipt: not known
		code    string
	}{
		"json, taken":           {asJSON, 200, string(published), "BF7AD270-0DE2-418B-B606-71D527D9C1AE", nil, ""},
		"json, refused":         {asJSON, 200, `{"data": {"messages": [{"status": "INSUFFICIENT_CREDIT"}]}}`, "", alert.ErrRefused, "INSUFFICIENT_CREDIT"},
		"json, limited":         {asJSON, 200, `{"data": {"messages": [{"status": "THROTTLED"}]}}`, "", alert.ErrLimited, "THROTTLED"},
		"json, limited by 400":  {asJSON, 400, `{"data": {"messages": [{"status": "THROTTLED"}]}}`, "", alert.ErrLimited, "THROTTLED"},
		"json, refused by 400":  {asJSON, 400, `{"data": {"messages": [{"status": "SUCCESS"}]}}`, "", alert.ErrRefused, "SUCCESS"},
		"json, says nothing":    {asJSON, 200, `{"data": {"messages": []}}`, "", nil, ""},
		"json, says null":       {asJSON, 200, `{"data": {"messages": [{"status": null}]}}`, "", nil, ""},
		"json, not JSON":        {asJSON, 200, "<html>", "", nil, ""},
		"json, 502":             {asJSON, 502, string(published), "", nil, "SUCCESS"},
		"form, taken":           {asForm, 200, "OK: 0; Sent queued message ID: 04b4a8d4a5a02176 SMSGlobalMsgID:6613115713715266\r\n", "6613115713715266", nil, ""},
		"form, refused":         {asForm, 200, "ERROR: 13 - Invalid Mobile Number 61400111222", "", alert.ErrRefused, "ERROR: 13 - Invalid Mobile Number …"},
		"form, password echoed": {asForm, 200, "ERROR: password " + password + " is wrong for +61400111222", "", alert.ErrRefused, "ERROR: password … is wrong for …"},
		"form, limited":         {asForm, 200, "ERROR: 8 - too many messages", "", alert.ErrLimited, "ERROR: 8 - too many messages"},
		"form, something else":  {asForm, 200, "<html>Please log in to the network", "", nil, "<html>Please log in to the network"},
		"form, no refusals":     {func(c *httpsms.Config) { asForm(c); c.Answer.Refused = "" }, 200, "ERROR: 13", "", nil, "ERROR: 13"},
		"form, 429":             {asForm, 429, "slow down", "", alert.ErrLimited, ""},
		"no rules":              {func(c *httpsms.Config) { asForm(c); c.Answer = httpsms.Answer{} }, 204, "", "", errNone, ""},
		"numbers and booleans":  {func(c *httpsms.Config) { asJSON(c); c.Answer = httpsms.Answer{Path: "ok", OK: "^true$", ID: "id"} }, 200, `{"ok": true, "id": 12345678901234567890}`, "12345678901234567890", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			receipt, err := notifier(t, answers(c.status, c.body), c.kind).Notify(t.Context(), firing())
			assert.Equal(t, c.receipt, receipt)
			if c.receipt != "" || errors.Is(c.want, errNone) {
				require.NoError(t, err)
				return
			}
			e, ok := errors.AsType[*alert.Error](err)
			require.True(t, ok)
			assert.Equal(t, c.want, e.Kind)
			assert.Equal(t, c.code, e.Code)
			assert.Equal(t, c.want != nil, runbook.SafeToRetry(err))
		})
	}
}

var errNone = errors.New("none")

func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"data": {"messages": [{"status": "SUCCESS", "message_id": "x"}]}}`), "data.messages.0.status")
	f.Add(200, []byte(`{"a": [[1, {"b": true}], null]}`), "a.0.1.b")
	f.Add(400, []byte("ERROR: 13"), "")
	f.Add(200, []byte("\xff{"), "..-1.9999999999999999999")
	f.Fuzz(func(t *testing.T, status int, body []byte, path string) {
		n := notifier(t, answers(200+max(0, status%400), string(body)), asJSON, func(c *httpsms.Config) {
			c.Answer.Path, c.Answer.ID = path, ""
		})
		if _, err := n.Notify(t.Context(), firing()); err == nil && !strings.Contains(string(body), "S") {
			t.Errorf("%q at %q is taken for SUCCESS", body, path)
		}
	})
}

// The counterpart's own refusals.
func TestCredentials(t *testing.T) {
	for name, kind := range kinds {
		g := gateway()
		g.Password = "another"
		_, err := notifier(t, g.Client(), kind).Notify(t.Context(), firing())
		assert.ErrorIs(t, err, alert.ErrRefused, name)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), password, name)
		busy := gateway()
		busy.Busy = true
		_, err = notifier(t, busy.Client(), kind).Notify(t.Context(), firing())
		assert.ErrorIs(t, err, alert.ErrLimited, name)
		assert.Empty(t, busy.Told())
	}
}

func TestHeaderAndNumbers(t *testing.T) {
	var got http.Header
	var form string
	client := memhttp.Client(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), func(r *http.Request, body []byte) error {
		got, form = r.Header, string(body)
		return nil
	})
	n := notifier(t, client, func(c *httpsms.Config) {
		c.URL, c.Form = "https://sms.example.com/send", map[string]string{"m": "{text}", "local": "{to_local}", "intl": "{to_digits}"}
		c.Header = map[string]string{"X-Api-Key": "Key {api_key}", "Idempotency-Key": "{key}"}
		c.Secrets = map[string]runbook.Secret{"api_key": runbook.NewSecret("{text}k")}
	})
	what := firing()
	what.Key = "k\r\nX-Evil: 1"
	_, err := n.Notify(t.Context(), what)
	require.NoError(t, err)
	assert.Equal(t, "Key {text}k", got.Get("X-Api-Key"), "values are not expanded again")
	assert.Equal(t, "k X-Evil: 1", got.Get("Idempotency-Key"))
	assert.Contains(t, form, "local=0400111222")
	assert.Contains(t, form, "intl=61400111222")
}

func TestNewSaysAllProblems(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  httpsms.Config
		want []string
	}{
		"empty": {httpsms.Config{}, []string{"URL must", "either JSON or Form", "To must be", "does not have {text}", "none of {to}"}},
		"all": {httpsms.Config{
			Service: "Click Send", URL: "http://x.example", Method: "PATCH", JSON: "{", Form: map[string]string{"a": "{nothing}"}, Username: "u",
			Header: map[string]string{"Bad Header": "x", "X-To": "{to}", "X-Line": "a\nb"}, Secrets: map[string]runbook.Secret{"text": runbook.NewSecret("x"), "empty": {}, "lines": runbook.NewSecret("a\nb")},
			From: "+61-x-xxxx-xxxx", To: "+1-XXX-XXX-XXXX", Segments: -1, Timeout: -1,
			Answer: httpsms.Answer{OK: "(", Limited: "[", Refused: "(", ID: "x"},
		}, []string{
			"Service must", "URL must", "Method must", "either JSON or Form", "JSON is not", "Username and Password", "{nothing}", `"Bad Header"`, "header X-To: {to}", `"X-Line"`,
			`named "text"`, `"empty" is empty`, `"lines" is empty`, "From must", "To must", "Segments", "Timeout", "Answer.OK", "Answer.Limited", "Answer.Refused", "Answer.ID needs",
		}},
		"get":   {httpsms.Config{Method: "GET", JSON: `{"a": "{text}{to}"}`}, []string{"JSON cannot be sent by GET"}},
		"rules": {httpsms.Config{Answer: httpsms.Answer{Path: "x"}}, []string{"OK is missing"}},
	} {
		_, err := httpsms.New(c.cfg)
		require.Error(t, err, name)
		for _, want := range c.want {
			assert.ErrorContains(t, err, want, name)
		}
	}
}
