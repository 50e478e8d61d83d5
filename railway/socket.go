package railway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"go.acu.edu.au/runbook"
)

// protocol is that of Railway's subscriptions
// (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md).
const protocol = "graphql-transport-ws"

// Limits of a connection.
const (
	handshakeLimit = 10 * time.Second // until the subscription is asked for
	keepAlive      = 30 * time.Second // between our pings
	maxSilence     = keepAlive + 15*time.Second
	goodbye        = time.Second // for what is said at the end
)

// A message is one of the protocol.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// A socket is a connection with one subscription. One goroutine reads it.
type socket struct {
	conn *websocket.Conn
	idle *time.Timer // ends a connection on which nothing comes, not even pongs
	stop func()

	token runbook.Secret // for what must not be in errors
}

// open connects, and asks for a subscription.
func (o op) open(ctx context.Context, r request) (*socket, error) {
	start := time.Now()
	s, err := o.connect(ctx, r)
	if o.c.hooks.OnCall != nil {
		o.c.hooks.OnCall(ctx, CallInfo{Op: o.name, Attempts: 1, Duration: time.Since(start), Err: err})
	}
	return s, err
}

var errHandshake = fmt.Errorf("no subscription within %s", handshakeLimit)

func (o op) connect(ctx context.Context, r request) (_ *socket, err error) {
	token, err := o.c.auth(ctx)
	if err == nil && !isToken(token.Reveal()) {
		err = errors.New("what Auth gave is none")
	}
	if err != nil {
		return nil, &Error{Op: o.name, unrun: true, cause: fmt.Errorf("no token: %w", err)}
	}
	if err := o.c.budget.admit(ctx); err != nil {
		return nil, o.failed(err)
	}
	// The context of the dial must outlive the dial: some transports end the
	// connection with it. So the limit of the handshake is a timer, which is stopped.
	ctx, cancel := context.WithCancelCause(ctx)
	limit := time.AfterFunc(handshakeLimit, func() { cancel(errHandshake) })
	defer limit.Stop()
	s := &socket{token: token, stop: func() { cancel(nil) }}
	defer func() {
		if err != nil {
			s.stop()
			if errors.Is(context.Cause(ctx), errHandshake) {
				err = errHandshake
			}
		}
	}()
	header := http.Header{"User-Agent": {o.c.agent}}
	o.kind.authorize(header, token)
	var resp *http.Response
	s.conn, resp, err = websocket.Dial(ctx, o.c.endpoint.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: o.c.socketTransport(), CheckRedirect: noRedirect},
		HTTPHeader: header, Subprotocols: []string{protocol},
		OnPongReceived: func(context.Context, []byte) { s.alive() },
	})
	if resp != nil {
		o.c.budget.take(resp.Header)
	}
	if err != nil {
		return nil, o.handshakeError(resp, err)
	}
	if s.conn.Subprotocol() != protocol {
		_ = s.conn.CloseNow()
		return nil, &Error{Op: o.name, Status: http.StatusSwitchingProtocols, Code: "protocol", Message: "the server does not speak " + protocol}
	}
	s.conn.SetReadLimit(maxAnswer)
	s.idle = time.AfterFunc(maxSilence, func() { _ = s.conn.CloseNow() })
	if err := s.ask(ctx, r); err != nil {
		s.idle.Stop()
		_ = s.conn.CloseNow()
		return nil, err
	}
	go s.ping(ctx)
	return s, nil
}

// socketTransport is the transport of WebSockets: that of the host, or one without a
// proxy, like that of calls.
func (c *Client) socketTransport() http.RoundTripper {
	if c.raw.Transport != nil {
		return c.raw.Transport
	}
	return &http.Transport{DisableKeepAlives: true, TLSHandshakeTimeout: handshakeLimit}
}

// noRedirect keeps the token from being sent to another address.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// handshakeError says why there is no WebSocket.
func (o op) handshakeError(resp *http.Response, err error) error {
	if resp == nil {
		return &Error{Op: o.name, unrun: true, cause: errors.New("no WebSocket: " + socketProblem(err))}
	}
	e := &Error{Op: o.name, Status: resp.StatusCode, Message: "no WebSocket", refused: true}
	e.RetryAfter, _ = retryAfterOf(resp.Header)
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		var body []byte
		if resp.Body != nil {
			body, _ = io.ReadAll(resp.Body) // the first kilobyte, which is in memory
		}
		o.c.budget.unrun(resp, body)
		e.kind = ErrRateLimited
	case http.StatusUnauthorized, http.StatusForbidden:
		e.kind = ErrNotAuthorized
	}
	return e
}

// socketProblem is the innermost error: those around it may quote the address.
func socketProblem(err error) string {
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return printable(err.Error(), 200)
}

// ask greets the server, waits for its answer, and subscribes.
func (s *socket) ask(ctx context.Context, r request) error {
	if err := s.write(ctx, message{Type: "connection_init", Payload: json.RawMessage(`{}`)}); err != nil {
		return err
	}
	for {
		m, err := s.read(ctx)
		if err != nil {
			return err
		}
		if m.Type == "connection_ack" {
			break
		}
	}
	payload, err := json.Marshal(r)
	if err != nil {
		return errors.New("the variables cannot be encoded")
	}
	return s.write(ctx, message{ID: only, Type: "subscribe", Payload: payload})
}

func (s *socket) write(ctx context.Context, m message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.conn.Write(ctx, websocket.MessageText, text)
}

// read returns the next message, and answers pings.
func (s *socket) read(ctx context.Context) (message, error) {
	for {
		_, text, err := s.conn.Read(ctx)
		if err != nil {
			return message{}, err
		}
		s.alive()
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			return message{}, errors.New("a message is no JSON object")
		}
		if m.Type != "ping" {
			return m, nil
		}
		if err := s.write(ctx, message{Type: "pong"}); err != nil {
			return message{}, err
		}
	}
}

// alive notes that something came. It is called by the goroutine that reads.
func (s *socket) alive() {
	if s.idle != nil {
		s.idle.Reset(maxSilence)
	}
}

// ping keeps the connection open, and finds out when it is dead: then no pong comes,
// and the timer ends it.
func (s *socket) ping(ctx context.Context) {
	for pause(ctx, keepAlive) == nil {
		limited, cancel := context.WithTimeout(ctx, keepAlive)
		_ = s.conn.Ping(limited)
		cancel()
	}
}

// close says goodbye, if that takes no time, and ends the connection.
func (s *socket) close(ctx context.Context) {
	s.idle.Stop()
	if ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, goodbye)
		_ = s.write(ctx, message{ID: only, Type: "complete"})
		cancel()
	}
	_ = s.conn.CloseNow()
	s.stop()
}

// isFinal reports whether a subscription that ended so will not work the next time
// either. The close codes are those of Railway's own client
// (https://github.com/railwayapp/railway-ts-sdk).
func isFinal(err error) bool {
	switch websocket.CloseStatus(err) {
	case 4004, 4005, 4400, 4401, 4403, 4406, 4409, 4429:
		return true
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch {
	case e.kind == ErrNotAuthorized, e.kind == ErrSchemaDrift, e.kind == ErrRateLimited, e.Code == "protocol", e.Code == "unreadable":
		return true
	}
	// A gateway that fails may recover; one that knows no WebSockets does not.
	return e.Status != 0 && e.Status < 500
}
