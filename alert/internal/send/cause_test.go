package send_test

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert/internal/send"
)

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// Why there is no answer can be read in the error, and the host, which may be a secret, not.
//
// Requirement: AL-SEND-SECRET
func TestCause(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS() // with a certificate that nobody trusts
	t.Cleanup(server.Close)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"refused":     {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "alert: x: post: the connection was refused"},
		"no host":     {&net.DNSError{Err: "no such host", Name: "geheim.example.com"}, "alert: x: post: the name of the host is not found"},
		"anything":    {errors.New("geheim.example.com is odd"), "alert: x: post: no answer"},
		"certificate": {nil, "alert: x: post: the certificate of the service is not valid"},
	} {
		u, err := url.Parse("https://geheim.example.com/geheim")
		require.NoError(t, err)
		client := &http.Client{Transport: failing{c.err}}
		if c.err == nil {
			u, err = url.Parse(server.URL)
			require.NoError(t, err)
			client = &http.Client{}
		}
		_, err = send.New("x", send.Config{HTTP: client}).Do(t.Context(), send.Call{Op: "post", URL: u})
		assert.EqualError(t, err, c.want, name)
	}
}
