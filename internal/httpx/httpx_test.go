package httpx_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
)

func parse(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u
}

// quick is a configuration whose waits are too short to notice.
func quick(cfg httpx.Config) *httpx.Client {
	cfg.MinWait, cfg.MaxWait = time.Millisecond, 2*time.Second
	return httpx.New(cfg)
}

// raw is a server below HTTP, that counts the requests whose header arrived
// whole, and then does with the connection what it is told.
type raw struct {
	net.Listener
	mu     sync.Mutex
	seen   int
	bodies []string
}

func newRaw(t *testing.T, then func(n int, conn net.Conn)) *raw {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &raw{Listener: l}
	var wg sync.WaitGroup
	var conns []net.Conn
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, conn := range conns {
			_ = conn.Close() // kept connections would wait for a request
		}
		s.mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			conns = append(conns, conn)
			s.mu.Unlock()
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				in := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					body, _ := io.ReadAll(req.Body)
					s.mu.Lock()
					s.seen++
					n := s.seen
					s.bodies = append(s.bodies, string(body))
					s.mu.Unlock()
					then(n, conn)
				}
			})
		}
	})
	return s
}

func (s *raw) url() string { return "http://" + s.Addr().String() }

func (s *raw) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

const answer200 = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func write(conn net.Conn, text string) { _, _ = io.WriteString(conn, text) }

// After the request arrived, every way in which the answer can go missing is
// "unknown": a mutation is sent once, a read is repeated.
func TestCutAtEveryStage(t *testing.T) {
	t.Parallel()
	stages := map[string]func(conn net.Conn){
		"before the answer":  func(conn net.Conn) { _ = conn.Close() },
		"in the status line": func(conn net.Conn) { write(conn, "HTTP/1.1 20"); _ = conn.Close() },
		"in the header":      func(conn net.Conn) { write(conn, "HTTP/1.1 200 OK\r\nContent-Le"); _ = conn.Close() },
		"before the body":    func(conn net.Conn) { write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"); _ = conn.Close() },
		"in the body":        func(conn net.Conn) { write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"); _ = conn.Close() },
		"in a chunk": func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok")
			_ = conn.Close()
		},
		"by a reset":             func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0); _ = conn.Close() },
		"by something not HTTP":  func(conn net.Conn) { write(conn, "SSH-2.0-OpenSSH\r\n"); _ = conn.Close() },
		"by silence until later": func(conn net.Conn) { time.Sleep(400 * time.Millisecond); _ = conn.Close() },
	}
	for name, cut := range stages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := httpx.Config{AttemptTimeout: 200 * time.Millisecond}
			t.Run("mutation", func(t *testing.T) {
				s := newRaw(t, func(_ int, conn net.Conn) { cut(conn) })
				_, err := quick(cfg).Do(t.Context(), httpx.Call{Op: "test", Method: "POST", URL: parse(t, s.url()), Body: []byte("x")})
				e, ok := errors.AsType[*httpx.Error](err)
				require.True(t, ok)
				assert.False(t, runbook.SafeToRetry(err))
				assert.Zero(t, e.Status)
				assert.Equal(t, 1, e.Attempts)
				assert.Equal(t, 1, s.count(), "the server saw it more than once")
			})
			t.Run("read", func(t *testing.T) {
				s := newRaw(t, func(n int, conn net.Conn) {
					if n < 3 {
						cut(conn)
						return
					}
					write(conn, answer200)
				})
				resp, err := quick(cfg).Do(t.Context(), httpx.Call{Op: "test", URL: parse(t, s.url())})
				require.NoError(t, err)
				assert.Equal(t, "ok", string(resp.Body))
				assert.False(t, resp.Unrun)
				assert.GreaterOrEqual(t, s.count(), 3)
			})
			t.Run("idempotent", func(t *testing.T) {
				s := newRaw(t, func(n int, conn net.Conn) {
					if n < 2 {
						cut(conn)
						return
					}
					write(conn, answer200)
				})
				resp, err := quick(cfg).Do(t.Context(), httpx.Call{Op: "test", Method: "PUT", URL: parse(t, s.url()), Body: []byte("body"), Idempotent: true})
				require.NoError(t, err)
				assert.Equal(t, 200, resp.Status)
				s.mu.Lock()
				defer s.mu.Unlock()
				assert.Equal(t, []string{"body", "body"}, s.bodies, "the body is sent again")
			})
		})
	}
}

