//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// newCanvas is a Canvas on a port, with the keys of a platform.
func newCanvas(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", &canvastest.Server{})
	mux.HandleFunc("/api/lti/security/jwks", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"keys": []any{ltitest.PublicJWK(&ltitest.ToolKey(0).PublicKey, "one")}})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// command runs a program that must end well, and returns what it wrote.
func command(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1"}, env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// The real application tells the tool that its workers live and how long its queue
// is, asks it, and is missed when it is killed.
func TestTheApplicationAndItsTool(t *testing.T) {
	python := services.Need(t, services.Python)
	redis, postgres, canvas := services.StartRedis(t), services.StartPostgres(t), newCanvas(t)
	listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(services.FreePort(t)))
	shared := map[string]string{
		"DATABASE_URL": postgres.URL(), "REDIS_URL": redis.URL(), "CANVAS_URL_TEST": canvas.URL, "CANVAS_TOKEN_TEST": canvastest.AdminToken,
		"CANVAS_CLIENT_ID_TEST": "10000000000001", "LTI_PLATFORM_URL_TEST": canvas.URL, "ENVIRONMENT": "test",
	}
	with := func(more map[string]string) map[string]string {
		for name, value := range shared {
			more[name] = value
		}
		return more
	}
	application := services.StartApplication(t, services.Application{Env: with(map[string]string{
		"OPS_URL": "http://" + listen, "OPS_INTERVAL": "0.2", "ASYNC_WORKERS": "2", "CANVAS_RATE_LIMIT_PER_MINUTE": "100000",
	})})
	operator := func(method, address, body string) answer {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+services.OpsToken)
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		a := answer{ResponseRecorder: httptest.NewRecorder()}
		a.Code = response.StatusCode
		_, err = a.Body.ReadFrom(response.Body)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(a.Body.Bytes(), &a.json), "%s", a.Body)
		return a
	}
	eventually := func(what string, holds func() bool) {
		t.Helper()
		require.Eventually(t, holds, 30*time.Second, 100*time.Millisecond, what)
	}

	eventually("the application works", func() bool { return operator("GET", application.URL()+"/health", "").Code == http.StatusOK })
	assert.Equal(t, http.StatusServiceUnavailable, operator("GET", application.URL()+"/health/tool", "").Code, "the tool is away")
	eventually("that is logged", func() bool {
		return strings.Contains(application.Log(), "the tool was not told everything: Away: refused")
	})

	log := new(logBook)
	running(t, with(map[string]string{
		"APPLICATION_URL": application.URL(), "OPS_TOKEN": services.OpsToken, "LISTEN": listen, "WORKER_SILENCE": "2s", "QUEUE_LIMIT": "2",
		"WORKERS": "never-1",
	}), log)
	eventually("the tool is back", func() bool { return strings.Contains(application.Log(), "the tool is told everything again") })
	eventually("the application shows what the tool found", func() bool {
		a := operator("GET", application.URL()+"/health/tool", "")
		return a.Code == http.StatusOK && strings.Contains(a.Body.String(), "connections_used") && strings.Contains(a.Body.String(), "worker never-1 is silent")
	})
	assert.NotContains(t, operator("GET", "http://"+listen+"/ops/alerts", "").Body.String(), "app-", "its workers beat")

	// Tasks that nobody takes wait in the queue: the runner does one at a time.
	env := []string{"OPS_URL=http://" + listen, "OPS_TOKEN=" + services.OpsToken}
	t.Run("the page's Python", func(t *testing.T) {
		out := command(t, env, python, "-c", blocks(t, "python"))
		assert.Contains(t, out, "never-1 is silent")
		assert.Contains(t, out, " of ")
	})
	t.Run("the page's curl", func(t *testing.T) {
		if _, err := exec.LookPath("curl"); err != nil {
			services.Missing(t, "curl is not installed")
		}
		assert.Contains(t, command(t, env, "sh", "-e", "-c", blocks(t, "sh")), `"wait_seconds"`)
	})

	t.Run("a failing launch is explained", func(t *testing.T) {
		launch(t, application.URL())
		eventually("the doctor's words are in the application's log", func() bool {
			return strings.Contains(application.Log(), "WARNING app.ops launch failed: ")
		})
	})

	application.Restart(map[string]string{"CANVAS_MAINTENANCE_MODE": "true"}) // tasks wait, and workers beat
	for range 3 {
		eventually("a task is taken", func() bool { return addTask(t, application.URL()) })
	}
	eventually("a queue that the application told of is too long", func() bool {
		return strings.Contains(operator("GET", "http://"+listen+"/ops/alerts", "").Body.String(), "tasks wait in app")
	})
	eventually("and its workers beat meanwhile", func() bool {
		return !strings.Contains(operator("GET", "http://"+listen+"/ops/alerts", "").Body.String(), "worker app-")
	})

	application.Kill()
	for _, worker := range []string{"app-1", "app-2"} {
		eventually("it is missed", func() bool {
			return strings.Contains(operator("GET", "http://"+listen+"/ops/alerts", "").Body.String(), "worker "+worker+" is silent")
		})
	}
	assert.Contains(t, log.String(), "worker never-1 is silent", "people are told; of the others with the next message of the group")
	application.Restart(nil)
	eventually("and is there again", func() bool {
		return !strings.Contains(operator("GET", "http://"+listen+"/ops/alerts", "").Body.String(), "worker app-")
	})
}

