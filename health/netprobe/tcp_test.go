package netprobe_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/health/netprobe"
	"go.acu.edu.au/runbook/internal/netcheck/certtest"
)

// listen accepts connections on loopback and hands each to talk.
func listen(t testing.TB, talk func(net.Conn)) (address string) {
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
				talk(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// closed returns an address on which nothing listens.
func closed(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func say(text string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
}

// silent waits until the other side hangs up.
func silent(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

func tcp(t testing.TB, cfg netprobe.TCPConfig) *netprobe.TCP {
	t.Helper()
	p, err := netprobe.NewTCP(cfg)
	require.NoError(t, err)
	return p
}

// Requirement: HL-PROBE-ONE-ATTEMPT
func TestTCP(t *testing.T) {
	var accepted atomic.Int64
	healthtest.TestProber(t, healthtest.ProberHarness{
		Healthy: func(t testing.TB) health.Prober {
			return tcp(t, netprobe.TCPConfig{Address: listen(t, func(conn net.Conn) { accepted.Add(1); say("220 hello\r\n")(conn) }), Want: "220 "})
		},
		Down: func(t testing.TB) (health.Prober, health.Cause) {
			return tcp(t, netprobe.TCPConfig{Address: closed(t)}), health.CauseRefused
		},
		Hanging: func(t testing.TB) health.Prober {
			return tcp(t, netprobe.TCPConfig{Address: listen(t, silent), Want: "x"})
		},
	})
	assert.Equal(t, int64(1+8), accepted.Load(), "connections for 9 probes")
}

// dialer is a Dialer that answers by itself.
type dialer func(ctx context.Context) (net.Conn, error)

func (d dialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) { return d(ctx) }

// TestTCPFindings shows what is said of a server, and what is measured.
func TestTCPFindings(t *testing.T) {
	// A connection that is reset before the dialer has it was never made.
	connected := make(chan struct{})
	resetting := listen(t, func(conn net.Conn) { <-connected; _ = conn.(*net.TCPConn).SetLinger(0) })
	connecting := dialer(func(ctx context.Context) (net.Conn, error) {
		defer close(connected)
		return new(net.Dialer).DialContext(ctx, "tcp", resetting)
	})
	unreachable := dialer(func(context.Context) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5432}, Err: syscall.EHOSTUNREACH}
	})
	for _, c := range []struct {
		name   string
		cfg    netprobe.TCPConfig
		status health.Status
		cause  health.Cause
		want   string
	}{
		{"open", netprobe.TCPConfig{Address: listen(t, silent)}, health.Healthy, "", ""},
		{"hangs up", netprobe.TCPConfig{Address: listen(t, say(""))}, health.Healthy, "", ""},
		{"banner", netprobe.TCPConfig{Address: listen(t, say("SSH-2.0-OpenSSH\r\n")), Want: "SSH-2.0-"}, health.Healthy, "", ""},
		{"other banner", netprobe.TCPConfig{Address: listen(t, say("HTTP/1.1 400\r\n")), Want: "SSH-2.0-"}, health.Unhealthy, health.CauseAssertion, `said "HTTP/1.1", want "SSH-2.0-"`},
		{"other banner, then silence", netprobe.TCPConfig{Address: listen(t, func(conn net.Conn) { say("\x1b5")(conn); silent(conn) }), Want: "220 "}, health.Unhealthy, health.CauseAssertion, `said "5", want "220"`},
		{"no banner", netprobe.TCPConfig{Address: listen(t, say("")), Want: "220 "}, health.Unhealthy, health.CauseConnection, "the connection broke while waiting for the answer"},
		{"half a banner", netprobe.TCPConfig{Address: listen(t, say("22")), Want: "220 "}, health.Unhealthy, health.CauseConnection, "the connection broke while waiting for the answer"},
		{"reset", netprobe.TCPConfig{Address: resetting, Dialer: connecting, Want: "220 "}, health.Unhealthy, health.CauseConnection, "the connection broke while waiting for the answer"},
		{"unreachable", netprobe.TCPConfig{Address: "db.test:5432", Dialer: unreachable}, health.Unhealthy, health.CauseUnreachable, "192.0.2.1:5432 is unreachable: no route to it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := tcp(t, c.cfg)
			r := p.Probe(t.Context())
			assert.Equal(t, c.status, r.Status)
			assert.Equal(t, c.cause, r.Cause)
			if c.want != "" {
				c.want = "TCP " + c.cfg.Address + ": " + c.want
			}
			assert.Equal(t, c.want, r.Message)
			assert.False(t, r.Time.IsZero())
			if c.status != health.Healthy {
				return
			}
			var names []string
			for _, m := range r.Measurements {
				names = append(names, m.Name)
			}
			want := []string{"dns", "connect", "address", "response_time"}
			if c.cfg.Want != "" {
				want = []string{"dns", "connect", "first_byte", "address", "response_time"}
			}
			assert.Equal(t, want, names)
			address, _ := r.Measurement("address")
			assert.Equal(t, c.cfg.Address, address.Text)
		})
	}
}

