package health_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
)

var longAgo = time.Unix(0, 0)

// Each error here is a real one: it comes out of a call over loopback.
func TestCauseOf(t *testing.T) {
	for _, test := range []struct {
		name string
		fail func(t *testing.T) error
		want health.Cause
	}{
		{"refused, TCP", func(t *testing.T) error { return dial(t, closedPort(t)) }, health.CauseRefused},
		{"refused, HTTP", func(t *testing.T) error { return fetch(t, http.DefaultTransport, "http://"+closedPort(t)) }, health.CauseRefused},

		{"reset, TCP", func(t *testing.T) error { return exchange(t, listen(t, reset)) }, health.CauseConnection},
		{"reset, HTTP", func(t *testing.T) error { return fetch(t, &http.Transport{}, "http://"+listen(t, reset)) }, health.CauseConnection},
		{"closed, TCP", func(t *testing.T) error { return exchange(t, listen(t, hangUp)) }, health.CauseConnection},
		{"closed before an answer, HTTP", func(t *testing.T) error { return fetch(t, &http.Transport{}, "http://"+listen(t, hangUp)) }, health.CauseConnection},
		{"closed within the head", func(t *testing.T) error {
			return fetch(t, &http.Transport{}, "http://"+listen(t, say("HTTP/1.1 200 OK\r\nServer: x\r\n")))
		}, health.CauseConnection},
		{"closed within the body", func(t *testing.T) error {
			return fetch(t, &http.Transport{}, "http://"+listen(t, say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")))
		}, health.CauseConnection},
		{"closed within a chunk", func(t *testing.T) error {
			return fetch(t, &http.Transport{}, "http://"+listen(t, say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf")))
		}, health.CauseConnection},
		{"closed in the TLS handshake", func(t *testing.T) error { return handshake(t, listen(t, hangUp), &tls.Config{}) }, health.CauseConnection},
		{"closed by ourselves", func(t *testing.T) error {
			conn, err := net.Dial("tcp", listen(t, silent))
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			_, err = conn.Read(make([]byte, 1))
			return err
		}, health.CauseConnection},

		{"timeout connecting", func(t *testing.T) error {
			_, err := (&net.Dialer{Deadline: longAgo}).DialContext(t.Context(), "tcp", listen(t, silent))
			return err
		}, health.CauseTimeout},
		{"timeout reading", func(t *testing.T) error {
			conn, err := net.Dial("tcp", listen(t, silent))
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(longAgo))
			_, err = conn.Read(make([]byte, 1))
			return err
		}, health.CauseTimeout},
		{"timeout of the request", func(t *testing.T) error {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			return fetchContext(ctx, &http.Transport{}, "http://"+listen(t, silent))
		}, health.CauseTimeout},
		{"timeout of the client", func(t *testing.T) error {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Millisecond}
			_, err := client.Get("http://" + listen(t, silent))
			return err
		}, health.CauseTimeout},
		{"timeout within the body", func(t *testing.T) error {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			return fetchContext(ctx, &http.Transport{}, "http://"+listen(t, sayAndWait("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")))
		}, health.CauseTimeout},
		{"timeout waiting for the head", func(t *testing.T) error {
			return fetch(t, &http.Transport{ResponseHeaderTimeout: 10 * time.Millisecond}, "http://"+listen(t, silent))
		}, health.CauseTimeout},
		{"timeout in the TLS handshake", func(t *testing.T) error {
			return fetch(t, &http.Transport{TLSHandshakeTimeout: 10 * time.Millisecond}, "https://"+listen(t, silent))
		}, health.CauseTimeout},

		{"TLS, unknown authority", func(t *testing.T) error { return fetch(t, &http.Transport{}, secure(t, serverCert(t, time.Hour), nil)) }, health.CauseTLS},
		{"TLS, expired", func(t *testing.T) error { return trusting(t, serverCert(t, -time.Hour), "127.0.0.1") }, health.CauseTLS},
		{"TLS, wrong name", func(t *testing.T) error { return trusting(t, serverCert(t, time.Hour), "another.example") }, health.CauseTLS},
		{"TLS, plain HTTP there, HTTP", func(t *testing.T) error {
			server := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(server.Close)
			return fetch(t, &http.Transport{}, "https://"+server.Listener.Addr().String())
		}, health.CauseTLS},
		{"TLS, plain HTTP there, TLS", func(t *testing.T) error {
			return handshake(t, listen(t, say("HTTP/1.1 400 Bad Request\r\n\r\n")), &tls.Config{})
		}, health.CauseTLS},
		{"TLS, another protocol there", func(t *testing.T) error {
			return handshake(t, listen(t, say("220 mail.example.com ESMTP\r\n")), &tls.Config{})
		}, health.CauseTLS},
		{"TLS, it wants a certificate", func(t *testing.T) error {
			address := secure(t, serverCert(t, time.Hour), &tls.Config{ClientAuth: tls.RequireAnyClientCert})
			return fetch(t, &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, address)
		}, health.CauseTLS},
		{"TLS, no version in common", func(t *testing.T) error {
			address := secure(t, serverCert(t, time.Hour), &tls.Config{MinVersion: tls.VersionTLS13})
			return fetch(t, &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}}, address)
		}, health.CauseTLS},

		{"DNS, no such name", func(t *testing.T) error { return resolve(t, answer(0x83)) }, health.CauseDNS},
		{"DNS, no such name, HTTP", func(t *testing.T) error {
			transport := &http.Transport{DialContext: (&net.Dialer{Resolver: resolver(t, answer(0x83))}).DialContext}
			return fetch(t, transport, "http://no-such-host.invalid.:80/")
		}, health.CauseDNS},
		{"DNS, the server fails", func(t *testing.T) error { return resolve(t, answer(0x82)) }, health.CauseDNS},
		{"DNS, the server is not there", func(t *testing.T) error {
			address := closedPort(t)
			r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", address)
			}}
			_, err := r.LookupHost(t.Context(), "no-such-host.invalid.")
			return err
		}, health.CauseDNS},
		{"DNS, time is up", func(t *testing.T) error {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			_, err := resolver(t, nil).LookupHost(ctx, "no-such-host.invalid.")
			return err
		}, health.CauseTimeout},
		{"DNS, no answer", func(t *testing.T) error {
			_, err := deafResolver(t).LookupHost(t.Context(), "no-such-host.invalid.")
			return err
		}, health.CauseTimeout},
		{"DNS, no answer, deep inside", func(t *testing.T) error {
			dialer := &net.Dialer{Resolver: deafResolver(t)}
			transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, address)
				if err != nil {
					err = fmt.Errorf("by way of the proxy: %w", err)
				}
				return conn, err
			}}
			return fetch(t, transport, "http://no-such-host.invalid.:80/")
		}, health.CauseTimeout},

		{"unreachable, own address", func(t *testing.T) error {
			dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}} // kept for documentation, so nobody's
			_, err := dialer.DialContext(t.Context(), "tcp", listen(t, silent))
			return err
		}, health.CauseUnreachable},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.fail(t)
			require.Error(t, err)
			assert.Equal(t, test.want, health.CauseOf(err), "%#v: %v", err, err)
			assert.Equal(t, test.want, health.CauseOf(fmt.Errorf("a: %w", fmt.Errorf("b: %w", err))), "wrapped")
			assert.Equal(t, test.want, health.CauseOf(errors.Join(errors.New("another"), err)), "joined")
		})
	}
}

