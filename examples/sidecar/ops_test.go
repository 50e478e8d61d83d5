package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/lti/ltitest"
)

const secret = "token-of-the-tests"

// beside returns a tool whose servers are not there, and its handler.
func beside(t *testing.T, env map[string]string) (*tool, http.Handler) {
	t.Helper()
	all := map[string]string{
		"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1", "OPS_TOKEN": secret,
		"APPLICATION_URL": "http://127.0.0.1:1",
	}
	for name, value := range env {
		all[name] = value
	}
	tool, err := newTool(func(name string) string { return all[name] }, 1, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(tool.close)
	handler, err := tool.handler()
	require.NoError(t, err)
	return tool, handler
}

type answer struct {
	*httptest.ResponseRecorder
	json map[string]any
}

// ask sends a request with the token, and reads an answer in JSON.
func ask(t *testing.T, handler http.Handler, method, path, body string) answer {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+secret)
	a := answer{ResponseRecorder: httptest.NewRecorder()}
	handler.ServeHTTP(a, r)
	if a.Body.Len() > 0 {
		require.NoError(t, json.Unmarshal(a.Body.Bytes(), &a.json), "%s: %s", path, a.Body)
	}
	return a
}

func TestErrorsAreJSONThatSaysWhatToDo(t *testing.T) {
	_, handler := beside(t, map[string]string{"CANVAS_CLIENT_ID_BETA": "10000000000002"})
	large := strings.Repeat("a", 64<<10)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"no such path":       {"GET", "/ops/nonsense", "", 404, "not found"},
		"other method":       {"POST", "/ops/alerts", "", 405, "Method Not Allowed"},
		"no instance":        {"GET", "/ops/canvas/budget", "", 400, "test, beta, prod"},
		"unknown instance":   {"GET", "/ops/lti?instance=production", "", 400, "test, beta, prod"},
		"budget of nothing":  {"GET", "/ops/canvas/budget?instance=prod", "", 404, "CANVAS_URL_"},
		"LTI of nothing":     {"GET", "/ops/lti?instance=prod", "", 404, "CANVAS_CLIENT_ID_"},
		"a token of nothing": {"POST", "/ops/lti/token", `{"instance":"prod","token":"canary"}`, 404, "CANVAS_CLIENT_ID_"},
		"no body":            {"POST", "/ops/lti/token", "", 400, "must be JSON"},
		"no token":           {"POST", "/ops/lti/token", `{"instance":"beta"}`, 400, "must be JSON"},
		"an unknown field":   {"POST", "/ops/lti/token", `{"instance":"beta","tokne":"canary"}`, 400, "must be JSON"},
		"two bodies":         {"POST", "/ops/lti/token", `{"instance":"beta","token":"canary"}{}`, 400, "must be JSON"},
		"a large token":      {"POST", "/ops/lti/token", `{"instance":"beta","token":"` + large + `"}`, 413, "64 KiB"},
		"a large push":       {"POST", "/ops/push/worker/a", `{"detail":"` + large + `"}`, 413, "64 KiB"},
		"an unknown input":   {"POST", "/ops/push/weather/a", `{"value":1}`, 404, "no such input"},
		"an unknown kind":    {"POST", "/ops/push/queue_length/a", `{"bad":1}`, 400, "gauge"},
		"a push that reads":  {"GET", "/ops/push/worker/a", "", 405, "POST"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, handler, c.method, c.path, c.body)
			assert.Equal(t, c.status, a.Code)
			assert.Equal(t, "application/json", a.Header().Get("Content-Type"))
			assert.Contains(t, a.json["error"], c.says)
			assert.NotContains(t, a.Body.String(), "canary")
		})
	}
}

func TestOnlyTheTokenOpens(t *testing.T) {
	_, handler := beside(t, nil)
	for _, path := range []string{
		"/ops/health", "/ops/alerts", "/ops/canvas/budget?instance=prod", "/ops/lti?instance=prod", "/ops/lti/token",
		"/ops/push/worker/a", "/ops/nonsense",
	} {
		for _, authorization := range []string{"", secret, "Bearer", "Bearer " + secret + "s", "Basic " + secret} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			r.Header.Set("Authorization", authorization)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			assert.Equal(t, http.StatusUnauthorized, w.Code, "%s with %q", path, authorization)
			assert.Equal(t, "Bearer", w.Header().Get("WWW-Authenticate"))
			assert.Contains(t, w.Body.String(), `{"error":"the token is missing or wrong`)
		}
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/ops/livez", nil))
	assert.Equal(t, http.StatusOK, w.Code, "an orchestrator has no token")
}

func TestEveryProblemOfTheNewVariablesIsReported(t *testing.T) {
	env := map[string]string{
		"OPS_TOKEN": secret, "PUBLIC_URL": "canary", "WORKER_SILENCE": "1ms", "QUEUE_LIMIT": "NaN", "CANVAS_URL_BETA": "ftp://canary",
	}
	_, err := readSettings(func(name string) string { return env[name] })
	for _, want := range []string{"PUBLIC_URL", "WORKER_SILENCE", "QUEUE_LIMIT", "CANVAS_URL_BETA"} {
		require.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "canary")
	env = map[string]string{"OPS_TOKEN": secret, "ALERT_SLACK_WEBHOOK": "http://canary"}
	s, err := readSettings(func(name string) string { return env[name] })
	require.NoError(t, err)
	_, err = newAlerts(s, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "ALERT_SLACK_WEBHOOK")
	assert.NotContains(t, err.Error(), "canary")
}

