package railwaytest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/require"
)

// follower is a subscription.
type follower struct {
	c    *school
	conn *websocket.Conn
}

func (c *school) follow(query string, v vars) *follower {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "wss://railway.test/graphql/v2?source=test", &websocket.DialOptions{
		HTTPClient: c.s.Client(), HTTPHeader: http.Header{"Authorization": {"Bearer " + c.account}}, Subprotocols: []string{"graphql-transport-ws"},
	})
	require.NoError(c.t, err)
	f := &follower{c, conn}
	f.send("", "connection_init", nil)
	require.Equal(c.t, "connection_ack", f.read().Type)
	f.send("1", "subscribe", vars{"query": query, "variables": v})
	return f
}

type socketMessage struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

func (f *follower) send(id, kind string, payload any) {
	f.c.t.Helper()
	m := vars{"type": kind}
	if id != "" {
		m["id"] = id
	}
	if payload != nil {
		m["payload"] = payload
	}
	require.NoError(f.c.t, wsjson.Write(f.c.t.Context(), f.conn, m))
}

func (f *follower) read() (m socketMessage) {
	f.c.t.Helper()
	ctx, cancel := context.WithTimeout(f.c.t.Context(), 5*time.Minute)
	defer cancel()
	require.NoError(f.c.t, wsjson.Read(ctx, f.conn, &m))
	return m
}

// next returns the data of the next message; nil if the subscription is complete.
func (f *follower) next() map[string]any {
	f.c.t.Helper()
	for {
		m := f.read()
		switch m.Type {
		case "ping", "pong":
			continue
		case "complete":
			return nil
		}
		require.Equal(f.c.t, "next", m.Type, string(m.Payload))
		var payload struct{ Data map[string]any }
		require.NoError(f.c.t, json.Unmarshal(m.Payload, &payload))
		return payload.Data
	}
}

func (f *follower) close() { _ = f.conn.CloseNow() }