// Errors that loopback cannot be made to give.
func TestCauseOfMade(t *testing.T) {
	system := func(errno syscall.Errno) error {
		return &url.Error{Op: "Get", URL: "http://x", Err: &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)}}
	}
	for _, test := range []struct {
		err  error
		want health.Cause
	}{
		{nil, ""},
		{errors.New("anything"), health.CauseFailed},
		{context.Canceled, health.CauseFailed},
		{context.DeadlineExceeded, health.CauseTimeout},
		{os.ErrDeadlineExceeded, health.CauseTimeout},
		{os.ErrNotExist, health.CauseFailed},
		{system(syscall.ETIMEDOUT), health.CauseTimeout},
		{system(syscall.EHOSTUNREACH), health.CauseUnreachable},
		{system(syscall.ENETUNREACH), health.CauseUnreachable},
		{system(syscall.EHOSTDOWN), health.CauseUnreachable},
		{system(syscall.ENETDOWN), health.CauseUnreachable},
		{system(syscall.ECONNREFUSED), health.CauseRefused},
		{system(syscall.EPIPE), health.CauseConnection},
		{system(syscall.ECONNABORTED), health.CauseConnection},
		{system(syscall.EACCES), health.CauseFailed},
		{io.EOF, health.CauseConnection},
		{tls.AlertError(42), health.CauseTLS},
		{x509.UnknownAuthorityError{}, health.CauseTLS},
	} {
		assert.Equal(t, test.want, health.CauseOf(test.err), "%v", test.err)
	}
}

