package canvastest_test

import (
	"net/http"
	"net/http/httptrace"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

func TestTheClientBehavesAsOnTheWire(t *testing.T) {
	var fake canvastest.Server
	var steps []string
	step := func(name string) { steps = append(steps, name) }
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GetConn: func(hostPort string) { step("conn " + hostPort) }, GotConn: func(httptrace.GotConnInfo) { step("got") }, WroteHeaders: func() { step("headers") },
		WroteRequest: func(httptrace.WroteRequestInfo) { step("wrote") }, GotFirstResponseByte: func() { step("first") },
	})
	req := request(t, http.MethodGet, self, nil).WithContext(ctx)
	req.Header.Del("User-Agent")
	r := do(t, fake.Client(), req)
	assert.Equal(t, []string{"conn school.example.com:443", "got", "headers", "wrote", "first"}, steps)
	assert.Equal(t, "Go-http-client/1.1", fake.Requests()[0].UserAgent, "as net/http sends it")
	assert.Equal(t, int64(len(r.body)), r.ContentLength)
	assert.Equal(t, "200 OK", r.Status)
	assert.Same(t, req, r.Request)
}

func TestACanceledRequestIsNotSent(t *testing.T) {
	var fake canvastest.Server
	req := request(t, http.MethodGet, self, nil)
	ctx, cancel := newContext(t)
	cancel()
	_, err := fake.Client().Do(req.WithContext(ctx))
	require.Error(t, err)
	assert.Empty(t, fake.Requests())
}

func TestACanceledBodyCannotBeRead(t *testing.T) {
	var fake canvastest.Server
	ctx, cancel := newContext(t)
	resp, err := fake.Client().Do(request(t, http.MethodGet, self, nil).WithContext(ctx))
	require.NoError(t, err)
	cancel()
	fake.Wait()
	var buf [8]byte
	assert.Eventually(t, func() bool {
		_, err := resp.Body.Read(buf[:])
		return err != nil
	}, timeout, tick)
	require.NoError(t, resp.Body.Close())
}
