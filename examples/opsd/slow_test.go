package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pipes is a listener of connections in memory, which take no time of their own.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dialed serves a handler as opsd does, and returns a connection to it.
func dialed(t *testing.T, h http.Handler) net.Conn {
	t.Helper()
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	server := newServer(unhurried(h, bodyWithin))
	go func() { _ = server.Serve(p) }()
	ours, theirs := net.Pipe()
	p.conns <- theirs
	t.Cleanup(func() {
		_ = ours.Close()
		assert.NoError(t, server.Close())
	})
	return ours
}

// A client that sends its body slowly, or not at all, holds a connection for half a minute,
// whether the body is read or not, and however slowly it drips.
func TestSlowBodiesAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	reads := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, "it did not arrive", http.StatusBadRequest)
		}
	})
	for name, tt := range map[string]struct {
		handler http.Handler
		drip    time.Duration // zero sends nothing after the beginning
		chunked bool
	}{
		"nothing comes":              {handler: reads},
		"it drips":                   {handler: reads, drip: time.Second},
		"it drips in chunks":         {handler: reads, drip: time.Second, chunked: true},
		"nothing comes, nobody asks": {handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})},
		"it drips, and nobody asks":  {handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), drip: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				conn, began := dialed(t, tt.handler), time.Now()
				length, drop := "Content-Length: 4000", "x"
				if tt.chunked {
					length, drop = "Transfer-Encoding: chunked", "1\r\nx\r\n"
				}
				_, err := fmt.Fprintf(conn, "POST /api/host/silences HTTP/1.1\r\nHost: opsd\r\n%s\r\n\r\n%s", length, drop)
				require.NoError(t, err)
				stop := make(chan struct{})
				go func() {
					for tt.drip > 0 {
						select {
						case <-time.After(tt.drip):
						case <-stop:
							return
						}
						if _, err := io.WriteString(conn, drop); err != nil {
							return
						}
					}
				}()
				_, _ = io.ReadAll(conn) // until it is closed
				close(stop)
				assert.LessOrEqual(t, time.Since(began), bodyWithin+time.Second)
			})
		})
	}
}

// What is followed is followed for hours, and a command that has arrived is carried out however
// long that takes.
func TestWhatHasArrivedHasTime(t *testing.T) {
	t.Parallel()
	const hours = 3 * time.Hour
	long := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		for range 3 {
			select {
			case <-time.After(hours / 3):
				fmt.Fprintf(w, "data: %s\n\n", body)
				assert.NoError(t, http.NewResponseController(w).Flush())
			case <-r.Context().Done():
				return
			}
		}
	})
	for name, request := range map[string]string{
		"followed":  "GET /api/v1/runs/r1/events HTTP/1.1\r\nHost: opsd\r\n\r\n",
		"a command": "POST /api/host/silences HTTP/1.1\r\nHost: opsd\r\nContent-Length: 2\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				conn, began := dialed(t, long), time.Now()
				_, err := io.WriteString(conn, request)
				require.NoError(t, err)
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				assert.Equal(t, 3, strings.Count(string(body), "data: "))
				assert.Equal(t, hours, time.Since(began))
			})
		})
	}
}
