package httpx_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
)

func TestIsPublic(t *testing.T) {
	t.Parallel()
	for _, ip := range strings.Fields(`
		0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16
		169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.255.1 198.18.0.1 198.19.255.255
		198.51.100.1 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
		:: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.1.2.3 ::ffff:169.254.169.254 ::ffff:0:8.8.8.8
		64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::10.0.0.1 64:ff9b:1::8.8.8.8
		100::1 2001::1 2001:db8::1 2002:7f00:1:: 3fff::1 5f00::1 fc00::1 fd12:3456::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1`) {
		assert.False(t, httpx.IsPublic(netip.MustParseAddr(ip)), ip)
	}
	for _, ip := range strings.Fields(`
		1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 168.63.129.17 169.253.255.255
		172.15.255.255 172.32.0.0 192.0.1.1 192.167.1.1 192.169.0.1 198.17.255.255 198.20.0.0 223.255.255.255
		::ffff:8.8.8.8 64:ff9b::8.8.8.8 2001:4860:4860::8888 2606:4700:4700::1111 2a00:1450::1 3ffe::1`) {
		assert.True(t, httpx.IsPublic(netip.MustParseAddr(ip)), ip)
	}
	assert.False(t, httpx.IsPublic(netip.Addr{}))
}

func TestPublicHost(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		"", ".", "localhost", "LOCALHOST", "localhost.", "a.localhost", "printer.local", "db.railway.internal", "metadata.google.internal.",
		"redis", "nas.home.arpa", "x.corp", "box.lan", "127.0.0.1", "127.0.0.1.", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "169.254.169.254",
		"127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127。0。0。1", "ⓛocalhost", "a..", "a b.example.com", "école.example",
		"x.127", "127.0.0.1\x00.example.com",
	} {
		err := httpx.PublicHost(host)
		assert.ErrorIs(t, err, httpx.ErrPrivateAddress, "%q", host)
		assert.True(t, runbook.SafeToRetry(err), "%q", host)
	}
	for _, host := range []string{"canvas.instructure.com", "SSO.canvaslms.com", "sso.canvaslms.com.", "8.8.8.8", "2606:4700:4700::1111", "xn--cole-9oa.example", "local.example.com", "10.example.com"} {
		assert.NoError(t, httpx.PublicHost(host), "%q", host)
	}
	assert.Less(t, len(httpx.PublicHost(strings.Repeat("x", 1<<16)).Error()), 200)
}

// A name that is public by its looks, and leads to this machine, is refused
// when it is dialled, after it was resolved: nothing connects to the server. No
// proxy and no dialler of the host is asked either.
func TestRebinding(t *testing.T) { //nolint:paralleltest // every name of the process leads to this machine
	everyName(t, [4]byte{127, 0, 0, 1})
	var connections, strays atomic.Int32
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // of the connection that is not used
	srv.StartTLS()
	defer srv.Close()
	stray := func(context.Context, string, string) (net.Conn, error) {
		strays.Add(1)
		return nil, errors.New("dialled by the host")
	}
	host := srv.Client().Transport.(*http.Transport).Clone()
	host.DialContext, host.DialTLSContext = stray, stray
	old := func(network, address string) (net.Conn, error) { return stray(t.Context(), network, address) }
	//lint:ignore SA1019 a host may have them
	host.Dial, host.DialTLS = old, old //nolint:staticcheck // as above
	host.Proxy = func(*http.Request) (*url.URL, error) {
		strays.Add(1)
		return url.Parse(srv.URL)
	}
	host.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{"h2": nil}
	address := parse(t, "https://school.example.com:"+port(t, srv))
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address.Host)
	require.NoError(t, err, "the name leads to the server")
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool { return connections.Swap(0) > 0 }, 5*time.Second, time.Millisecond)
	for name, base := range map[string]*http.Client{"none": nil, "empty": {}, "of the host": {Transport: host}} {
		t.Run(name, func(t *testing.T) {
			_, err := httpx.New(httpx.Config{HTTP: httpx.PublicOnly(base)}).Do(t.Context(), httpx.Call{Op: "test", URL: address})
			require.ErrorIs(t, err, httpx.ErrPrivateAddress)
			require.ErrorContains(t, err, "127.0.0.1", "it was resolved")
			assert.True(t, runbook.SafeToRetry(err))
			e, _ := errors.AsType[*httpx.Error](err)
			assert.Equal(t, 1, e.Attempts, "it would be refused again")
		})
	}
	assert.Zero(t, connections.Load())
	assert.Zero(t, strays.Load())
	assert.NotNil(t, host.DialContext, "the host's own transport is left as it was")
	assert.NotNil(t, host.Proxy)
}

// everyName makes all names lead to one address, until the test ends.
func everyName(t *testing.T, ip [4]byte) {
	t.Helper()
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			var size [2]byte
			if _, err := io.ReadFull(server, size[:]); err != nil {
				return
			}
			question := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(server, question); err != nil {
				return
			}
			end := 12 + bytes.IndexByte(question[12:], 0) + 5
			answer := append([]byte{}, question[:end]...)
			copy(answer[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
			if binary.BigEndian.Uint16(question[end-4:]) == 1 { // A (RFC 1035, section 4.1)
				answer[7] = 1
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ip[0], ip[1], ip[2], ip[3])
			}
			_, _ = server.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
		}()
		return client, nil
	}}
}

func port(t testing.TB, srv *httptest.Server) string {
	t.Helper()
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	require.NoError(t, err)
	return port
}

// Of another transport the hosts are looked at, of redirects as well.
func TestPublicOnlyAroundAnotherTransport(t *testing.T) {
	t.Parallel()
	var asked []string
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Host)
		return answer(r, 302, http.Header{"Location": {"http://169.254.169.254/latest/meta-data"}}, ""), nil
	})
	client := httpx.PublicOnly(&http.Client{Transport: transport})
	_, err := client.Get("https://school.example.com")
	require.ErrorIs(t, err, httpx.ErrPrivateAddress)
	assert.Equal(t, []string{"school.example.com"}, asked)
	_, err = client.Get("https://localhost")
	require.ErrorIs(t, err, httpx.ErrPrivateAddress)
	assert.Len(t, asked, 1)
}