// A connection that was kept and has died meanwhile is noticed by net/http only
// when it is used. The mutation may be repeated on a new connection only if
// nothing of it was written; whatever happens, the server runs it at most once.
func TestMutationOnADeadKeptConnection(t *testing.T) {
	t.Parallel()
	for range 20 {
		s := newRaw(t, func(n int, conn net.Conn) {
			write(conn, answer200)
			if n == 1 {
				_ = conn.Close()
			}
		})
		c := quick(httpx.Config{})
		_, err := c.Do(t.Context(), httpx.Call{Op: "test", URL: parse(t, s.url())})
		require.NoError(t, err)
		resp, err := c.Do(t.Context(), httpx.Call{Op: "test", Method: "POST", URL: parse(t, s.url()), Body: []byte("x")})
		if err == nil {
			assert.Equal(t, 200, resp.Status)
		}
		assert.LessOrEqual(t, s.count(), 2)
	}
}

func TestUnsentMutationIsRepeated(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))
	defer srv.Close()
	var dials atomic.Int32
	dialer := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) < 3 {
			return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	resp, err := quick(httpx.Config{HTTP: &http.Client{Transport: dialer}}).Do(t.Context(),
		httpx.Call{Op: "test", Method: "POST", URL: parse(t, srv.URL), Body: []byte("whole")})
	require.NoError(t, err)
	assert.Equal(t, "whole", string(resp.Body))
	assert.Equal(t, 3, resp.Attempts)
}

func TestProvenUnsent(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = nil
	defer untrusted.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never says hello
	require.NoError(t, err)
	defer silent.Close()
	for name, address := range map[string]string{
		"refused":        "http://" + closed.Addr().String(),
		"certificate":    untrusted.URL,
		"TLS handshake":  "https://" + silent.Addr().String(),
		"no such scheme": "gopher://127.0.0.1",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := quick(httpx.Config{AttemptTimeout: 100 * time.Millisecond, Retries: -1}).Do(t.Context(),
				httpx.Call{Op: "test", Method: "POST", URL: parse(t, address), Body: []byte("x")})
			require.Error(t, err)
			// A scheme that net/http refuses before it looks for a connection
			// leaves no proof, so it is not claimed.
			assert.Equal(t, name != "no such scheme", runbook.SafeToRetry(err), "%v", err)
		})
	}
	t.Run("a transport that reports nothing proves nothing", func(t *testing.T) {
		broken := roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("broken") })
		_, err := quick(httpx.Config{HTTP: &http.Client{Transport: broken}}).Do(t.Context(), httpx.Call{Op: "test", Method: "POST", URL: parse(t, "http://x.test")})
		assert.False(t, runbook.SafeToRetry(err))
	})
	t.Run("a transport that says so is believed", func(t *testing.T) {
		broken := roundTripper(func(*http.Request) (*http.Response, error) {
			return nil, &httpx.Refusal{Err: errors.New("offline"), After: -1}
		})
		_, err := quick(httpx.Config{HTTP: &http.Client{Transport: broken}}).Do(t.Context(), httpx.Call{Op: "test", Method: "POST", URL: parse(t, "http://x.test")})
		assert.True(t, runbook.SafeToRetry(err))
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The question is whether the whole call did nothing, and not whether its last
// attempt did.
func TestSafeToRetryIsAboutTheWholeCall(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		if n.Add(1) == 1 {
			return answer(r, 502, nil, "<html>"), nil
		}
		return nil, &httpx.Refusal{Err: errors.New("offline"), After: -1}
	})
	_, err := quick(httpx.Config{HTTP: &http.Client{Transport: transport}}).Do(t.Context(),
		httpx.Call{Op: "test", Method: "PUT", URL: parse(t, "http://x.test"), Idempotent: true})
	require.Error(t, err)
	assert.EqualValues(t, 2, n.Load())
	assert.False(t, runbook.SafeToRetry(err), "the first attempt may have had an effect")
}

func answer(r *http.Request, status int, h http.Header, body string) *http.Response {
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}
}

// script answers the requests one after the other, and repeats the last.
type script struct {
	mu      sync.Mutex
	answers []func(*http.Request) *http.Response
	seen    []*http.Request
	at      []time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.answers[min(len(s.seen), len(s.answers)-1)]
	s.seen = append(s.seen, r)
	s.at = append(s.at, time.Now())
	return f(r), nil
}

func status(code int, h http.Header) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response { return answer(r, code, h, http.StatusText(code)) }
}

