package alerttest_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert/alerttest"
)

// ask makes a request, and returns the status and the text of the answer.
func ask(t *testing.T, client *http.Client, method, address, user, password, kind, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	require.NoError(t, err)
	req.SetBasicAuth(user, password)
	req.Header.Set("Content-Type", kind)
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// Twilio refuses what the real one refuses, and parameters that are not documented.
func TestTwilioRefuses(t *testing.T) {
	const account, form = "AC0123456789abcdef0123456789abcdef", "application/x-www-form-urlencoded"
	service := &alerttest.Twilio{AccountSID: account, AuthToken: "token"}
	messages, calls := "https://api.twilio.com/2010-04-01/Accounts/"+account+"/Messages.json", "https://api.twilio.com/2010-04-01/Accounts/"+account+"/Calls.json"
	good := url.Values{"To": {"+61400111222"}, "From": {"+61400111333"}, "Body": {"text"}, "Twiml": {"<Response><Say>text</Say></Response>"}}
	with := func(drop string, pairs ...string) string {
		v := url.Values{}
		for name := range good {
			if name != drop {
				v.Set(name, good.Get(name))
			}
		}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v.Encode()
	}
	for name, c := range map[string]struct {
		method, address, token, body string
		status                       int
		code                         string
	}{
		"message":           {"POST", messages, "token", with("Twiml"), 201, `"status":"queued"`},
		"call":              {"POST", calls, "token", with("Body"), 201, `"status":"queued"`},
		"wrong token":       {"POST", messages, "x", with("Twiml"), 401, "20003"},
		"another account":   {"POST", strings.Replace(messages, "AC0", "AC1", 1), "token", with("Twiml"), 404, "20404"},
		"method":            {"GET", messages, "token", "", 404, "20404"},
		"unknown parameter": {"POST", messages, "token", with("Twiml", "Text", "x"), 400, "Unknown or repeated parameter Text"},
		"no number":         {"POST", messages, "token", with("Twiml", "To", ""), 400, "21604"},
		"not a number":      {"POST", messages, "token", with("Twiml", "To", "0400111222"), 400, "21211"},
		"nobody sends":      {"POST", messages, "token", with("Twiml", "From", ""), 400, "21603"},
		"no text":           {"POST", messages, "token", with("Twiml", "Body", ""), 400, "21602"},
		"too long":          {"POST", messages, "token", with("Twiml", "Body", strings.Repeat("a", 1601)), 400, "21617"},
		"call from nobody":  {"POST", calls, "token", with("Body", "From", ""), 400, "21213"},
		"not TwiML":         {"POST", calls, "token", with("Body", "Twiml", "<Response><Say>"), 400, "21205"},
		"unknown verb":      {"POST", calls, "token", with("Body", "Twiml", "<Response><Dial>1</Dial></Response>"), 400, "21205"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := ask(t, service.Client(), c.method, c.address, account, c.token, form, c.body)
			assert.Equal(t, c.status, status)
			assert.Contains(t, text, c.code)
		})
	}
	assert.Len(t, service.Told(), 2)
}

// The gateway refuses fields that it does not know, in both of its forms.
func TestSMSGatewayRefuses(t *testing.T) {
	gateway := &alerttest.SMSGateway{Username: "u", Password: "p"}
	const send, plain = "https://rest.clicksend.com/v3/sms/send", "https://api.smsglobal.com/http-api.php"
	form := func(pairs ...string) string {
		v := url.Values{"action": {"sendsms"}, "user": {"u"}, "password": {"p"}, "from": {"ACU"}, "to": {"61400111222"}, "text": {"x"}}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v.Encode()
	}
	for name, c := range map[string]struct {
		address, password, body string
		status                  int
		want                    string
	}{
		"json":                 {send, "p", `{"messages": [{"to": "+61400111222", "body": "x", "from": "ACU"}]}`, 200, `"status":"SUCCESS"`},
		"json, unknown field":  {send, "p", `{"messages": [{"to": "+61400111222", "text": "x"}]}`, 400, "BAD_REQUEST"},
		"json, nothing":        {send, "p", `{"messages": []}`, 400, "BAD_REQUEST"},
		"json, wrong password": {send, "q", `{"messages": [{"to": "+61400111222", "body": "x"}]}`, 401, "UNAUTHORIZED"},
		"json, not a number":   {send, "p", `{"messages": [{"to": "0400", "body": "x"}]}`, 200, "INVALID_RECIPIENT"},
		"json, no text":        {send, "p", `{"messages": [{"to": "+61400111222", "body": ""}]}`, 200, "INVALID_BODY"},
		"form":                 {plain, "", form(), 200, "OK: 0; Sent queued message ID: "},
		"form, unknown field":  {plain, "", form("txt", "x"), 200, "ERROR: unknown parameter txt"},
		"form, no action":      {plain, "", form("action", ""), 200, "ERROR: No action requested"},
		"form, wrong password": {plain, "", form("password", "q"), 200, "ERROR: 401"},
		"form, number with +":  {plain, "", form("to", "+61400111222"), 200, "ERROR: 13 "},
		"form, no text":        {plain, "", form("text", ""), 200, "ERROR: 102"},
		"somewhere else":       {"https://rest.clicksend.com/v2/send", "p", "{}", 404, "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := ask(t, gateway.Client(), http.MethodPost, c.address, "u", c.password, "application/json", c.body)
			assert.Equal(t, c.status, status)
			assert.Contains(t, text, c.want)
		})
	}
	assert.Len(t, gateway.Told(), 2)
}
