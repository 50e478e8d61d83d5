package httpx_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
)

func TestRedirects(t *testing.T) {
	t.Parallel()
	var other atomic.Int32
	foreign := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { other.Add(1) }))
	defer foreign.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Authorization")) })
	mux.HandleFunc("/near", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/here", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/far", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, foreign.URL, http.StatusFound) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/here", http.StatusFound) })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	c := quick(httpx.Config{Follow: func(to *url.URL) bool { return to.Path != "/forbidden" }})
	secret := http.Header{"Authorization": {"Bearer token"}}
	get := func(method, path string) *httpx.Response {
		resp, err := c.Do(t.Context(), httpx.Call{Method: method, URL: parse(t, srv.URL+path), Header: secret})
		require.NoError(t, err)
		return resp
	}
	near := get("GET", "/near")
	assert.Equal(t, "Bearer token", string(near.Body))
	assert.Equal(t, "/here", near.URL.Path)
	assert.Equal(t, 302, get("GET", "/far").Status)
	assert.Zero(t, other.Load(), "the token's host was left")
	assert.Equal(t, 302, get("GET", "/loop").Status)
	assert.Equal(t, 307, get("POST", "/near").Status, "a mutation is not sent to another address")
}

// https to http is another origin, and so is another port.
func TestRedirectFromHTTPSToHTTP(t *testing.T) {
	t.Parallel()
	var plain atomic.Int32
	down := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { plain.Add(1) }))
	defer down.Close()
	up := httptest.NewTLSServer(http.RedirectHandler(down.URL, http.StatusFound))
	defer up.Close()
	resp, err := quick(httpx.Config{HTTP: up.Client()}).Do(t.Context(), httpx.Call{URL: parse(t, up.URL)})
	require.NoError(t, err)
	assert.Equal(t, 302, resp.Status)
	assert.Zero(t, plain.Load())
}

func TestHugeBodies(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		block := bytes.Repeat([]byte("x"), 1<<16)
		if r.URL.Path == "/announced" {
			w.Header().Set("Content-Length", fmt.Sprint(1<<30))
		}
		for range 1 << 14 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	for _, path := range []string{"/announced", "/endless"} {
		_, err := quick(httpx.Config{MaxBody: 1 << 20}).Do(t.Context(), httpx.Call{URL: parse(t, srv.URL+path)})
		require.ErrorIs(t, err, httpx.ErrTooLarge)
		e, _ := errors.AsType[*httpx.Error](err)
		assert.Equal(t, 1, e.Attempts, "asking again would be as large")
	}
	resp, err := quick(httpx.Config{MaxBody: 1 << 20}).Do(t.Context(), httpx.Call{Method: "HEAD", URL: parse(t, srv.URL+"/announced")})
	require.NoError(t, err)
	assert.Empty(t, resp.Body)
}

func TestErrorsShowNoSecrets(t *testing.T) {
	t.Parallel()
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("cannot send %s with %q\x1b[31m%s", r.URL, r.Header.Get("Authorization"), strings.Repeat("long ", 200))
	})
	_, err := quick(httpx.Config{HTTP: &http.Client{Transport: transport}, Retries: -1}).Do(t.Context(), httpx.Call{
		Op: "test", URL: parse(t, "https://me:pass-word@canvas.test/p?access_token=canary-1"), Header: http.Header{"Authorization": {"Bearer canary-2"}},
	})
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "canary")
	assert.NotContains(t, err.Error(), "pass-word")
	assert.NotContains(t, err.Error(), "\x1b")
	assert.Less(t, len(err.Error()), 400)
	assert.Contains(t, err.Error(), "test: canvas.test: no answer")
}

func TestStreamIsSentOnce(t *testing.T) {
	t.Parallel()
	s := &script{answers: []func(*http.Request) *http.Response{status(503, nil)}}
	resp, err := quick(httpx.Config{HTTP: &http.Client{Transport: s}}).Do(t.Context(), httpx.Call{
		Method: "PUT", URL: parse(t, "https://x.test"), Idempotent: true, Stream: strings.NewReader("abc"), Size: 3,
	})
	require.NoError(t, err)
	assert.Equal(t, 503, resp.Status)
	assert.Len(t, s.seen, 1)
}

func TestNoCookies(t *testing.T) {
	t.Parallel()
	jar := jar{}
	s := &script{answers: []func(*http.Request) *http.Response{status(200, http.Header{"Set-Cookie": {"session=1"}})}}
	c := quick(httpx.Config{HTTP: &http.Client{Transport: s, Jar: jar}, UserAgent: "test/1"})
	for range 2 {
		_, err := c.Do(t.Context(), httpx.Call{URL: parse(t, "https://x.test")})
		require.NoError(t, err)
	}
	for _, r := range s.seen {
		assert.Empty(t, r.Header["Cookie"])
		assert.Equal(t, "test/1", r.Header.Get("User-Agent"))
	}
}

type jar struct{}

func (jar) SetCookies(*url.URL, []*http.Cookie) {}

func (jar) Cookies(*url.URL) []*http.Cookie { return []*http.Cookie{{Name: "a", Value: "b"}} }

func TestRoundTripServesOtherLibraries(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(append([]byte(r.Method+" "), body...))
	}))
	defer srv.Close()
	client := &http.Client{Transport: quick(httpx.Config{})}
	resp, err := client.Post(srv.URL, "text/plain", strings.NewReader("hello"))
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "POST hello", string(body))
}

// BenchmarkDo is one read with an answer in memory, beside the same by
// net/http alone.
func BenchmarkDo(b *testing.B) {
	u := parse(b, "https://canvas.test/api/v1/users/self")
	transport := roundTripper(func(r *http.Request) (*http.Response, error) { return answer(r, 200, nil, "{}"), nil })
	b.Run("httpx", func(b *testing.B) {
		c := httpx.New(httpx.Config{HTTP: &http.Client{Transport: transport}})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Do(b.Context(), httpx.Call{URL: u}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("net-http", func(b *testing.B) {
		c := &http.Client{Transport: transport}
		b.ReportAllocs()
		for b.Loop() {
			req, err := http.NewRequestWithContext(b.Context(), "GET", u.String(), nil)
			if err != nil {
				b.Fatal(err)
			}
			resp, err := c.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadAll(resp.Body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// http.Client quotes a Location that it cannot read. There may be a ticket in it.
func TestUnreadableLocationIsNotQuoted(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST"} {
		s := newRaw(t, func(_ int, conn net.Conn) {
			write(conn, "HTTP/1.1 302 Found\r\nLocation: https://files.test/%zz?ticket=canary\r\nContent-Length: 0\r\n\r\n")
		})
		_, err := quick(httpx.Config{Retries: -1}).Do(t.Context(), httpx.Call{Op: "test", Method: method, URL: parse(t, s.url())})
		require.ErrorContains(t, err, "302")
		assert.NotContains(t, fmt.Sprintf("%+v %v", err, errors.Unwrap(err)), "canary")
		assert.False(t, runbook.SafeToRetry(err))
	}
}
