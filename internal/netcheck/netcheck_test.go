package netcheck_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/certtest"
)

func TestClean(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"plain", "down", "down"},
		{"white space", "  a\r\n\tb  ", "a b"},
		{"terminal codes", "\x1b[31mred\x1b[0m", "[31mred[0m"},
		{"invisible", "a\u202eb\u200bc\x00d", "abcd"},
		{"not UTF-8", "a\xffb", "ab"},
		{"long", strings.Repeat("x", 1000), strings.Repeat("x", 100) + "…"},
		{"exactly long", strings.Repeat("x", 100), strings.Repeat("x", 100)},
		{"long words", strings.Repeat("x ", 1000), strings.TrimSpace(strings.Repeat("x ", 50)) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) { assert.Equal(t, c.want, netcheck.Clean(c.text)) })
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x00b  c")
	f.Fuzz(func(t *testing.T, text string) {
		clean := netcheck.Clean(text)
		require.LessOrEqual(t, utf8.RuneCountInString(clean), netcheck.MaxText+1)
		require.False(t, strings.ContainsFunc(clean, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", clean)
	})
}

// TestExplain shows what each kind of error says, whatever wraps it.
func TestExplain(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithTimeout(t.Context(), 0)
	defer cancelLate()
	custom, cancelCustom := context.WithTimeoutCause(t.Context(), 0, errors.New("a cause of the caller's"))
	defer cancelCustom()
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}, Err: os.NewSyscallError("connect", err)}
	}
	for _, c := range []struct {
		name   string
		ctx    context.Context
		phase  netcheck.Phase
		err    error
		status health.Status
		cause  health.Cause
		want   string
	}{
		{"refused", t.Context(), netcheck.Connecting, dial(syscall.ECONNREFUSED), health.Unhealthy, health.CauseRefused, "192.0.2.1:80 refused the connection"},
		{"refused at the last moment", late, netcheck.Connecting, dial(syscall.ECONNREFUSED), health.Unhealthy, health.CauseRefused, "192.0.2.1:80 refused the connection"},
		{"unreachable", t.Context(), netcheck.Connecting, dial(syscall.EHOSTUNREACH), health.Unhealthy, health.CauseUnreachable, "192.0.2.1:80 is unreachable: no route to it"},
		{"kernel timed out", t.Context(), netcheck.Connecting, dial(syscall.ETIMEDOUT), health.Unhealthy, health.CauseTimeout, "timed out after 0s while connecting to 192.0.2.1:80"},
		{"deadline", late, netcheck.Resolving, context.DeadlineExceeded, health.Unhealthy, health.CauseTimeout, "timed out after 0s while resolving host.test"},
		{"deadline with a cause", custom, netcheck.Waiting, context.Cause(custom), health.Unhealthy, health.CauseTimeout, "timed out after 0s while waiting for the answer"},
		{"deadline that closed", late, netcheck.Body, net.ErrClosed, health.Unhealthy, health.CauseTimeout, "timed out after 0s while reading the body of the answer"},
		{"cancelled", cancelled, netcheck.Waiting, context.Canceled, health.Unknown, health.CauseNotAsked, "the probe was cancelled while waiting for the answer"},
		{"cancelled and closed", cancelled, netcheck.Securing, net.ErrClosed, health.Unknown, health.CauseNotAsked, "the probe was cancelled in the TLS handshake"},
		{"reset", t.Context(), netcheck.Sending, syscall.ECONNRESET, health.Unhealthy, health.CauseConnection, "the connection broke while sending the request"},
		{"no such host", t.Context(), netcheck.Resolving, &net.DNSError{Err: "no such host", Name: "gone.test", IsNotFound: true}, health.Unhealthy, health.CauseDNS, "host name gone.test has no address, or does not exist"},
		{"broken resolver", t.Context(), netcheck.Resolving, &net.DNSError{Err: "server misbehaving", Name: "gone.test", IsTemporary: true}, health.Unhealthy, health.CauseDNS, "host name gone.test cannot be resolved: server misbehaving"},
		{"no files left", t.Context(), netcheck.Connecting, dial(syscall.EMFILE), health.Unknown, health.CauseNotAsked, "the probe could not be made: this machine has too many open files"},
		{"no files left to resolve", t.Context(), netcheck.Resolving, &net.DNSError{Err: "dial udp: socket: too many open files", Name: "host.test"}, health.Unknown, health.CauseNotAsked, "the probe could not be made: this machine has too many open files"},
		{"something else", t.Context(), netcheck.Head, errors.New("odd\nthing"), health.Unhealthy, health.CauseFailed, "failed while reading the header of the answer: odd thing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := netcheck.NewTimeline("host.test")
			line.Enter(c.phase)
			f := line.Explain(c.ctx, fmt.Errorf("wrapped: %w", c.err))
			if c.cause == health.CauseFailed {
				c.want = strings.Replace(c.want, "odd", "wrapped: odd", 1)
			}
			assert.Equal(t, netcheck.Finding{Status: c.status, Cause: c.cause, Message: c.want}, f)
		})
	}
}

