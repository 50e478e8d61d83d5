package httpx_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
)

// Where nothing may be changed, only reads go out.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(s.Close)
	read := 0
	body := readerFunc(func([]byte) (int, error) { read++; return 0, io.EOF })
	for name, test := range map[string]struct {
		call httpx.Call
		sent bool
	}{
		"nothing said":       {httpx.Call{}, true},
		"GET":                {httpx.Call{Method: "GET"}, true},
		"HEAD":               {httpx.Call{Method: "HEAD"}, true},
		"query by POST":      {httpx.Call{Method: "POST", Reads: true}, true},
		"POST":               {httpx.Call{Method: "POST"}, false},
		"PATCH":              {httpx.Call{Method: "PATCH"}, false},
		"idempotent PUT":     {httpx.Call{Method: "PUT", Idempotent: true}, false},
		"idempotent DELETE":  {httpx.Call{Method: "DELETE", Idempotent: true}, false},
		"lower case":         {httpx.Call{Method: "get"}, false},
		"streamed upload":    {httpx.Call{Method: "POST", Stream: body, Size: -1}, false},
		"method of our own":  {httpx.Call{Method: "PURGE"}, false},
		"idempotent by name": {httpx.Call{Method: "POST", Idempotent: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := requests.Load()
			test.call.Op, test.call.URL = "test", parse(t, s.URL+"/secret?token=canary")
			for _, c := range []*httpx.Client{quick(httpx.Config{}), quick(httpx.Config{Admit: func(next http.RoundTripper) http.RoundTripper { return next }})} {
				_, err := c.Do(runbook.ReadOnly(t.Context()), test.call)
				if test.sent {
					require.NoError(t, err)
					continue
				}
				require.ErrorIs(t, err, runbook.ErrReadOnly)
				assert.True(t, runbook.SafeToRetry(err))
				assert.Equal(t, "test: "+test.call.URL.Host+": not sent: read only: nothing may be changed here", err.Error())
				require.ErrorIs(t, test.call.Refused(runbook.ReadOnly(t.Context())), runbook.ErrReadOnly)
				require.NoError(t, test.call.Refused(t.Context()))
			}
			assert.Equal(t, test.sent, requests.Load() > before)
			assert.Zero(t, read)
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// As a transport, a client refuses too, but for what says that it only reads.
func TestReadOnlyTransport(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(s.Close)
	c := quick(httpx.Config{})
	post := func(transport http.RoundTripper) error {
		req, err := http.NewRequestWithContext(runbook.ReadOnly(t.Context()), http.MethodPost, s.URL, strings.NewReader("grant_type=client_credentials"))
		require.NoError(t, err)
		resp, err := transport.RoundTrip(req)
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	err := post(c)
	require.ErrorIs(t, err, runbook.ErrReadOnly)
	assert.True(t, runbook.SafeToRetry(err))
	assert.Zero(t, requests.Load())
	require.NoError(t, post(c.Reading()))
	assert.EqualValues(t, 1, requests.Load())
}
