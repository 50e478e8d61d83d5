package railway_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// nobody is an ID that nothing has.
const nobody = "00000000-0000-4000-8000-000000000000"

// mishaps are what becomes of an answer after the change took effect.
var mishaps = map[string]railwaytest.Fault{
	"lost":            {Kind: railwaytest.LoseAnswer},
	"cut at once":     {Kind: railwaytest.Cut},
	"cut in the body": {Kind: railwaytest.Cut, Bytes: 20},
	"502 after":       {Kind: railwaytest.BadGatewayAfter},
	"hang":            {Kind: railwaytest.Hang},
	"gateway after":   {Kind: railwaytest.GatewayAfter},
}

// A stage is a Railway with a project, and a client of it.
type stage struct {
	*railwaytest.Server
	workspace, project, environment, service string
	client                                   *railway.Client
}

// newStage makes one with a service. It must be called inside the bubble of the test.
func newStage(t testing.TB, v railwaytest.Service) *stage {
	t.Helper()
	s := &stage{Server: &railwaytest.Server{}}
	s.workspace = s.AddWorkspace("acu")
	s.project = s.AddProject(s.workspace, "shop")
	s.environment = s.AddEnvironment(s.project, "production")
	s.service = s.AddService(s.environment, v)
	s.client = s.connect(t, railwaytest.Token{Kind: "account"})
	return s
}

// connect makes a client with a token. It checks what every request says.
func (s *stage) connect(t testing.TB, token railwaytest.Token) *railway.Client {
	t.Helper()
	kind := railway.TokenKind(token.Kind)
	if token.Kind == "session" { // which is sent like that of an account
		kind = railway.AccountToken
	}
	c, err := railway.New(railway.Config{
		Kind: kind, Token: runbook.NewSecret(s.AddToken(token)), HTTP: &http.Client{Transport: strict{t, s.Client().Transport}}, Polling: true,
	})
	require.NoError(t, err)
	return c
}

// on returns the service of the stage.
func (s *stage) on(t testing.TB, c *railway.Client) *railway.Service {
	t.Helper()
	v, err := c.Service(t.Context(), railway.Target{Project: s.project, Environment: s.environment, Service: s.service})
	require.NoError(t, err)
	return v
}

// env returns the environment of the stage.
func (s *stage) env(t testing.TB) *railway.Environment { return s.on(t, s.client).Environment() }

// count returns how many effects are of one of some mutations.
func (s *stage) count(mutations ...string) (n int) {
	for _, effect := range s.Effects() {
		if name, _, _ := strings.Cut(effect, " "); slices.Contains(mutations, name) {
			n++
		}
	}
	return n
}

// strict checks that no ID that is sent is null or empty.
type strict struct {
	t    testing.TB
	next http.RoundTripper
}

func (r strict) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	var call struct {
		OperationName string
		Variables     map[string]any
	}
	assert.NoError(r.t, json.Unmarshal(body, &call))
	for name, value := range call.Variables {
		if strings.HasSuffix(strings.ToLower(name), "id") {
			assert.NotEmpty(r.t, value, "%s of %s", name, call.OperationName)
		}
	}
	return r.next.RoundTrip(req)
}