// TestExpiryOf shows which certificate counts: the first to end in the chain
// that lasts longest, and without verification only the server's own.
func TestExpiryOf(t *testing.T) {
	root := certtest.NewAuthority(t, "root", 1000*certtest.Day)
	short := root.Intermediate(t, "short authority", 5*certtest.Day)
	long := root.Intermediate(t, "long authority", 50*certtest.Day)
	parse := func(c tls.Certificate) []*x509.Certificate {
		var chain []*x509.Certificate
		for _, der := range c.Certificate {
			cert, err := x509.ParseCertificate(der)
			require.NoError(t, err)
			chain = append(chain, cert)
		}
		return chain
	}
	viaShort := parse(short.Leaf(t, -certtest.Day, 90*certtest.Day, "a.test"))
	viaLong := parse(long.Leaf(t, -certtest.Day, 90*certtest.Day, "a.test"))
	own := parse(root.Leaf(t, -certtest.Day, 3*certtest.Day, "a.test"))

	for _, c := range []struct {
		name   string
		state  *tls.ConnectionState
		days   float64
		issuer bool
	}{
		{"own certificate", &tls.ConnectionState{PeerCertificates: own, VerifiedChains: [][]*x509.Certificate{own}}, 3, false},
		{"an authority", &tls.ConnectionState{PeerCertificates: viaShort, VerifiedChains: [][]*x509.Certificate{viaShort}}, 5, true},
		{"the better of two chains", &tls.ConnectionState{PeerCertificates: viaShort, VerifiedChains: [][]*x509.Certificate{viaShort, viaLong}}, 50, true},
		{"not verified", &tls.ConnectionState{PeerCertificates: viaShort}, 90, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, ok := netcheck.ExpiryOf(c.state)
			require.True(t, ok)
			assert.InDelta(t, c.days, e.Measurement().Value, 0.01)
			assert.Equal(t, c.issuer, e.Issuer)
		})
	}
	_, ok := netcheck.ExpiryOf(nil)
	assert.False(t, ok, "a plain connection has none")
	_, ok = netcheck.ExpiryOf(&tls.ConnectionState{})
	assert.False(t, ok)
}

func TestCertificates(t *testing.T) {
	root := certtest.NewAuthority(t, "root", 1000*certtest.Day)
	day := certtest.Day
	for _, c := range []struct {
		name   string
		limits netcheck.Certificates
		left   time.Duration
		status health.Status
	}{
		{"plenty", netcheck.Certificates{}, 22 * day, health.Healthy},
		{"default warning", netcheck.Certificates{}, 21 * day, health.Degraded},
		{"no warning", netcheck.Certificates{Warn: -1}, day, health.Healthy},
		{"own warning", netcheck.Certificates{Warn: 2 * day}, 3 * day, health.Healthy},
		{"failure", netcheck.Certificates{Fail: 7 * day}, 6 * day, health.Unhealthy},
		{"failure before the default warning", netcheck.Certificates{Fail: 30 * day}, 25 * day, health.Unhealthy},
		{"expired", netcheck.Certificates{Warn: -1}, -day, health.Unhealthy},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.NoError(t, c.limits.Validate())
			leaf := root.Leaf(t, -100*day, c.left, "a.test").Leaf
			r := c.limits.Apply(health.Result{Status: health.Healthy}, netcheck.Expiry{At: leaf.NotAfter, Certificate: leaf})
			assert.Equal(t, c.status, r.Status, r.Message)
			m, ok := r.Measurement("certificate_expiry")
			require.True(t, ok)
			assert.InDelta(t, c.left.Hours()/24, m.Value, 0.01)
			if c.status != health.Healthy {
				assert.Equal(t, health.CauseCertificate, r.Cause)
				assert.Contains(t, r.Message, "the certificate of a.test expire")
			}
		})
	}
	assert.Error(t, netcheck.Certificates{Warn: day, Fail: 2 * day}.Validate())
}
