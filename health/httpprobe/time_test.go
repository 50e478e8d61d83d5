package httpprobe_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
)

// hang returns a talk that writes text, and then tick again and again until the
// prober hangs up. ended counts those that did.
func hang(text, tick string, ended *atomic.Int64) func(net.Conn) {
	return func(conn net.Conn) {
		defer ended.Add(1)
		_, err := io.WriteString(conn, text)
		for err == nil {
			time.Sleep(time.Second)
			_, err = io.WriteString(conn, tick)
		}
	}
}

// pipes returns a client whose connections lead to talk, in memory, so that
// waiting takes no time within a synctest bubble.
func pipes(talk func(net.Conn)) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				if _, err := http.ReadRequest(bufio.NewReader(far)); err == nil {
					talk(far)
				}
			}()
			return near, nil
		},
	}}
}

// TestTimeouts shows that a probe ends with its context, wherever the server
// hangs, and says where that was.
func TestTimeouts(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct{ name, text, tick, where string }{
		{"silence", "", "", "while waiting for the answer"},
		{"slow drip of headers", head, "X-Drip: 1\r\n", "while reading the header of the answer"},
		{"body that never ends", head + "\r\n", "x", "while reading the body of the answer"},
		{"chunks that never end", head + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", "while reading the body of the answer"},
		{"body that never comes", head + "Content-Length: 10\r\n\r\n", "", "while reading the body of the answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ended atomic.Int64
				p := must(t, httpprobe.Config{URL: "http://a.test/", HTTP: pipes(hang(c.text, c.tick, &ended))})
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				r := p.Probe(ctx)
				assert.Equal(t, health.Unhealthy, r.Status)
				assert.Equal(t, health.CauseTimeout, r.Cause)
				assert.Equal(t, "timed out after 5s "+c.where, rest(r))
				assert.Equal(t, 5*time.Second, r.Duration)
				time.Sleep(2 * time.Second)
				assert.Equal(t, int64(1), ended.Load(), "the connection is closed")
			})
		})
	}
	t.Run("time-out of the host's client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var ended atomic.Int64
			client := pipes(hang("", "", &ended))
			client.Timeout = 3 * time.Second
			r := must(t, httpprobe.Config{URL: "http://a.test/", HTTP: client}).Probe(t.Context())
			assert.Equal(t, health.CauseTimeout, r.Cause)
			assert.Equal(t, "timed out after 3s while waiting for the answer", rest(r))
			time.Sleep(2 * time.Second)
			assert.Equal(t, int64(1), ended.Load(), "the connection is closed")
		})
	})
	t.Run("connecting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			r := must(t, httpprobe.Config{URL: "http://a.test/", HTTP: &http.Client{Transport: transport}}).Probe(ctx)
			assert.Equal(t, health.CauseTimeout, r.Cause)
			assert.Equal(t, "timed out after 5s before connecting", rest(r))
			transport.CloseIdleConnections() // a prober leaves the host's transport alone
		})
	})
	t.Run("TLS handshake", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		closed := make(chan error, 1)
		go func() {
			conn, err := l.Accept()
			if err == nil {
				_, err = io.Copy(io.Discard, conn)
			}
			closed <- err
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		r := must(t, httpprobe.Config{URL: "https://" + l.Addr().String() + "/"}).Probe(ctx)
		assert.Equal(t, health.CauseTimeout, r.Cause)
		assert.Regexp(t, `^timed out after \d+ms in the TLS handshake$`, rest(r))
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			assert.Fail(t, "the connection stays open after the probe")
		}
	})
}

// TestLatency shows that the time until the end of the body counts, and is
// split into phases.
func TestLatency(t *testing.T) {
	slow := func(conn net.Conn) {
		time.Sleep(300 * time.Millisecond)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
		time.Sleep(200 * time.Millisecond)
		_, _ = io.WriteString(conn, "k")
	}
	for _, c := range []struct {
		name   string
		budget health.Budget
		status health.Status
		want   string
	}{
		{"any time", health.Budget{}, health.Healthy, ""},
		{"enough", health.Budget{Warn: 500 * time.Millisecond}, health.Healthy, ""},
		{"slow", health.Budget{Warn: 400 * time.Millisecond, Fail: time.Second}, health.Degraded, "took 500ms, more than 400ms"},
		{"too slow", health.Budget{Fail: 450 * time.Millisecond}, health.Unhealthy, "took 500ms, more than 450ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := must(t, httpprobe.Config{URL: "http://a.test/", HTTP: pipes(slow), Latency: c.budget}).Probe(t.Context())
				assert.Equal(t, c.status, r.Status)
				assert.Equal(t, c.want, rest(r))
				for name, want := range map[string]float64{"response_time": 500, "first_byte": 300, "transfer": 200, "connect": 0} {
					m, ok := r.Measurement(name)
					assert.True(t, ok, name)
					assert.Equal(t, want, m.Value, name)
				}
			})
		})
	}
}
