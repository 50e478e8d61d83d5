package railwaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// subprotocol is the one that is spoken over WebSockets
// (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md).
const subprotocol = "graphql-transport-ws"

// The codes that end a WebSocket.
const (
	closeBadMessage   websocket.StatusCode = 4400
	closeUnauthorized websocket.StatusCode = 4401
	closeForbidden    websocket.StatusCode = 4403
	closeSubprotocol  websocket.StatusCode = 4406
	closeInitTimeout  websocket.StatusCode = 4408
	closeTwice        websocket.StatusCode = 4409
	closeTooManyInits websocket.StatusCode = 4429
	closeInternal     websocket.StatusCode = 4500 // for errors of resolvers, whatever they are
)

const (
	// initTimeout is how long a client may take to say who it is.
	initTimeout = 10 * time.Second
	maxMessage  = 1 << 20
	// kept is how many messages Duplicate can repeat.
	kept = 10
)

// message is what is sent over a WebSocket, in both directions.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// socket is one WebSocket.
type socket struct {
	s      *Server
	c      *websocket.Conn
	header http.Header // says who the client is
	ctx    context.Context
	done   sync.WaitGroup

	mu            sync.Mutex // guards what follows
	inited, acked bool
	subs          map[string]context.CancelFunc // by the client's id
}

// serveSocket speaks graphql-transport-ws with one client until it goes away.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	if s.socketFails(w, r) || !s.admit(w, r) {
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}, InsecureSkipVerify: true})
	if err != nil {
		return // and Accept has answered
	}
	c.SetReadLimit(maxMessage)
	if c.Subprotocol() != subprotocol {
		_ = c.Close(closeSubprotocol, "Subprotocol not acceptable")
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	k := &socket{s: s, c: c, header: r.Header, ctx: ctx, subs: map[string]context.CancelFunc{}}
	s.keep(c, true)
	timer := time.AfterFunc(initTimeout, func() { k.timeout() })
	k.read()
	timer.Stop()
	cancel()
	s.keep(c, false)
	k.done.Wait()
	_ = c.CloseNow() // it has ended before, one way or the other
}

// socketFails plays a fault of the opening.
func (s *Server) socketFails(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	s.init()
	fault := s.fault(&operation{name: "socket"})
	s.mu.Unlock()
	if fault == nil {
		return false
	}
	a := refusal(http.StatusOK, fault.problem(nil))
	if fault.Kind == NotAuthorized {
		a.status = http.StatusUnauthorized
	}
	fault.answer(w, r, a.status, a.body())
	return true
}

// keep remembers a socket that is open, for Break.
func (s *Server) keep(c *websocket.Conn, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !open {
		delete(s.sockets, c)
		return
	}
	if s.sockets == nil {
		s.sockets = map[*websocket.Conn]bool{}
	}
	s.sockets[c] = true
}

func (k *socket) timeout() {
	k.mu.Lock()
	inited := k.inited
	k.mu.Unlock()
	if !inited {
		k.close(closeInitTimeout, "Connection initialisation timeout")
	}
}

// close ends the socket with a code.
func (k *socket) close(code websocket.StatusCode, reason string) {
	_ = k.c.Close(code, reason) // the client may have gone first
}

// send sends a message; who has gone does not get it.
func (k *socket) send(ctx context.Context, m message) error {
	var b bytes.Buffer
	mustEncode(&b, m)
	return k.c.Write(ctx, websocket.MessageText, b.Bytes())
}

// read takes the client's messages until there are no more.
func (k *socket) read() {
	for {
		_, text, err := k.c.Read(k.ctx)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(text, &m) != nil {
			k.close(closeBadMessage, "Invalid message received")
			return
		}
		if code, reason := k.take(m); code != 0 {
			k.close(code, reason)
			return
		}
	}
}

// take takes one message. The code that it returns ends the socket.
func (k *socket) take(m message) (websocket.StatusCode, string) {
	switch m.Type {
	case "connection_init":
		return k.start(m)
	case "ping":
		_ = k.send(k.ctx, message{Type: "pong", Payload: m.Payload}) // if it fails, so does the next read
	case "pong":
	case "subscribe":
		return k.subscribe(m)
	case "complete":
		k.mu.Lock()
		if stop := k.subs[m.ID]; stop != nil {
			stop()
			delete(k.subs, m.ID)
		}
		k.mu.Unlock()
	default:
		return closeBadMessage, "Invalid message received"
	}
	return 0, ""
}

// start finds out who the client is: by the header of the upgrade, or by the payload.
func (k *socket) start(m message) (websocket.StatusCode, string) {
	k.mu.Lock()
	twice := k.inited
	k.inited = true
	k.mu.Unlock()
	if twice {
		return closeTooManyInits, "Too many initialisation requests"
	}
	var payload struct{ Authorization string }
	if len(m.Payload) > 0 && json.Unmarshal(m.Payload, &payload) != nil {
		return closeBadMessage, "Invalid message received"
	}
	if payload.Authorization != "" {
		k.header = http.Header{"Authorization": {payload.Authorization}}
	}
	if k.token() == nil {
		return closeForbidden, "Forbidden"
	}
	k.mu.Lock()
	k.acked = true
	k.mu.Unlock()
	_ = k.send(k.ctx, message{Type: "connection_ack"}) // if it fails, so does the next read
	return 0, ""
}

func (k *socket) token() *token {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	k.s.init()
	return k.s.authenticate(k.header)
}
