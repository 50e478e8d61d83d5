package httpprobe_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
	"go.acu.edu.au/runbook/internal/netcheck/certtest"
)

// serveTLS starts a server with a certificate and returns its URL.
func serveTLS(t testing.TB, cert tls.Certificate, h http.Handler, configure ...func(*tls.Config)) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	for _, f := range configure {
		f(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// well is a service that is well.
var well = answer(200, "", "ok")

func trusting(pool *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
}

// TestTLS shows what is said of a server whose TLS is not acceptable.
//
// Requirement: HL-WANT-7
func TestTLS(t *testing.T) {
	const day = certtest.Day
	root := certtest.NewAuthority(t, "test root", 1000*day)
	other := certtest.NewAuthority(t, "other root", 1000*day)
	for _, c := range []struct {
		name  string
		cert  tls.Certificate
		tls   func(*tls.Config)
		want  string
		left  float64
		known bool // the days left
	}{
		{"expired", root.Leaf(t, -90*day, -2*day, "127.0.0.1"), nil, "TLS: the certificate of 127.0.0.1 expired on ", -2, true},
		{"not yet valid", root.Leaf(t, day, 90*day, "127.0.0.1"), nil, "TLS: the certificate of 127.0.0.1 is not valid before ", 90, true},
		{"another name", root.Leaf(t, -day, 90*day, "a.test", "b.test"), nil, "TLS: the certificate is for a.test, b.test, not for 127.0.0.1", 90, true},
		{"many names", root.Leaf(t, -day, 90*day, "a.test", "b.test", "c.test", "d.test", "e.test"), nil, "TLS: the certificate is for a.test, b.test, c.test, 2 more, not for 127.0.0.1", 90, true},
		{"unknown authority", other.Leaf(t, -day, 90*day, "127.0.0.1"), nil, `TLS: the certificate of 127.0.0.1 is signed by an unknown authority ("CN=other root")`, 90, true},
		{"no common version", root.Leaf(t, -day, 90*day, "127.0.0.1"), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11; c.MinVersion = tls.VersionTLS10 }, "TLS: ", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			configure := c.tls
			if configure == nil {
				configure = func(*tls.Config) {}
			}
			r := must(t, httpprobe.Config{URL: serveTLS(t, c.cert, well, configure), HTTP: trusting(root.Pool())}).Probe(t.Context())
			assert.Equal(t, health.Unhealthy, r.Status)
			assert.Equal(t, health.CauseTLS, r.Cause)
			assert.Truef(t, strings.HasPrefix(rest(r), c.want), "%q", rest(r))
			m, ok := r.Measurement("certificate_expiry")
			assert.Equal(t, c.known, ok)
			assert.InDelta(t, c.left, m.Value, 0.01)
			_, ok = r.Measurement("connect")
			assert.True(t, ok, "the connection was made")
			_, ok = r.Measurement("tls")
			assert.False(t, ok, "the handshake was not")
		})
	}
	t.Run("client certificate demanded", func(t *testing.T) {
		url := serveTLS(t, root.Leaf(t, -day, 90*day, "127.0.0.1"), well, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })
		r := must(t, httpprobe.Config{URL: url, HTTP: trusting(root.Pool())}).Probe(t.Context())
		assert.Equal(t, health.CauseTLS, r.Cause)
		assert.Equal(t, "TLS: 127.0.0.1 ended the handshake: certificate required", rest(r))
	})
	t.Run("plain HTTP", func(t *testing.T) {
		url := "https" + strings.TrimPrefix(serve(t, answer(200, "", "")).URL, "http") + "/"
		r := must(t, httpprobe.Config{URL: url}).Probe(t.Context())
		assert.Equal(t, health.CauseTLS, r.Cause)
		assert.Equal(t, "TLS: the server speaks plain HTTP on this port", rest(r))
	})
	t.Run("HTTP to a TLS port", func(t *testing.T) {
		url := "http" + strings.TrimPrefix(serveTLS(t, root.Leaf(t, -day, 90*day, "127.0.0.1"), well), "https")
		r := must(t, httpprobe.Config{URL: url}).Probe(t.Context())
		assert.Equal(t, health.CauseStatus, r.Cause)
		assert.Equal(t, "answered 400 (Bad Request), want 200 to 299", rest(r))
	})
}

// TestCertificateExpiry shows how many days a certificate must have left.
//
// Requirement: HL-WANT-7
func TestCertificateExpiry(t *testing.T) {
	const day = certtest.Day
	root := certtest.NewAuthority(t, "test root", 1000*day)
	between := root.Intermediate(t, "test intermediate", 4*day)
	for _, c := range []struct {
		name   string
		cert   tls.Certificate
		cfg    httpprobe.Config
		status health.Status
		want   string
		left   float64
	}{
		{"plenty", root.Leaf(t, -day, 60*day, "127.0.0.1"), httpprobe.Config{}, health.Healthy, "", 60},
		{"soon", root.Leaf(t, -day, 10*day, "127.0.0.1"), httpprobe.Config{}, health.Degraded, `^the certificate of 127.0.0.1 expires on \S+ \S+ UTC, in 10.0 days, want more than 21$`, 10},
		{"very soon", root.Leaf(t, -day, 5*day, "127.0.0.1"), httpprobe.Config{CertificateFail: 7 * day}, health.Unhealthy, `in 5.0 days, want more than 7$`, 5},
		{"an authority soon", between.Leaf(t, -day, 60*day, "127.0.0.1"), httpprobe.Config{}, health.Degraded, `^the authority certificate "CN=test intermediate" expires on `, 4},
		{"beside another finding", root.Leaf(t, -day, 10*day, "127.0.0.1"), httpprobe.Config{Status: []int{204}}, health.Unhealthy, `^answered 200 \(OK\), want 204; the certificate of`, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.URL, c.cfg.HTTP = serveTLS(t, c.cert, well), trusting(root.Pool())
			r := must(t, c.cfg).Probe(t.Context())
			assert.Equal(t, c.status, r.Status)
			assert.Regexp(t, c.want, rest(r))
			m, ok := r.Measurement("certificate_expiry")
			require.True(t, ok)
			assert.Equal(t, health.Days, m.Unit)
			assert.InDelta(t, c.left, m.Value, 0.01)
			if c.status == health.Degraded {
				assert.Equal(t, health.CauseCertificate, r.Cause)
			}
		})
	}
	t.Run("expired and not verified", func(t *testing.T) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		r := must(t, httpprobe.Config{URL: serveTLS(t, root.Leaf(t, -90*day, -day, "127.0.0.1"), well), HTTP: client}).Probe(t.Context())
		assert.Equal(t, health.Unhealthy, r.Status)
		assert.Equal(t, health.CauseCertificate, r.Cause)
		assert.Regexp(t, `^the certificate of 127.0.0.1 expired on `, rest(r))
	})
}
