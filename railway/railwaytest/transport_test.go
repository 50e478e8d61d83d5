package railwaytest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/railway/railwaytest"
)

// trace notes what net/http would tell of a request.
func trace(ctx context.Context, events *[]string) context.Context {
	note := func(e string) { *events = append(*events, e) }
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(hostPort string) { note("get " + hostPort) },
		GotConn:              func(httptrace.GotConnInfo) { note("got") },
		WroteHeaders:         func() { note("headers") },
		WroteRequest:         func(httptrace.WroteRequestInfo) { note("request") },
		GotFirstResponseByte: func() { note("answer") },
	})
}

// TestTrace shows that a client learns from the traces how far a request came,
// which decides whether it may send it again.
func TestTrace(t *testing.T) {
	cases := map[string]struct {
		fault *railwaytest.Fault
		want  []string
	}{
		"answer":      {nil, []string{"get backboard.railway.com:443", "got", "headers", "request", "answer"}},
		"lost":        {&railwaytest.Fault{Kind: railwaytest.LoseAnswer}, []string{"get backboard.railway.com:443", "got", "headers", "request"}},
		"unreachable": {&railwaytest.Fault{Kind: railwaytest.Unreachable}, []string{"get backboard.railway.com:443"}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			inSchool(t, func(t *testing.T, c *school) {
				if test.fault != nil {
					c.s.Fail(*test.fault)
				}
				var events []string
				req, err := http.NewRequestWithContext(trace(t.Context(), &events), http.MethodPost, address,
					strings.NewReader(document(restart, vars{"id": c.s.Newest(c.production, c.api)})))
				require.NoError(t, err)
				req.Header = bearer(c.account)
				req.Header.Set("Content-Type", "application/json")
				if resp, err := c.s.Client().Do(req); err == nil {
					require.NoError(t, resp.Body.Close())
				}
				require.Equal(t, test.want, events)
			})
		})
	}
}

// TestSameInMemoryAndOnPort compares an answer over both transports.
func TestSameInMemoryAndOnPort(t *testing.T) {
	c := newSchool(t)
	server := httptest.NewServer(c.s)
	defer server.Close()
	body := document(`query Big { __schema { types { name description fields { name description args { name } } } } }`, nil)
	memory := post(t, c.s.Client(), server.URL+"/graphql/v2?a=b", body, bearer(c.account))
	port := post(t, server.Client(), server.URL+"/graphql/v2?a=b", body, bearer(c.account))
	require.NoError(t, memory.err)
	require.NoError(t, port.err)
	require.Greater(t, len(memory.body), 20_000)
	assert.Equal(t, port.status, memory.status)
	assert.Equal(t, port.body, memory.body)
	for _, name := range []string{"Content-Type", "RateLimit-Policy", "X-RateLimit-Limit"} {
		assert.Equal(t, port.header.Get(name), memory.header.Get(name), name)
	}
}

// broken is a body that cannot be read.
type broken struct{ closed bool }

var errBroken = errors.New("broken")

func (*broken) Read([]byte) (int, error) { return 0, errBroken }
func (b *broken) Close() error           { b.closed = true; return nil }

// TestClientsThatGoAway covers contexts that have ended and bodies that fail.
func TestClientsThatGoAway(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		body := &broken{}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, body)
		require.NoError(t, err)
		_, err = c.s.Client().Do(req)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, body.closed)

		body = &broken{}
		req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, address, body)
		require.NoError(t, err)
		_, err = c.s.Client().Do(req)
		require.ErrorIs(t, err, errBroken)
		require.True(t, body.closed)

		// A context that ends while the answer is read ends the reading.
		ctx, cancel = context.WithCancel(t.Context())
		req, err = http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader([]byte(document(ask, nil))))
		require.NoError(t, err)
		req.Header = bearer(c.account)
		req.Header.Set("Content-Type", "application/json")
		resp, err := c.s.Client().Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		cancel()
		settle()
		_, err = io.ReadAll(resp.Body)
		require.ErrorIs(t, err, context.Canceled)
	})
}
