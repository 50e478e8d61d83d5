package railway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// varCanary is in values that nothing may show.
const varCanary = "canary-5e4f1b"

// varBubble runs a test by package time of its own.
func varBubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

// A varHost is a Railway with a service, and a client of it. In a bubble it must be
// made inside of it.
type varHost struct {
	*railwaytest.Server
	workspace, project, environment, service string
	client                                   *railway.Client
	svc                                      *railway.Service
	env                                      *railway.Environment
	// before is called with the body of each request.
	before func(body string)
	// answer answers instead of the server, unless it is nil or returns nothing.
	answer func(body string) string
	// budget is that of clients which are connected from then on.
	budget *railway.Budget
}

// RoundTrip is the transport of the client.
func (h *varHost) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	if h.before != nil {
		h.before(string(body))
	}
	if h.answer != nil {
		if body := h.answer(string(body)); body != "" {
			return answered(body), nil
		}
	}
	again := req.Clone(req.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	resp, err := h.Client().Transport.RoundTrip(again)
	return resp, err
}

// newVars makes one with the variables A and B and the sealed S.
func newVars(t testing.TB) *varHost {
	t.Helper()
	h := &varHost{Server: &railwaytest.Server{}}
	h.workspace = h.AddWorkspace("acu")
	h.project = h.AddProject(h.workspace, "runbook")
	h.environment = h.AddEnvironment(h.project, "production")
	h.service = h.AddService(h.environment, railwaytest.Service{
		Name: "api", Image: "acu/api:1", Variables: map[string]string{"A": "a", "B": "b"}, Sealed: map[string]string{"S": "s"},
	})
	h.budget = &railway.Budget{PerSecond: 40}
	h.client = h.connect(t)
	h.svc, h.env = h.serve(t, h.client)
	return h
}

func (h *varHost) connect(t testing.TB) *railway.Client {
	t.Helper()
	c, err := railway.New(railway.Config{
		Kind: railway.AccountToken, Token: runbook.NewSecret(h.AddToken(railwaytest.Token{Kind: "account"})),
		HTTP: &http.Client{Transport: h}, Polling: true, Budget: h.budget,
	})
	require.NoError(t, err)
	return c
}

// serve returns the service and the environment for a client.
func (h *varHost) serve(t testing.TB, c *railway.Client) (*railway.Service, *railway.Environment) {
	t.Helper()
	s, err := c.Service(t.Context(), railway.Target{Project: h.project, Environment: h.environment, Service: h.service})
	require.NoError(t, err)
	return s, s.Environment()
}

// did returns the changes whose name is one of some; without names all but those
// that only stage.
func (h *varHost) did(names ...string) []string {
	return slices.DeleteFunc(h.Effects(), func(e string) bool {
		name, _, _ := strings.Cut(e, " ")
		if len(names) == 0 {
			return name == "environmentStageChanges"
		}
		return !slices.Contains(names, name)
	})
}

// varBatch makes a batch; values are pairs.
func varBatch(pairs ...string) incident.VariableBatch {
	b := incident.VariableBatch{Set: make(map[string]runbook.Secret)}
	for i := 0; i < len(pairs); i += 2 {
		b.Set[pairs[i]] = runbook.NewSecret(pairs[i+1])
	}
	return b
}

// silent checks that nothing that prints, logs or encodes shows a text.
func silent(t testing.TB, secret string, values ...any) {
	t.Helper()
	for _, v := range values {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v)
		encoded, _ := json.Marshal(v)
		shown := fmt.Sprintf("%v %+v %#v %s %q %x %d %s %s", v, v, v, v, v, v, v, log.String(), encoded)
		assert.NotContains(t, shown, secret, "%T", v)
		assert.NotContains(t, shown, fmt.Sprintf("%x", secret), "%T in hexadecimal digits", v)
		if err, ok := v.(error); ok {
			for ; err != nil; err = errors.Unwrap(err) {
				assert.NotContains(t, fmt.Sprintf("%+v %#v", err, err), secret)
			}
		}
	}
}

// varUnclear are the faults after which it is not known whether a change was made.
// Those whose name ends in "instead" do not make it.
func varUnclear(op string) map[string]railwaytest.Fault {
	faults := map[string]railwaytest.Fault{
		"lost answer":       {Op: op, Kind: railwaytest.LoseAnswer},
		"502 after it":      {Op: op, Kind: railwaytest.BadGatewayAfter},
		"gateway after it":  {Op: op, Kind: railwaytest.GatewayAfter},
		"no answer at all":  {Op: op, Kind: railwaytest.Hang},
		"error beside data": {Op: op, Kind: railwaytest.Partial, Message: "odd"},
		"502 instead":       {Op: op, Kind: railwaytest.BadGateway},
		"gateway instead":   {Op: op, Kind: railwaytest.Gateway},
	}
	for i := 0; i < 60; i += 4 {
		faults[fmt.Sprintf("cut off after %d bytes", i)] = railwaytest.Fault{Op: op, Kind: railwaytest.Cut, Bytes: i}
	}
	return faults
}

// exampleService returns a service of a Railway in memory.
func exampleService(fake *railwaytest.Server, of railway.Target) (*railway.Service, error) {
	client, err := railway.New(railway.Config{
		Kind: railway.AccountToken, Token: runbook.NewSecret(fake.AddToken(railwaytest.Token{Kind: "account"})), HTTP: fake.Client(),
	})
	if err != nil {
		return nil, err
	}
	return client.Service(context.Background(), of)
}