// dial connects and reports only the error.
func dial(t *testing.T, address string) error {
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err == nil {
		conn.Close()
	}
	return err
}

// exchange sends a byte and waits for one.
func exchange(t *testing.T, address string) error {
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte{1})
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	return err
}

func fetch(t *testing.T, transport http.RoundTripper, url string) error {
	return fetchContext(t.Context(), transport, url)
}

// fetchContext asks and reads the whole answer.
func fetchContext(ctx context.Context, transport http.RoundTripper, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func handshake(t *testing.T, address string, config *tls.Config) error {
	config.ServerName = "127.0.0.1"
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", address)
	if err == nil {
		conn.Close()
	}
	return err
}

// closedPort returns an address at which nobody listens.
func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// listen serves each connection with handle, until the test ends.
func listen(t *testing.T, handle func(conn *net.TCPConn, end <-chan struct{})) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	end := make(chan struct{})
	t.Cleanup(func() {
		close(end)
		l.Close()
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn.(*net.TCPConn), end)
			}()
		}
	}()
	return l.Addr().String()
}

func silent(_ *net.TCPConn, end <-chan struct{}) { <-end }

func hangUp(conn *net.TCPConn, _ <-chan struct{}) {
	conn.Read(make([]byte, 4096)) // what is unread would make the close a reset
}

func reset(conn *net.TCPConn, _ <-chan struct{}) {
	conn.Read(make([]byte, 4096))
	conn.SetLinger(0)
}

func say(text string) func(*net.TCPConn, <-chan struct{}) {
	return func(conn *net.TCPConn, _ <-chan struct{}) {
		conn.Read(make([]byte, 4096))
		conn.Write([]byte(text))
	}
}

func sayAndWait(text string) func(*net.TCPConn, <-chan struct{}) {
	return func(conn *net.TCPConn, end <-chan struct{}) {
		conn.Read(make([]byte, 4096))
		conn.Write([]byte(text))
		<-end
	}
}

// serverCert returns a certificate for 127.0.0.1, signed by itself, that
// expires so long from now.
func serverCert(t *testing.T, expires time.Duration) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test"},
		NotBefore:             time.Now().Add(-48 * time.Hour),
		NotAfter:              time.Now().Add(expires),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// secure serves HTTPS with cert and returns its URL.
func secure(t *testing.T, cert tls.Certificate, config *tls.Config) string {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if config == nil {
		config = &tls.Config{}
	}
	config.Certificates = []tls.Certificate{cert}
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// trusting asks a server that has cert, whose authority is trusted, for name.
func trusting(t *testing.T, cert tls.Certificate, name string) error {
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	return fetch(t, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name}}, secure(t, cert, nil))
}

// A trusted certificate that is valid and has the name is accepted: what the
// cases above change is what fails.
func TestCauseOfServerIsAcceptedOtherwise(t *testing.T) {
	assert.NoError(t, trusting(t, serverCert(t, time.Hour), "127.0.0.1"))
}

// answer returns a DNS server's reply to any question: no records, and the
// response code in the low bits of flags.
func answer(flags byte) func(query []byte) []byte {
	return func(query []byte) []byte {
		end := 12
		for query[end] != 0 { // the labels of the name
			end += int(query[end]) + 1
		}
		reply := append([]byte{}, query[:end+5]...) // and type and class
		reply[2], reply[3] = 0x81, flags
		copy(reply[6:12], make([]byte, 6))
		return reply
	}
}

// resolver asks a server on loopback that replies as reply says, or never if
// that is nil.
func resolver(t *testing.T, reply func([]byte) []byte) *net.Resolver {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			if reply != nil {
				server.WriteTo(reply(buffer[:n]), from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func resolve(t *testing.T, reply func([]byte) []byte) error {
	_, err := resolver(t, reply).LookupHost(t.Context(), "no-such-host.invalid.")
	return err
}

// deafResolver asks a server that never answers, with no patience at all: what
// fails is the resolver's own time limit, not the caller's.
func deafResolver(t *testing.T) *net.Resolver {
	r := resolver(t, nil)
	dial := r.Dial
	r.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return impatient{conn.(*net.UDPConn)}, err
	}
	return r
}

type impatient struct{ *net.UDPConn }

func (c impatient) SetDeadline(time.Time) error { return c.UDPConn.SetDeadline(longAgo) }
