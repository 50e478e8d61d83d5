package world_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/railway"
)

// site is a world in a bubble, with production as a host reaches it.
type site struct {
	*testing.T
	w   *world.World
	at  host.Connection
	app *railway.Service
}

// rehearse runs a test in a bubble, at ten in the morning of a Tuesday.
func rehearse(t *testing.T, seed uint64, test func(s *site)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(3*24*time.Hour + 10*time.Hour)
		w, err := world.New(world.Config{Seed: seed})
		require.NoError(t, err)
		defer func() { assert.NoError(t, w.Close()) }()
		s := &site{T: t, w: w}
		for _, c := range w.Connections() {
			if c.Name == "production" {
				s.at = c
			}
		}
		s.app = s.service(s.at.Service)
		test(s)
	})
}

func (s *site) service(id string) *railway.Service {
	client, err := railway.New(s.at.Railway)
	require.NoError(s, err)
	app, err := client.Service(s.Context(), railway.Target{Project: s.at.Project, Environment: s.at.RailwayEnvironment, Service: id})
	require.NoError(s, err)
	return app
}

// get asks the application. A connection that was not made has the status 0.
func (s *site) get(path string) (int, map[string]any) {
	s.Helper()
	ctx, stop := context.WithTimeout(s.Context(), 40*time.Second)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.at.Application+path, nil)
	require.NoError(s, err)
	r.Header.Set("Authorization", "Bearer "+s.at.Token.Reveal())
	resp, err := s.at.HTTP.Do(r)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(s, err)
	var body map[string]any
	require.NoError(s, json.Unmarshal(data, &body), "%s", data)
	return resp.StatusCode, body
}

// inject lets a fault begin.
func (s *site) inject(kind, variant string) {
	s.Helper()
	f := world.Fault{Kind: kind}
	if variant != "" {
		f.Param = map[string]string{"variant": variant}
	}
	require.NoError(s, s.w.Inject(f))
}

// pass lets time pass, in which somebody looks now and then.
func (s *site) pass(d time.Duration) {
	for ; d > 0; d -= 30 * time.Second {
		time.Sleep(30 * time.Second)
		s.get("/health")
	}
}

func (s *site) there(kind string) bool {
	for _, c := range s.w.Truth().Causes {
		if c == kind {
			return true
		}
	}
	return false
}

func TestAllIsWell(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.pass(2 * time.Hour)
		for path, want := range map[string]string{"/health": "healthy", "/health/database": "healthy", "/health/canvas?instance=prod": "healthy"} {
			code, body := s.get(path)
			assert.Equal(s, 200, code, path)
			assert.Equal(s, want, body["status"], path)
		}
		assert.True(s, s.w.Truth().Served)
		assert.Empty(s, s.w.Acts())
		assert.True(s, s.at.Login.Probe(s.Context()).Status.OK(), "%+v", s.at.Login.Probe(s.Context()))
		assert.True(s, s.at.Task.Probe(s.Context()).Status.OK())
		assert.True(s, s.at.DatabaseServer.Probe(s.Context()).Status.OK())
	})
}

// echo sends a text over the WebSocket and returns what comes back; empty if nothing does.
func (s *site) echo(text string) string {
	ctx, stop := context.WithTimeout(s.Context(), 10*time.Second)
	defer stop()
	c, _, err := websocket.Dial(ctx, "https://qa-automation.acu.edu.au"+s.at.WebSocket, &websocket.DialOptions{HTTPClient: s.at.HTTP})
	if err != nil {
		return ""
	}
	defer func() { _ = c.CloseNow() }()
	if c.Write(ctx, websocket.MessageText, []byte(text)) != nil {
		return ""
	}
	_, got, err := c.Read(ctx)
	if err != nil {
		return ""
	}
	return string(got)
}