// 502 after the effect is the classic trap: the proxy says no, the server did it.
func TestWhichAnswersAreAskedForAgain(t *testing.T) {
	t.Parallel()
	after := http.Header{"Retry-After": {"1"}}
	tests := []struct {
		name   string
		status int
		header http.Header
		read   int // attempts of a read
	}{
		{"200", 200, nil, 1}, {"404", 404, nil, 1}, {"429 without Retry-After", 429, nil, 1}, {"429", 429, after, 4},
		{"500", 500, nil, 4}, {"501", 501, nil, 1}, {"502", 502, nil, 4}, {"503", 503, nil, 4}, {"503 with Retry-After", 503, after, 4},
		{"504", 504, nil, 4}, {"503 with a long Retry-After", 503, http.Header{"Retry-After": {"3600"}}, 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, call := range []httpx.Call{{Method: "GET"}, {Method: "HEAD"}, {Method: "DELETE", Idempotent: true}, {Method: "POST"}, {Method: "PUT"}, {Method: "DELETE"}} {
					s := &script{answers: []func(*http.Request) *http.Response{status(tc.status, tc.header)}}
					call.URL = parse(t, "https://canvas.test/x")
					resp, err := httpx.New(httpx.Config{HTTP: &http.Client{Transport: s}}).Do(t.Context(), call)
					require.NoError(t, err)
					want := tc.read
					if call.Method == "POST" || call.Method == "PUT" || call.Method == "DELETE" && !call.Idempotent {
						want = 1
					}
					assert.Len(t, s.seen, want, call.Method)
					assert.Equal(t, tc.status, resp.Status)
					assert.Equal(t, want, resp.Attempts)
					assert.False(t, resp.Unrun)
					assert.False(t, runbook.SafeToRetry(resp.Err("test")))
				}
			})
		})
	}
}

func TestRejectedMutationIsRepeatedWithItsBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bodies []string
		s := &script{}
		keep := func(code int) func(*http.Request) *http.Response {
			return func(r *http.Request) *http.Response {
				body, _ := io.ReadAll(r.Body)
				bodies = append(bodies, string(body))
				return answer(r, code, nil, "rejected")
			}
		}
		s.answers = []func(*http.Request) *http.Response{keep(403), keep(403), keep(201)}
		cfg := httpx.Config{HTTP: &http.Client{Transport: s}, Unrun: func(r *http.Response, body []byte) (time.Duration, bool) {
			return 3 * time.Second, r.StatusCode == 403 && string(body) == "rejected"
		}}
		start := time.Now()
		resp, err := httpx.New(cfg).Do(t.Context(), httpx.Call{Method: "POST", URL: parse(t, "https://canvas.test"), Body: []byte("all of it")})
		require.NoError(t, err)
		assert.Equal(t, 201, resp.Status)
		assert.Equal(t, []string{"all of it", "all of it", "all of it"}, bodies)
		assert.Equal(t, 6*time.Second, time.Since(start))

		// Within the deadline: the rejection is returned before time runs out.
		s.answers, s.seen = []func(*http.Request) *http.Response{keep(403)}, nil
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		resp, err = httpx.New(cfg).Do(ctx, httpx.Call{Method: "POST", URL: parse(t, "https://canvas.test"), Body: []byte("x")})
		require.NoError(t, err)
		assert.Equal(t, 403, resp.Status)
		assert.Equal(t, 4, resp.Attempts)
		assert.True(t, runbook.SafeToRetry(resp.Err("test")), "no attempt was run")
	})
}

func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []func(*http.Request) *http.Response{status(503, nil)}}
		_, err := httpx.New(httpx.Config{HTTP: &http.Client{Transport: s}, Retries: 12, MinWait: time.Second, MaxWait: 8 * time.Second}).Do(t.Context(), httpx.Call{URL: parse(t, "https://x.test")})
		require.NoError(t, err)
		require.Len(t, s.at, 13)
		for i := range s.at[1:] {
			limit := min(time.Second<<i, 8*time.Second)
			assert.Less(t, s.at[i+1].Sub(s.at[i]), limit)
		}
		// In both forms of Retry-After the wait is at least what is asked for.
		for _, form := range []string{"seconds", "date"} {
			value := "5"
			if form == "date" {
				value = time.Now().Add(6 * time.Second).UTC().Format(http.TimeFormat)
			}
			s = &script{answers: []func(*http.Request) *http.Response{status(503, http.Header{"Retry-After": {value}}), status(200, nil)}}
			_, err = httpx.New(httpx.Config{HTTP: &http.Client{Transport: s}}).Do(t.Context(), httpx.Call{URL: parse(t, "https://x.test")})
			require.NoError(t, err)
			assert.GreaterOrEqual(t, s.at[1].Sub(s.at[0]), 5*time.Second)
			assert.Less(t, s.at[1].Sub(s.at[0]), 7*time.Second)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for value, want := range map[string]time.Duration{
			"": -1, "0": 0, "120": 2 * time.Minute, "-1": -1, "1.5": -1, "soon": -1, "99999999999": -1,
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat):  time.Minute,
			time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
		} {
			got, ok := httpx.RetryAfter(http.Header{"Retry-After": {value}})
			assert.Equal(t, want >= 0, ok, value)
			assert.Equal(t, max(0, want), got, value)
		}
	})
}

func TestContextEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []func(*http.Request) *http.Response{status(503, nil)}}
		c := httpx.New(httpx.Config{HTTP: &http.Client{Transport: s}, Retries: 1000, MaxRejections: 1000})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Second, cancel)
		_, err := c.Do(ctx, httpx.Call{Op: "test", URL: parse(t, "https://x.test")})
		require.ErrorIs(t, err, context.Canceled)
		assert.False(t, runbook.SafeToRetry(err))
	})
	// An attempt that hangs is not the end of the caller's context.
	synctest.Test(t, func(t *testing.T) {
		hang := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		_, err := httpx.New(httpx.Config{HTTP: &http.Client{Transport: hang, Timeout: 5 * time.Second}}).Do(t.Context(), httpx.Call{Op: "test", URL: parse(t, "https://x.test")})
		require.Error(t, err)
		assert.NotErrorIs(t, err, context.DeadlineExceeded)
		timeout, ok := errors.AsType[net.Error](err)
		assert.True(t, ok && timeout.Timeout())
	})
}

func TestAdmissionSeesEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []func(*http.Request) *http.Response{status(503, nil), status(503, nil), status(200, nil)}}
		asked := 0
		cfg := httpx.Config{HTTP: &http.Client{Transport: s}, AttemptTimeout: time.Second, Admit: func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				asked++
				time.Sleep(time.Minute) // waiting for admission is not part of the attempt
				return next.RoundTrip(r)
			})
		}}
		resp, err := httpx.New(cfg).Do(t.Context(), httpx.Call{URL: parse(t, "https://x.test")})
		require.NoError(t, err)
		assert.Equal(t, 200, resp.Status)
		assert.Equal(t, 3, asked)
	})
	synctest.Test(t, func(t *testing.T) {
		busy := errors.New("busy")
		cfg := httpx.Config{HTTP: &http.Client{Transport: &script{}}, MaxRejections: 5, Admit: func(http.RoundTripper) http.RoundTripper {
			return roundTripper(func(*http.Request) (*http.Response, error) { return nil, &httpx.Refusal{Err: busy, After: time.Second} })
		}}
		_, err := httpx.New(cfg).Do(t.Context(), httpx.Call{Op: "test", Method: "POST", URL: parse(t, "https://x.test")})
		require.ErrorIs(t, err, busy)
		assert.True(t, runbook.SafeToRetry(err))
		assert.Equal(t, "test: x.test: not sent (6 attempts): busy", err.Error())
	})
}

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
func (jar) Cookies(*url.URL) []*http.Cookie     { return []*http.Cookie{{Name: "a", Value: "b"}} }

// HTTP/2 reports its connections in another way than HTTP/1.
func TestHTTP2MutationIsSentOnce(t *testing.T) {
	t.Parallel()
	var seen atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.Equal(t, 2, r.ProtoMajor)
		seen.Add(1)
		panic(http.ErrAbortHandler)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	_, err := quick(httpx.Config{HTTP: srv.Client()}).Do(t.Context(), httpx.Call{Method: "POST", URL: parse(t, srv.URL), Body: []byte("x")})
	require.Error(t, err)
	assert.False(t, runbook.SafeToRetry(err))
	assert.EqualValues(t, 1, seen.Load())
}

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

// What has ended before it was sent is proven not to have run.
func TestContextThatHasEnded(t *testing.T) {
	t.Parallel()
	s := newRaw(t, func(_ int, conn net.Conn) { write(conn, answer200) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := quick(httpx.Config{}).Do(ctx, httpx.Call{Op: "test", Method: "POST", URL: parse(t, s.url()), Body: []byte("x")})
	require.ErrorIs(t, err, context.Canceled)
	assert.True(t, runbook.SafeToRetry(err))
	assert.Zero(t, s.count())
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

// A transport that tries several ways in turn reports several errors. All must
// say that nothing was sent.
func TestJoinedErrorsMustAllSayUnsent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		sent int
		safe bool
	}{
		"all":         {errors.Join(unsentError{}, unsentError{}), 4, true},
		"one of them": {errors.Join(unsentError{}, errors.New("connection reset")), 1, false},
		"none":        {errors.Join(errors.New("connection reset")), 1, false},
	} {
		var sent atomic.Int32
		host := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			sent.Add(1)
			return nil, test.err
		})}
		_, err := quick(httpx.Config{HTTP: host}).Do(t.Context(), httpx.Call{Method: "POST", URL: parse(t, "http://a.test")})
		require.Error(t, err, name)
		assert.EqualValues(t, test.sent, sent.Load(), name)
		assert.Equal(t, test.safe, runbook.SafeToRetry(err), name)
	}
}

type unsentError struct{}

func (unsentError) Error() string     { return "not sent" }
func (unsentError) SafeToRetry() bool { return true }