// addTask adds a task as a user, and reports whether it was taken.
func addTask(t *testing.T, address string) bool {
	t.Helper()
	post := func(path, cookie, body string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Cookie", cookie)
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		response.Body.Close()
		return response
	}
	cookie, _, _ := strings.Cut(post("/sessions", "", `{"user": "kim", "password": "`+services.DemoPassword+`"}`).Header.Get("Set-Cookie"), ";")
	return post("/tasks", cookie, `{"instance": "test", "course_id": 1, "drafts": ["<p>draft</p>"]}`).StatusCode == http.StatusAccepted
}

// launch launches from Canvas with a token that is none.
func launch(t *testing.T, address string) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/lti/login?iss=https://canvas.test.instructure.com&login_hint=x", nil)
	require.NoError(t, err)
	response, err := client.Do(r)
	require.NoError(t, err)
	response.Body.Close()
	to, err := response.Location()
	require.NoError(t, err)
	cookie, _, _ := strings.Cut(response.Header.Get("Set-Cookie"), ";")
	r, err = http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/lti/launch",
		strings.NewReader("state="+to.Query().Get("state")+"&id_token=eyJhbGciOiJub25lIn0.e30.x"))
	require.NoError(t, err)
	r.Header.Set("Cookie", cookie)
	response, err = client.Do(r)
	require.NoError(t, err)
	response.Body.Close()
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
}

// A worker that hangs says so, which is no beat, and a round with a tool that hangs
// ends all the same.
func TestAWorkerThatHangsSaysSo(t *testing.T) {
	python := services.Need(t, services.Python)
	var mu sync.Mutex
	pushed := make(map[string]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/hangs/") {
			_, _ = io.Copy(io.Discard, r.Body) // or the end of the connection is not seen
			<-r.Context().Done()
			return
		}
		mu.Lock()
		defer mu.Unlock()
		var body map[string]any
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&body))
		text, err := json.Marshal(body)
		assert.NoError(t, err)
		pushed[r.URL.Path] = string(text)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	out := command(t, []string{"OPS=" + server.URL}, python, "-c", `
import asyncio, os, time
from types import SimpleNamespace
from app.metrics import Metrics
from app.ops import Ops, Pulse

async def main():
    settings = SimpleNamespace(ops_name="a/b", ops_interval=1, async_workers=3, parallel_processing_limit=5, canvas_rate_limit_per_minute=200)
    metrics = Metrics()
    async def queued(): return 7
    pulse = Pulse(Ops(os.environ["OPS"], "token"), settings, metrics, queued)
    pulse.works(1)
    pulse._since[2] = time.monotonic() - 1000
    metrics.count("tasks_failed")
    await pulse.tell()
    began = time.monotonic()
    await Pulse(Ops(os.environ["OPS"] + "/hangs", "token"), settings, metrics, queued).tell()
    print("round", time.monotonic() - began < 5)
    await Pulse(Ops("http://127.0.0.1:1", "token"), settings, metrics, queued).tell()

asyncio.run(main())
`)
	assert.Contains(t, out, "round True")
	assert.Equal(t, map[string]string{
		"/ops/push/worker/a/b-1": `{}`, "/ops/push/worker/a/b-2": `{}`,
		"/ops/push/worker/a/b-3":     `{"detail":"has finished nothing for 1000 s","failed":true}`,
		"/ops/push/queue_length/a/b": `{"value":7}`, "/ops/push/tasks/a/b": `{"bad":1,"good":0}`,
	}, pushed)
}