// TestTCPTLS shows what is said of a certificate.
//
// Requirement: HL-WANT-7
func TestTCPTLS(t *testing.T) {
	const day = certtest.Day
	root := certtest.NewAuthority(t, "test root", 1000*day)
	other := certtest.NewAuthority(t, "other root", 1000*day)
	trust := &tls.Config{RootCAs: root.Pool()}
	secure := func(cert tls.Certificate) string {
		return listen(t, func(conn net.Conn) {
			s := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
			_, _ = io.WriteString(s, "220 hello")
			_ = s.Close()
		})
	}
	for _, c := range []struct {
		name    string
		address string
		cfg     netprobe.TCPConfig
		status  health.Status
		cause   health.Cause
		want    string
		left    float64
	}{
		{"good", secure(root.Leaf(t, -day, 60*day, "127.0.0.1")), netprobe.TCPConfig{TLS: trust, Want: "220 "}, health.Healthy, "", "^$", 60},
		{"another name", secure(root.Leaf(t, -day, 60*day, "smtp.test")), netprobe.TCPConfig{TLS: &tls.Config{RootCAs: root.Pool(), ServerName: "smtp.test"}}, health.Healthy, "", "^$", 60},
		{"soon", secure(root.Leaf(t, -day, 6*day, "127.0.0.1")), netprobe.TCPConfig{TLS: trust}, health.Degraded, health.CauseCertificate, "the certificate of 127.0.0.1 expires on .* in 6.0 days, want more than 21", 6},
		{"very soon", secure(root.Leaf(t, -day, 6*day, "127.0.0.1")), netprobe.TCPConfig{TLS: trust, CertificateFail: 7 * day}, health.Unhealthy, health.CauseCertificate, "in 6.0 days, want more than 7", 6},
		{"expired", secure(root.Leaf(t, -9*day, -3*day, "127.0.0.1")), netprobe.TCPConfig{TLS: trust}, health.Unhealthy, health.CauseTLS, "TLS: the certificate of 127.0.0.1 expired on ", -3},
		{"wrong name", secure(root.Leaf(t, -day, 60*day, "smtp.test")), netprobe.TCPConfig{TLS: trust}, health.Unhealthy, health.CauseTLS, "TLS: the certificate is for smtp.test, not for 127.0.0.1", 60},
		{"unknown authority", secure(other.Leaf(t, -day, 60*day, "127.0.0.1")), netprobe.TCPConfig{TLS: trust}, health.Unhealthy, health.CauseTLS, "signed by an unknown authority", 60},
		{"no TLS", listen(t, say("220 hello, I do not speak TLS\r\n")), netprobe.TCPConfig{TLS: trust}, health.Unhealthy, health.CauseTLS, "TLS: 127.0.0.1 does not speak TLS on this port", 0},
		{"hangs up", listen(t, say("")), netprobe.TCPConfig{TLS: trust}, health.Unhealthy, health.CauseConnection, "the connection broke in the TLS handshake", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Address = c.address
			r := tcp(t, c.cfg).Probe(t.Context())
			assert.Equal(t, c.status, r.Status)
			assert.Equal(t, c.cause, r.Cause)
			assert.Regexp(t, c.want, r.Message)
			if c.status != health.Healthy {
				assert.Contains(t, r.Message, "TLS "+c.address+": ")
			}
			m, ok := r.Measurement("certificate_expiry")
			assert.Equal(t, c.left != 0, ok)
			assert.InDelta(t, c.left, m.Value, 0.01)
			_, ok = r.Measurement("tls")
			assert.Equal(t, c.cause == "" || c.cause == health.CauseCertificate, ok)
		})
	}
	assert.Empty(t, trust.ServerName, "the configuration is copied")
}

