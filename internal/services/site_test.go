//go:build unix

package services_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/internal/services"
)

// estate is what an application of a test works with.
type estate struct {
	postgres *services.Postgres
	redis    *services.Redis
	canvas   *canvas
}

func newEstate(t *testing.T) *estate {
	t.Helper()
	needAll(t)
	return &estate{postgres: services.StartPostgres(t), redis: services.StartRedis(t), canvas: newCanvas(t)}
}

// needAll decides on skipping before any server is started.
func needAll(t *testing.T) {
	t.Helper()
	for _, variable := range []string{services.PostgresBin, services.RedisServer, services.Python} {
		services.Need(t, variable)
	}
}

// start runs an application with a Canvas instance called test, which is
// asked as fast as the application can, unless env says otherwise.
func (e *estate) start(t *testing.T, env map[string]string) *site {
	t.Helper()
	all := map[string]string{
		"DATABASE_URL": e.postgres.URL(), "REDIS_URL": e.redis.URL(),
		"CANVAS_URL_TEST": e.canvas.URL, "CANVAS_TOKEN_TEST": canvasToken,
		"CANVAS_RATE_LIMIT_PER_MINUTE": "100000", "PROGRESS_UPDATE_INTERVAL": "0.1",
	}
	for name, value := range env {
		all[name] = value
	}
	s := &site{t: t, RunningApplication: services.StartApplication(t, services.Application{Env: all})}
	s.ready()
	return s
}

// site is a running application with the means to ask it.
type site struct {
	t *testing.T
	*services.RunningApplication
}

// Restart starts the application anew and waits until it is of use.
func (s *site) Restart(env map[string]string) {
	s.t.Helper()
	s.RunningApplication.Restart(env)
	s.ready()
}

func (s *site) ready() {
	s.t.Helper()
	s.eventually("the application is ready", func() bool { return s.get("/health").Status != http.StatusServiceUnavailable })
}

type answer struct {
	Status int
	Header http.Header
	Text   string
	Took   time.Duration
	JSON   map[string]any
}

// do sends a request with headers given as name, value, name, value.
func (s *site) do(method, path, body string, headers ...string) answer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 15*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.URL()+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	started := time.Now()
	response, err := oneShot.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	a := answer{Status: response.StatusCode, Header: response.Header, Text: string(text), Took: time.Since(started)}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		decoder := json.NewDecoder(bytes.NewReader(text))
		require.NoError(s.t, decoder.Decode(&a.JSON), "%s %s", method, path)
	}
	return a
}

// oneShot keeps no connections and follows no redirects.
var oneShot = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: 10 * time.Second},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (s *site) get(path string, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodGet, path, "", headers...)
}

// ops asks as an operator.
func (s *site) ops(method, path string) answer {
	s.t.Helper()
	return s.do(method, path, "", "Authorization", "Bearer "+services.OpsToken)
}

func (s *site) metrics() map[string]any {
	s.t.Helper()
	a := s.ops(http.MethodGet, "/health/metrics")
	require.Equal(s.t, http.StatusOK, a.Status, a.Text)
	return a.JSON
}

// login starts a session and returns its cookie header.
func (s *site) login() string {
	s.t.Helper()
	a := s.do(http.MethodPost, "/sessions", `{"user":"kim","password":"`+services.DemoPassword+`"}`)
	require.Equal(s.t, http.StatusCreated, a.Status, a.Text)
	return cookie(s.t, a)
}

func cookie(t *testing.T, a answer) string {
	t.Helper()
	set := a.Header.Get("Set-Cookie")
	require.Contains(t, set, "HttpOnly")
	require.Contains(t, set, "Secure")
	name, _, _ := strings.Cut(set, ";")
	return name
}

// submit adds a task of so many pages and returns its id.
func (s *site) submit(cookie string, pages int) string {
	s.t.Helper()
	a := s.do(http.MethodPost, "/tasks", taskOf(pages), "Cookie", cookie)
	require.Equal(s.t, http.StatusAccepted, a.Status, a.Text)
	return a.JSON["id"].(string)
}

func taskOf(pages int) string {
	list := strings.Repeat(`"page",`, pages)
	return `{"instance":"test","course_id":7,"pages":[` + strings.TrimSuffix(list, ",") + `]}`
}

func (s *site) task(cookie, id string) map[string]any {
	s.t.Helper()
	a := s.get("/tasks/"+id, "Cookie", cookie)
	require.Equal(s.t, http.StatusOK, a.Status, a.Text)
	return a.JSON
}

// finish waits until the task has ended and returns it.
func (s *site) finish(cookie, id string) map[string]any {
	s.t.Helper()
	var task map[string]any
	s.eventually("the task has ended", func() bool {
		task = s.task(cookie, id)
		return task["status"] != "queued" && task["status"] != "running"
	})
	return task
}

func (s *site) eventually(what string, true_ func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !true_(); time.Sleep(25 * time.Millisecond) {
		if time.Now().After(deadline) {
			require.Fail(s.t, "it did not come about that "+what)
		}
	}
}
