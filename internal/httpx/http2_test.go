package httpx_test

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
)

// Frames and flags of HTTP/2 (RFC 9113, section 6).
const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameReset    = 0x3
	frameSettings = 0x4
	frameGoAway   = 0x7
	flagAck       = 0x1
	flagEnd       = 0x1
)

func frame(kind, flags byte, stream uint32, payload ...byte) []byte {
	head := []byte{0, 0, byte(len(payload)), kind, flags, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[5:], stream)
	return append(head, payload...)
}

// newHTTP2 is a server below HTTP/2, that counts the requests that arrived
// whole, and answers each with a frame. It returns a client that trusts it.
func newHTTP2(t *testing.T, then func(stream uint32) []byte) (address string, client *http.Client, seen *atomic.Int32) {
	t.Helper()
	seen = new(atomic.Int32)
	srv := httptest.NewUnstartedServer(nil)
	srv.EnableHTTP2 = true
	// This is where net/http hands over a connection once h2 is agreed on.
	srv.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, conn *tls.Conn, _ http.Handler) { serveHTTP2(conn, seen, then) },
	}
	srv.TLS = &tls.Config{NextProtos: []string{"h2"}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.URL, srv.Client(), seen
}

func serveHTTP2(conn net.Conn, seen *atomic.Int32, then func(stream uint32) []byte) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadFull(conn, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	_, _ = conn.Write(frame(frameSettings, 0, 0))
	head := make([]byte, 9)
	for {
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		size := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
		if _, err := io.CopyN(io.Discard, conn, size); err != nil {
			return
		}
		kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		switch {
		case kind == frameSettings && flags&flagAck == 0:
			_, _ = conn.Write(frame(frameSettings, flagAck, 0))
		case (kind == frameHeaders || kind == frameData) && flags&flagEnd != 0:
			seen.Add(1)
			_, _ = conn.Write(then(stream))
		}
	}
}

// net/http repeats by itself what was sent over HTTP/2 and then reset in one of
// some ways, as fast as it can until the time is over. One of them is what
// proxies do with a malformed answer, of a request that was run. It must not: a
// mutation is sent once, and a read as often as the policy says.
func TestHTTP2ResetsAreNotRepeatedByNetHTTP(t *testing.T) {
	t.Parallel()
	ends := map[string]func(uint32) []byte{
		"protocol error": func(stream uint32) []byte { return frame(frameReset, 0, stream, 0, 0, 0, 1) },
		"refused stream": func(stream uint32) []byte { return frame(frameReset, 0, stream, 0, 0, 0, 7) },
		"internal error": func(stream uint32) []byte { return frame(frameReset, 0, stream, 0, 0, 0, 2) },
		"cancelled":      func(stream uint32) []byte { return frame(frameReset, 0, stream, 0, 0, 0, 8) },
		"going away":     func(uint32) []byte { return frame(frameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) },
	}
	for name, end := range ends {
		for what, call := range map[string]httpx.Call{
			"with a body":    {Method: "POST", Body: []byte("x")},
			"without a body": {Method: "POST"},
			"delete":         {Method: "DELETE"},
			"read":           {},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				address, client, seen := newHTTP2(t, end)
				call.URL = parse(t, address)
				_, err := quick(httpx.Config{HTTP: client, AttemptTimeout: 5 * time.Second}).Do(t.Context(), call)
				require.Error(t, err)
				want := 1
				if call.Method == "" {
					want += 3
				}
				assert.EqualValues(t, want, seen.Load(), "how often it was sent: %v", err)
				assert.False(t, runbook.SafeToRetry(err))
			})
		}
	}
}

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
