package send_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answers(status int, body string) *send.Client {
	return send.New("service", send.Config{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})}})
}

// A read that fails proves that nothing was sent, unless the service refuses.
func TestLook(t *testing.T) {
	base, ok := send.Base("https://service.example.edu")
	require.True(t, ok)
	for name, c := range map[string]struct {
		status int
		body   string
		kind   error
	}{
		"fails":      {500, "", nil},
		"unreadable": {200, "<html>", nil},
		"refuses":    {403, "", alert.ErrRefused},
		"limits":     {429, "", alert.ErrLimited},
	} {
		t.Run(name, func(t *testing.T) {
			var v struct{ A int }
			_, err := answers(c.status, c.body).Look(t.Context(), send.Call{Op: "read", URL: base.JoinPath("x")}, &v)
			require.Error(t, err)
			assert.True(t, runbook.SafeToRetry(err))
			e, ok := errors.AsType[*alert.Error](err)
			require.True(t, ok)
			assert.Equal(t, c.kind, e.Kind)
		})
	}
	var v struct{ A int }
	_, err := answers(200, `{"a":1}`).Look(t.Context(), send.Call{Op: "read", URL: base}, &v)
	require.NoError(t, err)
	assert.Equal(t, 1, v.A)
}

func TestExplain(t *testing.T) {
	err := send.Explain(&alert.Error{Service: "s", Op: "o"}, "Field 'x'\r\nis required "+strings.Repeat("é", 300))
	assert.Contains(t, err.Error(), "Field 'x' is required é")
	assert.Less(t, len([]rune(err.Error())), 230)
	assert.Equal(t, "a b c", send.Line(" a\n\tb\x00c "))
}

func TestBase(t *testing.T) {
	for _, bad := range []string{"", "x", "http://h", "https://", "https://u:p@h", "https://h?x=1", "https://h#x", "https://%zz"} {
		_, ok := send.Base(bad)
		assert.False(t, ok, bad)
	}
	for address, want := range map[string]string{"https://h": "https://h/a/b", "https://h/": "https://h/a/b", "https://h/jira/": "https://h/jira/a/b"} {
		u, ok := send.Base(address)
		assert.True(t, ok)
		u = u.JoinPath("a", "b")
		assert.Equal(t, want, u.String())
		assert.True(t, strings.HasPrefix(u.Path, "/"))
	}
}
