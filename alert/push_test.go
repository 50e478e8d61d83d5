package alert_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
)

var everyKind = []alert.Input{
	{Name: "gauge", Kind: alert.Gauge}, {Name: "checks", Kind: alert.Checks}, {Name: "counter", Kind: alert.Counter},
	{Name: "heartbeat", Kind: alert.Heartbeat}, {Name: "moment", Kind: alert.Moment}, {Name: "text", Kind: alert.Text},
}

var ruleOfEveryKind = []alert.Rule{
	{Name: "gauge", Input: "gauge", When: alert.Above{Limit: 5}, Severity: alert.High},
	{Name: "checks", Input: "checks", When: alert.Failures{Fail: 1}, Severity: alert.High},
	{Name: "counter", Input: "counter", When: alert.Rate{Limit: 3, Window: 3600e9}, Severity: alert.High},
	{Name: "heartbeat", Input: "heartbeat", When: alert.Silent{Period: 60e9}, Severity: alert.High},
	{Name: "moment", Input: "moment", When: alert.Aged{Over: 3600e9}, Severity: alert.High},
	{Name: "text", Input: "text", When: alert.Changed{}, Severity: alert.High},
}

func pusher(t testing.TB, e *alert.Engine, most int) func(path, token, body string) (int, string) {
	t.Helper()
	h, err := alert.NewPushHandler(alert.PushConfig{Engine: e, Token: runbook.NewSecret("s3cret"), Environment: "production", MaxSources: most})
	require.NoError(t, err)
	return func(path, authorization, body string) (int, string) {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
}

// Each kind is fed, and judged.
func TestPush(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, everyKind, nil, ruleOfEveryKind...)
		push := pusher(t, e, 0)
		ok := func(path, body string) {
			t.Helper()
			status, text := push(path, "Bearer s3cret", body)
			assert.Equal(t, http.StatusNoContent, status, text)
		}
		ok("/push/gauge/worker-1", `{"value": 6}`)
		assert.Equal(t, "production", out.last("gauge").Environment)
		ok("/gauge/a%2Fb", `{"value": 6, "environment": "beta"}`)
		assert.Equal(t, "beta", out.last("gauge").Environment)
		ok("/push/checks/worker-1", `{"failed": true, "detail": "queue is full"}`)
		assert.Equal(t, "queue is full", out.last("checks").Detail)
		ok("/push/counter/worker-1", `{"good": 1, "bad": 4}`)
		ok("/push/heartbeat/worker-1", ``)
		ok("/push/moment/worker-1", `{"moment": "1999-12-31T12:00:00+11:00"}`)
		ok("/push/text/worker-1", `{"text": "1.0"}`)
		ok("/push/text/worker-1/", `{"text": "1.1"}`)
		assert.ElementsMatch(t, []string{
			"gauge/worker-1 firing", "gauge/a/b firing", "checks/worker-1 firing", "counter/worker-1 firing", "moment/worker-1 firing", "text/worker-1 firing",
		}, out.take())
	})
}

// Requirement: AL-AM-DEAD-MAN
func TestHeartbeatOfAWorker(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, everyKind, nil, ruleOfEveryKind...)
		push := pusher(t, e, 0)
		status, _ := push("/heartbeat/worker", "bearer s3cret", "{}")
		assert.Equal(t, http.StatusNoContent, status)
		sleep(50)
		push("/heartbeat/worker", "Bearer s3cret", `{"failed": true, "detail": "no database"}`)
		sleep(12)
		assert.Equal(t, []string{"heartbeat/worker firing"}, out.take(), "a worker that says that it does not work does not beat")
		push("/heartbeat/worker", "Bearer s3cret", "")
		assert.Equal(t, []string{"heartbeat/worker resolved"}, out.take())
	})
}

