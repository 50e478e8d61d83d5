package railway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// nobodyDeployed is the ID of a deployment that there is not.
const nobodyDeployed = "11111111-2222-4333-8444-555555555555"

// opsBubble runs a test by package time of its own.
func opsBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// opsHost is a Railway with a service in two environments, and a client of it.
type opsHost struct {
	*railwaytest.Server
	workspace, project, environment, other, service string
	token                                           string
	client                                          *railway.Client
	svc                                             *railway.Service
	env                                             *railway.Environment

	mu sync.Mutex
	// bodies are those of all requests.
	bodies []string
	// after are called once, after a request with an operation.
	after map[string]func()
	// answer answers instead of the server, unless it is nil or returns nil.
	answer func(req *http.Request) *http.Response
}

// newOps makes one. In a bubble it must be called inside of it.
func newOps(t testing.TB, v railwaytest.Service) *opsHost {
	t.Helper()
	h := &opsHost{Server: &railwaytest.Server{}}
	h.workspace = h.AddWorkspace("acu")
	h.project = h.AddProject(h.workspace, "runbook")
	h.environment = h.AddEnvironment(h.project, "production")
	h.other = h.AddEnvironment(h.project, "beta")
	v.Name = "web"
	h.service = h.AddService(h.environment, v)
	h.AddService(h.other, v)
	h.connect(t, "account")
	return h
}

// connect replaces the client by one with a new token of a kind.
func (h *opsHost) connect(t testing.TB, kind string) {
	t.Helper()
	h.token = h.AddToken(railwaytest.Token{Kind: kind, Workspace: h.workspace, Project: h.project, Environment: h.environment})
	var err error
	h.client, err = railway.New(railway.Config{
		Kind: railway.TokenKind(kind), Token: runbook.NewSecret(h.token), HTTP: &http.Client{Transport: h}, Polling: true,
		Budget: &railway.Budget{PerSecond: 40},
	})
	require.NoError(t, err)
	h.svc, err = h.client.Service(t.Context(), railway.Target{Project: h.project, Environment: h.environment, Service: h.service})
	require.NoError(t, err)
	h.env = h.svc.Environment()
}

// RoundTrip is the transport of the client.
func (h *opsHost) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.bodies = append(h.bodies, string(body))
	h.mu.Unlock()
	if h.answer != nil {
		if resp := h.answer(req); resp != nil {
			return resp, nil
		}
	}
	again := req.Clone(req.Context())
	again.Body = io.NopCloser(strings.NewReader(string(body)))
	resp, err := h.Client().Transport.RoundTrip(again)
	h.then(req.URL.Path, string(body))
	return resp, err
}

// then calls what was to be called after a request.
func (h *opsHost) then(path, body string) {
	h.mu.Lock()
	var calls []func()
	for op, call := range h.after {
		if strings.Contains(body, op+"(") || strings.HasSuffix(path, "/"+op) {
			delete(h.after, op)
			calls = append(calls, call)
		}
	}
	h.mu.Unlock()
	for _, call := range calls {
		call()
	}
}

