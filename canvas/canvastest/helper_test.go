package canvastest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

const school = "https://school.example.com"

// reply is an answer with its body read.
type reply struct {
	*http.Response
	body []byte
}

func (r reply) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal(r.body, &v), "%s: %s", r.Status, r.body)
	return v
}

func (r reply) list(t testing.TB) []map[string]any {
	t.Helper()
	var v []map[string]any
	require.NoError(t, json.Unmarshal(r.body, &v), "%s: %s", r.Status, r.body)
	return v
}

// request makes a request: a form if there is one, with the administrator's
// token. Headers come in pairs and override; an empty value removes one.
func request(t testing.TB, method, address string, form url.Values, headers ...string) *http.Request {
	t.Helper()
	if strings.HasPrefix(address, "/") {
		address = school + address
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, body)
	require.NoError(t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Authorization", "Bearer "+canvastest.AdminToken)
	req.Header.Set("User-Agent", "canvastest")
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" && headers[i] != "User-Agent" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

// noRedirects shows redirects instead of following them.
func noRedirects(c *http.Client) *http.Client {
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

func do(t testing.TB, c *http.Client, req *http.Request) reply {
	t.Helper()
	resp, err := c.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return reply{resp, body}
}

func get(t testing.TB, fake *canvastest.Server, path string, headers ...string) reply {
	t.Helper()
	return do(t, noRedirects(fake.Client()), request(t, http.MethodGet, path, nil, headers...))
}

func send(t testing.TB, fake *canvastest.Server, method, path string, form url.Values, headers ...string) reply {
	t.Helper()
	if form == nil {
		form = url.Values{}
	}
	return do(t, noRedirects(fake.Client()), request(t, method, path, form, headers...))
}

// sendJSON sends a JSON body.
func sendJSON(t testing.TB, fake *canvastest.Server, method, path, body string, headers ...string) reply {
	t.Helper()
	req := request(t, method, path, nil, headers...)
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	req.Header.Set("Content-Type", "application/json")
	return do(t, noRedirects(fake.Client()), req)
}

// links reads a Link header.
func links(t testing.TB, r reply) map[string]string {
	t.Helper()
	out := map[string]string{}
	if r.Header.Get("Link") == "" {
		return out
	}
	for part := range strings.SplitSeq(r.Header.Get("Link"), ",") {
		address, rel, ok := strings.Cut(part, ">; rel=")
		require.True(t, ok, part)
		out[strings.Trim(rel, `"`)] = strings.TrimPrefix(address, "<")
	}
	return out
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

const (
	timeout = 5 * time.Second
	tick    = time.Millisecond
)

func newContext(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}
