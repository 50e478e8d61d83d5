//go:build unix

package services_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const canvasToken = "canvas-token-of-the-tests"

// canvas answers as much of the Canvas REST API as the application asks, and
// measures how it is asked.
type canvas struct {
	*httptest.Server

	mu        sync.Mutex
	behaviour string // "", "maintained", "throttling", "broken", "hanging"
	delay     time.Duration
	calls     []time.Time // of pages
	now, most int         // calls at the same time
	keys      any         // the platform's key set, for launches
}

func newCanvas(t *testing.T) *canvas {
	t.Helper()
	c := &canvas{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health_check", c.health)
	mux.HandleFunc("GET /api/v1/courses/7/pages/{page}", c.page)
	mux.HandleFunc("GET /api/lti/security/jwks", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		_ = json.NewEncoder(w).Encode(c.keys)
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

// behave sets how Canvas fares and forgets what was measured.
func (c *canvas) behave(how string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behaviour, c.calls, c.most = how, nil, 0
}

// slow sets how long a page takes and forgets what was measured.
func (c *canvas) slow(delay time.Duration) {
	c.behave("")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = delay
}

// measured returns how many pages were asked for, in what time from the first
// to the last, and how many at the same time at most.
func (c *canvas) measured() (calls int, span time.Duration, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.calls) > 0 {
		span = c.calls[len(c.calls)-1].Sub(c.calls[0])
	}
	return len(c.calls), span, c.most
}

// troubled answers in the place of a Canvas that does not fare well.
func (c *canvas) troubled(w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	behaviour := c.behaviour
	c.mu.Unlock()
	switch behaviour {
	case "maintained":
		http.Error(w, "<html>We're down for maintenance</html>", http.StatusServiceUnavailable)
	case "throttling":
		http.Error(w, "429 Forbidden (Rate Limit Exceeded)", http.StatusTooManyRequests)
	case "broken":
		http.Error(w, "<html>error</html>", http.StatusInternalServerError)
	case "hanging":
		<-r.Context().Done()
	default:
		return false
	}
	return true
}

func (c *canvas) health(w http.ResponseWriter, r *http.Request) {
	if !c.troubled(w, r) {
		_, _ = w.Write([]byte("canvas ok"))
	}
}

func (c *canvas) page(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.calls = append(c.calls, time.Now())
	c.now++
	c.most = max(c.most, c.now)
	delay := c.delay
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.now--
		c.mu.Unlock()
	}()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return
	}
	switch {
	case c.troubled(w, r):
	case r.Header.Get("Authorization") != "Bearer "+canvasToken:
		http.Error(w, `{"errors":[{"message":"Invalid access token."}]}`, http.StatusUnauthorized)
	case r.UserAgent() == "":
		http.Error(w, `{"error":"Forbidden"}`, http.StatusForbidden)
	case r.PathValue("page") == "absent":
		http.Error(w, `{"errors":[{"message":"The specified resource does not exist."}]}`, http.StatusNotFound)
	default:
		w.Header().Set("X-Rate-Limit-Remaining", "611.5")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"url":"page","body":"<p><img src=\"x.png\"></p>"}`))
	}
}

// commandOf is the application as a command that is not yet started.
func commandOf(t *testing.T, python string, env map[string]string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), python, "-m", "app")
	command.Dir = filepath.Join("..", "..", "examples", "sidecar")
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1"}
	for name, value := range env {
		command.Env = append(command.Env, name+"="+value)
	}
	return command
}