func TestPushRefuses(t *testing.T) {
	e, err := alert.NewEngine(alert.EngineConfig{Inputs: everyKind, Rules: ruleOfEveryKind, Out: &book{}, Logger: quiet})
	require.NoError(t, err)
	push := pusher(t, e, 3)
	for name, c := range map[string]struct {
		path, token, body string
		want              int
	}{
		"no token":               {"/gauge/a", "", `{"value":1}`, 401},
		"wrong token":            {"/gauge/a", "Bearer s3cres", `{"value":1}`, 401},
		"longer token":           {"/gauge/a", "Bearer s3crets", `{"value":1}`, 401},
		"no scheme":              {"/gauge/a", "s3cret", `{"value":1}`, 401},
		"other scheme":           {"/gauge/a", "Basic s3cret", `{"value":1}`, 401},
		"token before the path":  {"/", "", ``, 401},
		"no entity":              {"/gauge", "Bearer s3cret", `{"value":1}`, 404},
		"empty entity":           {"/gauge/%20%0a", "Bearer s3cret", `{"value":1}`, 404},
		"long entity":            {"/gauge/" + strings.Repeat("a", 201), "Bearer s3cret", `{"value":1}`, 404},
		"bytes in the entity":    {"/gauge/%ff", "Bearer s3cret", `{"value":1}`, 404},
		"no such input":          {"/weather/a", "Bearer s3cret", `{"value":1}`, 404},
		"no JSON":                {"/gauge/a", "Bearer s3cret", `value=1`, 400},
		"cut JSON":               {"/gauge/a", "Bearer s3cret", `{"value":1`, 400},
		"two":                    {"/gauge/a", "Bearer s3cret", `{"value":1}{"value":2}`, 400},
		"a field with an error":  {"/checks/a", "Bearer s3cret", `{"faild":true}`, 400},
		"a field of another":     {"/checks/a", "Bearer s3cret", `{"value":6}`, 400},
		"nothing to a check":     {"/checks/a", "Bearer s3cret", ``, 400},
		"nothing to a gauge":     {"/gauge/a", "Bearer s3cret", `{}`, 400},
		"no number":              {"/gauge/a", "Bearer s3cret", `{"value":1e999}`, 400},
		"a negative count":       {"/counter/a", "Bearer s3cret", `{"bad":-1}`, 400},
		"no moment":              {"/moment/a", "Bearer s3cret", `{"moment":"yesterday"}`, 400},
		"the zero moment":        {"/moment/a", "Bearer s3cret", `{"moment":"0001-01-01T00:00:00Z"}`, 400},
		"no text":                {"/text/a", "Bearer s3cret", `{"text":""}`, 400},
		"a long environment":     {"/gauge/a", "Bearer s3cret", `{"value":1,"environment":"` + strings.Repeat("e", 300) + `"}`, 400},
		"a body that is too big": {"/text/a", "Bearer s3cret", `{"text":"` + strings.Repeat("a", 64<<10) + `"}`, 413},
	} {
		status, text := push(c.path, c.token, c.body)
		assert.Equal(t, c.want, status, name)
		assert.NotContains(t, text, "s3cret", name)
	}
	assert.Zero(t, e.Sources(), "what is refused leaves nothing")
	for i := range 5 {
		status, _ := push(fmt.Sprintf("/gauge/%d", i), "Bearer s3cret", `{"value":1}`)
		assert.Equal(t, i >= 3, status == http.StatusInsufficientStorage, status)
	}
	status, _ := push("/gauge/0", "Bearer s3cret", `{"value":1}`)
	assert.Equal(t, http.StatusNoContent, status, "those that are there go on")
	h, err := alert.NewPushHandler(alert.PushConfig{Engine: e, Token: runbook.NewSecret("s3cret")})
	require.NoError(t, err)
	for method, want := range map[string]int{http.MethodGet: 405, http.MethodPut: 405} {
		r := httptest.NewRequest(method, "/gauge/a", nil)
		r.Header.Set("Authorization", "Bearer s3cret")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, want, w.Code)
		assert.Equal(t, "POST", w.Header().Get("Allow"))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/gauge/a", nil))
	assert.Equal(t, "Bearer", w.Header().Get("WWW-Authenticate"))
	_, err = alert.NewPushHandler(alert.PushConfig{MaxSources: -1})
	require.ErrorContains(t, err, "the engine is missing")
	require.ErrorContains(t, err, "the token is missing")
	require.ErrorContains(t, err, "MaxSources is negative")
}

func TestPushAllAtOnce(t *testing.T) {
	e, err := alert.NewEngine(alert.EngineConfig{Inputs: everyKind, Rules: ruleOfEveryKind, Out: &book{}, Logger: quiet, Tick: 1e6})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	push := pusher(t, e, 0)
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			for n := range 200 {
				if status, text := push(fmt.Sprintf("/gauge/%d", (i+n)%5), "Bearer s3cret", fmt.Sprintf(`{"value":%d}`, n%10)); status != http.StatusNoContent {
					t.Error(status, text)
				}
			}
		})
	}
	work.Wait()
	require.NoError(t, e.Stop(t.Context()))
}

// What comes from outside is taken or refused with a status that is documented, and never
// panics.
func FuzzPush(f *testing.F) {
	for _, in := range everyKind {
		f.Add("/"+in.Name+"/worker", `{"value":1}`)
		f.Add("/push/"+in.Name+"/a%2Fb", `{"failed":true,"detail":"x","environment":"beta"}`)
	}
	f.Add("/counter/a", `{"good":18446744073709551615,"bad":18446744073709551615}`)
	f.Add("/moment/a", `{"moment":"9999-12-31T23:59:59Z"}`)
	f.Add("/text/a", `{"text":"\u0000\ud800"}`)
	f.Add("/heartbeat/%zz", ``)
	out := &book{}
	e, err := alert.NewEngine(alert.EngineConfig{Inputs: everyKind, Rules: ruleOfEveryKind, Out: out, Logger: quiet})
	require.NoError(f, err)
	push := pusher(f, e, 1000)
	f.Fuzz(func(t *testing.T, path, body string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Skip()
		}
		if _, err := http.NewRequest(http.MethodPost, path, nil); err != nil {
			t.Skip()
		}
		switch status, text := push(path, "Bearer s3cret", body); status {
		case 204, 400, 404, 413, 507:
		default:
			t.Errorf("%d %s", status, text)
		}
	})
}

// sleep sleeps for seconds.
func sleep(seconds int) { time.Sleep(time.Duration(seconds) * time.Second) }