// answers answers requests with an operation, instead of the server.
func (h *opsHost) answers(op, body string) {
	h.answer = func(*http.Request) *http.Response {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !strings.Contains(h.bodies[len(h.bodies)-1], op) {
			return nil
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	}
}

// did returns the changes whose name begins so.
func (h *opsHost) did(name string) []string {
	return slices.DeleteFunc(h.Effects(), func(e string) bool { return !strings.HasPrefix(e, name) })
}

// opsFixture reads a wire example of a webhook and puts IDs in.
func (h *opsHost) opsFixture(t testing.TB, name, deployment string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return strings.NewReplacer(
		"<workspace id>", h.workspace, "<project id>", h.project, "<environment id>", h.environment, "<service id>", h.service,
		"<deployment id>", deployment,
	).Replace(string(body))
}

// opsUnclear are the faults after which it is not known whether a change was made.
// All but those whose name ends with "instead" make it.
func opsUnclear(op string) map[string]railwaytest.Fault {
	faults := map[string]railwaytest.Fault{
		"lost answer":       {Op: op, Kind: railwaytest.LoseAnswer},
		"502 after it":      {Op: op, Kind: railwaytest.BadGatewayAfter},
		"gateway after it":  {Op: op, Kind: railwaytest.GatewayAfter},
		"no answer at all":  {Op: op, Kind: railwaytest.Hang},
		"error beside data": {Op: op, Kind: railwaytest.Partial},
		"502 instead":       {Op: op, Kind: railwaytest.BadGateway},
		"gateway instead":   {Op: op, Kind: railwaytest.Gateway},
	}
	for i := 0; i < 40; i += 3 {
		faults[fmt.Sprintf("cut off after %d bytes", i)] = railwaytest.Fault{Op: op, Kind: railwaytest.Cut, Bytes: i}
	}
	return faults
}

// opsChange checks a change whose answer does not tell: it is made once at most, what
// is reported is true, and a refusal or an unreachable Railway changes nothing. do
// makes the change and checks its result if there is no error; effect is how the
// change begins in the effects of the server.
func opsChange(t *testing.T, op, effect string, newHost func(t testing.TB) *opsHost, do func(t testing.TB, ctx context.Context, h *opsHost) error) {
	for name, fault := range opsUnclear(op) {
		t.Run(name, func(t *testing.T) {
			opsBubble(t, func(t *testing.T) {
				h := newHost(t)
				before := len(h.did(effect))
				h.Fail(fault)
				err := do(t, t.Context(), h)
				made := len(h.did(effect)) - before
				if strings.HasSuffix(name, "instead") {
					assert.Zero(t, made)
					require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
				} else {
					assert.Equal(t, 1, made, "%v", h.Effects())
					require.NoError(t, err, "the state shows it")
				}
				assert.False(t, runbook.SafeToRetry(err))
			})
		})
	}
	for name, fault := range map[string]railwaytest.Fault{
		"refused":        {Op: op, Kind: railwaytest.Refuse, Message: "That cannot be", Code: "BAD_USER_INPUT"},
		"not authorized": {Op: op, Kind: railwaytest.NotAuthorized},
		"unreachable":    {Op: op, Kind: railwaytest.Unreachable, Times: -1},
	} {
		t.Run(name, func(t *testing.T) {
			opsBubble(t, func(t *testing.T) {
				h := newHost(t)
				before := len(h.did(effect))
				h.Fail(fault)
				err := do(t, t.Context(), h)
				require.Error(t, err)
				assert.Len(t, h.did(effect), before)
				require.NotErrorIs(t, err, incident.ErrOutcomeUnknown)
				assert.Equal(t, name == "not authorized", errors.Is(err, incident.ErrNotPermitted), "%v", err)
				assert.True(t, runbook.SafeToRetry(err), "%v", err)
			})
		})
	}
	t.Run("ended context", func(t *testing.T) {
		opsBubble(t, func(t *testing.T) {
			h := newHost(t)
			before := len(h.did(effect))
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			err := do(t, ctx, h)
			require.ErrorIs(t, err, context.Canceled)
			assert.True(t, runbook.SafeToRetry(err), "%v", err)
			assert.Len(t, h.did(effect), before)
		})
	})
	t.Run("state cannot be read", func(t *testing.T) {
		opsBubble(t, func(t *testing.T) {
			h := newHost(t)
			before := len(h.did(effect))
			h.Fail(railwaytest.Fault{Op: op, Kind: railwaytest.LoseAnswer})
			h.after = map[string]func(){op: func() { h.Break(true) }}
			err := do(t, t.Context(), h)
			require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
			assert.False(t, runbook.SafeToRetry(err))
			assert.Len(t, h.did(effect), before+1)
		})
	})
}