// What is left of a budget is asked of Canvas, once in a while, and says how
// long to wait.
func TestBudget(t *testing.T) {
	fake := &canvastest.Server{}
	var mu sync.Mutex
	requests, status := 0, 0
	set := func(to int) { mu.Lock(); defer mu.Unlock(); status = to }
	asked := func() int { mu.Lock(); defer mu.Unlock(); return requests }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		requests++
		now := status
		mu.Unlock()
		if now != 0 {
			w.WriteHeader(now)
			return
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	env := map[string]string{"CANVAS_URL_BETA": server.URL, "CANVAS_TOKEN_BETA": canvastest.AdminToken}

	tool, handler := beside(t, env)
	for range 3 {
		a := ask(t, handler, "GET", "/ops/canvas/budget?instance=beta", "")
		require.Equal(t, http.StatusOK, a.Code, a.Body)
		assert.Equal(t, true, a.json["measured"])
		assert.Equal(t, 0., a.json["wait_seconds"])
		assert.Greater(t, a.json["remaining"], 500.)
	}
	assert.Equal(t, 1, asked(), "Canvas is asked once, however many ask us")

	fake.Spend(canvastest.TokenIdentifier(canvastest.AdminToken), 690)
	tool.budgets["beta"].asked = time.Time{}
	a := ask(t, handler, "GET", "/ops/canvas/budget?instance=beta", "")
	require.Equal(t, http.StatusOK, a.Code, a.Body)
	assert.Equal(t, true, a.json["throttled"], a.Body)
	assert.GreaterOrEqual(t, a.json["wait_seconds"], 1., "others have used it up: %s", a.Body)

	_, handler = beside(t, env)
	set(http.StatusUnauthorized)
	a = ask(t, handler, "GET", "/ops/canvas/budget?instance=beta", "")
	assert.Equal(t, http.StatusBadGateway, a.Code, "it said no: %s", a.Body)
	assert.Contains(t, a.json["error"], "refuses the token")

	_, handler = beside(t, env)
	server.Close()
	a = ask(t, handler, "GET", "/ops/canvas/budget?instance=beta", "")
	assert.Equal(t, http.StatusServiceUnavailable, a.Code, "it could not be asked: %s", a.Body)
	assert.Equal(t, "5", a.Header().Get("Retry-After"))
}

func TestWait(t *testing.T) {
	for name, c := range map[string]struct {
		left left
		want float64
	}{
		"room":              {left{Remaining: 700}, 0},
		"just enough":       {left{Remaining: 50.1}, 0},
		"just not":          {left{Remaining: 50}, 1},
		"empty":             {left{Remaining: 0}, 5},
		"below empty":       {left{Remaining: -50}, 10},
		"others take it":    {left{Remaining: 0, Others: 5}, 10},
		"others take all":   {left{Remaining: 0, Others: 12}, 50},
		"rejected, why not": {left{Remaining: 300, Throttled: true}, 1},
	} {
		assert.InDelta(t, c.want, wait(c.left), 0, name)
	}
}

// The doctor looks at how the application is configured, and at a token.
func TestDoctor(t *testing.T) {
	platform := &ltitest.Platform{Canvas: true, Environment: "prod"}
	application := http.NewServeMux()
	application.HandleFunc("/.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"keys": []any{}})
	})
	registered := platform.AddTool(ltitest.Tool{JWKSURL: "https://qa.example.edu/.well-known/jwks.json", Handler: application})
	tool, _ := beside(t, map[string]string{
		"PUBLIC_URL": "https://qa.example.edu", "CANVAS_CLIENT_ID_PROD": registered.ClientID, "CANVAS_URL_PROD": "https://school.instructure.com",
	})
	tool.http = platform.Client()
	var err error
	tool.doctors, err = tool.newDoctors()
	require.NoError(t, err)
	handler, err := tool.handler()
	require.NoError(t, err)

	a := ask(t, handler, "GET", "/ops/lti?instance=prod", "")
	require.Equal(t, http.StatusOK, a.Code, a.Body)
	assert.NotEmpty(t, a.json["findings"], "the key set is empty: %s", a.Body)
	assert.NotEmpty(t, a.json["checked"])
	assert.NotEmpty(t, a.json["not_checked"])

	var expired ltitest.Case
	for _, c := range ltitest.Cases() {
		if !c.Accept && strings.Contains(strings.ToLower(c.Name), "expire") {
			expired = c
		}
	}
	require.NotEmpty(t, expired.Name)
	token := platform.Token(expired, registered.ClientID, "nonce-1")
	body, err := json.Marshal(map[string]any{"instance": "prod", "token": token, "received": time.Now()})
	require.NoError(t, err)
	a = ask(t, handler, "POST", "/ops/lti/token", string(body))
	require.Equal(t, http.StatusOK, a.Code, a.Body)
	assert.Contains(t, a.Body.String(), "expired")
	assert.NotContains(t, a.Body.String(), token)
	first := a.json["findings"].([]any)[0].(map[string]any)
	for _, field := range []string{"id", "title", "likelihood", "evidence", "remedy"} {
		assert.NotEmpty(t, first[field], field)
	}

	tool.diagnosing <- struct{}{}
	a = ask(t, handler, "GET", "/ops/lti?instance=prod", "")
	assert.Equal(t, http.StatusTooManyRequests, a.Code)
	assert.Equal(t, "5", a.Header().Get("Retry-After"))
}

