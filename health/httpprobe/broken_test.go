package httpprobe_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
)

// raw listens on loopback and lets talk answer each connection as it likes,
// after the request was read. The connection is closed when talk returns.
func raw(t testing.TB, talk func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					talk(conn)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/"
}

// say returns a talk that writes text and hangs up.
func say(text string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
}

// TestBrokenAnswers shows what is said of a server that answers badly.
//
// Requirement: HL-WANT-2
func TestBrokenAnswers(t *testing.T) {
	reset := func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }
	for _, c := range []struct {
		name  string
		talk  func(net.Conn)
		cause health.Cause
		want  string
	}{
		{"nothing", say(""), health.CauseConnection, "the connection broke while waiting for the answer"},
		{"reset", reset, health.CauseConnection, "the connection broke while waiting for the answer"},
		{"half a header", say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"), health.CauseConnection, "the connection broke while reading the header of the answer"},
		{"not HTTP", say("SSH-2.0-OpenSSH_9.2\r\n"), health.CauseProtocol, "the answer is not valid HTTP"},
		{"odd status", say("HTTP/1.1 abc OK\r\n\r\n"), health.CauseProtocol, "the answer is not valid HTTP"},
		{"odd header", say("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), health.CauseProtocol, "the answer is not valid HTTP"},
		{"odd length", say("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), health.CauseProtocol, "the answer is not valid HTTP"},
		{"odd transfer encoding", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\n"), health.CauseProtocol, "the answer is not valid HTTP"},
		{"huge header", func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for range 100 {
				_, _ = io.WriteString(conn, "X-Pad: "+strings.Repeat("x", 8000)+"\r\n")
			}
		}, health.CauseTooLarge, "the header of the answer is too large"},
		{"cut off body", say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"status\":"), health.CauseConnection, "the connection broke while reading the body of the answer"},
		{"cut off chunks", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), health.CauseConnection, "the connection broke while reading the body of the answer"},
		{"odd chunks", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), health.CauseProtocol, "the answer is not valid HTTP"},
		{"not gzip", say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\nthis is no gzip data"), health.CauseProtocol, "the answer is not valid HTTP"},
		{"other protocol", say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), health.CauseStatus, "answered 101 (Switching Protocols), want 200 to 299"},
		{"error before the body broke", say("HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\n"), health.CauseStatus, "answered 500 (Internal Server Error), want 200 to 299"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := must(t, httpprobe.Config{URL: raw(t, c.talk)}).Probe(t.Context())
			assert.Equal(t, health.Unhealthy, r.Status)
			assert.Equal(t, c.cause, r.Cause)
			assert.Equal(t, c.want, rest(r))
			_, measured := r.Measurement("response_time")
			assert.Equal(t, strings.Contains(c.name, "protocol"), measured, "only a complete answer has a time")
		})
	}
}

// TestOneAttempt shows that a request is not sent again when the connection
// breaks, also where HTTP would allow it.
//
// Requirement: HL-PROBE-ONE-ATTEMPT
func TestOneAttempt(t *testing.T) {
	for _, text := range []string{"", "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"} {
		var requests atomic.Int64
		p := must(t, httpprobe.Config{URL: raw(t, func(conn net.Conn) {
			requests.Add(1)
			say(text)(conn)
		})})
		for n := range 3 {
			assert.Equal(t, health.Unhealthy, p.Probe(t.Context()).Status)
			assert.Equal(t, int64(n+1), requests.Load())
		}
	}
}

// TestUnknownErrors shows that the text of an error that nothing is known about
// is shown without the URL that net/http puts before it.
func TestUnknownErrors(t *testing.T) {
	client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("tunnel\nis down") })}
	r := must(t, httpprobe.Config{URL: "http://a.test/?key=" + canary, HTTP: client}).Probe(t.Context())
	assert.Equal(t, health.Unhealthy, r.Status)
	assert.Equal(t, health.CauseFailed, r.Cause)
	assert.Equal(t, "GET http://a.test/: failed before connecting: tunnel is down", r.Message)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestTooLarge shows that a body is read only as far as allowed, counted after
