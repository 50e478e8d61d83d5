package canvasprobe_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

// base is a Config for a Canvas in memory, with the administrator's token.
func base(fake *canvastest.Server) canvasprobe.Config {
	return canvasprobe.Config{Canvas: canvas.Config{
		BaseURL: "https://school.example.com", Token: runbook.NewSecret(canvastest.AdminToken), HTTP: fake.Client(),
	}}
}

func instance(t testing.TB, cfg canvasprobe.Config) *canvasprobe.Instance {
	t.Helper()
	i, err := canvasprobe.New(cfg)
	require.NoError(t, err)
	return i
}

func page(t testing.TB, fake *canvastest.Server, components ...string) *canvasprobe.StatusPage {
	t.Helper()
	p, err := canvasprobe.NewStatusPage(canvasprobe.StatusPageConfig{HTTP: fake.Client(), Components: components})
	require.NoError(t, err)
	return p
}

func client(t testing.TB, fake *canvastest.Server, token string) *canvas.Client {
	t.Helper()
	c, err := canvas.New(canvas.Config{BaseURL: "https://school.example.com", Token: runbook.NewSecret(token), HTTP: fake.Client()})
	require.NoError(t, err)
	return c
}

// clean fails a test whose requests a real Canvas would not understand.
func clean(t testing.TB, fake *canvastest.Server) {
	t.Helper()
	assert.Empty(t, fake.Problems())
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering is a transport that always has the same answer.
func answering(status int, body string) transport {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
			ContentLength: int64(len(body)), Request: r,
		}, nil
	}
}
