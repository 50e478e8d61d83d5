package railway_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/railway"
)

const (
	coreToken    = "canary-7f3a9c51-token"
	coreQuery    = "query Something { value }"
	coreMutation = "mutation Something { value }"
	coreGood     = `{"data":{"value":true}}`
)

// coreValue is what the operations of these tests ask for.
type coreValue struct {
	Value bool `json:"value"`
}

// A coreTransport answers requests by a func, which gets the number of the request,
// from 1. It keeps what was sent. It works inside a bubble of testing/synctest.
type coreTransport struct {
	answer func(n int, req *http.Request) (*http.Response, error)

	mu     sync.Mutex
	sent   []*http.Request
	bodies []string
}

func (c *coreTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
	}
	c.mu.Lock()
	c.sent = append(c.sent, req)
	c.bodies = append(c.bodies, string(body))
	n := len(c.sent)
	c.mu.Unlock()
	return c.answer(n, req)
}

// requests returns how many there were.
func (c *coreTransport) requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sent)
}

// header returns that of a request, from 1.
func (c *coreTransport) header(n int) http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent[n-1].Header
}

// body returns that of a request, from 1.
func (c *coreTransport) body(n int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bodies[n-1]
}

// coreAnswer makes an answer; headers are pairs.
func coreAnswer(status int, body string, headers ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

// corePart makes an answer that breaks off after some bytes.
func corePart(body string, n int) *http.Response {
	resp := coreAnswer(http.StatusOK, body)
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader([]byte(body[:n])), coreBroken{}))
	return resp
}

type coreBroken struct{}

func (coreBroken) Read([]byte) (int, error) { return 0, syscall.ECONNRESET }

// coreRefused is a connection that is not accepted, as net/http reports it.
func coreRefused(req *http.Request) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.GetConn != nil {
		trace.GetConn(req.URL.Host)
	}
	return nil, syscall.ECONNREFUSED
}

// coreSilent takes the request and never answers.
func coreSilent(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, context.Cause(req.Context())
}

// coreClient makes a client of an account that talks to a transport. change may be
// nil.
func coreClient(t testing.TB, transport http.RoundTripper, change func(*railway.Config)) *railway.Client {
	t.Helper()
	cfg := railway.Config{
		Kind: railway.AccountToken, Token: runbook.NewSecret(coreToken), HTTP: &http.Client{Transport: transport},
		Budget: &railway.Budget{PerSecond: 1000},
	}
	if change != nil {
		change(&cfg)
	}
	c, err := railway.New(cfg)
	require.NoError(t, err)
	return c
}

// coreAlways answers every request alike.
func coreAlways(status int, body string, headers ...string) *coreTransport {
	return &coreTransport{answer: func(int, *http.Request) (*http.Response, error) { return coreAnswer(status, body, headers...), nil }}
}

// coreSend sends a query or a mutation.
func coreSend(ctx context.Context, c *railway.Client, query string) (coreValue, error) {
	var got coreValue
	err := railway.SendQuery(ctx, c, false, query, nil, &got)
	return got, err
}