// TestTCPTimeouts shows that a probe ends with its context, wherever the other
// side hangs, and closes its connection.
func TestTCPTimeouts(t *testing.T) {
	pipe := func(end chan<- error) dialer {
		return func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				_, err := io.Copy(io.Discard, far)
				end <- err
			}()
			return near, nil
		}
	}
	for _, c := range []struct {
		name string
		cfg  netprobe.TCPConfig
		want string
	}{
		{"handshake", netprobe.TCPConfig{TLS: &tls.Config{}}, "TLS db.test:5432: timed out after 2s in the TLS handshake"},
		{"banner", netprobe.TCPConfig{Want: "220 "}, "TCP db.test:5432: timed out after 2s while waiting for the answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				end := make(chan error, 1)
				c.cfg.Address, c.cfg.Dialer = "db.test:5432", pipe(end)
				p := tcp(t, c.cfg)
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				r := p.Probe(ctx)
				assert.Equal(t, health.CauseTimeout, r.Cause)
				assert.Equal(t, c.want, r.Message)
				<-end
			})
		})
		t.Run(c.name+" cancelled", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				end := make(chan error, 1)
				c.cfg.Address, c.cfg.Dialer = "db.test:5432", pipe(end)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				r := tcp(t, c.cfg).Probe(ctx)
				assert.Equal(t, health.Unknown, r.Status)
				assert.Equal(t, health.CauseNotAsked, r.Cause)
				assert.Contains(t, r.Message, "the probe was cancelled")
				<-end
			})
		})
	}
	t.Run("connecting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			wait := dialer(func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() })
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			r := tcp(t, netprobe.TCPConfig{Address: "db.test:5432", Dialer: wait}).Probe(ctx)
			assert.Equal(t, health.CauseTimeout, r.Cause)
			assert.Equal(t, "TCP db.test:5432: timed out after 2s before connecting", r.Message)
		})
	})
	t.Run("slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			slow := dialer(func(context.Context) (net.Conn, error) {
				time.Sleep(300 * time.Millisecond)
				near, _ := net.Pipe()
				return near, nil
			})
			r := tcp(t, netprobe.TCPConfig{Address: "db.test:5432", Dialer: slow, Latency: health.Budget{Warn: 200 * time.Millisecond}}).Probe(t.Context())
			assert.Equal(t, health.Degraded, r.Status)
			assert.Equal(t, health.CauseSlow, r.Cause)
			assert.Equal(t, "TCP db.test:5432: took 300ms, more than 200ms", r.Message)
		})
	})
}

func TestNewTCP(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  netprobe.TCPConfig
		want []string
	}{
		{"nothing", netprobe.TCPConfig{}, []string{"must be host:port"}},
		{"URL", netprobe.TCPConfig{Address: "redis://:canary-1@a.test:6379"}, []string{"Address: must be host:port"}},
		{"no port", netprobe.TCPConfig{Address: "a.test"}, []string{"must be host:port"}},
		{"no host", netprobe.TCPConfig{Address: ":80"}, []string{"must be host:port"}},
		{"port 0", netprobe.TCPConfig{Address: "a.test:0"}, []string{"the port must be"}},
		{"service name", netprobe.TCPConfig{Address: "a.test:http"}, []string{"the port must be"}},
		{"several", netprobe.TCPConfig{Address: "a", Want: string(make([]byte, 5000)), Latency: health.Budget{Warn: -1}, CertificateWarn: 1, CertificateFail: 2},
			[]string{"Address: must be host:port", "Want must", "latency budget", "CertificateWarn"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := netprobe.NewTCP(c.cfg)
			assert.Nil(t, p)
			for _, want := range c.want {
				assert.ErrorContains(t, err, "netprobe: ")
				assert.ErrorContains(t, err, want)
			}
			assert.Len(t, strings.Split(err.Error(), "\n"), len(c.want))
			assert.NotContains(t, err.Error(), "canary")
		})
	}
}
