package httpx_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
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

func (unsentError) Error() string { return "not sent" }

func (unsentError) SafeToRetry() bool { return true }

// What was seen on the wire counts more than what a transport says.
func TestWhatWasSeenToBeSentIsNotUnsent(t *testing.T) {
	t.Parallel()
	var sent atomic.Int32
	host := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		sent.Add(1)
		httptrace.ContextClientTrace(r.Context()).WroteHeaders()
		return nil, unsentError{}
	})}
	_, err := quick(httpx.Config{HTTP: host}).Do(t.Context(), httpx.Call{Method: "POST", URL: parse(t, "http://a.test")})
	require.Error(t, err)
	assert.EqualValues(t, 1, sent.Load())
	assert.False(t, runbook.SafeToRetry(err))
}