// decompression.
func TestTooLarge(t *testing.T) {
	const most = 64 << 10
	zeros := make([]byte, 1<<20)
	var sent atomic.Int64
	write := func(w io.Writer, chunks int) {
		for range chunks {
			n, err := w.Write(zeros)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
	for _, c := range []struct {
		name string
		h    http.HandlerFunc
		most int64 // that the server got rid of
	}{
		{"100 MB announced", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(100<<20))
			write(w, 100)
		}, 50 << 20},
		{"100 MB in chunks", func(w http.ResponseWriter, _ *http.Request) { write(w, 100) }, 50 << 20},
		{"never ending", func(w http.ResponseWriter, _ *http.Request) { write(w, 1<<30) }, 50 << 20},
		{"gzip bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			write(z, 100)
			_ = z.Close()
		}, 100 << 20},
		{"one byte", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(zeros[:most+1]) }, 1 << 20},
	} {
		for _, look := range []string{"", "x"} {
			t.Run(c.name+look, func(t *testing.T) {
				sent.Store(0)
				s := serve(t, c.h)
				p := must(t, httpprobe.Config{URL: s.URL + "/", MaxBody: most, Contains: look})
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				r := p.Probe(t.Context())
				runtime.ReadMemStats(&after)
				assert.Equal(t, health.Unhealthy, r.Status)
				assert.Equal(t, health.CauseTooLarge, r.Cause)
				assert.Equal(t, "answered 200 (OK) with a body of more than 65536 bytes", rest(r))
				s.Close() // waits for the handler, which ends because its connection is closed
				assert.LessOrEqual(t, sent.Load(), c.most)
				assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20), "bytes allocated by prober and server")
			})
		}
	}
	t.Run("exactly", func(t *testing.T) {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(zeros[:most]) }))
		r := must(t, httpprobe.Config{URL: s.URL, MaxBody: most}).Probe(t.Context())
		assert.Equal(t, health.Healthy, r.Status, r.Message)
	})
	t.Run("answer to HEAD", func(t *testing.T) {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "999999") }))
		r := must(t, httpprobe.Config{URL: s.URL, Method: "HEAD", MaxBody: most}).Probe(t.Context())
		assert.Equal(t, health.Healthy, r.Status, r.Message)
	})
}

// TestNothingLeaks shows that neither goroutines nor connections stay after
// probes that went well, failed, stopped early and timed out.
func TestNothingLeaks(t *testing.T) {
	var open atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			<-r.Context().Done()
		case "/large":
			_, _ = w.Write(make([]byte, 1<<20))
		case "/redirect":
			http.Redirect(w, r, "/", http.StatusFound)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
	s.Start()
	defer s.Close()
	before := runtime.NumGoroutine()
	for _, path := range []string{"/", "/hang", "/large", "/redirect"} {
		p := must(t, httpprobe.Config{URL: s.URL + path, MaxBody: 1 << 10, Redirects: 1})
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			p.Probe(ctx)
			cancel()
		}
	}
	assert.Eventually(t, func() bool { return open.Load() == 0 }, 10*time.Second, 5*time.Millisecond, "connections stay open")
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, 10*time.Second, 5*time.Millisecond, "goroutines stay")
}

// TestConcurrentFailures shows that a probe that fails leaves those alone that
// run beside it.
func TestConcurrentFailures(t *testing.T) {
	var requests, answered, healthy atomic.Int64
	p := must(t, httpprobe.Config{URL: raw(t, func(conn net.Conn) {
		if requests.Add(1)%2 == 0 {
			answered.Add(1)
			say("HTTP/1.1 204 No Content\r\n\r\n")(conn)
		}
	})})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				switch r := p.Probe(t.Context()); r.Cause {
				case "":
					healthy.Add(1)
				default:
					assert.Equal(t, health.CauseConnection, r.Cause, r.Message)
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, int64(320), requests.Load())
	assert.Equal(t, answered.Load(), healthy.Load())
}

// resolver answers every DNS question with a code, or not at all if it is
// negative, and returns a client that asks it.
func resolver(t testing.TB, rcode int) *http.Client {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			if rcode >= 0 && n > 12 {
				binary.BigEndian.PutUint16(buf[2:], 0x8180|uint16(rcode)) // an answer, recursion available
				binary.BigEndian.PutUint16(buf[10:], 0)                   // no additional records
				_, _ = server.WriteTo(buf[:n], from)
			}
		}
	}()
	dialer := &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}}
	return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
}

// TestNoAddress shows what is said where the name does not resolve.
//
// Requirement: HL-WANT-7
func TestNoAddress(t *testing.T) {
	probe := func(t *testing.T, rcode int, timeout time.Duration) health.Result {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		return must(t, httpprobe.Config{URL: "http://qa.example.invalid/", HTTP: resolver(t, rcode)}).Probe(ctx)
	}
	r := probe(t, 3, 10*time.Second)
	assert.Equal(t, health.CauseDNS, r.Cause)
	assert.Equal(t, "host name qa.example.invalid has no address, or does not exist", rest(r))
	assert.Empty(t, r.Measurements)

	r = probe(t, 2, 10*time.Second)
	assert.Equal(t, health.CauseDNS, r.Cause)
	assert.Equal(t, "host name qa.example.invalid cannot be resolved: server misbehaving", rest(r))

	r = probe(t, -1, 50*time.Millisecond)
	assert.Equal(t, health.CauseTimeout, r.Cause)
	assert.Regexp(t, `^timed out after \d+ms while resolving qa.example.invalid$`, rest(r))
}
