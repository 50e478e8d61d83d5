package wsprobe

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/coder/websocket"
)

// A link is a WebSocket connection and what carries it.
type link struct {
	conn    *websocket.Conn
	carrier io.Closer
}

// close ends a connection politely, if the server joins in while there is time.
func (l link) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	// Close has limits of its own, of 5 s, that cannot be changed.
	defer context.AfterFunc(ctx, func() { _ = l.carrier.Close() })()
	_ = l.conn.Close(websocket.StatusNormalClosure, "")
}

// drop ends a connection that is of no more use.
func (l link) drop() { _ = l.conn.CloseNow() }

// capture is the transport of one handshake. It keeps what carries the
// connection afterwards.
//
// It also hides what follows the header of an answer until the handshake has
// succeeded: [websocket.Dial] reads it if the answer is wrong, for up to 3 s and
// without regard to the context.
type capture struct {
	base http.RoundTripper
	body *carrier
}

func (c *capture) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		_ = resp.Body.Close()
		resp.Body = http.NoBody
		return resp, nil
	}
	c.body = &carrier{ReadWriteCloser: conn}
	resp.Body = c.body
	return resp, nil
}

// A carrier is a connection that seems to have ended until it is accepted.
type carrier struct {
	io.ReadWriteCloser

	accepted atomic.Bool
}

func (c *carrier) Read(p []byte) (int, error) {
	if !c.accepted.Load() {
		return 0, io.EOF
	}
	return c.ReadWriteCloser.Read(p)
}