// logBook is a log that a test reads while it is written.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A silent worker, one that was never heard of, a long queue and failing tasks are
// told of, in the log, and are over when they are.
func TestAlertsOfWhatIsPushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env := map[string]string{"OPS_TOKEN": secret, "WORKERS": "app-9", "QUEUE_LIMIT": "20", "ENVIRONMENT": "production"}
		s, err := readSettings(func(name string) string { return env[name] })
		require.NoError(t, err)
		book := new(logBook)
		a, err := newAlerts(s, slog.New(slog.NewTextHandler(book, nil)))
		require.NoError(t, err)
		require.NoError(t, a.start(t.Context()))
		push := func(path, body string) {
			t.Helper()
			require.Equal(t, http.StatusNoContent, ask(t, a.push, "POST", "/ops/push/"+path, body).Code)
		}
		firing := func() string {
			synctest.Wait()
			return ask(t, http.HandlerFunc(a.list), "GET", "/ops/alerts", "").Body.String()
		}
		assert.JSONEq(t, `{"alerts": []}`, firing())
		push("worker/app-1", "")
		push("queue_length/app", `{"value": 20}`)
		push("tasks/app", `{"good": 9, "bad": 5}`)
		time.Sleep(55 * time.Second)
		push("worker/app-1", "{}")
		assert.JSONEq(t, `{"alerts": []}`, firing(), "nothing is above its limit")

		time.Sleep(30 * time.Second)
		assert.Contains(t, firing(), "worker app-9 is silent", "it was never heard of, and WORKERS names it")
		assert.NotContains(t, firing(), "worker app-1")
		push("queue_length/app", `{"value": 21}`)
		push("tasks/app", `{"bad": 1}`)
		push("worker/app-1", `{"failed": true, "detail": "hangs"}`)
		time.Sleep(40 * time.Second)
		for _, want := range []string{"worker app-1 is silent", "21 tasks wait in app", "tasks of app failed", `"told":["log"]`} {
			assert.Contains(t, firing(), want)
		}
		for _, want := range []string{"worker app-9 is silent", "21 tasks wait in app", "tasks of app failed"} {
			assert.Contains(t, book.String(), want)
		}
		assert.NotContains(t, book.String(), "and 1 more", "a second worker is told with the next message of its group")
		time.Sleep(5 * time.Minute)
		assert.Contains(t, book.String(), "is silent: it is dead, hangs, or cannot reach us, and 1 more")
		push("worker/app-1", "")
		push("queue_length/app", `{"value": 10}`)
		time.Sleep(2 * time.Second)
		assert.NotContains(t, firing(), "app-1")
		assert.NotContains(t, firing(), "queue_long")
		require.NoError(t, a.stop(t.Context()))
	})
}

// Each path that PYTHON.md names is served.
func TestThePageForPythonColleaguesNamesWhatIsServed(t *testing.T) {
	page, err := os.ReadFile("PYTHON.md")
	require.NoError(t, err)
	_, handler := beside(t, nil)
	named := make(map[string]bool)
	for _, m := range regexp.MustCompile("`(GET|POST) (/ops/[^`?]+)").FindAllStringSubmatch(string(page), -1) {
		named[m[1]+" "+m[2]] = true
		a := ask(t, handler, m[1], m[2], "")
		switch { // what is served understands too little of an empty request, or all of it
		case a.Code == http.StatusNotFound || a.Code == http.StatusMethodNotAllowed || a.Code == http.StatusUnauthorized:
			t.Errorf("%s %s: %d %s", m[1], m[2], a.Code, a.Body)
		}
	}
	for _, path := range []string{
		"GET /ops/health", "GET /ops/alerts", "GET /ops/canvas/budget", "GET /ops/lti", "POST /ops/lti/token",
		"POST /ops/push/worker/NAME", "POST /ops/push/queue_length/NAME", "POST /ops/push/tasks/NAME",
	} {
		assert.True(t, named[path], "the page does not name %s", path)
	}
}

// blocks are what a page has in fences of a language, one after another.
func blocks(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("PYTHON.md")
	require.NoError(t, err)
	var all strings.Builder
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		all.WriteString(m[1])
	}
	require.NotEmpty(t, all.String())
	return all.String()
}

// running runs the tool until the test ends.
func running(t *testing.T, env map[string]string, log io.Writer) {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, nil, func(name string) string { return env[name] }, io.Discard, log) }()
	t.Cleanup(func() {
		interrupt()
		assert.Equal(t, 0, <-ended)
	})
}
